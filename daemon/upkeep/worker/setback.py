"""Setback: what is due when the clock was set back, because until then it seems to lie in the future."""

from dataclasses import replace
from datetime import datetime, timedelta

from upkeep.flows.follow import LONGEST_BACK_OFF
from upkeep.flows.ports import Unit

TOLERANCE = timedelta(minutes=1)
"""How far the clocks of two hosts may differ before it counts as set back."""

_AT_MOST = 10_000


def recover(unit: Unit, now: datetime) -> int:
    """Make due what was asked for at a time that has not come yet, and sources whose next poll lies further ahead than
    any interval. Returns how many there were."""
    found = 0
    for work in unit.work.list(_AT_MOST):
        if work.asked_at > now + TOLERANCE and work.due_at > now:
            unit.work.ask(work.kind, work.subject, now, "the clock was set back")
            found += 1
    for source in unit.sources.list():
        longest = 2 * max(source.poll_every_for, LONGEST_BACK_OFF)
        if source.next_poll_at is not None and source.next_poll_at > now + longest:
            unit.sources.save(replace(source, next_poll_at=now))
            found += 1
    return found
