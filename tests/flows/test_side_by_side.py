"""Who decides about a template and who moves its resources, at the same time on PostgreSQL: neither ends the other."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.builders import ADMIN, DEVELOPER, ENVIRONMENT_SPEC
from tests.databases import Databases
from tests.flows.given import environment_bundle, registered
from tests.flows.stacks import ROUTING, Stacks, Texts, work
from upkeep.adapters.store import SqlStore, open_store
from upkeep.domain.errors import Conflict, LostLease
from upkeep.domain.names import TemplateName, Version, environment_key
from upkeep.domain.snoozes import Length
from upkeep.domain.versions import VersionState
from upkeep.domain.work import WorkKind
from upkeep.flows import deploy, enroll, preview, review, settle, snooze

ENV = TemplateName("network-env")
NAMES = ("one", "two", "three", "four")
TURNS = 15


@pytest.fixture
def fleet(databases: Databases, tmp_path: Path, now: datetime) -> Iterator[SqlStore]:
    """Environments that run 1.0, where 1.1 is published and 1.2 is a draft."""
    with databases.migrated("postgresql") as url:
        store = open_store(url, state=tmp_path / "state")
        with store.write() as unit:
            for minor in range(3):
                state = VersionState.PUBLISHED if minor < 2 else VersionState.DRAFT
                registered(unit, ENV, f"1.{minor}", environment_bundle(), now, state)
            review.recommend(unit, ENV, Version(1, 0), actor=ADMIN, now=now)
            for name in NAMES:
                enroll.create_environment(unit, name, ENV, ENVIRONMENT_SPEC, actor=DEVELOPER, now=now)
        work(store, Stacks(), now)
        yield store
        store.close()


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
