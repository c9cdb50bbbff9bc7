"""Deliveries that come at the same time, and share a transaction."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tests.builders import a_source
from upkeep.adapters.store import SqlStore
from upkeep.domain.deliveries import DeliveryStatus, Push
from upkeep.domain.errors import TransientError
from upkeep.domain.people import DAEMON
from upkeep.domain.sources import Stall
from upkeep.flows import follow
from upkeep.flows.ports import Unit
from upkeep.flows.receive import Arrival, Readers, receive
from upkeep.web.intake import Intake

URL = "https://git.example.com/platform/templates.git"
COMING = 12


class Gate:
    """A store whose first writer waits until it is let through, before its transaction begins or before it is
    committed, and which may be out of order."""

    def __init__(self, store: SqlStore, *, at_the_end: bool) -> None:
        self._store = store
        self._at_the_end = at_the_end
        self.entered, self.open = threading.Event(), threading.Event()
        self.transactions = 0
        self.fault: Exception | None = None

    @contextmanager
    def write(self) -> Iterator[Unit]:
        self.transactions += 1
        if not self._at_the_end:
            self._hold_up()
        with self._store.write() as unit:
            yield unit
            if self._at_the_end:
                self._hold_up()

    def _hold_up(self) -> None:
        self.entered.set()
        assert self.open.wait(30)
        if self.fault is not None:
            raise self.fault


@pytest.fixture
def followed(store: SqlStore, now: datetime) -> SqlStore:
    with store.write() as unit:
        follow.add(unit, a_source(), actor=DAEMON, now=now)
    return store


def arrival(now: datetime, name: str, url: str = URL) -> Arrival:
    return Arrival(name, "push", Push(frozenset({url}), "refs/heads/main", "1" * 40, False), None, now)


def waiting(intake: Intake) -> int:
    return len(intake._waiting)


def all_at_once(gate: Gate, intake: Intake, arrivals: list[Arrival]) -> list[object]:
    """What each was answered, when the first one is held up until all others have come."""

    def outcome(one: Arrival) -> object:
        try:
            return intake.receive(one)
        except Exception as fault:
            return fault

    with ThreadPoolExecutor(len(arrivals)) as pool:
        first = pool.submit(outcome, arrivals[0])
        assert gate.entered.wait(30)
        others = [pool.submit(outcome, one) for one in arrivals[1:]]
        pause = threading.Event()
        while waiting(intake) < len(arrivals):
            pause.wait(0.001)
        gate.open.set()
        return [done.result(30) for done in (first, *others)]


@pytest.mark.parametrize(
    ("at_the_end", "transactions"),
    [pytest.param(False, 1, id="while its turn is waited for"), pytest.param(True, 2, id="while it is under way")],
)
def test_deliveries_that_come_before_a_transaction_share_it_and_those_that_come_during_it_the_next_one(
    followed: SqlStore, now: datetime, at_the_end: bool, transactions: int
) -> None:
    gate = Gate(followed, at_the_end=at_the_end)
    intake = Intake(gate, lambda source, at: timedelta())
    answered = all_at_once(gate, intake, [arrival(now, f"d-{number:02}") for number in range(COMING)])
    assert gate.transactions == transactions
    with followed.read() as unit:
        kept = {delivery.id: delivery for delivery in unit.deliveries.recent(COMING + 1)}
    assert answered == [kept[f"d-{number:02}"] for number in range(COMING)]
    assert {delivery.status for delivery in kept.values()} == {DeliveryStatus.RECEIVED}


@pytest.mark.parametrize("at_the_end", [False, True])
def test_a_transaction_that_fails_is_told_to_all_who_share_it_and_the_next_is_tried(
    followed: SqlStore, now: datetime, at_the_end: bool
) -> None:
    gate = Gate(followed, at_the_end=at_the_end)
    gate.fault = TransientError("the disk of the database is full")
    intake = Intake(gate, lambda source, at: timedelta())
    answered = all_at_once(gate, intake, [arrival(now, f"d-{number:02}") for number in range(COMING)])
    assert answered == [gate.fault] * COMING
    gate.fault = None
    assert intake.receive(arrival(now, "after")).status is DeliveryStatus.RECEIVED


def test_the_same_id_twice_in_one_transaction_is_one_delivery(followed: SqlStore, now: datetime) -> None:
    with followed.write() as unit:
        first, second, other = receive(unit, [arrival(now, "d"), arrival(now, "d"), arrival(now, "e")], Readers())
        assert first == second != other
        assert len(unit.deliveries.recent(10)) == 2


def test_readers_are_looked_up_anew_when_a_source_changes_and_not_when_it_was_only_read(
    followed: SqlStore, now: datetime
) -> None:
    readers, elsewhere = Readers(), "https://git.example.com/platform/other.git"
    with followed.write() as unit:
        before = unit.sources.edition()
        (told,) = receive(unit, [arrival(now, "early", elsewhere)], readers)
        assert told.reason == "no source reads this repository"
        source = unit.sources.get("templates")
        unit.sources.save(replace(source, checked_at=now, stall=Stall("gone", "look", now), failures=1))
        assert unit.sources.edition() == before
    for change in ("added", "changed", "removed"):
        with followed.write() as unit:
            if change == "added":
                follow.add(unit, a_source("other", url=elsewhere), actor=DAEMON, now=now)
            elif change == "changed":
                unit.sources.save(replace(unit.sources.get("other"), branch="release"))
            else:
                unit.sources.remove(unit.sources.get("other").name)
        with followed.write() as unit:
            (told,) = receive(unit, [arrival(now, change, elsewhere)], readers)
        expected = {"added": None, "changed": "no source reads branch `main`"}
        assert told.reason == expected.get(change, "no source reads this repository")
