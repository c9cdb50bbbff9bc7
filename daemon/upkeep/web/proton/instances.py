"""Service instances: https://docs.aws.amazon.com/proton/latest/APIReference/API_ServiceInstance.html."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

from upkeep.domain import specs
from upkeep.domain.deployments import DeploymentStatus
from upkeep.domain.errors import CallerError
from upkeep.domain.lag import Standing
from upkeep.domain.names import ResourceKey, instance_key
from upkeep.domain.resources import Inputs, Resource
from upkeep.domain.specs import InstanceSpec
from upkeep.flows import enroll
from upkeep.flows.ports import InstanceFilter, InstanceOrder
from upkeep.web.proton import words
from upkeep.web.proton.protocol import PAGE, Answer, Call, reads, writes
from upkeep.web.proton.repeats import amend, remember
from upkeep.web.proton.tags import given_tags
from upkeep.web.proton.updates import cancelled, named_version, refuse_spec, updated

Word = TypeVar("Word", bound=StrEnum)


@writes("CreateServiceInstance")
def create(call: Call) -> Answer:
    """Add an instance to a service and deploy it."""
    service = call.unit.fleet.service(call.given["serviceName"])
    wanted = _part(call.given["spec"], call.given["name"])
    enroll.add_instance(
        call.unit,
        service.name,
        wanted,
        version=named_version(call, service.template),
        tags=given_tags(call),
        actor=call.actor,
        now=call.now,
    )
    found = call.unit.fleet.get(instance_key(service.name, wanted.name))
    remember(call, str(found.key), "clientToken")
    return {"serviceInstance": words.instance(call, found)}


@reads("GetServiceInstance")
def get(call: Call) -> Answer:
    """One service instance."""
    found = call.unit.fleet.get(instance_key(call.given["serviceName"], call.given["name"]))
    return {"serviceInstance": words.instance(call, found)}


@reads("ListServiceInstances")
def listed(call: Call) -> Answer:
    """A page of service instances, filtered and sorted."""
    order = InstanceOrder(call.given.get("sortBy", InstanceOrder.NAME))
    down = call.given.get("sortOrder") == "DESCENDING"
    page = call.unit.listings.instances(
        _wanted(call), order, descending=down, cursor=call.place(), limit=call.given.get("maxResults", PAGE)
    )
    rows = [words.instance(call, each, summary=True) for each in page.resources]
    return {"serviceInstances": rows, "nextToken": None if page.next is None else call.token(page.next)}


@writes("UpdateServiceInstance")
def update(call: Call) -> Answer:
    """Deploy a service instance in one of the four ways. A spec is the whole service's; only its own part counts."""
    found = call.unit.fleet.get(instance_key(call.given["serviceName"], call.given["name"]))
    spec = call.text("spec")
    refuse_spec(call, spec)
    updated(call, found.key, None if spec is None else _inputs(spec, found))
    amend(call, str(found.key), found.created_at, "clientToken")
    return {"serviceInstance": words.instance(call, call.unit.fleet.get(found.key))}


@writes("CancelServiceInstanceDeployment")
def cancel(call: Call) -> Answer:
    """Cancel what is being deployed to a service instance."""
    return {"serviceInstance": words.instance(call, cancelled(call, _key(call)))}


@reads("ListServiceInstanceOutputs")
def list_outputs(call: Call) -> Answer:
    """The outputs of a service instance, or of one deployment of it."""
    return {"outputs": words.outputs(words.outputs_of(call, _key(call)))}


@reads("ListServiceInstanceProvisionedResources")
def list_provisioned(call: Call) -> Answer:
    """The stack of a service instance."""
    return {"provisionedResources": words.stack(call.unit.fleet.get(_key(call)))}


def _key(call: Call) -> ResourceKey:
    return instance_key(call.given["serviceName"], call.given["serviceInstanceName"])


def _part(spec: str, name: str) -> InstanceSpec:
    """The part of a service's spec that is about one instance."""
    found = next((one for one in specs.parse_service_spec(spec).instances if one.name == name), None)
    if found is None:
        raise CallerError(f"the spec lists no instance `{name}`", where="spec", cure="send the spec of its service")
    return found


def _inputs(spec: str, found: Resource) -> Inputs:
    part = _part(spec, found.key.name)
    if part.environment != found.environment:
        raise CallerError(
            f"{found.key.short} lives in `{found.environment}` and cannot move to `{part.environment}`",
            where="spec",
            cure="delete the instance and create it there",
        )
    return part.inputs


def _wanted(call: Call) -> InstanceFilter:
    """The filters, all of which must fit. Of what Proton took for `deployedTemplateVersionStatus` nothing is known;
    here it is how far an instance is behind."""
    given = {each.get("key"): each.get("value", "") for each in call.given.get("filters", ())}
    return InstanceFilter(
        name=given.get("name"),
        service=call.text("serviceName") or given.get("serviceName"),
        template=given.get("templateName"),
        environment=given.get("environmentName"),
        status=_one_of(DeploymentStatus, given.get("deploymentStatus")),
        standing=_one_of(Standing, given.get("deployedTemplateVersionStatus", "").lower() or None),
        attempted_before=_moment(given.get("lastDeploymentAttemptedAtBefore")),
        attempted_after=_moment(given.get("lastDeploymentAttemptedAtAfter")),
        created_before=_moment(given.get("createdAtBefore")),
        created_after=_moment(given.get("createdAtAfter")),
    )


def _one_of(words_of: type[Word], text: str | None) -> Word | None:
    if text is None:
        return None
    try:
        return words_of(text)
    except ValueError:
        raise CallerError(f"`{text}` is no value to filter by", cure=f"use {', '.join(words_of)}") from None


def _moment(text: str | None) -> datetime | None:
    """A time as ISO 8601 writes it, or in seconds since 1970."""
    if text is None:
        return None
    try:
        found = datetime.fromtimestamp(float(text), UTC) if text.replace(".", "", 1).isdigit() else _written(text)
        return found
    except (ValueError, OverflowError, OSError):
        raise CallerError(f"`{text}` is no time", cure="write it like 2026-10-07T12:00:00Z") from None


def _written(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
