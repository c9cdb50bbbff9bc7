"""Templates, their versions, and the review of a draft."""

from collections.abc import Iterable
from dataclasses import dataclass

from upkeep.domain.names import TemplateName, Version
from upkeep.domain.resources import Counters
from upkeep.domain.sources import Source
from upkeep.domain.versions import Major, Template, TemplateVersion, VersionState
from upkeep.flows.browse.fleet import FleetRow, rows_of
from upkeep.flows.ports import FleetFilter, FleetOrder, Unit

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
    """A template's page. `waiting` is the newest draft, the one a banner speaks of."""

    template: Template
    source: Source | None
    majors: tuple[Major, ...]
    versions: tuple[VersionRow, ...]
    waiting: TemplateVersion | None
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
    return TemplateView(
        template=family,
        source=source_of(unit, family),
        majors=majors,
        versions=_rows(unit, family, majors, versions),
        waiting=next((version for version in versions if version.state is VersionState.DRAFT), None),
        counters=unit.fleet.counters(family.name),
        resources=rows_of(unit, page.resources),
        more=page.next is not None,
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
