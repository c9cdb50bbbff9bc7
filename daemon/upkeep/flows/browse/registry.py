"""Templates, their versions, and the review of a draft."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from upkeep.domain.names import Version
from upkeep.domain.resources import Counters
from upkeep.domain.sources import Source
from upkeep.domain.versions import Major, Template, TemplateVersion, VersionKey, VersionState
from upkeep.domain.work import DueWork, WorkKind
from upkeep.flows.browse.fleet import FirstStep, FleetRow, first_step, rows_of
from upkeep.flows.browse.reviews import preview_owed
from upkeep.flows.ports import FleetFilter, FleetOrder, TemplateFilter, Unit

TEMPLATES_SHOWN = 50
"""Templates on a page."""

VERSIONS_SHOWN = 25
"""Versions on a page of their template."""

RESOURCES_SHOWN = 50
"""Resources listed on a template's page; the fleet page has them all."""


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
    `total` there are, `next` is the number the next page starts below. `sync` is its source's
    while that is asked for or running; `previewing` says that what the draft would change is being worked out."""

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
    sync: DueWork | None
    previewing: bool


@dataclass(frozen=True, slots=True)
class VersionView:
    """One version's page. `before` and `after` are its neighbours in number."""

    template: Template
    row: VersionRow
    before: Version | None
    after: Version | None


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
    page = unit.fleet.listed(FleetFilter(template=family.name), FleetOrder.WORST, None, RESOURCES_SHOWN)
    in_use = unit.registry.in_use(family.name)
    waiting = next(iter(unit.registry.versions(family.name, state=VersionState.DRAFT, limit=1)), None)
    return TemplateView(
        template=family,
        source=source_of(unit, family),
        majors=majors,
        versions=_rows(family, majors, shown, in_use),
        total=unit.registry.count_versions(family.name),
        next=shown[-1].version if len(versions) > VERSIONS_SHOWN else None,
        waiting=waiting,
        in_use=in_use,
        counters=unit.fleet.counters(family.name),
        resources=rows_of(unit, page.resources),
        more=page.next is not None,
        sync=unit.work.find(WorkKind.SYNC, family.source) if family.source is not None else None,
        previewing=waiting is not None and preview_owed(unit, family.name, waiting.version),
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
