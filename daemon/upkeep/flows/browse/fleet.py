"""The fleet: which resources there are, and how far each is behind."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from upkeep.domain.changesets import Proposal
from upkeep.domain.lag import Lag, Standing
from upkeep.domain.names import ResourceKey, TemplateName, Version
from upkeep.domain.resources import Counters, Listed, Resource
from upkeep.domain.versions import VersionKey
from upkeep.flows.ports import FleetFilter, FleetOrder, TemplateFilter, Unit

PAGE = 50
"""Resources on a page."""

CHOICES = 100
"""Templates and owners that a filter offers; others are typed."""

COUNTED_TO = 1000
"""A larger number of matches is shown as "more than"."""


class FirstStep(StrEnum):
    """What is missing before there is a fleet to show, in the order in which it is done."""

    SOURCE = "source"
    TEMPLATE = "template"
    PUBLISH = "publish"
    RESOURCE = "resource"


@dataclass(frozen=True, slots=True)
class FleetRow:
    """A resource, and what the update it is due for would change in its stack; None while nobody looked or what was
    seen does not hold any more."""

    resource: Listed
    outlook: Proposal | None


@dataclass(frozen=True, slots=True)
class FleetView:
    """A page of the fleet. `matching` is how many resources the filter leaves, counted up to COUNTED_TO + 1;
    `drafts` are versions that wait for a review, up to CHOICES of them, and so many `templates` and `owners` are
    offered to filter by."""

    wanted: FleetFilter
    counters: Counters
    rows: tuple[FleetRow, ...]
    next: str | None
    matching: int
    templates: tuple[TemplateName, ...]
    owners: tuple[str, ...]
    drafts: tuple[VersionKey, ...]
    first_step: FirstStep | None


def fleet(
    unit: Unit,
    wanted: FleetFilter,
    cursor: str | None = None,
    limit: int = PAGE,
    order: FleetOrder = FleetOrder.WORST,
    *,
    backwards: bool = False,
) -> FleetView:
    """The page of resources behind `cursor`."""
    page = unit.fleet.listed(wanted, order, cursor, limit, backwards=backwards)
    counters = unit.fleet.counters()
    unfiltered = wanted == FleetFilter()
    return FleetView(
        wanted=wanted,
        counters=counters,
        rows=rows_of(unit, page.resources),
        next=page.next,
        matching=counters.total if unfiltered else unit.fleet.count(wanted, COUNTED_TO + 1),
        templates=tuple(unit.registry.names(CHOICES)),
        owners=tuple(unit.fleet.owners(CHOICES)),
        drafts=tuple(unit.registry.drafts(limit=CHOICES)),
        first_step=None if counters.total else first_step(unit),
    )


def first_step(unit: Unit) -> FirstStep:
    """What to do next on the way to a first resource."""
    if not unit.sources.page("", 1):
        return FirstStep.SOURCE
    if not unit.registry.page(TemplateFilter(), "", 1):
        return FirstStep.TEMPLATE
    return FirstStep.RESOURCE if unit.registry.page(TemplateFilter(recommended=True), "", 1) else FirstStep.PUBLISH


def matching(
    unit: Unit, wanted: FleetFilter, cursor: str | None, limit: int
) -> tuple[tuple[FleetRow, ...], str | None]:
    """A piece of all resources that a filter leaves, by name so that none comes twice or never while the fleet moves,
    and the cursor of the next piece."""
    page = unit.fleet.listed(wanted, FleetOrder.NAME, cursor, limit)
    return rows_of(unit, page.resources), page.next


def rows_of(unit: Unit, resources: Iterable[Listed]) -> tuple[FleetRow, ...]:
    """The resources as rows, in one question however many they are."""
    shown = tuple(resources)
    seen = unit.plans.outlooks([resource.key for resource in shown if resource.due is not None])
    return tuple(
        FleetRow(resource, None if resource.due is None else seen.get((resource.key, resource.due)))
        for resource in shown
    )


def due_of(unit: Unit, resources: Iterable[Resource]) -> Mapping[ResourceKey, Version]:
    """The versions that *Update to recommended version* leads those to that are behind."""
    behind = {
        resource.key: (resource.template, resource.version.major)
        for resource in resources
        if resource.version is not None and resource.lag.behind
    }
    offers = unit.registry.offers({template for template, _ in behind.values()}) if behind else {}
    return {key: offers[major] for key, major in behind.items() if major in offers}


def how_far(lag: Lag) -> str:
    """A lag in a few words, such as `3 behind` or `1 major and 2 minors behind`."""
    match lag.standing:
        case Standing.BEHIND_MINOR:
            return f"{lag.minors} behind"
        case Standing.BEHIND_MAJOR:
            majors = f"{lag.majors} major{'s' if lag.majors != 1 else ''}"
            minors = f" and {lag.minors} minor{'s' if lag.minors != 1 else ''}" if lag.minors else ""
            return f"{majors}{minors} behind"
    return PLAIN[lag.standing]


PLAIN: Mapping[Standing, str] = {
    Standing.UNDEPLOYED: "never deployed",
    Standing.UP_TO_DATE: "up to date",
    Standing.BEHIND_MINOR: "behind, minor",
    Standing.BEHIND_MAJOR: "behind, major",
    Standing.AHEAD: "ahead of the recommended version",
}
"""Each standing without its numbers, as filters and counters name it."""
