import json

import pytest

from upkeep.domain.namespaces import (
    ANYTHING,
    SHAPES,
    EnvironmentFacts,
    InstanceFacts,
    ServiceFacts,
    absent_cure,
    environment_namespace,
    instance_namespace,
    moved_name,
    pipeline_namespace,
)
from upkeep.domain.parts import Part
from upkeep.domain.resources import Repository

TEST = EnvironmentFacts("test", "111111111111", {"cidr": "10.0.0.0/16"}, {"VpcId": "vpc-1"})
SHOP = ServiceFacts("shop", Repository("main", "acme/shop", "arn:connection"))
PROD = InstanceFacts("prod", TEST, {"port": 80}, {"Url": "https://shop"})
SERVICE = {
    "name": "shop",
    "branch_name": "main",
    "repository_id": "acme/shop",
    "repository_connection_arn": "arn:connection",
}


def test_an_environment_template_sees_its_environment_and_no_outputs():
    assert environment_namespace(TEST) == {
        "environment": {"name": "test", "account_id": "111111111111", "inputs": {"cidr": "10.0.0.0/16"}}
    }


def test_an_instance_template_sees_its_environments_outputs_its_service_and_itself():
    assert instance_namespace(SHOP, PROD) == {
        "environment": {"name": "test", "account_id": "111111111111", "outputs": {"VpcId": "vpc-1"}},
        "service": SERVICE,
        "service_instance": {"name": "prod", "inputs": {"port": 80}, "components": {"default": {}}},
    }


def test_a_pipeline_template_sees_every_instance_in_the_order_given():
    namespace = pipeline_namespace(SHOP, {"command": "make"}, [PROD, InstanceFacts("beta", TEST)])
    assert namespace["pipeline"] == {"inputs": {"command": "make"}}
    assert namespace["service"] == SERVICE
    assert [instance["name"] for instance in namespace["service_instances"]] == ["prod", "beta"]
    assert namespace["service_instances"][0] == {
        "name": "prod",
        "inputs": {"port": 80},
        "outputs": {"Url": "https://shop"},
        "environment": {"name": "test", "account_id": "111111111111", "outputs": {"VpcId": "vpc-1"}},
    }


def test_what_is_not_known_is_left_out_instead_of_empty():
    namespace = instance_namespace(ServiceFacts("shop"), InstanceFacts("prod", EnvironmentFacts("test")))
    assert namespace["service"] == {"name": "shop"}
    assert namespace["environment"] == {"name": "test", "outputs": {}}


def test_inputs_keep_their_order_and_types_when_written_as_json():
    inputs = {"z": 80, "a": 1.5, "m": True, "list": [1, {"x": None}]}
    namespace = instance_namespace(SHOP, InstanceFacts("prod", TEST, inputs))
    again = json.loads(json.dumps(namespace))
    assert list(again["service_instance"]["inputs"].items()) == list(inputs.items())


def test_a_namespace_shares_nothing_with_the_facts_it_was_built_from():
    inputs = {"port": 80}
    namespace = instance_namespace(SHOP, InstanceFacts("prod", TEST, inputs))
    namespace["service_instance"]["inputs"]["port"] = 1
    assert inputs == {"port": 80}


@pytest.mark.parametrize(
    ("part", "namespace"),
    [
        (Part.ENVIRONMENT, environment_namespace(TEST)),
        (Part.INSTANCE, instance_namespace(SHOP, PROD)),
        (Part.PIPELINE, pipeline_namespace(SHOP, {"command": "make"}, [PROD])),
    ],
)
def test_the_shapes_that_are_checked_are_those_of_the_values(part, namespace):
    def compare(shape, value, path):
        if shape.each is not None:
            for item in value:
                compare(shape.each, item, f"{path}[]")
        elif shape.members is not None:
            assert set(value) <= set(shape.members), path
            for name, member in value.items():
                compare(shape.members[name], member, f"{path}.{name}")
        else:
            assert shape is ANYTHING

    assert set(namespace) == set(SHAPES[part])
    for name, value in namespace.items():
        compare(SHAPES[part][name], value, name)


@pytest.mark.parametrize(
    ("part", "place", "name", "today"),
    [
        (Part.INSTANCE, "", "service_name", "service.name"),
        (Part.INSTANCE, "", "environment_account_id", "environment.account_id"),
        (Part.INSTANCE, "environment", "VpcId", "environment.outputs.VpcId"),
        (Part.ENVIRONMENT, "environment", "cidr", "environment.inputs.cidr"),
        (Part.INSTANCE, "service_instance", "port", "service_instance.inputs.port"),
        (Part.PIPELINE, "pipeline", "command", "pipeline.inputs.command"),
        (Part.PIPELINE, "service_instances[].environment", "Vpc", "service_instances[].environment.outputs.Vpc"),
        (Part.INSTANCE, "service", "port", None),
        (Part.INSTANCE, "", "nobody", None),
    ],
)
def test_names_of_the_preview_are_known_with_what_replaced_them(part, place, name, today):
    assert moved_name(part, place, name) == today


def test_only_documented_names_have_a_cure_for_their_absence():
    assert absent_cure("service.branch_name") == "give the service a repository"
    assert absent_cure("service_instances[0].environment.account_id") == "give the environment an account id"
    assert absent_cure("environment.outputs.account_id") is None
    assert absent_cure("service_instance.inputs.branch_name") is None
