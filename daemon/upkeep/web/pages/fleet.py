"""The fleet page, and the same view as a file."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, TypeVar

from flask import Blueprint, Response, render_template, request
from flask.typing import ResponseReturnValue

from upkeep.domain.ages import working_days
from upkeep.domain.changesets import Risk
from upkeep.domain.errors import CallerError
from upkeep.domain.lag import Standing
from upkeep.domain.names import ResourceKind, TemplateName
from upkeep.domain.tallies import WHOLE_FLEET
from upkeep.flows.browse import trends
from upkeep.flows.browse.fleet import COUNTED_TO, PAGE, PLAIN, FleetRow, fleet, matching
from upkeep.flows.ports import FleetFilter, FleetOrder, Unit
from upkeep.web import charts, exports
from upkeep.web.charts import Chart
from upkeep.web.rooms import rooms

blueprint = Blueprint("fleet", __name__)

FAILED = "failed"
BEHIND = "behind"

STATUSES = ((FAILED, "last deployment failed"), (BEHIND, "behind, minor or major"), *PLAIN.items())
"""What a status filter offers."""

SIZES = (50, 100, 250)
"""Rows of a page that can be chosen."""

COLUMNS = (
    "resource",
    "kind",
    "name",
    "service",
    "environment",
    "owner",
    "template",
    "version",
    "due_version",
    "standing",
    "minors_behind",
    "majors_behind",
    "behind_since",
    "behind_for_working_days",
    "status",
    "waits_for_a_person",
    "if_you_update",
    "replaced",
    "snoozed_until",
    "snoozed_for",
    "last_deployment",
    "deployed_at",
)
"""The names of what a file tells of each resource. They stay as they are; new ones come at the end."""

_Chosen = TypeVar("_Chosen", bound=StrEnum)


@blueprint.get("/")
def show() -> ResponseReturnValue:
    """Every resource, worst first unless it is sorted otherwise. The address is the state of filter and order."""
    wanted = wanted_resources()
    order = _choice(FleetOrder, "order", request.args.get("sort", "")) or FleetOrder.WORST
    backwards = request.args.get("dir") == "desc"
    cursor = request.args.get("after") or None
    here = rooms()
    with here.store.read() as unit:
        view = fleet(unit, wanted, cursor, _size(), order, backwards=backwards)
        drawn = _charts(unit, wanted.template) if view.first_step is None and cursor is None else ()
    return render_template(
        "fleet.html",
        view=view,
        order=order,
        backwards=backwards,
        statuses=STATUSES,
        kinds=[(kind, kind) for kind in ResourceKind],
        sizes=[(str(size), str(size)) for size in SIZES],
        counted_to=COUNTED_TO,
        filtered=wanted != FleetFilter(),
        charts=drawn,
    )


@blueprint.get("/fleet.csv")
def as_csv() -> Response:
    """All resources that the filter leaves, by name."""
    return exports.as_csv("fleet.csv", COLUMNS, _pieces())


@blueprint.get("/fleet.json")
def as_json() -> Response:
    """The same, with a JSON object for each."""
    return exports.as_json("fleet.json", _pieces())


def wanted_resources() -> FleetFilter:
    """The filter that the address names."""
    status = request.args.get("status", "")
    return FleetFilter(
        search=request.args.get("search", "").strip(),
        template=request.args.get("template", "").strip(),
        owner=request.args.get("owner", "").strip(),
        environment=request.args.get("environment", "").strip(),
        kind=_choice(ResourceKind, "kind", request.args.get("kind", "")),
        standing=None if status in (FAILED, BEHIND) else _choice(Standing, "status", status),
        failed=status == FAILED,
        behind=status == BEHIND,
    )


def _pieces() -> Iterator[exports.Rows]:
    """The rows of a file. Each piece is a short transaction of its own, so that a slow reader holds up nobody."""
    here, wanted = rooms(), wanted_resources()

    def read(cursor: str | None) -> tuple[exports.Rows, str | None]:
        with here.store.read() as unit:
            rows, following = matching(unit, wanted, cursor, exports.PIECE)
        now = here.clock()
        return [
            _told(row, working_days(row.resource.lag.since, now) if row.resource.lag.since else None) for row in rows
        ], following

    return exports.pieces(read)


def _told(row: FleetRow, behind_for: int | None) -> Mapping[str, Any]:
    resource, lag, outlook = row.resource, row.resource.lag, row.outlook
    risk = outlook.risk if outlook is not None else Risk.NOT_CHECKED
    replaced = outlook and " ".join(c.logical_id for c in outlook.worst_first if c.risk is Risk.REPLACES)
    snooze = resource.snooze if lag.behind else None
    return dict(
        zip(
            COLUMNS,
            (
                str(resource.key),
                resource.key.kind.value,
                resource.key.name,
                resource.key.service,
                resource.environment,
                resource.owner,
                resource.template,
                None if resource.version is None else str(resource.version),
                None if resource.due is None else str(resource.due),
                lag.standing.value,
                lag.minors,
                lag.majors,
                lag.since,
                behind_for if lag.behind else None,
                resource.status.value,
                resource.stalled,
                None if resource.due is None else risk.value,
                replaced,
                snooze.until if snooze else None,
                str(snooze.version) if snooze and snooze.version else None,
                resource.last_deployment,
                resource.deployed_at,
            ),
            strict=True,
        )
    )


def _charts(unit: Unit, template: str) -> tuple[Chart | None, ...]:
    """Those of one template, or those of all."""
    now = rooms().clock()
    if not template:
        worst = trends.most_behind(unit)
        whole = trends.history(unit, WHOLE_FLEET, now)
        return charts.of_templates(worst) if worst else None, charts.over_time(whole, "all templates")
    family = unit.registry.find_template(template)
    if family is None:
        return ()
    return template_charts(unit, family.name, trends.distribution(family, unit.registry.in_use(family.name)))


def template_charts(unit: Unit, template: TemplateName, shares: tuple[trends.Share, ...]) -> tuple[Chart | None, ...]:
    """The versions of a template in use, and what was behind over time."""
    past = trends.history(unit, template, rooms().clock())
    return charts.of_versions(shares, template) if shares else None, charts.over_time(past, template)


def _size() -> int:
    text = request.args.get("size", "") or str(PAGE)
    if text not in map(str, SIZES):
        raise CallerError(f"a page has no {text} rows", cure=f"choose one of {', '.join(map(str, SIZES))}")
    return int(text)


def _choice(among: type[_Chosen], what: str, text: str) -> _Chosen | None:
    if not text:
        return None
    if text not in list(among):
        raise CallerError(f"`{text}` is no {what}", cure=f"choose one of {', '.join(among)}")
    return among(text)
