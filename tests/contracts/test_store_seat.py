"""An SQLite database is used on one host at a time: another is refused while it is, and let in when it is not."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from upkeep.adapters.store import SqlStore, migrate, open_store
from upkeep.adapters.store.seat import Seat, network_file_system, type_of_mount
from upkeep.domain.errors import SettingsError, TransientError

BEAT, SILENCE = timedelta(seconds=0.05), timedelta(seconds=0.6)
SOON = 5.0

forked = multiprocessing.get_context("fork")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "upkeep.db"


def a_seat(database: Path, kernel: str, host: str) -> Seat:
    return Seat(database, kernel=kernel, host=host, beat_every_for=BEAT, silent_for=SILENCE)


@pytest.fixture
def held(database: Path) -> Iterator[Seat]:
    """The seat of the database, taken by host one."""
    seat = a_seat(database, "boot-1", "one")
    seat.take()
    yield seat
    seat.close()


def test_a_second_host_is_told_who_has_the_database_and_what_to_do(database: Path, held: Seat) -> None:
    began = time.monotonic()
    with pytest.raises(SettingsError) as refused:
        a_seat(database, "boot-2", "two").take()
    assert refused.value.faults == (
        f"{database} is in use by another host, one, and SQLite serves one host only: "
        "give all hosts one database of PostgreSQL (database.url), or run Upkeep on one host",
    )
    assert time.monotonic() - began < SILENCE.total_seconds()
    held.require()


def test_a_host_that_was_killed_leaves_its_seat_after_a_while(database: Path) -> None:
    def hold() -> None:
        a_seat(database, "boot-1", "one").take()
        signal.pause()

    process = forked.Process(target=hold)
    process.start()
    while not database.with_name("upkeep.db.seat").exists():
        process.join(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    other = a_seat(database, "boot-2", "two")
    began = time.monotonic()
    other.take()
    assert SILENCE.total_seconds() <= time.monotonic() - began
    other.require()
    other.close()


def test_processes_of_one_host_share_its_seat_and_wait_together_for_another_host(database: Path, held: Seat) -> None:
    sibling = a_seat(database, "boot-1", "a-container-with-another-name")
    sibling.take()
    held.close()
    sibling.close()
    both = [a_seat(database, "boot-2", name) for name in ("two", "also-two")]
    waiting = [threading.Thread(target=seat.take) for seat in both]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join(SOON)
        assert not thread.is_alive()
    for seat in both:
        seat.require()
        seat.close()


def test_a_host_that_slept_and_lost_its_seat_writes_no_more(database: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{database}"
    migrate(url, state=tmp_path)
    store: SqlStore = open_store(url, state=tmp_path)
    store.check()
    # What another host writes when it takes the seat of one that was silent.
    other = Seat(database, kernel="boot-2", host="two")
    other._show()
    with pytest.raises(TransientError, match="used by two: another host has begun to use the database") as lost:
        store.check()
    assert lost.value.cure is not None
    assert "PostgreSQL" in lost.value.cure
    store.close()


def test_a_file_system_of_this_machine_is_none_of_a_network(tmp_path: Path) -> None:
    assert network_file_system(tmp_path) is None


def test_a_file_system_is_known_by_its_device() -> None:
    mounts = (
        "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "22 21 0:40 / /srv rw shared:3 - nfs4 filer:/srv rw\n"
        "23 22 8:2 / /srv/quick rw - xfs /dev/sdb1 rw\n"
    )
    devices = [(8, 1), (0, 40), (8, 2), (8, 3)]
    assert [type_of_mount(mounts, os.makedev(*device)) for device in devices] == ["ext4", "nfs4", "xfs", ""]
