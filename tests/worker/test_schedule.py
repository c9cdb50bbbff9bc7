"""What the clock asks for."""

import threading
from datetime import datetime, timedelta

import pytest

from tests import builders
from upkeep.adapters.store import SqlStore
from upkeep.domain.work import WorkKind
from upkeep.worker import schedule
from upkeep.worker.schedule import Schedule


def test_a_source_whose_time_has_come_is_asked_to_sync_once(store: SqlStore, now: datetime) -> None:
    with store.write() as unit:
        unit.sources.add(builders.a_source("due", next_poll_at=now))
        unit.sources.add(builders.a_source("later", next_poll_at=now + timedelta(minutes=1)))
    schedule.poll(store, now)
    schedule.poll(store, now)
    with store.read() as unit:
        assert [(row.kind, row.subject) for row in unit.work.list(10)] == [(WorkKind.SYNC, "due")]
        next_poll_at = unit.sources.get("due").next_poll_at
    assert next_poll_at is not None
    assert now + timedelta(minutes=4) < next_poll_at < now + timedelta(minutes=6)


def test_it_ticks_also_after_the_clock_was_realigned_and_after_a_tick_that_failed(
    store: SqlStore, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = threading.Semaphore(0)

    def broken(*_: object) -> None:
        ticks.release()
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(schedule, "poll", broken)
    monkeypatch.setattr(schedule, "POLL_EVERY", timedelta(seconds=1))
    running = Schedule(store, clock=lambda: now, tidy=lambda: None)
    running.start()
    try:
        assert ticks.acquire(timeout=10)
        running.realign()
        assert ticks.acquire(timeout=10)
    finally:
        running.stop()
