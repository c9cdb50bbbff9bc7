"""Moving a resource: the form with its inputs, what that would change, and the order to do it."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlencode

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from upkeep.domain import forms
from upkeep.domain.errors import CallerError, Conflict, Forbidden, SignedOut, UpkeepError, reaction
from upkeep.domain.forms import FilledIn, Form
from upkeep.domain.names import ResourceKey, parse_version
from upkeep.domain.outlines import section_changes
from upkeep.domain.people import Act, may, require
from upkeep.domain.previews import PreviewGroup
from upkeep.domain.resources import Inputs
from upkeep.flows import deploy, preview
from upkeep.flows import plan as plans
from upkeep.flows.browse import stamps
from upkeep.flows.browse.comparisons import resource_difference
from upkeep.flows.browse.plans import plan_of
from upkeep.flows.browse.updates import UpdateView, update_form
from upkeep.web import live
from upkeep.web.diffs import Reading
from upkeep.web.identity import actor
from upkeep.web.pages.resources import of_each
from upkeep.web.rooms import rooms
from upkeep.web.wording import resource_url

INPUT = "input"
"""What the names of input fields begin with, so that they cannot be mistaken for the form's own."""

VERSION = "version"
"""The change of a form that asks for the inputs of another version, named by `other`."""

_UNREADABLE = CallerError("some inputs do not fit", cure="mend those named below and send the form again")


@dataclass(frozen=True, slots=True)
class _Typed:
    """A form that was sent and is shown again: what was typed, None when it did not ask for inputs, what is wrong with
    it, and how it is to change: an item came or went, which gets the focus, or another `VERSION` was chosen."""

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


def focus_after(change: str, *shown: Form | None) -> str:
    """What gets the focus when an item came or went: the new item, else the button that adds another."""
    verb, _, name = change.partition(":")
    if not name:
        return ""
    if verb == "remove":
        return f"list:{name.rpartition('.')[0]}"
    held = (field for form in shown if form is not None for field in form.walk() if field.name == name)
    return next((field.members[-1].name for field in held if field.members), f"list:{name}")


@of_each("update", "GET", "POST")
def update(key: ResourceKey) -> ResponseReturnValue:
    """The form that moves a resource."""
    if request.method == "GET":
        with rooms().store.read() as unit:
            if live.unchanged(stamps.update(unit, key, request.args.get("plan", ""))):
                return live.NOTHING_NEW
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


@of_each("diff")
def diff(key: ResourceKey) -> ResponseReturnValue:
    """The rendered difference with the inputs as they are, to the version in `to` or else to the one it should take;
    with `show=after` the template that would be deployed."""
    to, after = request.args.get("to"), request.args.get("show") == "after"
    here = rooms()
    with here.store.read() as unit:
        view = resource_difference(unit, key, parse_version(to) if to else None)
    found, fault = None, None
    if view.to is not None:
        try:
            found = preview.preview_resource(here.store, here.renderer, key, view.to)
        except UpkeepError as refused:
            fault = refused
    reading = Reading(request.args, resource_url(key, "diff"), to=to, show="after" if after else None)
    shown = None
    if found is not None and found.diff and after:
        shown = reading.lay_file(
            f"Template of {key.short} at {view.to}", [line for block in found.blocks for line in block.new]
        )
    elif found is not None and found.diff:
        shown = reading.lay(str(key), f"Rendered change of {key.short}", found.blocks)
    return render_template(
        "difference.html",
        view=view,
        resource=view.resource,
        key=key,
        found=found,
        fault=fault,
        sections=section_changes(found.blocks) if found and found.diff and not after else (),
        reading=reading,
        shown=shown,
        after=after,
    )


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
    to = request.values.get("other" if typed and typed.change == VERSION else "to")
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
    reading = Reading(request.args, resource_url(key, "update"), to=to)
    shown = None
    if difference is not None and difference.diff:
        own = f"{resource_url(key, 'diff')}?{urlencode({'to': str(view.chosen.version)})}"
        shown = reading.lay(str(key), f"the rendered change of {key.short}", difference.blocks, own)
    page = render_template(
        "update.html",
        view=view,
        resource=view.resource,
        key=key,
        typed=typed,
        grown=focus_after(typed.change, view.form) if typed and typed.change else "",
        faults=typed.wrong if typed else {},
        checked=checked,
        base=base,
        plan=difference,
        reading=reading,
        shown=shown,
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
