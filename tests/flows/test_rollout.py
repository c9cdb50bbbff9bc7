"""Many resources updated together, whatever happens to single updates and to those who do the work."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from tests import builders
from tests.builders import ADMIN, DEVELOPER, VIEWER
from tests.flows.given import environment_bundle, registered
from tests.flows.stacks import ROUTING, DyingStore, Killed, Stacks, Texts, fail_with
from upkeep.domain.deployments import DeploymentStatus, ProgressState
from upkeep.domain.errors import CallerError, Conflict, Forbidden, LostLease, NotFound, StalledError, TransientError
from upkeep.domain.names import TemplateName, Version, environment_key
from upkeep.domain.notices import Routing
from upkeep.domain.policies import Policies
from upkeep.domain.rollouts import RolloutStatus, Turn
from upkeep.domain.work import WorkKind
from upkeep.flows import deploy, review, rollout, settle
from upkeep.flows.rollout import Wish

ENV = TemplateName("network-env")
NAMES = ("alpha", "beta", "delta", "gamma")
DAYS = builders.ENVIRONMENT_SCHEMA + '        days:\n          type: integer\n      required: ["days"]\n'


@pytest.fixture
def stacks():
    return Stacks()


@pytest.fixture
def fleet(any_store, now):
    """Four environments on 1.0, while 1.1 is recommended."""
    return furnished(any_store, now)


@pytest.fixture
def small(store, now):
    """The same in memory."""
    return furnished(store, now)


def furnished(store, now):
    with store.write() as unit:
        registered(unit, ENV, "1.0", environment_bundle(), now)
        publish(unit, Version(1, 0), now)
        for name in NAMES:
            unit.fleet.add(builders.an_environment(name, "1.0", owner="shop" if name == "beta" else None))
        registered(unit, ENV, "1.1", environment_bundle(), now)
        publish(unit, Version(1, 1), now)
    return store


def publish(unit, version, now):
    review.publish(unit, ENV, version, seen_tree=None, note=None, routing=Routing(), actor=ADMIN, now=now)


def begin(store, now, wish=None, **terms):
    with store.write() as unit:
        return rollout.start(unit, wish or Wish(ENV), actor=DEVELOPER, now=now, **terms)


def found(store, begun):
    with store.read() as unit:
        return unit.rollouts.get(begun.id)


def claimed(store, at, kind):
    with store.write() as unit:
        return unit.work.claim([kind], at, timedelta(minutes=1))


def advance(store, at):
    claim = claimed(store, at, WorkKind.ROLLOUT)
    if claim is not None:
        rollout.advance(store, claim, routing=ROUTING, policies=Policies(), now=at)


def deploy_one(store, stacks, at):
    claim = claimed(store, at, WorkKind.DEPLOY)
    if claim is not None:
        settle.settle(store, Texts(), stacks, claim, routing=ROUTING, now=at)


def play(store, stacks, now, rounds=60):
    """Both kinds of work, a minute at a time, as long as there is any; returns when that was."""
    for passed in range(rounds):
        at = now + timedelta(minutes=passed)
        advance(store, at)
        deploy_one(store, stacks, at)
        with store.read() as unit:
            if not [due for due in unit.work.list(50) if due.kind in (WorkKind.ROLLOUT, WorkKind.DEPLOY)]:
                break
    return at


def turns(store, begun):
    return {member.resource.name: member.turn for member in found(store, begun).members}


def asked_for(store):
    with store.read() as unit:
        return [deployment.resource.name for deployment in unit.deployments.recent(100)]


def notices(store):
    with store.read() as unit:
        return [owed.notice for owed in unit.outbox.recent(20) if owed.notice.key.startswith("rollout/")]


def test_all_that_is_behind_is_updated_and_the_operators_hear_of_the_end_once(fleet, stacks, now):
    begun = begin(fleet, now, max_parallel=2)
    play(fleet, stacks, now)
    ended = found(fleet, begun)
    assert ended.status is RolloutStatus.COMPLETED
    assert set(turns(fleet, begun).values()) == {Turn.SUCCEEDED}
    assert sorted(asked_for(fleet)) == sorted(NAMES)
    with fleet.read() as unit:
        assert {unit.fleet.get(environment_key(name)).version for name in NAMES} == {Version(1, 1)}
        kinds = [entry.kind for entry in unit.journal.entries(50) if entry.kind.startswith("rollout")]
    assert kinds == ["rollout_ended", "rollout_started"]
    (notice,) = notices(fleet)
    assert notice.headline == "The rollout of network-env has ended"
    assert notice.lines == ("4 updated", "Asked for by dev")


def test_no_more_are_under_way_than_allowed(small, stacks, now):
    stacks.answer = ProgressState.RUNNING
    begun = begin(small, now, max_parallel=3)
    advance(small, now)
    advance(small, now + timedelta(minutes=1))
    assert len(asked_for(small)) == 3
    assert list(turns(small, begun).values()).count(Turn.UNDER_WAY) == 3


def test_the_first_failure_pauses_it_and_nothing_more_is_asked_for(fleet, stacks, now):
    stacks.answer = ProgressState.FAILED
    begun = begin(fleet, now, max_parallel=1)
    play(fleet, stacks, now)
    paused = found(fleet, begun)
    assert paused.status is RolloutStatus.PAUSED
    assert paused.message == "1 update did not succeed, so no more are asked for"
    assert len(asked_for(fleet)) == 1
    (failed,) = paused.of(Turn.FAILED)
    assert failed.reason == "Resource VPC failed: limit exceeded"
    (notice,) = notices(fleet)
    assert notice.headline == "The rollout of network-env waits for a person"
    assert f"• {failed.resource.name}: Resource VPC failed: limit exceeded" in notice.lines


def test_it_stops_after_as_many_failures_as_it_was_told(small, stacks, now):
    stacks.answer = ProgressState.FAILED
    begun = begin(small, now, max_parallel=1, stop_after=3)
    play(small, stacks, now)
    assert len(found(small, begun).of(Turn.FAILED)) == 3
    assert len(asked_for(small)) == 3


def test_a_resumed_rollout_goes_on_with_the_rest_and_forgives_what_failed(fleet, stacks, now):
    stacks.answer = ProgressState.FAILED
    begun = begin(fleet, now, max_parallel=1)
    at = play(fleet, stacks, now)
    stacks.answer = ProgressState.SUCCEEDED
    with fleet.write() as unit:
        rollout.resume(unit, begun.id, actor=DEVELOPER, now=at)
    play(fleet, stacks, at)
    ended = found(fleet, begun)
    assert ended.status is RolloutStatus.COMPLETED
    assert (len(ended.of(Turn.SUCCEEDED)), len(ended.of(Turn.FAILED))) == (3, 1)
    assert sorted(asked_for(fleet)) == sorted(NAMES)


def test_what_waits_for_a_person_pauses_it_and_is_followed_to_its_end(small, stacks, now):
    stacks.before["execute"] = fail_with(StalledError("the role is gone", cure="make it anew"))
    begun = begin(small, now, max_parallel=1)
    advance(small, now)
    deploy_one(small, stacks, now)
    advance(small, now + timedelta(minutes=1))
    paused = found(small, begun)
    assert paused.status is RolloutStatus.PAUSED
    (stuck,) = paused.of(Turn.UNDER_WAY)
    assert stuck.reason == "waits for a person: the role is gone"
    stacks.before.clear()
    with small.write() as unit:
        deploy.retry(unit, stuck.deployment, actor=DEVELOPER, now=now + timedelta(minutes=2))
    play(small, stacks, now + timedelta(minutes=3))
    after = found(small, begun)
    assert after.status is RolloutStatus.PAUSED
    assert after.members[0].turn is Turn.SUCCEEDED
    assert after.members[0].reason is None


def test_pausing_and_stopping_let_what_is_under_way_end(fleet, stacks, now):
    stacks.answer = ProgressState.RUNNING
    begun = begin(fleet, now, max_parallel=2)
    advance(fleet, now)
    with fleet.write() as unit:
        rollout.pause(unit, begun.id, actor=DEVELOPER, now=now)
    with fleet.write() as unit:
        rollout.stop(unit, begun.id, routing=ROUTING, actor=DEVELOPER, now=now)
    stacks.answer = ProgressState.SUCCEEDED
    play(fleet, stacks, now + timedelta(minutes=1))
    ended = found(fleet, begun)
    assert ended.status is RolloutStatus.STOPPED
    assert ended.message == "stopped by dev"
    assert (len(ended.of(Turn.SUCCEEDED)), len(ended.of(Turn.SKIPPED))) == (2, 2)
    assert len(asked_for(fleet)) == 2
    assert [notice.headline for notice in notices(fleet)] == ["The rollout of network-env was stopped"]


def test_what_no_longer_fits_the_state_is_refused(small, now):
    begun = begin(small, now)
    with pytest.raises(Conflict), small.write() as unit:
        rollout.resume(unit, begun.id, actor=DEVELOPER, now=now)
    with small.write() as unit:
        rollout.stop(unit, begun.id, routing=ROUTING, actor=DEVELOPER, now=now)
    for act in (rollout.pause, rollout.resume):
        with pytest.raises(Conflict), small.write() as unit:
            act(unit, begun.id, actor=DEVELOPER, now=now)
    with pytest.raises(Conflict), small.write() as unit:
        rollout.stop(unit, begun.id, routing=ROUTING, actor=DEVELOPER, now=now)
    with pytest.raises(NotFound), small.write() as unit:
        rollout.pause(unit, "unknown", actor=DEVELOPER, now=now)


def test_viewers_start_and_steer_nothing(small, now):
    begun = begin(small, now)
    with pytest.raises(Forbidden), small.write() as unit:
        rollout.start(unit, Wish(ENV), actor=VIEWER, now=now)
    for act in (rollout.pause, rollout.resume):
        with pytest.raises(Forbidden), small.write() as unit:
            act(unit, begun.id, actor=VIEWER, now=now)
    with pytest.raises(Forbidden), small.write() as unit:
        rollout.stop(unit, begun.id, routing=ROUTING, actor=VIEWER, now=now)


def test_what_needs_a_person_is_left_out_and_named(small, now):
    with small.write() as unit:
        registered(unit, ENV, "1.2", builders.a_bundle(builders.environment_files(DAYS)), now)
        publish(unit, Version(1, 2), now)
        alpha = unit.fleet.get(environment_key("alpha"))
        unit.fleet.save(replace(alpha, inputs={"days": 7}))
        deploy.update(unit, environment_key("beta"), to=Version(1, 1), actor=DEVELOPER, now=now)
        unit.fleet.add(builders.an_environment("fresh", None))
    with small.read() as unit:
        members = rollout.members(unit, Wish(ENV), actor=DEVELOPER)
        said = {member.resource.name: member.reason for member in members}
        (under_way,) = unit.deployments.recent(1)
    assert said == {
        "alpha": None,
        "beta": f"deployment {under_way.id} is under way",
        "delta": "1.2 needs new input: `days`",
        "gamma": "1.2 needs new input: `days`",
        "fresh": "it was never deployed",
    }


def test_another_major_is_only_taken_when_asked_for(small, stacks, now):
    with small.write() as unit:
        registered(unit, ENV, "2.0", environment_bundle(), now)
        publish(unit, Version(2, 0), now)
    with small.read() as unit:
        assert {member.to for member in rollout.members(unit, Wish(ENV), actor=DEVELOPER)} == {Version(1, 1)}
        assert {member.to for member in rollout.members(unit, Wish(ENV, majors=True), actor=DEVELOPER)} == {
            Version(2, 0)
        }
        left_out = rollout.members(unit, Wish(ENV, to=Version(2, 0)), actor=DEVELOPER)
    assert {member.reason for member in left_out} == {"it would go to another major, 2.0"}
    begun = begin(small, now, Wish(ENV, majors=True))
    play(small, stacks, now)
    assert set(turns(small, begun).values()) == {Turn.SUCCEEDED}


def test_it_can_be_narrowed_to_an_owner_an_environment_or_some(small, now):
    chosen = {environment_key("alpha"), environment_key("gamma")}
    with small.read() as unit:
        for wish, names in (
            (Wish(ENV, owner="shop"), {"beta"}),
            (Wish(ENV, environment="delta"), {"delta"}),
            (Wish(ENV, keys=chosen), {"alpha", "gamma"}),
        ):
            assert {member.resource.name for member in rollout.members(unit, wish, actor=DEVELOPER)} == names


def test_a_yes_to_something_else_starts_nothing(small, now):
    with pytest.raises(Conflict, match="changed since you looked"):
        begin(small, now, seen=[(environment_key("alpha"), Version(1, 1))])
    begin(small, now, seen=[(environment_key(name), Version(1, 1)) for name in NAMES])


def test_nothing_to_do_and_senseless_terms_are_refused(small, stacks, now):
    for terms in ({"max_parallel": 0}, {"max_parallel": 101}, {"stop_after": 0}):
        with pytest.raises(CallerError):
            begin(small, now, **terms)
    with pytest.raises(Conflict, match="no resource"):
        begin(small, now, Wish(ENV, to=Version(1, 0)))
    with small.write() as unit:
        registered(unit, ENV, "1.2", environment_bundle(), now)
    with pytest.raises(Conflict, match="not published"):
        begin(small, now, Wish(ENV, to=Version(1, 2)))


def test_who_has_no_need_or_no_way_any_more_is_skipped(small, stacks, now):
    begun = begin(small, now, max_parallel=1)
    order = [member.resource for member in begun.members]
    with small.write() as unit:
        unit.fleet.remove(order[0])
        unit.fleet.save(replace(unit.fleet.get(order[1]), version=Version(1, 1)))
        busy = deploy.update(unit, order[2], to=Version(1, 1), actor=DEVELOPER, now=now)
    advance(small, now)
    said = [member.reason for member in found(small, begun).members]
    assert said == ["it was deleted", "up to date", f"deployment {busy.id} is under way", None]


def test_a_withdrawn_version_is_not_asked_for(small, stacks, now):
    begun = begin(small, now, max_parallel=1)
    advance(small, now)
    with small.write() as unit:
        review.withdraw(unit, ENV, Version(1, 1), reason="bad", actor=ADMIN, now=now)
    play(small, stacks, now)
    assert len(asked_for(small)) == 1
    assert {member.reason for member in found(small, begun).of(Turn.SKIPPED)} == {"1.1 is not published any more"}


def test_a_cancelled_update_counts_as_one_that_did_not_succeed(small, stacks, now):
    begun = begin(small, now, max_parallel=1)
    advance(small, now)
    (member,) = found(small, begun).of(Turn.UNDER_WAY)
    with small.write() as unit:
        deploy.cancel(unit, member.deployment, actor=DEVELOPER, now=now)
    advance(small, now + timedelta(minutes=1))
    assert found(small, begun).status is RolloutStatus.PAUSED


@pytest.mark.parametrize("committed", [False, True], ids=["before it is committed", "after"])
@pytest.mark.parametrize("turn", range(1, 6))
def test_a_worker_killed_at_any_of_its_writes_leaves_nothing_to_be_asked_twice(fleet, stacks, now, turn, committed):
    begun = begin(fleet, now, max_parallel=4)
    claim = claimed(fleet, now, WorkKind.ROLLOUT)
    with pytest.raises(Killed):
        rollout.advance(DyingStore(fleet, turn, committed), claim, routing=ROUTING, policies=Policies(), now=now)
    play(fleet, stacks, now + timedelta(minutes=2))
    assert found(fleet, begun).status is RolloutStatus.COMPLETED
    assert sorted(asked_for(fleet)) == sorted(NAMES)
    assert len(notices(fleet)) == 1


def test_a_worker_that_slept_through_its_lease_writes_nothing(fleet, stacks, now):
    begun = begin(fleet, now)
    slept = claimed(fleet, now, WorkKind.ROLLOUT)
    later = now + timedelta(minutes=2)
    awake = claimed(fleet, later, WorkKind.ROLLOUT)
    with pytest.raises(LostLease):
        rollout.advance(fleet, slept, routing=ROUTING, policies=Policies(), now=later)
    assert found(fleet, begun) == begun
    assert asked_for(fleet) == []
    rollout.advance(fleet, awake, routing=ROUTING, policies=Policies(), now=later)
    assert len(asked_for(fleet)) == 4


def test_two_workers_at_once_ask_for_every_update_once_and_for_no_more_than_allowed(fleet, stacks, now):
    begun = begin(fleet, now, max_parallel=2)
    ended, most, faults = threading.Event(), [], []

    def at_work():
        passed = 0
        while not ended.is_set():
            passed += 1
            at = now + timedelta(seconds=5) * passed
            try:
                advance(fleet, at)
                deploy_one(fleet, stacks, at)
            except TransientError:
                continue
            except Exception as fault:
                faults.append(fault)
                ended.set()
            with fleet.read() as unit:
                most.append(len([d for d in unit.deployments.recent(10) if d.status.under_way]))
                if not unit.rollouts.get(begun.id).watched or passed > 500:
                    ended.set()

    workers = [threading.Thread(target=at_work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert faults == []
    assert found(fleet, begun).status is RolloutStatus.COMPLETED
    assert sorted(asked_for(fleet)) == sorted(NAMES)
    assert max(most) <= 2
    assert len(notices(fleet)) == 1


def test_every_fact_of_a_rollout_is_kept(any_store, fleet, now):
    begun = begin(fleet, now, Wish(ENV, to=Version(1, 1)), max_parallel=7, stop_after=3)
    changed = replace(
        begun,
        status=RolloutStatus.STOPPED,
        message="stopped",
        ended_at=now,
        members=tuple(
            replace(m, turn=Turn.FAILED, deployment="d", reason="r", stalled=True, forgiven=True, ended_at=now)
            for m in begun.members
        ),
    )
    with fleet.write() as unit:
        unit.rollouts.save(changed)
        assert unit.rollouts.last_automatic(ENV) is None
    assert found(fleet, begun) == changed
    with fleet.read() as unit:
        assert unit.rollouts.recent(5) == (changed,)


def test_the_status_of_a_resource_follows_its_deployment(small, stacks, now):
    begin(small, now)
    play(small, stacks, now)
    with small.read() as unit:
        assert unit.fleet.get(environment_key("alpha")).status is DeploymentStatus.SUCCEEDED
