"""The way of a deployment: what is behind it, where it is, what is to come."""

from dataclasses import replace
from datetime import timedelta

from tests import builders
from tests.builders import NOON
from upkeep.domain.deployments import Action, DeploymentStatus, Phase, steps
from upkeep.domain.sources import Stall

LATER = NOON + timedelta(minutes=1)
ASKED = builders.a_deployment(builders.an_environment(), "1.1", created_at=NOON)


def told(deployment):
    return [(step.phase, step.at, step.now) for step in steps(deployment)]


def test_what_was_asked_for_has_all_its_way_before_it():
    assert told(ASKED) == [
        (Phase.ASKED, NOON, True),
        (Phase.PROPOSING, None, False),
        (Phase.PROPOSED, None, False),
        (Phase.EXECUTING, None, False),
        (Phase.ENDED, None, False),
    ]


def test_each_step_has_its_time_and_one_of_them_is_now():
    going = replace(ASKED, begun_at=NOON, proposed_at=LATER, executed_at=LATER)
    assert [at for _, at, _ in told(going)] == [NOON, NOON, LATER, LATER, None]
    assert [phase for phase, _, now in told(going) if now] == [Phase.EXECUTING]


def test_what_waits_for_a_person_stands_at_the_last_step_it_began():
    stalled = replace(ASKED, begun_at=NOON, stall=Stall("no access", "give it", LATER))
    assert [phase for phase, _, now in told(stalled) if now] == [Phase.PROPOSING]


def test_what_failed_early_names_no_step_it_never_came_to():
    failed = replace(ASKED, status=DeploymentStatus.FAILED, begun_at=NOON, completed_at=LATER)
    assert [phase for phase, _, _ in told(failed)] == [Phase.ASKED, Phase.PROPOSING, Phase.ENDED]


def test_a_deletion_works_out_no_change_set():
    deletion = replace(ASKED, action=Action.DELETE, status=DeploymentStatus.DELETE_IN_PROGRESS, begun_at=NOON)
    assert [phase for phase, _, _ in told(deletion)] == [Phase.ASKED, Phase.DELETING, Phase.ENDED]


def test_what_goes_back_has_that_before_it_and_no_other_step():
    back = replace(ASKED, status=DeploymentStatus.CANCELLING, begun_at=NOON, proposed_at=NOON, executed_at=NOON)
    expected = [Phase.ASKED, Phase.PROPOSING, Phase.PROPOSED, Phase.EXECUTING, Phase.GOING_BACK, Phase.ENDED]
    assert [phase for phase, _, _ in told(back)] == expected
    assert [phase for phase, _, now in told(back) if now] == [Phase.GOING_BACK]


def test_what_a_failed_creation_left_behind_is_cleared_first():
    clearing = replace(ASKED, action=Action.CREATE, begun_at=NOON, replaces="arn:stack")
    assert told(clearing)[1:3] == [(Phase.CLEARING, NOON, True), (Phase.PROPOSING, None, False)]
    cleared = replace(clearing, replaced_at=LATER)
    assert told(cleared)[1:3] == [(Phase.CLEARING, NOON, False), (Phase.PROPOSING, LATER, True)]
