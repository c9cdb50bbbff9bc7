"""Rollout: move many resources of a template to newer versions, a few at a time, and stop when updates fail.

A rollout is rows that the worker advances. Each transaction writes down at most one deployment together with the fact
that it was asked for, so that nothing is asked for twice, whoever is killed when.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

from upkeep.domain import events, notices, schemas
from upkeep.domain.bundles import Part
from upkeep.domain.deployments import DeploymentStatus
from upkeep.domain.errors import BundleError, CallerError, Conflict
from upkeep.domain.names import ResourceKey, ResourceKind, TemplateName, Version, environment_key
from upkeep.domain.notices import Routing
from upkeep.domain.people import DAEMON, Act, Actor, bound_to_own, may, require
from upkeep.domain.policies import MANUAL, Policies, Policy, UpdateMode, allowed_at
from upkeep.domain.resources import Resource
from upkeep.domain.rollouts import (
    AT_ONCE,
    FAILURES,
    Candidate,
    Member,
    Rollout,
    RolloutStatus,
    Turn,
    exhausted,
    members_of,
    next_of,
    open_stage,
    reason_to_leave_out,
)
from upkeep.domain.versions import VersionState
from upkeep.domain.work import Claim, WorkKind
from upkeep.flows import deploy
from upkeep.flows.enroll import check_environment, check_inputs
from upkeep.flows.ports import FleetFilter, FleetOrder, Store, Unit

LOOK_AGAIN_AFTER = timedelta(seconds=2)
"""How soon deployments under way are looked at again."""

WAIT_FOR_TIME = timedelta(seconds=30)
"""How soon it is looked again whether time allows more."""

PARALLEL_AT_MOST = 100

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Wish:
    """Which resources of a template a rollout is about, and where they shall go.

    `to` names a published version, None stands for the recommended minor of what each resource runs, or with `majors`
    for the template's recommended version. `keys` narrows it to some resources, `environment` to one environment and
    what lives in it.
    """

    template: TemplateName
    to: Version | None = None
    majors: bool = False
    owner: str = ""
    environment: str = ""
    keys: Collection[ResourceKey] | None = None


def members(unit: Unit, wish: Wish, *, actor: Actor) -> tuple[Member, ...]:
    """Whom a rollout by this actor would take, worst first, and behind them whom it would leave out and why."""
    family = unit.registry.template(wish.template)
    if wish.to is not None and unit.registry.version(family.name, wish.to).state is not VersionState.PUBLISHED:
        raise Conflict(f"{family.name} {wish.to} is not published", cure="choose a published version")
    candidates = []
    for resource in _resources(unit, wish):
        candidate = _candidate(unit, resource, wish.to or _offered(unit, resource, wish.majors), majors=wish.majors)
        if not may(actor, Act.UPDATE, resource.owner):
            candidate = replace(candidate, missing=(), unfit=f"it belongs to {resource.owner}, ask them or an admin")
        candidates.append(candidate)
    return members_of(candidates, majors=wish.majors)


def start(
    unit: Unit,
    wish: Wish,
    *,
    max_parallel: int = AT_ONCE,
    stop_after: int = FAILURES,
    seen: Collection[tuple[ResourceKey, Version | None]] | None = None,
    actor: Actor,
    now: datetime,
) -> Rollout:
    """Begin a rollout. `seen` is whom somebody said yes to, with where each would go: anything else now is a Conflict.
    So is a rollout in which nothing is to be done."""
    require(actor, Act.UPDATE)
    if not 1 <= max_parallel <= PARALLEL_AT_MOST:
        raise CallerError(f"{max_parallel} updates cannot run at the same time", cure=f"choose 1 to {PARALLEL_AT_MOST}")
    if stop_after < 1:
        raise CallerError("a rollout stops after one failure at least", cure="choose 1 or more")
    found = members(unit, wish, actor=actor)
    taken = [(member.resource, member.to) for member in found if member.turn is Turn.WAITING]
    if seen is not None and set(seen) != set(taken):
        raise Conflict("what would be updated changed since you looked", cure="look at it again, then start it")
    if not taken:
        raise Conflict(f"no resource of {wish.template} is to be updated", cure="look why each was left out")
    rollout = Rollout(
        id=str(uuid4()),
        template=wish.template,
        to=wish.to,
        actor=actor,
        created_at=now,
        members=found,
        max_parallel=max_parallel,
        stop_after=stop_after,
    )
    return _begin(unit, rollout, now)


def pause(unit: Unit, rollout_id: str, *, actor: Actor, now: datetime) -> Rollout:
    """Ask for nothing more until somebody resumes it. What is under way goes on. Whoever may update anything may do
    this, whosever the resources are: it is the emergency brake."""
    require(actor, Act.UPDATE)
    rollout = unit.rollouts.get(rollout_id)
    if rollout.status is not RolloutStatus.RUNNING:
        raise Conflict(f"rollout {rollout.id} is {rollout.status}", cure="only one that runs can be paused")
    return _pause(unit, rollout, f"paused by {actor.name}", actor, now)


def resume(unit: Unit, rollout_id: str, *, actor: Actor, now: datetime) -> Rollout:
    """Let a paused rollout go on with the rest. Failures so far do not stop it again."""
    require(actor, Act.UPDATE)
    rollout = unit.rollouts.get(rollout_id)
    if rollout.status is not RolloutStatus.PAUSED:
        raise Conflict(f"rollout {rollout.id} is {rollout.status}", cure="only one that is paused can be resumed")
    _require_members(unit, rollout, actor)
    forgiven = tuple(replace(member, forgiven=member.forgiven or member.troubled) for member in rollout.members)
    going = replace(rollout, status=RolloutStatus.RUNNING, message=None, members=forgiven)
    unit.rollouts.save(going)
    unit.journal.record(events.RolloutResumed(_subject(going), going.id), actor, now)
    unit.work.ask(WorkKind.ROLLOUT, going.id, now)
    return going


def stop(unit: Unit, rollout_id: str, *, routing: Routing, actor: Actor, now: datetime) -> Rollout:
    """End a rollout: nothing more is asked for. What is under way goes on."""
    require(actor, Act.UPDATE)
    rollout = unit.rollouts.get(rollout_id)
    if not rollout.status.open:
        raise Conflict(f"rollout {rollout.id} is {rollout.status}", cure="there is nothing to stop")
    _require_members(unit, rollout, actor)
    said = f"stopped by {actor.name}"
    left = tuple(
        replace(member, turn=Turn.SKIPPED, reason=said, ended_at=now) if member.turn is Turn.WAITING else member
        for member in rollout.members
    )
    return _end(unit, replace(rollout, members=left, message=said), RolloutStatus.STOPPED, routing, actor, now)


def advance(store: Store, claim: Claim, *, routing: Routing, policies: Policies, now: datetime) -> None:
    """Do one ROLLOUT work: look how its deployments went, and ask for as many more as are allowed now."""
    while _step(store, claim, routing, policies, now):
        pass


def follow_policies(unit: Unit, policies: Policies, *, now: datetime) -> Sequence[Rollout]:
    """Start the automatic rollouts that are allowed to begin now, at most one for each template at a time."""
    return [_begin(unit, rollout, now) for rollout in due(unit, policies, now=now)]


def due(unit: Unit, policies: Policies, *, now: datetime) -> Sequence[Rollout]:
    """The automatic rollouts that may begin now. Writes nothing."""
    if not policies.automatic:
        return ()
    found_due = []
    for template in unit.registry.templates():
        last = unit.rollouts.last_automatic(template.name)
        if last is not None and last.status.open:
            continue
        found = _automatic_members(unit, template.name, policies, last)
        taken = [member for member in found if member.turn is Turn.WAITING]
        stage = open_stage(policies.stages, found, now)
        if any(
            member.stage <= stage
            and allowed_at(_policy_of(unit, policies, unit.fleet.get(member.resource, kept=False)), now)
            for member in taken
        ):
            rollout = Rollout(
                id=str(uuid4()),
                template=template.name,
                to=None,
                actor=DAEMON,
                created_at=now,
                members=found,
                automatic=True,
                stages=policies.stages,
            )
            found_due.append(rollout)
    return found_due


# ------------------------------------------------------------------------------------------------------ one step


def _step(store: Store, claim: Claim, routing: Routing, policies: Policies, now: datetime) -> bool:
    """Write down what became of its deployments and ask for one more; False when there is no more to do for now."""
    with store.write() as unit:
        # The rollout's row before that of its work: in this order goes whoever pauses, resumes or stops it.
        before = unit.rollouts.get(claim.subject)
        unit.work.hold(claim)
        rollout = replace(before, members=tuple(_looked_at(unit, member, now) for member in before.members))
        member = _next(unit, rollout, policies, now)
        if member is not None:
            unit.rollouts.save(_with(rollout, member, _asked(unit, rollout, member, policies, now)))
            return True
        unit.rollouts.save(rollout)
        if rollout.status is RolloutStatus.RUNNING:
            if exhausted(rollout):
                rollout = _pause_failed(unit, rollout, routing, now)
            elif not rollout.of(Turn.WAITING, Turn.UNDER_WAY):
                rollout = _end(unit, rollout, RolloutStatus.COMPLETED, routing, DAEMON, now)
        again_after = LOOK_AGAIN_AFTER if rollout.of(Turn.UNDER_WAY) else WAIT_FOR_TIME
        unit.work.done(claim, again_at=now + again_after if rollout.watched else None)
        return False


def _looked_at(unit: Unit, member: Member, now: datetime) -> Member:
    if member.turn is not Turn.UNDER_WAY or member.deployment is None:
        return member
    deployment = unit.deployments.get(member.deployment, kept=False)
    if deployment.status.under_way:
        stall = deployment.stall
        return replace(
            member,
            stalled=stall is not None,
            forgiven=member.forgiven and stall is not None,
            reason=f"waits for a person: {stall.reason}" if stall else None,
        )
    succeeded = deployment.status is DeploymentStatus.SUCCEEDED
    return replace(
        member,
        turn=Turn.SUCCEEDED if succeeded else Turn.FAILED,
        reason=None if succeeded else deployment.message or "it failed without a reason",
        stalled=False,
        ended_at=deployment.completed_at or now,
    )


def _next(unit: Unit, rollout: Rollout, policies: Policies, now: datetime) -> Member | None:
    for member in next_of(rollout, now):
        if not rollout.automatic:
            return member
        resource = unit.fleet.find(member.resource, kept=False)
        policy = None if resource is None else _policy_of(unit, policies, resource)
        # Who is not updated by itself any more has its turn as well: to be skipped.
        if policy is None or policy.update is UpdateMode.MANUAL or allowed_at(policy, now):
            return member
    return None


def _asked(unit: Unit, rollout: Rollout, member: Member, policies: Policies, now: datetime) -> Member:
    """The member once its turn has come: its deployment asked for, or skipped when that makes no sense any more."""

    def skipped(reason: str, turn: Turn = Turn.SKIPPED) -> Member:
        return replace(member, turn=turn, reason=reason, ended_at=now)

    resource = unit.fleet.find(member.resource)
    if resource is None:
        return skipped("it was deleted")
    if rollout.automatic and _policy_of(unit, policies, resource).update is UpdateMode.MANUAL:
        return skipped("it is not updated automatically any more")
    version = None if member.to is None else unit.registry.find_version(rollout.template, member.to)
    if version is None or version.state is not VersionState.PUBLISHED:
        return skipped(f"{member.to} is not published any more")
    majors = member.running is not None and version.version.major > member.running.major
    reason = reason_to_leave_out(_candidate(unit, resource, version.version, majors=majors), majors=majors)
    if reason is not None:
        return skipped(reason)
    try:
        deployment = deploy.update(unit, resource.key, to=version.version, actor=rollout.actor, now=now)
    except (CallerError, BundleError) as fault:
        return skipped(str(fault), Turn.FAILED)
    return replace(member, turn=Turn.UNDER_WAY, deployment=deployment.id)


def _with(rollout: Rollout, before: Member, after: Member) -> Rollout:
    return replace(rollout, members=tuple(after if member is before else member for member in rollout.members))


# ---------------------------------------------------------------------------------------------- begin, pause, end


def _begin(unit: Unit, rollout: Rollout, now: datetime) -> Rollout:
    unit.rollouts.add(rollout)
    taken, left_out = len(rollout.of(Turn.WAITING)), len(rollout.of(Turn.LEFT_OUT))
    unit.journal.record(
        events.RolloutStarted(_subject(rollout), rollout.id, taken, left_out, rollout.automatic), rollout.actor, now
    )
    unit.work.ask(WorkKind.ROLLOUT, rollout.id, now)
    return rollout


def foreign(unit: Unit, rollout: Rollout, actor: Actor) -> Resource | None:
    """The first that waits for its turn and is not the actor's to update: they can only pause such a rollout."""
    if not bound_to_own(actor):
        return None
    waiting = (unit.fleet.find(member.resource, kept=False) for member in rollout.of(Turn.WAITING))
    return next((each for each in waiting if each is not None and not may(actor, Act.UPDATE, each.owner)), None)


def _require_members(unit: Unit, rollout: Rollout, actor: Actor) -> None:
    other = foreign(unit, rollout, actor)
    if other is not None:
        require(actor, Act.UPDATE, other.owner, other.key.short)


def _pause(unit: Unit, rollout: Rollout, reason: str, actor: Actor, now: datetime) -> Rollout:
    paused = replace(rollout, status=RolloutStatus.PAUSED, message=reason)
    unit.rollouts.save(paused)
    unit.journal.record(events.RolloutPaused(_subject(paused), paused.id, reason), actor, now)
    return paused


def _pause_failed(unit: Unit, rollout: Rollout, routing: Routing, now: datetime) -> Rollout:
    count = len(rollout.troubled)
    reason = f"{count} update{'s' if count != 1 else ''} did not succeed, so no more are asked for"
    paused = _pause(unit, rollout, reason, DAEMON, now)
    _tell(unit, paused, routing, now)
    return paused


def _end(unit: Unit, rollout: Rollout, status: RolloutStatus, routing: Routing, actor: Actor, now: datetime) -> Rollout:
    ended = replace(rollout, status=status, ended_at=now)
    unit.rollouts.save(ended)
    updated, failed = len(ended.of(Turn.SUCCEEDED)), len(ended.of(Turn.FAILED))
    unit.journal.record(events.RolloutEnded(_subject(ended), ended.id, status, updated, failed), actor, now)
    _tell(unit, ended, routing, now)
    return ended


def _tell(unit: Unit, rollout: Rollout, routing: Routing, now: datetime) -> None:
    if routing.operators:
        unit.outbox.owe(notices.rollout_stopped(routing.operators, rollout, now), now)


def _subject(rollout: Rollout) -> str:
    return f"template/{rollout.template}"


# ---------------------------------------------------------------------------------------------- whom it is about


def _resources(unit: Unit, wish: Wish) -> list[Resource]:
    found: list[Resource] = []
    cursor = None
    wanted = FleetFilter(template=wish.template, owner=wish.owner)
    while True:
        page = unit.fleet.page(wanted, FleetOrder.WORST, cursor, _PAGE)
        found += page.resources
        cursor = page.next
        if cursor is None:
            break
    return [
        resource
        for resource in found
        if (wish.keys is None or resource.key in wish.keys)
        and (not wish.environment or wish.environment == _home(resource))
    ]


def _home(resource: Resource) -> str | None:
    """The environment a resource is or lives in; a pipeline lives in none."""
    return resource.key.name if resource.key.kind is ResourceKind.ENVIRONMENT else resource.environment


def _offered(unit: Unit, resource: Resource, majors: bool) -> Version | None:
    """Where a resource should go when no version is named: to the recommended minor of its own major, and to another
    major when that is all there is, or was asked for."""
    if resource.version is None:
        return None
    recommended = unit.registry.template(resource.template).recommended
    major = unit.registry.find_major(resource.template, resource.version.major)
    own = major.recommended_minor if major is not None else None
    further = recommended is not None and recommended.major > resource.version.major
    if further and (majors or own is None or own <= resource.version.minor):
        return recommended
    return None if own is None else Version(resource.version.major, own)


def _candidate(unit: Unit, resource: Resource, to: Version | None, *, majors: bool, stage: int = 0) -> Candidate:
    under_way = unit.deployments.under_way(resource.key)
    candidate = Candidate(
        resource.key, resource.version, to, under_way=under_way.id if under_way else None, stage=stage
    )
    if to is None or reason_to_leave_out(candidate, majors=majors) is not None:
        return candidate
    version = unit.registry.version(resource.template, to)
    part = Part(resource.key.kind)
    try:
        asked = None if version.schema is None else schemas.parse(version.schema).inputs_of(part)
        if asked is not None:
            missing = tuple(
                name
                for name in asked.required
                if name not in resource.inputs and not asked.properties[name].has_default
            )
            if missing:
                return replace(candidate, missing=missing)
        check_inputs(version, part, resource.inputs)
        if resource.environment is not None:
            check_environment(unit, version, resource.environment)
    except (CallerError, BundleError) as fault:
        return replace(candidate, unfit=fault.message)
    return candidate


def _automatic_members(
    unit: Unit, template: TemplateName, policies: Policies, last: Rollout | None
) -> tuple[Member, ...]:
    """Whom policies want updated, in stages. What failed or was stopped once is not tried again by itself."""
    refused = {
        (member.resource, member.to)
        for member in (last.members if last else ())
        if member.turn is Turn.FAILED or (last and last.status is RolloutStatus.STOPPED)
    }
    candidates = []
    for resource in unit.fleet.behind(template):
        policy = _policy_of(unit, policies, resource)
        if policy.update is UpdateMode.MANUAL:
            continue
        to = _offered(unit, resource, majors=False)
        candidate = _candidate(unit, resource, to, majors=False, stage=policy.stage)
        if (resource.key, to) in refused or resource.status.failed:
            candidate = replace(candidate, unfit="its last update did not succeed, and nobody looked at it since")
        candidates.append(candidate)
    return members_of(candidates, majors=False)


def _policy_of(unit: Unit, policies: Policies, resource: Resource) -> Policy:
    """The policy of the environment a resource is or lives in. Pipelines live in none and are updated by hand."""
    home = _home(resource)
    if home is None:
        return MANUAL
    environment = unit.fleet.find(environment_key(home), kept=False)
    return policies.of(home, environment.owner if environment else None)
