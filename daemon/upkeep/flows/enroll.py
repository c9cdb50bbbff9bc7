"""Enroll: resources come into being from a spec, change hands and go."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import uuid4

from upkeep.domain import events, schemas, specs
from upkeep.domain.bundles import Part
from upkeep.domain.deployments import Action, Deployment, DeploymentStatus, State
from upkeep.domain.errors import CallerError, Conflict, Forbidden
from upkeep.domain.names import (
    ResourceKey,
    ResourceKind,
    ResourceName,
    Version,
    environment_key,
    instance_key,
    parse_resource_name,
    pipeline_key,
)
from upkeep.domain.people import Act, Actor, Role, require
from upkeep.domain.resources import Inputs, Placement, Repository, Resource, Service
from upkeep.domain.specs import NOWHERE, InstanceSpec, Place
from upkeep.domain.versions import TemplateKind, TemplateVersion, VersionState
from upkeep.domain.work import WorkKind
from upkeep.flows.ports import Unit
from upkeep.flows.settle import close, remove

_TAKEN = "new"
"""What the address of the form that creates something ends in."""

_ACCOUNT = re.compile(r"[\w\-]{1,64}")
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d{1,2}")
_ROLE = re.compile(r"arn:aws[a-z\-]*:iam::\d{12}:role/[\w+=,.@/\-]{1,576}")
# https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/\-]{2,1224}")


def create_environment(
    unit: Unit,
    name: str,
    template: str,
    spec: str,
    *,
    version: Version | None = None,
    owner: str | None = None,
    placement: Placement | None = None,
    tags: Mapping[str, str] | None = None,
    actor: Actor,
    now: datetime,
) -> Deployment:
    """Create an environment from the text of its spec, at the recommended version unless one is named.

    Asks for its first deployment. A draft may be named by an admin only. Its stack and those of all that live in it
    are where `placement` says; `tags` are the customer's own.
    """
    require(actor, Act.ENROLL)
    taken = chosen_version(unit, template, TemplateKind.ENVIRONMENT, version, actor)
    wanted = specs.parse_environment_spec(spec)
    check_inputs(taken, Part.ENVIRONMENT, wanted.inputs, wanted.place)
    place = checked(placement or Placement())
    resource = Resource(
        key=environment_key(name),
        template=taken.template,
        status=DeploymentStatus.IN_PROGRESS,
        created_at=now,
        owner=owner,
        account_id=place.account_id or None,
        region=place.region,
        role_arn=place.role_arn,
        external_id=place.external_id,
        tags=tags or {},
    )
    return _create(unit, resource, State(taken.version, wanted.inputs), actor, now)


def create_service(
    unit: Unit,
    name: str,
    template: str,
    spec: str,
    *,
    version: Version | None = None,
    owner: str | None = None,
    repository: Repository | None = None,
    tags: Mapping[str, str] | None = None,
    actor: Actor,
    now: datetime,
) -> Sequence[Deployment]:
    """Create a service with the instances its spec lists, and its pipeline if the template has one.

    `tags` are the customer's own, for the stacks of all of them.

    Instances are deployed first; the pipeline waits for them. Refused when an instance's environment does not
    come from a compatible environment template.
    """
    require(actor, Act.ENROLL)
    taken = chosen_version(unit, template, TemplateKind.SERVICE, version, actor)
    wanted = specs.parse_service_spec(spec)
    if not wanted.instances:
        raise CallerError("the spec lists no instances", where="spec", cure="list at least one under `instances:`")
    if wanted.pipeline is not None and not taken.has_pipeline:
        raise CallerError(
            f"the spec has a `pipeline` section, but {taken.template} {taken.version} has no pipeline",
            where="spec",
            cure="remove the section",
        )
    _refuse_taken(name)
    service = Service(
        name=parse_resource_name(name),
        template=taken.template,
        spec=spec,
        created_at=now,
        owner=owner,
        repository=repository or Repository(),
    )
    unit.fleet.add_service(service)
    asked = [_create_instance(unit, service, instance, taken, tags or {}, actor, now) for instance in wanted.instances]
    if taken.has_pipeline:
        inputs = wanted.pipeline or {}
        check_inputs(taken, Part.PIPELINE, inputs, wanted.pipeline_place)
        pipeline = Resource(
            key=pipeline_key(service.name),
            template=taken.template,
            status=DeploymentStatus.IN_PROGRESS,
            created_at=now,
            owner=owner,
            tags=tags or {},
        )
        asked.append(_create(unit, pipeline, State(taken.version, inputs), actor, now))
    return asked


def update_service(unit: Unit, name: str, spec: str, *, actor: Actor, now: datetime) -> Sequence[Deployment]:
    """Bring a service to the instances its new spec lists: new ones are created at the recommended version, those
    no longer listed are deleted. What stays is not deployed: instances and the pipeline are updated one by one."""
    require(actor, Act.ENROLL)
    service = unit.fleet.service(name)
    require(actor, Act.ENROLL, service.owner, service.name)
    wanted = {instance.name: instance for instance in specs.parse_service_spec(spec).instances}
    present = {r.key.name: r for r in unit.fleet.of_service(service.name) if r.key.kind is ResourceKind.INSTANCE}
    if not wanted:
        raise CallerError(
            "the spec lists no instances", where="spec", cure="keep at least one, or delete the service as a whole"
        )
    for resource in unit.fleet.of_service(service.name):
        _refuse_under_way(unit, resource.key)
    unit.fleet.save_service(replace(service, spec=spec))
    taken = chosen_version(unit, service.template, TemplateKind.SERVICE, None, actor)
    tags = next((resource.tags for resource in present.values()), {})
    asked = [
        _create_instance(unit, service, instance, taken, tags, actor, now)
        for instance in wanted.values()
        if instance.name not in present
    ]
    gone = [resource for instance_name, resource in present.items() if instance_name not in wanted]
    return asked + [_delete(unit, resource, actor, now) for resource in gone]


def add_instance(
    unit: Unit,
    service: str,
    instance: InstanceSpec,
    *,
    version: Version | None = None,
    tags: Mapping[str, str] | None = None,
    actor: Actor,
    now: datetime,
) -> Deployment:
    """Create one more instance of a service, at the recommended version unless one is named, and list it in the
    service's spec. What the service has already is not deployed. Without `tags`, it has those of the others."""
    require(actor, Act.ENROLL)
    owning = unit.fleet.service(service)
    require(actor, Act.ENROLL, owning.owner, owning.name)
    taken = chosen_version(unit, owning.template, TemplateKind.SERVICE, version, actor)
    tags = tags or next((resource.tags for resource in unit.fleet.of_service(owning.name)), {})
    unit.fleet.save_service(replace(owning, spec=specs.with_instance(owning.spec, instance)))
    return _create_instance(unit, owning, instance, taken, tags, actor, now)


def change_repository(unit: Unit, name: str, repository: Repository, *, actor: Actor, now: datetime) -> None:
    """Name another application repository for a service. Templates see it from the next deployment of each part on;
    Proton never let it be changed (aws-proton-public-roadmap #37)."""
    require(actor, Act.ENROLL)
    service = unit.fleet.service(name)
    require(actor, Act.ENROLL, service.owner, service.name)
    if service.repository == repository:
        return
    unit.fleet.save_service(replace(service, repository=repository))
    changed = events.RepositoryChanged(f"service/{service.name}", repository.repository_id, repository.branch_name)
    unit.journal.record(changed, actor, now)


def delete_resource(unit: Unit, key: ResourceKey, *, actor: Actor, now: datetime) -> Deployment:
    """Delete what was deployed, then the record. Refused for an environment that something lives in, for the
    last instance of a service, and for a pipeline, which goes with its service."""
    require(actor, Act.ENROLL)
    resource = unit.fleet.get(key)
    require(actor, Act.ENROLL, resource.owner, key.short)
    _refuse_removal(unit, resource, "deleted", "delete")
    return _delete(unit, resource, actor, now)


def delete_service(unit: Unit, name: str, *, actor: Actor, now: datetime) -> Sequence[Deployment]:
    """Delete the instances and the pipeline of a service; its record goes with the last of them."""
    require(actor, Act.ENROLL)
    service = unit.fleet.service(name)
    require(actor, Act.ENROLL, service.owner, service.name)
    return [_delete(unit, resource, actor, now) for resource in unit.fleet.of_service(service.name)]


def forget(unit: Unit, key: ResourceKey, *, actor: Actor, now: datetime) -> Resource:
    """Take a resource off our books and leave its stack as it is. Guarded as a deletion is; what is under way is
    waited for, unless it is stalled."""
    require(actor, Act.ENROLL)
    _hold_stalled(unit, key)
    resource = unit.fleet.get(key)
    require(actor, Act.ENROLL, resource.owner, key.short)
    _refuse_removal(unit, resource, "forgotten", "forget")
    _forget(unit, resource, actor, now)
    return resource


def forget_service(unit: Unit, name: str, *, actor: Actor, now: datetime) -> Sequence[Resource]:
    """Take a service with its instances and its pipeline off our books and leave their stacks as they are."""
    require(actor, Act.ENROLL)
    for part in unit.fleet.of_services([ResourceName(name)]):
        _hold_stalled(unit, part.key)
    service = unit.fleet.service(name)
    require(actor, Act.ENROLL, service.owner, service.name)
    parts = unit.fleet.of_service(service.name)
    for resource in parts:
        _forget(unit, resource, actor, now)
    return parts


def _hold_stalled(unit: Unit, key: ResourceKey) -> None:
    """Keep a deployment that waits for a person from going on, before its resource is held: whoever lets it go on, or
    settles it, holds the two in this order."""
    other = unit.deployments.under_way(key)
    if other is not None and other.stall is not None:
        unit.deployments.get(other.id)


def _forget(unit: Unit, resource: Resource, actor: Actor, now: datetime) -> None:
    require(actor, Act.ENROLL, resource.owner, resource.key.short)
    other = unit.deployments.under_way(resource.key)
    if other is not None and other.stall is not None:
        # Somebody may have let it go on meanwhile.
        other = unit.deployments.get(other.id)
    if other is not None and other.stall is None and other.status.under_way:
        raise Conflict(
            f"deployment {other.id} of {resource.key.short} to {other.target.version} is under way",
            cure="wait until it has ended, or cancel it",
        )
    if other is not None and other.status.under_way:
        said = f"{resource.key.short} was forgotten by {actor.name}; the stack stays as it is"
        close(unit, other, DeploymentStatus.CANCELLED, said, actor, now)
    remove(unit, unit.fleet.get(resource.key))
    unit.journal.record(events.ResourceForgotten(str(resource.key), resource.template, resource.stack), actor, now)


def give(unit: Unit, key: ResourceKey, owner: str | None, *, actor: Actor, now: datetime) -> None:
    """Make a team the owner of a resource: it hears when the resource is behind. None leaves it without one."""
    require(actor, Act.ENROLL)
    resource = unit.fleet.get(key)
    require(actor, Act.ENROLL, resource.owner, key.short)
    if resource.owner == owner:
        return
    unit.fleet.save(replace(resource, owner=owner))
    unit.journal.record(events.OwnerChanged(str(key), resource.owner, owner), actor, now)


def give_service(unit: Unit, name: str, owner: str | None, *, actor: Actor, now: datetime) -> Sequence[Resource]:
    """Make a team the owner of a service and of all its parts that had the same owner, which are returned. What
    somebody gave to others by itself stays theirs."""
    require(actor, Act.ENROLL)
    service = unit.fleet.service(name)
    require(actor, Act.ENROLL, service.owner, service.name)
    if service.owner == owner:
        return []
    unit.fleet.save_service(replace(service, owner=owner))
    unit.journal.record(events.OwnerChanged(f"service/{service.name}", service.owner, owner), actor, now)
    followers = [resource for resource in unit.fleet.of_service(service.name) if resource.owner == service.owner]
    for resource in followers:
        give(unit, resource.key, owner, actor=actor, now=now)
    return followers


def chosen_version(
    unit: Unit, template: str, kind: TemplateKind, named: Version | None, actor: Actor
) -> TemplateVersion:
    """The version a resource is to take: the named one, else the recommended one.

    Refuses templates of the other kind and versions that are not offered; a draft only to others than admins.
    """
    family = unit.registry.template(template)
    if family.kind is not kind:
        raise CallerError(f"{template} is {_article(family.kind)} template", cure=f"name {_article(kind)} template")
    version = named or family.recommended
    if version is None:
        raise Conflict(f"no version of {template} is published yet", cure="publish one, or name a version")
    found = unit.registry.version(family.name, version)
    if found.state is VersionState.DRAFT and actor.role is not Role.ADMIN:
        raise Forbidden(
            f"{template} {version} is a draft and only admins may deploy it", cure="wait until it is published"
        )
    if found.state in (VersionState.REGISTRATION_FAILED, VersionState.WITHDRAWN):
        raise Conflict(
            f"{template} {version} is {found.state} and cannot be deployed", cure="choose a published version"
        )
    return found


def check_inputs(version: TemplateVersion, part: Part, inputs: Inputs, place: Place = NOWHERE) -> None:
    """Raise CallerError unless the inputs fit the version's schema; `place` is where they stand in their spec."""
    if version.schema is not None:
        specs.merge(schemas.parse(version.schema).inputs_of(part), inputs, place)


def check_environment(unit: Unit, version: TemplateVersion, environment: ResourceName) -> None:
    """Raise Conflict unless instances of the version can live in the environment."""
    home = unit.fleet.get(environment_key(environment), kept=False)
    running = home.version or _first_target(unit, home)
    compatible = any(c.template == home.template and c.major == running.major for c in version.compatible_environments)
    if not compatible:
        able = ", ".join(str(c) for c in version.compatible_environments) or "no environment template at all"
        raise Conflict(
            f"{version.template} {version.version} cannot run in `{environment}`, "
            f"which is {home.template}:{running.major}",
            cure=f"it is compatible with {able}",
        )


def checked(placement: Placement) -> Placement:
    """The placement, or CallerError saying which of its words AWS would not understand."""
    for word, text, pattern, example in (
        ("an AWS account", placement.account_id, _ACCOUNT, "123456789012"),
        ("a region", placement.region, _REGION, "eu-west-1"),
        ("a role", placement.role_arn, _ROLE, "arn:aws:iam::123456789012:role/upkeep"),
        ("an external id", placement.external_id, _EXTERNAL_ID, "2 to 1224 letters, digits and `_ + = , . @ : / -`"),
    ):
        if text and not pattern.fullmatch(text):
            raise CallerError(f"`{text}` is not {word}", cure=f"write it like {example}")
    if placement.external_id and not placement.role_arn:
        raise CallerError("an external id belongs to a role, and none is named", cure="name the role as well")
    return placement


def ask_deployment(
    unit: Unit,
    resource: Resource,
    action: Action,
    target: State,
    actor: Actor,
    now: datetime,
    *,
    replaces: str | None = None,
) -> Deployment:
    """Write down a deployment and ask for its work. Conflict when another one is under way on the resource.

    `replaces` is a stack to be deleted first, which a failed creation left behind.
    """
    _refuse_under_way(unit, resource.key)
    deployment = Deployment(
        id=str(uuid4()),
        resource=resource.key,
        action=action,
        status=DeploymentStatus.DELETE_IN_PROGRESS if action is Action.DELETE else DeploymentStatus.IN_PROGRESS,
        initial=None if resource.version is None else State(resource.version, resource.inputs),
        target=target,
        asked_by=actor.name,
        created_at=now,
        replaces=replaces,
    )
    unit.deployments.add(deployment)
    # What was seen of its next update was seen before this deployment.
    unit.fleet.save(replace(resource, status=deployment.status, last_deployment=deployment.id, replaces=False))
    before = None if resource.version is None else str(resource.version)
    unit.journal.record(
        events.DeploymentAsked(str(resource.key), deployment.id, action, before, str(target.version)), actor, now
    )
    unit.work.ask(WorkKind.DEPLOY, deployment.id, now)
    return deployment


def _create_instance(
    unit: Unit,
    service: Service,
    wanted: InstanceSpec,
    taken: TemplateVersion,
    tags: Mapping[str, str],
    actor: Actor,
    now: datetime,
) -> Deployment:
    environment = parse_resource_name(wanted.environment)
    check_environment(unit, taken, environment)
    check_inputs(taken, Part.INSTANCE, wanted.inputs, wanted.place)
    resource = Resource(
        key=instance_key(service.name, wanted.name),
        template=taken.template,
        status=DeploymentStatus.IN_PROGRESS,
        created_at=now,
        owner=service.owner,
        environment=environment,
        tags=tags,
    )
    return _create(unit, resource, State(taken.version, wanted.inputs), actor, now)


def _create(unit: Unit, resource: Resource, target: State, actor: Actor, now: datetime) -> Deployment:
    _refuse_taken(resource.key.name)
    unit.fleet.add(resource)
    unit.journal.record(events.ResourceEnrolled(str(resource.key), resource.template, str(target.version)), actor, now)
    return ask_deployment(unit, resource, Action.CREATE, target, actor, now)


def _refuse_taken(name: str) -> None:
    if name == _TAKEN:
        raise CallerError(f"nothing can be called `{_TAKEN}`", cure="choose another name: the pages use this one")


def _delete(unit: Unit, resource: Resource, actor: Actor, now: datetime) -> Deployment:
    require(actor, Act.ENROLL, resource.owner, resource.key.short)
    version = resource.version or _first_target(unit, resource)
    return ask_deployment(unit, resource, Action.DELETE, State(version, resource.inputs), actor, now)


def _first_target(unit: Unit, resource: Resource) -> Version:
    """What a resource that never ran anything was meant to run."""
    return unit.deployments.of_resource(resource.key, limit=1)[0].target.version


def _refuse_under_way(unit: Unit, key: ResourceKey) -> None:
    other = unit.deployments.under_way(key)
    if other is not None and other.stall is not None:
        raise Conflict(
            f"deployment {other.id} of {key.short} to {other.target.version} waits for a person: {other.stall.reason}",
            cure=other.stall.cure,
        )
    if other is not None:
        raise Conflict(
            f"deployment {other.id} of {key.short} to {other.target.version} is under way",
            cure="wait until it has ended",
        )


def _refuse_removal(unit: Unit, resource: Resource, removed: str, remove_it: str) -> None:
    key = resource.key
    match key.kind:
        case ResourceKind.ENVIRONMENT:
            living = unit.fleet.in_environment(key.name)
            if living:
                raise Conflict(
                    f"{key.short} cannot be {removed} while {_some(living)} live in it",
                    cure=f"{remove_it} or move them first",
                )
        case ResourceKind.INSTANCE if key.service is not None:
            siblings = [r for r in unit.fleet.of_service(key.service) if r.key.kind is ResourceKind.INSTANCE]
            if len(siblings) == 1:
                raise Conflict(
                    f"{key.short} is the last instance of its service",
                    cure=f"{remove_it} the service with `upkeep service {remove_it} {key.service}`",
                )
        case _:
            raise Conflict(
                f"the pipeline of {key.name} goes with its service",
                cure=f"{remove_it} the service with `upkeep service {remove_it} {key.name}`",
            )


def _some(resources: Sequence[Resource]) -> str:
    names = [resource.key.short for resource in resources[:3]]
    more = len(resources) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _article(kind: TemplateKind) -> str:
    return "an environment" if kind is TemplateKind.ENVIRONMENT else "a service"
