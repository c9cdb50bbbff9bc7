"""Environments, services, instances and pipelines, and the form that updates them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from upkeep.domain.errors import CallerError, Conflict, Forbidden, SignedOut, UpkeepError, reaction
from upkeep.domain.names import ResourceKey, environment_key, instance_key, parse_version, pipeline_key
from upkeep.domain.people import Act, may, require
from upkeep.domain.previews import PreviewGroup
from upkeep.flows import deploy, enroll, preview
from upkeep.flows.browse import resources as browse
from upkeep.flows.browse.fleet import first_step
from upkeep.flows.browse.updates import UpdateView, filled_in, update_form
from upkeep.web.identity import actor
from upkeep.web.rooms import rooms
from upkeep.web.wording import resource_url

blueprint = Blueprint("resources", __name__)

INPUT = "input."
"""What the names of input fields begin with, so that they cannot be mistaken for the form's own."""


@dataclass(frozen=True, slots=True)
class _Typed:
    """A form that was sent and could not be followed: what was typed, and what is wrong with it."""

    texts: Mapping[str, str]
    fault: CallerError
    wrong: Mapping[str, str] = field(default_factory=dict)


@blueprint.get("/environments")
def environments() -> ResponseReturnValue:
    """All environments."""
    with rooms().store.read() as unit:
        view = browse.environments(unit, request.args.get("after") or None)
        missing = None if view.rows else first_step(unit)
    return render_template("environments.html", view=view, missing=missing)


@blueprint.get("/environments/<name>")
def environment(name: str) -> ResponseReturnValue:
    """One environment."""
    return _show(environment_key(name))


@blueprint.get("/services")
def services() -> ResponseReturnValue:
    """All services."""
    with rooms().store.read() as unit:
        view = browse.services(unit, request.args.get("after", ""))
        missing = None if view.rows else first_step(unit)
    return render_template("services.html", view=view, missing=missing)


@blueprint.get("/services/<service>")
def service(service: str) -> ResponseReturnValue:
    """One service with its parts."""
    with rooms().store.read() as unit:
        row = browse.service(unit, service)
    return render_template("service.html", row=row, service=row.service)


@blueprint.get("/services/<service>/instances/<name>")
def instance(service: str, name: str) -> ResponseReturnValue:
    """One instance."""
    return _show(instance_key(service, name))


@blueprint.get("/services/<service>/pipeline")
def pipeline(service: str) -> ResponseReturnValue:
    """A service's pipeline."""
    return _show(pipeline_key(service))


@blueprint.route("/environments/<name>/update", methods=["GET", "POST"])
def environment_update(name: str) -> ResponseReturnValue:
    """The form that moves an environment."""
    return _update(environment_key(name))


@blueprint.route("/services/<service>/instances/<name>/update", methods=["GET", "POST"])
def instance_update(service: str, name: str) -> ResponseReturnValue:
    """The form that moves an instance."""
    return _update(instance_key(service, name))


@blueprint.route("/services/<service>/pipeline/update", methods=["GET", "POST"])
def pipeline_update(service: str) -> ResponseReturnValue:
    """The form that moves a pipeline."""
    return _update(pipeline_key(service))


@blueprint.post("/environments/<name>/forget")
def environment_forget(name: str) -> ResponseReturnValue:
    """Take an environment off the books."""
    return _forget(environment_key(name))


@blueprint.post("/services/<service>/instances/<name>/forget")
def instance_forget(service: str, name: str) -> ResponseReturnValue:
    """Take an instance off the books."""
    return _forget(instance_key(service, name))


@blueprint.post("/services/<service>/forget")
def service_forget(service: str) -> ResponseReturnValue:
    """Take a service with all its parts off the books."""
    require(actor(), Act.ENROLL)
    _require_yes()
    here = rooms()
    with here.store.write() as unit:
        enroll.forget_service(unit, service, actor=actor(), now=here.clock())
    flash(f"{service} is forgotten. Its stacks stay as they are.")
    return redirect(url_for(".services"), 303)


def _forget(key: ResourceKey) -> ResponseReturnValue:
    require(actor(), Act.ENROLL)
    _require_yes()
    here = rooms()
    with here.store.write() as unit:
        enroll.forget(unit, key, actor=actor(), now=here.clock())
    flash(f"{key.short} is forgotten. Its stack stays as it is.")
    if key.service is not None:
        return redirect(url_for(".service", service=key.service), 303)
    return redirect(url_for(".environments"), 303)


def _require_yes() -> None:
    if request.form.get("sure") != "yes":
        raise CallerError("nobody said yes to forgetting it", cure="tick the box and send the form again")


def _show(key: ResourceKey) -> ResponseReturnValue:
    with rooms().store.read() as unit:
        view = browse.resource(unit, key)
    return render_template("resource.html", view=view, resource=view.resource, key=key)


def _update(key: ResourceKey) -> ResponseReturnValue:
    if request.method == "GET":
        return _form(key)
    require(actor(), Act.UPDATE)
    here = rooms()
    to = parse_version(request.form.get("to", ""))
    with here.store.read() as unit:
        view = update_form(unit, key, to, drafts=True)
    texts = {name.removeprefix(INPUT): text for name, text in request.form.items() if name.startswith(INPUT)}
    inputs, wrong = filled_in(view.fields, texts, view.given)
    try:
        if wrong and request.form.get("inputs_then") != "yes":
            raise CallerError("some inputs cannot be read", cure="mend those marked below and send the form again")
        with here.store.write() as unit:
            if (unit.fleet.get(key).last_deployment or "") != request.form.get("seen", ""):
                raise Conflict(
                    f"{key.short} was deployed since you opened this page",
                    cure="look at what it runs now and at the new difference, then send the form again",
                )
            then = request.form.get("inputs_then") == "yes"
            asked = deploy.update(
                unit,
                key,
                to=to,
                inputs=None if then or inputs == view.given else inputs,
                inputs_then=then,
                recreate=request.form.get("recreate") == "yes",
                actor=actor(),
                now=here.clock(),
            )
    except (SignedOut, Forbidden):
        raise
    except CallerError as fault:
        return _form(key, _Typed(texts, fault, wrong))
    here.store.ring()
    return redirect(url_for("deployments.deployment", deployment_id=asked.id), 303)


def _form(key: ResourceKey, typed: _Typed | None = None) -> ResponseReturnValue:
    to = request.values.get("to")
    with rooms().store.read() as unit:
        view = update_form(unit, key, parse_version(to) if to else None, drafts=may(actor(), Act.REVIEW))
    plan, unplanned = _plan(key, view)
    page = render_template(
        "update.html",
        view=view,
        resource=view.resource,
        key=key,
        typed=typed,
        plan=plan,
        unplanned=unplanned,
        action=resource_url(key, "update"),
    )
    return page, reaction(typed.fault).status if typed else 200


def _plan(key: ResourceKey, view: UpdateView) -> tuple[PreviewGroup | None, UpkeepError | None]:
    """What the update would change with the inputs as they are, or why that cannot be told."""
    here = rooms()
    if view.resource.version in (None, view.chosen.version):
        return None, None
    try:
        return preview.preview_resource(here.store, here.renderer, key, view.chosen.version), None
    except UpkeepError as fault:
        return None, fault
