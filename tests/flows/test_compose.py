from dataclasses import replace

import pytest

from tests import builders
from tests.builders import ENVIRONMENT_TEMPLATE, SERVICE_TEMPLATE
from tests.flows.given import environment_bundle, registered, running, service_bundle
from upkeep.domain.deployments import Action, DeploymentStatus, State
from upkeep.domain.errors import BundleError, CallerError, NotFound
from upkeep.domain.names import Version, environment_key, instance_key, pipeline_key
from upkeep.domain.resources import Repository
from upkeep.flows.compose import Composer, compose

V10, V11 = Version(1, 0), Version(1, 1)
SPEC = """\
proton: ServiceSpec
pipeline: {}
instances:
  - {name: "prod", environment: "live", spec: {}}
  - {name: "beta", environment: "test", spec: {port: 8080}}
  - {name: "wish", environment: "test", spec: {}}
"""


@pytest.fixture
def fleet(store, now):
    """Two environments; a service with `beta` on 1.0 and `prod` on 1.1, where the default port is another."""
    later = builders.SERVICE_SCHEMA.replace("default: 80", "default: 443")
    with store.write() as unit:
        registered(unit, ENVIRONMENT_TEMPLATE, "1.0", environment_bundle(), now)
        registered(unit, SERVICE_TEMPLATE, "1.0", service_bundle(), now)
        registered(unit, SERVICE_TEMPLATE, "1.1", builders.a_bundle(builders.service_files(schema=later)), now)
        for name, account in (("test", "1111"), ("live", "2222")):
            running(
                unit, environment_key(name), ENVIRONMENT_TEMPLATE, "1.0", account_id=account,
                outputs={"NetworkId": f"vpc-{name}"},
            )  # fmt: skip
        unit.fleet.add_service(builders.a_service("checkout", SPEC, repository=Repository("main", "shop/checkout")))
        beta = builders.an_instance(name="beta", environment="test", inputs={"port": 8080}, outputs={"GroupId": "g-1"})
        unit.fleet.add(beta)
        unit.fleet.add(builders.an_instance(name="prod", version="1.1", environment="live"))
        unit.fleet.add(builders.a_pipeline(inputs={"command": "make check"}))
    return store


def composed(store, key, version=V10, inputs=None):
    with store.read() as unit:
        resource = unit.fleet.get(key)
        return compose(unit, resource, State(version, resource.inputs if inputs is None else inputs))


def test_an_environment_is_composed_of_its_template_its_inputs_and_the_defaults(fleet):
    composition = composed(fleet, environment_key("test"))
    assert composition.template.path == "infrastructure/cloudformation.yaml"
    assert composition.template.text == builders.ENVIRONMENT_BODY
    assert composition.namespace == {
        "environment": {"name": "test", "account_id": "1111", "inputs": {"cidr": "10.0.0.0/16"}}
    }
    given = composed(fleet, environment_key("test"), inputs={"cidr": "10.9.0.0/16"})
    assert given.namespace["environment"]["inputs"] == {"cidr": "10.9.0.0/16"}


def test_an_instance_sees_the_outputs_of_the_environment_it_lives_in(fleet):
    composition = composed(fleet, instance_key("checkout", "prod"))
    assert composition.template.path == "instance_infrastructure/cloudformation.yaml"
    assert composition.namespace == {
        "environment": {"name": "live", "account_id": "2222", "outputs": {"NetworkId": "vpc-live"}},
        "service": {"name": "checkout", "branch_name": "main", "repository_id": "shop/checkout"},
        "service_instance": {"name": "prod", "inputs": {"port": 80}, "components": {"default": {}}},
    }


def test_defaults_are_those_of_the_version_that_is_aimed_at(fleet):
    inputs = composed(fleet, instance_key("checkout", "prod"), V11).namespace["service_instance"]["inputs"]
    assert inputs == {"port": 443}


def test_a_pipeline_sees_the_instances_in_the_order_of_the_spec_each_with_the_defaults_of_what_it_runs(fleet):
    composition = composed(fleet, pipeline_key("checkout"))
    assert composition.template.path == "pipeline_infrastructure/cloudformation.yaml"
    assert composition.namespace["pipeline"] == {"inputs": {"command": "make check"}}
    assert composition.namespace["service_instances"] == [
        {
            "name": "prod",
            "inputs": {"port": 443},
            "outputs": {},
            "environment": {"name": "live", "account_id": "2222", "outputs": {"NetworkId": "vpc-live"}},
        },
        {
            "name": "beta",
            "inputs": {"port": 8080},
            "outputs": {"GroupId": "g-1"},
            "environment": {"name": "test", "account_id": "1111", "outputs": {"NetworkId": "vpc-test"}},
        },
    ]


def test_an_instance_that_never_ran_is_shown_as_it_is_about_to_be(fleet):
    with fleet.write() as unit:
        wish = builders.an_instance(name="wish", version=None, environment="test")
        unit.fleet.add(wish)
        asked = builders.a_deployment(wish, to="1.1", action=Action.CREATE)
        unit.deployments.add(replace(asked, target=State(V11, {})))
    instances = composed(fleet, pipeline_key("checkout")).namespace["service_instances"]
    assert [(instance["name"], instance["inputs"]) for instance in instances][2] == ("wish", {"port": 443})


def test_an_instance_the_spec_no_longer_lists_is_not_shown_to_the_pipeline(fleet):
    with fleet.write() as unit:
        status = DeploymentStatus.DELETE_IN_PROGRESS
        unit.fleet.add(builders.an_instance(name="doomed", environment="test", status=status))
    instances = composed(fleet, pipeline_key("checkout")).namespace["service_instances"]
    assert [instance["name"] for instance in instances] == ["prod", "beta"]


def test_inputs_that_do_not_fit_are_the_callers_fault(fleet):
    with pytest.raises(CallerError, match="port"):
        composed(fleet, instance_key("checkout", "prod"), inputs={"port": "many"})


def test_a_version_without_the_part_is_refused(fleet, now):
    schema = builders.SERVICE_SCHEMA.replace('  pipeline_input_type: "Delivery"\n', "")
    files = builders.service_files(schema=schema, pipeline=None)
    with fleet.write() as unit:
        registered(unit, SERVICE_TEMPLATE, "1.2", builders.a_bundle(files), now)
    with pytest.raises(BundleError, match=r"web-svc 1\.2 has no pipeline template"):
        composed(fleet, pipeline_key("checkout"), Version(1, 2))


def test_a_version_that_is_gone_is_not_found(fleet):
    with pytest.raises(NotFound):
        composed(fleet, environment_key("test"), Version(9, 9))


def test_an_environment_made_by_others_has_nothing_to_render(fleet, now):
    schema = builders.ENVIRONMENT_SCHEMA.replace('\n          default: "10.0.0.0/16"', "")
    with fleet.write() as unit:
        registered(unit, "by-others", "1.0", builders.a_bundle({"schema/schema.yaml": schema}), now)
        elsewhere = running(unit, environment_key("elsewhere"), "by-others", "1.0")
        assert Composer(unit).is_customer_managed(elsewhere, V10)
        assert not Composer(unit).is_customer_managed(unit.fleet.get(environment_key("test")), V10)


def test_two_versions_with_the_same_content_are_read_once(fleet, now):
    with fleet.write() as unit:
        registered(unit, ENVIRONMENT_TEMPLATE, "1.7", environment_bundle(), now)
    first = composed(fleet, environment_key("test"))
    assert composed(fleet, environment_key("test"), Version(1, 7)).template is first.template
