"""How far a resource is behind the recommended version, and since when."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from upkeep.domain.names import Version


class Standing(StrEnum):
    """Where a resource stands towards the recommended version. AHEAD runs a newer one than is recommended."""

    UNDEPLOYED = "undeployed"
    UP_TO_DATE = "up_to_date"
    BEHIND_MINOR = "behind_minor"
    BEHIND_MAJOR = "behind_major"
    AHEAD = "ahead"


@dataclass(frozen=True, slots=True)
class Lag:
    """`minors` published versions of its own major and `majors` newer majors away, `since` the first of them."""

    standing: Standing
    minors: int = 0
    majors: int = 0
    since: datetime | None = None

    @property
    def behind(self) -> bool:
        """Whether an update is due."""
        return self.minors > 0 or self.majors > 0


UNMEASURED = Lag(Standing.UNDEPLOYED)
"""The lag of what has never been deployed."""


def offered(major: int, recommended: Version | None, own_minor: int | None) -> Version | None:
    """The version that what runs this major should take: the template's recommended one, or its major's own when the
    template's pointer stands on a lower major. `own_minor` is the recommended minor of that major."""
    if recommended is not None and recommended.major >= major:
        return recommended
    return None if own_minor is None else Version(major, own_minor)


@dataclass(frozen=True, slots=True)
class PublishedVersion:
    """What the rule has to know of a published version."""

    version: Version
    published_at: datetime


def measure(
    running: Version,
    recommended: Version | None,
    major_recommended: Version | None,
    published: Iterable[PublishedVersion],
) -> Lag:
    """Measure one running version.

    Minors are counted up to the recommended minor of the running major, majors up to the recommended version of
    the template. A resource is up to date when it runs the template's recommended version, and also when
    nothing is recommended at all.
    """
    offered = list(published)
    newer_minors = [
        entry
        for entry in offered
        if major_recommended and entry.version.major == running.major and running < entry.version <= major_recommended
    ]
    newer_majors = [
        entry for entry in offered if recommended and running.major < entry.version.major <= recommended.major
    ]
    missed = newer_minors + newer_majors
    if missed:
        return Lag(
            Standing.BEHIND_MAJOR if newer_majors else Standing.BEHIND_MINOR,
            minors=len(newer_minors),
            majors=len({entry.version.major for entry in newer_majors}),
            since=min(entry.published_at for entry in missed),
        )
    ahead = recommended is not None and running > recommended
    return Lag(Standing.AHEAD if ahead else Standing.UP_TO_DATE)
