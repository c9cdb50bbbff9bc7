"""A pipeline that Proton left behind, deploying with its own commands: the real AWS command line against a real daemon
that makes real stacks, on an emulator of AWS."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.awscli import AwsCli
from tests.emulator.harness import REGION, Emulator
from tests.stories.test_day_two_on_cloudformation import SERVICE, Company, at_work, our_own, the_tutorials
from upkeep.domain import documents

COMMANDS = (
    "aws proton --region $AWS_DEFAULT_REGION get-service --name $service_name | jq -r .service.spec > service.yaml",
    "aws proton --region $AWS_DEFAULT_REGION update-service-instance --deployment-type CURRENT_VERSION "
    "--name $service_instance_name --service-name $service_name --spec file://rendered_service.yaml",
    "aws proton --region $AWS_DEFAULT_REGION wait service-instance-deployed --name $service_instance_name "
    "--service-name $service_name",
)
"""What the pipelines of Proton's published service templates run, one in the build and two in each deploy project."""

_COMMAND = re.compile(r'"(aws proton [^"]*)"')


@dataclass(frozen=True, slots=True)
class Delivery:
    """A company with a service, the AWS command line as its pipeline has it, and the commands of that pipeline."""

    company: Company
    aws: AwsCli
    commands: tuple[str, ...]


def tutorials_commands(samples: Path) -> tuple[str, ...]:
    text = (samples / "tutorial/lb-fargate-svc/v1/pipeline_infrastructure/cloudformation.yaml").read_text()
    return tuple(dict.fromkeys(_COMMAND.findall(text)))


@pytest.fixture(params=["our own templates", "the tutorial's"])
def delivery(request: pytest.FixtureRequest, tmp_path: Path, emulator: Emulator) -> Iterator[Delivery]:
    if request.param == "our own templates":
        templates, commands = our_own(tmp_path / "templates"), COMMANDS
    else:
        samples = request.getfixturevalue("samples")
        templates, commands = the_tutorials(samples), tutorials_commands(samples)
    (tmp_path / "stage").mkdir()
    (tmp_path / "build").mkdir()
    with at_work(tmp_path / "stage", templates, emulator) as company:
        company.open_house()
        key, secret = company.key_pair("developer", "update")
        yield Delivery(company, AwsCli(tmp_path / "build", company.endpoint, REGION, key, secret), commands)


def changed(spec: str, **inputs: Any) -> str:
    """The spec with other inputs for every instance, as a build writes it."""
    document = documents.load(spec, "service.yaml").value
    for instance in document["instances"]:
        instance["spec"] |= inputs
    return documents.dump(document)


@pytest.mark.timeout(600)
def test_a_pipeline_deploys_what_it_built_with_the_commands_it_always_had(delivery: Delivery) -> None:
    aws, company = delivery.aws, delivery.company
    get, *deploy = delivery.commands
    assert len(deploy) == 2
    aws.shell(get, service_name=SERVICE)
    built = changed((aws.folder / "service.yaml").read_text(), image="registry.example.com/app:7")
    (aws.folder / "rendered_service.yaml").write_text(built)
    before = company.body(f"upkeep-instance-{SERVICE}-test")
    assert "registry.example.com/app:7" not in before

    for command in deploy:
        aws.shell(command, service_name=SERVICE, service_instance_name="test")

    assert "registry.example.com/app:7" in company.body(f"upkeep-instance-{SERVICE}-test")
    assert "registry.example.com/app:7" not in company.body(f"upkeep-instance-{SERVICE}-production")
    told = aws.proton("get-service-instance", "--service-name", SERVICE, "--name", "test")["serviceInstance"]
    assert told["deploymentStatus"] == "SUCCEEDED"
    spec = documents.load(told["spec"], "spec").value
    images = {each["name"]: each["spec"].get("image") for each in spec["instances"]}
    assert images == {"test": "registry.example.com/app:7", "production": None}

    # The key pair is for updates, and the command line says so in its own words.
    refused = aws.run("delete-service", "--name", SERVICE)
    assert refused.returncode == 255
    assert "An error occurred (AccessDeniedException) when calling the DeleteService operation" in refused.stderr
    assert "lacks the scope `enroll`" in refused.stderr
    unknown = aws.run("get-service", "--name", "unknown")
    assert "An error occurred (ResourceNotFoundException)" in unknown.stderr


@pytest.mark.timeout(600)
def test_a_person_updates_what_is_left_from_the_command_line(delivery: Delivery) -> None:
    aws = delivery.aws
    service = aws.proton("get-service", "--name", SERVICE)["service"]
    (aws.folder / "spec.yaml").write_text(service["spec"])
    spec = ("--spec", "file://spec.yaml")
    aws.proton("update-service-pipeline", "--service-name", SERVICE, "--deployment-type", "CURRENT_VERSION", *spec)
    aws.proton("wait", "service-pipeline-deployed", "--name", SERVICE)
    aws.proton("update-environment", "--name", "test", "--deployment-type", "MINOR_VERSION")
    aws.proton("wait", "environment-deployed", "--name", "test")
    names = aws.proton("list-service-instances", "--max-items", "1", "--query", "serviceInstances[].name")
    assert names == ["production"]
    filtered = aws.proton(
        "list-service-instances", "--filters", "key=environmentName,value=test", "--query", "serviceInstances[].name"
    )
    assert filtered == ["test"]
    stacks = aws.proton("list-environment-provisioned-resources", "--environment-name", "test")["provisionedResources"]
    assert [each["name"] for each in stacks] == ["upkeep-environment-test"]
    outputs = aws.proton("list-environment-outputs", "--environment-name", "test")["outputs"]
    assert {each["key"]: each["valueString"] for each in outputs} == delivery.company.outputs("test")
