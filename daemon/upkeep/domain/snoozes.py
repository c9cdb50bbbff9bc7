"""Snoozes: a resource that is behind, and of which its owner does not want to hear for a while."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from upkeep.domain.errors import CallerError
from upkeep.domain.names import Version


class Length(StrEnum):
    """How long a snooze may last, as it is asked for."""

    WEEK = "7d"
    MONTH = "30d"
    VERSION = "version"


_LASTS = {Length.WEEK: timedelta(days=7), Length.MONTH: timedelta(days=30)}


@dataclass(frozen=True, slots=True)
class Snooze:
    """Since when, by whom, and how long: up to `until`, or as long as nothing newer than `version` is recommended.
    One of the two is None."""

    at: datetime
    by: str
    until: datetime | None = None
    version: Version | None = None

    def holds(self, now: datetime) -> bool:
        """Whether its time is not over. One for a version is taken away when a newer one is recommended."""
        return self.until is None or now < self.until


def snoozed(length: Length, due: Version, by: str, now: datetime) -> Snooze:
    """A snooze that begins now, of what could take the version `due`."""
    if length is Length.VERSION:
        return Snooze(now, by, version=due)
    return Snooze(now, by, until=now + _LASTS[length])


def parse_length(text: str) -> Length:
    """Read `7d`, `30d` or `version`; raises CallerError for anything else."""
    try:
        return Length(text)
    except ValueError as error:
        raise CallerError(f"`{text}` is no time to snooze for", cure=f"choose {', '.join(Length)}") from error
