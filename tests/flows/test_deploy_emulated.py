"""Deployments from the asking to the end, with stacks made by CloudFormation as an emulator has it."""

import time
from datetime import timedelta

import pytest

from tests import builders
from tests.builders import ADMIN, ENVIRONMENT_SPEC
from tests.emulator.harness import REGION
from tests.flows.given import registered
from tests.flows.stacks import ROUTING
from upkeep.adapters.cloudformation import Accounts, CloudFormationProvisioner
from upkeep.domain.deployments import DeploymentStatus
from upkeep.domain.errors import Conflict, NotFound
from upkeep.domain.names import TemplateName, environment_key, parse_version
from upkeep.domain.versions import VersionState
from upkeep.domain.work import WorkKind
from upkeep.flows import deploy, enroll, settle

ENV, TEST = TemplateName("network-env"), environment_key("test")
ENDS_WITHIN = 30.0

GOOD = """\
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 30
Outputs:
  QueueArn:
    Value: !GetAtt Queue.Arn
"""
CHANGED = GOOD.replace("30", "60")
BROKEN = CHANGED.replace(
    "Outputs:", "  Log:\n    Type: AWS::EC2::FlowLog\n    Properties: {ResourceType: VPC}\nOutputs:"
)


class AsWritten:
    """A renderer for templates without anything to render."""

    def render(self, template, namespace):
        return template.text


@pytest.fixture
def provisioner(emulator):
    return CloudFormationProvisioner(Accounts(region=REGION, endpoint_url=emulator.url))


@pytest.fixture
def offered(store, now):
    """Versions that work and others that do not: 1.0 and 1.3 are broken."""
    with store.write() as unit:
        for minor, body in enumerate((BROKEN, GOOD, CHANGED, BROKEN)):
            bundle = builders.a_bundle(builders.environment_files(body=body))
            registered(unit, ENV, f"1.{minor}", bundle, now, VersionState.PUBLISHED)
    return store


def ended(store, provisioner, asked, now):
    """The deployment, worked on until it has ended or stands still."""
    at, until = now, time.monotonic() + ENDS_WITHIN
    while time.monotonic() < until:
        with store.read() as unit:
            found = unit.deployments.get(asked.id)
        if not found.status.under_way or found.stall is not None:
            return found
        at += timedelta(minutes=2)
        with store.write() as unit:
            claim = unit.work.claim([WorkKind.DEPLOY], at, timedelta(minutes=1))
        settle.settle(store, AsWritten(), provisioner, claim, routing=ROUTING, now=now)
    return pytest.fail(f"it did not end within {ENDS_WITHIN} s: {found}")


def moved(store, provisioner, now, to, **wanted):
    with store.write() as unit:
        asked = deploy.update(unit, TEST, to=parse_version(to), actor=ADMIN, now=now, **wanted)
    return ended(store, provisioner, asked, now)


def test_failures_leave_nothing_that_cannot_be_deployed_again(offered, provisioner, emulator, now):
    with offered.write() as unit:
        asked = enroll.create_environment(
            unit, "test", ENV, ENVIRONMENT_SPEC, version=parse_version("1.0"), actor=ADMIN, now=now
        )
    failed = ended(offered, provisioner, asked, now)
    assert (failed.status, failed.stack_status) == (DeploymentStatus.FAILED, "ROLLBACK_COMPLETE")
    assert failed.message.startswith("Log (AWS::EC2::FlowLog) failed: ")
    with pytest.raises(Conflict, match="left a stack that can only be deleted"):
        moved(offered, provisioner, now, "1.1")

    created = moved(offered, provisioner, now, "1.1", recreate=True)
    assert (created.status, created.stack_status) == (DeploymentStatus.SUCCEEDED, "CREATE_COMPLETE")
    assert created.stack != failed.stack
    assert set(created.outputs) == {"QueueArn"}

    changed = moved(offered, provisioner, now, "1.2")
    with offered.read() as unit:
        assert [(c.action, c.logical_id) for c in unit.deployments.proposal(changed.id).changes] == [
            ("Modify", "Queue")
        ]
        told = unit.deployments.stack_events(changed.id, 100)
    assert (told[0].status, told[-1].status) == ("UPDATE_IN_PROGRESS", "UPDATE_COMPLETE")

    rolled_back = moved(offered, provisioner, now, "1.3")
    assert (rolled_back.status, rolled_back.stack_status) == (DeploymentStatus.FAILED, "UPDATE_ROLLBACK_COMPLETE")
    back = moved(offered, provisioner, now, "1.1", inputs_then=True)
    assert (back.status, back.stack) == (DeploymentStatus.SUCCEEDED, created.stack)

    with offered.write() as unit:
        asked = enroll.delete_resource(unit, TEST, actor=ADMIN, now=now)
    assert ended(offered, provisioner, asked, now).status is DeploymentStatus.DELETE_COMPLETE
    with pytest.raises(NotFound), offered.read() as unit:
        unit.fleet.get(TEST)
    assert not emulator.client("sqs").list_queues().get("QueueUrls")


def test_a_change_set_that_is_cancelled_leaves_no_stack_behind(offered, provisioner, emulator, now):
    with offered.write() as unit:
        asked = enroll.create_environment(
            unit, "test", ENV, ENVIRONMENT_SPEC, version=parse_version("1.1"), actor=ADMIN, now=now
        )
    propose = provisioner.propose

    def and_cancel(request):
        handle = propose(request)
        with offered.write() as unit:
            deploy.cancel(unit, asked.id, actor=ADMIN, now=now)
        return handle

    provisioner.propose = and_cancel
    assert ended(offered, provisioner, asked, now).status is DeploymentStatus.CANCELLED
    stacks = emulator.client("cloudformation").describe_stacks()["Stacks"]
    assert [stack for stack in stacks if stack["StackStatus"] != "DELETE_COMPLETE"] == []
