"""Deployments: https://docs.aws.amazon.com/proton/latest/APIReference/API_Deployment.html."""

from upkeep.domain.deployments import Deployment
from upkeep.domain.errors import CallerError, NotFound
from upkeep.domain.names import ResourceKey, environment_key, instance_key, parse_resource_name
from upkeep.domain.resources import Resource
from upkeep.flows import adjust
from upkeep.web.proton import words
from upkeep.web.proton.protocol import PAGE, Answer, Call, reads, writes


@reads("GetDeployment")
def get(call: Call) -> Answer:
    """One deployment; what is named beside its id must be what it was of."""
    found, target = _found(call)
    keys = _named(call)
    if keys is not None and found.resource not in keys:
        raise NotFound(f"deployment {found.id} is not of what is named beside it", cure="leave the names out")
    return {"deployment": words.deployment(call, found, target)}


@reads("ListDeployments")
def listed(call: Call) -> Answer:
    """A page of deployments, newest first: of an environment, of an instance, of all of a service, or of everything
    that is there."""
    keys, place = _named(call), call.place()
    if place is not None and not place.isdecimal():
        raise CallerError("`nextToken` is none that this operation gave", cure="begin with the first page")
    page, following = call.unit.listings.deployments(
        keys, int(place) if place else None, call.given.get("maxResults", PAGE)
    )
    targets = {key: call.unit.fleet.find(key) for key in {each.resource for each in page}}
    rows = [
        words.deployment(call, each, target, summary=True)
        for each in page
        if (target := targets[each.resource]) is not None
    ]
    return {"deployments": rows, "nextToken": None if following is None else call.token(str(following))}


@writes("DeleteDeployment")
def delete(call: Call) -> Answer:
    """Delete the record of a deployment that has ended and that nothing rests on. The journal keeps that it was."""
    found, target = _found(call)
    answer = {"deployment": words.deployment(call, found, target)}
    adjust.delete_record(call.unit, found.id, actor=call.actor, now=call.now)
    return answer


def _found(call: Call) -> tuple[Deployment, Resource]:
    found = call.unit.deployments.get(call.given["id"])
    return found, call.unit.fleet.get(found.resource)


def _named(call: Call) -> list[ResourceKey] | None:
    """The resources that the names among the parameters narrow to; None when there are none."""
    environment, service, instance = (
        call.text(f"{each}Name") for each in ("environment", "service", "serviceInstance")
    )
    if call.text("componentName"):
        raise CallerError("there are no components here", cure="leave `componentName` out")
    if instance is not None and service is None:
        raise CallerError("an instance is named without its service", cure="name the service as well")
    keys = [environment_key(environment)] if environment is not None and service is None else []
    if service is not None:
        parts = call.unit.fleet.of_service(parse_resource_name(service))
        keys = [part.key for part in parts] if instance is None else [instance_key(service, instance)]
    for key in keys:
        call.unit.fleet.get(key)
    if service is not None:
        call.unit.fleet.service(service)
    return keys if environment is not None or service is not None else None
