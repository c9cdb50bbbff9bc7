"""Templates, majors, versions, bundles and previews in the store."""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from upkeep.adapters.store import turns
from upkeep.adapters.store.rows import (
    major_of,
    major_values,
    preview_of,
    preview_values,
    template_of,
    template_values,
    version_in,
    version_of,
    version_values,
)
from upkeep.adapters.store.tables import (
    bundle_files,
    bundles,
    contents,
    deployments,
    headcounts,
    majors,
    previews,
    resources,
    templates,
    versions,
)
from upkeep.adapters.store.transaction import Transaction, written
from upkeep.domain.bundles import Bundle, BundleFile
from upkeep.domain.deployments import DeploymentStatus
from upkeep.domain.errors import Conflict, NotFound
from upkeep.domain.lag import PublishedVersion, offered
from upkeep.domain.names import SourceName, TemplateName, Version
from upkeep.domain.previews import Preview
from upkeep.domain.versions import Major, Template, TemplateVersion, VersionKey, VersionState
from upkeep.flows.ports import TemplateFilter

UNDER_WAY = [status for status in DeploymentStatus if status.under_way]


class Registry:
    """The flows' RegistryBook."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def add_template(self, template: Template) -> None:
        if not self._transaction.insert(templates, template_values(template)):
            raise Conflict(f"a template `{template.name}` exists already", cure="rename its folder")

    def template(self, name: str) -> Template:
        found = self.find_template(name)
        if found is None:
            raise _no_template(name)
        return found

    def find_template(self, name: str) -> Template | None:
        turns.alone(self._transaction, name)
        row = self._transaction.row(_TEMPLATE, name=name)
        return None if row is None else template_of(row)

    def templates(self, source: SourceName | None = None) -> Sequence[Template]:
        query = sa.select(templates).order_by(templates.c.name)
        if source is not None:
            query = self._transaction.kept(query.where(templates.c.source == source))
        return tuple(template_of(row) for row in self._transaction.rows(query))

    def page(self, wanted: TemplateFilter, after: str, limit: int) -> Sequence[Template]:
        query = sa.select(templates).where(templates.c.name > after).order_by(templates.c.name).limit(limit)
        if wanted.search:
            query = query.where(templates.c.name.icontains(wanted.search, autoescape=True))
        if wanted.kind is not None:
            query = query.where(templates.c.kind == wanted.kind)
        if wanted.source:
            query = query.where(templates.c.source == wanted.source)
        if wanted.recommended:
            query = query.where(templates.c.recommended_major.is_not(None))
        if wanted.waiting:
            of_template = (versions.c.template == templates.c.name, versions.c.state == VersionState.DRAFT)
            query = query.where(sa.exists().where(*of_template))
        return tuple(template_of(row) for row in self._transaction.rows(query))

    def count_templates(self, names: Collection[SourceName]) -> Mapping[SourceName, int]:
        query = sa.select(templates.c.source, sa.func.count().label("templates")).where(templates.c.source.in_(names))
        return {row.source: row.templates for row in self._transaction.rows(query.group_by(templates.c.source))}

    def offers(self, names: Collection[TemplateName]) -> Mapping[tuple[TemplateName, int], Version]:
        pointers = sa.select(templates.c.name, templates.c.recommended_major, templates.c.recommended_minor)
        rows = self._transaction.rows(pointers.where(templates.c.name.in_(names)))
        recommended = {row.name: version_in(row.recommended_major, row.recommended_minor) for row in rows}
        own = sa.select(majors.c.template, majors.c.major, majors.c.recommended_minor)
        found = {
            (TemplateName(row.template), int(row.major)): offered(
                row.major, recommended.get(row.template), row.recommended_minor
            )
            for row in self._transaction.rows(own.where(majors.c.template.in_(names)))
        }
        return {major: version for major, version in found.items() if version is not None}

    def names(self, at_most: int) -> Sequence[TemplateName]:
        return tuple(row.name for row in self._transaction.rows(_NAMES, at_most=at_most))

    def newest(self, names: Collection[TemplateName]) -> Mapping[TemplateName, tuple[Version, VersionState]]:
        above = versions.alias()
        last = (
            sa.select(above.c.major, above.c.minor)
            .where(above.c.template == templates.c.name)
            .order_by(above.c.major.desc(), above.c.minor.desc())
            .limit(1)
        )
        major = last.with_only_columns(above.c.major).scalar_subquery()
        minor = last.with_only_columns(above.c.minor).scalar_subquery()
        state = last.with_only_columns(above.c.state).scalar_subquery()
        query = sa.select(templates.c.name, major.label("major"), minor.label("minor"), state.label("state"))
        rows = self._transaction.rows(query.where(templates.c.name.in_(names)))
        return {
            TemplateName(row.name): (Version(row.major, row.minor), VersionState(row.state))
            for row in rows
            if row.major is not None
        }

    def save_template(self, template: Template) -> None:
        if not self._transaction.change(templates, templates.c.name == template.name, template_values(template)):
            raise _no_template(template.name)

    def remove_template(self, name: TemplateName) -> None:
        if not self._transaction.remove(templates, templates.c.name == name):
            raise _no_template(name)

    def majors(self, template: TemplateName) -> Sequence[Major]:
        turns.alone(self._transaction, template)
        rows = self._transaction.rows(_MAJORS, template=template)
        return tuple(major_of(row) for row in rows)

    def majors_of_source(self, source: SourceName) -> Sequence[Major]:
        query = (
            sa.select(majors)
            .where(majors.c.template.in_(sa.select(templates.c.name).where(templates.c.source == source)))
            .order_by(majors.c.template, majors.c.major)
        )
        return tuple(major_of(row) for row in self._transaction.rows(self._transaction.kept(query)))

    def find_major(self, template: TemplateName, major: int) -> Major | None:
        turns.alone(self._transaction, template)
        row = self._transaction.row(_MAJOR, template=template, major=major)
        return None if row is None else major_of(row)

    def save_major(self, major: Major) -> None:
        self._transaction.put(majors, major_values(major))

    def add_version(self, version: TemplateVersion) -> None:
        if not self._transaction.insert(versions, version_values(version)):
            raise Conflict(
                f"{version.template} {version.version} exists already", cure="a number is given once: take the next"
            )

    def version(self, template: TemplateName, version: Version) -> TemplateVersion:
        found = self.find_version(template, version)
        if found is None:
            raise _no_version(template, version)
        return found

    def find_version(self, template: TemplateName, version: Version) -> TemplateVersion | None:
        turns.alone(self._transaction, template)
        row = self._transaction.row(_VERSION, template=template, major=version.major, minor=version.minor)
        return None if row is None else version_of(row)

    def versions(
        self,
        template: TemplateName,
        major: int | None = None,
        *,
        state: VersionState | None = None,
        below: Version | None = None,
        limit: int | None = None,
    ) -> Sequence[TemplateVersion]:
        place = (below.major, below.minor) if below is not None else (None, None)
        given = {
            "major": major,
            "state": state,
            "below_major": place[0],
            "below_minor": place[1],
            "at_most": limit,
        }
        values = {name: value for name, value in given.items() if value is not None}
        rows = self._transaction.rows(_versions(frozenset(values)), template=template, **values)
        return tuple(version_of(row) for row in rows)

    def count_versions(self, template: TemplateName) -> int:
        return int(self._transaction.connection.execute(_COUNT_VERSIONS, {"template": template}).scalar_one())

    def latest(
        self, template: TemplateName, major: int, states: Iterable[VersionState] = tuple(VersionState)
    ) -> TemplateVersion | None:
        rows = self._transaction.rows(_latest(frozenset(states)), template=template, major=major)
        return version_of(rows[0]) if rows else None

    def published(self, template: TemplateName) -> Sequence[PublishedVersion]:
        rows = self._transaction.rows(_PUBLISHED, template=template)
        return tuple(PublishedVersion(Version(row.major, row.minor), row.published_at) for row in rows)

    def drafts(self, template: TemplateName | None = None, limit: int | None = None) -> Sequence[VersionKey]:
        given = {"template": template, "at_most": limit}
        values = {name: value for name, value in given.items() if value is not None}
        return tuple(
            VersionKey(TemplateName(row.template), Version(row.major, row.minor))
            for row in self._transaction.rows(_drafts(frozenset(values)), **values)
        )

    def drafts_of(self, names: Collection[TemplateName]) -> Mapping[TemplateName, Sequence[Version]]:
        query = (
            sa.select(versions.c.template, versions.c.major, versions.c.minor)
            .where(versions.c.template.in_(names), versions.c.state == VersionState.DRAFT)
            .order_by(versions.c.template, versions.c.major.desc(), versions.c.minor.desc())
        )
        found: dict[TemplateName, list[Version]] = {}
        for row in self._transaction.rows(query):
            found.setdefault(TemplateName(row.template), []).append(Version(row.major, row.minor))
        return found

    def save_version(self, version: TemplateVersion) -> None:
        where = _is(versions, version.template, version.version)
        if not self._transaction.change(versions, where, version_values(version)):
            raise _no_version(version.template, version.version)

    def remove_version(self, template: TemplateName, version: Version) -> None:
        tree = self.version(template, version).tree
        # Whoever registers a version with this tree meanwhile holds the bundle's row and is waited for here.
        self._transaction.row(sa.select(bundles).where(bundles.c.tree == tree).with_for_update())
        self._transaction.remove(versions, _is(versions, template, version))
        if self._transaction.row(sa.select(versions.c.tree).where(versions.c.tree == tree).limit(1)) is None:
            self._remove_bundle(tree)

    def in_use(self, template: TemplateName) -> Mapping[Version, int]:
        found: Counter[Version] = Counter()
        for query in (_RUNNING, _MOVING):
            for row in self._transaction.rows(query, template=template):
                found[Version(row.major, row.minor)] += row.users
        return found

    def keep_bundle(self, bundle: Bundle) -> None:
        while not self._transaction.insert(bundles, {"tree": bundle.tree}):
            if self._transaction.row(self._transaction.kept(_BUNDLE), tree=bundle.tree) is not None:
                return
        digests = [None if file.content is None else hashlib.sha256(file.content).digest() for file in bundle.files]
        kept = {
            digest: file.content
            for digest, file in zip(digests, bundle.files, strict=True)
            if digest is not None and file.content is not None
        }
        # In one order, so that no two transactions wait for each other's rows.
        self._transaction.insert_missing(
            contents, [{"digest": digest, "content": content} for digest, content in sorted(kept.items())]
        )
        self._transaction.insert_missing(
            bundle_files,
            [
                {
                    "tree": bundle.tree,
                    "position": position,
                    "path": file.path,
                    "mode": file.mode,
                    "blob": file.blob,
                    "size": file.size,
                    "digest": digest,
                }
                for position, (digest, file) in enumerate(zip(digests, bundle.files, strict=True))
            ],
        )

    def bundle(self, tree: str) -> Bundle:
        if self._transaction.row(_BUNDLE, tree=tree) is None:
            raise NotFound(f"there is no bundle with tree {tree}", cure="sync its source again")
        query = (
            sa.select(bundle_files, contents.c.content)
            .outerjoin(contents, contents.c.digest == bundle_files.c.digest)
            .where(bundle_files.c.tree == tree)
            .order_by(bundle_files.c.position)
        )
        return Bundle(
            tree,
            tuple(
                BundleFile(row.path, row.mode, row.blob, row.size, row.content) for row in self._transaction.rows(query)
            ),
        )

    def save_preview(self, preview: Preview) -> None:
        self._transaction.put(previews, preview_values(preview))

    def find_preview(self, template: TemplateName, version: Version) -> Preview | None:
        row = self._transaction.row(sa.select(previews).where(_is(previews, template, version)))
        return None if row is None else preview_of(row)

    def previewed_at(self, template: TemplateName, version: Version) -> datetime | None:
        row = self._transaction.row(sa.select(previews.c.at).where(_is(previews, template, version)))
        return None if row is None else row.at

    def _remove_bundle(self, tree: str) -> None:
        mine = sa.select(bundle_files.c.digest).where(bundle_files.c.tree == tree, bundle_files.c.digest.is_not(None))
        digests = list(self._transaction.connection.execute(mine.distinct()).scalars())
        self._transaction.remove(bundles, bundles.c.tree == tree)
        for digest in digests:
            needed = sa.exists().where(bundle_files.c.digest == digest)
            self._transaction.remove(contents, sa.and_(contents.c.digest == digest, ~needed))


_TEMPLATE = sa.select(templates).where(templates.c.name == sa.bindparam("name"))
_NAMES = sa.select(templates.c.name).order_by(templates.c.name).limit(sa.bindparam("at_most", type_=sa.Integer))
_MAJORS = sa.select(majors).where(majors.c.template == sa.bindparam("template")).order_by(majors.c.major)
_MAJOR = sa.select(majors).where(majors.c.template == sa.bindparam("template"), majors.c.major == sa.bindparam("major"))
_VERSION = sa.select(versions).where(
    versions.c.template == sa.bindparam("template"),
    versions.c.major == sa.bindparam("major"),
    versions.c.minor == sa.bindparam("minor"),
)
_PUBLISHED = (
    sa.select(versions.c.major, versions.c.minor, versions.c.published_at)
    .where(versions.c.template == sa.bindparam("template"), versions.c.state == VersionState.PUBLISHED)
    .order_by(versions.c.major, versions.c.minor)
)
_BUNDLE = sa.select(bundles).where(bundles.c.tree == sa.bindparam("tree"))
_COUNT_VERSIONS = sa.select(sa.func.count()).where(versions.c.template == sa.bindparam("template"))

_ON = (resources.c.major, resources.c.minor)
_RUNNING = (
    sa.select(headcounts.c.major, headcounts.c.minor, sa.func.sum(headcounts.c.resources).label("users"))
    .where(headcounts.c.template == sa.bindparam("template"), headcounts.c.major.is_not(None))
    .group_by(headcounts.c.major, headcounts.c.minor)
    .having(sa.func.sum(headcounts.c.resources) > 0)
)
_TO = (deployments.c.target_major, deployments.c.target_minor)
_MOVING = (
    sa.select(_TO[0].label("major"), _TO[1].label("minor"), sa.func.count().label("users"))
    .join(deployments, deployments.c.resource == resources.c.key)
    .where(
        # Both conditions are written as the partial indexes have them.
        resources.c.template == sa.bindparam("template"),
        resources.c.status.in_(written(UNDER_WAY)),
        deployments.c.status.in_(written(UNDER_WAY)),
        sa.or_(resources.c.major.is_(None), sa.tuple_(*_ON) != sa.tuple_(*_TO)),
    )
    .group_by(*_TO)
)


@cache
def _latest(states: frozenset[VersionState]) -> sa.Select[Any]:
    of_major = (versions.c.template == sa.bindparam("template"), versions.c.major == sa.bindparam("major"))
    query = sa.select(versions).where(*of_major, versions.c.state.in_(written(states)))
    return query.order_by(versions.c.minor.desc()).limit(1)


@cache
def _versions(given: frozenset[str]) -> sa.Select[Any]:
    """The versions of a template, the highest first, with those of the conditions for which values are given."""
    query = sa.select(versions).where(versions.c.template == sa.bindparam("template"))
    if "major" in given:
        query = query.where(versions.c.major == sa.bindparam("major"))
    if "state" in given:
        query = query.where(versions.c.state == sa.bindparam("state"))
    if "below_major" in given:
        place = sa.tuple_(sa.bindparam("below_major", type_=sa.Integer), sa.bindparam("below_minor", type_=sa.Integer))
        query = query.where(sa.tuple_(versions.c.major, versions.c.minor) < place)
    if "at_most" in given:
        query = query.limit(sa.bindparam("at_most", type_=sa.Integer))
    return query.order_by(versions.c.major.desc(), versions.c.minor.desc())


@cache
def _drafts(given: frozenset[str]) -> sa.Select[Any]:
    """What waits for a review, the oldest first."""
    numbered = (versions.c.template, versions.c.major, versions.c.minor)
    query = sa.select(*numbered).where(versions.c.state == VersionState.DRAFT)
    if "template" in given:
        query = query.where(versions.c.template == sa.bindparam("template"))
    if "at_most" in given:
        query = query.limit(sa.bindparam("at_most", type_=sa.Integer))
    return query.order_by(versions.c.created_at, *numbered)


def _is(table: sa.Table, template: str, version: Version) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.template == template, table.c.major == version.major, table.c.minor == version.minor)


def _no_template(name: str) -> NotFound:
    return NotFound(f"there is no template `{name}`", cure="`upkeep template list` shows all")


def _no_version(template: str, version: Version) -> NotFound:
    return NotFound(f"there is no {template} {version}", cure=f"`upkeep version list {template}` shows all")
