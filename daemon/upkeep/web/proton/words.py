"""Words: our things as Proton's shapes have them. What an answer does not have is left out by the service model."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from upkeep.domain import registrations, specs
from upkeep.domain.deployments import Deployment, DeploymentStatus, State
from upkeep.domain.errors import NotFound
from upkeep.domain.findings import Severity
from upkeep.domain.names import ResourceKey, ResourceKind, Version, environment_key, pipeline_key
from upkeep.domain.resources import Resource, Service
from upkeep.domain.specs import InstanceSpec
from upkeep.domain.uploads import Upload
from upkeep.domain.versions import CompatibleEnvironment, Major, Template, TemplateKind, TemplateVersion, VersionState
from upkeep.flows.browse.documents import environment_document, service_document
from upkeep.flows.compose import Composer
from upkeep.web.proton.protocol import Answer, Call

CUSTOMER_MANAGED = "CUSTOMER_MANAGED"

_TARGETS = {
    ResourceKind.ENVIRONMENT: "ENVIRONMENT",
    ResourceKind.INSTANCE: "SERVICE_INSTANCE",
    ResourceKind.PIPELINE: "SERVICE_PIPELINE",
}
_LONGEST_MESSAGE = 5000


def facts(call: Call, subject: str, since: datetime) -> Mapping[str, Any]:
    """What was said about a subject that is there since then."""
    found = call.unit.annotations.find(subject)
    return found.facts if found is not None and found.at >= since else {}


def environment(call: Call, found: Resource, *, summary: bool = False) -> Answer:
    """`Environment`, or its summary."""
    said = facts(call, str(found.key), found.created_at)
    told = _deployed(call, found) | {
        "name": found.key.name,
        "description": said.get("description"),
        "componentRoleArn": said.get("componentRoleArn"),
        "environmentAccountId": found.account_id,
        "protonServiceRoleArn": found.role_arn or None,
        "provisioning": CUSTOMER_MANAGED if _customer_managed(call, found) else None,
    }
    whole = {"codebuildRoleArn": said.get("codebuildRoleArn"), "spec": environment_document(call.unit, found)}
    return told if summary else told | whole


def instance(call: Call, found: Resource, *, summary: bool = False) -> Answer:
    """`ServiceInstance`, or its summary."""
    told = _deployed(call, found) | {
        "name": found.key.name,
        "serviceName": found.key.service,
        "environmentName": found.environment,
    }
    if summary:
        return told
    said = facts(call, str(found.key), found.created_at)
    document = service_document(call.unit, call.unit.fleet.service(found.key.service or ""))
    return told | {"spec": document, "lastClientRequestToken": said.get("clientToken")}


def pipeline(call: Call, found: Resource) -> Answer:
    """`ServicePipeline`."""
    document = service_document(call.unit, call.unit.fleet.service(found.key.name))
    return _deployed(call, found) | {"spec": document}


def service(call: Call, found: Service, *, summary: bool = False) -> Answer:
    """`Service` with its pipeline, or its summary."""
    parts = call.unit.fleet.of_service(found.name)
    said = facts(call, f"service/{found.name}", found.created_at)
    status = service_status(found, parts)
    told = {
        "arn": call.names.service(found.name),
        "name": found.name,
        "templateName": found.template,
        "createdAt": found.created_at,
        "lastModifiedAt": moment(said, found.created_at),
        "description": said.get("description"),
        "status": status,
        "statusMessage": None if status == "ACTIVE" else _reason(call, parts),
    }
    if summary:
        return told
    ends = next((part for part in parts if part.key.kind is ResourceKind.PIPELINE), None)
    return told | {
        "spec": service_document(call.unit, found),
        "branchName": found.repository.branch_name or None,
        "repositoryId": found.repository.repository_id or None,
        "repositoryConnectionArn": found.repository.repository_connection_arn or None,
        "pipeline": None if ends is None else pipeline(call, ends),
    }


def service_status(found: Service, parts: Sequence[Resource]) -> str:
    """Proton's ServiceStatus, told from what becomes of the parts. It speaks of the service's own coming, changing and
    going: what is updated by itself leaves it ACTIVE."""
    leaving = [part for part in parts if part.status.leaving]
    coming = [part for part in parts if part.version is None and not part.status.leaving]
    first = all(part.created_at == found.created_at for part in coming)
    started = "CREATE" if first else "UPDATE"
    if leaving and len(leaving) == len(parts):
        under_way = any(part.status is DeploymentStatus.DELETE_IN_PROGRESS for part in leaving)
        return "DELETE_IN_PROGRESS" if under_way else "DELETE_FAILED"
    if any(part.status is DeploymentStatus.DELETE_IN_PROGRESS for part in leaving):
        return "UPDATE_IN_PROGRESS"
    if any(part.status.under_way for part in coming):
        return f"{started}_IN_PROGRESS"
    if coming:
        return f"{started}_FAILED"
    return "UPDATE_COMPLETE_CLEANUP_FAILED" if leaving else "ACTIVE"


def template(call: Call, found: Template) -> Answer:
    """`EnvironmentTemplate` or `ServiceTemplate`; their summaries lack only the encryption key."""
    said = facts(call, f"template/{found.name}", found.created_at)
    managed = "provisioning" if found.kind is TemplateKind.ENVIRONMENT else "pipelineProvisioning"
    return {
        "arn": call.names.template(found.name, found.kind),
        "name": found.name,
        "createdAt": found.created_at,
        "lastModifiedAt": moment(said, found.created_at),
        "description": said.get("description"),
        "displayName": said.get("displayName"),
        "recommendedVersion": found.recommended,
        managed: said.get(managed),
    }


def version(call: Call, family: Template, found: TemplateVersion, *, summary: bool = False) -> Answer:
    """`EnvironmentTemplateVersion` or `ServiceTemplateVersion`, or its summary. Proton knows no withdrawn version: it
    is told as published, with a word that it is not offered any more."""
    number = found.version
    said = facts(call, f"version/{family.name}/{number}", family.created_at)
    major = call.unit.registry.find_major(family.name, number.major)
    withdrawn = found.state is VersionState.WITHDRAWN
    told = version_names(call, family, number, major) | {
        "createdAt": found.created_at,
        "lastModifiedAt": max(filter(None, (found.created_at, found.published_at, found.withdrawn_at))),
        "description": said.get("description") or found.commit.subject[:500] or None,
        "status": VersionState.PUBLISHED if withdrawn else found.state,
        "statusMessage": "withdrawn: it is not offered any more" if withdrawn else _findings(found),
    }
    if summary:
        return told
    if family.kind is TemplateKind.ENVIRONMENT:
        return told | {"schema": found.schema}
    sources = said.get("supportedComponentSources") or _component_sources(call, found)
    return told | {
        "schema": found.schema,
        "compatibleEnvironmentTemplates": _compatible(found.compatible_environments),
        "supportedComponentSources": list(sources) or None,
    }


def upload(call: Call, family: Template, found: Upload, *, summary: bool = False) -> Answer:
    """A version that is still being registered."""
    major = call.unit.registry.find_major(family.name, found.version.major)
    told = version_names(call, family, found.version, major) | {
        "createdAt": found.asked_at,
        "lastModifiedAt": found.asked_at,
        "description": found.message or None,
        "status": "REGISTRATION_IN_PROGRESS",
    }
    if summary or family.kind is TemplateKind.ENVIRONMENT:
        return told
    said = facts(call, f"version/{family.name}/{found.version}", family.created_at)
    return told | {
        "compatibleEnvironmentTemplates": _compatible(found.compatible_environments),
        "supportedComponentSources": said.get("supportedComponentSources"),
    }


def version_names(call: Call, family: Template, number: Version, major: Major | None) -> Answer:
    """What every version is known by."""
    return {
        "arn": call.names.template(family.name, family.kind, number),
        "templateName": family.name,
        "majorVersion": number.major,
        "minorVersion": number.minor,
        "recommendedMinorVersion": major.recommended_minor if major is not None else None,
    }


def deployment(call: Call, found: Deployment, target: Resource, *, summary: bool = False) -> Answer:
    """`Deployment`, or its summary."""
    key = found.resource
    told = {
        "arn": call.names.deployment(key, found.id),
        "id": found.id,
        "createdAt": found.created_at,
        "lastModifiedAt": max(filter(None, _steps(found))),
        "completedAt": found.completed_at,
        "deploymentStatus": found.status,
        "environmentName": _home(call, target),
        "serviceName": key.service,
        "serviceInstanceName": key.name if key.kind is ResourceKind.INSTANCE else None,
        "targetArn": call.names.resource(key),
        "targetResourceCreatedAt": target.created_at,
        "targetResourceType": _TARGETS[key.kind],
        "lastAttemptedDeploymentId": target.last_deployment,
        "lastSucceededDeploymentId": target.last_succeeded_deployment,
    }
    if summary:
        return told
    return told | {
        "deploymentStatusMessage": _message(found),
        "initialState": None if found.initial is None else _state(call, target, found.initial),
        "targetState": _state(call, target, found.target),
    }


def outputs(found: Mapping[str, str]) -> list[Answer]:
    """`Output`s. An output without a text has none to show."""
    return [{"key": key, "valueString": value or None} for key, value in found.items()]


def stack(found: Resource) -> list[Answer]:
    """`ProvisionedResource`s: the stack."""
    if found.stack is None:
        return []
    name = found.stack.split("/")[1] if found.stack.startswith("arn:") else found.stack
    return [{"name": name, "identifier": found.stack, "provisioningEngine": "CLOUDFORMATION"}]


def outputs_of(call: Call, key: ResourceKey) -> Mapping[str, str]:
    """What a resource gives back, or gave back after the deployment that is named."""
    found = call.unit.fleet.get(key)
    named = call.text("deploymentId")
    if named is None:
        return found.outputs
    then = call.unit.deployments.get(named)
    if then.resource != key:
        raise NotFound(f"deployment {named} is none of {key.short}", cure="list-deployments shows all")
    return then.outputs or {}


def attempts(call: Call, found: Resource) -> int:
    """How many deployments a resource has had, counted up to two."""
    return len(call.unit.deployments.of_resource(found.key, limit=2))


def being_deleted(found: Resource) -> bool:
    """Whether a resource is on its way out."""
    return found.status is DeploymentStatus.DELETE_IN_PROGRESS


def moment(said: Mapping[str, Any], otherwise: datetime) -> datetime:
    """When something was changed through this API last."""
    return datetime.fromisoformat(said["modifiedAt"]) if "modifiedAt" in said else otherwise


def running(call: Call, found: Resource) -> Version:
    """The version a resource runs, or was first meant to run."""
    return found.version or call.unit.deployments.of_resource(found.key, limit=1)[0].target.version


def _compatible(found: Iterable[CompatibleEnvironment]) -> list[Answer]:
    return [{"templateName": one.template, "majorVersion": one.major} for one in found]


def _deployed(call: Call, found: Resource) -> Answer:
    """What all that is deployed has in common. Until something succeeded, Proton gave the time of creation."""
    last = call.unit.deployments.get(found.last_deployment) if found.last_deployment else None
    now = running(call, found)
    return {
        "arn": call.names.resource(found.key),
        "createdAt": found.created_at,
        "deploymentStatus": found.status,
        "deploymentStatusMessage": _message(last) if last else None,
        "lastAttemptedDeploymentId": found.last_deployment,
        "lastDeploymentAttemptedAt": last.created_at if last else found.created_at,
        "lastDeploymentSucceededAt": found.deployed_at or found.created_at,
        "lastSucceededDeploymentId": found.last_succeeded_deployment,
        "templateName": found.template,
        "templateMajorVersion": now.major,
        "templateMinorVersion": now.minor,
    }


def _message(found: Deployment) -> str | None:
    said = f"{found.stall.reason}: {found.stall.cure}" if found.stall is not None else found.message
    return said[:_LONGEST_MESSAGE] if said else None


def _reason(call: Call, parts: Sequence[Resource]) -> str | None:
    said = [
        f"{part.key.short}: {message}"
        for part in parts
        if part.last_deployment and (message := _message(call.unit.deployments.get(part.last_deployment)))
    ]
    return "; ".join(said)[:_LONGEST_MESSAGE] or None


def _findings(found: TemplateVersion) -> str | None:
    errors = [str(finding) for finding in found.findings if finding.severity is Severity.ERROR]
    return "\n".join(errors)[:_LONGEST_MESSAGE] or None


def _customer_managed(call: Call, found: Resource) -> bool:
    try:
        return Composer(call.unit).is_customer_managed(found, running(call, found))
    except NotFound:
        return False


def _component_sources(call: Call, found: TemplateVersion) -> tuple[str, ...]:
    try:
        files = {file.path: file.content for file in call.unit.registry.bundle(found.tree).files}
    except NotFound:
        return ()
    text = files.get(registrations.FILE_NAME)
    if not text:
        return ()
    read, _ = registrations.read(text.decode(errors="replace"), registrations.FILE_NAME)
    return read.supported_component_sources


def _steps(found: Deployment) -> tuple[datetime | None, ...]:
    return (
        found.created_at,
        found.begun_at,
        found.proposed_at,
        found.executed_at,
        found.accepted_at,
        found.cancelled_at,
        found.completed_at,
    )


def _home(call: Call, target: Resource) -> str:
    """The environment that a deployment is about; of a pipeline, that of the service's first instance."""
    if target.key.kind is ResourceKind.ENVIRONMENT:
        return target.key.name
    if target.environment is not None:
        return target.environment
    parts = call.unit.fleet.of_service(target.key.name)
    return next((part.environment for part in parts if part.environment is not None), target.key.name)


def _state(call: Call, target: Resource, found: State) -> Answer:
    told: Answer = {
        "templateName": target.template,
        "templateMajorVersion": found.version.major,
        "templateMinorVersion": found.version.minor,
    }
    match target.key.kind:
        case ResourceKind.ENVIRONMENT:
            return {"environment": told | {"spec": specs.written_environment_spec(found.inputs)}}
        case ResourceKind.PIPELINE:
            return {"servicePipeline": told | {"spec": specs.written_service_spec(found.inputs, ())}}
    one = InstanceSpec(target.key.name, target.environment or "", found.inputs)
    home = call.unit.fleet.find(environment_key(one.environment))
    ends = call.unit.fleet.find(pipeline_key(target.key.service or target.key.name))
    return {
        "serviceInstance": told
        | {
            "spec": specs.written_service_spec(None, (one,)),
            "lastSuccessfulEnvironmentDeploymentId": home.last_succeeded_deployment if home else None,
            "lastSuccessfulServicePipelineDeploymentId": ends.last_succeeded_deployment if ends else None,
        }
    }
