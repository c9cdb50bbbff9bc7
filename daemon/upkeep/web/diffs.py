"""Diffs as a page shows them: what its address asks for, and how much room the page has for all of them together."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from flask import Response

from upkeep.domain.bundles import printable
from upkeep.domain.differences import Block
from upkeep.domain.errors import CallerError
from upkeep.domain.sheets import SHOWN, WIDEST, WIDEST_ASKED, Hit, Sheet, Wish, file_sheet, sheet

TOGETHER = 150
"""Rows of one sheet on a page that shows several; its own page has the rest."""

ROOM = 1_500
"""Rows of all sheets on such a page. What comes after is named, with the way to it."""

SOUGHT_AT_MOST = 200
"""Characters that can be looked for."""

_VIEWS = ("unified", "split")


@dataclass(frozen=True, slots=True)
class Shown:
    """A sheet on a page. Its lines' ids begin with `id`; `own` is the page it has for itself, where it is shown with
    others. `sheet` is None when the page has no room left for it."""

    id: str
    label: str
    sheet: Sheet | None
    own: str | None = None
    count: tuple[int, int] = (0, 0)

    @property
    def left(self) -> int:
        """Rows that are not shown here."""
        return 0 if self.sheet is None else self.sheet.total - len(self.sheet.rows)


class Reading:
    """How the one who reads a page wants its sheets. `path` and `kept` are the page's address without those wishes."""

    def __init__(self, arguments: Mapping[str, str], path: str, **kept: str | None) -> None:
        self.view = arguments.get("view") or _VIEWS[0]
        if self.view not in _VIEWS:
            raise CallerError(f"`{self.view}` is no view", cure=f"choose one of {', '.join(_VIEWS)}")
        self.find = arguments.get("find", "")[:SOUGHT_AT_MOST]
        self.context = arguments.get("context", "")
        self.long = arguments.get("long") == "yes"
        self.kept = {name: text for name, text in kept.items() if text}
        self.shown: list[Shown] = []
        self._path = path
        self._start = _number(arguments, "start")
        self._line = _number(arguments, "line")
        self._room = ROOM

    @property
    def split(self) -> bool:
        """Whether both sides stand beside each other."""
        return self.view == "split"

    @property
    def everything(self) -> bool:
        """Whether nothing is folded anywhere."""
        return self.context == "all"

    @property
    def full(self) -> bool:
        """Whether the page has no room for more sheets beside others."""
        return self._room <= 0

    @property
    def hits(self) -> int:
        """How many lines of the page's sheets hold what is looked for, folded ones and those left out among them."""
        return sum(len(shown.sheet.hits) for shown in self.shown if shown.sheet)

    @property
    def cut(self) -> bool:
        """Whether a long line is shown in part."""
        return any(shown.sheet.cut for shown in self.shown if shown.sheet)

    def url(self, path: str = "", **changes: str | int | None) -> str:
        """This page, or the one at `path`, with the wishes of this reading and some of them changed."""
        wishes = {"view": self.view if self.split else "", "context": self.context, "find": self.find}
        wishes |= {"long": "yes" if self.long else ""}
        query = {} if path else dict(self.kept)
        query |= {name: text for name, text in wishes.items() if text}
        query = {name: text for name, text in query.items() if name not in changes}
        query |= {name: str(value) for name, value in changes.items() if value}
        address = path or self._path
        return f"{address}{'&' if '?' in address else '?'}{urlencode(query)}" if query else address

    def hidden(self) -> Mapping[str, str]:
        """What the form that looks for something has to send along."""
        wishes = {"view": self.view if self.split else "", "context": self.context, "long": "yes" if self.long else ""}
        return self.kept | {name: text for name, text in wishes.items() if text}

    def hit_url(self, shown: Shown, hit: Hit) -> str:
        """Where a line that was found can be seen."""
        anchor = f"#{shown.id}{'R' if hit.new else 'L'}{hit.number}"
        if shown.sheet is not None and hit.start == shown.sheet.start:
            return anchor
        return self.url(path=shown.own or "", start=hit.start) + anchor

    def lay(self, name: str, label: str, blocks: Iterable[Block], own: str | None = None) -> Shown:
        """Show a difference: alone on its page without `own`, else a part of it, and nothing once the page is full."""
        mark = mark_of(name)
        alone = own is None
        everything = self.everything or self.context == mark
        kept = tuple(blocks)
        count = (
            sum(len(block.new) for block in kept if not block.same),
            sum(len(block.old) for block in kept if not block.same),
        )
        if not alone and self.full:
            return self._laid(Shown(mark, label, None, own, count))
        wish = Wish(
            split=self.split,
            everything=everything,
            find=self.find,
            start=self._start if alone else 0,
            line=self._line if alone else 0,
            rows=SHOWN if alone else TOGETHER,
            widest=WIDEST_ASKED if self.long else WIDEST,
        )
        laid = sheet(kept, wish)
        self._room -= len(laid.rows)
        return self._laid(Shown(mark, label, laid, own, count))

    def lay_file(self, label: str, lines: Sequence[str]) -> Shown:
        """Show a file by itself. Its lines have plain ids: `L12`."""
        widest = WIDEST_ASKED if self.long else WIDEST
        laid = file_sheet(lines, Wish(find=self.find, start=self._start, line=self._line, widest=widest))
        return self._laid(Shown("", label, laid))

    def _laid(self, shown: Shown) -> Shown:
        self.shown.append(shown)
        return shown


def mark_of(name: str) -> str:
    """A short id that stays the same for the same name, whatever characters that holds."""
    return "d" + hashlib.sha256(name.encode(errors="replace")).hexdigest()[:10]


def download(content: bytes | str, name: str) -> Response:
    """A file to keep, which no browser shows as a page."""
    response = Response(content, mimetype="text/plain")
    # Git takes names that no header does.
    response.headers.set("Content-Disposition", "attachment", filename=printable(name))
    return response


def _number(arguments: Mapping[str, str], name: str) -> int:
    text = arguments.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
