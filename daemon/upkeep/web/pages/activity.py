"""The activity page."""

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from upkeep.domain.errors import CallerError
from upkeep.flows.browse.activity import KINDS, activity
from upkeep.web.rooms import rooms

blueprint = Blueprint("activity", __name__, url_prefix="/activity")


@blueprint.get("")
def show() -> ResponseReturnValue:
    """Who did what, newest first."""
    before = request.args.get("before", "")
    if before and not (before.isdecimal() and len(before) < 19):
        raise CallerError(f"`{before}` is no place in the activity", cure="start from its first page")
    wanted = {name: request.args.get(name, "").strip() or None for name in ("subject", "kind", "actor")}
    with rooms().store.read() as unit:
        view = activity(unit, before=int(before) if before else None, **wanted)
    return render_template("activity.html", view=view, wanted=wanted, kinds=KINDS)
