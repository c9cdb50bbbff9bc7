"""The worker's loop, with real threads over a real store."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
import structlog

from tests import builders
from upkeep.adapters.store import SqlStore
from upkeep.domain.errors import LostLease, StalledError, TransientError
from upkeep.domain.work import Claim, DueWork, WorkKind
from upkeep.flows.ports import Unit
from upkeep.worker.loop import BUG_ATTEMPTS_AT_MOST, SET_ASIDE_FOR, Worker
from upkeep.worker.works import Work

MINUTE = timedelta(minutes=1)


def until(what: str, condition: Callable[[], bool], within: float = 10.0) -> None:
    """Wait for a condition, looking often; fails when it does not come true."""
    pause = threading.Event()
    for _ in range(int(within / 0.005)):
        if condition():
            return
        pause.wait(0.005)
    pytest.fail(f"{what} did not happen within {within} s")


@dataclass
class Clock:
    """A clock that tests set."""

    at: datetime

    def __call__(self) -> datetime:
        return self.at


@contextmanager
def working(
    store: Any, works: Mapping[WorkKind, Work], clock: Callable[[], datetime], **options: Any
) -> Iterator[Worker]:
    """A worker that runs in a thread while the block lasts."""
    given: dict[str, Any] = {"lease_for": MINUTE, "concurrency": 2, "chance": lambda: 0.5} | options
    worker = Worker(store, works, clock=clock, **given)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(10)
        assert not thread.is_alive(), "the worker did not end"


def ask(store: SqlStore, kind: WorkKind, subject: str, at: datetime) -> None:
    with store.write() as unit:
        unit.work.ask(kind, subject, at, "test")
    store.ring()


def rows(store: SqlStore) -> dict[str, DueWork]:
    with store.read() as unit:
        return {row.subject: row for row in unit.work.list(100)}


def done(store: SqlStore) -> Work:
    """Work that ends well at once."""

    def work(claim: Claim) -> None:
        with store.write() as unit:
            unit.work.done(claim)

    return work


def raising(failure: Exception) -> Work:
    def work(claim: Claim) -> None:
        raise failure

    return work


def test_work_that_is_due_is_done_and_its_row_goes(any_store: SqlStore, now: datetime) -> None:
    works = {WorkKind.SYNC: done(any_store)}
    with working(any_store, works, Clock(now)), working(any_store, works, Clock(now)):
        for name in ("one", "two", "three"):
            ask(any_store, WorkKind.SYNC, name, now)
        until("all work", lambda: not rows(any_store))


def test_work_is_left_alone_until_it_is_due(store: SqlStore, now: datetime) -> None:
    clock = Clock(now)
    ask(store, WorkKind.SYNC, "later", now + MINUTE)
    ask(store, WorkKind.SYNC, "now", now)
    with working(store, {WorkKind.SYNC: done(store)}, clock):
        until("the due work", lambda: set(rows(store)) == {"later"})
        clock.at = now + MINUTE
        store.ring()
        until("the later work", lambda: not rows(store))


def test_an_errand_is_run_where_the_worker_claims_next_and_one_that_fails_stops_nothing(
    any_store: SqlStore, now: datetime
) -> None:
    def broken(unit: Unit) -> None:
        unit.work.ask(WorkKind.SYNC, "undone", now)
        raise ZeroDivisionError("oh")

    worked: list[str] = []

    def work(claim: Claim) -> None:
        worked.append(claim.subject)
        done(any_store)(claim)

    errands: deque[Callable[[Unit], None]] = deque([broken])
    with working(any_store, {WorkKind.SYNC: work}, Clock(now), errands=errands):
        until("the broken errand", lambda: not errands)
        errands.append(lambda unit: unit.work.ask(WorkKind.SYNC, "asked", now))
        any_store.ring()
        until("what the errand asked for", lambda: worked == ["asked"])
        until("its end", lambda: not rows(any_store))


def test_slow_syncs_do_not_hold_up_a_deployment(store: SqlStore, now: datetime) -> None:
    release, deployed = threading.Event(), threading.Event()
    most = Most()

    def slow(claim: Claim) -> None:
        with most.counted():
            release.wait(10)
        done(store)(claim)

    def deploy(claim: Claim) -> None:
        done(store)(claim)
        deployed.set()

    for number in range(6):
        ask(store, WorkKind.SYNC, f"slow-{number}", now)
    with working(store, {WorkKind.SYNC: slow, WorkKind.DEPLOY: deploy}, Clock(now), concurrency=2):
        until("two syncs at a time", lambda: most.now == 2)
        ask(store, WorkKind.DEPLOY, "urgent", now)
        assert deployed.wait(10)
        assert most.now == 2
        release.set()
        until("all work", lambda: not rows(store))
    assert most.ever == 2


def test_a_kind_of_work_has_as_many_places_as_were_said_for_it(store: SqlStore, now: datetime) -> None:
    most, release = Most(), threading.Event()

    def slow(claim: Claim) -> None:
        with most.counted():
            release.wait(10)
        done(store)(claim)

    for number in range(3):
        ask(store, WorkKind.SYNC, f"slow-{number}", now)
        ask(store, WorkKind.RELAY, f"quick-{number}", now)
    kinds = {WorkKind.SYNC: slow, WorkKind.RELAY: done(store)}
    with working(store, kinds, Clock(now), concurrency=3, at_once={WorkKind.SYNC: 1}):
        until("one sync", lambda: most.now == 1)
        until("the others' end", lambda: not any(name.startswith("quick") for name in rows(store)))
        assert most.now == 1
        release.set()
        until("all work", lambda: not rows(store))
    assert most.ever == 1


def test_what_may_work_later_is_tried_again_ever_later(store: SqlStore, now: datetime) -> None:
    clock = Clock(now)
    ask(store, WorkKind.SYNC, "templates", now)
    with working(store, {WorkKind.SYNC: raising(TransientError("no answer"))}, clock):
        waits = []
        for attempt in (1, 2, 3):
            until(f"attempt {attempt}", partial(failed, store, attempt))
            waits.append(rows(store)["templates"].due_at - clock.at)
            clock.at = rows(store)["templates"].due_at
            store.ring()
    assert waits == [timedelta(seconds=1), timedelta(seconds=2), timedelta(seconds=4)]
    assert rows(store)["templates"].failure == "no answer"


def test_a_remote_that_says_when_to_come_back_is_obeyed(store: SqlStore, now: datetime) -> None:
    ask(store, WorkKind.RELAY, "templates", now)
    refusal = TransientError("slow down", retry_after=timedelta(seconds=77))
    with working(store, {WorkKind.RELAY: raising(refusal)}, Clock(now)):
        until("the attempt", lambda: failed(store, 1))
    assert rows(store)["templates"].due_at == now + timedelta(seconds=77)


def test_what_needs_a_person_is_set_aside_until_somebody_asks(store: SqlStore, now: datetime) -> None:
    ask(store, WorkKind.SYNC, "templates", now)
    seen = Most()

    def stalls(claim: Claim) -> None:
        with seen.counted():
            raise StalledError("the key is gone", cure="put it back")

    with working(store, {WorkKind.SYNC: stalls}, Clock(now)):
        until("the first attempt", lambda: failed(store, 1))
        assert rows(store)["templates"].due_at == now + SET_ASIDE_FOR
        assert rows(store)["templates"].failure == "the key is gone (put it back)"
        ask(store, WorkKind.SYNC, "templates", now)
        until("the second attempt", lambda: failed(store, 2))
    assert seen.total == 2


def test_a_bug_is_written_down_and_tried_again_a_few_times_only(store: SqlStore, now: datetime) -> None:
    clock = Clock(now)
    works = {WorkKind.SYNC: raising(ZeroDivisionError("division by zero")), WorkKind.DEPLOY: done(store)}
    ask(store, WorkKind.SYNC, "templates", now)
    with working(store, works, clock):
        waits = []
        for attempt in range(1, BUG_ATTEMPTS_AT_MOST + 1):
            until(f"attempt {attempt}", partial(failed, store, attempt))
            waits.append(rows(store)["templates"].due_at - clock.at)
            clock.at = rows(store)["templates"].due_at
            store.ring()
        ask(store, WorkKind.DEPLOY, "other", clock.at)
        until("other work", lambda: "other" not in rows(store))
    assert waits == [MINUTE, 4 * MINUTE, 16 * MINUTE, 64 * MINUTE, SET_ASIDE_FOR]
    assert rows(store)["templates"].failure == "bug: ZeroDivisionError, see the log"


def test_work_that_another_worker_has_claimed_is_left_to_it(store: SqlStore, now: datetime) -> None:
    ask(store, WorkKind.SYNC, "templates", now)
    ended = threading.Event()

    def overtaken(claim: Claim) -> None:
        with store.write() as unit:
            later = unit.work.claim([WorkKind.SYNC], now + 2 * MINUTE, MINUTE)
        assert later is not None
        assert later.token != claim.token
        try:
            with store.write() as unit:
                unit.work.hold(claim)
        except LostLease:
            ended.set()
            raise

    with working(store, {WorkKind.SYNC: overtaken}, Clock(now)):
        assert ended.wait(10)
    row = rows(store)["templates"]
    assert row.leased_until == now + 3 * MINUTE
    assert row.failure is None


def test_a_lease_is_renewed_for_as_long_as_the_work_lasts(store: SqlStore, now: datetime) -> None:
    clock = Clock(now)
    release, begun = threading.Event(), threading.Event()

    def long(claim: Claim) -> None:
        begun.set()
        release.wait(10)
        done(store)(claim)

    ask(store, WorkKind.SYNC, "templates", now)
    lease = timedelta(milliseconds=60)
    with working(store, {WorkKind.SYNC: long}, clock, lease_for=lease, concurrency=1):
        assert begun.wait(10)
        clock.at = now + MINUTE
        until("a renewal", lambda: rows(store)["templates"].leased_until == now + MINUTE + lease)
        assert rows(store)["templates"].attempts == 1
        with store.write() as unit:
            assert unit.work.claim([WorkKind.SYNC], now + MINUTE, lease) is None
        release.set()
        until("the end", lambda: not rows(store))


def test_work_that_does_not_end_is_given_back_when_the_worker_stops(store: SqlStore, now: datetime) -> None:
    release, begun = threading.Event(), threading.Event()

    def endless(claim: Claim) -> None:
        begun.set()
        release.wait(10)
        raise LostLease("somebody else has it")

    ask(store, WorkKind.SYNC, "templates", now)
    worker = Worker(store, {WorkKind.SYNC: endless}, clock=Clock(now), lease_for=MINUTE, concurrency=1)
    ends: list[bool] = []
    thread = threading.Thread(target=lambda: ends.append(worker.run(finish_within=timedelta(milliseconds=50))))
    thread.start()
    assert begun.wait(10)
    worker.stop()
    thread.join(10)
    assert ends == [False]
    with store.write() as unit:
        assert unit.work.claim([WorkKind.SYNC], now, MINUTE) is not None
    release.set()


def test_work_that_has_begun_is_finished_before_the_worker_stops(store: SqlStore, now: datetime) -> None:
    release, begun = threading.Event(), threading.Event()

    def slow(claim: Claim) -> None:
        begun.set()
        release.wait(10)
        done(store)(claim)

    ask(store, WorkKind.SYNC, "templates", now)
    worker = Worker(store, {WorkKind.SYNC: slow}, clock=Clock(now), lease_for=MINUTE, concurrency=1)
    ends: list[bool] = []
    thread = threading.Thread(target=lambda: ends.append(worker.run()))
    thread.start()
    assert begun.wait(10)
    worker.stop()
    release.set()
    thread.join(10)
    assert ends == [True]
    assert not rows(store)


@dataclass
class Outage:
    """A store whose database does not answer for a while."""

    store: SqlStore
    away: bool = True
    asked: int = 0

    @contextmanager
    def read(self) -> Iterator[Unit]:
        self._answer()
        with self.store.read() as unit:
            yield unit

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Unit]:
        self._answer()
        with self.store.write(durable=durable) as unit:
            yield unit

    def check(self) -> None:
        self.store.check()

    def ring(self) -> None:
        self.store.ring()

    def wait(self, at_most: timedelta) -> None:
        self.store.wait(at_most)

    def _answer(self) -> None:
        self.asked += 1
        if self.away:
            raise TransientError("the database does not answer")


def test_an_outage_of_the_database_is_said_once_and_outlasted(store: SqlStore, now: datetime) -> None:
    ask(store, WorkKind.SYNC, "templates", now)
    outage = Outage(store)
    with structlog.testing.capture_logs() as lines, working(outage, {WorkKind.SYNC: done(store)}, Clock(now)):
        until("a second try", lambda: outage.asked >= 2)
        outage.away = False
        until("the work", lambda: not rows(store))
    said = [line["event"] for line in lines if line["log_level"] in ("error", "info")]
    assert said == ["no work can be claimed", "work can be claimed again"]


def test_a_clock_that_is_set_back_while_the_worker_runs_stops_nothing(store: SqlStore, now: datetime) -> None:
    clock = Clock(now)
    noticed = threading.Event()
    with working(store, {WorkKind.SYNC: done(store)}, clock, on_setback=noticed.set):
        ask(store, WorkKind.SYNC, "before", now)
        until("the first work", lambda: not rows(store))
        with store.write() as unit:
            # In one transaction, which who notices the clock has to wait for.
            clock.at = now - timedelta(days=1)
            unit.work.ask(WorkKind.SYNC, "asked at noon", now)
        until("the work asked for in the future", lambda: not rows(store))
        assert noticed.is_set()


def test_a_clock_that_was_set_back_before_the_worker_started_stops_nothing(store: SqlStore, now: datetime) -> None:
    with store.write() as unit:
        unit.sources.add(builders.a_source(next_poll_at=now + timedelta(days=1)))
    ask(store, WorkKind.SYNC, "asked tomorrow", now + timedelta(days=1))
    with working(store, {WorkKind.SYNC: done(store)}, Clock(now)):
        until("the work", lambda: not rows(store))
    with store.read() as unit:
        assert unit.sources.get("templates").next_poll_at == now


def failed(store: SqlStore, attempts: int) -> bool:
    row = rows(store).get("templates")
    return row is not None and row.failure is not None and row.attempts == attempts and row.leased_until is None


@dataclass
class Most:
    """Counts how many are inside at a time."""

    now: int = 0
    ever: int = 0
    total: int = 0
    _lock: Any = field(default_factory=threading.Lock)

    def counted(self) -> AbstractContextManager[None]:
        return self._counted()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self.now += 1
            self.total += 1
            self.ever = max(self.ever, self.now)
        try:
            yield
        finally:
            with self._lock:
                self.now -= 1
