"""The fleet: which resources there are, and how far each is behind."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from upkeep.domain.lag import Lag, Standing
from upkeep.domain.names import ResourceKey, TemplateName, Version
from upkeep.domain.plans import Plan
from upkeep.domain.resources import Counters, Resource
from upkeep.domain.versions import VersionKey
from upkeep.flows.plan import holding
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
    """A resource, and the version *Update to recommended version* leads to; None when it is not behind. `plan` says
    what that would change in its stack, None while nobody looked or what was seen does not hold any more. `stalled`
    says that its deployment waits for a person."""

    resource: Resource
    due: Version | None
    plan: Plan | None = None
    stalled: bool = False


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
    page = unit.fleet.page(wanted, order, cursor, limit, backwards=backwards)
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
    page = unit.fleet.page(wanted, FleetOrder.NAME, cursor, limit)
    return rows_of(unit, page.resources), page.next


def rows_of(unit: Unit, resources: Iterable[Resource]) -> tuple[FleetRow, ...]:
    """The resources as rows, in a few questions however many they are."""
    shown = tuple(resources)
    behind = [resource for resource in shown if resource.version is not None and resource.lag.behind]
    offers = unit.registry.offers({resource.template for resource in behind}) if behind else {}
    due = {
        resource.key: offers.get((resource.template, resource.version.major))
        for resource in behind
        if resource.version is not None
    }
    under_way = {resource.last_deployment for resource in shown if resource.status.under_way}
    stalled = unit.deployments.stalled({found for found in under_way if found is not None})
    plans = _plans(unit, behind, due)
    return tuple(
        FleetRow(resource, due.get(resource.key), plans.get(resource.key), resource.last_deployment in stalled)
        for resource in shown
    )


def _plans(
    unit: Unit, behind: Iterable[Resource], due: Mapping[ResourceKey, Version | None]
) -> Mapping[ResourceKey, Plan]:
    """The plans of updates that are due, as far as what they saw still holds."""
    deployed = [resource for resource in behind if resource.stack is not None]
    found = unit.plans.of_resources([resource.key for resource in deployed]) if deployed else {}
    seen = []
    for resource in deployed:
        to = due[resource.key]
        plan = found.get((resource.key, to)) if to is not None else None
        if plan is not None and plan.usable and plan.deployment is None:
            seen.append((plan, resource))
    return {plan.resource: plan for plan in holding(unit, seen)}


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
