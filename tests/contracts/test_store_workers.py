"""Workers that are killed at random, on each kind of database: what they leave behind is taken up, once."""

import multiprocessing
import os
import random
import signal
import time
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from tests.builders import a_deployment, an_environment
from upkeep.adapters.store import SqlStore, open_store
from upkeep.domain.errors import LostLease, TransientError
from upkeep.domain.notices import Notice
from upkeep.domain.people import Role, User
from upkeep.domain.work import Claim, WorkKind

JOBS = 150
WORKERS = 3
LEASE = timedelta(seconds=0.4)
FOR_AT_MOST = 40.0

forked = multiprocessing.get_context("fork")


def _now() -> datetime:
    return datetime.now(UTC)


def _work(url: str, state: Path, diary: Path) -> None:
    """Claim and do work for ever. A job writes a user, then a notice, in two transactions, as a flow would."""
    store = open_store(url, state=state)
    while True:
        try:
            _work_once(store, diary)
        except (LostLease, TransientError):
            continue


def _work_once(store: SqlStore, diary: Path) -> None:
    with store.write() as unit:
        claim = unit.work.claim([WorkKind.SYNC], _now(), LEASE)
    if claim is None:
        store.wait(timedelta(seconds=0.05))
        return
    _note(diary, "claims", claim)
    with store.write() as unit:
        unit.work.hold(claim)
        if unit.people.find(claim.subject) is None:
            unit.people.add(User(claim.subject, Role.VIEWER, "", _now()))
    if random.random() < 0.02:
        # A holder that sleeps through its lease, and wakes up as if nothing had been.
        time.sleep(LEASE.total_seconds() * 1.5)
    with store.write() as unit:
        unit.work.hold(claim)
        assert unit.outbox.owe(Notice(claim.subject, "done", f"by {claim.token}"), _now()), "done twice"
        unit.work.done(claim)


def _note(diary: Path, what: str, claim: Claim) -> None:
    with diary.open("a") as lines:
        lines.write(f"{what} {claim.subject} {claim.token}\n")


def test_nothing_is_lost_and_nothing_done_twice_when_workers_are_killed(database_url: str, tmp_path: Path) -> None:
    state, diary = tmp_path / "state", tmp_path / "diary"
    diary.touch()

    def start() -> BaseProcess:
        process = forked.Process(target=_work, args=(database_url, state, diary), daemon=True)
        process.start()
        return process

    store = open_store(database_url, state=state)
    dice = random.Random(7)
    workers = [start() for _ in range(WORKERS)]
    kills, until = 0, time.monotonic() + FOR_AT_MOST
    asked = 0
    try:
        while time.monotonic() < until:
            if asked < JOBS:
                with store.write() as unit:
                    for number in range(asked, asked + 5):
                        unit.work.ask(WorkKind.SYNC, f"job{number}", _now())
                asked += 5
            with store.read() as unit:
                left = [work for work in unit.work.list(JOBS) if work.kind is WorkKind.SYNC]
            if asked >= JOBS and not left:
                break
            if kills < 10 and dice.random() < 0.3:
                victim = dice.randrange(WORKERS)
                pid = workers[victim].pid
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
                workers[victim].join()
                workers[victim] = start()
                kills += 1
            store.wait(timedelta(seconds=0.03))
    finally:
        for worker in workers:
            worker.kill()
            worker.join()
    with store.read() as unit:
        assert [work.subject for work in unit.work.list(9) if work.kind is WorkKind.SYNC] == []
        finished = unit.outbox.unsent("done", 2 * JOBS)
        assert sorted(owed.notice.key for owed in finished) == sorted(f"job{number}" for number in range(JOBS))
        assert len(unit.people.list()) == JOBS
    store.close()
    tokens = [int(line.split()[2]) for line in diary.read_text().splitlines()]
    assert len(tokens) == len(set(tokens)), "two claims had one token"
    assert kills >= 3


def test_two_transactions_never_hold_one_claim(database_url: str, tmp_path: Path) -> None:
    """A holder that lost its lease in the middle of a transaction is waited for, or sees that it lost it."""
    one, two = (open_store(database_url, state=tmp_path / "state") for _ in range(2))
    with one.write() as unit:
        unit.work.ask(WorkKind.SYNC, "a", _now())
        first = unit.work.claim([WorkKind.SYNC], _now(), timedelta(seconds=-1))
        assert first is not None
    with one.write() as unit:
        unit.work.hold(first)
        if two._database.engine.dialect.name == "postgresql":  # type: ignore[attr-defined]
            with two.write() as other:
                assert other.work.claim([WorkKind.SYNC], _now(), LEASE) is None
    with two.write() as unit:
        second = unit.work.claim([WorkKind.SYNC], _now(), LEASE)
        assert second is not None
    with pytest.raises(LostLease), one.write() as unit:
        unit.work.hold(first)
    one.close()
    two.close()


def test_who_asks_what_is_under_way_waits_for_no_worker_that_settles_it(database_url: str, tmp_path: Path) -> None:
    """One holds the resource and asks for its deployment, the other the deployment and asks for the resource."""
    one, two = (open_store(database_url, state=tmp_path / "state") for _ in range(2))
    resource = an_environment()
    deployment = a_deployment(resource)
    with one.write() as unit:
        unit.fleet.add(resource)
        unit.deployments.add(deployment)
    with one.write() as settling:
        settling.deployments.get(deployment.id)
        if two._database.engine.dialect.name == "postgresql":  # type: ignore[attr-defined]
            with two.write() as asking:
                asking.fleet.get(resource.key)
                assert asking.deployments.under_way(resource.key) == deployment
        settling.fleet.save(settling.fleet.get(resource.key))
    one.close()
    two.close()
