"""Environments: https://docs.aws.amazon.com/proton/latest/APIReference/API_Environment.html."""

from upkeep.domain import specs
from upkeep.domain.errors import CallerError
from upkeep.domain.names import ResourceKind, environment_key
from upkeep.domain.resources import Placement, Resource
from upkeep.flows import adjust, enroll
from upkeep.flows.ports import FleetFilter, FleetOrder
from upkeep.web.proton import words
from upkeep.web.proton.protocol import PAGE, Answer, Call, reads, writes
from upkeep.web.proton.repeats import amend, made_before, remember
from upkeep.web.proton.tags import given_tags
from upkeep.web.proton.updates import cancelled, named_version, refuse_spec, updated

_KEPT = ("description", "componentRoleArn", "codebuildRoleArn")
_UNKNOWN = {
    "environmentAccountConnectionId": "name the role of the other account as `protonServiceRoleArn` instead",
    "provisioningRepository": "Upkeep makes stacks itself; self-managed provisioning by pull requests does not exist",
}


@writes("CreateEnvironment")
def create(call: Call) -> Answer:
    """Create an environment and deploy it."""
    _refuse_unknown(call)
    key = environment_key(call.given["name"])
    there = call.unit.fleet.find(key)
    if there is not None:
        made_before(call, str(key), there.created_at, untouched=words.attempts(call, there) == 1)
        return {"environment": words.environment(call, there)}
    role = call.text("protonServiceRoleArn") or ""
    enroll.create_environment(
        call.unit,
        key.name,
        call.given["templateName"],
        call.given["spec"],
        version=named_version(call, call.given["templateName"]),
        placement=Placement(account_id=role.split(":")[4] if role else "", role_arn=role),
        tags=given_tags(call),
        actor=call.actor,
        now=call.now,
    )
    remember(call, str(key), *_KEPT)
    return {"environment": words.environment(call, call.unit.fleet.get(key))}


@reads("GetEnvironment")
def get(call: Call) -> Answer:
    """One environment."""
    return {"environment": words.environment(call, call.unit.fleet.get(environment_key(call.given["name"])))}


@reads("ListEnvironments")
def listed(call: Call) -> Answer:
    """A page of environments, of some templates' majors if they are named."""
    limit, place = call.given.get("maxResults", PAGE), call.place()
    majors = {(each["templateName"], int(each["majorVersion"])) for each in call.given.get("environmentTemplates", ())}
    found: list[Resource] = []
    while len(found) < limit:
        wanted = FleetFilter(kind=ResourceKind.ENVIRONMENT)
        page = call.unit.fleet.page(wanted, FleetOrder.NAME, place, limit - len(found))
        found += [r for r in page.resources if not majors or (r.template, words.running(call, r).major) in majors]
        place = page.next
        if place is None:
            break
    rows = [words.environment(call, each, summary=True) for each in found]
    return {"environments": rows, "nextToken": None if place is None else call.token(place)}


@writes("UpdateEnvironment")
def update(call: Call) -> Answer:
    """Describe an environment anew, or deploy it in one of the four ways."""
    _refuse_unknown(call)
    found = call.unit.fleet.get(environment_key(call.given["name"]))
    role = call.text("protonServiceRoleArn")
    if role is not None and role != found.role_arn:
        adjust.change_role(call.unit, found.key, role, actor=call.actor, now=call.now)
    spec = call.text("spec")
    refuse_spec(call, spec)
    inputs = None if spec is None else specs.parse_environment_spec(spec).inputs
    updated(call, found.key, inputs)
    amend(call, str(found.key), found.created_at, *_KEPT)
    return {"environment": words.environment(call, call.unit.fleet.get(found.key))}


@writes("DeleteEnvironment")
def delete(call: Call) -> Answer:
    """Delete an environment; again while it is being deleted changes nothing."""
    found = call.unit.fleet.get(environment_key(call.given["name"]))
    if not words.being_deleted(found):
        enroll.delete_resource(call.unit, found.key, actor=call.actor, now=call.now)
    return {"environment": words.environment(call, call.unit.fleet.get(found.key))}


@writes("CancelEnvironmentDeployment")
def cancel(call: Call) -> Answer:
    """Cancel what is being deployed to an environment."""
    found = cancelled(call, environment_key(call.given["environmentName"]))
    return {"environment": words.environment(call, found)}


@reads("ListEnvironmentOutputs")
def list_outputs(call: Call) -> Answer:
    """The outputs of an environment, or of one deployment of it."""
    return {"outputs": words.outputs(words.outputs_of(call, environment_key(call.given["environmentName"])))}


@reads("ListEnvironmentProvisionedResources")
def list_provisioned(call: Call) -> Answer:
    """The stack of an environment."""
    found = call.unit.fleet.get(environment_key(call.given["environmentName"]))
    return {"provisionedResources": words.stack(found)}


def _refuse_unknown(call: Call) -> None:
    for name, instead in _UNKNOWN.items():
        if name in call.given:
            raise CallerError(f"`{name}` means nothing here", cure=instead)
