from dataclasses import replace

import pytest

from tests.builders import NOON, a_deployment, an_environment
from upkeep.domain.changesets import (
    Proposal,
    ProposalState,
    Risk,
    StackChange,
    StackEvent,
    first_failure,
    not_deleted,
    worst_first,
)
from upkeep.domain.deployments import Action, DeploymentStatus, Phase
from upkeep.domain.sources import Stall

DELETING = DeploymentStatus.DELETE_IN_PROGRESS


def change(action="Modify", replacement=None, name="Network"):
    return StackChange(action, name, "AWS::EC2::VPC", replacement=replacement)


def event(status, reason=None, name="Network", kind="AWS::EC2::VPC"):
    return StackEvent(f"{name}-{status}", NOON, name, kind, status, reason)


@pytest.mark.parametrize(
    ("action", "replacement", "risk"),
    [
        ("Add", None, Risk.IN_PLACE),
        ("Import", None, Risk.IN_PLACE),
        ("Modify", "False", Risk.IN_PLACE),
        ("Modify", "Conditional", Risk.MAY_REPLACE),
        ("Modify", "True", Risk.REPLACES),
        ("Modify", None, Risk.NOT_CHECKED),
        ("Remove", None, Risk.REPLACES),
        ("Dynamic", None, Risk.MAY_REPLACE),
    ],
)
def test_what_a_change_can_cost(action, replacement, risk):
    assert change(action, replacement).risk is risk


def test_a_change_set_is_as_risky_as_its_worst_change_and_one_that_is_not_known_is_not_checked():
    changes = (change("Add"), change("Modify", "True"), change("Modify", "False"))
    assert Proposal(ProposalState.READY, changes).risk is Risk.REPLACES
    assert Proposal(ProposalState.EMPTY).risk is Risk.IN_PLACE
    assert Proposal(ProposalState.WORKING).risk is Proposal(ProposalState.FAILED).risk is Risk.NOT_CHECKED


def test_changes_are_read_from_the_worst_down_and_then_by_name():
    changes = [change("Add", name="B"), change("Add", name="A"), change("Remove", name="Z"), change(name="C")]
    assert [one.logical_id for one in worst_first(changes)] == ["Z", "A", "B", "C"]


def test_the_first_failure_is_the_cause_and_not_what_was_stopped_because_of_it():
    events = [
        event("CREATE_IN_PROGRESS"),
        event("CREATE_FAILED", "Resource creation cancelled", "Log"),
        event("UPDATE_FAILED", "limit exceeded"),
        event("CREATE_FAILED", "too late", "Other"),
    ]
    assert first_failure(events) == "Network (AWS::EC2::VPC) failed: limit exceeded"
    assert first_failure(events[:2]) is None


def test_what_could_not_be_deleted_is_named_once_with_its_last_reason():
    events = [
        event("DELETE_FAILED", "busy"),
        event("DELETE_FAILED", "in use"),
        event("DELETE_FAILED", None, "Bucket", "AWS::S3::Bucket"),
        event("DELETE_FAILED", "see above", "test", "AWS::CloudFormation::Stack"),
    ]
    assert not_deleted(events) == (
        "Network (AWS::EC2::VPC): in use",
        "Bucket (AWS::S3::Bucket): no reason was given",
    )


@pytest.mark.parametrize(
    ("changes", "phase", "cancellable"),
    [
        ({}, Phase.ASKED, True),
        ({"begun_at": NOON}, Phase.PROPOSING, True),
        ({"begun_at": NOON, "replaces": "s"}, Phase.CLEARING, True),
        ({"begun_at": NOON, "proposed_at": NOON}, Phase.PROPOSED, True),
        ({"begun_at": NOON, "proposed_at": NOON, "executed_at": NOON}, Phase.EXECUTING, True),
        ({"begun_at": NOON, "executed_at": NOON, "action": Action.CREATE}, Phase.EXECUTING, False),
        ({"begun_at": NOON, "status": DeploymentStatus.CANCELLING}, Phase.GOING_BACK, False),
        ({"begun_at": NOON, "executed_at": NOON, "continue_token": "t"}, Phase.GOING_BACK, True),
        ({"begun_at": NOON, "stall": Stall("why", "how", NOON)}, Phase.STALLED, True),
        ({"begun_at": NOON, "action": Action.DELETE, "status": DELETING}, Phase.DELETING, False),
        ({"status": DeploymentStatus.FAILED}, Phase.ENDED, False),
    ],
)  # fmt: skip
def test_how_far_a_deployment_is_and_whether_it_can_still_be_stopped(changes, phase, cancellable):
    found = replace(a_deployment(an_environment()), **changes)
    assert (found.phase, found.cancellable) == (phase, cancellable)
