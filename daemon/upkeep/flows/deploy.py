"""Deploy: move a resource to a version and spec, and learn how it ended."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from upkeep.domain import events, notices, schemas, specs
from upkeep.domain.bundles import Part
from upkeep.domain.deployments import Action, Deployment, DeploymentStatus, Progress, ProgressState, State
from upkeep.domain.errors import BundleError, CallerError, Conflict, StalledError
from upkeep.domain.names import ResourceKey, ResourceKind, Version, environment_key
from upkeep.domain.notices import Routing
from upkeep.domain.people import DAEMON, Act, Actor, require
from upkeep.domain.resources import Inputs, Outputs, Resource
from upkeep.domain.versions import TemplateKind, TemplateVersion
from upkeep.domain.work import Claim
from upkeep.flows import preview
from upkeep.flows.compose import compose
from upkeep.flows.enroll import ask_deployment, check_environment, check_inputs, chosen_version
from upkeep.flows.measure import lag_of
from upkeep.flows.ports import Plan, Provisioner, Renderer, Store, Unit

LOOK_AGAIN_AFTER = timedelta(seconds=2)
"""How long a deployment that waits, or whose provisioner still works, is left alone."""


def update(
    unit: Unit,
    key: ResourceKey,
    *,
    to: Version | None = None,
    inputs: Inputs | None = None,
    actor: Actor,
    now: datetime,
) -> Deployment:
    """Ask for a deployment of a resource to a version, the recommended one when none is named.

    `inputs` are the given ones, `"${Proton::CURRENT_VAL}"` keeping a stored value; None keeps them all. Refused
    while another deployment of the resource is under way, and for a version that is not offered, unless an admin
    names a draft. Proton's update types are special cases of this: the same version with new inputs is
    CURRENT_VERSION, another minor, also an older one, MINOR_VERSION, a higher major MAJOR_VERSION.
    """
    require(actor, Act.UPDATE)
    resource = unit.fleet.get(key)
    if resource.version is None:
        return _first_again(unit, resource, to, inputs, actor, now)
    stays = to == resource.version
    kind = TemplateKind.ENVIRONMENT if key.kind is ResourceKind.ENVIRONMENT else TemplateKind.SERVICE
    target = (
        unit.registry.version(resource.template, resource.version)
        if stays
        else chosen_version(unit, resource.template, kind, to, actor)
    )
    if target.version.major < resource.version.major:
        raise Conflict(
            f"{key.short} runs {resource.version} and cannot go back to major {target.version.major}",
            cure="choose a minor of its own major, or a higher major",
        )
    return _ask(unit, resource, target, inputs, actor, now)


def cancel(unit: Unit, deployment_id: str, *, actor: Actor, now: datetime) -> Deployment:
    """Cancel a deployment that has not begun yet. One that has is followed to its end."""
    require(actor, Act.UPDATE)
    deployment = unit.deployments.get(deployment_id)
    if deployment.status is not DeploymentStatus.IN_PROGRESS:
        raise Conflict(f"deployment {deployment.id} is {deployment.status}", cure="there is nothing to cancel")
    if deployment.begun_at is not None:
        raise Conflict(
            f"deployment {deployment.id} has begun and is followed to its end",
            cure="wait for its outcome, then update to the version you want",
        )
    return _close(unit, deployment, DeploymentStatus.CANCELLED, f"cancelled by {actor.name}", actor, now)


def retry(unit: Unit, deployment_id: str, *, actor: Actor, now: datetime) -> Deployment:
    """Ask again for what a failed or cancelled deployment aimed at."""
    require(actor, Act.UPDATE)
    before = unit.deployments.get(deployment_id)
    if before.status not in (DeploymentStatus.FAILED, DeploymentStatus.CANCELLED, DeploymentStatus.DELETE_FAILED):
        raise Conflict(f"deployment {before.id} is {before.status}", cure="only failed or cancelled ones are retried")
    resource = unit.fleet.get(before.resource)
    if resource.last_deployment != before.id:
        raise Conflict(f"{resource.key.short} was deployed again since", cure="retry its last deployment")
    return ask_deployment(unit, resource, before.action, before.target, actor, now)


def deploy(
    store: Store, renderer: Renderer, provisioner: Provisioner, claim: Claim, *, routing: Routing, now: datetime
) -> None:
    """Do one DEPLOY work: take the deployment one step on, from asked to rendered, begun, observed and settled.

    Every step leaves rows that the next one starts from, whoever does it; a provisioner that still works is
    observed again later. Faults of the template, the spec or the account end the deployment as FAILED with
    their sentence; a TransientError is raised for the worker to try again.
    """
    try:
        deployment = _begun(store, renderer, claim, now)
        if deployment is None:
            return
        deployment, progress = _progress(store, provisioner, claim, deployment)
    except (BundleError, CallerError, StalledError) as fault:
        progress = Progress(ProgressState.FAILED, reason=str(fault))
    with store.write() as unit:
        unit.work.hold(claim)
        deployment = unit.deployments.get(claim.subject)
        if progress.state is ProgressState.RUNNING:
            unit.work.done(claim, again_at=now + LOOK_AGAIN_AFTER)
            return
        _settle(unit, deployment, progress, routing, now)
        unit.work.done(claim)


@dataclass(frozen=True, slots=True)
class _Wait:
    """What a deployment waits for; with `fault`, what will never come."""

    reason: str
    fault: bool = False


def _begun(store: Store, renderer: Renderer, claim: Claim, now: datetime) -> Deployment | None:
    """The deployment, rendered and marked as begun; None when there is nothing more to do for now."""
    with store.write() as unit:
        unit.work.hold(claim)
        deployment = unit.deployments.get(claim.subject)
        if not deployment.status.under_way:
            unit.work.done(claim)
            return None
        if deployment.begun_at is not None:
            return deployment
        resource = unit.fleet.get(deployment.resource)
        wait = _wait(unit, deployment, resource)
        if wait is not None and wait.fault:
            _close(unit, deployment, DeploymentStatus.CANCELLED, wait.reason, DAEMON, now)
            unit.work.done(claim)
            return None
        if wait is not None:
            unit.deployments.save(replace(deployment, message=wait.reason))
            unit.work.done(claim, again_at=now + LOOK_AGAIN_AFTER)
            return None
        managed = _customer_managed(unit, deployment)
        composition = None
        if deployment.action is not Action.DELETE and not managed:
            composition = compose(unit, resource, deployment.target)
    rendered = renderer.render(composition.template, composition.namespace) if composition else ""
    with store.write() as unit:
        unit.work.hold(claim)
        deployment = unit.deployments.get(claim.subject)
        if not deployment.status.under_way:
            unit.work.done(claim)
            return None
        deployment = replace(deployment, begun_at=now, message=None)
        unit.deployments.keep_rendered(deployment.id, rendered)
        unit.deployments.save(deployment)
        return deployment


def _progress(
    store: Store, provisioner: Provisioner, claim: Claim, deployment: Deployment
) -> tuple[Deployment, Progress]:
    with store.read() as unit:
        if _customer_managed(unit, deployment):
            return deployment, Progress(ProgressState.SUCCEEDED, outputs=_stated_outputs(unit, deployment))
        rendered = unit.deployments.rendered(deployment.id) or ""
        plan = Plan(deployment.id, deployment.resource, deployment.action, rendered, _tags(unit, deployment))
    if deployment.handle is None:
        deployment = replace(deployment, handle=provisioner.begin(plan))
        with store.write() as unit:
            unit.work.hold(claim)
            unit.deployments.save(deployment)
    return deployment, provisioner.observe(deployment.handle or "")


def _wait(unit: Unit, deployment: Deployment, resource: Resource) -> _Wait | None:
    """A first deployment waits for what its template reads: an instance for its environment, a pipeline for its
    instances. Proton cancels the pipeline when an instance fails, in these words."""
    if deployment.action is not Action.CREATE:
        return None
    if resource.key.kind is ResourceKind.INSTANCE and resource.environment is not None:
        home = unit.fleet.get(environment_key(resource.environment))
        if home.version is None:
            if home.status.under_way:
                return _Wait(f"waits for environment {home.key.short}")
            return _Wait(f"environment {home.key.short} was never deployed", fault=True)
    if resource.key.kind is ResourceKind.PIPELINE:
        instances = [r for r in unit.fleet.of_service(resource.key.name) if r.key.kind is ResourceKind.INSTANCE]
        if any(instance.status.under_way for instance in instances):
            return _Wait("waits for the service's instances")
        failed = [instance.key.short for instance in instances if instance.version is None]
        if failed:
            return _Wait(
                f"Service Instance(s): [{', '.join(failed)}] failed to deploy - canceling pipeline deployment",
                fault=True,
            )
    return None


def _settle(unit: Unit, deployment: Deployment, progress: Progress, routing: Routing, now: datetime) -> None:
    resource = unit.fleet.get(deployment.resource)
    if progress.state is ProgressState.FAILED:
        status = DeploymentStatus.DELETE_FAILED if deployment.action is Action.DELETE else DeploymentStatus.FAILED
        settled = _close(unit, deployment, status, progress.reason or "the provisioner gave no reason", DAEMON, now)
    elif deployment.action is Action.DELETE:
        settled = _close(unit, deployment, DeploymentStatus.DELETE_COMPLETE, None, DAEMON, now)
        _remove(unit, resource, now)
    else:
        settled = replace(deployment, outputs=progress.outputs)
        unit.fleet.save(_moved(unit, resource, settled, progress.outputs, now))
        settled = _close(unit, settled, DeploymentStatus.SUCCEEDED, None, DAEMON, now)
        preview.ask_for_drafts(unit, resource.template, deployment.target.version.major, now)
    channel = routing.of_owner(resource.owner)
    if channel and (settled.status.failed or settled.action is Action.UPDATE):
        unit.outbox.owe(notices.deployment_settled(channel, settled, resource), now)


def _moved(unit: Unit, resource: Resource, deployment: Deployment, outputs: Outputs, now: datetime) -> Resource:
    return replace(
        resource,
        version=deployment.target.version,
        inputs=deployment.target.inputs,
        outputs=outputs,
        lag=lag_of(unit, resource.template, deployment.target.version),
        last_succeeded_deployment=deployment.id,
        deployed_at=now,
    )


def _close(
    unit: Unit, deployment: Deployment, status: DeploymentStatus, message: str | None, actor: Actor, now: datetime
) -> Deployment:
    """End a deployment, on its own row and on its resource's."""
    closed = replace(deployment, status=status, message=message, completed_at=now)
    unit.deployments.save(closed)
    unit.fleet.save(replace(unit.fleet.get(closed.resource), status=status))
    unit.journal.record(
        events.DeploymentSettled(str(closed.resource), closed.id, status, str(closed.target.version), message),
        actor,
        now,
    )
    return closed


def _remove(unit: Unit, resource: Resource, now: datetime) -> None:
    unit.fleet.remove(resource.key)
    unit.journal.record(events.ResourceDeleted(str(resource.key)), DAEMON, now)
    service = resource.key.service
    if service is not None and not unit.fleet.of_service(service):
        unit.fleet.remove_service(service)


def _ask(
    unit: Unit, resource: Resource, target: TemplateVersion, inputs: Inputs | None, actor: Actor, now: datetime
) -> Deployment:
    given = resource.inputs if inputs is None else specs.keep_current(inputs, resource.inputs)
    check_inputs(target, Part(resource.key.kind), given)
    if resource.environment is not None:
        check_environment(unit, target, resource.environment)
    action = Action.CREATE if resource.version is None else Action.UPDATE
    return ask_deployment(unit, resource, action, State(target.version, given), actor, now)


def _first_again(
    unit: Unit, resource: Resource, to: Version | None, inputs: Inputs | None, actor: Actor, now: datetime
) -> Deployment:
    """What never ran is deployed for the first time again, by default with the inputs that were asked for then."""
    asked = unit.deployments.of_resource(resource.key, limit=1)[0].target
    kind = TemplateKind.ENVIRONMENT if resource.key.kind is ResourceKind.ENVIRONMENT else TemplateKind.SERVICE
    target = chosen_version(unit, resource.template, kind, to, actor)
    return _ask(unit, replace(resource, inputs=asked.inputs), target, inputs, actor, now)


def _customer_managed(unit: Unit, deployment: Deployment) -> bool:
    """Whether the environment is made by others: its bundle has a schema and no infrastructure."""
    if deployment.resource.kind is not ResourceKind.ENVIRONMENT:
        return False
    version = _target_version(unit, deployment)
    folder = Part.ENVIRONMENT.folder + "/"
    return not any(file.path.startswith(folder) for file in unit.registry.bundle(version.tree).files)


def _stated_outputs(unit: Unit, deployment: Deployment) -> Outputs:
    """A customer-managed environment's inputs state the outputs of what others made."""
    version = _target_version(unit, deployment)
    schema = schemas.parse(version.schema or "")
    merged = specs.merge(schema.inputs_of(Part.ENVIRONMENT), deployment.target.inputs)
    return {name: str(value) for name, value in merged.items()}


def _target_version(unit: Unit, deployment: Deployment) -> TemplateVersion:
    template = unit.fleet.get(deployment.resource).template
    return unit.registry.version(template, deployment.target.version)


def _tags(unit: Unit, deployment: Deployment) -> dict[str, str]:
    """What marks everything a deployment makes as Upkeep's: which resource, template and version it is."""
    resource = unit.fleet.get(deployment.resource)
    return {
        "upkeep:resource": str(resource.key),
        "upkeep:template": resource.template,
        "upkeep:version": str(deployment.target.version),
    }
