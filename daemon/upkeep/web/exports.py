"""Exports: lists as CSV or JSON, written piece by piece so that their size costs no memory."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from flask import Response, request

from upkeep.web.rooms import rooms

PIECE = 1000
"""Rows that are read in one short transaction and written together."""

Rows = Iterable[Mapping[str, Any]]
"""Rows of one piece; all have the same names in the same order."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def pieces(read: Callable[[str | None], tuple[Rows, str | None]]) -> Iterator[Rows]:
    """What `read` gives for no cursor, and for the cursor that each piece comes with, to the last. When there are more
    rows than a file may have, a row that says so in its first column is the last."""
    return _read(read, rooms().bounds.exported_rows)


def _read(read: Callable[[str | None], tuple[Rows, str | None]], room: int) -> Iterator[Rows]:
    cursor: str | None = None
    while True:
        found, cursor = read(cursor)
        rows = list(found)
        shown, left = rows[:room], len(rows) > room or (cursor is not None and len(rows) == room)
        room -= len(shown)
        if left:
            more = "there are more rows: narrow the filter, or raise `limits.exported_rows`"
            names = list(rows[0])
            shown.append({name: more if name == names[0] else None for name in names})
        yield shown
        if left or cursor is None:
            return


def as_csv(name: str, columns: Iterable[str], found: Iterator[Rows]) -> Response:
    """A CSV file with a line of column names, in UTF-8 and with the line ends of RFC 4180.

    A text that a spreadsheet would take for a formula, because it begins with `=`, `+`, `-`, `@` or their
    full-width forms, a tab or a line end, gets an apostrophe before it: https://owasp.org/www-community/attacks/CSV_Injection.
    """
    names = list(columns)

    def written() -> Iterator[str]:
        yield _lines([names])
        for rows in found:
            yield _lines([[_cell(row[name]) for name in names] for row in rows])

    return _file(written(), name, "text/csv; charset=utf-8")


def as_json(name: str, found: Iterator[Rows]) -> Response:
    """A JSON array with one object a line."""

    def written() -> Iterator[str]:
        before = "["
        for rows in found:
            lines = []
            for row in rows:
                lines.append(before + "\n" + json.dumps(row, ensure_ascii=False, default=_told))
                before = ","
            yield "".join(lines)
        yield "[]\n" if before == "[" else "\n]\n"

    return _file(written(), name, "application/json")


def _file(text: Iterator[str], name: str, kind: str) -> Response:
    first = next(text)
    # What fails before the first piece is refused like any page; after it only the broken transfer can tell.
    response = Response(_continued(first, text), content_type=kind)
    response.headers.set("Content-Disposition", "attachment", filename=name)
    if request.method == "HEAD":
        response.response = []
    return response


def _continued(first: str, text: Iterator[str]) -> Iterator[str]:
    yield first
    yield from text


def _lines(rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    text = _told(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _told(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    return str(value)
