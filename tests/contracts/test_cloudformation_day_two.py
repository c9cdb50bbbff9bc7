"""The second day of the tutorial on an emulator of AWS: every flow as it is, two accounts, real stacks that change."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.builders import ADMIN
from tests.emulator.harness import ACCOUNT, REGION, Emulator
from tests.emulator.policy import Calls, allowed
from tests.flows.given import registered
from upkeep import demo
from upkeep.adapters.cloudformation import Accounts, CloudFormationProvisioner
from upkeep.adapters.folders import read_bundle
from upkeep.adapters.jinja import JinjaRenderer
from upkeep.adapters.store import SqlStore
from upkeep.demo.edits import APPROVAL_AND_EXEC, ENVIRONMENT_TEMPLATE, FLOW_LOGS, SERVICE_TEMPLATE, Change, apply
from upkeep.domain.deployments import Deployment, DeploymentStatus
from upkeep.domain.names import ResourceKey, TemplateName, Version, environment_key, instance_key, pipeline_key
from upkeep.domain.notices import Routing
from upkeep.domain.resources import Placement, Repository
from upkeep.domain.versions import CompatibleEnvironment
from upkeep.domain.work import WorkKind
from upkeep.flows import deploy, enroll, review
from upkeep.flows.ports import Unit
from upkeep.flows.settle import Terms, settle

DEMO = Path(demo.__file__).parent
PRODUCTION = "222222222222"
TEST_PLACE = Placement(ACCOUNT, REGION)
PRODUCTION_PLACE = Placement(PRODUCTION, "eu-north-1", f"arn:aws:iam::{PRODUCTION}:role/upkeep-deploys", "4f1a9c")
CODE = Repository("main", "acme/storefront", f"arn:aws:codestar-connections:{REGION}:{ACCOUNT}:connection/1")

TEST, LIVE = environment_key("test"), environment_key("production")
SHOP_TEST, SHOP_LIVE = instance_key("storefront", "test"), instance_key("storefront", "prod")
SHOP_PIPELINE = pipeline_key("storefront")


class Company:
    """A platform team with its templates, and Upkeep deploying them."""

    def __init__(
        self, store: SqlStore, renderer: JinjaRenderer, emulator: Emulator, folder: Path, now: datetime
    ) -> None:
        self.store, self._renderer, self._now = store, renderer, now
        self._folder = folder / "templates"
        shutil.copytree(DEMO / "templates", self._folder)
        self.calls = Calls()
        self._provisioner = CloudFormationProvisioner(
            Accounts(region=REGION, endpoint_url=emulator.url, connect=self.calls.session)
        )

    def publish(self, template: str, version: str) -> None:
        """What stands in the folder becomes the recommended version."""
        bundle = read_bundle(self._folder / template / "v1")
        name, number = TemplateName(template), Version(*map(int, version.split(".")))
        with self.store.write() as unit:
            drafted = registered(unit, template, version, bundle, self._now)
            if drafted.compatible_environments:
                home = CompatibleEnvironment(TemplateName(ENVIRONMENT_TEMPLATE), 1)
                unit.registry.save_version(replace(drafted, compatible_environments=(home,)))
            review.publish(unit, name, number, seen_tree=None, note=None, routing=Routing(), actor=ADMIN, now=self._now)

    def change(self, change: Change) -> None:
        apply(change, self._folder)

    def ask(self, flow: Callable[..., Any], *given: Any, **more: Any) -> None:
        """Ask for deployments and follow them to their end."""
        with self.store.write() as unit:
            flow(unit, *given, **more, actor=ADMIN, now=self._now)
        terms = Terms(pipelines=TEST_PLACE, tags={"cost-center": "platform"})
        for _ in range(500):
            self._now += timedelta(minutes=1)
            with self.store.write() as unit:
                claim = unit.work.claim([WorkKind.DEPLOY], self._now, timedelta(hours=1))
                waiting = [due for due in unit.work.list(100) if due.kind is WorkKind.DEPLOY]
            if claim is None and not waiting:
                return
            if claim is not None:
                settle(
                    self.store,
                    self._renderer,
                    self._provisioner,
                    claim,
                    routing=Routing(default="", operators=""),
                    terms=terms,
                    now=self._now,
                )
        raise AssertionError("the deployments do not end")

    def last(self, key: ResourceKey) -> Deployment:
        with self.store.read() as unit:
            return unit.deployments.of_resource(key, limit=1)[0]

    def of(self, look: Callable[[Unit], Any]) -> Any:
        with self.store.read() as unit:
            return look(unit)

    def succeeded(self, *keys: ResourceKey) -> None:
        ended = {str(key): self.last(key) for key in keys}
        assert {name: (last.status, last.message) for name, last in ended.items()} == dict.fromkeys(
            ended, (DeploymentStatus.SUCCEEDED, None)
        )


@pytest.fixture
def company(store: SqlStore, emulator: Emulator, tmp_path: Path, now: datetime) -> Iterator[Company]:
    """Two environments in two accounts and a service in both, all at 1.0."""
    with JinjaRenderer() as renderer:
        company = Company(store, renderer, emulator, tmp_path, now)
        company.publish(ENVIRONMENT_TEMPLATE, "1.0")
        company.publish(SERVICE_TEMPLATE, "1.0")
        for key, place in ((TEST, TEST_PLACE), (LIVE, PRODUCTION_PLACE)):
            spec = (DEMO / "specs" / f"{key.name}.yaml").read_text()
            company.ask(enroll.create_environment, key.name, ENVIRONMENT_TEMPLATE, spec, placement=place)
        spec = (DEMO / "specs" / "storefront.yaml").read_text()
        company.ask(enroll.create_service, "storefront", SERVICE_TEMPLATE, spec, repository=CODE)
        company.succeeded(TEST, LIVE, SHOP_TEST, SHOP_LIVE, SHOP_PIPELINE)
        yield company
        assert company.calls.actions <= allowed()


def the_clouds(emulator: Emulator, service: str) -> tuple[Any, Any]:
    """A client for test, and one for production."""
    return emulator.client(service), emulator.client(service, PRODUCTION_PLACE.region, PRODUCTION)


def flow_logs(ec2: Any) -> list[Any]:
    return list(ec2.describe_flow_logs()["FlowLogs"])


def executes_commands(ecs: Any) -> list[bool]:
    found = []
    for cluster in ecs.list_clusters()["clusterArns"]:
        arns = ecs.list_services(cluster=cluster)["serviceArns"]
        if arns:
            services = ecs.describe_services(cluster=cluster, services=arns)["services"]
            found += [bool(service.get("enableExecuteCommand")) for service in services]
    return found


def stages(emulator: Emulator) -> list[str]:
    pipelines = emulator.client("codepipeline")
    (listed,) = pipelines.list_pipelines()["pipelines"]
    return [stage["name"] for stage in pipelines.get_pipeline(name=listed["name"])["pipeline"]["stages"]]


def test_flow_logs_come_to_one_network_and_not_yet_to_the_other(company: Company, emulator: Emulator) -> None:
    test, production = the_clouds(emulator, "ec2")
    assert (flow_logs(test), flow_logs(production)) == ([], [])
    before = company.of(lambda unit: unit.fleet.get(TEST).outputs)
    company.change(FLOW_LOGS)
    company.publish(ENVIRONMENT_TEMPLATE, "1.1")
    assert company.of(lambda unit: unit.fleet.get(TEST).lag.minors) == 1

    company.ask(deploy.update, TEST)
    company.succeeded(TEST)
    (log,) = flow_logs(test)
    assert (log["TrafficType"], log["FlowLogStatus"]) == ("ALL", "ACTIVE")
    assert log["ResourceId"] in {vpc["VpcId"] for vpc in test.describe_vpcs()["Vpcs"]}
    logs, _ = the_clouds(emulator, "logs")
    assert {group.get("retentionInDays") for group in logs.describe_log_groups()["logGroups"]} >= {7}
    assert flow_logs(production) == []
    assert company.of(lambda unit: unit.fleet.get(TEST).outputs) == before
    updated = company.last(TEST).id
    proposal = company.of(lambda unit: unit.deployments.proposal(updated))
    assert {(change.action, change.logical_id) for change in proposal.changes} >= {("Add", "FlowLog")}
    assert company.of(lambda unit: len(unit.deployments.stack_events(updated, 100))) > 5


def test_commands_may_be_executed_in_test_and_production_is_asked_for(company: Company, emulator: Emulator) -> None:
    test, production = the_clouds(emulator, "ecs")
    assert stages(emulator) == ["Source", "Build", "Deploy-test", "Deploy-prod"]
    company.change(APPROVAL_AND_EXEC)
    company.publish(SERVICE_TEMPLATE, "1.1")
    for key in (SHOP_TEST, SHOP_LIVE, SHOP_PIPELINE):
        company.ask(deploy.update, key)
    company.succeeded(SHOP_TEST, SHOP_LIVE, SHOP_PIPELINE)
    assert (executes_commands(test), executes_commands(production)) == ([True], [False])
    assert stages(emulator) == ["Source", "Build", "Deploy-test", "Preproduction_Approval", "Deploy-prod"]


def test_the_way_back_and_the_end_leave_nothing(company: Company, emulator: Emulator) -> None:
    company.change(FLOW_LOGS)
    company.publish(ENVIRONMENT_TEMPLATE, "1.1")
    company.ask(deploy.update, TEST)
    company.ask(deploy.update, TEST, to=Version(1, 0))
    company.succeeded(TEST)
    test, production = the_clouds(emulator, "ec2")
    assert flow_logs(test) == []

    company.ask(enroll.delete_service, "storefront")
    company.ask(enroll.delete_resource, TEST)
    company.ask(enroll.delete_resource, LIVE)
    assert company.of(lambda unit: unit.fleet.find(TEST)) is None
    for cloudformation in the_clouds(emulator, "cloudformation"):
        left = cloudformation.list_stacks()["StackSummaries"]
        assert {stack["StackStatus"] for stack in left} == {"DELETE_COMPLETE"}
    assert [vpc for vpc in production.describe_vpcs()["Vpcs"] if not vpc.get("IsDefault")] == []
    assert emulator.client("codepipeline").list_pipelines()["pipelines"] == []


def test_stacks_carry_the_tags_of_upkeep_of_proton_and_of_the_customer(company: Company, emulator: Emulator) -> None:
    _, cloudformation = the_clouds(emulator, "cloudformation")
    stack = cloudformation.describe_stacks(StackName="upkeep-instance-storefront-prod")["Stacks"][0]
    tags = {tag["Key"]: tag["Value"] for tag in stack["Tags"]}
    assert tags["upkeep:resource"] == "instance/storefront/prod"
    assert tags["upkeep:version"] == "1.0"
    assert tags["cost-center"] == "platform"
    assert tags["proton:account"] == PRODUCTION
    assert tags["proton:service-instance"].endswith(":service/storefront/service-instance/prod")
