"""What the clock asks for."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests import builders
from tests.flows.given import environment_bundle, registered
from upkeep.adapters.store import SqlStore, open_store
from upkeep.domain.deployments import DeploymentStatus
from upkeep.domain.names import parse_resource_key, parse_version
from upkeep.domain.notices import Routing
from upkeep.domain.policies import Policies, Policy, UpdateMode
from upkeep.domain.work import WorkKind
from upkeep.flows import review
from upkeep.flows.measure import measure
from upkeep.flows.ports import Unit
from upkeep.worker import schedule
from upkeep.worker.schedule import Schedule


def test_a_source_whose_time_has_come_is_polled_once(any_store: SqlStore, now: datetime) -> None:
    with any_store.write() as unit:
        unit.sources.add(builders.a_source("due", next_poll_at=now))
        unit.sources.add(builders.a_source("later", next_poll_at=now + timedelta(minutes=1)))
    errands: deque[Callable[[Unit], None]] = deque()
    for _ in range(2):
        # Two workers have looked before one of them runs its errand.
        schedule.look_for_polls(any_store, errands, now)
    assert len(errands) == 2
    for errand in errands:
        with any_store.write() as unit:
            errand(unit)
            claim = unit.work.claim([WorkKind.POLL], now, timedelta(minutes=1))
            assert (claim and claim.subject) == ("due" if errand is errands[0] else None)
    schedule.look_for_polls(any_store, errands, now)
    assert len(errands) == 2
    with any_store.read() as unit:
        assert [(row.kind, row.subject) for row in unit.work.list(10)] == [(WorkKind.POLL, "due")]
        next_poll_at = unit.sources.get("due").next_poll_at
    assert next_poll_at is not None
    assert now + timedelta(minutes=4) < next_poll_at < now + timedelta(minutes=6)


def test_a_resource_is_compared_for_drift_when_its_time_has_come_and_not_while_it_is_asked_already(
    any_store: SqlStore, now: datetime
) -> None:
    day = timedelta(days=1)
    deployed = {"stack": "arn", "deployed_at": now - 2 * day}
    with any_store.write() as unit:
        for resource in (
            builders.an_environment("due", "1.0", **deployed, drift_checked_at=now - day),
            builders.an_environment("never", "1.0", **deployed),
            builders.an_environment("later", "1.0", **deployed, drift_checked_at=now - day / 2),
            builders.an_environment("fresh", "1.0", stack="arn", deployed_at=now),
            builders.an_environment("without", "1.0", deployed_at=now - 2 * day),
            builders.an_environment("busy", "1.0", **deployed, status=DeploymentStatus.IN_PROGRESS),
            builders.an_environment("asked", "1.0", **deployed),
        ):
            unit.fleet.add(resource)
        unit.work.ask(WorkKind.DRIFT, "environment/asked", now + day)
    schedule.look_for_drift(any_store, day, now)
    schedule.look_for_drift(any_store, day, now)
    with any_store.read() as unit:
        due = {row.subject: row.due_at for row in unit.work.list(10) if row.kind is WorkKind.DRIFT}
    assert due == {"environment/asked": now + day, "environment/due": now, "environment/never": now}


def test_what_is_due_is_done_once_when_all_hosts_tick_at_the_same_time(
    database_url: str, tmp_path: Path, now: datetime
) -> None:
    stores = [open_store(database_url, state=tmp_path / "state") for _ in range(3)]
    names = [f"e{number}" for number in range(20)]
    with stores[0].write() as unit:
        for name in names:
            unit.fleet.add(builders.an_environment(name, "1.0", stack="arn", deployed_at=now - timedelta(days=2)))
    compared: list[str] = []
    start = threading.Barrier(len(stores))

    def tick(own: SqlStore) -> None:
        """Tick and work until there is nothing left; what is asked for is compared at once."""
        start.wait()
        while len(compared) < len(names):
            schedule.look_for_drift(own, timedelta(days=1), now)
            with own.write() as unit:
                claim = unit.work.claim([WorkKind.DRIFT], now, timedelta(minutes=1))
                if claim is None:
                    continue
                resource = unit.fleet.get(parse_resource_key(claim.subject))
                unit.fleet.save(replace(resource, drift_checked_at=now))
                unit.work.done(claim)
            compared.append(claim.subject)

    hosts = [threading.Thread(target=tick, args=(own,)) for own in stores]
    for host in hosts:
        host.start()
    for host in hosts:
        host.join()
    for own in stores:
        own.close()
    assert sorted(compared) == sorted(f"environment/{name}" for name in names)


def test_what_policies_allow_begins_once(any_store: SqlStore, now: datetime) -> None:
    with any_store.write() as unit:
        for text in ("1.0", "1.1"):
            registered(unit, builders.ENVIRONMENT_TEMPLATE, text, environment_bundle(), now)
            review.publish(
                unit,
                builders.ENVIRONMENT_TEMPLATE,
                parse_version(text),
                seen_tree=None,
                note=None,
                routing=Routing(),
                actor=builders.ADMIN,
                now=now,
            )
        unit.fleet.add(builders.an_environment("test", "1.0"))
        measure(unit, builders.ENVIRONMENT_TEMPLATE)
    policies = Policies((Policy(UpdateMode.MINOR_AUTOMATICALLY),))
    schedule.look_for_updates(any_store, policies, now)
    schedule.look_for_updates(any_store, policies, now)
    with any_store.read() as unit:
        (begun,) = unit.rollouts.recent(10)
        assert [row.subject for row in unit.work.list(10) if row.kind is WorkKind.ROLLOUT] == [begun.id]


def test_it_ticks_also_after_the_clock_was_realigned_and_after_a_tick_that_failed(
    store: SqlStore, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = threading.Semaphore(0)

    def broken(*_: object) -> None:
        ticks.release()
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(schedule, "look_for_polls", broken)
    monkeypatch.setattr(schedule, "POLL_EVERY", timedelta(seconds=1))
    running = Schedule(store, clock=lambda: now, tidy=lambda: None)
    running.start()
    try:
        assert ticks.acquire(timeout=10)
        running.realign()
        assert ticks.acquire(timeout=10)
    finally:
        running.stop()


def test_it_ticks_when_the_clock_was_set_back_to_before_it_was_made(
    store: SqlStore, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = threading.Semaphore(0)
    monkeypatch.setattr(schedule, "look_for_polls", lambda *_: ticks.release())
    monkeypatch.setattr(schedule, "POLL_EVERY", timedelta(seconds=1))
    running = Schedule(store, clock=lambda: now, tidy=lambda: None)
    # By the clock that it ticks by, it was made in forty days.
    running._triggers["poll"].start_date += timedelta(days=40)
    running.start()
    try:
        running.realign()
        assert ticks.acquire(timeout=10)
    finally:
        running.stop()
