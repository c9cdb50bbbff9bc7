"""Updates: what the four types of deployment and the cancelling of one have in common for all that is deployed."""

from upkeep.domain.deployments import UpdateType
from upkeep.domain.errors import CallerError, Conflict
from upkeep.domain.names import ResourceKey, Version
from upkeep.domain.people import Act, require
from upkeep.domain.resources import Inputs, Resource
from upkeep.flows import deploy
from upkeep.flows.choose import choose
from upkeep.web.proton.protocol import Call


def named_version(call: Call, template: str) -> Version | None:
    """The version that a creation names: with its major alone, the one recommended in it."""
    major, minor = call.number("templateMajorVersion"), call.number("templateMinorVersion")
    if major is None:
        if minor is not None:
            raise CallerError("`templateMinorVersion` is named without `templateMajorVersion`", cure="name both")
        return None
    if minor is not None:
        return Version(major, minor)
    found = call.unit.registry.find_major(call.unit.registry.template(template).name, major)
    if found is None or found.recommended_minor is None:
        raise Conflict(f"no version {major}.x is published", cure="publish one, or name its minor")
    return Version(major, found.recommended_minor)


def refuse_spec(call: Call, spec: str | None) -> None:
    """NONE deploys nothing, so that a spec would have no effect."""
    if spec is not None and call.given["deploymentType"] == UpdateType.NONE:
        raise CallerError("a spec takes effect by being deployed, and NONE deploys nothing", cure="use CURRENT_VERSION")


def updated(call: Call, key: ResourceKey, inputs: Inputs | None) -> Resource:
    """Ask for the deployment that the type of update means; none for NONE."""
    how = UpdateType(call.given["deploymentType"])
    found = call.unit.fleet.get(key)
    require(call.actor, Act.UPDATE, found.owner, key.short)
    to = choose(call.unit, found, how, call.number("templateMajorVersion"), call.number("templateMinorVersion"))
    if how is not UpdateType.NONE:
        deploy.update(call.unit, key, to=to, inputs=inputs, recreate=True, actor=call.actor, now=call.now)
    return call.unit.fleet.get(key)


def cancelled(call: Call, key: ResourceKey) -> Resource:
    """Cancel the deployment that is under way; Conflict when there is none."""
    found = call.unit.fleet.get(key)
    under_way = call.unit.deployments.under_way(key)
    if under_way is None:
        raise Conflict(f"nothing is being deployed to {key.short}", cure="there is nothing to cancel")
    deploy.cancel(call.unit, under_way.id, actor=call.actor, now=call.now)
    return call.unit.fleet.get(found.key)
