"""Old records go, a few at a time, and what is needed stays whatever its age."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from tests import builders
from tests.flows.given import environment_bundle, registered
from upkeep.adapters.store import SqlStore
from upkeep.adapters.store.tables import metadata
from upkeep.domain import events
from upkeep.domain.changesets import StackEvent
from upkeep.domain.deliveries import Delivery, DeliveryStatus
from upkeep.domain.deployments import DeploymentStatus
from upkeep.domain.errors import LostLease
from upkeep.domain.names import environment_key, parse_version
from upkeep.domain.notices import Notice
from upkeep.domain.plans import Plan
from upkeep.domain.previews import Preview
from upkeep.domain.records import Records
from upkeep.domain.versions import VersionState
from upkeep.domain.work import Claim, WorkKind
from upkeep.flows import prune
from upkeep.flows.ports import Unit
from upkeep.settings import Retention
from upkeep.worker import schedule

DAY = timedelta(days=1)
SPANS = Retention(journal=100 * DAY).spans
TEST = environment_key("test")


def ended(unit: Unit, number: int, at: datetime, **changes: object) -> str:
    """A deployment with everything that is kept of one."""
    key = changes.pop("resource", TEST)
    found = builders.a_deployment(builders.an_environment(), deployment_id=f"d{number}", status=DeploymentStatus.FAILED)
    unit.deployments.add(replace(found, **{"resource": key, "completed_at": at, "proposed_at": at, **changes}))
    unit.deployments.keep_rendered(found.id, f"template {number}")
    unit.deployments.keep_events(found.id, [StackEvent(f"e{number}", at, "Vpc", "AWS::EC2::VPC", "CREATE_COMPLETE")])
    return found.id


def planned(unit: Unit, number: int, at: datetime, **changes: object) -> str:
    version = parse_version(f"1.{number}")
    plan = Plan(f"p{number}", TEST, builders.ENVIRONMENT_TEMPLATE, version, {}, "dev", at, made_at=at)
    unit.plans.add(replace(plan, **changes))
    unit.plans.keep_rendered(plan.id, f"plan {number}")
    return plan.id


def notice(unit: Unit, key: str, at: datetime, **changes: object) -> None:
    unit.outbox.owe(Notice(key, "alerts", "Something happened"), at)
    (owed,) = [owed for owed in unit.outbox.recent(9) if owed.notice.key == key]
    unit.outbox.save(replace(owed, **changes))


def run(store: SqlStore, now: datetime, spans: Mapping[Records, timedelta] = SPANS) -> None:
    with store.write() as unit:
        prune.ask(unit, now)
        claim = unit.work.claim([WorkKind.PRUNE], now, DAY)
    assert claim is not None
    prune.prune(store, claim, spans, now=now)


def counts(store: SqlStore, now: datetime) -> dict[Records, int]:
    with store.read() as unit:
        return {records: unit.records.count(records, now - span) for records, span in SPANS.items()}


def test_what_is_older_than_it_is_kept_goes_and_what_is_younger_or_needed_stays(
    any_store: SqlStore, now: datetime
) -> None:
    old, young = now - 1000 * DAY, now - 2 * DAY
    with any_store.write() as unit:
        for status in DeliveryStatus:
            for name, at in (("old", old), ("young", young)):
                unit.deliveries.save(Delivery(f"{status}-{name}", "push", at, status))
        notice(unit, "old-sent", old, sent_at=old)
        notice(unit, "old-given-up", old, given_up_at=old)
        notice(unit, "old-owed", old)
        notice(unit, "young-sent", young, sent_at=young)
        unit.fleet.add(builders.an_environment(last_deployment="d4", last_succeeded_deployment="d3"))
        ended(unit, 1, old)
        ended(unit, 2, old, resource=environment_key("forgotten"))
        ended(unit, 3, old, status=DeploymentStatus.SUCCEEDED)
        ended(unit, 4, old)
        ended(unit, 5, young)
        ended(unit, 6, old, status=DeploymentStatus.IN_PROGRESS, completed_at=None)
        planned(unit, 1, old)
        planned(unit, 2, old, deployment="d1")
        planned(unit, 3, old, made_at=None)
        planned(unit, 4, old)
        for version, state, at in (
            ("1.0", VersionState.PUBLISHED, old),
            ("1.1", VersionState.PUBLISHED, young),
            ("1.2", VersionState.DRAFT, old),
        ):
            found = registered(unit, builders.ENVIRONMENT_TEMPLATE, version, environment_bundle(), old, state)
            unit.registry.save_preview(Preview(found.template, found.version, at, ()))
        for at in (old, young):
            unit.journal.record(events.SignedOut("user/ada"), builders.ADMIN, at)
    run(any_store, now)
    with any_store.read() as unit:
        assert {delivery.id for delivery in unit.deliveries.recent(99)} == {
            "received-old", "failed-old", "received-young", "failed-young", "worked-young", "ignored-young",
        }  # fmt: skip
        assert {owed.notice.key for owed in unit.outbox.recent(9)} == {"old-owed", "young-sent"}
        kept = [f"d{number}" for number in range(1, 7) if unit.deployments.rendered(f"d{number}")]
        assert kept == ["d3", "d4", "d5", "d6"]
        assert [f"d{number}" for number in range(1, 7) if unit.deployments.told(f"d{number}")] == kept
        assert len(unit.deployments.recent(9)) == 6
        plans = {f"p{number}": unit.plans.find(f"p{number}") for number in range(1, 5)}
        assert [name for name, plan in plans.items() if plan] == ["p2", "p3", "p4"]
        # What was sent for a deployment is not kept twice.
        assert [unit.plans.rendered(name) for name in ("p2", "p4")] == [None, "plan 4"]
        versions = [parse_version(f"1.{minor}") for minor in range(3)]
        previewed = [unit.registry.find_preview(builders.ENVIRONMENT_TEMPLATE, version) for version in versions]
        assert [preview is not None for preview in previewed] == [False, True, True]
        entries = unit.journal.entries(99)
        assert {entry.subject: entry.facts["count"] for entry in entries if entry.kind == "records_pruned"} == {
            "records/deliveries": 2,
            "records/notices": 2,
            "records/renderings": 2,
            "records/previews": 1,
            "records/plans": 1,
            "records/journal": 1,
        }
        assert [entry.at for entry in entries if entry.kind == "signed_out"] == [young]
        (due,) = [work for work in unit.work.list(9) if work.kind is WorkKind.PRUNE]
        assert due.due_at == now + DAY
    assert set(counts(any_store, now).values()) == {0}


def test_what_was_pruned_is_written_down_once_however_often_and_many_look(
    any_store: SqlStore, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune, "AT_ONCE_ELSE", 50)
    with any_store.write() as unit:
        for number in range(123):
            unit.deliveries.save(Delivery(f"d{number}", "push", now - 200 * DAY, DeliveryStatus.WORKED))
    for _ in range(3):
        schedule.look_after_records(any_store, now)
    with any_store.read() as unit:
        assert [work.kind for work in unit.work.list(9)] == [WorkKind.PRUNE]
    run(any_store, now)
    run(any_store, now + DAY)
    with any_store.read() as unit:
        assert unit.deliveries.recent(9) == ()
        assert [entry.facts["count"] for entry in unit.journal.entries(9)] == [123]


def test_who_has_lost_its_lease_lets_nothing_go(any_store: SqlStore, now: datetime) -> None:
    with any_store.write() as unit:
        unit.deliveries.save(Delivery("d", "push", now - 200 * DAY, DeliveryStatus.WORKED))
    stale = Claim(WorkKind.PRUNE, prune.SUBJECT, 0, 1, now)
    with pytest.raises(LostLease):
        prune.prune(any_store, stale, SPANS, now=now)
    with any_store.read() as unit:
        assert len(unit.deliveries.recent(9)) == 1
        assert unit.journal.entries(9) == ()


def test_what_is_removed_is_found_by_its_key(any_store: SqlStore, now: datetime) -> None:
    """Whoever removes writes, and is not to read through a table meanwhile."""
    statements: list[tuple[str, object]] = []
    engine = any_store._database.engine
    keep = lambda _c, _u, statement, values, *_: statements.append((statement, values))  # noqa: E731
    with any_store.write() as unit:
        sa.event.listen(engine, "before_cursor_execute", keep)
        for records, key in {
            Records.DELIVERIES: (now, "d"),
            Records.NOTICES: (1,),
            Records.RENDERINGS: (1,),
            Records.PREVIEWS: ("network-env", 1, 1),
            Records.PLANS: (1,),
            Records.JOURNAL: (now, 1),
        }.items():
            unit.records.remove(records, now, [key, key])
        sa.event.remove(engine, "before_cursor_execute", keep)
    assert len(statements) == 9
    with any_store._database.transaction(writing=False) as connection:
        for statement, values in statements:
            if connection.dialect.name == "sqlite":
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
                scanned = {row.detail.split()[1] for row in plan if row.detail.startswith("SCAN")}
                assert scanned & metadata.tables.keys() == set(), statement
            else:
                connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
                plan = connection.exec_driver_sql(f"EXPLAIN {statement}", values).all()
                assert [row[0] for row in plan if "Seq Scan" in row[0]] == [], statement
