"""Environments, services, instances and pipelines, and the form that updates them."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlencode

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from upkeep.domain.errors import CallerError, Conflict, Forbidden, SignedOut, UpkeepError, reaction
from upkeep.domain.names import ResourceKey, environment_key, instance_key, parse_version, pipeline_key
from upkeep.domain.people import Act, may, require
from upkeep.domain.previews import PreviewGroup
from upkeep.domain.resources import Inputs
from upkeep.flows import deploy, enroll, preview
from upkeep.flows import plan as plans
from upkeep.flows.browse import resources as browse
from upkeep.flows.browse import stamps
from upkeep.flows.browse.fleet import first_step
from upkeep.flows.browse.plans import plan_of
from upkeep.flows.browse.updates import UpdateView, filled_in, update_form
from upkeep.web import live
from upkeep.web.identity import actor
from upkeep.web.rooms import rooms
from upkeep.web.wording import resource_url

blueprint = Blueprint("resources", __name__)

INPUT = "input."
"""What the names of input fields begin with, so that they cannot be mistaken for the form's own."""


@dataclass(frozen=True, slots=True)
class _Typed:
    """A form that was sent and could not be followed: what was typed, None when the form did not ask for inputs, and
    what is wrong with it."""

    texts: Mapping[str, str] | None
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


@blueprint.post("/environments/<name>/plan")
def environment_plan(name: str) -> ResponseReturnValue:
    """Ask what moving an environment would change in its stack."""
    return _check(environment_key(name))


@blueprint.post("/services/<service>/instances/<name>/plan")
def instance_plan(service: str, name: str) -> ResponseReturnValue:
    """Ask what moving an instance would change in its stack."""
    return _check(instance_key(service, name))


@blueprint.post("/services/<service>/pipeline/plan")
def pipeline_plan(service: str) -> ResponseReturnValue:
    """Ask what moving a pipeline would change in its stack."""
    return _check(pipeline_key(service))


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
        if live.unchanged(stamps.resource(unit, key)):
            return live.NOTHING_NEW
        view = browse.resource(unit, key)
    return render_template("resource.html", view=view, resource=view.resource, key=key)


def _update(key: ResourceKey) -> ResponseReturnValue:
    if request.method == "GET":
        with rooms().store.read() as unit:
            if live.unchanged(stamps.update(unit, key, request.args.get("plan", ""))):
                return live.NOTHING_NEW
        return _form(key)
    require(actor(), Act.UPDATE)
    if request.form.get("plan"):
        return _approve(key, request.form["plan"])
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


def _check(key: ResourceKey) -> ResponseReturnValue:
    """Ask for a plan with what the form says."""
    require(actor(), Act.UPDATE)
    here = rooms()
    to = parse_version(request.form.get("to", ""))
    with here.store.read() as unit:
        view = update_form(unit, key, to, drafts=True)
    texts = {name.removeprefix(INPUT): text for name, text in request.form.items() if name.startswith(INPUT)}
    inputs: Inputs
    inputs, wrong = filled_in(view.fields, texts, view.given)
    if request.form.get("inputs_then") == "yes" and view.then is not None:
        inputs, wrong = view.then, {}
    try:
        if wrong:
            raise CallerError("some inputs cannot be read", cure="mend those marked below and send the form again")
        with here.store.write() as unit:
            asked = plans.ask(unit, key, to=to, inputs=inputs, actor=actor(), now=here.clock())
    except (SignedOut, Forbidden):
        raise
    except CallerError as fault:
        return _form(key, _Typed(texts, fault, wrong))
    here.store.ring()
    return redirect(f"{resource_url(key, 'update')}?{urlencode({'to': str(to), 'plan': asked.id})}", 303)


def _approve(key: ResourceKey, plan_id: str) -> ResponseReturnValue:
    """Deploy what a plan showed. If that does not hold any more, it is worked out anew and shown."""
    here = rooms()
    confirmed = request.form.get("confirmed", "").replace(",", " ").split()
    try:
        with here.store.write() as unit:
            asked = deploy.update(unit, key, plan=plan_id, confirmed=confirmed, actor=actor(), now=here.clock())
    except (SignedOut, Forbidden):
        raise
    except CallerError as fault:
        fresh = None
        with suppress(CallerError), here.store.write() as unit:
            fresh = plans.again(unit, plan_id, actor=actor(), now=here.clock())
        here.store.ring()
        return _form(key, _Typed(None, fault), fresh.id if fresh else plan_id)
    here.store.ring()
    return redirect(url_for("deployments.deployment", deployment_id=asked.id), 303)


def _form(key: ResourceKey, typed: _Typed | None = None, plan_id: str | None = None) -> ResponseReturnValue:
    to = request.values.get("to")
    with rooms().store.read() as unit:
        checked = plan_of(unit, key, plan_id or request.args.get("plan") or "")
        view = update_form(
            unit,
            key,
            checked.plan.version if checked else parse_version(to) if to else None,
            drafts=may(actor(), Act.REVIEW),
            inputs=checked.plan.inputs if checked else None,
        )
    difference, unplanned = _difference(key, view)
    page = render_template(
        "update.html",
        view=view,
        resource=view.resource,
        key=key,
        typed=typed,
        checked=checked,
        plan=difference,
        unplanned=unplanned,
        action=resource_url(key, "update"),
    )
    return page, reaction(typed.fault).status if typed else 200


def _difference(key: ResourceKey, view: UpdateView) -> tuple[PreviewGroup | None, UpkeepError | None]:
    """What the update would change with the inputs as they are, or why that cannot be told."""
    here = rooms()
    if view.resource.version in (None, view.chosen.version):
        return None, None
    try:
        return preview.preview_resource(here.store, here.renderer, key, view.chosen.version), None
    except UpkeepError as fault:
        return None, fault
