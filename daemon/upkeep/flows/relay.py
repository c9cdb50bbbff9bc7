"""Relay: pay the notices owed to a channel."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from upkeep.domain.errors import CallerError, StalledError, TransientError, UpkeepError
from upkeep.domain.notices import OwedNotice, as_one, as_sent, tells_of_draft, together
from upkeep.domain.work import Claim, WorkKind
from upkeep.flows.ports import Channels, Store, Unit

FIRST_RETRY_AFTER = timedelta(seconds=5)
"""How long after a failure a notice is sent again; doubled with every further one."""

LONGEST_RETRY_AFTER = timedelta(hours=1)
"""The longest wait between two tries, and the usual one while a channel waits for a person."""

REFUSALS_AT_MOST = 3
"""A notice the channel itself refuses is given up when it has been tried this often, so that the next one goes."""

SENT_AT_MOST = 50
"""How many notices go out under one claim."""

GATHERED_FOR = timedelta(seconds=3)
"""How long a notice of a draft waits for those of the commits that were pushed with it."""

TOGETHER_AT_MOST = 100
"""How many waiting notices are looked at for what goes out as one message."""

_WORKS_AT_MOST = 10_000


def relay(store: Store, channels: Channels, claim: Claim, *, now: datetime) -> None:
    """Do one RELAY work: send what is owed to the channel that is the work's subject, oldest first.

    Every message is written down as sent before the next one goes out, so that a crash in between repeats one
    message at most. A channel that cannot be reached keeps its notices and is asked again later.
    """
    with store.write() as unit:
        unit.work.hold(claim)
        going = _next(unit, claim, now)
        parent = _parent(unit, going)
    sent = 0
    while going:
        try:
            receipt = channels.send(as_sent(as_one(going), now), parent)
        except (TransientError, StalledError, CallerError) as failure:
            with store.write() as unit:
                unit.work.hold(claim)
                _put_off(unit, claim, going[0], failure, now)
            return
        sent += 1
        with store.write() as unit:
            unit.work.hold(claim)
            for each in going:
                unit.outbox.save(replace(each, sent_at=now, receipt=receipt, failure=None, not_before=None))
            pace = channels.pace(claim.subject)
            if pace or sent == SENT_AT_MOST:
                unit.work.done(claim, again_at=now + pace)
                return
            going = _next(unit, claim, now)
            parent = _parent(unit, going)


def resume(unit: Unit, *, now: datetime) -> None:
    """Ask for every channel that failed last to be relayed now: whoever started the daemon may have mended it."""
    for work in unit.work.list(_WORKS_AT_MOST):
        if work.kind is WorkKind.RELAY and work.failure is not None:
            unit.work.ask(WorkKind.RELAY, work.subject, now, "start")


def _next(unit: Unit, claim: Claim, now: datetime) -> Sequence[OwedNotice]:
    """The oldest notice that may go now, and those that go with it; without one the work is ended or put off."""
    waiting = tuple(_gathering(unit, owed, now) for owed in unit.outbox.unsent(claim.subject, TOGETHER_AT_MOST))
    if not waiting:
        unit.work.done(claim)
        return ()
    oldest = waiting[0]
    if oldest.not_before is not None and oldest.not_before > now:
        if oldest.failure is None:
            unit.work.done(claim, again_at=oldest.not_before)
        else:
            unit.work.retry(claim, oldest.not_before, oldest.failure)
        return ()
    return together(waiting)


def _gathering(unit: Unit, owed: OwedNotice, now: datetime) -> OwedNotice:
    """A notice of a draft that was not seen before waits a moment."""
    if owed.attempts or owed.not_before is not None or not tells_of_draft(owed):
        return owed
    waits = replace(owed, not_before=now + GATHERED_FOR)
    unit.outbox.save(waits)
    return waits


def _parent(unit: Unit, going: Sequence[OwedNotice]) -> str | None:
    if not going:
        return None
    notice = as_one(going).notice
    if notice.thread is None or notice.key.startswith(notice.thread):
        return None
    return unit.outbox.receipt(notice.channel, notice.thread)


def _put_off(unit: Unit, claim: Claim, owed: OwedNotice, failure: UpkeepError, now: datetime) -> None:
    """Keep the notice and why it could not go. Only a message that is itself refused is ever given up."""
    attempts = owed.attempts + 1
    wait = min(FIRST_RETRY_AFTER * 2 ** min(owed.attempts, 16), LONGEST_RETRY_AFTER)
    told_to_wait = failure.retry_after if isinstance(failure, TransientError) else None
    if isinstance(failure, StalledError):
        wait = LONGEST_RETRY_AFTER
    given_up = isinstance(failure, CallerError) and attempts >= REFUSALS_AT_MOST
    unit.outbox.save(
        replace(
            owed,
            attempts=attempts,
            failure=str(failure),
            not_before=None if told_to_wait is None else now + told_to_wait,
            given_up_at=now if given_up else None,
        )
    )
    if given_up:
        unit.work.done(claim, again_at=now)
    else:
        unit.work.retry(claim, now + (wait if told_to_wait is None else told_to_wait), str(failure))
