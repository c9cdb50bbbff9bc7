"""A deployment: one attempt to move a resource to a version and spec."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from upkeep.domain.changesets import StackEvent
from upkeep.domain.names import ResourceKey, Version
from upkeep.domain.sources import Stall


class DeploymentStatus(StrEnum):
    """Proton's DeploymentStatus, letter for letter."""

    IN_PROGRESS = "IN_PROGRESS"
    FAILED = "FAILED"
    SUCCEEDED = "SUCCEEDED"
    DELETE_IN_PROGRESS = "DELETE_IN_PROGRESS"
    DELETE_FAILED = "DELETE_FAILED"
    DELETE_COMPLETE = "DELETE_COMPLETE"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"

    @property
    def under_way(self) -> bool:
        """Whether the outcome is still to come; while it is, nothing else may start on the resource."""
        return self in (DeploymentStatus.IN_PROGRESS, DeploymentStatus.DELETE_IN_PROGRESS, DeploymentStatus.CANCELLING)

    @property
    def failed(self) -> bool:
        """Whether it ended without doing what was asked, and not because someone cancelled it."""
        return self in (DeploymentStatus.FAILED, DeploymentStatus.DELETE_FAILED)

    @property
    def leaving(self) -> bool:
        """Whether it is about taking a resource away, done or not."""
        return self in (
            DeploymentStatus.DELETE_IN_PROGRESS,
            DeploymentStatus.DELETE_FAILED,
            DeploymentStatus.DELETE_COMPLETE,
        )


class Action(StrEnum):
    """What is asked of the provisioner."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class UpdateType(StrEnum):
    """Proton's DeploymentUpdateType."""

    NONE = "NONE"
    CURRENT_VERSION = "CURRENT_VERSION"
    MINOR_VERSION = "MINOR_VERSION"
    MAJOR_VERSION = "MAJOR_VERSION"


@dataclass(frozen=True, slots=True)
class State:
    """A version with the inputs given for it: what a deployment starts from or aims at."""

    version: Version
    inputs: Mapping[str, Any]


class Phase(StrEnum):
    """How far a deployment is, in the words people read."""

    ASKED = "asked for"
    CLEARING = "deleting what a failed creation left behind"
    PROPOSING = "working out the change set"
    PROPOSED = "change set ready"
    EXECUTING = "changing the stack"
    DELETING = "deleting the stack"
    GOING_BACK = "going back"
    STALLED = "waiting for a person"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One attempt. `id` is a UUID and the client token of everything it asks of the provisioner.

    `initial` is None for a creation. The times are steps, so that whoever goes on knows what may have happened:
    `begun_at` is written before the provisioner is asked for anything, `executed_at` before it executes. What may be
    asked for twice is written with the step that follows: the `handle` of the change set with `proposed_at`, once that
    is kept, and `accepted_at` with what is seen first after the execution. `cancelled_at` is written after the
    provisioner was asked to go back. `replaces` is the stack of a failed creation that is deleted first, gone at
    `replaced_at`; `continue_token` is set while a failed rollback is to be tried again.

    `stack` and `stack_status` are the stack's id and its last known word for where it stands. After `deadline_at` it
    is not waited for any longer. `stall` says why it stopped and what a person must do; it is still under way then.
    `outputs` are None until it succeeded. `message` says why it failed, what it waits for, or who cancelled it.
    """

    id: str
    resource: ResourceKey
    action: Action
    status: DeploymentStatus
    target: State
    asked_by: str
    created_at: datetime
    initial: State | None = None
    begun_at: datetime | None = None
    handle: str | None = None
    message: str | None = None
    outputs: Mapping[str, str] | None = field(default=None)
    completed_at: datetime | None = None
    proposed_at: datetime | None = None
    executed_at: datetime | None = None
    accepted_at: datetime | None = None
    cancelled_at: datetime | None = None
    deadline_at: datetime | None = None
    stack: str | None = None
    stack_status: str | None = None
    stall: Stall | None = None
    replaces: str | None = None
    replaced_at: datetime | None = None
    continue_token: str | None = None

    @property
    def phase(self) -> Phase:
        """Where it stands."""
        if not self.status.under_way:
            return Phase.ENDED
        if self.stall is not None:
            return Phase.STALLED
        if self.begun_at is None:
            return Phase.ASKED
        if self.replaces is not None and self.replaced_at is None:
            return Phase.CLEARING
        if self.status is DeploymentStatus.CANCELLING or self.continue_token is not None:
            return Phase.GOING_BACK
        if self.action is Action.DELETE:
            return Phase.DELETING
        if self.executed_at is not None:
            return Phase.EXECUTING
        return Phase.PROPOSING if self.proposed_at is None else Phase.PROPOSED

    @property
    def cancellable(self) -> bool:
        """Whether it can still be stopped: anything before it is executed, and an update after that as well."""
        if self.status is not DeploymentStatus.IN_PROGRESS:
            return False
        return self.executed_at is None or self.action is Action.UPDATE

    @property
    def rollback_failed(self) -> bool:
        """Whether it stands still because its stack could not go back: only trying that again leads on."""
        return self.stall is not None and self.stack_status == ROLLBACK_FAILED

    @property
    def left_behind(self) -> bool:
        """Whether it is a creation that failed and left a stack which can only be deleted."""
        return self.action is Action.CREATE and self.status.failed and self.stack_status in DEAD_ENDS


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the way of a deployment. `at` is when it began, None while it is still to come; `now` says that the
    deployment is there."""

    phase: Phase
    at: datetime | None
    now: bool = False


def steps(found: Deployment) -> tuple[Step, ...]:
    """The way of a deployment in its order. Once it has ended, what it never came to is left out."""
    way: list[tuple[Phase, datetime | None]] = [(Phase.ASKED, found.created_at)]
    if found.replaces is not None:
        way.append((Phase.CLEARING, found.begun_at))
    if found.action is Action.DELETE:
        way.append((Phase.DELETING, found.begun_at))
    else:
        proposing_at = found.begun_at if found.replaces is None else found.replaced_at
        way += [
            (Phase.PROPOSING, proposing_at),
            (Phase.PROPOSED, found.proposed_at),
            (Phase.EXECUTING, found.executed_at),
        ]
    if found.phase is Phase.GOING_BACK or found.cancelled_at is not None:
        way = [(phase, at) for phase, at in way if at is not None]
        way.append((Phase.GOING_BACK, found.cancelled_at))
    way.append((Phase.ENDED, found.completed_at))
    if not found.status.under_way:
        return tuple(Step(phase, at) for phase, at in way if at is not None)
    return _walked(way, found.phase)


def _walked(way: list[tuple[Phase, datetime | None]], phase: Phase) -> tuple[Step, ...]:
    phases = [step for step, _ in way]
    begun = [position for position, (_, at) in enumerate(way) if at is not None]
    # What stands still does so at the last step that it began.
    here = phases.index(phase) if phase in phases else max(begun)
    return tuple(Step(step, at, position == here) for position, (step, at) in enumerate(way))


ROLLBACK_FAILED = "UPDATE_ROLLBACK_FAILED"
ROLLED_BACK = "UPDATE_ROLLBACK_COMPLETE"

DEAD_ENDS = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED"})
"""Stack statuses that CloudFormation only leaves by deletion.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html
"""


class ProgressState(StrEnum):
    """What a provisioner's many words come down to."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Progress:
    """A provisioner's answer to "how is it going?".

    `stack` is the stack's id, `status` its own word for where it stands, `events` all it told since the deployment
    began, oldest first. A stack whose rollback ended, well or not, is FAILED with its first failing stack resource as
    reason: the status says how it ended, and the flow makes a stall of UPDATE_ROLLBACK_FAILED.
    """

    state: ProgressState
    reason: str | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    stack: str | None = None
    status: str | None = None
    events: tuple[StackEvent, ...] = ()
