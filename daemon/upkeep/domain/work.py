"""Work that is due: found in rows, claimed under a lease, fenced by a token."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class WorkKind(StrEnum):
    """POLL sources, SYNC one, PREVIEW a draft, REGISTER an upload, DEPLOY a deployment, RELAY a channel's notices,
    compare a resource for its DRIFT, advance a ROLLOUT, PRUNE old records. The subject names which."""

    POLL = "poll"
    SYNC = "sync"
    PREVIEW = "preview"
    REGISTER = "register"
    PLAN = "plan"
    DEPLOY = "deploy"
    RELAY = "relay"
    ROLLOUT = "rollout"
    DRIFT = "drift"
    PRUNE = "prune"


@dataclass(frozen=True, slots=True)
class Claim:
    """A lease on one piece of work. Only the holder of the latest `token` may write for it.

    `cause` is what the last asker gave as reason; `attempts` counts the claims since the work last ended well.
    """

    kind: WorkKind
    subject: str
    token: int
    attempts: int
    leased_until: datetime
    cause: str = ""


@dataclass(frozen=True, slots=True)
class DueWork:
    """A row of the queue as pages and `doctor` show it."""

    kind: WorkKind
    subject: str
    due_at: datetime
    asked_at: datetime
    attempts: int
    leased_until: datetime | None
    failure: str | None

    @property
    def under_way(self) -> bool:
        """Whether it is being done or about to be. What failed and waits for its next try is not."""
        return self.leased_until is not None or self.failure is None
