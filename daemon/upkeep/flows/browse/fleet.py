"""The fleet: which resources there are, and how far each is behind."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from upkeep.domain.lag import Lag, Standing
from upkeep.domain.names import TemplateName, Version
from upkeep.domain.plans import Plan
from upkeep.domain.resources import Counters, Resource
from upkeep.domain.versions import VersionKey
from upkeep.flows.measure import offered_to
from upkeep.flows.plan import moved
from upkeep.flows.ports import FleetFilter, FleetOrder, Unit

PAGE = 50
"""Resources on a page."""

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
    what that would change in its stack, None while nobody looked or what was seen does not hold any more."""

    resource: Resource
    due: Version | None
    plan: Plan | None = None


@dataclass(frozen=True, slots=True)
class FleetView:
    """A page of the fleet. `matching` is how many resources the filter leaves, counted up to COUNTED_TO + 1;
    `drafts` are the versions that wait for a review."""

    wanted: FleetFilter
    counters: Counters
    rows: tuple[FleetRow, ...]
    next: str | None
    matching: int
    templates: tuple[TemplateName, ...]
    owners: tuple[str, ...]
    drafts: tuple[VersionKey, ...]
    first_step: FirstStep | None


def fleet(unit: Unit, wanted: FleetFilter, cursor: str | None = None, limit: int = PAGE) -> FleetView:
    """The page of resources behind `cursor`, worst first."""
    page = unit.fleet.page(wanted, FleetOrder.WORST, cursor, limit)
    counters = unit.fleet.counters()
    return FleetView(
        wanted=wanted,
        counters=counters,
        rows=rows_of(unit, page.resources),
        next=page.next,
        matching=unit.fleet.count(wanted, COUNTED_TO + 1),
        templates=tuple(template.name for template in unit.registry.templates()),
        owners=tuple(unit.fleet.owners()),
        drafts=tuple(unit.registry.drafts()),
        first_step=None if counters.total else first_step(unit),
    )


def first_step(unit: Unit) -> FirstStep:
    """What to do next on the way to a first resource."""
    if not unit.sources.list():
        return FirstStep.SOURCE
    templates = unit.registry.templates()
    if not templates:
        return FirstStep.TEMPLATE
    return FirstStep.RESOURCE if any(template.recommended for template in templates) else FirstStep.PUBLISH


def rows_of(unit: Unit, resources: Iterable[Resource]) -> tuple[FleetRow, ...]:
    """The resources as rows, asking for each template's pointers once."""
    pointers: dict[tuple[TemplateName, int], Version | None] = {}
    rows = []
    for resource in resources:
        due = None
        if resource.version is not None and resource.lag.behind:
            key = (resource.template, resource.version.major)
            if key not in pointers:
                pointers[key] = offered_to(unit, *key)
            due = pointers[key]
        rows.append(FleetRow(resource, due))
    return _with_plans(unit, rows)


def _with_plans(unit: Unit, rows: Sequence[FleetRow]) -> tuple[FleetRow, ...]:
    behind = [row.resource.key for row in rows if row.due is not None and row.resource.stack is not None]
    found = unit.plans.of_resources(behind) if behind else {}
    seen = {
        plan.resource: plan
        for row in rows
        if row.due is not None and (plan := found.get((row.resource.key, row.due))) is not None
        if plan.usable and plan.deployment is None and not moved(unit, plan)
    }
    return tuple(replace(row, plan=seen.get(row.resource.key)) for row in rows)


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
