"""Drift: find out whether what runs in AWS is still what was deployed, when a person or the clock asks for it."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from upkeep.domain import events, notices
from upkeep.domain.changesets import Drift, DriftState
from upkeep.domain.errors import CallerError, Conflict, StalledError
from upkeep.domain.names import ResourceKey, parse_resource_key
from upkeep.domain.notices import Routing
from upkeep.domain.people import DAEMON, Act, Actor, require
from upkeep.domain.resources import Placement, Resource
from upkeep.domain.work import Claim, WorkKind
from upkeep.flows.ports import Provisioner, Store, Unit
from upkeep.flows.settle import placement_of

LOOK_AGAIN_AFTER = timedelta(seconds=5)
"""How long a comparison is left alone that has not ended."""

WAIT_FOR_DEPLOYMENT = timedelta(seconds=30)
"""What is being deployed can only be compared afterwards; so often it is looked whether that has ended."""

AT_ONCE = 20
"""As many comparisons the clock asks for at a time. CloudFormation throttles them soon."""


def ask(unit: Unit, key: ResourceKey, *, actor: Actor, now: datetime) -> Resource:
    """Ask for a resource to be compared with what was deployed; returns it as it stands."""
    require(actor, Act.UPDATE)
    resource = unit.fleet.get(key)
    require(actor, Act.UPDATE, resource.owner, key.short)
    if resource.version is None or resource.stack is None:
        raise Conflict(f"{key.short} has no stack that could be compared", cure="deploy it first")
    unit.work.ask(WorkKind.DRIFT, str(key), now, "person")
    unit.journal.record(events.DriftAsked(str(key)), actor, now)
    return resource


def poll(unit: Unit, every_for: timedelta, *, now: datetime) -> int:
    """Ask for a comparison of the resources that were neither deployed nor compared for so long, those waiting longest
    first; returns how many."""
    due = unit.fleet.uncompared(now - every_for, AT_ONCE)
    for resource in due:
        unit.work.ask(WorkKind.DRIFT, str(resource.key), now, "schedule")
    return len(due)


def compare(
    store: Store,
    provisioner: Provisioner,
    claim: Claim,
    *,
    routing: Routing,
    now: datetime,
    pipelines: Placement | None = None,
) -> None:
    """Do one DRIFT work: begin a comparison, or look how the one under way goes and keep what it found.

    What cannot be compared is an outcome as well, with the reason. An event tells of every outcome that differs from
    the last one, a notice for the owner of what drifts newly. A resource that is being deployed is compared afterwards.
    """
    _Comparing(store, provisioner, claim, routing, now, pipelines or Placement()).run()


@dataclass(frozen=True, slots=True)
class _Comparing:
    """One DRIFT work being done, by whoever holds its claim."""

    store: Store
    provisioner: Provisioner
    claim: Claim
    routing: Routing
    now: datetime
    pipelines: Placement

    def run(self) -> None:
        found = self._comparable()
        if found is None:
            return
        resource, placement = found
        handle = resource.drift_handle
        try:
            if handle is None:
                handle = self.provisioner.ask_drift(resource.stack or "", placement)
                self._begun(resource, handle)
            drift = self.provisioner.drift(handle)
        except (CallerError, StalledError) as fault:
            cure = f" ({fault.cure})" if fault.cure else ""
            drift = Drift(DriftState.FAILED, reason=f"{fault.message}{cure}")
        self._look(resource, handle, drift)

    def _comparable(self) -> tuple[Resource, Placement] | None:
        """The resource and where its stack lives; None when there is nothing to compare for now."""
        with self.store.write() as unit:
            unit.work.hold(self.claim)
            resource = unit.fleet.find(parse_resource_key(self.claim.subject))
            if resource is None or resource.stack is None or resource.version is None:
                unit.work.done(self.claim)
                return None
            if resource.status.under_way:
                unit.work.done(self.claim, again_at=self.now + WAIT_FOR_DEPLOYMENT)
                return None
            return resource, placement_of(unit, resource, self.pipelines)

    def _begun(self, before: Resource, handle: str) -> None:
        with self.store.write() as unit:
            unit.work.hold(self.claim)
            resource = unit.fleet.find(before.key)
            if resource is not None and _same(resource, before):
                unit.fleet.save(replace(resource, drift_handle=handle))

    def _look(self, before: Resource, handle: str | None, drift: Drift) -> None:
        with self.store.write() as unit:
            unit.work.hold(self.claim)
            resource = unit.fleet.find(before.key)
            if resource is None:
                unit.work.done(self.claim)
            elif not _same(resource, before):
                # It was deployed meanwhile: what was found is of no interest any more.
                unit.work.done(self.claim, again_at=self.now)
            elif drift.state is DriftState.WORKING:
                unit.work.done(self.claim, again_at=self.now + LOOK_AGAIN_AFTER)
            else:
                self._keep(unit, resource, drift)
                unit.work.done(self.claim)

    def _keep(self, unit: Unit, resource: Resource, drift: Drift) -> None:
        compared = replace(resource, drift=drift, drift_checked_at=self.now, drift_handle=None)
        unit.fleet.save(compared)
        if drift != resource.drift:
            unit.journal.record(
                events.DriftCompared(str(resource.key), drift.state, ", ".join(drift.resources), drift.reason),
                DAEMON,
                self.now,
            )
        channel = self.routing.of_owner(resource.owner)
        if channel and compared.drifted and not resource.drifted:
            unit.outbox.owe(notices.drifted(channel, compared, self.now), self.now)


def _same(resource: Resource, before: Resource) -> bool:
    """Whether it is still what a comparison was begun for."""
    return (resource.stack, resource.last_deployment) == (before.stack, before.last_deployment)
