"""Templates, their versions, and the review of a draft."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from upkeep.domain.errors import Conflict, reaction
from upkeep.domain.names import TemplateName, Version, parse_version
from upkeep.flows import plan
from upkeep.flows import review as decisions
from upkeep.flows.browse import registry, stamps
from upkeep.web import live
from upkeep.web.identity import actor
from upkeep.web.rooms import rooms

blueprint = Blueprint("registry", __name__, url_prefix="/templates")


@blueprint.get("")
def templates() -> ResponseReturnValue:
    """All templates."""
    with rooms().store.read() as unit:
        rows = registry.templates(unit)
        followed = bool(unit.sources.list())
    return render_template("templates.html", rows=rows, followed=followed)


@blueprint.get("/<name>")
def template(name: str) -> ResponseReturnValue:
    """One template."""
    with rooms().store.read() as unit:
        if live.unchanged(stamps.template(unit, name)):
            return live.NOTHING_NEW
        view = registry.template(unit, name)
    return render_template("template.html", view=view)


@blueprint.get("/<name>/<number>")
def version(name: str, number: str) -> ResponseReturnValue:
    """One version."""
    with rooms().store.read() as unit:
        view = registry.version(unit, name, parse_version(number))
    return render_template("version.html", view=view, version=view.row.version)


@blueprint.get("/<name>/<number>/review")
def review(name: str, number: str) -> ResponseReturnValue:
    """A draft, with what publishing it would do."""
    with rooms().store.read() as unit:
        if live.unchanged(stamps.review(unit, name, parse_version(number))):
            return live.NOTHING_NEW
    return _review(name, parse_version(number))


@blueprint.post("/<name>/<number>/check")
def check(name: str, number: str) -> ResponseReturnValue:
    """Ask for a change set of every resource the draft could move."""
    here = rooms()
    with here.store.write() as unit:
        plan.check_draft(unit, TemplateName(name), parse_version(number), actor=actor(), now=here.clock())
    here.store.ring()
    return redirect(url_for(".review", name=name, number=number) + "#stacks", 303)


@blueprint.post("/<name>/<number>/publish")
def publish(name: str, number: str) -> ResponseReturnValue:
    """Publish the draft that was seen; another one under its number is shown first."""
    here = rooms()
    note = request.form.get("note", "")
    try:
        with here.store.write() as unit:
            done = decisions.publish(
                unit,
                TemplateName(name),
                parse_version(number),
                seen_tree=request.form.get("seen", ""),
                note=note,
                routing=here.routing,
                acknowledged=request.form.get("acknowledged") == "yes",
                actor=actor(),
                now=here.clock(),
            )
    except Conflict as conflict:
        return _review(name, parse_version(number), note=note, conflict=conflict)
    here.store.ring()
    recommended = " and is the recommended version now" if done.recommended == done.version.version else ""
    behind = "1 resource is" if done.behind == 1 else f"{done.behind} resources are"
    flash(f"{name} {number} is published{recommended}. {behind} behind.")
    return redirect(url_for(".template", name=name), 303)


@blueprint.post("/<name>/<number>/withdraw")
def withdraw(name: str, number: str) -> ResponseReturnValue:
    """Offer a published version no longer."""
    here = rooms()
    with here.store.write() as unit:
        left = decisions.withdraw(
            unit,
            TemplateName(name),
            parse_version(number),
            reason=request.form.get("reason", ""),
            actor=actor(),
            now=here.clock(),
        )
    flash(f"{name} {number} is withdrawn. " + (f"{left} is recommended." if left else "Nothing is recommended now."))
    return redirect(url_for(".template", name=name), 303)


@blueprint.post("/<name>/<number>/recommend")
def recommend(name: str, number: str) -> ResponseReturnValue:
    """Make a published version the recommended one."""
    here = rooms()
    with here.store.write() as unit:
        behind = decisions.recommend(unit, TemplateName(name), parse_version(number), actor=actor(), now=here.clock())
    flash(f"{name} {number} is recommended. {behind} resource{'s are' if behind != 1 else ' is'} behind.")
    return redirect(url_for(".template", name=name), 303)


@blueprint.post("/<name>/<number>/delete")
def delete(name: str, number: str) -> ResponseReturnValue:
    """Delete a version nobody runs; for a draft, discard it."""
    here = rooms()
    with here.store.write() as unit:
        decisions.delete(unit, TemplateName(name), parse_version(number), actor=actor(), now=here.clock())
    flash(f"{name} {number} is deleted. Its number will not be given again.")
    return redirect(url_for(".template", name=name), 303)


def _review(
    name: str, number: Version, *, note: str | None = None, conflict: Conflict | None = None
) -> ResponseReturnValue:
    compare_with = request.args.get("compare")
    with rooms().store.read() as unit:
        view = registry.review(unit, name, number, parse_version(compare_with) if compare_with else None)
    page = render_template(
        "review.html",
        view=view,
        draft=view.draft,
        note=view.draft.commit.subject if note is None else note,
        conflict=conflict,
    )
    return page, reaction(conflict).status if conflict else 200
