"""What can happen, one frozen class each: an audit row, a log line, a metric, and sometimes a notice.

Fields are texts, numbers and times only, so that an event can be written as JSON. `subject` says what it is
about, in the words of the pages' addresses: `template/NAME`, `source/NAME`, `environment/NAME` …
"""

import re
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from upkeep.domain.people import Via


@dataclass(frozen=True, slots=True)
class SourceAdded:
    subject: str
    url: str
    branch: str


@dataclass(frozen=True, slots=True)
class SourceChanged:
    subject: str
    fields: str


@dataclass(frozen=True, slots=True)
class SourceRemoved:
    subject: str
    url: str


@dataclass(frozen=True, slots=True)
class SourceSynced:
    subject: str
    before: str | None
    after: str
    registered: int


@dataclass(frozen=True, slots=True)
class SourceFailed:
    subject: str
    reason: str
    failures: int


@dataclass(frozen=True, slots=True)
class SourceStalled:
    subject: str
    reason: str
    cure: str


@dataclass(frozen=True, slots=True)
class SourceResumed:
    subject: str


@dataclass(frozen=True, slots=True)
class SyncAsked:
    subject: str
    cause: str


@dataclass(frozen=True, slots=True)
class TemplateAdded:
    subject: str
    template_kind: str


@dataclass(frozen=True, slots=True)
class UploadAsked:
    subject: str
    version: str
    place: str


@dataclass(frozen=True, slots=True)
class TemplateConnected:
    subject: str
    source: str


@dataclass(frozen=True, slots=True)
class TemplateDiscovered:
    subject: str
    template_kind: str
    source: str


@dataclass(frozen=True, slots=True)
class VersionRegistered:
    subject: str
    version: str
    state: str
    commit: str
    tree: str
    errors: int


@dataclass(frozen=True, slots=True)
class MajorRemoved:
    subject: str
    major: int
    commit: str


@dataclass(frozen=True, slots=True)
class MajorReturned:
    subject: str
    major: int
    commit: str


@dataclass(frozen=True, slots=True)
class VersionPublished:
    subject: str
    version: str
    note: str | None
    behind: int


@dataclass(frozen=True, slots=True)
class VersionWithdrawn:
    subject: str
    version: str
    reason: str


@dataclass(frozen=True, slots=True)
class VersionDeleted:
    subject: str
    version: str
    state: str


@dataclass(frozen=True, slots=True)
class TemplateDeleted:
    subject: str


@dataclass(frozen=True, slots=True)
class RecommendedMoved:
    subject: str
    major: int | None
    """None for the template's pointer, else the major whose pointer moved."""
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class ResourceEnrolled:
    subject: str
    template: str
    version: str


@dataclass(frozen=True, slots=True)
class ResourceDeleted:
    subject: str


@dataclass(frozen=True, slots=True)
class ResourceForgotten:
    subject: str
    template: str
    stack: str | None
    """What goes on existing without us; None when nothing was deployed."""


@dataclass(frozen=True, slots=True)
class RepositoryChanged:
    subject: str
    repository_id: str
    branch_name: str


@dataclass(frozen=True, slots=True)
class OwnerChanged:
    subject: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class ResourceSnoozed:
    subject: str
    until: str | None
    """A time in ISO 8601; None when it lasts as long as `version` is the recommended one."""
    version: str | None


@dataclass(frozen=True, slots=True)
class ResourceWoken:
    subject: str


@dataclass(frozen=True, slots=True)
class DeploymentAsked:
    subject: str
    deployment: str
    action: str
    before: str | None
    after: str


@dataclass(frozen=True, slots=True)
class DeploymentSettled:
    subject: str
    deployment: str
    status: str
    version: str
    reason: str | None
    took: int | None = None
    """Seconds since it was asked for."""


@dataclass(frozen=True, slots=True)
class DeploymentStalled:
    subject: str
    deployment: str
    reason: str
    cure: str


@dataclass(frozen=True, slots=True)
class DeploymentResumed:
    subject: str
    deployment: str
    how: str
    """`retry`, `cancel` or `continue`."""


@dataclass(frozen=True, slots=True)
class DriftAsked:
    subject: str


@dataclass(frozen=True, slots=True)
class DriftCompared:
    subject: str
    state: str
    resources: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class RolloutStarted:
    subject: str
    rollout: str
    resources: int
    left_out: int
    automatic: bool


@dataclass(frozen=True, slots=True)
class RolloutPaused:
    subject: str
    rollout: str
    reason: str


@dataclass(frozen=True, slots=True)
class RolloutResumed:
    subject: str
    rollout: str


@dataclass(frozen=True, slots=True)
class RolloutEnded:
    subject: str
    rollout: str
    status: str
    updated: int
    failed: int


@dataclass(frozen=True, slots=True)
class UserAdded:
    subject: str
    role: str


@dataclass(frozen=True, slots=True)
class UserRemoved:
    subject: str


@dataclass(frozen=True, slots=True)
class RoleChanged:
    subject: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class TagsChanged:
    subject: str
    keys: str


@dataclass(frozen=True, slots=True)
class OutputsTold:
    subject: str
    keys: str


@dataclass(frozen=True, slots=True)
class DescriptionChanged:
    subject: str
    fields: str


@dataclass(frozen=True, slots=True)
class DeploymentDeleted:
    subject: str
    deployment: str


@dataclass(frozen=True, slots=True)
class UserChanged:
    subject: str
    changes: str


@dataclass(frozen=True, slots=True)
class UserRenamed:
    subject: str
    before: str


@dataclass(frozen=True, slots=True)
class PasswordChanged:
    subject: str


@dataclass(frozen=True, slots=True)
class SessionsEnded:
    subject: str
    count: int


@dataclass(frozen=True, slots=True)
class WaitsLifted:
    subject: str


@dataclass(frozen=True, slots=True)
class TokenCreated:
    subject: str
    label: str
    scopes: str


@dataclass(frozen=True, slots=True)
class TokenRevoked:
    subject: str
    label: str


@dataclass(frozen=True, slots=True)
class SignedIn:
    subject: str
    address: str


@dataclass(frozen=True, slots=True)
class SignInRefused:
    subject: str
    address: str


@dataclass(frozen=True, slots=True)
class SignedOut:
    subject: str


@dataclass(frozen=True, slots=True)
class RecordsPruned:
    """Old records were let go of: `count` of them, from before the time `before` (ISO 8601)."""

    subject: str
    count: int
    before: str


Event = (
    SourceAdded
    | SourceChanged
    | SourceRemoved
    | SourceSynced
    | SourceFailed
    | SourceStalled
    | SourceResumed
    | SyncAsked
    | TemplateDiscovered
    | VersionRegistered
    | MajorRemoved
    | MajorReturned
    | VersionPublished
    | VersionWithdrawn
    | VersionDeleted
    | TemplateDeleted
    | RecommendedMoved
    | ResourceEnrolled
    | ResourceDeleted
    | ResourceForgotten
    | RepositoryChanged
    | OwnerChanged
    | ResourceSnoozed
    | ResourceWoken
    | DeploymentAsked
    | DeploymentSettled
    | DeploymentStalled
    | DeploymentResumed
    | DriftAsked
    | DriftCompared
    | RolloutStarted
    | RolloutPaused
    | RolloutResumed
    | RolloutEnded
    | UserAdded
    | UserRemoved
    | TemplateAdded
    | TemplateConnected
    | UploadAsked
    | RoleChanged
    | TagsChanged
    | OutputsTold
    | DescriptionChanged
    | DeploymentDeleted
    | UserChanged
    | UserRenamed
    | PasswordChanged
    | SessionsEnded
    | WaitsLifted
    | TokenCreated
    | TokenRevoked
    | SignedIn
    | SignInRefused
    | SignedOut
    | RecordsPruned
)


def kind_of(event: Event) -> str:
    """The event's stable name, for example `version_published`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()


def facts_of(event: Event) -> dict[str, Any]:
    """Everything it says besides its subject, fit for JSON."""
    return {name: value for name, value in asdict(event).items() if name != "subject"}


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """An event as the audit trail keeps it: who, through which door, when. Its facts name the `token`, if one acted."""

    id: int
    at: datetime
    kind: str
    subject: str
    actor: str
    via: Via
    facts: dict[str, Any]
