"""What is updated without anybody asking: when policies allow it, in stages, until a failure or a person stops it."""

from datetime import time, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests import builders
from tests.builders import ADMIN, DEVELOPER
from tests.flows.given import environment_bundle, registered
from tests.flows.stacks import ROUTING, Stacks, Texts
from upkeep.domain.deployments import ProgressState
from upkeep.domain.errors import Conflict
from upkeep.domain.names import TemplateName, Version, environment_key
from upkeep.domain.notices import Routing
from upkeep.domain.policies import Day, Policies, Policy, UpdateMode, Window
from upkeep.domain.rollouts import RolloutStatus, Stage, Turn
from upkeep.domain.work import WorkKind
from upkeep.flows import review, rollout, settle

ENV = TemplateName("network-env")
AUTO = UpdateMode.MINOR_AUTOMATICALLY
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
STAGES = (Stage("test", DAY), Stage("production"))
POLICIES = Policies(
    (Policy(AUTO, environments=("test",)), Policy(AUTO, environments=("live",), stage=1)),
    STAGES,
)


@pytest.fixture
def stacks():
    return Stacks()


@pytest.fixture
def fleet(any_store, now):
    """`test`, `live` and `own` on 1.0, while 1.1 is recommended."""
    return furnished(any_store, now)


@pytest.fixture
def small(store, now):
    """The same in memory."""
    return furnished(store, now)


def furnished(store, now):
    with store.write() as unit:
        registered(unit, ENV, "1.0", environment_bundle(), now)
        publish(unit, Version(1, 0), now)
        for name in ("test", "live", "own"):
            unit.fleet.add(builders.an_environment(name, "1.0"))
        registered(unit, ENV, "1.1", environment_bundle(), now)
        publish(unit, Version(1, 1), now)
    return store


def publish(unit, version, now):
    review.publish(unit, ENV, version, seen_tree=None, note=None, routing=Routing(), actor=ADMIN, now=now)


def tick(store, policies, at):
    with store.write() as unit:
        return rollout.follow_policies(unit, policies, now=at)


def work(store, stacks, policies, at):
    """Whatever is due now, until nothing is."""
    for _ in range(40):
        with store.write() as unit:
            claim = unit.work.claim([WorkKind.ROLLOUT, WorkKind.DEPLOY], at, timedelta(seconds=1))
        if claim is None:
            return
        if claim.kind is WorkKind.ROLLOUT:
            rollout.advance(store, claim, routing=ROUTING, policies=policies, now=at)
        else:
            settle.settle(store, Texts(), stacks, claim, routing=ROUTING, now=at)


def run(store, stacks, policies, at):
    """A while, from the given time on."""
    for passed in (0, 1, 2):
        tick(store, policies, at + timedelta(minutes=passed))
        work(store, stacks, policies, at + timedelta(minutes=passed))


def versions(store):
    with store.read() as unit:
        return {name: str(unit.fleet.get(environment_key(name)).version) for name in ("test", "live", "own")}


def rollouts(store):
    with store.read() as unit:
        return unit.rollouts.recent(10)


def test_without_a_policy_nothing_is_updated(small, stacks, now):
    run(small, stacks, Policies(), now)
    assert rollouts(small) == ()


def test_a_new_minor_goes_to_test_soaks_and_then_goes_to_production(fleet, stacks, now):
    run(fleet, stacks, POLICIES, now)
    assert versions(fleet) == {"test": "1.1", "live": "1.0", "own": "1.0"}
    run(fleet, stacks, POLICIES, now + 23 * HOUR)
    assert versions(fleet)["live"] == "1.0"
    run(fleet, stacks, POLICIES, now + 25 * HOUR)
    assert versions(fleet) == {"test": "1.1", "live": "1.1", "own": "1.0"}
    (only,) = rollouts(fleet)
    assert (only.status, only.automatic, only.actor.name) == (RolloutStatus.COMPLETED, True, "upkeep")


def test_a_version_published_meanwhile_waits_until_the_one_before_is_everywhere(small, stacks, now):
    run(small, stacks, POLICIES, now)
    with small.write() as unit:
        registered(unit, ENV, "1.2", environment_bundle(), now)
        publish(unit, Version(1, 2), now)
    run(small, stacks, POLICIES, now + HOUR)
    assert versions(small) == {"test": "1.1", "live": "1.0", "own": "1.0"}
    run(small, stacks, POLICIES, now + 26 * HOUR)
    assert versions(small) == {"test": "1.2", "live": "1.1", "own": "1.0"}


def test_updates_begin_only_while_a_window_is_open(small, stacks, now):
    nights = Window(frozenset({Day.MONDAY}), time(22), time(4), ZoneInfo("UTC"))
    policies = Policies((Policy(AUTO, windows=(nights,)),))
    run(small, stacks, policies, now)
    assert rollouts(small) == ()
    run(small, stacks, policies, now + 10 * HOUR)
    assert set(versions(small).values()) == {"1.1"}


def test_a_stage_that_is_allowed_later_waits_for_its_window(small, stacks, now):
    nights = Window(frozenset(Day), time(22), time(4), ZoneInfo("UTC"))
    live = Policy(AUTO, environments=("live",), stage=1, windows=(nights,))
    policies = Policies((Policy(AUTO, environments=("test",)), live), STAGES)
    run(small, stacks, policies, now)
    run(small, stacks, policies, now + 25 * HOUR)
    assert versions(small) == {"test": "1.1", "live": "1.0", "own": "1.0"}
    run(small, stacks, policies, now + 35 * HOUR)
    assert versions(small)["live"] == "1.1"


def test_another_major_is_never_taken(small, stacks, now):
    with small.write() as unit:
        registered(unit, ENV, "2.0", environment_bundle(), now)
        publish(unit, Version(2, 0), now)
    run(small, stacks, POLICIES, now)
    run(small, stacks, POLICIES, now + 25 * HOUR)
    assert versions(small) == {"test": "1.1", "live": "1.1", "own": "1.0"}
    run(small, stacks, POLICIES, now + 50 * HOUR)
    assert len(rollouts(small)) == 1


def test_a_failure_pauses_it_and_production_never_sees_the_version(fleet, stacks, now):
    stacks.answer = ProgressState.FAILED
    run(fleet, stacks, POLICIES, now)
    stacks.answer = ProgressState.SUCCEEDED
    run(fleet, stacks, POLICIES, now + 50 * HOUR)
    (paused,) = rollouts(fleet)
    assert paused.status is RolloutStatus.PAUSED
    assert versions(fleet) == {"test": "1.0", "live": "1.0", "own": "1.0"}
    with fleet.read() as unit:
        headlines = [owed.notice.headline for owed in unit.outbox.recent(20) if "rollout" in owed.notice.key]
    assert headlines == ["The automatic rollout of network-env waits for a person"]


def test_what_a_person_stopped_does_not_begin_again_by_itself(small, stacks, now):
    stacks.answer = ProgressState.RUNNING
    run(small, stacks, POLICIES, now)
    (going,) = rollouts(small)
    with small.write() as unit:
        rollout.stop(unit, going.id, routing=ROUTING, actor=DEVELOPER, now=now)
    stacks.answer = ProgressState.SUCCEEDED
    run(small, stacks, POLICIES, now + 50 * HOUR)
    assert [each.status for each in rollouts(small)] == [RolloutStatus.STOPPED]
    with small.write() as unit:
        registered(unit, ENV, "1.2", environment_bundle(), now)
        publish(unit, Version(1, 2), now)
    run(small, stacks, POLICIES, now + 60 * HOUR)
    assert versions(small)["test"] == "1.2"


def test_a_policy_that_was_taken_back_skips_who_has_not_had_their_turn(small, stacks, now):
    run(small, stacks, POLICIES, now)
    frozen = Policies((Policy(AUTO, environments=("test",)),), STAGES)
    run(small, stacks, frozen, now + 25 * HOUR)
    (only,) = rollouts(small)
    assert only.status is RolloutStatus.COMPLETED
    assert [member.reason for member in only.of(Turn.SKIPPED)] == ["it is not updated automatically any more"]
    assert versions(small)["live"] == "1.0"


def test_two_workers_that_tick_together_start_one_rollout(fleet, now):
    (begun,) = tick(fleet, POLICIES, now)
    assert tick(fleet, POLICIES, now) == []
    with pytest.raises(Conflict), fleet.write() as unit:
        unit.rollouts.add(begun)
    assert len(rollouts(fleet)) == 1


def test_pipelines_and_what_lives_nowhere_stay_manual(small, stacks, now):
    with small.write() as unit:
        unit.fleet.add(builders.a_pipeline("checkout", "1.0"))
        registered(unit, "web-svc", "1.0", builders.a_bundle(builders.service_files()), now)
        registered(unit, "web-svc", "1.1", builders.a_bundle(builders.service_files()), now)
        for minor in (0, 1):
            review.publish(
                unit,
                TemplateName("web-svc"),
                Version(1, minor),
                seen_tree=None,
                note=None,
                routing=Routing(),
                actor=ADMIN,
                now=now,
            )
    run(small, stacks, Policies((Policy(AUTO),)), now)
    assert {each.template for each in rollouts(small)} == {ENV}
