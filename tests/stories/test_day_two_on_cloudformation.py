"""The tutorial's second day with a real daemon that makes real stacks, on an emulator of AWS behind HTTP."""

import io
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.harness import ACCOUNT, REGION, Emulator
from upkeep.demo import edits, stage
from upkeep.demo.edits import APPROVAL_AND_EXEC, FLOW_LOGS, Change, Edit
from upkeep.demo.narrator import Narrator
from upkeep.demo.stage import Stage, Wishes
from upkeep.demo.story import CONNECTION, Story
from upkeep.domain import documents

SERVICE = "storefront"

SPECS = {
    "test": "proton: EnvironmentSpec\nspec: {vpc_cidr: 10.10.0.0/16}\n",
    "production": "proton: EnvironmentSpec\nspec: {vpc_cidr: 10.20.0.0/16}\n",
    SERVICE: """\
proton: ServiceSpec
pipeline: {}
instances:
  - {name: test, environment: test, spec: {port: 8080}}
  - {name: production, environment: production, spec: {port: 8080, desired_count: 2}}
""",
}


@dataclass(frozen=True, slots=True)
class Templates:
    """An environment template, a service template, and what changes in them on the second day."""

    folder: Path
    flow_logs: Change
    approval_and_exec: Change


class Company:
    """A platform team at work with its daemon, and what AWS has of it."""

    def __init__(self, stage: Stage, templates: Templates, emulator: Emulator) -> None:
        self._stage, self.templates = stage, templates
        self._story = Story(stage)
        self._ec2, self._logs, self._ecs, self._iam, self._pipelines, self._stacks = map(
            emulator.client, ("ec2", "logs", "ecs", "iam", "codepipeline", "cloudformation")
        )
        self._roles_of_others = self._roles()

    def run(self, *commands: str) -> None:
        """Commands of `upkeep`, at the same time, each followed to its end."""
        with ThreadPoolExecutor() as pool:
            for _ in pool.map(lambda command: self._stage.daemon.run(*command.split(), "--wait"), commands):
                pass

    def open_house(self) -> None:
        """Push the templates, publish both, create two environments and a service in both."""
        clone = self._stage.clone
        shutil.copytree(self.templates.folder, clone.folder, dirs_exist_ok=True)
        clone.commit("Add the templates")
        clone.push()
        for person in self._stage.people.values():
            self._stage.daemon.run(
                *("user", "add", person.name, "--role", person.role, "--password-stdin"), typed=f"{person.password}\n"
            )
        self._stage.daemon.start()
        home, service = (change.template for change in (self.templates.flow_logs, self.templates.approval_and_exec))
        for template in (home, service):
            self._story.await_version(template, "1.0", "draft")
            self._stage.daemon.run("version", "publish", template, "1.0")
        for name, text in SPECS.items():
            (self._stage.specs / f"{name}.yaml").write_text(text)
        placed = f"--account-id {ACCOUNT} --region {REGION}"
        self.run(
            *(
                f"environment create {name} --template {home} --spec {self._spec(name)} {placed}"
                for name in ("test", "production")
            )
        )
        code = f"--repository-id acme/{SERVICE} --repository-branch main --repository-connection-arn {CONNECTION}"
        self.run(f"service create {SERVICE} --template {service} --spec {self._spec(SERVICE)} {code}")

    def publish(self, change: Change) -> None:
        """Commit, push, find the draft, publish it."""
        clone, before = self._stage.clone, self._stage.clone.head()
        edits.apply(change, clone.folder)
        clone.commit(change.message)
        self._story.push(before)
        self._story.await_version(change.template, "1.1", "draft")
        self._stage.daemon.run("version", "publish", change.template, "1.1")

    def close_house(self) -> None:
        self.run(f"service delete {SERVICE}")
        self.run("environment delete test", "environment delete production")

    # --------------------------------------------------------------------------------- what programs are given

    @property
    def endpoint(self) -> str:
        """Where the API is that Proton had."""
        return f"{self._stage.daemon.address}/proton"

    def key_pair(self, user: str, *scopes: str) -> tuple[str, str]:
        """A fresh key pair that signs requests to it as a user, within these scopes."""
        wanted = [word for scope in scopes for word in ("--scope", scope)]
        printed = self._stage.daemon.run("token", "create", "pipeline", "--user", user, *wanted, "--aws")
        named = dict(line.split("=", 1) for line in printed.splitlines())
        return named["AWS_ACCESS_KEY_ID"], named["AWS_SECRET_ACCESS_KEY"]

    # --------------------------------------------------------------------------------------- what AWS has

    def body(self, stack: str) -> str:
        """The template that a stack was made from last."""
        return str(self._stacks.get_template(StackName=stack)["TemplateBody"])

    def outputs(self, environment: str) -> dict[str, str]:
        (stack,) = self._stacks.describe_stacks(StackName=f"upkeep-environment-{environment}")["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def told_outputs(self, environment: str) -> Any:
        """What the daemon says that the stack gives back."""
        return self._stage.daemon.ask("environment", "outputs", environment)

    def flow_logs(self, environment: str) -> list[tuple[str, int]]:
        """Of the network of an environment: what they log, and for how many days that is kept."""
        network = self.outputs(environment)["VpcId"]
        groups = {group["logGroupName"]: group for group in self._logs.describe_log_groups()["logGroups"]}
        found = self._ec2.describe_flow_logs()["FlowLogs"]
        return [
            (log["TrafficType"], groups[log.get("LogGroupName") or log["LogDestination"]]["retentionInDays"])
            for log in found
            if log["ResourceId"] == network
        ]

    def executes_commands(self, environment: str) -> bool:
        cluster = self.outputs(environment)["ClusterName"]
        arns = self._ecs.list_services(cluster=cluster)["serviceArns"]
        (service,) = self._ecs.describe_services(cluster=cluster, services=arns)["services"]
        return bool(service["enableExecuteCommand"])

    def stages(self) -> list[str]:
        """Of the pipeline, in the template that CloudFormation was sent; the pipeline itself has the same."""
        sent = self._stacks.get_template(StackName=f"upkeep-pipeline-{SERVICE}")["TemplateBody"]
        resources = documents.load_template(sent, "sent").value["Resources"].values()
        (pipeline,) = [each["Properties"] for each in resources if each["Type"] == "AWS::CodePipeline::Pipeline"]
        stages = [str(each["Name"]) for each in pipeline["Stages"]]
        (listed,) = self._pipelines.list_pipelines()["pipelines"]
        made = self._pipelines.get_pipeline(name=listed["name"])["pipeline"]["stages"]
        assert [each["name"] for each in made] == stages
        return stages

    def left(self) -> dict[str, list[str]]:
        """What is still there of what the daemon made, but for what the templates themselves ask to be retained."""
        stacks = self._stacks.list_stacks()["StackSummaries"]
        return {
            "stacks": [each["StackName"] for each in stacks if each["StackStatus"] != "DELETE_COMPLETE"],
            "networks": [each["VpcId"] for each in self._ec2.describe_vpcs()["Vpcs"] if not each.get("IsDefault")],
            "flow logs": [each["FlowLogId"] for each in self._ec2.describe_flow_logs()["FlowLogs"]],
            "log groups": [each["logGroupName"] for each in self._logs.describe_log_groups()["logGroups"]],
            "clusters": self._ecs.list_clusters()["clusterArns"],
            "roles": sorted(self._roles() - self._roles_of_others),
            "pipelines": [each["name"] for each in self._pipelines.list_pipelines()["pipelines"]],
        }

    def _roles(self) -> set[str]:
        return {role["RoleName"] for role in self._iam.list_roles()["Roles"]}

    def _spec(self, name: str) -> Path:
        return self._stage.specs / f"{name}.yaml"


def our_own(folder: Path) -> Templates:
    stage.write_templates(folder)
    return Templates(folder, FLOW_LOGS, APPROVAL_AND_EXEC)


def the_tutorials(samples: Path) -> Templates:
    """The published ones, changed as the tutorial tells: the same additions, where its templates have room for them."""
    home, service = "vpc-ecscluster-env/v1/infrastructure", "lb-fargate-svc/v1/{}_infrastructure"
    instance, pipeline = (f"{service.format(part)}/cloudformation.yaml" for part in ("instance", "pipeline"))
    (logged,) = FLOW_LOGS.edits
    approval, task_role, _, _ = APPROVAL_AND_EXEC.edits
    loop, fargate = "{%- for service_instance in service_instances %}\n", "      LaunchType: FARGATE\n"
    allowed = "{%- if 'test' in environment.name %}\n      EnableExecuteCommand: true\n{%- endif %}\n"
    return Templates(
        samples / "tutorial",
        Change(
            "vpc-ecscluster-env",
            FLOW_LOGS.message,
            (Edit(f"{home}/cloudformation.yaml", "\nOutputs:\n", f"\n{logged.new}\nOutputs:\n"),),
        ),
        Change(
            "lb-fargate-svc",
            APPROVAL_AND_EXEC.message,
            (
                Edit(pipeline, loop, loop + approval.new),
                Edit(instance, "\nResources:\n", f"\nResources:\n{task_role.new}\n"),
                Edit(instance, '!Ref "AWS::NoValue"', "!GetAtt TaskRole.Arn"),
                Edit(instance, fargate, fargate + allowed),
            ),
        ),
    )


@contextmanager
def at_work(folder: Path, templates: Templates, emulator: Emulator) -> Iterator[Company]:
    """A company whose daemon makes stacks in the emulator. When the test fails, what the daemon said is printed."""
    voice = io.StringIO()
    built = stage.build(folder, Narrator(voice), Wishes())
    wanted = json.loads(built.daemon.configuration.read_text()) | {
        "provisioner": "cloudformation",
        "cloudformation": {"region": REGION, "endpoint_url": emulator.url, "tags": {"cost-center": "platform"}},
    }
    built.daemon.configuration.write_text(json.dumps(wanted))
    try:
        yield Company(built, templates, emulator)
    except BaseException:
        print(voice.getvalue())
        print(built.daemon.last_words())
        raise
    finally:
        built.daemon.stop()


@pytest.fixture(params=["our own templates", "the tutorial's"])
def company(request: pytest.FixtureRequest, tmp_path: Path, emulator: Emulator) -> Iterator[Company]:
    ours = request.param == "our own templates"
    templates = our_own(tmp_path / "templates") if ours else the_tutorials(request.getfixturevalue("samples"))
    (tmp_path / "stage").mkdir()
    with at_work(tmp_path / "stage", templates, emulator) as company:
        yield company


@pytest.mark.timeout(600)
def test_the_second_day_changes_real_stacks(company: Company) -> None:
    company.open_house()
    assert (company.flow_logs("test"), company.flow_logs("production")) == ([], [])
    assert (company.executes_commands("test"), company.executes_commands("production")) == (False, False)
    assert company.stages() == ["Source", "Build", "Deploy-test", "Deploy-production"]
    before = company.outputs("test"), company.outputs("production")

    company.publish(company.templates.flow_logs)
    company.run("environment update test")
    assert (company.flow_logs("test"), company.flow_logs("production")) == ([("ALL", 7)], [])
    assert (company.outputs("test"), company.outputs("production")) == before
    assert (company.told_outputs("test"), company.told_outputs("production")) == before
    company.run("environment update production")
    assert (company.flow_logs("test"), company.flow_logs("production")) == ([("ALL", 7)], [("ALL", 7)])
    assert (company.outputs("test"), company.outputs("production")) == before

    company.publish(company.templates.approval_and_exec)
    company.run(
        f"instance update {SERVICE}/test", f"instance update {SERVICE}/production", f"pipeline update {SERVICE}"
    )
    assert (company.executes_commands("test"), company.executes_commands("production")) == (True, False)
    assert company.stages() == ["Source", "Build", "Deploy-test", "Preproduction_Approval", "Deploy-production"]

    company.close_house()
    assert {what: those for what, those in company.left().items() if those} == {}
