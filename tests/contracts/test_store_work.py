"""The queue: nothing is lost, nothing ends twice, one holder at a time."""

from datetime import datetime, timedelta

import pytest

from upkeep.adapters.store import SqlStore
from upkeep.domain.errors import LostLease
from upkeep.domain.work import Claim, WorkKind

LEASE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
ALL = tuple(WorkKind)


def ask(store: SqlStore, at: datetime, subject: str = "a", kind: WorkKind = WorkKind.SYNC, cause: str = "") -> None:
    with store.write() as unit:
        unit.work.ask(kind, subject, at, cause)


def claim(store: SqlStore, at: datetime, kinds: tuple[WorkKind, ...] = ALL) -> Claim | None:
    with store.write() as unit:
        return unit.work.claim(kinds, at, LEASE)


def claimed(store: SqlStore, at: datetime) -> Claim:
    found = claim(store, at)
    assert found is not None
    return found


def done(store: SqlStore, holder: Claim, again_at: datetime | None = None) -> None:
    with store.write() as unit:
        unit.work.done(holder, again_at)


def next_due(store: SqlStore) -> datetime | None:
    with store.read() as unit:
        return unit.work.next_due_at()


def test_work_is_claimed_when_it_is_due_and_by_one_only(each_store: SqlStore, now: datetime) -> None:
    ask(each_store, now, cause="webhook")
    assert claim(each_store, now - SECOND) is None
    holder = claimed(each_store, now)
    assert (holder.kind, holder.subject, holder.cause) == (WorkKind.SYNC, "a", "webhook")
    assert (holder.attempts, holder.leased_until) == (1, now + LEASE)
    assert claim(each_store, now) is None


def test_the_longest_due_comes_first_and_what_is_due_at_once_in_the_order_of_asking(
    each_store: SqlStore, now: datetime
) -> None:
    for subject, at in (("c", now), ("b", now), ("a", now), ("z", now - SECOND)):
        ask(each_store, at, subject)
    assert [claimed(each_store, now).subject for _ in range(4)] == ["z", "c", "b", "a"]


def test_only_the_wanted_kinds_are_claimed(each_store: SqlStore, now: datetime) -> None:
    ask(each_store, now, "a", WorkKind.RELAY)
    assert claim(each_store, now, (WorkKind.SYNC, WorkKind.DEPLOY)) is None
    assert claim(each_store, now, ()) is None
    assert claim(each_store, now, (WorkKind.RELAY,)) is not None


def test_asking_twice_before_the_claim_is_one_run_at_the_sooner_time_with_the_last_cause(
    each_store: SqlStore, now: datetime
) -> None:
    ask(each_store, now + SECOND, cause="poll")
    ask(each_store, now, cause="webhook")
    ask(each_store, now + LEASE, cause="person")
    assert next_due(each_store) == now
    holder = claimed(each_store, now)
    assert holder.cause == "person"
    done(each_store, holder)
    assert next_due(each_store) is None


def test_asking_while_it_runs_makes_it_run_once_more(each_store: SqlStore, now: datetime) -> None:
    ask(each_store, now)
    holder = claimed(each_store, now)
    ask(each_store, now + 2 * SECOND)
    ask(each_store, now + SECOND)
    ask(each_store, now + 3 * SECOND)
    assert claim(each_store, now + 5 * SECOND) is None
    done(each_store, holder)
    assert next_due(each_store) == now + SECOND
    again = claimed(each_store, now + SECOND)
    assert (again.attempts, again.token > holder.token) == (1, True)
    done(each_store, again)
    assert next_due(each_store) is None


def test_work_that_ends_well_can_ask_for_itself_again(each_store: SqlStore, now: datetime) -> None:
    ask(each_store, now)
    done(each_store, claimed(each_store, now), again_at=now + LEASE)
    assert next_due(each_store) == now + LEASE
    assert claimed(each_store, now + LEASE).attempts == 1


def test_what_did_not_end_well_comes_again_with_its_attempts(each_store: SqlStore, now: datetime) -> None:
    ask(each_store, now)
    with each_store.write() as unit:
        unit.work.retry(_required(unit.work.claim(ALL, now, LEASE)), now + SECOND, "it was away")
        (row,) = unit.work.list(9)
    assert (row.attempts, row.failure, row.due_at, row.leased_until) == (1, "it was away", now + SECOND, None)
    assert claim(each_store, now) is None
    again = claimed(each_store, now + SECOND)
    assert again.attempts == 2
    done(each_store, again, again_at=now + LEASE)
    with each_store.read() as unit:
        (row,) = unit.work.list(9)
    assert (row.attempts, row.failure) == (0, None)


def test_a_retry_comes_as_soon_as_somebody_asked_meanwhile(each_store: SqlStore, now: datetime) -> None:
    ask(each_store, now)
    holder = claimed(each_store, now)
    ask(each_store, now + SECOND)
    with each_store.write() as unit:
        unit.work.retry(holder, now + timedelta(hours=1), "it was away")
    assert next_due(each_store) == now + SECOND


def test_a_lease_that_ended_is_claimed_by_another_and_its_holder_may_write_no_more(
    each_store: SqlStore, now: datetime
) -> None:
    ask(each_store, now)
    first = claimed(each_store, now)
    assert next_due(each_store) == first.leased_until
    second = claimed(each_store, first.leased_until)
    assert (second.attempts, second.token > first.token) == (2, True)
    for write in ("hold", "done", "retry"):
        with pytest.raises(LostLease), each_store.write() as unit:
            unit.people.note_failed_sign_in("x", "192.0.2.1", now)
            if write == "hold":
                unit.work.hold(first)
            elif write == "done":
                unit.work.done(first)
            else:
                unit.work.retry(first, now, "")
    with each_store.write() as unit:
        assert not unit.work.renew(first, now + LEASE)
        assert unit.people.failed_sign_ins(now, "x").count == 0
        unit.work.hold(second)
        unit.work.done(second)


def test_a_holder_that_slept_through_everything_finds_no_row_of_its_own(each_store: SqlStore, now: datetime) -> None:
    ask(each_store, now)
    sleeper = claimed(each_store, now)
    done(each_store, claimed(each_store, sleeper.leased_until))
    ask(each_store, now)
    claimed(each_store, now)
    with pytest.raises(LostLease), each_store.write() as unit:
        unit.work.hold(sleeper)


def test_a_lease_can_be_prolonged(each_store: SqlStore, now: datetime) -> None:
    ask(each_store, now)
    holder = claimed(each_store, now)
    with each_store.write() as unit:
        assert unit.work.renew(holder, now + 3 * LEASE)
    assert claim(each_store, now + 2 * LEASE) is None
    assert next_due(each_store) == now + 3 * LEASE


def test_the_queue_shows_what_is_held_and_what_waits(each_store: SqlStore, now: datetime) -> None:
    ask(each_store, now, "held")
    ask(each_store, now + SECOND, "waits")
    claimed(each_store, now)
    with each_store.read() as unit:
        waits, held = unit.work.list(9)
        assert (waits.subject, waits.due_at, waits.leased_until) == ("waits", now + SECOND, None)
        assert (held.subject, held.leased_until, held.asked_at) == ("held", now + LEASE, now)
        assert len(unit.work.list(1)) == 1


def _required(found: Claim | None) -> Claim:
    assert found is not None
    return found
