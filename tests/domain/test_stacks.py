import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from upkeep.domain.documents import load_template
from upkeep.domain.names import environment_key, instance_key, pipeline_key
from upkeep.domain.stacks import LONGEST_NAME, capabilities, stack_name

NAMES = st.from_regex(r"[0-9A-Za-z][0-9A-Za-z_\-]{0,99}", fullmatch=True)
KEYS = st.one_of(
    st.builds(environment_key, NAMES),
    st.builds(instance_key, NAMES, NAMES),
    st.builds(pipeline_key, NAMES),
)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (environment_key("test"), "upkeep-environment-test"),
        (environment_key("eu-west"), "upkeep-environment-eu-west"),
        (instance_key("shop", "prod"), "upkeep-instance-shop-prod"),
        (pipeline_key("shop"), "upkeep-pipeline-shop"),
    ],
)
def test_a_stack_is_called_like_its_resource(key, name):
    assert stack_name(key) == name


@given(KEYS)
def test_every_name_is_one_that_cloudformation_takes(key):
    name = stack_name(key)
    assert re.fullmatch(r"[a-zA-Z][-a-zA-Z0-9]*", name)
    assert len(name) <= LONGEST_NAME
    assert name.startswith(f"upkeep-{key.kind}-")


@given(KEYS, KEYS)
@example(instance_key("a-b", "c"), instance_key("a", "b-c"))
@example(instance_key("a", "b"), pipeline_key("a-b"))
@example(environment_key("a_b"), environment_key("a-b"))
@example(environment_key("a-" + "b" * 98), environment_key("a-" + "b" * 97))
@example(instance_key("s" * 100, "i" * 100), instance_key("s" * 100, "i" * 99))
@example(instance_key("a", "b-"), instance_key("a", "b_"))
def test_two_resources_never_share_a_name(one, other):
    assert (stack_name(one) == stack_name(other)) is (one == other)


@given(KEYS)
def test_no_name_can_be_chosen_to_be_that_of_another(key):
    """A resource that is called like the stack of another, its hash included, gets a hash of its own."""
    rest = stack_name(key).removeprefix("upkeep-environment-").removeprefix("upkeep-pipeline-")
    if len(rest) <= 100 and environment_key(rest) != key:
        assert stack_name(environment_key(rest)) != stack_name(key)


def test_a_name_stays_the_same_for_ever():
    assert stack_name(instance_key("front-end", "prod")) == "upkeep-instance-front-end-prod-924e922d"
    assert stack_name(environment_key("a_b")) == "upkeep-environment-a-b-59606c65"


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": kind, "Properties": properties}


@pytest.mark.parametrize(
    ("template", "needed"),
    [
        ({"Resources": {"Queue": resource("AWS::SQS::Queue")}}, ()),
        ({"Resources": {"Role": resource("AWS::IAM::Role")}}, ("CAPABILITY_IAM",)),
        ({"Resources": {"Inline": resource("AWS::IAM::Policy", PolicyName="p")}}, ("CAPABILITY_IAM",)),
        ({"Resources": {"Role": resource("AWS::IAM::Role", RoleName="r")}}, ("CAPABILITY_NAMED_IAM",)),
        (
            {
                "Resources": {
                    "A": resource("AWS::IAM::Role"),
                    "B": resource("AWS::IAM::ManagedPolicy", ManagedPolicyName="p"),
                }
            },
            ("CAPABILITY_NAMED_IAM",),
        ),
        (
            {"Transform": "AWS::Serverless-2016-10-31", "Resources": {"F": resource("AWS::Serverless::Function")}},
            ("CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"),
        ),
        (
            {
                "Transform": ["AWS::Serverless-2016-10-31"],
                "Resources": {
                    "F": resource("AWS::Serverless::Function"),
                    "R": resource("AWS::IAM::Role", RoleName="r"),
                },
            },
            ("CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"),
        ),
        (
            {"Transform": "AWS::LanguageExtensions", "Resources": {"Queue": resource("AWS::SQS::Queue")}},
            ("CAPABILITY_AUTO_EXPAND",),
        ),
        (
            {"Transform": ["AWS::LanguageExtensions", "Ours"], "Resources": {"Queue": resource("AWS::SQS::Queue")}},
            ("CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"),
        ),
        (
            {
                "Resources": {
                    "Q": {"Type": "AWS::SQS::Queue", "Properties": {"Fn::Transform": {"Name": "AWS::Include"}}}
                }
            },
            ("CAPABILITY_AUTO_EXPAND",),
        ),
        (
            {"Resources": {"Inner": resource("AWS::CloudFormation::Stack", TemplateURL="https://s3/x")}},
            ("CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"),
        ),
        ({}, ()),
        ({"Resources": {"Broken": "text"}, "Transform": None}, ()),
    ],
)
def test_exactly_what_a_template_needs_is_acknowledged(template, needed):
    assert capabilities(load_template(json.dumps(template), "template").value) == needed
