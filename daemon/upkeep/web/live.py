"""Live: pages that show something under way are asked for again until it has ended.

A script asks with the tag of what it shows (`If-None-Match`, https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2)
and is told "not modified" before anything is rendered, unless there is news. Tags stand on rows, on who asks, on this
program's files and on the minute (ages are shown), so that they outlive a restart and never an upgrade.
"""

import hashlib
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from flask import Flask, Response, current_app, g, request
from flask.typing import ResponseReturnValue

from upkeep.domain.people import Actor
from upkeep.domain.plans import digest_of
from upkeep.web import identity
from upkeep.web.rooms import rooms

NOTHING_NEW: ResponseReturnValue = ("", 304)

_PROGRAM = "upkeep.program"


def install(app: Flask) -> None:
    """Tag what is asked for again."""
    digest = hashlib.sha256()
    for file in sorted(Path(app.root_path).rglob("*")):
        if file.suffix in (".py", ".html", ".js", ".css"):
            digest.update(file.read_bytes())
    app.extensions[_PROGRAM] = digest.hexdigest()
    app.after_request(_tagged)
    app.add_template_global(_tag, "live_tag")
    app.add_template_global(identity.asked_again, "asked_again")


def unchanged(stamp: str) -> bool:
    """Whether whoever asks has the page as these rows make it. `stamp` names the rows."""
    now: datetime = rooms().clock()
    seen = (current_app.extensions[_PROGRAM], asker(identity.actor()), request.full_path, g.get("sync_state"))
    g.tag = digest_of([*seen, now.strftime("%Y-%m-%dT%H:%M"), stamp])[:32]
    return request.if_none_match.contains_weak(g.tag)


def asker(actor: Actor) -> tuple[object, ...]:
    """Who asks, as a tag has it: all that decides what a page offers, in the same words in every process."""
    # A set is written in another order by another process.
    return (replace(actor, teams=frozenset(), scopes=None), sorted(actor.teams), sorted(actor.scopes or ()))


def _tag() -> str:
    """The tag of the page that is being rendered, as its header has it; empty for the answer to a form."""
    return f'W/"{g.tag}"' if "tag" in g else ""


def _tagged(response: Response) -> Response:
    if "tag" in g and response.status_code in (200, 304):
        response.set_etag(g.tag, weak=True)
    return response
