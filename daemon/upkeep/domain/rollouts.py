"""A rollout: many resources of one template moved to newer versions, a few at a time, stopping when updates fail."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from upkeep.domain.names import ResourceKey, TemplateName, Version
from upkeep.domain.people import Actor

AT_ONCE = 5
"""Deployments of a rollout that are under way together, unless it is told otherwise."""

FAILURES = 1
"""Failures after which a rollout asks for nothing more, unless it is told otherwise."""


class RolloutStatus(StrEnum):
    """PAUSED waits for a person, who resumes or stops it; STOPPED asked for nothing more; COMPLETED did all it could.

    What is under way when a rollout is paused or stopped goes on to its own end.
    """

    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    STOPPED = "STOPPED"
    COMPLETED = "COMPLETED"

    @property
    def open(self) -> bool:
        """Whether more may still be asked for."""
        return self in (RolloutStatus.RUNNING, RolloutStatus.PAUSED)


class Turn(StrEnum):
    """Where a resource stands in a rollout. LEFT_OUT never was part of it, SKIPPED had no need or no way any more."""

    LEFT_OUT = "left out"
    WAITING = "waiting"
    UNDER_WAY = "under way"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"

    @property
    def over(self) -> bool:
        """Whether nothing more happens to it here."""
        return self not in (Turn.WAITING, Turn.UNDER_WAY)


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a rollout that begins when the parts before it are over, and after each has soaked for its time."""

    name: str
    soak_for: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Member:
    """A resource in a rollout: from which version to which, in which stage, and what became of it.

    `deployment` is what was asked for it. `reason` says why it was left out or skipped, why it failed, or what it
    waits for a person for (`stalled`). `forgiven` failures do not stop the rollout: a person resumed it knowing them.
    """

    resource: ResourceKey
    running: Version | None
    to: Version | None
    turn: Turn = Turn.WAITING
    stage: int = 0
    deployment: str | None = None
    reason: str | None = None
    stalled: bool = False
    forgiven: bool = False
    ended_at: datetime | None = None

    @property
    def troubled(self) -> bool:
        """Whether it counts towards the failures a rollout stops after: what waits for a person does as well."""
        return not self.forgiven and (self.turn is Turn.FAILED or (self.turn is Turn.UNDER_WAY and self.stalled))


@dataclass(frozen=True, slots=True)
class Rollout:
    """One rollout. `members` stand in the order in which they are asked for, those left out behind the others.

    `to` is the version that was named, None for the recommended ones. `actor` asked for it and is the one who asks
    for each deployment. `automatic` rollouts were started by a policy. `message` says why it is paused or stopped.
    """

    id: str
    template: TemplateName
    to: Version | None
    actor: Actor
    created_at: datetime
    members: tuple[Member, ...]
    status: RolloutStatus = RolloutStatus.RUNNING
    max_parallel: int = AT_ONCE
    stop_after: int = FAILURES
    automatic: bool = False
    stages: tuple[Stage, ...] = (Stage("all"),)
    message: str | None = None
    ended_at: datetime | None = None

    def of(self, *turns: Turn) -> tuple[Member, ...]:
        """The members that stand there."""
        return tuple(member for member in self.members if member.turn in turns)

    @property
    def troubled(self) -> tuple[Member, ...]:
        """Whose failures count."""
        return tuple(member for member in self.members if member.troubled)

    @property
    def watched(self) -> bool:
        """Whether there is something left to do or to look at."""
        return self.status is RolloutStatus.RUNNING or bool(self.of(Turn.UNDER_WAY))


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the rule has to know of a resource. `missing` are the inputs the version asks for and nobody gave, `unfit`
    why the version cannot run there, `under_way` the deployment that is on its way to it."""

    resource: ResourceKey
    running: Version | None
    to: Version | None
    missing: tuple[str, ...] = ()
    unfit: str | None = None
    under_way: str | None = None
    stage: int = 0


def reason_to_leave_out(candidate: Candidate, *, majors: bool) -> str | None:
    """Why a rollout leaves a resource out, None when it takes it. `majors` says that another major was asked for."""
    running, to = candidate.running, candidate.to
    if candidate.under_way is not None:
        return f"deployment {candidate.under_way} is under way"
    if running is None:
        return "it was never deployed"
    if to is None or to == running:
        return "up to date"
    if to < running:
        return f"it runs {running}, which is newer than {to}"
    if to.major > running.major and not majors:
        return f"it would go to another major, {to}"
    if candidate.missing:
        named = ", ".join(f"`{name}`" for name in candidate.missing)
        return f"{to} needs new input: {named}"
    return candidate.unfit


def members_of(candidates: Iterable[Candidate], *, majors: bool) -> tuple[Member, ...]:
    """The candidates, in their order within each stage, as members of a rollout; behind them those left out."""
    taken, left_out = [], []
    for candidate in candidates:
        reason = reason_to_leave_out(candidate, majors=majors)
        member = Member(candidate.resource, candidate.running, candidate.to, stage=candidate.stage)
        if reason is None:
            taken.append(member)
        else:
            left_out.append(replace(member, turn=Turn.LEFT_OUT, reason=reason))
    return (*sorted(taken, key=lambda member: member.stage), *left_out)


def open_stage(stages: Sequence[Stage], members: Iterable[Member], now: datetime) -> int:
    """The highest stage whose members may be asked for: all before it are over and have soaked.

    A stage soaks from when its last update ended; one in which nothing was updated needs no time.
    """
    all_members = [member for member in members if member.turn is not Turn.LEFT_OUT]
    for number, stage in enumerate(stages):
        here = [member for member in all_members if member.stage == number]
        if not all(member.turn.over for member in here):
            return number
        updated = [member.ended_at for member in here if member.turn is Turn.SUCCEEDED and member.ended_at is not None]
        if updated and max(updated) + stage.soak_for > now:
            return number
    return len(stages) - 1


def next_of(rollout: Rollout, now: datetime) -> tuple[Member, ...]:
    """Those who may be asked for now, the first first: none while as many as allowed are under way, when too many
    failed, or unless it runs."""
    if rollout.status is not RolloutStatus.RUNNING or exhausted(rollout):
        return ()
    if len(rollout.of(Turn.UNDER_WAY)) >= rollout.max_parallel:
        return ()
    stage = open_stage(rollout.stages, rollout.members, now)
    return tuple(member for member in rollout.of(Turn.WAITING) if member.stage <= stage)


def exhausted(rollout: Rollout) -> bool:
    """Whether as many updates failed as it stops after."""
    return len(rollout.troubled) >= rollout.stop_after
