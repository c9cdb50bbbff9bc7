"""The CloudFormation provisioner on an emulator of AWS, over HTTP."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

import boto3
import pytest

from tests.emulator.harness import ACCOUNT, REGION, Emulator
from tests.emulator.policy import IN_OUR_NAME, Calls, allowed
from upkeep.adapters.cloudformation import Accounts, CloudFormationProvisioner
from upkeep.domain.changesets import Drift, DriftState, ProposalState, Risk
from upkeep.domain.deployments import Action, Progress, ProgressState
from upkeep.domain.errors import Conflict, StalledError, TransientError
from upkeep.domain.names import environment_key, instance_key
from upkeep.domain.resources import Placement
from upkeep.flows.ports import Request

QUEUE = """\
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: {visibility}
Outputs:
  QueueArn:
    Value: !GetAtt Queue.Arn
  Number:
    Value: 5
"""
BODY = QUEUE.format(visibility=30)
CHANGED = QUEUE.format(visibility=60)

BROKEN = """
  Broken:
    Type: AWS::EC2::FlowLog
    Properties:
      ResourceType: VPC
"""
"""A resource that fails when it is made: a required property is missing."""

HERE = Placement(region=REGION)
CREATE = Request("d-1", environment_key("test"), Action.CREATE, BODY, {"team": "platform"}, HERE)
ENDS_WITHIN = 20.0


def broken(body: str) -> str:
    return body.replace("\nOutputs:", f"{BROKEN}Outputs:")


def an_update(stack: str, deployment: str = "d-2", body: str = CHANGED) -> Request:
    return replace(CREATE, deployment=deployment, action=Action.UPDATE, template_body=body, stack=stack)


@pytest.fixture
def calls(emulator: Emulator) -> Iterator[Calls]:
    """What was asked of AWS; nothing may be asked that the documented policy does not allow."""
    made = Calls()
    yield made
    assert made.actions <= allowed(), "deploy/aws does not allow it"


@pytest.fixture
def provisioner(emulator: Emulator, calls: Calls) -> CloudFormationProvisioner:
    return CloudFormationProvisioner(
        Accounts(region=REGION, endpoint_url=emulator.url, connect=calls.session), template_bucket="templates"
    )


def until(look: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + ENDS_WITHIN
    while not good(found := look()):
        assert time.monotonic() < deadline, f"it is still {found}"
        time.sleep(0.02)
    return found


def outcome(provisioner: CloudFormationProvisioner, handle: str) -> Progress:
    found: Progress = until(
        lambda: provisioner.observe(handle), lambda progress: progress.state is not ProgressState.RUNNING
    )
    return found


def done(provisioner: CloudFormationProvisioner, request: Request) -> Progress:
    """Proposed, executed and followed to its end."""
    handle = provisioner.propose(request)
    provisioner.execute(handle, request)
    return outcome(provisioner, handle)


def stacks(emulator: Emulator) -> dict[str, str]:
    listed = emulator.client("cloudformation").list_stacks()["StackSummaries"]
    return {stack["StackName"]: stack["StackStatus"] for stack in listed}


def the_stack(emulator: Emulator, name: str) -> Any:
    return emulator.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]


def test_a_creation_is_proposed_before_anything_is_made(provisioner, emulator):
    handle = provisioner.propose(CREATE)
    proposal = provisioner.proposal(handle)
    assert proposal.state is ProposalState.READY
    (change,) = proposal.changes
    assert (change.action, change.logical_id, change.resource_type) == ("Add", "Queue", "AWS::SQS::Queue")
    assert change.risk is Risk.IN_PLACE
    assert stacks(emulator) == {"upkeep-environment-test": "REVIEW_IN_PROGRESS"}
    assert emulator.client("sqs").list_queues().get("QueueUrls", []) == []


def test_a_creation_gives_back_its_outputs_as_texts_and_what_the_stack_told(provisioner, emulator):
    progress = done(provisioner, CREATE)
    assert progress.state is ProgressState.SUCCEEDED
    assert progress.status == "CREATE_COMPLETE"
    assert set(progress.outputs) == {"QueueArn", "Number"}
    assert progress.outputs["Number"] == "5"
    assert progress.outputs["QueueArn"].startswith(f"arn:aws:sqs:{REGION}:{ACCOUNT}:")
    assert progress.stack == the_stack(emulator, "upkeep-environment-test")["StackId"]
    told = [(event.logical_id, event.status) for event in progress.events]
    assert told[0] == ("upkeep-environment-test", "CREATE_IN_PROGRESS")
    assert told[-1] == ("upkeep-environment-test", "CREATE_COMPLETE")
    assert ("Queue", "CREATE_COMPLETE") in told
    assert all(event.at.tzinfo for event in progress.events)


def test_an_update_says_what_it_changes_and_tells_only_its_own_story(provisioner):
    created = done(provisioner, CREATE)
    request = an_update(created.stack)
    handle = provisioner.propose(request)
    proposal = provisioner.proposal(handle)
    (change,) = proposal.changes
    assert (change.action, change.logical_id, change.causes) == ("Modify", "Queue", ("VisibilityTimeout",))
    assert change.physical_id
    assert proposal.stack == created.stack
    assert provisioner.observe(handle).state is ProgressState.RUNNING
    provisioner.execute(handle, request)
    updated = outcome(provisioner, handle)
    assert (updated.state, updated.status) == (ProgressState.SUCCEEDED, "UPDATE_COMPLETE")
    assert not {event.id for event in updated.events} & {event.id for event in created.events}
    assert updated.events[0].status == "UPDATE_IN_PROGRESS"


def test_an_update_that_changes_nothing_is_empty_and_the_stack_as_it_should_be(provisioner):
    created = done(provisioner, CREATE)
    handle = provisioner.propose(an_update(created.stack, body=BODY))
    proposal = provisioner.proposal(handle)
    assert proposal.state is ProposalState.EMPTY
    assert proposal.risk is Risk.IN_PLACE
    assert provisioner.observe(handle).outputs == created.outputs
    assert provisioner.observe(handle).state is ProgressState.SUCCEEDED
    provisioner.discard(handle)
    with pytest.raises(Conflict, match="is gone"):
        provisioner.proposal(handle)


def test_a_failed_update_is_rolled_back_and_names_what_failed_first(provisioner, emulator):
    created = done(provisioner, CREATE)
    failed = done(provisioner, an_update(created.stack, body=broken(CHANGED)))
    assert (failed.state, failed.status) == (ProgressState.FAILED, "UPDATE_ROLLBACK_COMPLETE")
    assert failed.reason.startswith("Broken (AWS::EC2::FlowLog) failed: ")
    assert "ResourceId" in failed.reason
    assert failed.events[-1].status == "UPDATE_ROLLBACK_COMPLETE"
    again = done(provisioner, an_update(created.stack, deployment="d-3"))
    assert again.state is ProgressState.SUCCEEDED, "a stack that was rolled back can be updated again"


def test_a_failed_creation_has_to_be_deleted_before_another_one(provisioner, emulator):
    failed = done(provisioner, replace(CREATE, template_body=broken(BODY)))
    assert (failed.state, failed.status) == (ProgressState.FAILED, "ROLLBACK_COMPLETE")
    assert failed.reason.startswith("Broken (AWS::EC2::FlowLog) failed: ")
    again = replace(CREATE, deployment="d-2")
    with pytest.raises(StalledError, match="is ROLLBACK_COMPLETE: it can only be deleted") as caught:
        provisioner.propose(again)
    assert "say yes" in caught.value.cure
    clear = replace(again, deployment="d-2-clear", action=Action.DELETE, template_body="", stack=failed.stack)
    assert done(provisioner, clear).state is ProgressState.SUCCEEDED
    assert done(provisioner, again).state is ProgressState.SUCCEEDED


def test_a_deletion_needs_nothing_worked_out_and_ends_with_the_stack_gone(provisioner, emulator):
    created = done(provisioner, CREATE)
    delete = replace(CREATE, deployment="d-9", action=Action.DELETE, template_body="", stack=created.stack)
    gone = done(provisioner, delete)
    assert (gone.state, gone.status) == (ProgressState.SUCCEEDED, "DELETE_COMPLETE")
    assert ("Queue", "DELETE_COMPLETE") in [(event.logical_id, event.status) for event in gone.events]
    assert emulator.client("sqs").list_queues().get("QueueUrls", []) == []
    assert done(provisioner, replace(delete, deployment="d-10")).state is ProgressState.SUCCEEDED


def test_a_deletion_that_fails_names_what_could_not_be_deleted(provisioner, emulator):
    body = "Resources:\n  Files:\n    Type: AWS::S3::Bucket\n    Properties:\n      BucketName: kept-files\n"
    created = done(provisioner, replace(CREATE, template_body=body))
    emulator.client("s3").put_object(Bucket="kept-files", Key="a", Body=b"a")
    delete = replace(CREATE, deployment="d-9", action=Action.DELETE, stack=created.stack)
    failed = done(provisioner, delete)
    assert (failed.state, failed.status) == (ProgressState.FAILED, "DELETE_FAILED")
    assert failed.reason.startswith("could not be deleted: Files (AWS::S3::Bucket): ")
    assert "not empty" in failed.reason
    emulator.client("s3").delete_object(Bucket="kept-files", Key="a")
    assert done(provisioner, replace(delete, deployment="d-10")).state is ProgressState.SUCCEEDED


def test_a_stack_that_was_never_made_is_deleted_at_once(provisioner):
    assert done(provisioner, replace(CREATE, action=Action.DELETE)).state is ProgressState.SUCCEEDED


def test_a_stack_keeps_the_name_that_others_gave_it(provisioner, emulator):
    cloud = emulator.client("cloudformation")
    cloud.create_stack(StackName="AWSProton-test-QYWPQLSESXEMRBY", TemplateBody=BODY)
    until(lambda: stacks(emulator), lambda found: set(found.values()) == {"CREATE_COMPLETE"})
    adopted = done(provisioner, an_update("AWSProton-test-QYWPQLSESXEMRBY"))
    assert adopted.state is ProgressState.SUCCEEDED
    assert stacks(emulator) == {"AWSProton-test-QYWPQLSESXEMRBY": "UPDATE_COMPLETE"}


def test_a_stack_of_somebody_else_is_neither_changed_nor_deleted(provisioner, emulator):
    emulator.client("cloudformation").create_stack(StackName="upkeep-environment-test", TemplateBody=BODY)
    until(lambda: stacks(emulator), lambda found: set(found.values()) == {"CREATE_COMPLETE"})
    with pytest.raises(StalledError, match="was not made by Upkeep"):
        provisioner.propose(CREATE)
    delete = replace(CREATE, action=Action.DELETE)
    with pytest.raises(StalledError, match="was not made by Upkeep"):
        provisioner.execute(provisioner.propose(delete), delete)


def test_a_stack_of_our_own_that_nobody_remembers_is_taken_up_again(provisioner):
    done(provisioner, CREATE)
    again = done(provisioner, replace(CREATE, deployment="d-2", template_body=CHANGED))
    assert (again.state, again.status) == (ProgressState.SUCCEEDED, "UPDATE_COMPLETE")


def test_a_stack_that_is_gone_is_not_made_again_behind_everybodys_back(provisioner, emulator):
    created = done(provisioner, CREATE)
    emulator.client("cloudformation").delete_stack(StackName=created.stack)
    until(lambda: stacks(emulator), lambda found: set(found.values()) == {"DELETE_COMPLETE"})
    with pytest.raises(StalledError, match="the stack upkeep-environment-test is gone"):
        provisioner.propose(an_update(created.stack))


def test_a_stack_that_vanishes_while_it_is_followed_is_told(provisioner, emulator):
    handle = provisioner.propose(CREATE)
    provisioner.execute(handle, CREATE)
    outcome(provisioner, handle)
    emulator.client("cloudformation").delete_stack(StackName="upkeep-environment-test")
    until(lambda: stacks(emulator), lambda found: set(found.values()) == {"DELETE_COMPLETE"})
    with pytest.raises(StalledError, match="is gone"):
        provisioner.observe(handle)


def test_whatever_is_asked_twice_is_done_once(provisioner, emulator):
    handle = provisioner.propose(CREATE)
    assert provisioner.propose(CREATE) == handle
    for _ in range(3):
        provisioner.execute(handle, CREATE)
    first = outcome(provisioner, handle)
    provisioner.execute(handle, CREATE)
    assert outcome(provisioner, handle) == first
    assert [event.status for event in first.events if event.logical_id == "Queue"].count("CREATE_COMPLETE") == 1
    assert json.loads(provisioner.propose(CREATE))["change_set"] == json.loads(handle)["change_set"]


def test_another_process_goes_on_with_a_handle(provisioner, emulator):
    handle = provisioner.propose(CREATE)
    other = CloudFormationProvisioner(Accounts(endpoint_url=emulator.url))
    other.execute(handle, CREATE)
    assert outcome(other, handle).state is ProgressState.SUCCEEDED
    assert outcome(provisioner, handle).state is ProgressState.SUCCEEDED


def test_a_handle_of_another_provisioner_is_refused(provisioner):
    for strange in ("create:d-1:environment/test", "", "[]", "{}"):
        with pytest.raises(StalledError, match="is no handle of the CloudFormation provisioner"):
            provisioner.observe(strange)


def test_a_discarded_creation_leaves_nothing_behind(provisioner, emulator):
    handle = provisioner.propose(CREATE)
    provisioner.discard(handle)
    provisioner.discard(handle)
    assert set(stacks(emulator).values()) <= {"DELETE_COMPLETE"}


def test_a_discarded_update_leaves_the_stack_as_it_is(provisioner, emulator):
    created = done(provisioner, CREATE)
    handle = provisioner.propose(an_update(created.stack))
    provisioner.discard(handle)
    assert stacks(emulator) == {"upkeep-environment-test": "CREATE_COMPLETE"}
    with pytest.raises(Conflict):
        provisioner.execute(handle, an_update(created.stack))


def test_a_change_set_that_was_overtaken_is_not_executed(provisioner):
    created = done(provisioner, CREATE)
    late = an_update(created.stack, deployment="d-late")
    handle = provisioner.propose(late)
    assert (
        done(provisioner, an_update(created.stack, body=QUEUE.format(visibility=90))).state is ProgressState.SUCCEEDED
    )
    with pytest.raises(Conflict, match="does not fit its stack now"):
        provisioner.execute(handle, late)


def test_only_what_a_template_needs_is_acknowledged(provisioner, emulator):
    role = (
        "Resources:\n  Role:\n    Type: AWS::IAM::Role\n    Properties:\n      RoleName: deployer\n"
        "      AssumeRolePolicyDocument: {Statement: []}\n"
    )
    cloud = emulator.client("cloudformation")
    for body, needed in ((BODY, []), (role, ["CAPABILITY_NAMED_IAM"])):
        handle = provisioner.propose(replace(CREATE, deployment=f"d-{len(needed)}", template_body=body))
        change_set = json.loads(handle)["change_set"]
        assert cloud.describe_change_set(ChangeSetName=change_set)["Capabilities"] == needed


def test_a_stack_and_what_it_holds_carry_the_tags(provisioner, emulator):
    created = done(provisioner, replace(CREATE, tags={"team": "platform", "empty": ""}))
    tags = {tag["Key"]: tag["Value"] for tag in the_stack(emulator, created.stack)["Tags"]}
    assert tags == {"team": "platform", "upkeep:resource": "environment/test"}
    sqs = emulator.client("sqs")
    (queue,) = sqs.list_queues()["QueueUrls"]
    assert sqs.list_queue_tags(QueueUrl=queue)["Tags"]["team"] == "platform"


def test_a_large_template_goes_through_the_bucket_once(provisioner, emulator):
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket="templates", CreateBucketConfiguration={"LocationConstraint": REGION})
    large = BODY + "# " + "x" * 60_000 + "\n"
    assert done(provisioner, replace(CREATE, template_body=large)).state is ProgressState.SUCCEEDED
    assert provisioner.propose(replace(CREATE, resource=environment_key("other"), template_body=large))
    (kept,) = s3.list_objects_v2(Bucket="templates")["Contents"]
    assert s3.get_object(Bucket="templates", Key=kept["Key"])["Body"].read().decode() == large
    assert emulator.client("cloudformation").get_template(StackName="upkeep-environment-test")["TemplateBody"] == large


def test_a_large_template_without_a_bucket_says_what_to_set(emulator):
    bare = CloudFormationProvisioner(Accounts(region=REGION, endpoint_url=emulator.url))
    with pytest.raises(StalledError, match="60,") as caught:
        bare.propose(replace(CREATE, template_body=BODY + "# " + "x" * 60_000))
    assert "cloudformation.template_bucket" in caught.value.cure


def test_a_bucket_that_is_not_there_is_named(provisioner):
    with pytest.raises(StalledError, match="cannot be put into the bucket templates"):
        provisioner.propose(replace(CREATE, template_body=BODY + "# " + "x" * 60_000))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("Resources:\n  A:\n    Type: AWS::Not::There\n", "Unrecognized resource types: [AWS::Not::There]"),
        ("Resources:\n  A: 1\n B: 2\n", "template:3: this is not YAML"),
    ],
)
def test_a_template_that_is_refused_is_a_proposal_that_failed(provisioner, body, reason):
    proposal = provisioner.proposal(provisioner.propose(replace(CREATE, template_body=body)))
    assert proposal.state is ProposalState.FAILED
    assert reason in proposal.reason
    assert proposal.risk is Risk.NOT_CHECKED


def test_a_role_is_entered_with_its_external_id_and_named_after_the_deployment(provisioner, emulator, calls):
    role = "arn:aws:iam::222222222222:role/upkeep"
    there = Placement("222222222222", "eu-north-1", role, "4f1a9c")
    request = replace(CREATE, deployment="0f3bdc51-77aa", placement=there)
    created = done(provisioner, request)
    assert created.stack.startswith("arn:aws:cloudformation:eu-north-1:222222222222:stack/upkeep-environment-test/")
    assert calls.given("sts:AssumeRole") == [
        {"RoleArn": role, "RoleSessionName": "upkeep-0f3bdc51", "ExternalId": "4f1a9c"}
    ]
    assert stacks(emulator) == {}, "nothing is made in Upkeep's own account"


def test_nothing_is_made_in_another_account_than_the_one_named(provisioner):
    for elsewhere in (
        Placement("222222222222", REGION),
        Placement("222222222222", REGION, "arn:aws:iam::333333333333:role/upkeep"),
    ):
        with pytest.raises(StalledError, match="has to be done in account 222222222222"):
            provisioner.propose(replace(CREATE, placement=elsewhere))
    assert provisioner.propose(replace(CREATE, placement=Placement(ACCOUNT, REGION)))


def test_the_region_of_a_known_stack_needs_no_telling(emulator, calls):
    first = CloudFormationProvisioner(Accounts(region=REGION, endpoint_url=emulator.url))
    created = done(first, replace(CREATE, placement=Placement(region="eu-north-1")))
    assert done(first, replace(an_update(created.stack), placement=Placement())).state is ProgressState.SUCCEEDED


PIPELINE = """\
Resources:
  Pipeline:
    Type: AWS::CodePipeline::Pipeline
    Properties:
      Name: shop
      RoleArn: arn:aws:iam::000000000000:role/pipeline
      Stages:
        - {{Name: Source, Actions: [{{Name: {action}, ActionTypeId: &manual {{{manual}}}}}]}}
        - {{Name: Build, Actions: [{{Name: Build, ActionTypeId: *manual}}]}}
"""

MANUAL = "Category: Approval, Owner: AWS, Provider: Manual, Version: '1'"

WAITS = """\
  Handle:
    Type: AWS::CloudFormation::WaitConditionHandle
  Wait:
    Type: AWS::CloudFormation::WaitCondition
    DependsOn: Pipeline
    Properties: {Handle: !Ref Handle, Timeout: 30}
  Queue:
    Type: AWS::SQS::Queue
    DependsOn: Wait
"""
"""An update that stands still until it is told how to go on."""


@contextmanager
def standing_still(provisioner: CloudFormationProvisioner, emulator: Emulator, told: str) -> Iterator[tuple[str, str]]:
    """A stack's id and the handle of its update, which changes the pipeline and waits; at the end it is told."""
    created = done(provisioner, replace(CREATE, template_body=PIPELINE.format(action="Old", manual=MANUAL)))
    request = an_update(created.stack, body=PIPELINE.format(action="New", manual=MANUAL) + WAITS)
    handle = provisioner.propose(request)
    provisioner.execute(handle, request)
    cloud = emulator.client("cloudformation")
    until(lambda: provisioner.observe(handle).events, lambda told: any(event.logical_id == "Wait" for event in told))
    assert provisioner.observe(handle).status == "UPDATE_IN_PROGRESS"
    yield created.stack, handle
    waits = cloud.describe_stack_resource(StackName=created.stack, LogicalResourceId="Handle")["StackResourceDetail"]
    answer = json.dumps({"Status": told, "UniqueId": "1", "Data": "", "Reason": "it said so"}).encode()
    # The address is signed for a request without a type of content.
    signal = HttpRequest(waits["PhysicalResourceId"], data=answer, headers={"Content-Type": ""}, method="PUT")
    urlopen(signal, timeout=10).close()


def first_action(emulator: Emulator) -> str:
    pipeline = emulator.client("codepipeline").get_pipeline(name="shop")["pipeline"]
    return pipeline["stages"][0]["actions"][0]["name"]


def test_an_update_under_way_goes_back_when_it_is_cancelled(provisioner, emulator):
    with standing_still(provisioner, emulator, "SUCCESS") as (_, handle):
        assert first_action(emulator) == "New"
        with pytest.raises(TransientError, match="it is UPDATE_IN_PROGRESS"):
            provisioner.propose(an_update("upkeep-environment-test", deployment="d-other"))
        provisioner.cancel(handle)
    ended = outcome(provisioner, handle)
    assert (ended.state, ended.status) == (ProgressState.FAILED, "UPDATE_ROLLBACK_COMPLETE")
    assert ended.reason == "the update was cancelled"
    assert first_action(emulator) == "Old"


def test_a_rollback_that_fails_is_continued_once_what_stood_in_its_way_is_put_right(provisioner, emulator):
    pipelines = emulator.client("codepipeline")
    with standing_still(provisioner, emulator, "FAILURE") as (stack, handle):
        kept = pipelines.get_pipeline(name="shop")["pipeline"]
        pipelines.delete_pipeline(name="shop")
    failed = outcome(provisioner, handle)
    assert (failed.state, failed.status) == (ProgressState.FAILED, "UPDATE_ROLLBACK_FAILED")
    assert failed.reason.startswith("Wait (AWS::CloudFormation::WaitCondition) failed: ")
    assert "; then it could not go back: The following resource(s) failed to update: [Pipeline]." in failed.reason
    with pytest.raises(StalledError, match="it could not go back"):
        provisioner.propose(an_update(stack, deployment="d-3"))
    pipelines.create_pipeline(pipeline=kept)
    provisioner.continue_rollback(stack, HERE, "d-2-again")
    back = until(lambda: provisioner.observe(handle), lambda progress: progress.status == "UPDATE_ROLLBACK_COMPLETE")
    assert back.state is ProgressState.FAILED
    assert first_action(emulator) == "Old"
    assert done(provisioner, an_update(stack, deployment="d-4")).state is ProgressState.SUCCEEDED


def test_an_update_that_has_ended_cannot_be_cancelled(provisioner):
    created = done(provisioner, CREATE)
    handle = provisioner.propose(an_update(created.stack))
    with pytest.raises(Conflict):
        provisioner.cancel(handle)


def test_a_rollback_that_did_not_fail_is_not_continued(provisioner):
    created = done(provisioner, CREATE)
    with pytest.raises(Conflict):
        provisioner.continue_rollback(created.stack, HERE, "d-2-continue")


def test_drift_is_found_and_named(provisioner, emulator):
    created = done(provisioner, CREATE)
    handle = provisioner.ask_drift(created.stack, HERE)
    assert until(lambda: provisioner.drift(handle), lambda drift: drift.state is not DriftState.WORKING) == Drift(
        DriftState.IN_SYNC
    )
    sqs = emulator.client("sqs")
    (queue,) = sqs.list_queues()["QueueUrls"]
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "45"})
    handle = provisioner.ask_drift(created.stack, HERE)
    drift = until(lambda: provisioner.drift(handle), lambda drift: drift.state is not DriftState.WORKING)
    assert drift == Drift(DriftState.DRIFTED, ("Queue (AWS::SQS::Queue): MODIFIED",))


def test_drift_of_a_stack_that_is_gone_says_so(provisioner):
    with pytest.raises(StalledError, match="the stack upkeep-environment-test is gone"):
        provisioner.ask_drift("upkeep-environment-test", HERE)


def test_an_emulator_that_is_down_is_asked_again_later(emulator):
    away = CloudFormationProvisioner(Accounts(region=REGION, endpoint_url="http://127.0.0.1:9"))
    with pytest.raises(TransientError, match="AWS did not answer cloudformation:DescribeStacks in eu-west-1"):
        away.propose(CREATE)


def test_instances_of_services_that_could_be_confused_have_stacks_of_their_own(provisioner, emulator):
    for service, name in (("a-b", "c"), ("a", "b-c")):
        request = replace(CREATE, deployment=f"d-{service}", resource=instance_key(service, name))
        assert done(provisioner, request).state is ProgressState.SUCCEEDED
    assert len(stacks(emulator)) == 2


def test_the_documented_policy_allows_nothing_that_is_not_needed(provisioner, emulator, calls):
    """Every kind of call once: what is left over in deploy/aws is not the least."""
    emulator.client("s3").create_bucket(Bucket="templates", CreateBucketConfiguration={"LocationConstraint": REGION})
    there = Placement(region=REGION, role_arn=f"arn:aws:iam::{ACCOUNT}:role/upkeep-deploys")
    create = replace(CREATE, placement=there, template_body=BODY + "# " + "x" * 60_000)
    provisioner.discard(provisioner.propose(create))
    created = done(provisioner, create)
    handle = provisioner.propose(replace(an_update(created.stack), placement=there))
    assert provisioner.proposal(handle).state is ProposalState.READY
    for ask in (
        lambda: provisioner.cancel(handle),
        lambda: provisioner.continue_rollback(created.stack, there, "d-2-continue"),
    ):
        with pytest.raises(Conflict):
            ask()
    sqs = emulator.client("sqs")
    sqs.set_queue_attributes(QueueUrl=sqs.list_queues()["QueueUrls"][0], Attributes={"VisibilityTimeout": "45"})
    compared = provisioner.ask_drift(created.stack, there)
    until(lambda: provisioner.drift(compared), lambda drift: drift.state is DriftState.DRIFTED)
    done(provisioner, replace(create, deployment="d-9", action=Action.DELETE, stack=created.stack))
    assert allowed() - IN_OUR_NAME == calls.actions


def test_sessions_are_those_of_boto3(emulator):
    """What the worker uses is boto3's own chain; tests only listen."""
    assert isinstance(Calls().session(), boto3.session.Session)
