"""The time that everybody on a store goes by."""

import time
from datetime import datetime, timedelta

import sqlalchemy as sa

from upkeep.adapters import clock

LOOK_EVERY = timedelta(minutes=1)
"""How long a look at the server's clock is good for. What quartz drifts apart meanwhile is below a millisecond."""

_SLOW = 1.0
"""An answer that takes more seconds says too little about when it was given."""

# What Linux has and others do not: the count goes on while the machine is suspended.
_COUNT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class ServerClock:
    """The clock of the database's server, reckoned on between two looks by the seconds this host counts.

    A lease begins on one host and is taken for run out on another. If each went by its own clock, one that runs a
    minute fast would take work away from those that are at it. So all go by the one clock that all of them reach, and
    no host's own is asked, nor heard of when it is set.
    """

    def __init__(self) -> None:
        self._seen = (clock.now(), _counted())
        self._look_at = 0.0

    def now(self) -> datetime:
        """The present, as of the last look; this host's before the first one."""
        at, counted = self._seen
        return at + timedelta(seconds=_counted() - counted)

    def look(self, connection: sa.Connection) -> None:
        """Ask the server, if it was not asked lately."""
        asked = _counted()
        if asked < self._look_at:
            return
        at: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        answered = _counted()
        if answered - asked < _SLOW or not self._look_at:
            self._seen = (at + timedelta(seconds=(answered - asked) / 2), answered)
            self._look_at = answered + LOOK_EVERY.total_seconds()


def _counted() -> float:
    return time.clock_gettime(_COUNT)
