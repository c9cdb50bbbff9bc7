"""Prune: let go of old records, a few at a time, so that nobody waits for it."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from upkeep.domain import events
from upkeep.domain.people import DAEMON
from upkeep.domain.records import Records
from upkeep.domain.work import Claim, WorkKind
from upkeep.flows.ports import Store, Unit

SUBJECT = "records"
"""There is one PRUNE work, and this is its subject."""

AGAIN_AFTER = timedelta(days=1)

AT_ONCE: Mapping[Records, int] = {Records.RENDERINGS: 20, Records.PREVIEWS: 20}
"""How many go in one transaction, of those that are large."""

AT_ONCE_ELSE = 500


def asked(unit: Unit) -> bool:
    """Whether it will be done."""
    return unit.work.find(WorkKind.PRUNE, SUBJECT) is not None


def ask(unit: Unit, now: datetime) -> None:
    """Have it done now, and once a day from then on."""
    unit.work.ask(WorkKind.PRUNE, SUBJECT, now)


def prune(store: Store, claim: Claim, kept_for: Mapping[Records, timedelta], *, now: datetime) -> None:
    """Let go of all records that are older than they are kept for, and come again in a day.

    That records of a kind go, and how many, is written down together with the first of them.
    """
    for records, span in kept_for.items():
        _let_go(store, claim, records, now - span, now)
    with store.write() as unit:
        unit.work.done(claim, again_at=now + AGAIN_AFTER)


def _let_go(store: Store, claim: Claim, records: Records, before: datetime, now: datetime) -> None:
    with store.read() as unit:
        count = unit.records.count(records, before)
    told = False
    last = None
    while count:
        # Looked for while others write, and removed by their keys.
        with store.read() as unit:
            found = unit.records.past(records, before, AT_ONCE.get(records, AT_ONCE_ELSE), last)
        if not found:
            return
        last = found[-1]
        with store.write() as unit:
            unit.work.hold(claim)
            unit.records.remove(records, before, found)
            if not told:
                unit.journal.record(events.RecordsPruned(f"records/{records}", count, before.isoformat()), DAEMON, now)
        told = True
