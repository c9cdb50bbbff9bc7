"""Drift on the command line: what somebody changes by hand is found, told, and warned of before an update."""

import pytest

from tests import builders
from tests.emulator.harness import REGION, Emulator
from tests.flows import given
from tests.stories.test_command_line import ENVIRONMENT, SERVICE, Shell, offered, shell

__all__ = ["shell"]

SAME = "it is what was deployed"

WITH_QUEUE = builders.ENVIRONMENT_BODY.replace(
    "Outputs:", "  Queue:\n    Type: AWS::SQS::Queue\n    Properties: {VisibilityTimeout: 30}\nOutputs:"
)


def enrolled(shell: Shell) -> None:
    """An environment and a service in it."""
    environment = ("environment", "create", "test", "--template", ENVIRONMENT)
    shell.run(*environment, "--spec", shell.spec("test.yaml", builders.ENVIRONMENT_SPEC), "--wait")
    service = ("service", "create", "shop", "--template", SERVICE)
    shell.run(*service, "--spec", shell.spec("shop.yaml", builders.SERVICE_SPEC), "--wait")


def test_what_the_local_provisioner_wrote_is_compared_with_what_is_there(shell: Shell) -> None:
    offered(shell)
    with shell.worker():
        enrolled(shell)
        for noun, name in (("environment", "test"), ("instance", "shop/test"), ("pipeline", "shop")):
            assert SAME in shell.run(noun, "drift", name, "--wait")
        template = shell.folder / "state/local/environment/test/template.yaml"
        template.write_text(template.read_text().replace("10.1.0.0", "10.2.0.0"))
        differs = "Network (AWS::EC2::VPC): MODIFIED"
        assert f"test: has drifted: {differs}" in shell.run("environment", "drift", "test", "--wait")
        row = shell.ask("environment", "get", "test")
        assert (row["drift"], row["drifted_resources"]) == ("drifted", [differs])
        updated = shell.type("environment", "update", "test", "--version", "1.0", "--wait")
        assert updated.stderr == f"warning: test has drifted: {differs}; the update may undo that, or fail on it\n"
        assert shell.ask("environment", "get", "test")["drift"] is None
        template.unlink()
        said = shell.refused("environment", "drift", "test", "--wait", code=1)
        assert "could not be compared with what was deployed" in said


def test_nothing_is_compared_that_was_never_deployed(shell: Shell) -> None:
    offered(shell)
    spec = shell.spec("test.yaml", builders.ENVIRONMENT_SPEC)
    shell.run("environment", "create", "test", "--template", ENVIRONMENT, "--spec", spec)
    assert "no stack that could be compared" in shell.refused("environment", "drift", "test", code=5)


@pytest.mark.timeout(300)
def test_a_queue_that_is_changed_in_aws_is_drift(shell: Shell, emulator: Emulator) -> None:
    with shell.configuration.open("a") as file:
        file.write(f"provisioner: cloudformation\ncloudformation: {{region: {REGION}, endpoint_url: {emulator.url}}}\n")
    with shell.store() as unit:
        bundle = builders.a_bundle(builders.environment_files(body=WITH_QUEUE))
        given.registered(unit, ENVIRONMENT, "1.0", bundle, builders.NOON)
    shell.run("version", "publish", ENVIRONMENT, "1.0")
    with shell.worker():
        spec = shell.spec("test.yaml", builders.ENVIRONMENT_SPEC)
        shell.run("environment", "create", "test", "--template", ENVIRONMENT, "--spec", spec, "--wait")
        assert SAME in shell.run("environment", "drift", "test", "--wait")
        queues = emulator.client("sqs")
        (url,) = queues.list_queues()["QueueUrls"]
        queues.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "99"})
        said = shell.run("environment", "drift", "test", "--wait")
        assert "test: has drifted: Queue (AWS::SQS::Queue): MODIFIED" in said
