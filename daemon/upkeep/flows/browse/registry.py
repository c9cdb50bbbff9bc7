"""Templates, their versions, and the review of a draft."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from upkeep.domain import lag
from upkeep.domain.errors import CallerError, NotFound
from upkeep.domain.lag import PublishedVersion
from upkeep.domain.names import TemplateName, Version
from upkeep.domain.previews import Preview
from upkeep.domain.resources import Counters
from upkeep.domain.sources import Source
from upkeep.domain.versions import (
    Major,
    Template,
    TemplateVersion,
    VersionKey,
    VersionState,
    recommended_after_publish,
)
from upkeep.domain.work import WorkKind
from upkeep.flows.browse.differences import FileDifference, differences, text_difference
from upkeep.flows.browse.fleet import FirstStep, FleetRow, first_step, rows_of
from upkeep.flows.browse.plans import Checks, checks_of
from upkeep.flows.ports import FleetFilter, FleetOrder, TemplateFilter, Unit
from upkeep.flows.preview import subject_of

TEMPLATES_SHOWN = 50
"""Templates on a page."""

VERSIONS_SHOWN = 25
"""Versions on a page of their template."""

RESOURCES_SHOWN = 50
"""Resources listed on a template's page; the fleet page has them all."""

WORK_SEARCHED = 500
"""Rows of the queue that are looked through for a preview that is still owed."""


@dataclass(frozen=True, slots=True)
class TemplateRow:
    """A template with what waits for a decision and what is behind."""

    template: Template
    counters: Counters
    drafts: tuple[Version, ...]
    newest: tuple[Version, VersionState] | None


@dataclass(frozen=True, slots=True)
class TemplatesView:
    """A page of templates, by name; `next` is the name the next page starts behind. `waiting` are versions that wait
    for a review, up to TEMPLATES_SHOWN of them, of whatever template."""

    rows: tuple[TemplateRow, ...]
    next: str | None
    waiting: tuple[VersionKey, ...]
    first_step: FirstStep | None


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version, how many resources use it, and which pointers stand on it."""

    version: TemplateVersion
    in_use: int
    recommended: bool
    recommended_in_major: bool


@dataclass(frozen=True, slots=True)
class TemplateView:
    """A template's page. `waiting` is the newest draft, the one a banner speaks of. `versions` are a page of the
    `total` there are, `next` is the number the next page starts below."""

    template: Template
    source: Source | None
    majors: tuple[Major, ...]
    versions: tuple[VersionRow, ...]
    total: int
    next: Version | None
    waiting: TemplateVersion | None
    in_use: Mapping[Version, int]
    counters: Counters
    resources: tuple[FleetRow, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class VersionView:
    """One version's page. `before` and `after` are its neighbours in number."""

    template: Template
    row: VersionRow
    before: Version | None
    after: Version | None


@dataclass(frozen=True, slots=True)
class ReviewView:
    """What a person weighs before publishing a draft.

    `behind` counts the resources that will be behind once it is published, `newly` those of them that are not
    behind yet. `rendering` says that fresh rendered differences are being worked out. `newer` is a higher draft
    of the same major. `unknown` says why source differences cannot be shown. `checks` is what change sets said.
    """

    template: Template
    draft: TemplateVersion
    becomes_recommended: bool
    behind: int
    newly: int
    running: int
    compared: TemplateVersion | None
    comparable: tuple[Version, ...]
    files: tuple[FileDifference, ...]
    unknown: str | None
    schema: FileDifference | None
    preview: Preview | None
    rendering: bool
    newer: Version | None
    checks: Checks


def templates(unit: Unit, wanted: TemplateFilter, after: str = "", limit: int = TEMPLATES_SHOWN) -> TemplatesView:
    """A page of templates, those behind `after`, by name."""
    found = unit.registry.page(wanted, after, limit + 1)
    shown = found[:limit]
    names = [template.name for template in shown]
    counters, drafts = unit.fleet.counters_of(names), unit.registry.drafts_of(names)
    newest = unit.registry.newest(names)
    return TemplatesView(
        rows=tuple(
            TemplateRow(
                template=template,
                counters=counters.get(template.name, Counters()),
                drafts=tuple(drafts.get(template.name, ())),
                newest=newest.get(template.name),
            )
            for template in shown
        ),
        next=shown[-1].name if len(found) > limit else None,
        waiting=tuple(unit.registry.drafts(limit=TEMPLATES_SHOWN)),
        first_step=None if found or wanted != TemplateFilter() else first_step(unit),
    )


def template(unit: Unit, name: str, below: Version | None = None) -> TemplateView:
    """Everything about one template, and those of its versions that are below a number, if one is given."""
    family = unit.registry.template(name)
    majors = tuple(unit.registry.majors(family.name))
    versions = unit.registry.versions(family.name, below=below, limit=VERSIONS_SHOWN + 1)
    shown = versions[:VERSIONS_SHOWN]
    page = unit.fleet.page(FleetFilter(template=family.name), FleetOrder.WORST, None, RESOURCES_SHOWN)
    in_use = unit.registry.in_use(family.name)
    return TemplateView(
        template=family,
        source=source_of(unit, family),
        majors=majors,
        versions=_rows(family, majors, shown, in_use),
        total=unit.registry.count_versions(family.name),
        next=shown[-1].version if len(versions) > VERSIONS_SHOWN else None,
        waiting=next(iter(unit.registry.versions(family.name, state=VersionState.DRAFT, limit=1)), None),
        in_use=in_use,
        counters=unit.fleet.counters(family.name),
        resources=rows_of(unit, page.resources),
        more=page.next is not None,
    )


def version(unit: Unit, name: str, number: Version) -> VersionView:
    """One version with its neighbours."""
    family = unit.registry.template(name)
    found = unit.registry.version(family.name, number)
    others = [entry.version for entry in unit.registry.versions(family.name)]
    (row,) = _rows(family, unit.registry.majors(family.name), [found], unit.registry.in_use(family.name))
    return VersionView(
        template=family,
        row=row,
        before=max((other for other in others if other < number), default=None),
        after=min((other for other in others if other > number), default=None),
    )


def review(unit: Unit, name: str, number: Version, compare_with: Version | None = None) -> ReviewView:
    """What publishing a draft would do, and how it differs from the version before it or from `compare_with`."""
    family = unit.registry.template(name)
    draft = unit.registry.version(family.name, number)
    others = [entry for entry in unit.registry.versions(family.name) if entry.version < number]
    compared = _compared(family, draft, others, compare_with)
    behind, newly, running = _consequence(unit, family, draft)
    files, unknown = _files(unit, compared, draft)
    offered = [entry.version for entry in unit.registry.published(family.name)]
    drafts = [draft.version for draft in unit.registry.drafts(family.name)]
    return ReviewView(
        template=family,
        draft=draft,
        becomes_recommended=recommended_after_publish([*offered, number], number, family.recommended) == number,
        behind=behind,
        newly=newly,
        running=running,
        compared=compared,
        comparable=tuple(entry.version for entry in others),
        files=files,
        unknown=unknown,
        schema=text_difference("schema/schema.yaml", compared.schema if compared else None, draft.schema),
        preview=unit.registry.find_preview(family.name, number),
        rendering=_owed(unit, family.name, number),
        newer=max((v for v in drafts if v.major == number.major and v > number), default=None),
        checks=checks_of(unit, family.name, number),
    )


def source_of(unit: Unit, family: Template) -> Source | None:
    """The source a template is read from; None when it was removed."""
    return unit.sources.get(family.source) if family.source is not None else None


def _rows(
    family: Template, majors: Iterable[Major], versions: Iterable[TemplateVersion], in_use: Mapping[Version, int]
) -> tuple[VersionRow, ...]:
    minors = {major.major: major.recommended_minor for major in majors}
    return tuple(
        VersionRow(
            version=entry,
            in_use=in_use.get(entry.version, 0),
            recommended=entry.version == family.recommended,
            recommended_in_major=entry.version.minor == minors.get(entry.version.major),
        )
        for entry in versions
    )


def _compared(
    family: Template, draft: TemplateVersion, lower: list[TemplateVersion], wanted: Version | None
) -> TemplateVersion | None:
    """The named version, else the highest published below the draft, else simply the one before it."""
    if wanted is not None:
        found = next((entry for entry in lower if entry.version == wanted), None)
        if found is None:
            raise CallerError(
                f"{family.name} {draft.version} cannot be compared with {wanted}", cure="choose a version below it"
            )
        return found
    published = [entry for entry in lower if entry.offered]
    return next(iter(published or lower), None)


def _files(
    unit: Unit, compared: TemplateVersion | None, draft: TemplateVersion
) -> tuple[tuple[FileDifference, ...], str | None]:
    try:
        before = unit.registry.bundle(compared.tree) if compared else None
        return differences(before, unit.registry.bundle(draft.tree)), None
    except NotFound as missing:
        return (), missing.message


def _consequence(unit: Unit, family: Template, draft: TemplateVersion) -> tuple[int, int, int]:
    """How many resources will be behind once the draft is published, how many of them newly, and how many there
    are: the very rule that measures after publishing, asked before."""
    offered = [entry for entry in unit.registry.published(family.name) if entry.version != draft.version]
    numbers = [*(entry.version for entry in offered), draft.version]
    after = [*offered, PublishedVersion(draft.version, draft.created_at)]
    recommended = recommended_after_publish(numbers, draft.version, family.recommended)
    behind = newly = total = 0
    for major in unit.registry.majors(family.name):
        pointer = None if major.recommended_minor is None else Version(major.major, major.recommended_minor)
        if major.major == draft.version.major:
            siblings = [number for number in numbers if number.major == major.major]
            pointer = recommended_after_publish(siblings, draft.version, pointer)
        present = unit.fleet.on_major(family.name, major.major)
        total += len(present)
        before = {resource.version: resource.lag.behind for resource in present}
        for running, count in Counter(resource.version for resource in present).items():
            if running is not None and lag.measure(running, recommended, pointer, after).behind:
                behind += count
                newly += 0 if before[running] else count
    return behind, newly, total


def _owed(unit: Unit, name: TemplateName, number: Version) -> bool:
    subject = subject_of(name, number)
    return any(row.kind is WorkKind.PREVIEW and row.subject == subject for row in unit.work.list(WORK_SEARCHED))
