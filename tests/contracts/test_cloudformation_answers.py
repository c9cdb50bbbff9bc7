"""What AWS answers, to the letter, and what the CloudFormation provisioner makes of it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore import exceptions as aws
from botocore.stub import ANY, Stubber

from tests.emulator.policy import Calls
from tests.gitserver import GitServer
from upkeep.adapters.cloudformation import Accounts, CloudFormationProvisioner
from upkeep.domain.changesets import Drift, DriftState, ProposalState
from upkeep.domain.deployments import Action, ProgressState
from upkeep.domain.errors import CallerError, Conflict, StalledError, TransientError
from upkeep.domain.names import environment_key
from upkeep.domain.resources import Placement
from upkeep.flows.ports import Request

STACK = "arn:aws:cloudformation:eu-west-1:123456789012:stack/upkeep-environment-test/6f2f8d40"
CHANGE_SET = "arn:aws:cloudformation:eu-west-1:123456789012:changeSet/upkeep-d-1/51b1"
BODY = "Resources:\n  Queue:\n    Type: AWS::SQS::Queue\n"
HERE = Placement(region="eu-west-1")
CREATE = Request("d-1", environment_key("test"), Action.CREATE, BODY, {}, HERE)
UPDATE = replace(CREATE, action=Action.UPDATE, stack=STACK)
HANDLE = json.dumps(
    {"deployment": "d-1", "action": "update", "stack": STACK, "change_set": CHANGE_SET, "region": "eu-west-1"}
)
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

SAYS_ABSENT = ("ValidationError", "Stack with id upkeep-environment-test does not exist")


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret-key")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def accounts() -> Accounts:
    return Accounts(connect=Calls().session)


@pytest.fixture
def provisioner(accounts: Accounts) -> CloudFormationProvisioner:
    return CloudFormationProvisioner(accounts)


@pytest.fixture
def cloud(accounts: Accounts) -> Iterator[Stubber]:
    """Answers for CloudFormation, in the order in which they are given; each of them has to be asked for."""
    with Stubber(accounts.client("cloudformation", HERE, "d-1")) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def a_stack(status: str = "CREATE_COMPLETE", **more: Any) -> dict[str, Any]:
    tags = [{"Key": "upkeep:resource", "Value": "environment/test"}]
    stack = {"StackName": "upkeep-environment-test", "StackId": STACK, "StackStatus": status, "CreationTime": NOON}
    return {"Stacks": [stack | {"Tags": tags} | more]}


def a_change_set(status: str, **more: Any) -> dict[str, Any]:
    return {
        "ChangeSetId": CHANGE_SET,
        "StackId": STACK,
        "StackName": "upkeep-environment-test",
        "Status": status,
    } | more


def an_event(number: int, status: str, token: str = "d-1", **more: Any) -> dict[str, Any]:
    return {
        "StackId": STACK,
        "StackName": "upkeep-environment-test",
        "EventId": f"e-{number}",
        "LogicalResourceId": "upkeep-environment-test",
        "PhysicalResourceId": STACK,
        "ResourceType": "AWS::CloudFormation::Stack",
        "ResourceStatus": status,
        "Timestamp": NOON + timedelta(seconds=number),
        "ClientRequestToken": token,
    } | more


def of(logical_id: str, reason: str = "", kind: str = "AWS::EC2::FlowLog") -> dict[str, Any]:
    told = {"LogicalResourceId": logical_id, "PhysicalResourceId": "", "ResourceType": kind}
    return told | ({"ResourceStatusReason": reason} if reason else {})


def events(*oldest_first: dict[str, Any]) -> dict[str, Any]:
    return {"StackEvents": list(reversed(oldest_first))}


# ------------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("code", "message", "status"),
    [
        ("Throttling", "Rate exceeded", 400),
        ("ThrottlingException", "Rate exceeded", 400),
        ("RequestLimitExceeded", "Request limit exceeded.", 503),
        ("ServiceUnavailable", "Service Unavailable", 503),
        ("InternalFailure", "An internal error has occurred", 500),
        ("Nobody knows", "", 502),
    ],
)
def test_what_passes_by_itself_is_tried_again(provisioner, cloud, code, message, status):
    cloud.add_client_error("describe_stacks", code, message, status)
    with pytest.raises(TransientError, match="AWS put off cloudformation:DescribeStacks in eu-west-1"):
        provisioner.propose(CREATE)


def test_aws_says_itself_how_long_to_wait(provisioner, cloud):
    meta = {"HTTPHeaders": {"retry-after": "17"}}
    cloud.add_client_error("describe_stacks", "Throttling", "Rate exceeded", 400, response_meta=meta)
    with pytest.raises(TransientError) as caught:
        provisioner.propose(CREATE)
    assert caught.value.retry_after == timedelta(seconds=17)


def test_a_denial_names_the_action_and_whom_it_is_missing(provisioner, cloud):
    message = "User: arn:aws:iam::123456789012:user/upkeep is not authorized to perform: cloudformation:CreateChangeSet"
    cloud.add_client_error("describe_stacks", *SAYS_ABSENT)
    cloud.add_client_error("create_change_set", "AccessDenied", message, 403)
    with pytest.raises(StalledError) as caught:
        provisioner.propose(CREATE)
    assert caught.value.message == f"AWS denies cloudformation:CreateChangeSet in eu-west-1: {message}"
    assert caught.value.cure == "allow Upkeep's own identity cloudformation:CreateChangeSet, then retry"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("InvalidClientTokenId", "The security token included in the request is invalid."),
        ("SignatureDoesNotMatch", "Signature expired: 20260302T120000Z is now earlier than 20260302T121500Z"),
    ],
)
def test_credentials_that_aws_does_not_know_need_a_person(provisioner, cloud, code, message):
    cloud.add_client_error("describe_stacks", code, message, 403)
    with pytest.raises(StalledError, match="AWS does not accept the credentials") as caught:
        provisioner.propose(CREATE)
    assert "credentials" in caught.value.cure


def test_a_quota_that_is_used_up_needs_a_person(provisioner, cloud):
    cloud.add_client_error("describe_stacks", *SAYS_ABSENT)
    cloud.add_client_error("create_change_set", "LimitExceededException", "Limit for stack has been exceeded")
    with pytest.raises(StalledError, match="quota"):
        provisioner.propose(CREATE)


def test_without_credentials_nothing_is_asked(provisioner, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StalledError, match="there are no credentials for AWS") as caught:
        provisioner.propose(CREATE)
    assert "as the AWS CLI takes them" in caught.value.cure


def test_without_a_region_nothing_is_asked(provisioner):
    with pytest.raises(StalledError, match="it is not known in which region") as caught:
        provisioner.propose(replace(CREATE, placement=Placement()))
    assert "cloudformation.region" in caught.value.cure


def test_no_error_tells_a_secret(provisioner, cloud):
    cloud.add_client_error("describe_stacks", "SignatureDoesNotMatch", "The request signature does not match.", 403)
    with pytest.raises(StalledError) as caught:
        provisioner.propose(CREATE)
    assert "the-secret-key" not in repr(caught.value) + str(caught.value) + repr(provisioner.__dict__)


def test_what_is_not_aws_is_asked_again_and_not_quoted(tmp_path):
    quoting = GitServer(tmp_path, fault=lambda path: (500, "oh no: you sent the-secret-key"))
    with quoting as server:
        accounts = Accounts(endpoint_url=server.address, connect=Calls().session)
        with pytest.raises(TransientError, match="what answered cloudformation:DescribeStacks") as caught:
            accounts.call("cloudformation", "describe_stacks", HERE, "d-1")
    assert "the-secret-key" not in str(caught.value)
    assert "proxies" in caught.value.cure


# --------------------------------------------------------------------------------------------- identities


class Door:
    """A boto3 session whose clients answer from a script: one list of answers for each service."""

    def __init__(self, **answers: list[tuple[str, Any]]) -> None:
        self._session = Calls().session()
        self._answers = answers
        self.made: list[tuple[str, dict[str, str]]] = []

    def __call__(self) -> "Door":
        return self

    def client(self, service: str, **given: Any) -> Any:
        self.made.append((service, {name: value for name, value in given.items() if name.startswith("aws_")}))
        client = self._session.client(service, **given)
        stubber = Stubber(client)
        for operation, answer in self._answers.pop(service, []):
            if isinstance(answer, dict):
                stubber.add_response(operation, answer)
            else:
                stubber.add_client_error(operation, *answer)
        stubber.activate()
        return client


ROLE = "arn:aws:iam::123456789012:role/upkeep-deploys"
THERE = Placement("123456789012", "eu-west-1", ROLE, "4f1a9c")


def assumed(key: str, until: datetime) -> tuple[str, dict[str, Any]]:
    given = {"AccessKeyId": key.ljust(16, "X"), "SecretAccessKey": f"secret-{key}", "SessionToken": "token"}
    return "assume_role", {"Credentials": given | {"Expiration": until}}


def test_a_role_that_is_gone_says_which_and_what_to_check(monkeypatch):
    message = f"User: arn:aws:sts::1:assumed-role/x is not authorized to perform: sts:AssumeRole on resource: {ROLE}"
    door = Door(sts=[("assume_role", ("AccessDenied", message, 403))])
    with pytest.raises(StalledError, match=f"the role {ROLE} cannot be assumed") as caught:
        CloudFormationProvisioner(Accounts(connect=door)).propose(replace(CREATE, placement=THERE))
    assert "trust policy" in caught.value.cure
    assert "4f1a9c" in caught.value.cure


def test_a_role_is_entered_once_while_its_credentials_are_good():
    later = datetime.now(UTC) + timedelta(hours=1)
    door = Door(
        sts=[assumed("FIRST", later)],
        cloudformation=[("describe_stacks", SAYS_ABSENT), ("create_change_set", {"Id": CHANGE_SET, "StackId": STACK})],
    )
    CloudFormationProvisioner(Accounts(connect=door)).propose(replace(CREATE, placement=THERE))
    assert [service for service, _ in door.made] == ["sts", "cloudformation"]
    assert door.made[1][1]["aws_access_key_id"] == "FIRSTXXXXXXXXXXX"


def test_a_role_is_entered_once_by_each_of_a_hundred_deployments_that_are_looked_at_in_turns():
    later = datetime.now(UTC) + timedelta(hours=1)
    door = Door(sts=[assumed(f"KEY{number}", later) for number in range(100)])
    accounts = Accounts(connect=door)
    for number in [*range(100), *range(100)]:
        accounts.client("cloudformation", THERE, f"{number:08}")
    assert [service for service, _ in door.made] == ["sts", *["cloudformation"] * 100]


def test_a_role_is_entered_again_before_its_credentials_expire():
    soon = datetime.now(UTC) + timedelta(minutes=2)
    accounts = Accounts(connect=Door(sts=[assumed("FIRST", soon)]))
    accounts.client("cloudformation", THERE, "d-1")
    with pytest.raises(aws.UnStubbedResponseError, match="AssumeRole"):
        accounts.client("cloudformation", THERE, "d-1")


def test_credentials_that_expired_are_renewed_once():
    later = datetime.now(UTC) + timedelta(hours=1)
    expired = ("ExpiredToken", "The security token included in the request is expired", 403)
    doors = iter(
        [
            Door(sts=[assumed("FIRST", later)], cloudformation=[("describe_stacks", expired)]),
            Door(
                sts=[assumed("SECOND", later)],
                cloudformation=[
                    ("describe_stacks", SAYS_ABSENT),
                    ("create_change_set", {"Id": CHANGE_SET, "StackId": STACK}),
                ],
            ),
        ]
    )
    provisioner = CloudFormationProvisioner(Accounts(connect=lambda: next(doors)))
    assert provisioner.propose(replace(CREATE, placement=THERE))


def test_credentials_that_stay_expired_need_a_person():
    expired = ("ExpiredToken", "The security token included in the request is expired", 403)
    accounts = Accounts(connect=lambda: Door(cloudformation=[("describe_stacks", expired)]))
    with pytest.raises(StalledError, match="have expired") as caught:
        CloudFormationProvisioner(accounts).propose(CREATE)
    assert "credentials" in caught.value.cure


# ---------------------------------------------------------------------------------------------- proposals


def test_a_change_set_is_asked_for_in_all_its_parts(provisioner, cloud):
    cloud.add_response("describe_stacks", a_stack())
    cloud.add_response(
        "create_change_set",
        {"Id": CHANGE_SET, "StackId": STACK},
        {
            "StackName": "upkeep-environment-test",
            "ChangeSetName": "upkeep-d-1",
            "ChangeSetType": "UPDATE",
            "ClientToken": ANY,
            "Tags": [
                {"Key": "team", "Value": "platform"},
                {"Key": "upkeep:resource", "Value": "environment/test"},
            ],
            "Capabilities": [],
            "IncludeNestedStacks": False,
            "TemplateBody": BODY,
        },
    )
    handle = json.loads(provisioner.propose(replace(UPDATE, tags={"team": "platform"})))
    assert handle == {
        "deployment": "d-1",
        "action": "update",
        "stack": STACK,
        "change_set": CHANGE_SET,
        "region": "eu-west-1",
    }


@pytest.mark.parametrize(
    "sentence",
    [
        "The submitted information didn't contain changes. Submit different information to create a change set.",
        "No updates are to be performed.",
    ],
)
def test_both_sentences_for_no_changes_are_understood(provisioner, cloud, sentence):
    empty = a_change_set("FAILED", StatusReason=sentence, ExecutionStatus="UNAVAILABLE")
    cloud.add_response("describe_change_set", empty)
    assert provisioner.proposal(HANDLE).state is ProposalState.EMPTY


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("CREATE_PENDING", ProposalState.WORKING),
        ("CREATE_IN_PROGRESS", ProposalState.WORKING),
        ("CREATE_COMPLETE", ProposalState.READY),
        ("FAILED", ProposalState.FAILED),
        ("DELETE_COMPLETE", ProposalState.FAILED),
    ],
)
def test_every_status_of_a_change_set_means_something(provisioner, cloud, status, state):
    cloud.add_response("describe_change_set", a_change_set(status))
    assert provisioner.proposal(HANDLE).state is state


def test_the_reason_of_a_failed_change_set_is_passed_on(provisioner, cloud):
    reason = "Transform AWS::Serverless-2016-10-31 failed with: Resource with id [F] is invalid."
    cloud.add_response("describe_change_set", a_change_set("FAILED", StatusReason=reason))
    assert provisioner.proposal(HANDLE).reason == reason


def test_all_pages_of_a_change_set_are_read(provisioner, cloud):
    def page(name: str, **more: Any) -> dict[str, Any]:
        details = [
            {"Target": {"Attribute": "Properties", "Name": "Cpu", "RequiresRecreation": "Always"}},
            {"Target": {"Attribute": "Properties", "Name": "Cpu", "RequiresRecreation": "Always"}},
            {"Target": {"Attribute": "Tags", "RequiresRecreation": "Never"}},
        ]
        change = {
            "Action": "Modify",
            "LogicalResourceId": name,
            "PhysicalResourceId": f"id-of-{name}",
            "ResourceType": "AWS::ECS::TaskDefinition",
            "Replacement": "True",
            "Scope": ["Properties", "Tags"],
            "Details": details,
        }
        return a_change_set("CREATE_COMPLETE", Changes=[{"Type": "Resource", "ResourceChange": change}], **more)

    cloud.add_response("describe_change_set", page("One", NextToken="more"), {"ChangeSetName": CHANGE_SET})
    cloud.add_response("describe_change_set", page("Two"), {"ChangeSetName": CHANGE_SET, "NextToken": "more"})
    one, two = provisioner.proposal(HANDLE).changes
    assert (one.logical_id, two.logical_id) == ("One", "Two")
    assert (one.causes, one.scope, one.replacement) == (("Cpu",), ("Properties", "Tags"), "True")
    assert one.physical_id == "id-of-One"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ValidationError", "Template format error: Unresolved resource dependencies [Vpc] in the Resources block"),
        ("ValidationError", "Parameters: [Name] must have values"),
        ("InsufficientCapabilitiesException", "Requires capabilities : [CAPABILITY_NAMED_IAM]"),
    ],
)
def test_a_refusal_is_the_failure_of_the_proposal(provisioner, cloud, code, message):
    cloud.add_client_error("describe_stacks", *SAYS_ABSENT)
    cloud.add_client_error("create_change_set", code, message)
    proposal = provisioner.proposal(provisioner.propose(CREATE))
    assert (proposal.state, proposal.reason) == (ProposalState.FAILED, message)
    with pytest.raises(CallerError, match=r"\w"):
        provisioner.execute(
            json.dumps({"deployment": "d-1", "action": "create", "stack": "s", "refused": "no"}), CREATE
        )


@pytest.mark.parametrize("status", ["UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS", "DELETE_IN_PROGRESS"])
def test_a_stack_that_somebody_else_changes_is_waited_for(provisioner, cloud, status):
    cloud.add_response("describe_stacks", a_stack(status))
    cloud.add_client_error("describe_change_set", "ChangeSetNotFound", "ChangeSet [upkeep-d-1] does not exist", 404)
    with pytest.raises(TransientError, match=f"upkeep-environment-test is not ready: it is {status}"):
        provisioner.propose(UPDATE)


def test_a_stack_that_begins_to_change_meanwhile_is_waited_for(provisioner, cloud):
    cloud.add_response("describe_stacks", a_stack())
    sentence = f"Stack:{STACK} is in UPDATE_IN_PROGRESS state and can not be updated."
    cloud.add_client_error("create_change_set", "ValidationError", sentence)
    with pytest.raises(TransientError, match="UPDATE_IN_PROGRESS"):
        provisioner.propose(UPDATE)


@pytest.mark.parametrize("status", ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_FAILED"])
def test_a_stack_that_stands_firm_is_updated(provisioner, cloud, status):
    cloud.add_response("describe_stacks", a_stack(status))
    cloud.add_response("create_change_set", {"Id": CHANGE_SET, "StackId": STACK})
    assert provisioner.propose(UPDATE)


@pytest.mark.parametrize(
    ("status", "said", "cure"),
    [
        ("ROLLBACK_COMPLETE", "can only be deleted", "say yes to deleting it"),
        ("ROLLBACK_FAILED", "can only be deleted", "say yes to deleting it"),
        ("CREATE_FAILED", "can only be deleted", "say yes to deleting it"),
        ("UPDATE_ROLLBACK_FAILED", "it could not go back", "continue its rollback"),
        ("DELETE_FAILED", "could not be deleted", "remove what keeps it"),
    ],
)
def test_a_stack_that_cannot_be_updated_says_what_leads_on(provisioner, cloud, status, said, cure):
    cloud.add_response("describe_stacks", a_stack(status))
    with pytest.raises(StalledError, match=said) as caught:
        provisioner.propose(UPDATE)
    assert cure in caught.value.cure


def test_a_change_set_that_is_there_already_is_the_one(provisioner, cloud):
    cloud.add_response("describe_stacks", a_stack())
    sentence = "ChangeSet upkeep-d-1 cannot be created because it already exists"
    cloud.add_client_error("create_change_set", "AlreadyExistsException", sentence)
    found = a_change_set("CREATE_COMPLETE", ExecutionStatus="AVAILABLE")
    named = {"ChangeSetName": "upkeep-d-1", "StackName": "upkeep-environment-test"}
    cloud.add_response("describe_change_set", found, named)
    assert json.loads(provisioner.propose(UPDATE))["change_set"] == CHANGE_SET


def test_a_change_set_that_was_overtaken_is_made_anew(provisioner, cloud):
    cloud.add_response("describe_stacks", a_stack())
    cloud.add_client_error("create_change_set", "AlreadyExistsException", "it already exists")
    cloud.add_response("describe_change_set", a_change_set("CREATE_COMPLETE", ExecutionStatus="OBSOLETE"))
    cloud.add_response("delete_change_set", {}, {"ChangeSetName": CHANGE_SET})
    with pytest.raises(TransientError, match="it changed since"):
        provisioner.propose(UPDATE)


# --------------------------------------------------------------------------------------------- executions


def test_a_change_set_is_executed_under_the_deployments_own_token(provisioner, cloud):
    given = {"ChangeSetName": CHANGE_SET, "ClientRequestToken": "d-1"}
    cloud.add_response("execute_change_set", {}, given)
    provisioner.execute(HANDLE, UPDATE)


@pytest.mark.parametrize("execution", ["EXECUTE_IN_PROGRESS", "EXECUTE_COMPLETE", "EXECUTE_FAILED"])
def test_what_was_executed_before_is_not_executed_again(provisioner, cloud, execution):
    sentence = f"ChangeSet [{CHANGE_SET}] cannot be executed in its current execution status of [{execution}]"
    cloud.add_client_error("execute_change_set", "InvalidChangeSetStatus", sentence)
    cloud.add_response("describe_change_set", a_change_set("CREATE_COMPLETE", ExecutionStatus=execution))
    provisioner.execute(HANDLE, UPDATE)


def test_a_token_that_was_used_before_is_no_error(provisioner, cloud):
    cloud.add_client_error("execute_change_set", "TokenAlreadyExistsException", "Client token already exists")
    provisioner.execute(HANDLE, UPDATE)


def test_a_change_set_that_is_gone_after_it_was_executed_is_no_error(provisioner, cloud):
    gone = ("ChangeSetNotFound", f"ChangeSet [{CHANGE_SET}] does not exist", 404)
    cloud.add_client_error("execute_change_set", *gone)
    cloud.add_client_error("describe_change_set", *gone)
    cloud.add_response("describe_stacks", a_stack("UPDATE_IN_PROGRESS"))
    cloud.add_response("describe_stack_events", events(an_event(1, "UPDATE_IN_PROGRESS")))
    provisioner.execute(HANDLE, UPDATE)


def test_a_change_set_that_is_gone_and_was_never_executed_has_to_be_made_anew(provisioner, cloud):
    gone = ("ChangeSetNotFound", f"ChangeSet [{CHANGE_SET}] does not exist", 404)
    cloud.add_client_error("execute_change_set", *gone)
    cloud.add_client_error("describe_change_set", *gone)
    cloud.add_response("describe_stacks", a_stack())
    cloud.add_response("describe_stack_events", events(an_event(1, "UPDATE_COMPLETE", token="other")))
    with pytest.raises(Conflict, match="does not fit its stack now"):
        provisioner.execute(HANDLE, UPDATE)


def test_a_protected_stack_is_not_deleted_and_says_so(provisioner, cloud):
    delete = replace(UPDATE, action=Action.DELETE)
    cloud.add_response("describe_stacks", a_stack())
    sentence = f"Stack [{STACK}] cannot be deleted while TerminationProtection is enabled"
    given = {"StackName": STACK, "ClientRequestToken": "d-1-delete"}
    cloud.add_client_error("delete_stack", "ValidationError", sentence, expected_params=given)
    with pytest.raises(StalledError, match="protected from deletion") as caught:
        provisioner.execute(provisioner.propose(delete), delete)
    assert "termination protection" in caught.value.cure


def test_a_deletion_by_somebody_else_is_waited_for(provisioner, cloud):
    delete = replace(UPDATE, action=Action.DELETE)
    cloud.add_response("describe_stacks", a_stack("DELETE_IN_PROGRESS"))
    cloud.add_response("describe_stack_events", events(an_event(1, "DELETE_IN_PROGRESS", token="other")))
    with pytest.raises(TransientError, match="somebody else deletes it"):
        provisioner.execute(provisioner.propose(delete), delete)


# ------------------------------------------------------------------------------------------- observations


def observed(
    provisioner: CloudFormationProvisioner, cloud: Stubber, status: str, *told: dict[str, Any], **more: Any
) -> Any:
    cloud.add_response("describe_stacks", a_stack(status, **more))
    cloud.add_response("describe_stack_events", events(*told), {"StackName": STACK})
    return provisioner.observe(HANDLE)


def test_the_first_resource_that_failed_is_the_reason_and_never_one_that_was_stopped(provisioner, cloud):
    progress = observed(
        provisioner,
        cloud,
        "UPDATE_ROLLBACK_COMPLETE",
        an_event(0, "CREATE_COMPLETE", token="before"),
        an_event(1, "UPDATE_IN_PROGRESS"),
        an_event(2, "CREATE_FAILED", **of("Queue", "Resource creation cancelled", "AWS::SQS::Queue")),
        an_event(3, "CREATE_FAILED", **of("FlowLog", "Access Denied for LogDestination")),
        an_event(4, "UPDATE_FAILED", **of("Topic", "Resource update cancelled", "AWS::SNS::Topic")),
        an_event(5, "UPDATE_ROLLBACK_IN_PROGRESS", ResourceStatusReason="The following resource(s) failed to create"),
        an_event(6, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"),
        an_event(7, "UPDATE_ROLLBACK_COMPLETE"),
    )
    assert progress.state is ProgressState.FAILED
    assert progress.reason == "FlowLog (AWS::EC2::FlowLog) failed: Access Denied for LogDestination"
    assert [event.id for event in progress.events] == [f"e-{number}" for number in range(1, 8)]


def test_cleaning_up_is_not_the_end(provisioner, cloud):
    told = [an_event(1, "UPDATE_IN_PROGRESS"), an_event(2, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")]
    assert observed(provisioner, cloud, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", *told).state is ProgressState.RUNNING


def test_a_status_from_before_is_not_taken_for_the_outcome(provisioner, cloud):
    """Right after it was executed, the stack may still say what it said before."""
    told = [an_event(0, "UPDATE_IN_PROGRESS", token="before"), an_event(1, "UPDATE_COMPLETE", token="before")]
    cloud.add_response("describe_stacks", a_stack("UPDATE_COMPLETE"))
    cloud.add_response("describe_stack_events", events(*told))
    cloud.add_response("describe_change_set", a_change_set("CREATE_COMPLETE", ExecutionStatus="EXECUTE_IN_PROGRESS"))
    assert provisioner.observe(HANDLE).state is ProgressState.RUNNING


def test_events_that_are_ahead_of_the_stack_wait_for_it(provisioner, cloud):
    told = [an_event(1, "UPDATE_IN_PROGRESS"), an_event(2, "UPDATE_COMPLETE")]
    assert observed(provisioner, cloud, "UPDATE_IN_PROGRESS", *told).state is ProgressState.RUNNING


def test_what_others_did_afterwards_is_not_our_story(provisioner, cloud):
    progress = observed(
        provisioner,
        cloud,
        "UPDATE_ROLLBACK_COMPLETE",
        an_event(1, "UPDATE_IN_PROGRESS"),
        an_event(2, "UPDATE_COMPLETE"),
        an_event(3, "UPDATE_IN_PROGRESS", token="theirs"),
        an_event(4, "UPDATE_ROLLBACK_COMPLETE", token="theirs"),
    )
    assert (progress.state, progress.status) == (ProgressState.SUCCEEDED, "UPDATE_COMPLETE")
    assert [event.id for event in progress.events] == ["e-1", "e-2"]


def test_a_rollback_that_failed_says_both_and_its_continuation_is_followed(provisioner, cloud):
    told = [
        an_event(1, "UPDATE_IN_PROGRESS"),
        an_event(2, "UPDATE_FAILED", **of("Service", "did not stabilize", "AWS::ECS::Service")),
        an_event(3, "UPDATE_ROLLBACK_IN_PROGRESS"),
        an_event(4, "UPDATE_ROLLBACK_FAILED", ResourceStatusReason="The following resource(s) failed: [Service]."),
    ]
    failed = observed(provisioner, cloud, "UPDATE_ROLLBACK_FAILED", *told)
    assert (failed.state, failed.status) == (ProgressState.FAILED, "UPDATE_ROLLBACK_FAILED")
    assert failed.reason == (
        "Service (AWS::ECS::Service) failed: did not stabilize; "
        "then it could not go back: The following resource(s) failed: [Service]."
    )
    told.append(an_event(5, "UPDATE_ROLLBACK_IN_PROGRESS", token="d-1-again"))
    running = observed(provisioner, cloud, "UPDATE_ROLLBACK_IN_PROGRESS", *told)
    assert running.state is ProgressState.RUNNING
    told.append(an_event(6, "UPDATE_ROLLBACK_COMPLETE", token="d-1-again"))
    cloud.add_response("describe_stacks", a_stack("UPDATE_ROLLBACK_COMPLETE"))
    cloud.add_response("describe_stack_events", events(*told))
    back = provisioner.observe(HANDLE)
    assert (back.state, back.status) == (ProgressState.FAILED, "UPDATE_ROLLBACK_COMPLETE")
    assert len(back.events) == 6


def test_a_cancelled_update_says_so(provisioner, cloud):
    progress = observed(
        provisioner,
        cloud,
        "UPDATE_ROLLBACK_COMPLETE",
        an_event(1, "UPDATE_IN_PROGRESS"),
        an_event(2, "UPDATE_FAILED", **of("Queue", "Resource update cancelled", "AWS::SQS::Queue")),
        an_event(3, "UPDATE_ROLLBACK_IN_PROGRESS", token="d-1-cancel", ResourceStatusReason="User Initiated"),
        an_event(4, "UPDATE_ROLLBACK_COMPLETE", token="d-1-cancel"),
    )
    assert (progress.state, progress.reason) == (ProgressState.FAILED, "the update was cancelled")


def test_every_reason_of_a_failed_deletion_is_told(provisioner, cloud):
    handle = json.dumps({"deployment": "d-1", "action": "delete", "stack": STACK, "region": "eu-west-1"})
    told = [
        an_event(1, "DELETE_IN_PROGRESS", token="d-1-delete"),
        an_event(2, "DELETE_FAILED", **of("Files", "The bucket you tried to delete is not empty", "AWS::S3::Bucket")),
        an_event(3, "DELETE_FAILED", **of("Vpc", "has dependencies and cannot be deleted", "AWS::EC2::VPC")),
        an_event(4, "DELETE_FAILED", token="d-1-delete", ResourceStatusReason="failed to delete: [Files, Vpc]."),
    ]
    cloud.add_response("describe_stacks", a_stack("DELETE_FAILED"))
    cloud.add_response("describe_stack_events", events(*told))
    progress = provisioner.observe(handle)
    assert (progress.state, progress.status) == (ProgressState.FAILED, "DELETE_FAILED")
    assert progress.reason == (
        "could not be deleted: Files (AWS::S3::Bucket): The bucket you tried to delete is not empty; "
        "Vpc (AWS::EC2::VPC): has dependencies and cannot be deleted"
    )


def test_events_are_read_page_by_page_back_to_the_beginning_and_only_once(provisioner, cloud):
    newest = {"StackEvents": [an_event(3, "CREATE_IN_PROGRESS", **of("B")), an_event(2, "CREATE_COMPLETE", **of("A"))]}
    older = {"StackEvents": [an_event(1, "UPDATE_IN_PROGRESS"), an_event(0, "CREATE_COMPLETE", token="before")]}
    cloud.add_response("describe_stacks", a_stack("UPDATE_IN_PROGRESS"))
    cloud.add_response("describe_stack_events", newest | {"NextToken": "older"}, {"StackName": STACK})
    cloud.add_response(
        "describe_stack_events", older | {"NextToken": "oldest"}, {"StackName": STACK, "NextToken": "older"}
    )
    assert [event.id for event in provisioner.observe(HANDLE).events] == ["e-1", "e-2", "e-3"]
    newer = {"StackEvents": [an_event(4, "CREATE_COMPLETE", **of("B")), *newest["StackEvents"]]}
    cloud.add_response("describe_stacks", a_stack("UPDATE_IN_PROGRESS"))
    cloud.add_response("describe_stack_events", newer | {"NextToken": "older"}, {"StackName": STACK})
    assert [event.id for event in provisioner.observe(HANDLE).events] == ["e-1", "e-2", "e-3", "e-4"]


def test_the_events_of_a_hundred_stacks_that_are_looked_at_in_turns_are_read_once(provisioner, cloud):
    stacks = [f"{STACK}{number:02}" for number in range(100)]
    newest = {"StackEvents": [an_event(2, "CREATE_IN_PROGRESS", **of("A"))], "NextToken": "older"}
    for looks in (1, 2):
        for stack in stacks:
            first = an_event(1, "UPDATE_IN_PROGRESS", StackId=stack, PhysicalResourceId=stack)
            running = a_stack("UPDATE_IN_PROGRESS")["Stacks"][0] | {"StackId": stack}
            cloud.add_response("describe_stacks", {"Stacks": [running]})
            cloud.add_response("describe_stack_events", newest)
            if looks == 1:
                cloud.add_response("describe_stack_events", {"StackEvents": [first]})
            told = provisioner.observe(HANDLE.replace(STACK, stack)).events
            assert [event.id for event in told] == ["e-1", "e-2"]


@pytest.mark.parametrize(
    ("execution", "status", "state"),
    [
        ("EXECUTE_COMPLETE", "UPDATE_COMPLETE", ProgressState.SUCCEEDED),
        ("EXECUTE_FAILED", "UPDATE_ROLLBACK_COMPLETE", ProgressState.FAILED),
        ("OBSOLETE", "UPDATE_COMPLETE", ProgressState.FAILED),
        ("AVAILABLE", "UPDATE_COMPLETE", ProgressState.RUNNING),
    ],
)
def test_a_change_set_that_a_person_executed_in_the_console_ends_too(provisioner, cloud, execution, status, state):
    outputs = [{"OutputKey": "Url", "OutputValue": "https://shop"}]
    cloud.add_response("describe_stacks", a_stack(status, Outputs=outputs))
    cloud.add_response("describe_stack_events", events(an_event(1, status, token="Console-ExecuteChangeSet-1")))
    cloud.add_response("describe_change_set", a_change_set("CREATE_COMPLETE", ExecutionStatus=execution))
    progress = provisioner.observe(HANDLE)
    assert progress.state is state
    assert progress.outputs == ({"Url": "https://shop"} if state is ProgressState.SUCCEEDED else {})


def test_a_creation_that_a_person_executed_in_the_console_is_told_whole(provisioner, cloud):
    handle = json.dumps({**json.loads(HANDLE), "action": "create", "fresh": True})
    told = [
        an_event(0, "REVIEW_IN_PROGRESS", token="Console-CreateChangeSet-1"),
        an_event(1, "CREATE_IN_PROGRESS", token="Console-ExecuteChangeSet-1"),
        an_event(2, "CREATE_COMPLETE", token="Console-ExecuteChangeSet-1"),
    ]
    cloud.add_response("describe_stacks", a_stack("CREATE_COMPLETE"))
    cloud.add_response("describe_stack_events", events(*told))
    progress = provisioner.observe(handle)
    assert (progress.state, len(progress.events)) == (ProgressState.SUCCEEDED, 2)


# -------------------------------------------------------------------------------------- the way back, drift


@pytest.mark.parametrize(
    "sentence",
    ["CancelUpdateStack cannot be called from current stack status", "Stack [x] does not exist"],
)
def test_what_cannot_be_cancelled_is_a_conflict(provisioner, cloud, sentence):
    given = {"StackName": STACK, "ClientRequestToken": "d-1-cancel"}
    cloud.add_client_error("cancel_update_stack", "ValidationError", sentence, expected_params=given)
    with pytest.raises(Conflict):
        provisioner.cancel(HANDLE)


def test_an_update_is_cancelled_under_a_token_of_its_own(provisioner, cloud):
    cloud.add_response("cancel_update_stack", {}, {"StackName": STACK, "ClientRequestToken": "d-1-cancel"})
    provisioner.cancel(HANDLE)


def test_a_rollback_is_continued_once(provisioner, cloud):
    given = {"StackName": STACK, "ClientRequestToken": "d-1-again"}
    cloud.add_response("continue_update_rollback", {}, given)
    provisioner.continue_rollback(STACK, HERE, "d-1-again")
    cloud.add_client_error("continue_update_rollback", "TokenAlreadyExistsException", "it exists")
    provisioner.continue_rollback(STACK, HERE, "d-1-again")


def test_a_detection_that_is_under_way_is_asked_for_again_later(provisioner, cloud):
    sentence = f"Drift detection is already in progress for stack [{STACK}]."
    cloud.add_client_error("detect_stack_drift", "ValidationError", sentence)
    with pytest.raises(TransientError, match="already in progress"):
        provisioner.ask_drift(STACK, HERE)


def test_a_detection_that_fails_says_why(provisioner, cloud):
    cloud.add_response("detect_stack_drift", {"StackDriftDetectionId": "d"})
    reason = "Failed to detect drift on resource [Queue]"
    status = {
        "StackId": STACK,
        "StackDriftDetectionId": "d",
        "DetectionStatus": "DETECTION_FAILED",
        "DetectionStatusReason": reason,
        "Timestamp": NOON,
    }
    cloud.add_response("describe_stack_drift_detection_status", status)
    assert provisioner.drift(provisioner.ask_drift(STACK, HERE)) == Drift(DriftState.FAILED, reason=reason)
