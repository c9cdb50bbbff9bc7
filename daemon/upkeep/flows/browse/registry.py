"""Templates, their versions, and the review of a draft."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from upkeep.domain import lag
from upkeep.domain.errors import CallerError, NotFound
from upkeep.domain.lag import PublishedVersion
from upkeep.domain.names import TemplateName, Version
from upkeep.domain.previews import Preview
from upkeep.domain.resources import Counters
from upkeep.domain.sources import Source
from upkeep.domain.versions import Major, Template, TemplateVersion, VersionState, recommended_after_publish
from upkeep.domain.work import DueWork, WorkKind
from upkeep.flows.browse.differences import FileDifference, differences, text_difference
from upkeep.flows.browse.fleet import FleetRow, rows_of
from upkeep.flows.browse.plans import Checks, checks_of
from upkeep.flows.ports import FleetFilter, FleetOrder, Unit
from upkeep.flows.preview import subject_of

RESOURCES_SHOWN = 50
"""Resources listed on a template's page; the fleet page has them all."""


@dataclass(frozen=True, slots=True)
class TemplateRow:
    """A template with what waits for a decision and what is behind."""

    template: Template
    counters: Counters
    drafts: tuple[Version, ...]
    latest: TemplateVersion | None


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version, how many resources use it, and which pointers stand on it."""

    version: TemplateVersion
    in_use: int
    recommended: bool
    recommended_in_major: bool


@dataclass(frozen=True, slots=True)
class TemplateView:
    """A template's page. `waiting` is the newest draft, the one a banner speaks of. `sync` is its source's while that
    is asked for or running; `previewing` says that what the draft would change is being worked out."""

    template: Template
    source: Source | None
    majors: tuple[Major, ...]
    versions: tuple[VersionRow, ...]
    waiting: TemplateVersion | None
    counters: Counters
    resources: tuple[FleetRow, ...]
    more: bool
    sync: DueWork | None
    previewing: bool


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


def templates(unit: Unit) -> tuple[TemplateRow, ...]:
    """All templates, those with a draft waiting first."""
    waiting: dict[TemplateName, list[Version]] = {}
    for draft in unit.registry.drafts():
        waiting.setdefault(draft.template, []).append(draft.version)
    rows = [
        TemplateRow(
            template=template,
            counters=unit.fleet.counters(template.name),
            drafts=tuple(sorted(waiting.get(template.name, ()), reverse=True)),
            latest=next(iter(unit.registry.versions(template.name)), None),
        )
        for template in unit.registry.templates()
    ]
    return tuple(sorted(rows, key=lambda row: (not row.drafts, row.template.name)))


def template(unit: Unit, name: str) -> TemplateView:
    """Everything about one template."""
    family = unit.registry.template(name)
    majors = tuple(unit.registry.majors(family.name))
    versions = unit.registry.versions(family.name)
    page = unit.fleet.page(FleetFilter(template=family.name), FleetOrder.WORST, None, RESOURCES_SHOWN)
    waiting = next((version for version in versions if version.state is VersionState.DRAFT), None)
    return TemplateView(
        template=family,
        source=source_of(unit, family),
        majors=majors,
        versions=_rows(unit, family, majors, versions),
        waiting=waiting,
        counters=unit.fleet.counters(family.name),
        resources=rows_of(unit, page.resources),
        more=page.next is not None,
        sync=unit.work.find(WorkKind.SYNC, family.source) if family.source is not None else None,
        previewing=waiting is not None and _owed(unit, family.name, waiting.version),
    )


def version(unit: Unit, name: str, number: Version) -> VersionView:
    """One version with its neighbours."""
    family = unit.registry.template(name)
    found = unit.registry.version(family.name, number)
    others = [entry.version for entry in unit.registry.versions(family.name)]
    (row,) = _rows(unit, family, unit.registry.majors(family.name), [found])
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
    unit: Unit, family: Template, majors: Iterable[Major], versions: Iterable[TemplateVersion]
) -> tuple[VersionRow, ...]:
    in_use = unit.registry.in_use(family.name)
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
    found = unit.work.find(WorkKind.PREVIEW, subject_of(name, number))
    return found is not None and found.under_way
