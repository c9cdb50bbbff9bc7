"""Rollouts: many resources updated together, from the page that names them to the one that shows how far it is."""

from collections.abc import Collection

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from upkeep.domain.errors import CallerError, Conflict
from upkeep.domain.names import ResourceKey, TemplateName, Version, parse_resource_key, parse_version
from upkeep.domain.people import Act, require
from upkeep.domain.rollouts import AT_ONCE, FAILURES, Member, Turn
from upkeep.flows import rollout as flow
from upkeep.flows.ports import FleetFilter, FleetOrder, Unit
from upkeep.flows.rollout import PARALLEL_AT_MOST, Wish
from upkeep.web.identity import actor
from upkeep.web.pages.fleet import wanted_resources
from upkeep.web.rooms import rooms

blueprint = Blueprint("rollouts", __name__, url_prefix="/rollouts")

SHOWN = 50
"""Rollouts on their page."""

TOGETHER_AT_MOST = 500
"""Resources that can be chosen on pages; the command line takes any number."""


@blueprint.get("")
def rollouts() -> ResponseReturnValue:
    """The latest rollouts."""
    with rooms().store.read() as unit:
        found = unit.rollouts.recent(SHOWN)
    return render_template("rollouts.html", rows=found, Turn=Turn)


@blueprint.get("/new")
def confirm() -> ResponseReturnValue:
    """What would be updated, what is left out, and why: of the chosen resources, or of all that a filter shows."""
    majors = request.args.get("majors") == "yes"
    with rooms().store.read() as unit:
        keys = {parse_resource_key(text) for text in request.args.getlist("key")} or _shown(unit, wanted_resources())
        found = _members(unit, keys, majors)
    members = [member for part in found.values() for member in part]
    return render_template(
        "rollout_new.html",
        found=found,
        keys=sorted(keys),
        taken=[member for member in members if member.turn is Turn.WAITING],
        left_out=[member for member in members if member.turn is Turn.LEFT_OUT],
        majors=majors,
        at_once=AT_ONCE,
        failures=FAILURES,
        parallel_at_most=PARALLEL_AT_MOST,
    )


@blueprint.post("")
def start() -> ResponseReturnValue:
    """Start what was confirmed, one rollout for each template."""
    require(actor(), Act.UPDATE)
    here = rooms()
    majors = request.form.get("majors") == "yes"
    keys = {parse_resource_key(text) for text in request.form.getlist("key")}
    seen = dict(_read_seen(text) for text in request.form.getlist("seen"))
    terms = {"max_parallel": _number("max_parallel", AT_ONCE), "stop_after": _number("stop_after", FAILURES)}
    begun = []
    with here.store.write() as unit:
        by_template = _by_template(unit, keys | seen.keys())
        for template, of_template in by_template.items():
            confirmed = {(key, to) for key, to in seen.items() if key in of_template}
            if confirmed:
                wish = Wish(template, majors=majors, keys=of_template)
                begun.append(flow.start(unit, wish, seen=confirmed, actor=actor(), now=here.clock(), **terms))
        if not begun:
            raise Conflict("nothing was chosen that could be updated", cure="choose resources that are behind")
    here.store.ring()
    if len(begun) > 1:
        return redirect(url_for(".rollouts"), 303)
    return redirect(url_for(".rollout", rollout_id=begun[0].id), 303)


@blueprint.get("/<rollout_id>")
def rollout(rollout_id: str) -> ResponseReturnValue:
    """One rollout and how far it is."""
    with rooms().store.read() as unit:
        found = unit.rollouts.get(rollout_id)
        foreign = flow.foreign(unit, found, actor())
    return render_template("rollout.html", rollout=found, Turn=Turn, foreign=foreign)


@blueprint.post("/<rollout_id>/pause")
def pause(rollout_id: str) -> ResponseReturnValue:
    """Ask for nothing more for now."""
    here = rooms()
    with here.store.write() as unit:
        flow.pause(unit, rollout_id, actor=actor(), now=here.clock())
    flash("The rollout is paused. What is under way goes on.")
    return redirect(url_for(".rollout", rollout_id=rollout_id), 303)


@blueprint.post("/<rollout_id>/resume")
def resume(rollout_id: str) -> ResponseReturnValue:
    """Let it go on."""
    here = rooms()
    with here.store.write() as unit:
        flow.resume(unit, rollout_id, actor=actor(), now=here.clock())
    here.store.ring()
    flash("The rollout goes on.")
    return redirect(url_for(".rollout", rollout_id=rollout_id), 303)


@blueprint.post("/<rollout_id>/stop")
def stop(rollout_id: str) -> ResponseReturnValue:
    """End it."""
    here = rooms()
    with here.store.write() as unit:
        flow.stop(unit, rollout_id, routing=here.routing, actor=actor(), now=here.clock())
    here.store.ring()
    flash("The rollout is stopped. What is under way goes on.")
    return redirect(url_for(".rollout", rollout_id=rollout_id), 303)


def _shown(unit: Unit, wanted: FleetFilter) -> set[ResourceKey]:
    page = unit.fleet.page(wanted, FleetOrder.WORST, None, TOGETHER_AT_MOST)
    if page.next is not None:
        raise CallerError(
            f"more than {TOGETHER_AT_MOST} resources fit", cure="narrow the filter, or use `upkeep update`"
        )
    return {resource.key for resource in page.resources}


def _by_template(unit: Unit, keys: Collection[ResourceKey]) -> dict[TemplateName, set[ResourceKey]]:
    found: dict[TemplateName, set[ResourceKey]] = {}
    for key in sorted(keys):
        found.setdefault(unit.fleet.get(key).template, set()).add(key)
    return found


def _members(unit: Unit, keys: Collection[ResourceKey], majors: bool) -> dict[TemplateName, tuple[Member, ...]]:
    return {
        template: flow.members(unit, Wish(template, majors=majors, keys=of_template), actor=actor())
        for template, of_template in _by_template(unit, keys).items()
    }


def _read_seen(text: str) -> tuple[ResourceKey, Version]:
    key, _, version = text.partition(">")
    return parse_resource_key(key), parse_version(version)


def _number(name: str, default: int) -> int:
    text = request.form.get(name, "").strip() or str(default)
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise CallerError(f"`{text}` is not a number", cure="write a whole number")
    return int(text)
