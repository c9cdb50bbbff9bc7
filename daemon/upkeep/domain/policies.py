"""Policies: which environments are updated by the daemon itself, when, and in which order."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

from upkeep.domain.rollouts import Stage


class UpdateMode(StrEnum):
    """MANUAL: a person asks for every update. MINOR_AUTOMATICALLY: newer minors of the running major come by
    themselves, never another major."""

    MANUAL = "manual"
    MINOR_AUTOMATICALLY = "minor_automatically"


class Day(StrEnum):
    """A day of the week, in the order of Python's `datetime.weekday()`."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


WEEK = tuple(Day)


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of some days of every week on the clocks of a time zone, from `opens` to just before `closes`.

    One that closes at or before the hour it opens belongs to the day on which it opened and lasts into the next.
    """

    days: frozenset[Day]
    opens: time
    closes: time
    zone: ZoneInfo

    def open_at(self, now: datetime) -> bool:
        """Whether it is open. What the clocks show decides: an hour they skip never comes, one they repeat counts
        twice."""
        local = now.astimezone(self.zone)
        shown = local.time()
        if self.opens < self.closes:
            return self._on(local) and self.opens <= shown < self.closes
        return (self._on(local) and shown >= self.opens) or (
            self._on(local - timedelta(days=1)) and shown < self.closes
        )

    def _on(self, local: datetime) -> bool:
        return WEEK[local.weekday()] in self.days


@dataclass(frozen=True, slots=True)
class Policy:
    """How the environments it fits are updated, with everything that lives in them.

    `environments` and `owners` are patterns such as `test-*`; without any of a kind, all fit. `stage` counts from 0.
    Without windows any time is allowed.
    """

    update: UpdateMode
    environments: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    windows: tuple[Window, ...] = ()
    stage: int = 0

    def fits(self, environment: str, owner: str | None) -> bool:
        """Whether it is meant for an environment of this name and owner."""
        return _among(environment, self.environments) and _among(owner or "", self.owners)


MANUAL = Policy(UpdateMode.MANUAL)
"""The policy of what no other fits."""


@dataclass(frozen=True, slots=True)
class Policies:
    """All policies, of which the first that fits holds, and the stages in the order they are gone through."""

    policies: tuple[Policy, ...] = ()
    stages: tuple[Stage, ...] = (Stage("all"),)

    @property
    def automatic(self) -> bool:
        """Whether anything is updated by itself at all."""
        return any(policy.update is UpdateMode.MINOR_AUTOMATICALLY for policy in self.policies)

    def of(self, environment: str, owner: str | None) -> Policy:
        """The policy of an environment."""
        return next((policy for policy in self.policies if policy.fits(environment, owner)), MANUAL)


def allowed_at(policy: Policy, now: datetime) -> bool:
    """Whether the daemon may begin an update by itself now. `now` is aware."""
    if policy.update is UpdateMode.MANUAL:
        return False
    return not policy.windows or any(window.open_at(now) for window in policy.windows)


def _among(name: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
