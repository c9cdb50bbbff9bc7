"""A deployment: one attempt to move a resource to a version and spec."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from upkeep.domain.changesets import StackEvent
from upkeep.domain.names import ResourceKey, Version


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


@dataclass(frozen=True, slots=True)
class Deployment:
    """One attempt. `id` is a UUID and the client token of everything it asks of the provisioner.

    `initial` is None for a creation. `begun_at` is written before the provisioner is asked for anything, so that
    nothing begun is ever cancelled as if it were not; `handle` is what the provisioner calls the work.
    `outputs` are None until it succeeded. `message` says why it failed, or what it waits for.
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


class ProgressState(StrEnum):
    """What a provisioner's many words come down to."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Progress:
    """A provisioner's answer to "how is it going?".

    `stack` is the stack's id, `status` its own word for where it stands, `events` all it told since the deployment
    began, oldest first. A stack whose rollback ended well is FAILED with its first failing stack resource as reason.
    """

    state: ProgressState
    reason: str | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    stack: str | None = None
    status: str | None = None
    events: tuple[StackEvent, ...] = ()
