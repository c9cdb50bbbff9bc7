"""Who decides about a template and who moves its resources, at the same time on PostgreSQL: neither ends the other."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from tests.builders import (
    ADMIN,
    DEVELOPER,
    ENVIRONMENT_SPEC,
    SERVICE_SPEC,
    SERVICE_TEMPLATE,
    a_deployment,
    a_pipeline,
    a_service,
    an_environment,
    an_instance,
)
from tests.databases import Databases
from tests.flows.given import environment_bundle, registered, service_bundle
from tests.flows.stacks import ROUTING, Stacks, Texts, work
from upkeep.adapters.store import SqlStore, open_store
from upkeep.domain.deployments import Stall
from upkeep.domain.errors import Conflict, LostLease
from upkeep.domain.names import TemplateName, Version, environment_key, instance_key, pipeline_key
from upkeep.domain.snoozes import Length
from upkeep.domain.versions import VersionState
from upkeep.domain.work import WorkKind
from upkeep.flows import deploy, enroll, preview, review, rollout, settle, snooze
from upkeep.flows.rollout import Wish

ENV = TemplateName("network-env")
NAMES = ("one", "two", "three", "four")
TURNS = 15


@pytest.fixture
def url(databases: Databases) -> Iterator[str]:
    with databases.migrated("postgresql") as made:
        yield made


@pytest.fixture
def store(url: str, tmp_path: Path, now: datetime) -> Iterator[SqlStore]:
    """A template of environments, where 1.0 is recommended, 1.1 is published and 1.2 is a draft."""
    store = open_store(url, state=tmp_path / "state")
    with store.write() as unit:
        for minor in range(3):
            state = VersionState.PUBLISHED if minor < 2 else VersionState.DRAFT
            registered(unit, ENV, f"1.{minor}", environment_bundle(), now, state)
        review.recommend(unit, ENV, Version(1, 0), actor=ADMIN, now=now)
    yield store
    store.close()


@pytest.fixture
def fleet(store: SqlStore, now: datetime) -> SqlStore:
    """Environments that were deployed."""
    with store.write() as unit:
        for name in NAMES:
            enroll.create_environment(unit, name, ENV, ENVIRONMENT_SPEC, actor=DEVELOPER, now=now)
    work(store, Stacks(), now)
    return store


@pytest.fixture
def small(store: SqlStore, now: datetime) -> SqlStore:
    """Two environments, and a template of services, of which 1.1 is recommended."""
    with store.write() as unit:
        for name in NAMES[:2]:
            unit.fleet.add(an_environment(name))
        for minor in range(2):
            registered(unit, SERVICE_TEMPLATE, f"1.{minor}", service_bundle(), now, VersionState.PUBLISHED)
        review.recommend(unit, SERVICE_TEMPLATE, Version(1, 1), actor=ADMIN, now=now)
    return store


def ended_or_waiting(act: Future[object], url: str) -> None:
    """Wait until something has ended, or waits in the database for somebody else."""
    deadline = time.monotonic() + 60
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with psycopg.connect(sa.make_url(url).render_as_string(), autocommit=True) as looking:
        while not act.done() and looking.execute(query).fetchone() == (0,):
            assert time.monotonic() < deadline


def test_none_of_those_who_decide_and_deploy_at_the_same_time_is_ended_by_the_database(
    fleet: SqlStore, now: datetime
) -> None:
    stacks = Stacks()

    def decide(turn: int) -> None:
        with fleet.write() as unit:
            review.recommend(unit, ENV, Version(1, turn % 2), actor=ADMIN, now=now)

    def publish(turn: int) -> None:
        with fleet.write() as unit:
            registered(unit, ENV, f"1.{turn}", environment_bundle(), now)
        with fleet.write() as unit:
            version = Version(1, turn)
            review.publish(unit, ENV, version, seen_tree=None, note=None, routing=ROUTING, actor=ADMIN, now=now)

    def ask(turn: int) -> None:
        with suppress(Conflict), fleet.write() as unit:
            key = environment_key(NAMES[turn % len(NAMES)])
            deploy.update(unit, key, to=Version(1, turn % 2), actor=DEVELOPER, now=now)

    def cancel(turn: int) -> None:
        key = environment_key(NAMES[turn % len(NAMES)])
        with fleet.read() as unit:
            found = unit.deployments.under_way(key)
        if found is not None:
            with suppress(Conflict), fleet.write() as unit:
                deploy.cancel(unit, found.id, actor=DEVELOPER, now=now)

    def sleep(turn: int) -> None:
        with suppress(Conflict), fleet.write() as unit:
            snooze.snooze(unit, environment_key(NAMES[turn % len(NAMES)]), Length.WEEK, actor=DEVELOPER, now=now)

    def settled(turn: int) -> None:
        with fleet.write() as unit:
            claim = unit.work.claim([WorkKind.DEPLOY, WorkKind.PREVIEW], now + timedelta(hours=1), timedelta(hours=1))
        if claim is not None and claim.kind is WorkKind.DEPLOY:
            settle.settle(fleet, Texts(), stacks, claim, routing=ROUTING, now=now)
        elif claim is not None:
            preview.preview(fleet, Texts(), claim, now=now)

    def again_and_again(act: Callable[[int], None], first: int, step: int) -> None:
        for turn in range(TURNS):
            with suppress(LostLease):
                act(first + turn * step)

    acts = (
        (decide, 0, 1),
        (publish, 3, 1),
        (ask, 0, 1),
        (ask, 2, 3),
        (settled, 0, 1),
        (settled, 0, 1),
        (sleep, 1, 1),
        (cancel, 0, 3),
    )
    with ThreadPoolExecutor(len(acts)) as pool:
        for done in [pool.submit(again_and_again, *act) for act in acts]:
            done.result()


@pytest.mark.parametrize("order", [("one", "two"), ("two", "one")])
def test_who_needs_several_environments_is_in_no_way_of_who_decides_about_their_template(
    small: SqlStore, url: str, now: datetime, order: tuple[str, str]
) -> None:
    with small.write() as unit:
        unit.fleet.add_service(a_service())
        for name in order:
            unit.fleet.add(an_instance(name=name, environment=name, inputs={"port": 8080}))

    def decide() -> None:
        with small.write() as unit:
            review.recommend(unit, ENV, Version(1, 1), actor=ADMIN, now=now)

    with ThreadPoolExecutor(1) as pool, small.write() as unit:
        for name in order:
            wish = Wish(SERVICE_TEMPLATE, keys=[instance_key("checkout", name)])
            (member,) = rollout.members(unit, wish, actor=ADMIN)
            assert (member.to, member.reason) == (Version(1, 1), None)
            if name == order[0]:
                decided = pool.submit(decide)
                ended_or_waiting(decided, url)
    decided.result()


@pytest.mark.parametrize("whole", [False, True], ids=["a resource", "a service"])
def test_who_forgets_what_somebody_lets_go_on_waits_for_that(
    small: SqlStore, url: str, now: datetime, whole: bool
) -> None:
    key = instance_key("checkout", "test") if whole else environment_key("one")
    with small.write() as unit:
        unit.fleet.add_service(a_service())
        unit.fleet.add(an_instance(environment="two"))
        stalled = replace(a_deployment(unit.fleet.get(key)), stall=Stall("denied", "grant it", now))
        unit.deployments.add(stalled)

    def forget() -> None:
        with small.write() as unit:
            if whole:
                enroll.forget_service(unit, "checkout", actor=ADMIN, now=now)
            else:
                enroll.forget(unit, key, actor=ADMIN, now=now)

    with ThreadPoolExecutor(1) as pool, small.write() as unit:
        unit.deployments.get(stalled.id)
        forgotten = pool.submit(forget)
        ended_or_waiting(forgotten, url)
        deploy.retry(unit, stalled.id, actor=ADMIN, now=now)
    with pytest.raises(Conflict, match="is under way"):
        forgotten.result()


def test_who_moves_one_part_of_a_service_is_in_no_way_of_who_moves_them_all(
    small: SqlStore, url: str, now: datetime
) -> None:
    with small.write() as unit:
        unit.fleet.add_service(a_service())
        for part in (an_instance(environment="one"), a_pipeline()):
            unit.fleet.add(part)

    def update() -> None:
        with small.write() as unit:
            enroll.update_service(unit, "checkout", SERVICE_SPEC, actor=ADMIN, now=now)

    with ThreadPoolExecutor(1) as pool, small.write() as unit:
        # As a pipeline does that is about to begin: it waits for all instances.
        unit.fleet.get(pipeline_key("checkout"))
        updated = pool.submit(update)
        ended_or_waiting(updated, url)
        assert len(unit.fleet.of_service("checkout")) == 2
    updated.result()


def test_an_environment_in_which_something_is_created_meanwhile_stays(small: SqlStore, url: str, now: datetime) -> None:
    def delete() -> None:
        with small.write() as unit:
            enroll.delete_resource(unit, environment_key("one"), actor=ADMIN, now=now)

    with ThreadPoolExecutor(1) as pool, small.write() as unit:
        spec = SERVICE_SPEC.replace('environment: "test"', 'environment: "one"')
        enroll.create_service(unit, "checkout", SERVICE_TEMPLATE, spec, actor=ADMIN, now=now)
        deleted = pool.submit(delete)
        ended_or_waiting(deleted, url)
        assert not deleted.done()
    with pytest.raises(Conflict, match="live in it"):
        deleted.result()
