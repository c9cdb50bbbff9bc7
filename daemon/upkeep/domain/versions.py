"""Templates, their majors and versions: states, numbering, and which one is recommended."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from upkeep.domain.findings import Finding
from upkeep.domain.names import SourceName, TemplateName, Version


class TemplateKind(StrEnum):
    """What resources of the template are."""

    ENVIRONMENT = "environment"
    SERVICE = "service"


class VersionState(StrEnum):
    """Proton's TemplateVersionStatus, and WITHDRAWN: published once, offered no longer."""

    DRAFT = "DRAFT"
    PUBLISHED = "PUBLISHED"
    REGISTRATION_FAILED = "REGISTRATION_FAILED"
    WITHDRAWN = "WITHDRAWN"


@dataclass(frozen=True, slots=True)
class Commit:
    """A git commit as a version keeps it. `at` is the committer date."""

    id: str
    author_name: str
    author_email: str
    at: datetime
    message: str

    @property
    def subject(self) -> str:
        """The first line of the message."""
        return self.message.strip().partition("\n")[0]


@dataclass(frozen=True, slots=True)
class CompatibleEnvironment:
    """An environment template and major that a service template can run in, written `name:major`."""

    template: TemplateName
    major: int

    def __str__(self) -> str:
        return f"{self.template}:{self.major}"


@dataclass(frozen=True, slots=True)
class Template:
    """A named family of versions.

    `recommended` is the version new resources take; `pinned` says that an admin chose it against the rule
    "highest published". `source` is None when its source was removed.
    """

    name: TemplateName
    kind: TemplateKind
    source: SourceName | None
    path: str
    created_at: datetime
    recommended: Version | None = None
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class Major:
    """A version folder and its numbering.

    `next_minor` only grows, so that no number is given twice. `removed_at` is set while the folder is gone
    from the branch.
    """

    template: TemplateName
    major: int
    path: str
    next_minor: int = 0
    recommended_minor: int | None = None
    removed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class VersionKey:
    """What a version is known by."""

    template: TemplateName
    version: Version


@dataclass(frozen=True, slots=True)
class TemplateVersion:
    """One version: the bundle of one folder at one commit, and what became of it.

    `tree` is the git tree id of the folder, the identity of its content. `schema` is the text of its schema
    file, None when it could not be read. `note` is what the admin told the owners on publishing. What was uploaded has
    no commit: its tree stands for one.
    """

    template: TemplateName
    version: Version
    state: VersionState
    tree: str
    commit: Commit
    path: str
    created_at: datetime
    findings: tuple[Finding, ...] = ()
    schema: str | None = None
    has_pipeline: bool = False
    compatible_environments: tuple[CompatibleEnvironment, ...] = field(default_factory=tuple)
    published_at: datetime | None = None
    published_by: str | None = None
    withdrawn_at: datetime | None = None
    note: str | None = None

    @property
    def uploaded(self) -> bool:
        """Whether it was uploaded, and no folder of a repository was ever it."""
        return self.commit.id == self.tree

    @property
    def offered(self) -> bool:
        """Whether resources may move to it by name without being an admin: it is published."""
        return self.state is VersionState.PUBLISHED


def recommended_after_publish(
    published: Iterable[Version], now_published: Version, current: Version | None
) -> Version | None:
    """Proton's rule: a version becomes the recommended one if it is the highest published; else nothing moves."""
    return now_published if now_published >= max(published, default=now_published) else current


def recommended_after_loss(published: Iterable[Version], lost: Version) -> Version | None:
    """Which version is recommended when the recommended one goes.

    The highest below it, because what lies above was passed over on purpose; without one, the lowest above.
    """
    remaining = sorted(version for version in published if version != lost)
    below = [version for version in remaining if version < lost]
    return below[-1] if below else (remaining[0] if remaining else None)
