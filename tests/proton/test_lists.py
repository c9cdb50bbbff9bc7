"""Pages, filters, orders and waiters: what botocore has a paginator or a waiter for, it walks or waits for here."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from tests import builders
from tests.flows.given import registered, running
from tests.proton.conftest import ARN, Served
from upkeep.adapters.clock import now as present
from upkeep.domain.annotations import Annotation
from upkeep.domain.deployments import DeploymentStatus
from upkeep.domain.lag import Lag, Standing
from upkeep.domain.names import ResourceName, environment_key, instance_key, parse_resource_key, pipeline_key
from upkeep.domain.versions import VersionState
from upkeep.flows.ports import Unit
from upkeep.web.proton.operations import REFUSED

NAMES = [f"thing-{number:02}" for number in range(7)]

CONNECTION = "arn:aws:codestar-connections:eu-west-1:123456789012:connection/1f2e"


@pytest.fixture
def many(served: Served) -> Served:
    """Seven of everything that is listed."""
    at = present().replace(microsecond=0)
    with served.store.write() as unit:
        _registry(unit, at)
        for position, name in enumerate(NAMES):
            _fleet(unit, name, at + timedelta(minutes=position))
    return served


def _registry(unit: Unit, at: datetime) -> None:
    environment, service = builders.environment_files(), builders.service_files()
    for minor in range(7):
        state = VersionState.PUBLISHED if minor == 0 else VersionState.DRAFT
        registered(unit, "env", f"1.{minor}", builders.a_bundle(environment), at, state)
        registered(unit, "svc", f"1.{minor}", builders.a_bundle(service), at, state)
    for name in NAMES[1:]:
        registered(unit, f"env-{name}", "1.0", builders.a_bundle(environment), at)
        registered(unit, f"svc-{name}", "1.0", builders.a_bundle(service), at)


def _fleet(unit: Unit, name: str, at: datetime) -> None:
    position = NAMES.index(name)
    outputs = {f"Output{number}": f"value {number}" for number in range(7)}
    stack = f"arn:aws:cloudformation:eu-west-1:123456789012:stack/{name}/1f2e"
    tags = {f"key-{number}": "value" for number in range(7)}
    shared = {"created_at": at, "outputs": outputs, "stack": stack, "tags": tags}
    home = running(unit, environment_key(name), "env", "1.0", **shared)
    spec = builders.SERVICE_SPEC.replace('environment: "test"', f'environment: "{name}"')
    unit.fleet.add_service(builders.a_service(name, spec, template="svc", created_at=at))
    behind = Lag(Standing.BEHIND_MINOR, minors=1, since=at) if position % 2 else Lag(Standing.UP_TO_DATE)
    instance = running(
        unit,
        instance_key(name, "test"),
        "svc",
        "1.0",
        environment=ResourceName(name),
        lag=behind,
        **shared,
    )
    running(unit, pipeline_key(name), "svc", "1.0", **shared)
    for resource in (home, instance):
        status = DeploymentStatus.FAILED if position == 3 else DeploymentStatus.SUCCEEDED
        made = builders.a_deployment(resource, "1.0", status=status, created_at=at - timedelta(hours=position))
        unit.deployments.add(made)
        unit.fleet.save(replace(resource, last_deployment=made.id, status=status))
    facts = {"name": f"acme/{name}", "provider": "GITHUB", "connectionArn": CONNECTION}
    unit.annotations.save(Annotation(f"repository/github/acme/{name}", at, facts))


PAGES: dict[str, dict[str, Any]] = {
    "list_deployments": {},
    "list_environment_outputs": {"environmentName": "thing-00"},
    "list_environment_provisioned_resources": {"environmentName": "thing-00"},
    "list_environment_template_versions": {"templateName": "env", "majorVersion": "1"},
    "list_environment_templates": {},
    "list_environments": {},
    "list_repositories": {},
    "list_repository_sync_definitions": {
        "repositoryName": "acme/thing-00",
        "repositoryProvider": "GITHUB",
        "syncType": "TEMPLATE_SYNC",
    },
    "list_service_instance_outputs": {"serviceName": "thing-00", "serviceInstanceName": "test"},
    "list_service_instance_provisioned_resources": {"serviceName": "thing-00", "serviceInstanceName": "test"},
    "list_service_instances": {},
    "list_service_pipeline_outputs": {"serviceName": "thing-00"},
    "list_service_pipeline_provisioned_resources": {"serviceName": "thing-00"},
    "list_service_template_versions": {"templateName": "svc", "majorVersion": "1"},
    "list_service_templates": {},
    "list_services": {},
    "list_tags_for_resource": {"resourceArn": f"{ARN}environment/thing-00"},
}
EXPECTED = {
    "list_deployments": 14,
    "list_environment_provisioned_resources": 1,
    "list_service_instance_provisioned_resources": 1,
    "list_service_pipeline_provisioned_resources": 1,
    "list_repository_sync_definitions": 0,
}


def test_every_paginator_of_botocore_walks_all_pages(many: Served) -> None:
    client = many.client()
    refused = {"list_components", "list_component_outputs", "list_component_provisioned_resources"}
    refused.add("list_environment_account_connections")
    paged = {name for name in client.meta.method_to_api_mapping if client.can_paginate(name)}
    assert paged == set(PAGES) | refused
    assert {client.meta.method_to_api_mapping[name] for name in refused} <= set(REFUSED)
    for method, given in PAGES.items():
        paginator = client.get_paginator(method)
        key = paginator.result_keys[0].expression
        whole = [row for page in paginator.paginate(**given) for row in page[key]]
        assert len(whole) == EXPECTED.get(method, 7), method
        if "maxResults" not in client.meta.service_model.operation_model(paginator._model.name).input_shape.members:
            continue
        pages = list(paginator.paginate(**given, PaginationConfig={"PageSize": 3}))
        assert [len(page[key]) for page in pages] == ([3, 3, 1] if method != "list_deployments" else [3, 3, 3, 3, 2])
        assert [row for page in pages for row in page[key]] == whole, method


def test_a_token_of_another_list_is_no_page(many: Served) -> None:
    client = many.client()
    token = client.list_services(maxResults=1)["nextToken"]
    for method in ("list_environments", "list_deployments", "list_service_instances", "list_service_templates"):
        for wrong in (token, "AAAA", "WyJMaXN0U2VydmljZUluc3RhbmNlcyIsICJ4Il0="):
            with pytest.raises(ClientError) as caught:
                getattr(client, method)(nextToken=wrong)
            assert caught.value.response["Error"]["Code"] == "ValidationException"


def instances(client: Any, **given: Any) -> list[str]:
    filters = [{"key": key, "value": value} for key, value in given.pop("filters", {}).items()]
    found = client.get_paginator("list_service_instances").paginate(filters=filters, **given)
    return [row["serviceName"] for page in found for row in page["serviceInstances"]]


def test_instances_are_filtered(many: Served) -> None:
    client = many.client()
    assert instances(client, serviceName="thing-02") == ["thing-02"]
    assert instances(client, filters={"serviceName": "thing-02"}) == ["thing-02"]
    assert instances(client, filters={"environmentName": "thing-04"}) == ["thing-04"]
    assert instances(client, filters={"deploymentStatus": "FAILED"}) == ["thing-03"]
    assert instances(client, filters={"templateName": "other"}) == []
    assert len(instances(client, filters={"name": "test"})) == 7
    assert instances(client, filters={"name": "test", "serviceName": "thing-02", "environmentName": "thing-03"}) == []
    behind = instances(client, filters={"deployedTemplateVersionStatus": "BEHIND_MINOR"})
    assert sorted(behind) == ["thing-01", "thing-03", "thing-05"]


def test_instances_are_filtered_by_time(many: Served) -> None:
    client = many.client()
    with many.store.read() as unit:
        fourth = unit.fleet.get(instance_key("thing-03", "test")).created_at
    assert sorted(instances(client, filters={"createdAtBefore": fourth.isoformat()})) == NAMES[:3]
    assert sorted(instances(client, filters={"createdAtAfter": fourth.isoformat()})) == NAMES[4:]
    assert sorted(instances(client, filters={"createdAtAfter": str(fourth.timestamp())})) == NAMES[4:]
    attempted = fourth - timedelta(hours=3)
    assert sorted(instances(client, filters={"lastDeploymentAttemptedAtAfter": attempted.isoformat()})) == NAMES[:3]
    assert sorted(instances(client, filters={"lastDeploymentAttemptedAtBefore": attempted.isoformat()})) == NAMES[4:]


@pytest.mark.parametrize(
    "filters", [{"createdAtAfter": "yesterday"}, {"deploymentStatus": "DONE"}, {"deployedTemplateVersionStatus": "OLD"}]
)
def test_a_filter_that_cannot_be_read_is_refused(many: Served, filters: dict[str, str]) -> None:
    with pytest.raises(ClientError) as caught:
        instances(many.client(), filters=filters)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("serviceName", NAMES),
        ("environmentName", NAMES),
        ("createdAt", NAMES),
        ("lastDeploymentAttemptedAt", NAMES[::-1]),
    ],
)
def test_instances_are_sorted_page_by_page(many: Served, order: str, expected: list[str]) -> None:
    client, small = many.client(), {"PageSize": 2}
    assert instances(client, sortBy=order, PaginationConfig=small) == expected
    assert instances(client, sortBy=order, sortOrder="DESCENDING", PaginationConfig=small) == expected[::-1]


@pytest.mark.parametrize("order", ["name", "deploymentStatus", "templateName"])
def test_what_is_alike_in_an_order_is_listed_once(many: Served, order: str) -> None:
    found = instances(many.client(), sortBy=order, PaginationConfig={"PageSize": 2})
    assert sorted(found) == NAMES
    assert order != "deploymentStatus" or found[0] == "thing-03"


def test_deployments_are_those_of_what_is_named(many: Served) -> None:
    client = many.client()

    def of(**given: str) -> list[tuple[str, str | None]]:
        found = client.list_deployments(**given)["deployments"]
        return [(each["targetResourceType"], each.get("serviceName")) for each in found]

    assert of(environmentName="thing-02") == [("ENVIRONMENT", None)]
    assert of(serviceName="thing-02") == [("SERVICE_INSTANCE", "thing-02")]
    assert of(serviceName="thing-02", serviceInstanceName="test") == [("SERVICE_INSTANCE", "thing-02")]
    for wrong in (
        {"environmentName": "x"},
        {"serviceName": "x"},
        {"serviceName": "thing-02", "serviceInstanceName": "x"},
    ):
        with pytest.raises(ClientError) as caught:
            of(**wrong)
        assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"


# --------------------------------------------------------------------------------------------------- waiters

FAILED = {
    "environment_deployed": ("environment/test", {"name": "test"}),
    "service_instance_deployed": ("instance/checkout/test", {"serviceName": "checkout", "name": "test"}),
    "service_pipeline_deployed": ("pipeline/checkout", {"name": "checkout"}),
}


def status(served: Served, key: str, status: DeploymentStatus, **changes: Any) -> None:
    with served.store.write() as unit:
        found = unit.fleet.get(parse_resource_key(key))
        unit.fleet.save(replace(found, status=status, **changes))


def waited(client: Any, waiter: str, **given: Any) -> str:
    """How a waiter ends that looks once."""
    try:
        client.get_waiter(waiter).wait(**given, WaiterConfig={"Delay": 0, "MaxAttempts": 1})
    except WaiterError as error:
        return (
            "failed"
            if "terminal failure" in str(error)
            else "unfinished"
            if "Max attempts" in str(error)
            else str(error)
        )
    return "done"


@pytest.mark.parametrize("waiter", FAILED)
def test_a_waiter_for_a_deployment_ends_as_the_deployment_does(furnished: Served, waiter: str) -> None:
    client = furnished.client()
    key, named = FAILED[waiter]
    for ended, expected in (("SUCCEEDED", "done"), ("FAILED", "failed"), ("IN_PROGRESS", "unfinished")):
        status(furnished, key, DeploymentStatus(ended))
        assert waited(client, waiter, **named) == expected


def test_a_waiter_for_a_registration_ends_as_the_version_does(furnished: Served) -> None:
    client = furnished.client()
    for minor, expected in (("1", "done"), ("2", "done"), ("3", "failed")):
        named = {"templateName": "network-env", "majorVersion": "1", "minorVersion": minor}
        assert waited(client, "environment_template_version_registered", **named) == expected
    named = {"templateName": "web-svc", "majorVersion": "1", "minorVersion": "0"}
    assert waited(client, "service_template_version_registered", **named) == "done"
    coming = client.create_service_template_version(
        templateName="web-svc",
        majorVersion="1",
        source={"s3": {"bucket": "bundles", "key": "none"}},
        compatibleEnvironmentTemplates=[{"templateName": "network-env", "majorVersion": "1"}],
    )["serviceTemplateVersion"]
    named["minorVersion"] = coming["minorVersion"]
    assert waited(client, "service_template_version_registered", **named) == "unfinished"
    furnished.work()
    assert waited(client, "service_template_version_registered", **named) == "failed"
    failed = client.get_service_template_version(**named)["serviceTemplateVersion"]
    assert "there is no s3://bundles/none" in failed["statusMessage"]


def test_waiters_for_a_service_end_as_its_parts_do(furnished: Served) -> None:
    client = furnished.client()
    instance = "instance/checkout/test"
    status(furnished, instance, DeploymentStatus.SUCCEEDED)
    assert waited(client, "service_created", name="checkout") == "done"
    assert waited(client, "service_updated", name="checkout") == "done"
    status(furnished, instance, DeploymentStatus.FAILED, version=None)
    assert waited(client, "service_created", name="checkout") == "failed"
    status(furnished, instance, DeploymentStatus.IN_PROGRESS, version=None)
    assert waited(client, "service_created", name="checkout") == "unfinished"
    later = present()
    status(furnished, instance, DeploymentStatus.FAILED, version=None, created_at=later)
    assert waited(client, "service_updated", name="checkout") == "failed"
    assert client.get_service(name="checkout")["service"]["status"] == "UPDATE_FAILED"
    status(furnished, instance, DeploymentStatus.DELETE_FAILED)
    assert waited(client, "service_updated", name="checkout") == "failed"
    status(furnished, "pipeline/checkout", DeploymentStatus.DELETE_FAILED)
    assert waited(client, "service_deleted", name="checkout") == "failed"
    status(furnished, "pipeline/checkout", DeploymentStatus.DELETE_IN_PROGRESS)
    assert waited(client, "service_deleted", name="checkout") == "unfinished"
    assert waited(client, "service_deleted", name="unknown") == "done"


def test_there_are_ten_waiters_and_all_are_tried(served: Served) -> None:
    client = served.client()
    services = {"service_created", "service_updated", "service_deleted"}
    registrations = {"environment_template_version_registered", "service_template_version_registered"}
    components = {"component_deployed", "component_deleted"}
    assert set(client.waiter_names) == set(FAILED) | services | registrations | components
    for waiter in components:
        assert "there are no components" in waited(client, waiter, name="any")
