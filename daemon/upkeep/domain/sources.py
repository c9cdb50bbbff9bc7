"""A source: a repository, branch and folder that templates are read from."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from upkeep.domain.findings import Finding
from upkeep.domain.names import SourceName


class CredentialKind(StrEnum):
    """How a repository is entered. Only where a secret stands is kept, never the secret."""

    NONE = "none"
    TOKEN_FILE = "token_file"  # noqa: S105  (names a kind, holds no secret)
    TOKEN_ENV = "token_env"  # noqa: S105  (names a kind as well)
    SSH_KEY_FILE = "ssh_key_file"


@dataclass(frozen=True, slots=True)
class Credential:
    """A reference to a secret: a file's path or an environment variable's name."""

    kind: CredentialKind = CredentialKind.NONE
    reference: str = ""


class Drafts(StrEnum):
    """PER_COMMIT makes a draft of every commit that changes a version folder, PER_PUSH of the head only."""

    PER_COMMIT = "per_commit"
    PER_PUSH = "per_push"


class Origin(StrEnum):
    """Whether the configuration file declares the source or a person added it."""

    CONFIG = "config"
    ADDED = "added"


class Cause(StrEnum):
    """Who asked for a sync."""

    WEBHOOK = "webhook"
    POLL = "poll"
    PERSON = "person"
    START = "start"


@dataclass(frozen=True, slots=True)
class Stall:
    """Why something does not go on by itself, and what a person has to do."""

    reason: str
    cure: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Source:
    """What was declared about a source, and how far it has been read.

    `synced_commit` is the commit the registry was last brought up to; `checked_at` the last time the
    repository answered; `next_poll_at` when the timer asks next; `failures` how often in a row it did not answer.
    `webhook_secret_env` and `webhook_secret_file` say where a secret for this source alone is kept.
    """

    name: SourceName
    url: str
    branch: str
    subdirectory: str = ""
    credential: Credential = field(default_factory=Credential)
    webhook_secret: Credential = field(default_factory=Credential)
    drafts: Drafts = Drafts.PER_COMMIT
    poll_every_for: timedelta = timedelta(minutes=5)
    origin: Origin = Origin.ADDED
    synced_commit: str | None = None
    synced_at: datetime | None = None
    checked_at: datetime | None = None
    next_poll_at: datetime | None = None
    failures: int = 0
    failure: str | None = None
    stall: Stall | None = None
    findings: tuple[Finding, ...] = ()
