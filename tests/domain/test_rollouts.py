from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import DEVELOPER, ENVIRONMENT_TEMPLATE, NOON
from upkeep.domain.names import Version, environment_key
from upkeep.domain.rollouts import (
    Candidate,
    Member,
    Rollout,
    RolloutStatus,
    Stage,
    Turn,
    exhausted,
    members_of,
    next_of,
    open_stage,
    reason_to_leave_out,
)

ONE, TWO, THREE, MAJOR = Version(1, 1), Version(1, 2), Version(1, 3), Version(2, 0)
HOUR = timedelta(hours=1)


def member(name, turn=Turn.WAITING, **changes):
    return replace(Member(environment_key(name), ONE, TWO, turn), **changes)


def rollout(*members, **changes):
    return replace(Rollout("r", ENVIRONMENT_TEMPLATE, None, DEVELOPER, NOON, members), **changes)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({}, None),
        ({"under_way": "d-1"}, "deployment d-1 is under way"),
        ({"running": None}, "it was never deployed"),
        ({"to": None}, "up to date"),
        ({"to": ONE}, "up to date"),
        ({"running": THREE}, "it runs 1.3, which is newer than 1.2"),
        ({"to": MAJOR}, "it would go to another major, 2.0"),
        ({"running": MAJOR}, "it runs 2.0, which is newer than 1.2"),
        ({"missing": ("days", "zones")}, "1.2 needs new input: `days`, `zones`"),
        ({"unfit": "it cannot run in `test`"}, "it cannot run in `test`"),
    ],
)
def test_what_is_left_out_says_why(facts, reason):
    candidate = replace(Candidate(environment_key("test"), ONE, TWO), **facts)
    assert reason_to_leave_out(candidate, majors=False) == reason


def test_another_major_is_taken_when_it_was_asked_for():
    assert reason_to_leave_out(Candidate(environment_key("test"), ONE, MAJOR), majors=True) is None


def test_members_keep_their_order_within_each_stage_and_those_left_out_come_last():
    names = (("a", 1), ("b", 0), ("c", 0), ("d", 1))
    candidates = [Candidate(environment_key(name), ONE, TWO, stage=stage) for name, stage in names]
    candidates.insert(0, Candidate(environment_key("x"), TWO, TWO))
    found = members_of(candidates, majors=False)
    assert [each.resource.name for each in found] == ["b", "c", "a", "d", "x"]
    assert found[-1].turn is Turn.LEFT_OUT


def test_a_stage_begins_when_the_one_before_has_ended_and_soaked():
    stages = (Stage("test", 2 * HOUR), Stage("production"))
    later = member("production", stage=1)
    assert open_stage(stages, (member("test"), later), NOON) == 0
    assert open_stage(stages, (member("test", Turn.UNDER_WAY), later), NOON) == 0
    updated = member("test", Turn.SUCCEEDED, ended_at=NOON)
    assert open_stage(stages, (updated, later), NOON + 2 * HOUR - timedelta(seconds=1)) == 0
    assert open_stage(stages, (updated, later), NOON + 2 * HOUR) == 1
    assert open_stage(stages, (member("test", Turn.SKIPPED, ended_at=NOON), later), NOON) == 1
    assert open_stage(stages, (member("test", Turn.LEFT_OUT), later), NOON) == 1


@pytest.mark.parametrize("status", [status for status in RolloutStatus if status is not RolloutStatus.RUNNING])
def test_only_what_runs_asks_for_more(status):
    assert next_of(rollout(member("a"), status=status), NOON) == ()


def test_what_waits_for_a_person_counts_as_failed_until_a_person_forgave_it():
    stuck = member("a", Turn.UNDER_WAY, stalled=True)
    assert exhausted(rollout(stuck, member("b")))
    assert not exhausted(rollout(replace(stuck, forgiven=True), member("b")))


turns = st.lists(
    st.tuples(st.sampled_from(Turn), st.integers(0, 2), st.booleans(), st.booleans()), min_size=1, max_size=12
)


@given(turns, st.integers(1, 4), st.integers(1, 4), st.sampled_from(RolloutStatus))
def test_never_are_more_under_way_than_allowed_nor_more_asked_for_after_the_failures(drawn, parallel, failures, status):
    members = tuple(
        member(f"m{number}", turn, stage=stage, stalled=stalled, forgiven=forgiven, ended_at=NOON)
        for number, (turn, stage, stalled, forgiven) in enumerate(drawn)
    )
    stages = (Stage("a", HOUR), Stage("b", HOUR), Stage("c"))
    drawn_rollout = rollout(*members, status=status, max_parallel=parallel, stop_after=failures, stages=stages)
    following = next_of(drawn_rollout, NOON)
    if following:
        assert status is RolloutStatus.RUNNING
        assert len(drawn_rollout.of(Turn.UNDER_WAY)) < parallel
        assert len(drawn_rollout.troubled) < failures
        first = following[0]
        assert first.turn is Turn.WAITING
        earlier = [each for each in members if each.stage < first.stage and each.turn is not Turn.LEFT_OUT]
        assert all(each.turn.over for each in earlier)
        assert not any(each.turn is Turn.SUCCEEDED for each in earlier)  # They have not soaked yet.
