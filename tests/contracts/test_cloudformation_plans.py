"""What an update would change, asked of an emulator of AWS: the stack resource that is replaced is named before."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.builders import ADMIN, ENVIRONMENT_SPEC, a_bundle, environment_files
from tests.emulator.harness import REGION, Emulator
from tests.emulator.policy import Calls, allowed
from tests.flows.given import registered
from upkeep.adapters.cloudformation import Accounts, CloudFormationProvisioner
from upkeep.adapters.jinja import JinjaRenderer
from upkeep.adapters.store import SqlStore
from upkeep.domain.changesets import Risk
from upkeep.domain.deployments import Deployment, DeploymentStatus
from upkeep.domain.errors import CallerError
from upkeep.domain.names import TemplateName, Version, environment_key
from upkeep.domain.notices import Routing
from upkeep.domain.plans import Plan
from upkeep.domain.resources import Placement
from upkeep.domain.work import WorkKind
from upkeep.flows import deploy, enroll, plan, review
from upkeep.flows.foresee import foresee
from upkeep.flows.settle import settle

ENV, TEST = TemplateName("network-env"), environment_key("test")

BODY = """\
Resources:
  Orders:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: "{{{{ environment.name }}}}-{name}"
  News:
    Type: AWS::SNS::Topic
    Properties:
      DisplayName: "{display}"
Outputs:
  NetworkId:
    Value: !GetAtt Orders.Arn
"""


class House:
    """Upkeep, working on an emulator of CloudFormation."""

    def __init__(self, store: SqlStore, renderer: JinjaRenderer, emulator: Emulator, now: datetime) -> None:
        self.store, self._renderer, self._now = store, renderer, now
        self.calls = Calls()
        accounts = Accounts(region=REGION, endpoint_url=emulator.url, connect=self.calls.session)
        self._provisioner = CloudFormationProvisioner(accounts)

    def publish(self, text: str, body: str) -> None:
        bundle = a_bundle(environment_files(body=body))
        number = Version(*map(int, text.split(".")))
        with self.store.write() as unit:
            registered(unit, ENV, text, bundle, self._now)
            review.publish(unit, ENV, number, seen_tree=None, note=None, routing=Routing(), actor=ADMIN, now=self._now)

    def ask(self, flow: Any, *given: Any, **more: Any) -> Any:
        with self.store.write() as unit:
            asked = flow(unit, *given, **more, actor=ADMIN, now=self._now)
        self._work()
        with self.store.read() as unit:
            return unit.plans.find(asked.id) if isinstance(asked, Plan) else unit.deployments.get(asked.id)

    def _work(self) -> None:
        for _ in range(300):
            self._now += timedelta(minutes=1)
            with self.store.write() as unit:
                claim = unit.work.claim([WorkKind.DEPLOY, WorkKind.PLAN], self._now, timedelta(hours=1))
                owed = [due for due in unit.work.list(9) if due.kind in (WorkKind.DEPLOY, WorkKind.PLAN)]
            if claim is None and not owed:
                return
            if claim is not None and claim.kind is WorkKind.PLAN:
                # Time flies here, and a plan is waited for only so long.
                foresee(self.store, self._renderer, self._provisioner, claim, now=self._started(claim.subject))
            elif claim is not None:
                settle(
                    self.store,
                    self._renderer,
                    self._provisioner,
                    claim,
                    routing=Routing(default="", operators=""),
                    now=self._now,
                )
        raise AssertionError("the work does not end")

    def _started(self, plan_id: str) -> datetime:
        with self.store.read() as unit:
            found = unit.plans.find(plan_id)
        assert found is not None
        return found.asked_at


@pytest.fixture
def house(store: SqlStore, emulator: Emulator, now: datetime) -> Iterator[House]:
    """`test` runs 1.0; nothing may be asked of AWS that the documented policy does not allow."""
    with JinjaRenderer(time_for=timedelta(seconds=5), memory_bytes=512 << 20, output_bytes=2 << 20) as renderer:
        made = House(store, renderer, emulator, now)
        made.publish("1.0", BODY.format(name="orders", display="News"))
        created = made.ask(enroll.create_environment, "test", ENV, ENVIRONMENT_SPEC, placement=Placement("", REGION))
        assert created.status is DeploymentStatus.SUCCEEDED, created.message
        yield made
    assert made.calls.actions <= allowed(), "deploy/aws does not allow it"


def queues(emulator: Emulator) -> list[str]:
    urls = emulator.client("sqs").list_queues().get("QueueUrls", [])
    return [url.rpartition("/")[2] for url in urls]


def test_a_replaced_stack_resource_is_named_before_it_is_replaced(house: House, emulator: Emulator) -> None:
    house.publish("1.1", BODY.format(name="requests", display="Latest news"))
    seen: Plan = house.ask(plan.ask, TEST, to=Version(1, 1), inputs=None)
    assert seen.failure is None
    worst, other = seen.changes
    assert (worst.logical_id, worst.resource_type, worst.risk) == ("Orders", "AWS::SQS::Queue", Risk.REPLACES)
    assert worst.causes == ("QueueName",)
    assert (other.logical_id, other.risk) == ("News", Risk.IN_PLACE)
    assert queues(emulator) == ["test-orders"]
    left = emulator.client("cloudformation").list_change_sets(StackName="upkeep-environment-test")["Summaries"]
    assert f"upkeep-{seen.id}" not in [one["ChangeSetName"] for one in left]
    with pytest.raises(CallerError, match="Orders"):
        house.ask(deploy.update, TEST, plan=seen.id)
    done: Deployment = house.ask(deploy.update, TEST, plan=seen.id, confirmed=["Orders"])
    assert (done.status, done.message) == (DeploymentStatus.SUCCEEDED, None)
    assert queues(emulator) == ["test-requests"]


def test_what_was_changed_in_between_by_others_is_not_run_over(house: House, emulator: Emulator) -> None:
    house.publish("1.1", BODY.format(name="orders", display="Latest news"))
    seen: Plan = house.ask(plan.ask, TEST, to=Version(1, 1), inputs=None)
    assert seen.risk is Risk.IN_PLACE
    stacks = emulator.client("cloudformation")
    body = BODY.format(name="others", display="News").replace("{{ environment.name }}", "test")
    stacks.update_stack(StackName="upkeep-environment-test", TemplateBody=body)
    stacks.get_waiter("stack_update_complete").wait(
        StackName="upkeep-environment-test", WaiterConfig={"Delay": 1, "MaxAttempts": 20}
    )
    done: Deployment = house.ask(deploy.update, TEST, plan=seen.id)
    assert done.status is DeploymentStatus.FAILED
    assert "not what was approved" in (done.message or "")
    assert queues(emulator) == ["test-others"]
