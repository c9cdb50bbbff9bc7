"""Lists: answered a page at a time, each page naming the place where the next begins.

A place is the last thing that was shown, so that what is added meanwhile shifts nothing.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar
from urllib.parse import urlencode

from flask import g, request
from pydantic import BaseModel

from upkeep.domain.errors import CallerError
from upkeep.web.api.words import ANSWER

DEFAULT = 50
MOST = 200

_Item = TypeVar("_Item")
_Thing = TypeVar("_Thing")


class Listed(BaseModel, Generic[_Item]):
    """A page of a list."""

    model_config = ANSWER

    items: list[_Item]
    """What is on this page, in the order of the list."""
    next: str | None
    """The `cursor` of the next page; null on the last. The header `Link` has its whole address."""


def place_of(cursor: str | None) -> str | None:
    """Where the page begins that a cursor stands for; CallerError for a cursor of another list."""
    if cursor is None:
        return None
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        match json.loads(base64.b64decode(padded, altchars=b"-_", validate=True)):
            case [str(listed), str(place)] if listed == _this_list():
                return place
    except (binascii.Error, ValueError, RecursionError):
        pass
    raise CallerError(
        "this cursor is not one of this list with these filters",
        where="cursor",
        cure="start again without a cursor, and change no filter on the way",
    )


def page(shown: Iterable[_Item], next_place: str | None) -> Listed[_Item]:
    """A page, and where the next begins."""
    cursor = None
    if next_place is not None:
        cursor = base64.urlsafe_b64encode(json.dumps([_this_list(), next_place]).encode()).decode().rstrip("=")
        given = {**request.args.to_dict(), "cursor": cursor}
        # https://www.rfc-editor.org/rfc/rfc8288
        g.link = f'<{request.path}?{urlencode(given)}>; rel="next"'
    return Listed(items=list(shown), next=cursor)


def cut(found: Sequence[_Thing], limit: int, place: Callable[[_Thing], str]) -> tuple[Sequence[_Thing], str | None]:
    """The first `limit` of what was found, and where the next page begins when there is more."""
    shown = found[:limit]
    return shown, place(shown[-1]) if len(found) > limit else None


def by_name(
    things: Iterable[_Thing], name: Callable[[_Thing], str], limit: int, cursor: str | None
) -> tuple[Sequence[_Thing], str | None]:
    """A page of things that are few enough to be sorted by name here."""
    behind = place_of(cursor) or ""
    return cut(sorted((thing for thing in things if name(thing) > behind), key=name), limit, name)


def _this_list() -> str:
    """A short name for a list under its filters."""
    filters = sorted((name, text) for name, text in request.args.items() if name not in ("cursor", "limit"))
    return hashlib.sha256(json.dumps([request.path, filters]).encode()).hexdigest()[:12]
