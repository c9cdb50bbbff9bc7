"""Deploy: ask for a resource to be moved to a version and spec, and decide about deployments on their way.

Nothing here calls a provisioner: it writes rows, and the worker settles what they ask for.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from upkeep.domain import events
from upkeep.domain.deployments import Action, Deployment, DeploymentStatus, State
from upkeep.domain.errors import CallerError, Conflict
from upkeep.domain.names import ResourceKey, Version
from upkeep.domain.people import Act, Actor, require
from upkeep.domain.plans import Plan
from upkeep.domain.resources import Inputs, Resource
from upkeep.domain.stateful import endangered
from upkeep.domain.versions import TemplateVersion
from upkeep.domain.work import WorkKind
from upkeep.flows.enroll import ask_deployment
from upkeep.flows.plan import aim, approve, approved, fitting
from upkeep.flows.ports import Unit
from upkeep.flows.settle import close

_LOOKED_BACK = 20
"""Deployments of a resource that are looked through for what a failed creation left behind."""


def update(
    unit: Unit,
    key: ResourceKey,
    *,
    to: Version | None = None,
    inputs: Inputs | None = None,
    inputs_then: bool = False,
    recreate: bool = False,
    plan: str | None = None,
    confirmed: Collection[str] = (),
    actor: Actor,
    now: datetime,
) -> Deployment:
    """Ask for a deployment of a resource to a version, the recommended one when none is named.

    `inputs` are the given ones, `"${Proton::CURRENT_VAL}"` keeping a stored value; None keeps them all.
    `inputs_then` takes those of the last deployment that brought the resource to that version: the way back.
    `recreate` allows to delete the stack that a failed creation left behind. Refused while another deployment of the
    resource is under way, and for a version that is not offered, unless an admin names a draft. Proton's update types
    are special cases of this: the same version with new inputs is CURRENT_VERSION, another minor, also an older one,
    MINOR_VERSION, a higher major MAJOR_VERSION.

    `plan` is the id of a plan that was seen and approved, with its version and inputs in the place of others: Conflict
    when it does not hold any more, and what is deployed is exactly what it showed or nothing. `confirmed` must name
    the stateful stack resources that it replaces.
    """
    resource = _owned(unit, key, actor)
    if inputs_then:
        inputs = _inputs_then(unit, resource, to, inputs)
    if resource.version is None:
        return _first_again(unit, resource, to, inputs, recreate, actor, now)
    if plan is None:
        return _ask(unit, resource, aim(unit, resource, to, actor), inputs, None, actor, now)
    seen = approved(unit, key, plan)
    _require_named(seen, confirmed)
    asked = _ask(unit, resource, aim(unit, resource, seen.version, actor), seen.inputs, None, actor, now)
    approve(unit, seen, asked.id)
    return asked


def cancel(unit: Unit, deployment_id: str, *, actor: Actor, now: datetime) -> Deployment:
    """Cancel a deployment. One that has not begun is CANCELLED at once; else it is CANCELLING until its change set is
    discarded, or its stack went back. A creation cannot go back once it is executed."""
    deployment = _own_deployment(unit, deployment_id, actor)
    if deployment.status is not DeploymentStatus.IN_PROGRESS:
        raise Conflict(f"deployment {deployment.id} is {deployment.status}", cure="there is nothing to cancel")
    if not deployment.cancellable:
        raise Conflict(
            f"deployment {deployment.id} creates a stack, which cannot be cancelled once it has begun",
            cure="wait for its outcome, then delete it or update it to the version you want",
        )
    said = f"cancelled by {actor.name}"
    if deployment.begun_at is None:
        return close(unit, deployment, DeploymentStatus.CANCELLED, said, actor, now)
    cancelling = replace(deployment, status=DeploymentStatus.CANCELLING, message=said, stall=None, deadline_at=None)
    unit.fleet.save(replace(unit.fleet.get(deployment.resource), status=cancelling.status))
    return _go_on(unit, cancelling, "cancel", actor, now)


def retry(unit: Unit, deployment_id: str, *, recreate: bool = False, actor: Actor, now: datetime) -> Deployment:
    """Ask again for what a failed or cancelled deployment aimed at, or let a stalled one go on.

    A creation that failed may have left a stack which can only be deleted: `recreate` says yes to that. What was
    approved with a plan is tried again as it was approved.
    """
    before = _own_deployment(unit, deployment_id, actor)
    if before.stall is not None:
        if before.rollback_failed:
            raise Conflict(
                f"the stack of {before.resource.short} stands in {before.stack_status}",
                cure=f"put right what failed, then `upkeep deployment continue {before.id}`",
            )
        return _go_on(unit, replace(before, stall=None, deadline_at=None), "retry", actor, now)
    if before.status not in (DeploymentStatus.FAILED, DeploymentStatus.CANCELLED, DeploymentStatus.DELETE_FAILED):
        raise Conflict(f"deployment {before.id} is {before.status}", cure="only failed or cancelled ones are retried")
    resource = unit.fleet.get(before.resource)
    if resource.last_deployment != before.id:
        raise Conflict(f"{resource.key.short} was deployed again since", cure="retry its last deployment")
    replaces = _to_replace(unit, resource, recreate) if before.action is Action.CREATE else None
    asked = ask_deployment(unit, resource, before.action, before.target, actor, now, replaces=replaces)
    seen = unit.plans.approved_by(before.id)
    if seen is not None:
        approve(unit, seen, asked.id)
    return asked


def continue_rollback(unit: Unit, deployment_id: str, *, actor: Actor, now: datetime) -> Deployment:
    """Let a stack whose rollback failed try it once more, after a person put right what stood in its way."""
    deployment = _own_deployment(unit, deployment_id, actor)
    if not deployment.rollback_failed:
        raise Conflict(
            f"deployment {deployment.id} does not wait for a rollback to be continued",
            cure="only one whose stack stands in UPDATE_ROLLBACK_FAILED does",
        )
    going = replace(deployment, stall=None, deadline_at=None, continue_token=f"{deployment.id}-{now:%Y%m%d%H%M%S}")
    return _go_on(unit, going, "continue", actor, now)


def left_behind(unit: Unit, resource: Resource) -> str | None:
    """The stack of a failed creation that must be deleted before the resource can be created."""
    if resource.version is not None:
        return None
    for deployment in unit.deployments.of_resource(resource.key, _LOOKED_BACK):
        if deployment.replaces is not None and deployment.replaced_at is None:
            return deployment.replaces
        if deployment.left_behind:
            return deployment.stack
        if deployment.replaced_at is not None or deployment.accepted_at is not None:
            return None
    return None


def _owned(unit: Unit, key: ResourceKey, actor: Actor) -> Resource:
    require(actor, Act.UPDATE)
    resource = unit.fleet.get(key)
    require(actor, Act.UPDATE, resource.owner, key.short)
    return resource


def _own_deployment(unit: Unit, deployment_id: str, actor: Actor) -> Deployment:
    require(actor, Act.UPDATE)
    deployment = unit.deployments.get(deployment_id)
    resource = unit.fleet.find(deployment.resource)
    if resource is not None:
        require(actor, Act.UPDATE, resource.owner, resource.key.short)
    return deployment


def _go_on(unit: Unit, deployment: Deployment, how: str, actor: Actor, now: datetime) -> Deployment:
    unit.deployments.save(deployment)
    unit.journal.record(events.DeploymentResumed(str(deployment.resource), deployment.id, how), actor, now)
    unit.work.ask(WorkKind.DEPLOY, deployment.id, now)
    return deployment


def _require_named(plan: Plan, confirmed: Collection[str]) -> None:
    unnamed = [change.logical_id for change in endangered(plan.changes) if change.logical_id not in confirmed]
    if unnamed:
        raise CallerError(
            f"this can replace or remove {', '.join(unnamed)}, and what is in there is lost then",
            cure="type its name to say that you want that",
        )


def _to_replace(unit: Unit, resource: Resource, recreate: bool) -> str | None:
    stack = left_behind(unit, resource)
    if stack is not None and not recreate:
        raise Conflict(
            f"the creation of {resource.key.short} failed and left a stack that can only be deleted ({stack})",
            cure="ask again with `--recreate`, or tick the box, to have it deleted first",
        )
    return stack


def _inputs_then(unit: Unit, resource: Resource, to: Version | None, inputs: Inputs | None) -> Inputs:
    if inputs is not None:
        raise CallerError("both inputs and those of then are asked for", cure="give one of them")
    if to is None:
        raise CallerError("the inputs of which version?", cure="name the version to go back to")
    then = unit.deployments.last_succeeded(resource.key, to)
    if then is None:
        raise Conflict(f"{resource.key.short} never ran {to}", cure="choose a version it ran, or give inputs")
    return then.target.inputs


def _ask(
    unit: Unit,
    resource: Resource,
    target: TemplateVersion,
    inputs: Inputs | None,
    replaces: str | None,
    actor: Actor,
    now: datetime,
) -> Deployment:
    given = fitting(unit, resource, target, inputs)
    action = Action.CREATE if resource.version is None else Action.UPDATE
    return ask_deployment(unit, resource, action, State(target.version, given), actor, now, replaces=replaces)


def _first_again(
    unit: Unit,
    resource: Resource,
    to: Version | None,
    inputs: Inputs | None,
    recreate: bool,
    actor: Actor,
    now: datetime,
) -> Deployment:
    """What never ran is deployed for the first time again, by default with the inputs that were asked for then."""
    asked = unit.deployments.of_resource(resource.key, limit=1)[0].target
    target = aim(unit, resource, to, actor)
    replaces = _to_replace(unit, resource, recreate)
    return _ask(unit, replace(resource, inputs=asked.inputs), target, inputs, replaces, actor, now)
