"""The fleet page."""

from enum import StrEnum
from typing import TypeVar

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from upkeep.domain.errors import CallerError
from upkeep.domain.lag import Standing
from upkeep.domain.names import ResourceKind
from upkeep.flows.browse.fleet import COUNTED_TO, PLAIN, fleet
from upkeep.flows.ports import FleetFilter
from upkeep.web.rooms import rooms

blueprint = Blueprint("fleet", __name__)

FAILED = "failed"
BEHIND = "behind"

_Chosen = TypeVar("_Chosen", bound=StrEnum)


@blueprint.get("/")
def show() -> ResponseReturnValue:
    """Every resource, worst first. The address is the state of the filter."""
    wanted = wanted_resources()
    with rooms().store.read() as unit:
        view = fleet(unit, wanted, request.args.get("after") or None)
    statuses = [(FAILED, "last deployment failed"), (BEHIND, "behind, minor or major"), *PLAIN.items()]
    return render_template(
        "fleet.html",
        view=view,
        statuses=statuses,
        kinds=list(ResourceKind),
        counted_to=COUNTED_TO,
        filtered=wanted != FleetFilter(),
    )


def wanted_resources() -> FleetFilter:
    """The filter that the address names."""
    status = request.args.get("status", "")
    return FleetFilter(
        search=request.args.get("search", "").strip(),
        template=request.args.get("template", ""),
        owner=request.args.get("owner", ""),
        kind=_choice(ResourceKind, "kind", request.args.get("kind", "")),
        standing=None if status in (FAILED, BEHIND) else _choice(Standing, "status", status),
        failed=status == FAILED,
        behind=status == BEHIND,
    )


def _choice(among: type[_Chosen], what: str, text: str) -> _Chosen | None:
    if not text:
        return None
    if text not in list(among):
        raise CallerError(f"`{text}` is no {what}", cure=f"choose one of {', '.join(among)}")
    return among(text)
