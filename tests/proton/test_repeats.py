"""The same request twice acts once: by its client token, or by the name of what it makes. And the rules of the four
types of update."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests import builders
from tests.proton.conftest import ARN, Served
from tests.proton.test_life import CONNECTION, archive

SPEC = "proton: ServiceSpec\npipeline: {}\ninstances: [{name: test, environment: test, spec: {port: 8081}}]\n"
NAMED = {"serviceName": "checkout", "name": "test"}


def refusal(act: Any, **given: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        act(**given)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


@pytest.fixture
def ready(furnished: Served) -> Served:
    """The furnished house, with nothing under way."""
    furnished.client().cancel_service_instance_deployment(serviceName="checkout", serviceInstanceName="test")
    return furnished


def test_a_client_token_makes_a_version_once(served: Served) -> None:
    client = served.client()
    served.bucket["env.tgz"] = archive(builders.environment_files())
    client.create_environment_template(name="env")
    given = {"templateName": "env", "source": {"s3": {"bucket": "bundles", "key": "env.tgz"}}, "clientToken": "one"}
    first = client.create_environment_template_version(**given)["environmentTemplateVersion"]
    served.work()
    assert client.create_environment_template_version(**given)["environmentTemplateVersion"] == first
    assert len(client.list_environment_template_versions(templateName="env")["templateVersions"]) == 1
    code, message = refusal(client.create_environment_template_version, **(given | {"description": "other"}))
    assert (code, message.partition(":")[0]) == ("ValidationException", "IdempotentParameterMismatch")
    second = client.create_environment_template_version(**(given | {"clientToken": "two"}))
    assert second["environmentTemplateVersion"]["majorVersion"] == "2"


def test_a_client_token_is_its_users_and_its_operations(ready: Served) -> None:
    client, other = ready.client(), ready.client("developer")
    given = {**NAMED, "deploymentType": "CURRENT_VERSION", "clientToken": "one"}
    first = client.update_service_instance(**given)["serviceInstance"]
    assert client.update_service_instance(**given)["serviceInstance"] == first
    assert refusal(other.update_service_instance, **given)[0] == "ConflictException"


def test_what_is_known_by_its_name_is_made_once(served: Served) -> None:
    client = served.client()
    given = {"name": "web", "displayName": "Web"}
    first = client.create_service_template(**given)["serviceTemplate"]
    assert client.create_service_template(**given)["serviceTemplate"] == first
    code, message = refusal(client.create_service_template, name="web", displayName="Other")
    assert (code, message.partition(":")[0]) == ("ValidationException", "IdempotentParameterMismatch")
    client.update_service_template(name="web", description="changed")
    assert refusal(client.create_service_template, **given)[0] == "ConflictException"


def test_an_environment_is_made_once(furnished: Served) -> None:
    client = furnished.client()
    given: dict[str, Any] = {
        "name": "fresh",
        "templateName": "network-env",
        "templateMajorVersion": "1",
        "spec": builders.ENVIRONMENT_SPEC,
    }
    first = client.create_environment(**given)["environment"]
    assert first["templateMinorVersion"] == "1"
    assert client.create_environment(**given)["environment"] == first
    assert refusal(client.create_environment, **(given | {"spec": "proton: EnvironmentSpec\nspec: {}\n"}))[0] == (
        "ValidationException"
    )
    furnished.work()
    assert client.create_environment(**given)["environment"]["deploymentStatus"] == "SUCCEEDED"
    client.update_environment(name="fresh", deploymentType="CURRENT_VERSION")
    assert refusal(client.create_environment, **given)[0] == "ConflictException"


def test_what_was_made_elsewhere_is_no_original(furnished: Served) -> None:
    client = furnished.client()
    given = {"templateName": "network-env", "templateMajorVersion": "1", "spec": builders.ENVIRONMENT_SPEC}
    assert refusal(client.create_environment, name="test", **given) == (
        "ConflictException",
        "environment/test exists already (choose another name, or update it)",
    )


def test_a_repository_is_linked_once(served: Served) -> None:
    client = served.client()
    given = {"name": "acme/templates", "provider": "GITHUB"}
    client.create_repository(**given, connectionArn=CONNECTION)
    client.create_repository(**given, connectionArn=CONNECTION)
    other = CONNECTION.replace("1f2e", "3d4c")
    assert refusal(client.create_repository, **given, connectionArn=other)[0] == "ValidationException"
    assert len(client.list_repositories()["repositories"]) == 1


# ---------------------------------------------------------------------------------------- the types of update


def test_the_current_version_keeps_the_version(ready: Served) -> None:
    client = ready.client()
    told = client.update_service_instance(**NAMED, deploymentType="CURRENT_VERSION", spec=SPEC)["serviceInstance"]
    assert told["templateMinorVersion"] == "0"
    code, message = refusal(
        client.update_environment, name="test", deploymentType="CURRENT_VERSION", templateMinorVersion="1"
    )
    assert (code, "leave the version out" in message) == ("ValidationException", True)


def test_a_minor_version_is_the_recommended_one_or_a_named_one(furnished: Served) -> None:
    client = furnished.client()
    client.update_environment(name="test", deploymentType="MINOR_VERSION")
    (latest,) = client.list_deployments(environmentName="test", maxResults=1)["deployments"]
    target = client.get_deployment(id=latest["id"])["deployment"]["targetState"]["environment"]
    assert (target["templateMajorVersion"], target["templateMinorVersion"]) == ("1", "1")
    client.cancel_environment_deployment(environmentName="test")
    client.update_environment(name="test", deploymentType="MINOR_VERSION", templateMinorVersion="0")
    client.cancel_environment_deployment(environmentName="test")
    code, message = refusal(
        client.update_environment, name="test", deploymentType="MINOR_VERSION", templateMajorVersion="2"
    )
    assert (code, "MINOR_VERSION keeps it" in message) == ("ValidationException", True)


def test_a_major_version_is_the_recommended_one_or_a_named_one(furnished: Served) -> None:
    client = furnished.client()
    code, message = refusal(
        client.update_environment, name="test", deploymentType="MAJOR_VERSION", templateMajorVersion="2"
    )
    assert (code, "no version 2.x" in message) == ("ConflictException", True)
    assert refusal(client.update_environment, name="test", deploymentType="MAJOR_VERSION", templateMinorVersion="1")[
        0
    ] == ("ValidationException")
    client.update_environment(name="test", deploymentType="MAJOR_VERSION")


def test_none_deploys_nothing_and_takes_no_spec(ready: Served) -> None:
    client = ready.client()
    assert (
        refusal(client.update_service_instance, **NAMED, deploymentType="NONE", spec=SPEC)[0] == "ValidationException"
    )
    client.update_service_instance(**NAMED, deploymentType="NONE")
    client.update_environment(name="test", deploymentType="NONE", description="New words")
    client.update_service_pipeline(serviceName="checkout", deploymentType="NONE", spec=SPEC)
    assert client.get_environment(name="test")["environment"]["description"] == "New words"
    with ready.store.read() as unit:
        assert [row.kind for row in unit.work.list(10) if row.kind == "deploy" and row.attempts == 0] == []


def test_a_spec_is_the_whole_services_and_only_the_instances_part_counts(ready: Served) -> None:
    client = ready.client()
    more = SPEC.replace("instances: [", "instances: [{name: other, environment: nowhere, spec: {port: no}}, ")
    client.update_service_instance(**NAMED, deploymentType="CURRENT_VERSION", spec=more)
    spec = client.get_service_instance(**NAMED)["serviceInstance"]["spec"]
    assert "8081" in spec
    assert "other" not in spec


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (SPEC.replace("name: test", "name: other"), "lists no instance `test`"),
        (SPEC.replace("environment: test", "environment: production"), "cannot move to `production`"),
        (SPEC.replace("8081", "no"), "port"),
        ("proton: EnvironmentSpec\nspec: {}\n", "ServiceSpec"),
        ("x: [", "spec"),
    ],
)
def test_a_spec_that_does_not_fit_is_refused_and_says_where(ready: Served, spec: str, said: str) -> None:
    client = ready.client()
    code, message = refusal(client.update_service_instance, **NAMED, deploymentType="CURRENT_VERSION", spec=spec)
    assert code == "ValidationException"
    assert said in message


def test_a_service_is_never_updated_as_a_whole(ready: Served) -> None:
    code, message = refusal(ready.client().update_service, name="checkout", spec=SPEC)
    assert code == "ValidationException"
    assert "update-service-instance" in message


def test_while_one_deployment_is_under_way_another_is_a_conflict(furnished: Served) -> None:
    client = furnished.client()
    code, message = refusal(client.update_service_instance, **NAMED, deploymentType="CURRENT_VERSION")
    assert (code, "is under way" in message) == ("ConflictException", True)


@pytest.mark.parametrize("name", ["environmentAccountConnectionId", "provisioningRepository"])
def test_what_an_environment_cannot_have_is_refused(furnished: Served, name: str) -> None:
    values = {
        "environmentAccountConnectionId": "00000000-0000-4000-8000-000000000001",
        "provisioningRepository": {"name": "a/b", "provider": "GITHUB", "branch": "main"},
    }
    given: dict[str, Any] = {"name": "test", "deploymentType": "NONE", name: values[name]}
    code, message = refusal(furnished.client().update_environment, **given)
    assert (code, f"`{name}` means nothing here" in message) == ("ValidationException", True)


def test_outputs_of_what_others_make_are_told(served: Served) -> None:
    client = served.client()
    schema = builders.ENVIRONMENT_SCHEMA.replace('          default: "10.0.0.0/16"\n', "")
    served.bucket["env.tgz"] = archive({"schema/schema.yaml": schema})
    client.create_environment_template(name="theirs", provisioning="CUSTOMER_MANAGED")
    client.create_environment_template_version(
        templateName="theirs", source={"s3": {"bucket": "bundles", "key": "env.tgz"}}
    )
    served.work()
    version = {"templateName": "theirs", "majorVersion": "1", "minorVersion": "0"}
    client.update_environment_template_version(**version, status="PUBLISHED")
    client.create_environment(
        name="theirs", templateName="theirs", templateMajorVersion="1", spec=builders.ENVIRONMENT_SPEC
    )
    served.work()
    environment = client.get_environment(name="theirs")["environment"]
    assert (environment["provisioning"], environment["deploymentStatus"]) == ("CUSTOMER_MANAGED", "SUCCEEDED")
    arn = f"{ARN}environment/theirs"
    told = [{"key": "Extra", "valueString": "value"}]
    client.notify_resource_deployment_status_change(resourceArn=arn, status="SUCCEEDED", outputs=told)
    outputs = client.list_environment_outputs(environmentName="theirs")["outputs"]
    assert {"key": "Extra", "valueString": "value"} in outputs
    other = "00000000-0000-4000-8000-000000000000"
    code, _ = refusal(client.notify_resource_deployment_status_change, resourceArn=arn, deploymentId=other)
    assert code == "ValidationException"
