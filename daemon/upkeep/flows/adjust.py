"""Adjust: what is changed about a resource without a deployment. It shows in the next one."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from upkeep.domain import events
from upkeep.domain.errors import CallerError, Conflict
from upkeep.domain.names import ResourceKey, ResourceKind
from upkeep.domain.people import Act, Actor, require
from upkeep.domain.resources import Placement
from upkeep.flows.enroll import checked
from upkeep.flows.ports import Unit


def change_role(unit: Unit, key: ResourceKey, role_arn: str, *, actor: Actor, now: datetime) -> None:
    """Reach an environment's stacks by another role of the same account. Another account has other stacks."""
    require(actor, Act.ENROLL)
    found = unit.fleet.get(key)
    require(actor, Act.ENROLL, found.owner, key.short)
    account = role_arn.split(":")[4] if role_arn.count(":") >= 5 else ""
    checked(Placement(account, found.region, role_arn, found.external_id))
    if account != (found.account_id or account):
        raise Conflict(
            f"{key.short} lives in account {found.account_id}, and the role is of {account}",
            cure="create another environment there",
        )
    unit.fleet.save(replace(found, role_arn=role_arn))
    unit.journal.record(events.RoleChanged(str(key), found.role_arn, role_arn), actor, now)


def label(unit: Unit, key: ResourceKey, tags: Mapping[str, str], *, actor: Actor, now: datetime) -> None:
    """Give a resource these tags of the customer's own, in place of those it has."""
    require(actor, Act.ENROLL)
    found = unit.fleet.get(key)
    require(actor, Act.ENROLL, found.owner, key.short)
    if tags == found.tags:
        return
    unit.fleet.save(replace(found, tags=dict(tags)))
    unit.journal.record(events.TagsChanged(str(key), ", ".join(sorted(tags))), actor, now)


def tell_outputs(
    unit: Unit,
    key: ResourceKey,
    outputs: Mapping[str, str],
    *,
    deployment: str | None,
    failed: bool,
    actor: Actor,
    now: datetime,
) -> None:
    """Take the outputs of an environment that others make. Refused for what has a stack, which tells them itself, while
    a deployment is under way, and for a deployment that is not the last."""
    require(actor, Act.UPDATE)
    found = unit.fleet.get(key)
    require(actor, Act.UPDATE, found.owner, key.short)
    if deployment is not None and deployment != found.last_deployment:
        raise CallerError(f"deployment {deployment} is not the last of {key.short}", cure="leave it out")
    if key.kind is not ResourceKind.ENVIRONMENT or found.stack is not None:
        raise Conflict(f"what becomes of {key.short} is told by its stack", cure="nothing has to be told")
    if found.status.under_way:
        raise Conflict(f"a deployment of {key.short} is under way", cure="wait until it has ended")
    if failed or not outputs:
        return
    unit.fleet.save(replace(found, outputs={**found.outputs, **outputs}))
    unit.journal.record(events.OutputsTold(str(key), ", ".join(sorted(outputs))), actor, now)


def delete_record(unit: Unit, deployment_id: str, *, actor: Actor, now: datetime) -> None:
    """Delete the record of a deployment that has ended. Refused for the last one of its resource and for the last that
    succeeded, which tell what runs. The journal keeps that it was."""
    require(actor, Act.ENROLL)
    found = unit.deployments.get(deployment_id)
    resource = unit.fleet.find(found.resource)
    require(actor, Act.ENROLL, resource.owner if resource else None, found.resource.short)
    if found.status.under_way:
        raise CallerError(f"deployment {found.id} is under way", cure="wait until it has ended")
    if resource is not None and found.id in (resource.last_deployment, resource.last_succeeded_deployment):
        raise CallerError(f"deployment {found.id} tells what {found.resource.short} runs", cure="delete older ones")
    unit.deployments.remove(found.id)
    unit.journal.record(events.DeploymentDeleted(str(found.resource), found.id), actor, now)
