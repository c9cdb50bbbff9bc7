"""The activity page, and the same as a file."""

from datetime import UTC, date, datetime, time, timedelta

from flask import Blueprint, Response, render_template, request
from flask.typing import ResponseReturnValue

from upkeep.domain.errors import CallerError
from upkeep.domain.people import Via
from upkeep.flows.browse.activity import KINDS, ActivityFilter, activity
from upkeep.web import exports
from upkeep.web.rooms import rooms

blueprint = Blueprint("activity", __name__, url_prefix="/activity")

COLUMNS = ("id", "at", "actor", "via", "kind", "subject", "sentence", "before", "after", "facts")
"""The names of what a file tells of each entry. They stay as they are; new ones come at the end."""


@blueprint.get("")
def show() -> ResponseReturnValue:
    """Who did what, newest first."""
    before = request.args.get("before", "")
    if before and not (before.isdecimal() and len(before) < 19):
        raise CallerError(f"`{before}` is no place in the activity", cure="start from its first page")
    wanted = _wanted()
    with rooms().store.read() as unit:
        view = activity(unit, wanted, int(before) if before else None)
    return render_template(
        "activity.html",
        view=view,
        wanted=wanted,
        filtered=wanted != ActivityFilter(),
        kinds=[(kind, kind.replace("_", " ")) for kind in KINDS],
        doors=[(via, via) for via in Via],
    )


@blueprint.get("/export.csv")
def as_csv() -> Response:
    """All entries that the filter leaves, newest first."""
    here, wanted = rooms(), _wanted()

    def read(cursor: str | None) -> tuple[exports.Rows, str | None]:
        with here.store.read() as unit:
            view = activity(unit, wanted, None if cursor is None else int(cursor), exports.PIECE)
        rows = [
            {
                "id": row.entry.id,
                "at": row.entry.at,
                "actor": row.entry.actor,
                "via": row.entry.via.value,
                "kind": row.entry.kind,
                "subject": row.entry.subject,
                "sentence": row.sentence,
                "before": row.change[0] if row.change else None,
                "after": row.change[1] if row.change else None,
                "facts": row.entry.facts,
            }
            for row in view.rows
        ]
        return rows, None if view.next is None else str(view.next)

    return exports.as_csv("activity.csv", COLUMNS, exports.pieces(read))


def _wanted() -> ActivityFilter:
    """The filter that the address names. `since` and `until` are days in UTC, both of them shown."""
    via = request.args.get("via", "")
    if via and via not in list(Via):
        raise CallerError(f"`{via}` is no door", cure=f"choose one of {', '.join(Via)}")
    until = _day("until")
    return ActivityFilter(
        via=Via(via) if via else None,
        since=_day("since"),
        until=until + timedelta(days=1) if until else None,
        **{name: request.args.get(name, "").strip() or None for name in ("subject", "kind", "actor")},
    )


def _day(name: str) -> datetime | None:
    text = request.args.get(name, "")
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise CallerError(f"`{text}` is no day", cure="write it as YYYY-MM-DD") from None
    if not 1970 <= day.year <= 9998:
        raise CallerError(f"`{text}` is no day of this daemon", cure="choose a year from 1970 on")
    return datetime.combine(day, time(), UTC)
