"""Health: whether the process lives, and whether it can do its work.

Anybody may ask, so that nothing here names a host, a user or a file; the log does.
"""

import logging

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from upkeep.domain.errors import UpkeepError
from upkeep.web.rooms import rooms

blueprint = Blueprint("health", __name__)
logger = logging.getLogger("upkeep.web")

WORK_SEARCHED = 500


@blueprint.get("/healthz")
def live() -> ResponseReturnValue:
    """The process answers. Asks nothing of the database, so that a slow one does not get us restarted."""
    return jsonify(status="alive")


@blueprint.get("/readyz")
def ready() -> ResponseReturnValue:
    """Rows can be read and written. The state of the queue is told as well, and decides nothing."""
    here = rooms()
    try:
        here.store.check()
        with here.store.read() as unit:
            work = unit.work.list(WORK_SEARCHED)
    except UpkeepError as fault:
        logger.warning("not ready, the database: %s", fault)
        parts = {"web": "ready", "database": "not ready"}
        return jsonify(status="not ready", parts=parts, message=fault.message, cure=fault.cure), 503
    now = here.clock()
    waits = [(now - row.due_at).total_seconds() for row in work if row.due_at <= now and row.leased_until is None]
    return jsonify(
        status="ready",
        parts={"web": "ready", "database": "ready"},
        queue={
            "waiting": len(waits),
            "oldest_waits_for_seconds": round(max(waits, default=0)),
            "claimed_by_workers": sum(row.leased_until is not None and row.leased_until > now for row in work),
        },
    )
