"""Sources and their deliveries."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from upkeep.domain.deliveries import DeliveryStatus
from upkeep.domain.errors import CallerError
from upkeep.flows import follow
from upkeep.flows.browse import sources as browse
from upkeep.flows.browse import stamps
from upkeep.web import live
from upkeep.web.identity import actor
from upkeep.web.places import inside
from upkeep.web.rooms import rooms

blueprint = Blueprint("sources", __name__, url_prefix="/sources")


@blueprint.get("")
def sources() -> ResponseReturnValue:
    """All sources, and what GitHub delivered last."""
    wanted = request.args.get("status", "")
    if wanted and wanted not in list(DeliveryStatus):
        raise CallerError(f"`{wanted}` is no outcome", cure=f"choose one of {', '.join(DeliveryStatus)}")
    here = rooms()
    with here.store.read() as unit:
        view = browse.sources(
            unit, here.clock(), DeliveryStatus(wanted) if wanted else None, request.args.get("after", "")
        )
    hook = here.public_url.rstrip("/") + url_for("hooks.github")
    return render_template(
        "sources.html", view=view, wanted=wanted, outcomes=[(each, each) for each in DeliveryStatus], hook=hook
    )


@blueprint.get("/<name>")
def source(name: str) -> ResponseReturnValue:
    """One source."""
    here = rooms()
    with here.store.read() as unit:
        if live.unchanged(stamps.source(unit, name)):
            return live.NOTHING_NEW
        view = browse.source(unit, name, here.clock())
    return render_template("source.html", view=view, source=view.source)


@blueprint.post("/<name>/sync")
def sync(name: str) -> ResponseReturnValue:
    """Ask for a sync; the worker does it."""
    here = rooms()
    with here.store.write() as unit:
        follow.ask(unit, name, actor=actor(), now=here.clock())
    here.store.ring()
    flash(f"{name} is asked to sync. New drafts appear here within moments.")
    target = request.form.get("next")
    return redirect(inside(target) if target else url_for(".source", name=name), 303)
