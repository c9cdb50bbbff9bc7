"""Rings wake those who wait, wherever they are, and nobody turns in circles meanwhile."""

import multiprocessing
import resource
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from upkeep.adapters.store import SqlStore, open_store
from upkeep.domain.work import WorkKind

LONG = timedelta(seconds=20)
SOON = 5.0

forked = multiprocessing.get_context("fork")


def waiting(store: SqlStore) -> "tuple[threading.Thread, threading.Event]":
    """A thread that waits, past its first wait, and what it sets when it was woken."""
    ready, woken = threading.Event(), threading.Event()

    def sleep() -> None:
        store.wait(LONG)
        store.wait(timedelta(seconds=0.2))
        ready.set()
        store.wait(LONG)
        woken.set()

    thread = threading.Thread(target=sleep, daemon=True)
    thread.start()
    assert ready.wait(SOON)
    return thread, woken


@pytest.fixture
def second_store(database_url: str, tmp_path: Path) -> Iterator[SqlStore]:
    """The store of `any_store` once more, as another process has it."""
    opened = open_store(database_url, state=tmp_path / "state")
    yield opened
    opened.close()


def test_a_ring_wakes_everybody_who_waits(each_store: SqlStore) -> None:
    sleepers = [waiting(each_store) for _ in range(3)]
    each_store.ring()
    for thread, woken in sleepers:
        assert woken.wait(SOON)
        thread.join()


def test_a_ring_is_heard_in_other_stores_of_the_database(any_store: SqlStore, second_store: SqlStore) -> None:
    sleepers = [waiting(any_store), waiting(second_store)]
    any_store.ring()
    for thread, woken in sleepers:
        assert woken.wait(SOON)
        thread.join()


def test_work_that_was_asked_for_rings_when_it_is_committed_and_not_before(any_store, second_store, now) -> None:
    _, woken = waiting(second_store)
    with any_store.write() as unit:
        unit.work.ask(WorkKind.SYNC, "a", now)
        assert not woken.wait(0.1)
    assert woken.wait(SOON)


def test_a_unit_that_asks_for_nothing_rings_nobody(any_store, second_store, now) -> None:
    _, woken = waiting(second_store)
    with any_store.write() as unit:
        unit.people.note_failed_sign_in("a", "192.0.2.1", now)
    with any_store.read() as unit:
        unit.work.next_due_at()
    assert not woken.wait(0.1)
    second_store.ring()
    assert woken.wait(SOON)


def test_a_ring_between_two_waits_is_not_lost(each_store: SqlStore) -> None:
    each_store.wait(LONG)
    each_store.wait(timedelta(seconds=0.2))
    each_store.ring()
    began = time.monotonic()
    each_store.wait(LONG)
    assert time.monotonic() - began < SOON


def test_waiting_takes_no_longer_than_allowed(each_store: SqlStore) -> None:
    each_store.wait(LONG)
    each_store.wait(timedelta(seconds=0.3))
    began = time.monotonic()
    each_store.wait(timedelta(seconds=0.1))
    each_store.wait(timedelta(0))
    each_store.wait(timedelta(seconds=-1))
    assert 0.1 <= time.monotonic() - began < SOON


def test_waiting_costs_no_processor_time(any_store: SqlStore) -> None:
    any_store.wait(LONG)
    any_store.wait(timedelta(seconds=0.2))
    before = resource.getrusage(resource.RUSAGE_SELF)
    any_store.wait(timedelta(seconds=0.5))
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime < 0.05


def _wait_in_child(url: str, state: Path, told: Connection) -> None:
    store = open_store(url, state=state)
    store.wait(LONG)
    store.wait(timedelta(seconds=0.2))
    told.send("ready")
    store.wait(LONG)
    told.send("woken")
    store.wait(LONG)


def test_a_process_that_was_killed_while_it_waited_disturbs_nobody(
    any_store: SqlStore, database_url: str, tmp_path: Path
) -> None:
    here, there = forked.Pipe()
    child = forked.Process(target=_wait_in_child, args=(database_url, tmp_path / "state", there), daemon=True)
    child.start()
    assert here.poll(SOON) and here.recv() == "ready"
    any_store.ring()
    assert here.poll(SOON) and here.recv() == "woken"
    child.kill()
    child.join()
    any_store.ring()
    bells = tmp_path / "state" / "bells"
    assert not bells.exists() or list(bells.iterdir()) == []
    _, woken = waiting(any_store)
    any_store.ring()
    assert woken.wait(SOON)


def test_closing_ends_the_listening_and_leaves_nothing_behind(database_url: str, tmp_path: Path) -> None:
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    store = open_store(database_url, state=tmp_path / "state")
    _, woken = waiting(store)
    store.ring()
    assert woken.wait(SOON)
    store.close()
    assert [thread.name for thread in threading.enumerate() if thread.name == "upkeep-bell"] == []
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    bells = tmp_path / "state" / "bells"
    assert not bells.exists() or list(bells.iterdir()) == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_who_listens_finds_the_server_again_after_it_cut_all_connections(
    any_store: SqlStore, second_store: SqlStore, database_url: str
) -> None:
    _, woken = waiting(second_store)
    url = sa.make_url(database_url)
    with psycopg.connect(url.set(database="postgres").render_as_string(), autocommit=True) as administrator:
        administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [url.database]
        )
    # To be cut off wakes, too: something may have been rung meanwhile.
    assert woken.wait(SOON)
    _, woken = waiting(second_store)
    any_store.ring()
    assert woken.wait(SOON)
