"""What its owner decides about a resource or a service: whose it is, when to be quiet, and when it goes."""

from flask import flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from upkeep.domain.errors import CallerError
from upkeep.domain.names import ResourceKey, ResourceKind
from upkeep.domain.people import Act, require
from upkeep.domain.resources import Repository
from upkeep.domain.snoozes import parse_length
from upkeep.flows import enroll
from upkeep.flows import snooze as snoozes
from upkeep.web.identity import actor
from upkeep.web.pages.resources import blueprint, of_each
from upkeep.web.rooms import rooms
from upkeep.web.wording import count, resource_url

_REMOVABLE = (ResourceKind.ENVIRONMENT, ResourceKind.INSTANCE)
"""A pipeline goes with its service."""


@of_each("snooze", "POST")
def snooze(key: ResourceKey) -> ResponseReturnValue:
    """Do not tell of its lag for a while."""
    here = rooms()
    length = parse_length(request.form.get("for", ""))
    with here.store.write() as unit:
        snoozes.snooze(unit, key, length, actor=actor(), now=here.clock())
    flash(f"{key.short} is snoozed.")
    return redirect(resource_url(key), 303)


@of_each("wake", "POST")
def wake(key: ResourceKey) -> ResponseReturnValue:
    """End its snooze."""
    here = rooms()
    with here.store.write() as unit:
        snoozes.wake(unit, key, actor=actor(), now=here.clock())
    flash(f"{key.short} is not snoozed any more.")
    return redirect(resource_url(key), 303)


@of_each("owner", "POST")
def give(key: ResourceKey) -> ResponseReturnValue:
    """Name another owner."""
    here = rooms()
    owner = request.form.get("owner", "").strip() or None
    with here.store.write() as unit:
        enroll.give(unit, key, owner, actor=actor(), now=here.clock())
    flash(f"{key.short} belongs to {owner or 'nobody'} now.")
    return redirect(resource_url(key), 303)


@of_each("delete", "POST", kinds=_REMOVABLE)
def delete(key: ResourceKey) -> ResponseReturnValue:
    """Delete its stack, then its record."""
    require(actor(), Act.ENROLL)
    _require_name(key.short)
    here = rooms()
    with here.store.write() as unit:
        asked = enroll.delete_resource(unit, key, actor=actor(), now=here.clock())
    here.store.ring()
    return redirect(url_for("deployments.deployment", deployment_id=asked.id), 303)


@of_each("forget", "POST", kinds=_REMOVABLE)
def forget(key: ResourceKey) -> ResponseReturnValue:
    """Take it off the books and leave its stack."""
    require(actor(), Act.ENROLL)
    _require_yes()
    here = rooms()
    with here.store.write() as unit:
        enroll.forget(unit, key, actor=actor(), now=here.clock())
    flash(f"{key.short} is forgotten. Its stack stays as it is.")
    if key.service is not None:
        return redirect(url_for("resources.service", service=key.service), 303)
    return redirect(url_for("resources.environments"), 303)


@blueprint.post("/services/<service>/delete")
def service_delete(service: str) -> ResponseReturnValue:
    """Delete the stacks of all its parts, then its record."""
    require(actor(), Act.ENROLL)
    _require_name(service)
    here = rooms()
    with here.store.write() as unit:
        enroll.delete_service(unit, service, actor=actor(), now=here.clock())
    here.store.ring()
    flash(f"{service} is being deleted. It goes with the last of its parts.")
    return redirect(url_for("resources.service", service=service), 303)


@blueprint.post("/services/<service>/forget")
def service_forget(service: str) -> ResponseReturnValue:
    """Take a service with all its parts off the books."""
    require(actor(), Act.ENROLL)
    _require_yes()
    here = rooms()
    with here.store.write() as unit:
        enroll.forget_service(unit, service, actor=actor(), now=here.clock())
    flash(f"{service} is forgotten. Its stacks stay as they are.")
    return redirect(url_for("resources.services"), 303)


@blueprint.post("/services/<service>/repository")
def service_repository(service: str) -> ResponseReturnValue:
    """Name another application repository."""
    here = rooms()
    with here.store.write() as unit:
        enroll.change_repository(unit, service, typed_repository(), actor=actor(), now=here.clock())
    flash(f"The repository of {service} is changed. Templates see it from the next deployment of each part on.")
    return redirect(url_for("resources.service", service=service), 303)


@blueprint.post("/services/<service>/owner")
def service_owner(service: str) -> ResponseReturnValue:
    """Name another owner of a service and of the parts that were theirs."""
    here = rooms()
    owner = request.form.get("owner", "").strip() or None
    with here.store.write() as unit:
        given = enroll.give_service(unit, service, owner, actor=actor(), now=here.clock())
    flash(f"{service} belongs to {owner or 'nobody'} now, with {count(len(given), 'part')} of it.")
    return redirect(url_for("resources.service", service=service), 303)


def typed_repository() -> Repository:
    """The application repository that a form names."""
    return Repository(
        *(request.form.get(name, "").strip() for name in ("branch_name", "repository_id", "repository_connection_arn"))
    )


def _require_yes() -> None:
    if request.form.get("sure") != "yes":
        raise CallerError("nobody said yes to forgetting it", cure="tick the box and send the form again")


def _require_name(name: str) -> None:
    if request.form.get("confirmed", "").strip() != name:
        raise CallerError(
            f"the name typed is not `{name}`, so nothing was deleted", cure=f"go back and type `{name}` to delete it"
        )
