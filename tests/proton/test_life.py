"""The life of a platform through the API alone, from bundles in S3 to the last deletion, told by boto3. Every answer is
compared with the model: what it does not have, it must not have on purpose."""

import io
import tarfile
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests import builders
from tests.proton.conftest import ACCOUNT, ARN, Served
from upkeep.adapters import servicemodel
from upkeep.domain import documents
from upkeep.web.proton.operations import OPERATIONS

ROLE = f"arn:aws:iam::{ACCOUNT}:role/proton"
CONNECTION = f"arn:aws:codestar-connections:eu-west-1:{ACCOUNT}:connection/1f2e"
TAGS = [{"key": "cost-center", "value": "platform"}]

NOT_IN_THIS_LIFE = {
    # What does not exist here.
    "AccountSettings.pipelineCodebuildRoleArn",
    "AccountSettings.pipelineProvisioningRepository",
    "Deployment.componentName",
    "DeploymentState.component",
    "DeploymentSummary.componentName",
    "Environment.environmentAccountConnectionId",
    "Environment.provisioningRepository",
    "EnvironmentSummary.environmentAccountConnectionId",
    "ServiceInstanceState.lastSuccessfulComponentDeploymentIds",
    # What nobody asked for, or what did not happen.
    "AccountSettings.pipelineServiceRoleArn",
    "Environment.codebuildRoleArn",
    "Environment.provisioning",
    "EnvironmentSummary.deploymentStatusMessage",
    "EnvironmentSummary.provisioning",
    "EnvironmentTemplate.provisioning",
    "EnvironmentTemplateSummary.provisioning",
    "EnvironmentTemplateVersion.statusMessage",
    "EnvironmentTemplateVersionSummary.statusMessage",
    "GetTemplateSyncStatusOutput.desiredState",
    "ServiceSummary.statusMessage",
    "ServiceTemplate.pipelineProvisioning",
    "ServiceTemplateSummary.pipelineProvisioning",
    "ServiceTemplateVersion.statusMessage",
    "ServiceTemplateVersionSummary.statusMessage",
}
"""Members that no answer has. All others are seen, each at least once; tokens of further pages are another test's."""


def archive(files: Mapping[str, str | bytes]) -> bytes:
    """A bundle as people uploaded it to Proton."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for path, text in files.items():
            content = text if isinstance(text, bytes) else text.encode()
            entry = tarfile.TarInfo(f"./{path}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def lost(shape: Any, answer: Any, place: str = "") -> Iterator[str]:
    """Members of a shape that an answer does not have, as `Shape.member`, and all it has as `+Shape.member`."""
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            if name not in answer:
                yield f"{shape.name}.{name}"
            else:
                yield f"+{shape.name}.{name}"
                yield from lost(member, answer[name], name)
    elif shape.type_name == "list":
        for each in answer:
            yield from lost(shape.member, each, place)


class Life:
    """boto3's client, which watches that nothing is lost, and a worker."""

    def __init__(self, served: Served, model: servicemodel.ServiceModel) -> None:
        self.served = served
        self.client = served.client("admin")
        self._model = model
        self.called: set[str] = set()
        self.missing: set[str] = set()
        self.seen: set[str] = set()

    def __getattr__(self, operation: str) -> Any:
        def call(**given: Any) -> Any:
            name = self.client.meta.method_to_api_mapping[operation]
            self.called.add(name)
            answer = getattr(self.client, operation)(**given)
            del answer["ResponseMetadata"]
            for member in lost(self.client.meta.service_model.operation_model(name).output_shape, answer):
                (self.seen if member.startswith("+") else self.missing).add(member.removeprefix("+"))
            return answer

        return call

    def work(self) -> None:
        self.served.work()

    def wait(self, waiter: str, /, **given: Any) -> None:
        """Wait as boto3 does, when all work was done: nothing is left to wait for."""
        self.client.get_waiter(waiter).wait(**given, WaiterConfig={"Delay": 0, "MaxAttempts": 1})


@pytest.fixture
def life(served: Served, model: servicemodel.ServiceModel) -> Life:
    return Life(served, model)


def refused(act: Any, code: str, **given: Any) -> str:
    with pytest.raises(ClientError) as caught:
        act(**given)
    assert caught.value.response["Error"]["Code"] == code, caught.value
    return str(caught.value.response["Error"]["Message"])


def settled(life: Life) -> None:
    """Templates, an environment and a service, all deployed."""
    life.served.bucket["env-1.tgz"] = archive(builders.environment_files())
    life.served.bucket["env-2.tgz"] = archive(builders.environment_files(body=builders.ENVIRONMENT_BODY + "# more\n"))
    service = builders.service_files()
    del service[".template-registration.yaml"]
    life.served.bucket["svc-1.tgz"] = archive(service)
    life.create_environment_template(
        name="network-env", displayName="Network", description="A network", encryptionKey=_kms(), tags=TAGS
    )
    life.create_service_template(name="web-svc", displayName="Web", description="A web service", encryptionKey=_kms())
    _publish(life, "environment", "network-env", "env-1.tgz")
    _publish(
        life,
        "service",
        "web-svc",
        "svc-1.tgz",
        compatibleEnvironmentTemplates=[{"templateName": "network-env", "majorVersion": "1"}],
        supportedComponentSources=["DIRECTLY_DEFINED"],
    )
    life.create_environment(
        name="test",
        templateName="network-env",
        templateMajorVersion="1",
        spec=builders.ENVIRONMENT_SPEC,
        description="For tests",
        protonServiceRoleArn=ROLE,
        componentRoleArn=ROLE,
        tags=TAGS,
    )
    life.work()
    life.wait("environment_deployed", name="test")
    life.create_service(
        name="checkout",
        templateName="web-svc",
        templateMajorVersion="1",
        templateMinorVersion="0",
        spec=builders.SERVICE_SPEC,
        description="Takes money",
        branchName="main",
        repositoryId="acme/checkout",
        repositoryConnectionArn=CONNECTION,
        tags=TAGS,
    )
    life.work()
    life.wait("service_created", name="checkout")


def _kms() -> str:
    return f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1f2e"


def _publish(life: Life, kind: str, template: str, key: str, **more: Any) -> None:
    made = getattr(life, f"create_{kind}_template_version")(
        templateName=template, description="the first", source={"s3": {"bucket": "bundles", "key": key}}, **more
    )[f"{kind}TemplateVersion"]
    assert (made["status"], made["majorVersion"], made["minorVersion"]) == ("REGISTRATION_IN_PROGRESS", "1", "0")
    named = {"templateName": template, "majorVersion": "1", "minorVersion": "0"}
    assert getattr(life, f"get_{kind}_template_version")(**named)[f"{kind}TemplateVersion"] == made
    life.work()
    life.wait(f"{kind}_template_version_registered", **named)
    now = getattr(life, f"update_{kind}_template_version")(status="PUBLISHED", **named)[f"{kind}TemplateVersion"]
    assert (now["status"], now["recommendedMinorVersion"], now["description"]) == ("PUBLISHED", "0", "the first")


@pytest.mark.timeout(300)
def test_a_platform_lives_and_nothing_of_it_is_lost(life: Life) -> None:
    settled(life)

    # Reading.
    service = life.get_service(name="checkout")["service"]
    assert (service["status"], service["spec"]) == ("ACTIVE", builders.SERVICE_SPEC)
    assert service["pipeline"]["deploymentStatus"] == "SUCCEEDED"
    assert life.get_environment(name="test")["environment"]["deploymentStatus"] == "SUCCEEDED"
    (listed,) = life.list_environments(environmentTemplates=[{"templateName": "network-env", "majorVersion": "1"}])[
        "environments"
    ]
    assert listed["name"] == "test"
    assert (
        life.list_environments(environmentTemplates=[{"templateName": "x", "majorVersion": "1"}])["environments"] == []
    )
    assert [each["name"] for each in life.list_services()["services"]] == ["checkout"]
    assert [each["name"] for each in life.list_service_instances()["serviceInstances"]] == ["test"]
    assert [each["name"] for each in life.list_environment_templates()["templates"]] == ["network-env"]
    assert [each["name"] for each in life.list_service_templates()["templates"]] == ["web-svc"]
    assert life.get_environment_template(name="network-env")["environmentTemplate"]["recommendedVersion"] == "1.0"
    assert life.get_service_template(name="web-svc")["serviceTemplate"]["displayName"] == "Web"
    assert len(life.list_environment_template_versions(templateName="network-env")["templateVersions"]) == 1
    assert len(life.list_service_template_versions(templateName="web-svc", majorVersion="1")["templateVersions"]) == 1
    assert {each["key"] for each in life.list_environment_outputs(environmentName="test")["outputs"]} == {"NetworkId"}
    assert life.list_service_instance_outputs(serviceName="checkout", serviceInstanceName="test")["outputs"]
    life.list_service_pipeline_outputs(serviceName="checkout")
    for answer in (
        life.list_environment_provisioned_resources(environmentName="test"),
        life.list_service_instance_provisioned_resources(serviceName="checkout", serviceInstanceName="test"),
        life.list_service_pipeline_provisioned_resources(serviceName="checkout"),
    ):
        assert len(answer["provisionedResources"]) == 1
    counts = life.get_resources_summary()["counts"]
    assert counts["environments"] == {"total": 1, "upToDate": 1, "behindMajor": 0, "behindMinor": 0, "failed": 0}
    life.get_account_settings()
    life.update_account_settings(pipelineServiceRoleArn="")

    # Updating, in the four ways.
    spec = life.get_service(name="checkout")["service"]["spec"].replace("8080", "9090")
    named = {"serviceName": "checkout", "name": "test"}
    asked = life.update_service_instance(**named, deploymentType="CURRENT_VERSION", spec=spec)["serviceInstance"]
    assert asked["deploymentStatus"] == "IN_PROGRESS"
    life.work()
    life.wait("service_instance_deployed", **named)
    assert _port(life) == 9090
    kept = spec.replace("9090", '"${Proton::CURRENT_VAL}"')
    life.update_service_instance(**named, deploymentType="CURRENT_VERSION", spec=kept)
    life.work()
    assert _port(life) == 9090
    before = len(life.list_deployments(serviceName="checkout", serviceInstanceName="test")["deployments"])
    life.update_service_instance(**named, deploymentType="NONE")
    assert len(life.list_deployments(serviceName="checkout", serviceInstanceName="test")["deployments"]) == before
    life.create_environment_template_version(
        templateName="network-env", majorVersion="1", source={"s3": {"bucket": "bundles", "key": "env-2.tgz"}}
    )
    life.work()
    second = {"templateName": "network-env", "majorVersion": "1", "minorVersion": "1"}
    life.update_environment_template_version(**second, status="PUBLISHED", description="more")
    assert life.get_resources_summary()["counts"]["environments"]["behindMinor"] == 1
    life.update_environment(name="test", deploymentType="MINOR_VERSION", description="Still for tests")
    life.work()
    environment = life.get_environment(name="test")["environment"]
    assert (environment["templateMinorVersion"], environment["description"]) == ("1", "Still for tests")
    life.update_environment(
        name="test", deploymentType="MAJOR_VERSION", templateMajorVersion="1", templateMinorVersion="0"
    )
    life.work()
    assert life.get_environment(name="test")["environment"]["templateMinorVersion"] == "0"
    life.update_service_pipeline(serviceName="checkout", deploymentType="CURRENT_VERSION", spec=spec)
    life.work()
    life.wait("service_pipeline_deployed", name="checkout")

    # Cancelling what has not begun.
    life.update_service_instance(**named, deploymentType="CURRENT_VERSION")
    life.update_service_pipeline(serviceName="checkout", deploymentType="CURRENT_VERSION", spec=spec)
    life.update_environment(name="test", deploymentType="CURRENT_VERSION")
    life.cancel_service_instance_deployment(serviceName="checkout", serviceInstanceName="test")
    life.cancel_service_pipeline_deployment(serviceName="checkout")
    life.cancel_environment_deployment(environmentName="test")
    life.work()
    assert life.get_service_instance(**named)["serviceInstance"]["deploymentStatus"] == "CANCELLED"
    assert _port(life) == 9090

    # More instances, and fewer.
    more = _with_instance(spec, "second")
    made = life.create_service_instance(serviceName="checkout", name="second", spec=more, clientToken="a-token")
    assert made["serviceInstance"]["lastClientRequestToken"] == "a-token"
    life.work()
    assert [each["name"] for each in life.list_service_instances()["serviceInstances"]] == ["second", "test"]
    life.update_service(name="checkout", description="Takes more money", spec=_with_instance(more, "third"))
    assert life.get_service(name="checkout")["service"]["status"] == "UPDATE_IN_PROGRESS"
    life.work()
    life.wait("service_updated", name="checkout")
    life.update_service(name="checkout", spec=spec)
    life.work()
    assert [each["name"] for each in life.list_service_instances()["serviceInstances"]] == ["test"]
    assert life.get_service(name="checkout")["service"]["description"] == "Takes more money"

    # Deployments.
    deployments = life.list_deployments()["deployments"]
    told = life.get_deployment(id=deployments[0]["id"])["deployment"]
    assert told["id"] == deployments[0]["id"]
    for each in deployments:
        life.get_deployment(id=each["id"])
    oldest = life.list_deployments(environmentName="test")["deployments"][-1]["id"]
    life.delete_deployment(id=oldest)
    refused(life.get_deployment, "ResourceNotFoundException", id=oldest)

    # Tags.
    arn = f"{ARN}service/checkout/service-instance/test"
    life.tag_resource(resourceArn=arn, tags=[{"key": "team", "value": "shop"}])
    assert life.list_tags_for_resource(resourceArn=arn)["tags"] == [*TAGS, {"key": "team", "value": "shop"}]
    life.untag_resource(resourceArn=arn, tagKeys=["cost-center", "unknown"])
    assert life.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "team", "value": "shop"}]
    for other in ("environment-template/network-env", "environment-template/network-env:1.0", "service/checkout"):
        life.tag_resource(resourceArn=f"{ARN}{other}", tags=TAGS)
        assert life.list_tags_for_resource(resourceArn=f"{ARN}{other}")["tags"] == TAGS

    # Repositories, and where templates are read from.
    repository = {"name": "acme/templates", "provider": "GITHUB"}
    life.create_repository(**repository, connectionArn=CONNECTION, encryptionKey=_kms())
    assert life.get_repository(**repository)["repository"]["connectionArn"] == CONNECTION
    assert len(life.list_repositories()["repositories"]) == 1
    config = {"repositoryName": "acme/templates", "repositoryProvider": "GITHUB", "branch": "main"}
    template = {"templateName": "network-env", "templateType": "ENVIRONMENT"}
    life.create_template_sync_config(**config, **template, subdirectory="proton")
    assert life.get_template_sync_config(**template)["templateSyncConfig"]["subdirectory"] == "proton"
    assert life.get_repository_sync_status(**config, syncType="TEMPLATE_SYNC")["latestSync"]["status"] == "QUEUED"
    definitions = life.list_repository_sync_definitions(
        repositoryName="acme/templates", repositoryProvider="GITHUB", syncType="TEMPLATE_SYNC"
    )["syncDefinitions"]
    assert [each["target"] for each in definitions] == ["network-env"]
    assert life.get_template_sync_status(**template, templateVersion="1")["latestSync"]["status"] == "SUCCEEDED"
    life.update_template_sync_config(**(config | {"branch": "next"}), **template)
    assert life.get_template_sync_config(**template)["templateSyncConfig"]["branch"] == "next"
    refused(life.delete_repository, "ConflictException", **repository)
    life.delete_template_sync_config(**template)
    life.delete_repository(**repository)
    refused(life.get_repository, "ResourceNotFoundException", **repository)

    # Telling of what others make.
    refused(
        life.notify_resource_deployment_status_change,
        "ConflictException",
        resourceArn=f"{ARN}environment/test",
        status="SUCCEEDED",
        outputs=[{"key": "a", "valueString": "b"}],
    )

    # The end.
    refused(life.delete_environment, "ConflictException", name="test")
    life.delete_service(name="checkout")
    assert life.get_service(name="checkout")["service"]["status"] == "DELETE_IN_PROGRESS"
    life.delete_service(name="checkout")
    life.work()
    life.wait("service_deleted", name="checkout")
    life.delete_environment(name="test")
    life.delete_environment(name="test")
    life.work()
    refused(life.get_environment, "ResourceNotFoundException", name="test")
    life.update_environment_template(name="network-env", description="Nobody's network")
    life.update_service_template(name="web-svc", displayName="Webs")
    for minor in ("0", "1"):
        life.delete_environment_template_version(templateName="network-env", majorVersion="1", minorVersion=minor)
    life.delete_service_template_version(templateName="web-svc", majorVersion="1", minorVersion="0")
    life.delete_environment_template(name="network-env")
    life.delete_service_template(name="web-svc")
    assert life.list_environment_templates()["templates"] == []

    assert life.called == set(OPERATIONS)
    assert {member for member in life.missing - life.seen if not member.endswith(".nextToken")} == NOT_IN_THIS_LIFE


def _port(life: Life) -> int:
    spec = life.get_service_instance(serviceName="checkout", name="test")["serviceInstance"]["spec"]
    return int(documents.load(spec, "spec").value["instances"][0]["spec"]["port"])


def _with_instance(spec: str, name: str) -> str:
    document = documents.load(spec, "spec").value
    document["instances"].append({"name": name, "environment": "test", "spec": {"port": 80}})
    return documents.dump(document)
