"""Moving a resource: the form with its inputs, what that would change, and the order to do it."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlencode

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from upkeep.domain import forms
from upkeep.domain.errors import CallerError, Conflict, Forbidden, SignedOut, UpkeepError, reaction
from upkeep.domain.forms import FilledIn
from upkeep.domain.names import ResourceKey, parse_version
from upkeep.domain.people import Act, may, require
from upkeep.domain.previews import PreviewGroup
from upkeep.domain.resources import Inputs
from upkeep.flows import deploy, preview
from upkeep.flows import plan as plans
from upkeep.flows.browse.plans import plan_of
from upkeep.flows.browse.updates import UpdateView, update_form
from upkeep.web.identity import actor
from upkeep.web.pages.resources import of_each
from upkeep.web.rooms import rooms
from upkeep.web.wording import resource_url

INPUT = "input"
"""What the names of input fields begin with, so that they cannot be mistaken for the form's own."""

_UNREADABLE = CallerError("some inputs do not fit", cure="mend those named below and send the form again")


@dataclass(frozen=True, slots=True)
class _Typed:
    """A form that was sent and is shown again: what was typed, None when it did not ask for inputs, what is wrong with
    it, and what gets the focus because an item came or went."""

    texts: Mapping[str, str] | None
    fault: CallerError | None = None
    wrong: Mapping[str, str] = field(default_factory=dict)
    change: str = ""


def typed_texts(*prefixes: str) -> dict[str, str]:
    """What was typed into the fields whose names begin with one of the prefixes; the last of several under one name,
    as a box that is not ticked has only a hidden one."""
    return {
        name: texts[-1]
        for name, texts in request.form.lists()
        if any(name == prefix or name.startswith((f"{prefix}.", f"{prefix}~")) for prefix in prefixes)
    }


def focus_after(change: str) -> str:
    """What gets the focus when an item came or went: the button that adds another."""
    verb, _, name = change.partition(":")
    return f"list:{name.rpartition('.')[0] if verb == 'remove' else name}"


@of_each("update", "GET", "POST")
def update(key: ResourceKey) -> ResponseReturnValue:
    """The form that moves a resource."""
    if request.method == "GET":
        return _form(key)
    require(actor(), Act.UPDATE)
    if request.form.get("plan"):
        return _approve(key, request.form["plan"])
    texts = typed_texts(INPUT)
    if request.form.get("change"):
        return _form(key, _Typed(texts, change=request.form["change"]))
    here = rooms()
    to = parse_version(request.form.get("to", ""))
    view = _typed_view(key, texts)
    require(actor(), Act.UPDATE, view.resource.owner, key.short)
    filled = _filled(view)
    then = request.form.get("inputs_then") == "yes"
    try:
        if filled.faults and not then:
            raise _UNREADABLE
        with here.store.write() as unit:
            if (unit.fleet.get(key).last_deployment or "") != request.form.get("seen", ""):
                raise Conflict(
                    f"{key.short} was deployed since you opened this page",
                    cure="look at what it runs now and at the new difference, then send the form again",
                )
            asked = deploy.update(
                unit,
                key,
                to=to,
                inputs=None if then or filled.inputs == view.resource.inputs else filled.inputs,
                inputs_then=then,
                recreate=request.form.get("recreate") == "yes",
                actor=actor(),
                now=here.clock(),
            )
    except (SignedOut, Forbidden):
        raise
    except CallerError as fault:
        return _form(key, _Typed(texts, fault, filled.faults))
    here.store.ring()
    return redirect(url_for("deployments.deployment", deployment_id=asked.id), 303)


@of_each("plan", "POST")
def check(key: ResourceKey) -> ResponseReturnValue:
    """Ask what moving a resource would change in its stack, with what the form says."""
    require(actor(), Act.UPDATE)
    here = rooms()
    to = parse_version(request.form.get("to", ""))
    texts = typed_texts(INPUT)
    view = _typed_view(key, texts)
    require(actor(), Act.UPDATE, view.resource.owner, key.short)
    filled = _filled(view)
    if request.form.get("inputs_then") == "yes" and view.then is not None:
        filled = FilledIn(dict(view.then), {})
    try:
        if filled.faults:
            raise _UNREADABLE
        with here.store.write() as unit:
            asked = plans.ask(unit, key, to=to, inputs=filled.inputs, actor=actor(), now=here.clock())
    except (SignedOut, Forbidden):
        raise
    except CallerError as fault:
        return _form(key, _Typed(texts, fault, filled.faults))
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


def _typed_view(key: ResourceKey, texts: Mapping[str, str]) -> UpdateView:
    """The form as it was sent. One that was begun with the inputs of a plan says so, in `base`."""
    with rooms().store.read() as unit:
        base = plan_of(unit, key, request.form.get("base", ""))
        to = parse_version(request.form.get("to", ""))
        inputs = base.plan.inputs if base else None
        return update_form(unit, key, to, drafts=True, inputs=inputs, typed=texts)


def _filled(view: UpdateView) -> FilledIn:
    return forms.filled_in(view.form) if view.form else FilledIn(dict(view.given), {})


def _form(key: ResourceKey, typed: _Typed | None = None, plan_id: str | None = None) -> ResponseReturnValue:
    to = request.values.get("to")
    with rooms().store.read() as unit:
        checked = plan_of(unit, key, plan_id or request.args.get("plan") or "")
        base = checked or plan_of(unit, key, request.form.get("base", ""))
        inputs: Inputs | None = base.plan.inputs if base else None
        view = update_form(
            unit,
            key,
            checked.plan.version if checked else parse_version(to) if to else None,
            drafts=may(actor(), Act.REVIEW),
            inputs=inputs,
            typed=typed.texts if typed else None,
            change=typed.change if typed else "",
        )
    difference, unplanned = _difference(key, view)
    page = render_template(
        "update.html",
        view=view,
        resource=view.resource,
        key=key,
        typed=typed,
        grown=focus_after(typed.change) if typed and typed.change else "",
        faults=typed.wrong if typed else {},
        checked=checked,
        base=base,
        plan=difference,
        unplanned=unplanned,
        action=resource_url(key, "update"),
    )
    return page, reaction(typed.fault).status if typed and typed.fault else 200


def _difference(key: ResourceKey, view: UpdateView) -> tuple[PreviewGroup | None, UpkeepError | None]:
    """What the update would change with the inputs as they are, or why that cannot be told."""
    here = rooms()
    if view.resource.version in (None, view.chosen.version):
        return None, None
    try:
        return preview.preview_resource(here.store, here.renderer, key, view.chosen.version), None
    except UpkeepError as fault:
        return None, fault
