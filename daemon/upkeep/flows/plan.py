"""Plan: ask what moving a resource would change in its stack, and tell whether what was seen still holds."""

from dataclasses import replace
from datetime import datetime
from uuid import uuid4

from upkeep.domain.bundles import Part
from upkeep.domain.changesets import Risk
from upkeep.domain.errors import CallerError, Conflict
from upkeep.domain.names import ResourceKey, ResourceKind, TemplateName, Version, environment_key
from upkeep.domain.people import Act, Actor, require
from upkeep.domain.plans import Grounds, Plan
from upkeep.domain.resources import Inputs, Resource
from upkeep.domain.specs import keep_current
from upkeep.domain.versions import TemplateKind, TemplateVersion, VersionState
from upkeep.domain.work import WorkKind
from upkeep.flows.enroll import check_environment, check_inputs, chosen_version
from upkeep.flows.ports import Unit


def ask(unit: Unit, key: ResourceKey, *, to: Version, inputs: Inputs | None, actor: Actor, now: datetime) -> Plan:
    """Ask for a plan to move a resource that runs to a version, with the inputs it has unless others are given.

    Refused as the update itself would be, and for what has no stack of its own to look at.
    """
    require(actor, Act.UPDATE)
    resource = unit.fleet.get(key)
    require(actor, Act.UPDATE, resource.owner, key.short)
    if resource.version is None or resource.stack is None:
        raise Conflict(f"{key.short} has no stack yet, so there is nothing to compare with", cure="deploy it")
    under_way = unit.deployments.under_way(key)
    if under_way is not None:
        raise Conflict(f"deployment {under_way.id} of {key.short} is under way", cure="wait until it has ended")
    target = aim(unit, resource, to, actor)
    given = fitting(unit, resource, target, inputs)
    return _asked(unit, resource, target, given, actor.name, now)


def check_draft(unit: Unit, template: TemplateName, version: Version, *, actor: Actor, now: datetime) -> int:
    """Ask for a fresh plan of every resource that could take a draft; returns how many were asked for."""
    require(actor, Act.REVIEW)
    if unit.registry.version(template, version).state is not VersionState.DRAFT:
        raise Conflict(f"{template} {version} is not a draft", cure="check a resource's update on its own page")
    return ask_for_draft(unit, template, version, actor.name, now)


def ask_for_draft(
    unit: Unit, template: TemplateName, version: Version, asked_by: str, now: datetime, *, only_moved: bool = False
) -> int:
    """Ask for a plan of every resource that runs the version's major, with the inputs it has; returns how many.

    One that is asked for and not worked out yet is not asked for again; with `only_moved` nor is one that still holds.
    What has no stack is left out.
    """
    target = unit.registry.version(template, version)
    known = unit.plans.latest(template, version)
    asked = 0
    for resource in unit.fleet.on_major(template, version.major):
        before = known.get(resource.key)
        waits = before is not None and before.made_at is None
        if resource.stack is None or waits or (only_moved and before is not None and not moved(unit, before)):
            continue
        _asked(unit, resource, target, resource.inputs, asked_by, now)
        asked += 1
    return asked


def replaced_by(unit: Unit, template: TemplateName, version: Version) -> tuple[Plan, ...]:
    """The plans for a version that still hold and say that something is replaced."""
    found = unit.plans.latest(template, version).values()
    return tuple(plan for plan in found if plan.risk is Risk.REPLACES and not moved(unit, plan))


def again(unit: Unit, plan_id: str, *, actor: Actor, now: datetime) -> Plan | None:
    """Ask anew for what a plan was made for, if it does not hold any more; None when it does."""
    plan = unit.plans.find(plan_id)
    if plan is None or plan.made_at is None or plan.deployment is not None or not moved(unit, plan):
        return None
    return ask(unit, plan.resource, to=plan.version, inputs=plan.inputs, actor=actor, now=now)


def aim(unit: Unit, resource: Resource, to: Version | None, actor: Actor) -> TemplateVersion:
    """The version a running resource is to be moved to: the one it runs, or one that is offered to it."""
    kind = TemplateKind.ENVIRONMENT if resource.key.kind is ResourceKind.ENVIRONMENT else TemplateKind.SERVICE
    if resource.version is not None and to == resource.version:
        return unit.registry.version(resource.template, resource.version)
    target = chosen_version(unit, resource.template, kind, to, actor)
    if resource.version is not None and target.version.major < resource.version.major:
        raise Conflict(
            f"{resource.key.short} runs {resource.version} and cannot go back to major {target.version.major}",
            cure="choose a minor of its own major, or a higher major",
        )
    return target


def fitting(unit: Unit, resource: Resource, target: TemplateVersion, inputs: Inputs | None) -> Inputs:
    """The inputs a resource would have at a version; CallerError or Conflict when it cannot run it."""
    given = resource.inputs if inputs is None else keep_current(inputs, resource.inputs)
    check_inputs(target, Part(resource.key.kind), given)
    if resource.environment is not None:
        check_environment(unit, target, resource.environment)
    return given


def moved(unit: Unit, plan: Plan) -> bool:
    """Whether something a plan was made from is not as it was: spec, version, stack, or what the template reads."""
    resource = unit.fleet.find(plan.resource)
    target = unit.registry.find_version(plan.template, plan.version)
    return resource is None or target is None or digest(unit, resource, target, plan.inputs) != plan.digest


def digest(unit: Unit, resource: Resource, target: TemplateVersion, inputs: Inputs) -> str:
    """Of all rows that a plan rests on."""
    home: Resource | None = resource
    if resource.environment is not None:
        home = unit.fleet.find(environment_key(resource.environment), kept=False)
    grounds = Grounds(
        running=resource.version,
        inputs=resource.inputs,
        stack=resource.stack,
        last_deployment=resource.last_deployment,
        tags=resource.tags,
        tree=target.tree,
        spec=unit.fleet.service(resource.key.service).spec if resource.key.service is not None else None,
        home=None if home is None else (home.outputs, home.placement),
    )
    return grounds.digest(target.version, inputs)


def approved(unit: Unit, key: ResourceKey, plan_id: str) -> Plan:
    """The plan an approval names. Conflict unless it is whole, was not approved before, and still holds."""
    plan = unit.plans.find(plan_id)
    if plan is None or plan.resource != key:
        raise Conflict(f"what would change in {key.short} was worked out anew since", cure="look at it again")
    if plan.deployment is not None:
        raise Conflict("this plan was approved before", cure=f"see deployment {plan.deployment}")
    if plan.made_at is None:
        raise Conflict("what would change is still being worked out", cure="wait for it, then approve it")
    if moved(unit, plan):
        raise Conflict(
            f"{key.short}, {plan.template} {plan.version} or what it reads has changed since this was worked out",
            cure="look at what would change now, then approve that",
        )
    if not plan.usable:
        raise CallerError(plan.failure or "the change set failed", cure="put that right, then check again")
    return plan


def approve(unit: Unit, plan: Plan, deployment_id: str) -> None:
    """Write down which deployment rests on a plan."""
    unit.plans.save(replace(plan, deployment=deployment_id))


def _asked(
    unit: Unit, resource: Resource, target: TemplateVersion, given: Inputs, asked_by: str, now: datetime
) -> Plan:
    plan = Plan(str(uuid4()), resource.key, target.template, target.version, given, asked_by, now)
    unit.plans.add(plan)
    unit.work.ask(WorkKind.PLAN, plan.id, now)
    return plan
