"""Deployments."""

import json
from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from upkeep.domain.changesets import worst_first
from upkeep.domain.deployments import Deployment, DeploymentStatus, steps
from upkeep.domain.differences import lines_of
from upkeep.domain.errors import CallerError, NotFound
from upkeep.flows import deploy
from upkeep.flows.browse import deployments as browse
from upkeep.flows.browse import stamps
from upkeep.flows.browse.deployments import DeploymentFilter
from upkeep.web import exports, live
from upkeep.web.diffs import Reading, download
from upkeep.web.identity import actor
from upkeep.web.rooms import rooms
from upkeep.web.wording import status

STALLED = "stalled"
"""What the filter calls those that wait for a person."""

COLUMNS = (
    "deployment",
    "resource",
    "action",
    "from_version",
    "to_version",
    "status",
    "phase",
    "asked_by",
    "created_at",
    "completed_at",
    "stack",
    "reason",
)
"""The names of what a file tells of each deployment. They stay as they are; new ones come at the end."""

blueprint = Blueprint("deployments", __name__, url_prefix="/deployments")


@blueprint.get("")
def deployments() -> ResponseReturnValue:
    """Deployments, newest first."""
    wanted, after = _wanted(), request.args.get("after") or None
    with rooms().store.read() as unit:
        if live.unchanged(stamps.deployments(unit, wanted, after)):
            return live.NOTHING_NEW
        view = browse.deployments(unit, wanted, after)
    return render_template(
        "deployments.html",
        view=view,
        wanted=wanted,
        filtered=wanted != DeploymentFilter(),
        statuses=[(STALLED, "waits for a person"), *((each, status(each)) for each in DeploymentStatus)],
    )


@blueprint.get("/export.csv")
def as_csv() -> Response:
    """All deployments that the filter leaves, newest first."""
    here, wanted = rooms(), _wanted()

    def read(cursor: str | None) -> tuple[exports.Rows, str | None]:
        with here.store.read() as unit:
            view = browse.deployments(unit, wanted, cursor, exports.PIECE)
        return [_told(found) for found in view.rows], view.next

    return exports.as_csv("deployments.csv", COLUMNS, exports.pieces(read))


def _wanted() -> DeploymentFilter:
    wanted = request.args.get("status", "")
    if wanted and wanted not in (STALLED, *DeploymentStatus):
        raise CallerError(f"`{wanted}` is no status", cure=f"choose one of {', '.join((STALLED, *DeploymentStatus))}")
    return DeploymentFilter(
        status=DeploymentStatus(wanted) if wanted not in ("", STALLED) else None,
        stalled=wanted == STALLED,
        **{name: request.args.get(name, "").strip() for name in ("resource", "template", "asked_by")},
    )


def _told(found: Deployment) -> dict[str, Any]:
    return {
        "deployment": found.id,
        "resource": str(found.resource),
        "action": found.action.value,
        "from_version": None if found.initial is None else str(found.initial.version),
        "to_version": str(found.target.version),
        "status": found.status.value,
        "phase": found.phase.value,
        "asked_by": found.asked_by,
        "created_at": found.created_at,
        "completed_at": found.completed_at,
        "stack": found.stack,
        "reason": found.stall.reason if found.stall and found.status.under_way else found.message,
    }


@blueprint.get("/<deployment_id>")
def deployment(deployment_id: str) -> ResponseReturnValue:
    """One deployment."""
    with rooms().store.read() as unit:
        if live.unchanged(stamps.deployment(unit, deployment_id)):
            return live.NOTHING_NEW
        view = browse.deployment(unit, deployment_id)
    return render_template("deployment.html", view=view, deployment=view.deployment, steps=steps(view.deployment))


@blueprint.get("/<deployment_id>/template")
def rendered(deployment_id: str) -> ResponseReturnValue:
    """The rendered template, line by line."""
    found, text = _rendered(deployment_id)
    reading = Reading(request.args, url_for(".rendered", deployment_id=deployment_id))
    shown = reading.lay_file(f"Rendered template of {found.resource.short}", lines_of(text))
    return render_template("deployed_template.html", deployment=found, reading=reading, shown=shown)


@blueprint.get("/<deployment_id>/template.yaml")
def rendered_file(deployment_id: str) -> ResponseReturnValue:
    """The rendered template, as a file."""
    found, text = _rendered(deployment_id)
    return download(text, f"{found.resource.short.replace('/', '-').replace(' ', '-')}-{found.target.version}.yaml")


def _rendered(deployment_id: str) -> tuple[Deployment, str]:
    with rooms().store.read() as unit:
        return browse.template_of(unit, deployment_id)


@blueprint.get("/<deployment_id>/changes.json")
def changes(deployment_id: str) -> ResponseReturnValue:
    """The change set, as a file."""
    with rooms().store.read() as unit:
        found = unit.deployments.get(deployment_id)
        proposal = unit.deployments.proposal(found.id)
    if proposal is None:
        raise NotFound(f"deployment {deployment_id} has no change set", cure="look again once it is worked out")
    told = {
        "deployment": found.id,
        "resource": str(found.resource),
        "stack": proposal.stack or found.stack,
        "state": proposal.state,
        "reason": proposal.reason,
        "risk": proposal.risk,
        "changes": [{"risk": change.risk, **asdict(change)} for change in worst_first(proposal.changes)],
    }
    response = Response(json.dumps(told, indent=2, ensure_ascii=False) + "\n", mimetype="application/json")
    name = f"{found.resource.short.replace('/', '-').replace(' ', '-')}-{found.target.version}-changes.json"
    response.headers.set("Content-Disposition", "attachment", filename=name)
    return response


@blueprint.post("/<deployment_id>/cancel")
def cancel(deployment_id: str) -> ResponseReturnValue:
    """Cancel what can still go back."""
    here = rooms()
    with here.store.write() as unit:
        cancelled = deploy.cancel(unit, deployment_id, actor=actor(), now=here.clock())
    here.store.ring()
    if cancelled.status.under_way:
        flash("The deployment is being cancelled.")
    else:
        flash("The deployment is cancelled. Nothing was changed.")
    return redirect(url_for(".deployment", deployment_id=deployment_id), 303)


@blueprint.post("/<deployment_id>/retry")
def retry(deployment_id: str) -> ResponseReturnValue:
    """Try again what did not succeed, or let go on what waits for a person."""
    here = rooms()
    recreate = request.form.get("recreate") == "yes"
    with here.store.write() as unit:
        again = deploy.retry(unit, deployment_id, recreate=recreate, actor=actor(), now=here.clock())
    here.store.ring()
    return redirect(url_for(".deployment", deployment_id=again.id), 303)


@blueprint.post("/<deployment_id>/continue")
def continue_rollback(deployment_id: str) -> ResponseReturnValue:
    """Let a failed rollback be tried again."""
    here = rooms()
    with here.store.write() as unit:
        deploy.continue_rollback(unit, deployment_id, actor=actor(), now=here.clock())
    here.store.ring()
    flash("The stack is asked to go on with its rollback.")
    return redirect(url_for(".deployment", deployment_id=deployment_id), 303)
