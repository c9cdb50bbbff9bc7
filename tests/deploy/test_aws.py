"""The role as a CloudFormation template: the same statements as the policies, and a stack that can be made."""

import json
from typing import Any

import pytest
import yaml

from tests.emulator.harness import ACCOUNT, Emulator
from tests.emulator.policy import POLICIES, policy

TEMPLATE = POLICIES / "deploys-role.yaml"
WORKER, EXTERNAL_ID = "arn:aws:iam::111122223333:role/upkeep-worker", "4f1a9c"
"""As the trust policy's example has them."""


class _Short(yaml.SafeLoader):
    """Reads the short forms of CloudFormation's functions as their long ones."""


def _long(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {suffix: loader.construct_sequence(node, deep=True)}
    return {suffix: loader.construct_mapping(node, deep=True)}


_Short.add_multi_constructor("!", _long)


@pytest.fixture
def role() -> dict[str, Any]:
    """The properties of the role, with the names of the examples filled in."""
    read = yaml.load(TEMPLATE.read_text(encoding="utf-8"), _Short)
    filled = {"WorkerRole": WORKER, "ExternalId": EXTERNAL_ID, "Templates": read["Parameters"]["Templates"]["Default"]}

    def fill(value: Any) -> Any:
        match value:
            case {"Ref": name} if name in filled:
                return filled[name]
            case {"Sub": text}:
                return text.replace("${Templates}", filled["Templates"])
            case dict():
                return {name: fill(inner) for name, inner in value.items()}
            case list():
                return [fill(inner) for inner in value]
        return value

    properties: dict[str, Any] = fill(read["Resources"]["Deploys"]["Properties"])
    return properties


def test_the_template_makes_the_role_of_the_policies(role):
    (inline,) = role["Policies"]
    assert inline["PolicyDocument"]["Statement"] == policy("deploys-policy")
    assert role["AssumeRolePolicyDocument"]["Statement"] == policy("deploys-trust-policy")


def test_the_policies_fit_together(role):
    """The worker may enter the role that the template makes, and all speak of one bucket."""
    assert any(each["Resource"].endswith(f":role/{role['RoleName']}") for each in policy("worker-policy"))
    texts = [path.read_text(encoding="utf-8") for path in sorted(POLICIES.glob("*-policy.json"))]
    assert all(json.loads(text)["Version"] == "2012-10-17" for text in texts)
    (trusted,) = policy("worker-trust-policy")
    assert any(
        value == "system:serviceaccount:upkeep:upkeep-worker" for value in trusted["Condition"]["StringEquals"].values()
    )


def test_cloudformation_makes_it(emulator: Emulator):
    cloudformation, iam = emulator.client("cloudformation"), emulator.client("iam")
    given = {"WorkerRole": WORKER, "ExternalId": EXTERNAL_ID}
    cloudformation.create_stack(
        StackName="upkeep-role",
        TemplateBody=TEMPLATE.read_text(encoding="utf-8"),
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()],
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName="upkeep-role", WaiterConfig={"Delay": 1})
    (stack,) = cloudformation.describe_stacks(StackName="upkeep-role")["Stacks"]
    assert stack["Outputs"][0]["OutputValue"] == f"arn:aws:iam::{ACCOUNT}:role/upkeep-deploys"
    made = iam.get_role(RoleName="upkeep-deploys")["Role"]
    assert made["AssumeRolePolicyDocument"]["Statement"] == policy("deploys-trust-policy")
