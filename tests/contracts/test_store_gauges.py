"""What is counted in rows for those who watch, on every database."""

from dataclasses import replace
from datetime import datetime, timedelta

from tests.builders import NOON, a_deployment, a_source, a_template, a_version, an_environment, an_instance
from upkeep.adapters.store import SqlStore
from upkeep.domain.gauges import Backlog, WorkState
from upkeep.domain.lag import Lag, Standing
from upkeep.domain.names import ResourceKind
from upkeep.domain.notices import Notice
from upkeep.domain.sources import Stall
from upkeep.domain.versions import VersionState
from upkeep.domain.work import WorkKind

MINUTE = timedelta(minutes=1)
LEASE = timedelta(minutes=5)


def test_an_empty_store_has_nothing_to_tell(each_store: SqlStore) -> None:
    with each_store.read() as unit:
        found = unit.gauges.read(NOON)
    assert (found.resources.total, found.sources, found.heard_at) == (0, 0, None)
    assert (found.behind, found.work, found.outbox) == ({}, {}, {})
    assert found.drafts == found.deployments == found.stalled_deployments == Backlog()


def test_work_is_due_runs_comes_later_or_is_set_aside(each_store: SqlStore) -> None:
    now = NOON
    with each_store.write() as unit:
        for subject, kind, due_at in (
            ("a", WorkKind.DEPLOY, now - 9 * MINUTE),
            ("b", WorkKind.SYNC, now - 3 * MINUTE),
            ("c", WorkKind.SYNC, now - 2 * MINUTE),
            ("d", WorkKind.RELAY, now + MINUTE),
            ("e", WorkKind.PLAN, now - 8 * MINUTE),
        ):
            unit.work.ask(kind, subject, due_at)
        running = unit.work.claim([WorkKind.DEPLOY], now, LEASE)
        failed = unit.work.claim([WorkKind.PLAN], now, LEASE)
        assert failed is not None
        unit.work.retry(failed, now + timedelta(days=3650), "a person must help")
    assert running is not None
    with each_store.read() as unit:
        found, later = unit.gauges.read(now).work, unit.gauges.read(now + LEASE + MINUTE).work
    assert found == {
        (WorkKind.DEPLOY, WorkState.RUNNING): Backlog(1, now + LEASE),
        (WorkKind.SYNC, WorkState.DUE): Backlog(2, now - 3 * MINUTE),
        (WorkKind.RELAY, WorkState.LATER): Backlog(1, now + MINUTE),
        (WorkKind.PLAN, WorkState.SET_ASIDE): Backlog(1, now + timedelta(days=3650)),
    }
    # Whose lease has ended is nobody's, and waits.
    assert later[WorkKind.DEPLOY, WorkState.DUE] == Backlog(1, now + LEASE)


def test_what_waits_is_counted_with_the_oldest_of_it(each_store: SqlStore) -> None:
    def ago(minutes: int) -> datetime:
        return NOON - minutes * MINUTE

    environment, behind = an_environment("live"), Lag(Standing.BEHIND_MINOR, 1, 0, ago(50))
    with each_store.write() as unit:
        unit.registry.add_template(a_template())
        for number, at in (("1.0", 90), ("1.1", 40), ("1.2", 30)):
            state = VersionState.PUBLISHED if number == "1.0" else VersionState.DRAFT
            unit.registry.add_version(a_version(version=number, state=state, created_at=ago(at)))
        unit.fleet.add(replace(environment, lag=behind))
        unit.fleet.add(replace(an_environment("test"), lag=replace(behind, since=ago(20))))
        unit.fleet.add(an_instance())
        unit.deployments.add(a_deployment(environment, created_at=ago(7)))
        for name in ("a", "b"):
            unit.outbox.owe(Notice(name, "alerts", "headline"), ago(3))
        unit.sources.add(a_source("heard", checked_at=ago(5)))
        unit.sources.add(a_source("stalled", stall=Stall("gone", "look", ago(6))))
    with each_store.read() as unit:
        found = unit.gauges.read(NOON)
    assert found.resources.total == 3
    assert found.behind == {ResourceKind.ENVIRONMENT: Backlog(2, ago(50))}
    assert found.drafts == Backlog(2, ago(40))
    assert found.deployments == Backlog(1, ago(7))
    assert found.outbox == {"alerts": Backlog(2, ago(3))}
    assert (found.sources, found.stalled_sources, found.failing_sources, found.heard_at) == (2, 1, 0, ago(5))
