"""What updates would change, worked out before they are approved."""

from dataclasses import dataclass

from upkeep.domain.changesets import Risk, StackChange
from upkeep.domain.names import ResourceKey, TemplateName, Version
from upkeep.domain.plans import Plan
from upkeep.domain.resources import Resource
from upkeep.domain.stateful import endangered
from upkeep.flows.plan import moved
from upkeep.flows.ports import Unit


@dataclass(frozen=True, slots=True)
class PlanView:
    """A plan that nobody approved yet. `stale` says that what it was made from has moved, `changes` are its changes,
    those that can cost most first, `to_name` the stateful stack resources an approval has to name."""

    plan: Plan
    stale: bool
    changes: tuple[StackChange, ...]
    to_name: tuple[StackChange, ...]

    @property
    def approvable(self) -> bool:
        """Whether it can be approved as it is."""
        return self.plan.usable and not self.stale


def plan_of(unit: Unit, key: ResourceKey, plan_id: str) -> PlanView | None:
    """A plan of a resource; None when there is none of that id, or it was approved."""
    plan = unit.plans.find(plan_id)
    if plan is None or plan.resource != key or plan.deployment is not None:
        return None
    stale = plan.made_at is not None and moved(unit, plan)
    return PlanView(plan, stale, plan.changes, endangered(plan.changes))


@dataclass(frozen=True, slots=True)
class Check:
    """What a draft would change in one resource. `plan` is None when nobody looked, `stale` when what it was made from
    has moved, `worst` the change that can cost most."""

    resource: Resource
    plan: Plan | None
    stale: bool
    worst: StackChange | None

    @property
    def risk(self) -> Risk:
        """In the four words."""
        return self.plan.risk if self.plan is not None else Risk.NOT_CHECKED


@dataclass(frozen=True, slots=True)
class Checks:
    """What a draft would change in the stacks on its major, worst first. `waiting` counts those being worked out,
    `replacing` those that replace something and still hold."""

    rows: tuple[Check, ...]
    asked: bool
    waiting: int
    replacing: int


def checks_of(unit: Unit, template: TemplateName, version: Version) -> Checks:
    """All that is known about a draft's change sets. Resources without a stack are left out."""
    plans = unit.plans.latest(template, version)
    rows = [
        _check(unit, resource, plans.get(resource.key))
        for resource in unit.fleet.on_major(template, version.major)
        if resource.stack is not None
    ]
    order = list(Risk)
    rows.sort(key=lambda row: (-order.index(row.risk), str(row.resource.key)))
    return Checks(
        rows=tuple(rows),
        asked=any(row.plan is not None for row in rows),
        waiting=sum(row.plan is not None and row.plan.made_at is None for row in rows),
        replacing=sum(row.risk is Risk.REPLACES and not row.stale for row in rows),
    )


def _check(unit: Unit, resource: Resource, plan: Plan | None) -> Check:
    stale = plan is not None and plan.made_at is not None and moved(unit, plan)
    return Check(resource, plan, stale, next(iter(plan.changes), None) if plan is not None else None)
