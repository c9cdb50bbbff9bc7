"""Drift: asked for, looked at until it ends, kept with the resource, and told to its owner once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests import builders
from tests.flows.given import running
from upkeep.adapters.store import SqlStore
from upkeep.domain.changesets import Drift, DriftState
from upkeep.domain.deployments import DeploymentStatus
from upkeep.domain.errors import Conflict, Forbidden, StalledError, TransientError
from upkeep.domain.names import environment_key, instance_key, pipeline_key
from upkeep.domain.notices import Routing
from upkeep.domain.people import Actor, Role, Via
from upkeep.domain.resources import Placement, Resource
from upkeep.domain.work import WorkKind
from upkeep.flows import drift

TEST = environment_key("test")
STACK = "arn:aws:cloudformation:eu-west-1:123456789012:stack/upkeep-environment-test/1"
ROUTING = Routing(default="platform")
DIFFERS = Drift(DriftState.DRIFTED, ("Network (AWS::EC2::VPC): MODIFIED",))
SAME = Drift(DriftState.IN_SYNC)
MINUTE = timedelta(minutes=1)


@dataclass
class Mirror:
    """Compares stacks: gives the answers it was told to, one after another, the last one for good."""

    answers: list[Drift] = field(default_factory=lambda: [SAME])
    asked: list[tuple[str, Placement]] = field(default_factory=list)
    looked: list[str] = field(default_factory=list)
    fault: Exception | None = None
    meanwhile: Callable[[], None] = lambda: None

    def ask_drift(self, stack: str, placement: Placement) -> str:
        if self.fault is not None:
            raise self.fault
        self.asked.append((stack, placement))
        return f"comparison-{len(self.asked)}"

    def drift(self, handle: str) -> Drift:
        self.looked.append(handle)
        self.meanwhile()
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class World:
    """An environment that runs, and a worker that compares it."""

    def __init__(self, store: SqlStore, now: datetime) -> None:
        self.store, self.now, self.mirror = store, now, Mirror()
        with store.write() as unit:
            running(unit, TEST, builders.ENVIRONMENT_TEMPLATE, "1.0", stack=STACK, region="eu-west-1", owner="shop")

    def ask(self) -> None:
        with self.store.write() as unit:
            drift.ask(unit, TEST, actor=builders.DEVELOPER, now=self.now)

    def work(self) -> bool:
        """Do one DRIFT work that is due, a minute later."""
        self.now += MINUTE
        with self.store.write() as unit:
            claim = unit.work.claim([WorkKind.DRIFT], self.now, MINUTE)
        if claim is None:
            return False
        drift.compare(self.store, self.mirror, claim, routing=ROUTING, now=self.now)
        return True

    def find(self, *answers: Drift) -> Resource:
        """Ask, and work until it has ended."""
        self.mirror.answers = list(answers)
        self.ask()
        while self.work():
            pass
        return self.resource

    @property
    def resource(self) -> Resource:
        with self.store.read() as unit:
            return unit.fleet.get(TEST)

    def change(self, **changes: Any) -> None:
        with self.store.write() as unit:
            unit.fleet.save(replace(unit.fleet.get(TEST), **changes))

    @property
    def told(self) -> list[str]:
        with self.store.read() as unit:
            return [owed.notice.headline for owed in unit.outbox.recent(10)]

    @property
    def recorded(self) -> list[str]:
        with self.store.read() as unit:
            entries = unit.journal.entries(20, kind="drift_compared")
            return [entry.facts["state"] for entry in reversed(entries)]


@pytest.fixture
def world(any_store: SqlStore, now: datetime) -> Iterator[World]:
    yield World(any_store, now)


def test_a_comparison_is_begun_once_and_looked_at_until_it_ends(world: World) -> None:
    working = Drift(DriftState.WORKING)
    found = world.find(working, working, DIFFERS)
    assert (found.drift, found.drift_checked_at, found.drift_handle) == (DIFFERS, world.now - MINUTE, None)
    assert found.drifted
    assert world.mirror.asked == [(STACK, Placement(region="eu-west-1"))]
    assert world.mirror.looked == ["comparison-1"] * 3


def test_the_owner_hears_of_what_drifts_newly_and_only_then(world: World) -> None:
    headline = "test has drifted: AWS differs from what was deployed"
    world.find(SAME)
    assert world.told == []
    world.find(DIFFERS)
    world.find(DIFFERS)
    assert world.told == [headline]
    world.find(SAME)
    world.find(DIFFERS)
    assert world.told == [headline, headline]
    assert world.recorded == ["in_sync", "drifted", "in_sync", "drifted"]


def test_what_cannot_be_compared_says_why_and_the_work_has_ended(world: World) -> None:
    world.mirror.fault = StalledError("the stack is gone", cure="create it anew")
    found = world.find(SAME)
    assert found.drift == Drift(DriftState.FAILED, reason="the stack is gone (create it anew)")
    assert (found.drifted, world.told, world.recorded) == (False, [], ["failed"])
    with world.store.read() as unit:
        assert [due for due in unit.work.list(10) if due.kind is WorkKind.DRIFT] == []


def test_a_throttled_question_is_left_to_the_worker_to_ask_again(world: World) -> None:
    world.mirror.fault = TransientError("Rate exceeded")
    world.ask()
    with pytest.raises(TransientError):
        world.work()
    assert world.resource.drift is None


def test_a_worker_that_dies_after_asking_has_its_comparison_looked_at_by_the_next(world: World) -> None:
    def die() -> None:
        raise KeyboardInterrupt

    world.ask()
    world.mirror.meanwhile = die
    with pytest.raises(KeyboardInterrupt):
        world.work()
    world.mirror.meanwhile = lambda: None
    world.now += MINUTE
    assert world.work()
    assert (world.resource.drift, len(world.mirror.asked)) == (SAME, 1)


def test_what_was_deployed_meanwhile_is_compared_anew(world: World) -> None:
    world.mirror.answers = [DIFFERS, SAME]
    world.mirror.meanwhile = lambda: world.change(last_deployment="another", drift_handle=None)
    world.ask()
    assert world.work()
    assert (world.resource.drift, world.told) == (None, [])
    world.mirror.meanwhile = lambda: None
    assert world.work()
    assert (world.resource.drift, world.mirror.looked) == (SAME, ["comparison-1", "comparison-2"])


def test_what_is_being_deployed_is_compared_afterwards(world: World) -> None:
    world.ask()
    world.change(status=DeploymentStatus.IN_PROGRESS)
    assert world.work()
    assert world.mirror.asked == []
    world.change(status=DeploymentStatus.SUCCEEDED)
    assert world.work()
    assert world.resource.drift == SAME


def test_a_resource_that_is_gone_or_lost_its_stack_is_not_compared(world: World) -> None:
    world.ask()
    world.change(stack=None)
    assert world.work()
    with world.store.write() as unit:
        unit.work.ask(WorkKind.DRIFT, "environment/nowhere", world.now)
    assert world.work()
    assert world.mirror.asked == []
    assert not world.work()


def test_instances_are_compared_where_their_environment_lives_and_pipelines_where_they_do(world: World) -> None:
    shop, gate, far = instance_key("shop", "test"), pipeline_key("shop"), Placement(region="us-east-1")
    with world.store.write() as unit:
        unit.fleet.add_service(builders.a_service("shop"))
        running(unit, shop, builders.SERVICE_TEMPLATE, "1.0", stack="shop", environment="test")
        running(unit, gate, builders.SERVICE_TEMPLATE, "1.0", stack="gate")
        for key in (shop, gate):
            unit.work.ask(WorkKind.DRIFT, str(key), world.now)
    for _ in range(2):
        with world.store.write() as unit:
            claim = unit.work.claim([WorkKind.DRIFT], world.now, MINUTE)
        assert claim is not None
        drift.compare(world.store, world.mirror, claim, routing=ROUTING, now=world.now, pipelines=far)
    assert world.mirror.asked == [("shop", Placement(region="eu-west-1")), ("gate", far)]


def test_who_only_looks_cannot_ask_and_nothing_is_compared_that_was_never_deployed(world: World) -> None:
    with world.store.write() as unit, pytest.raises(Forbidden):
        drift.ask(unit, TEST, actor=Actor("vera", Role.VIEWER, Via.WEB), now=world.now)
    world.change(stack=None)
    with world.store.write() as unit, pytest.raises(Conflict, match="no stack"):
        drift.ask(unit, TEST, actor=builders.DEVELOPER, now=world.now)
