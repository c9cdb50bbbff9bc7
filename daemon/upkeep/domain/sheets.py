"""Sheets: a difference or a file laid out to be read. Numbered lines, folds for what stayed, marks for what changed
within a line, what was looked for and what nobody could see; in bounded length, and saying what is left out."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import pairwise

from upkeep.domain.differences import CONTEXT, Block, changes_of

SHOWN = 1000
"""Rows on a sheet that has a page for itself."""

WIDEST = 500
"""Characters of a line that are shown unless long lines are asked for."""

WIDEST_ASKED = 20_000
"""Characters of a line that are shown when they are."""

_SMALLEST_FOLD = 4
"""Fewer unchanged lines than this are shown: a fold would be no shorter."""

_COMPARED = 300
"""Characters up to which two lines are compared word by word."""

_ALIKE = 0.45
"""How much of two lines has to be equal for one to count as the other, changed."""

_MOST_MATCHES = 400
"""Pairs of lines within one change that are tried for likeness; in a larger one lines belong together by place."""

_MOST_PAIRS = 400
"""Pairs of equal words in two lines up to which what lies between their equal ends is compared."""

_MOST_SPANS = 20
"""Places in one line that are marked as changed; of more, all from the first to the last is."""

_MOST_MARKS = 100
"""Places in one line that are marked for holding what is looked for."""

_WORD = re.compile(r"\w+")
_PIECES = re.compile(r"\w+|\s+|[^\w\s]")
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and signs that look like nothing: fillers of Hangul and the empty pattern of Braille."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a line. `word` says that it changed, `hit` that it was looked for, `odd` names a character that could
    not be seen as it is, and then `text` is its code point."""

    text: str
    word: bool = False
    hit: bool = False
    odd: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of one side: its number from 1, its pieces, and how many characters of it are not shown."""

    number: int
    pieces: tuple[Piece, ...]
    cut: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `same` has both sides, `del` the old one, `add` the new one, `pair` both and they differ. `hit` counts
    the rows that hold what was looked for, from 1; 0 for the others."""

    kind: str
    old: Line | None
    new: Line | None
    hit: int = 0


@dataclass(frozen=True, slots=True)
class Fold:
    """Unchanged lines that are left out, by their numbers on either side. `kept` is False when they are not known."""

    old_at: int
    new_at: int
    lines: int
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Wish:
    """How a sheet is to be shown: side by side or not, with all lines or `CONTEXT` around each change, marking `find`;
    those `rows` that hold the row `start`, or the line with the number `line`, each up to `widest` characters."""

    split: bool = False
    everything: bool = False
    find: str = ""
    start: int = 0
    line: int = 0
    rows: int = SHOWN
    widest: int = WIDEST


@dataclass(frozen=True, slots=True)
class Hit:
    """A row that holds what was looked for: its line's number, on the old side or the new, and where the rows that are
    shown with it start."""

    number: int
    new: bool
    start: int


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is shown. `start` is the place of the first row among `total`, `step` how many are shown together, `hits`
    all rows that hold what was looked for, `cut` whether a line is shown in part. `added` and `removed` count lines,
    `folded` those behind folds."""

    rows: tuple[Row | Fold, ...]
    start: int
    total: int
    step: int
    split: bool
    hits: tuple[Hit, ...] = ()
    added: int = 0
    removed: int = 0
    folded: int = 0
    cut: bool = False

    @property
    def end(self) -> int:
        """The place behind its last row."""
        return self.start + len(self.rows)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A row before it is dressed. `mate` is the line of the other side that it is compared with word by word."""

    kind: str
    old: tuple[int, str] | None
    new: tuple[int, str] | None
    old_mate: str | None = None
    new_mate: str | None = None

    @property
    def texts(self) -> Iterator[str]:
        if self.new is not None:
            yield self.new[1]
        if self.old is not None and self.kind != "same":
            yield self.old[1]


def file_sheet(lines: Sequence[str], wish: Wish) -> Sheet:
    """The lines of one text, none of them folded."""
    whole = Block(1, 1, tuple(lines), tuple(lines))
    return sheet((whole,) if lines else (), replace(wish, split=False, everything=True))


def sheet(blocks: Iterable[Block], wish: Wish) -> Sheet:
    """A difference, laid out. Where the numbers of two blocks leave a gap, its lines are not known."""
    entries = list(_entries(blocks, wish.split))
    sought = wish.find.casefold()
    hits = _hit_places(entries, sought)
    items = list(_folded(entries, frozenset(hits), wish.everything))
    start = _start(items, wish)
    numbers = {place: number for number, place in enumerate(hits, 1)}
    shown = items[start : start + wish.rows]
    rows = tuple(_dressed(item, numbers.get(place, 0), sought, wish.widest) for place, item in shown)
    plain = [entry for entry in entries if isinstance(entry, _Entry)]
    return Sheet(
        rows=rows,
        start=start,
        total=len(items),
        step=wish.rows,
        split=wish.split,
        hits=tuple(_hits(items, numbers, wish.rows)),
        added=sum(entry.kind in ("add", "pair") for entry in plain),
        removed=sum(entry.kind in ("del", "pair") for entry in plain),
        folded=sum(item.lines for _, item in items if isinstance(item, Fold)),
        cut=any(line.cut for row in rows if isinstance(row, Row) for line in (row.old, row.new) if line),
    )


# --------------------------------------------------------------------------------------------- rows and folds


def _entries(blocks: Iterable[Block], split: bool) -> Iterator[_Entry | Fold]:
    old_at = new_at = 0
    for block in blocks:
        if old_at and block.old_at > old_at:
            yield Fold(old_at, new_at, block.old_at - old_at, kept=False)
        old_at, new_at = block.old_at + len(block.old), block.new_at + len(block.new)
        if block.same:
            for number, text in enumerate(block.new):
                yield _Entry("same", (block.old_at + number, text), (block.new_at + number, text))
            continue
        pairs = _matched(block.old, block.new)
        if split:
            yield from (_pair(block, old, new) for old, new in pairs)
            continue
        mates = {old: new for old, new in pairs if old is not None and new is not None}
        homes = {new: old for old, new in mates.items()}
        for position, text in enumerate(block.old):
            mate = block.new[mates[position]] if position in mates else None
            yield _Entry("del", (block.old_at + position, text), None, old_mate=mate)
        for position, text in enumerate(block.new):
            mate = block.old[homes[position]] if position in homes else None
            yield _Entry("add", None, (block.new_at + position, text), new_mate=mate)


def _pair(block: Block, old: int | None, new: int | None) -> _Entry:
    before = None if old is None else (block.old_at + old, block.old[old])
    after = None if new is None else (block.new_at + new, block.new[new])
    if before is None or after is None:
        return _Entry("add" if before is None else "del", before, after)
    return _Entry("pair", before, after, after[1], before[1])


def _matched(old: Sequence[str], new: Sequence[str]) -> list[tuple[int | None, int | None]]:
    """Which lines of a change stand beside each other: each side in its order, alike ones together."""
    if len(old) * len(new) > _MOST_MATCHES:
        both = min(len(old), len(new))
        rest = [(place, None) for place in range(both, len(old))] + [(None, place) for place in range(both, len(new))]
        return [*((place, place) for place in range(both)), *rest]
    pairs: list[tuple[int | None, int | None]] = []
    taken = 0
    for position, line in enumerate(old):
        found = next((place for place in range(taken, len(new)) if _alike(line, new[place])), None)
        if found is None:
            pairs.append((position, None))
            continue
        pairs += [(None, place) for place in range(taken, found)]
        pairs.append((position, found))
        taken = found + 1
    return pairs + [(None, place) for place in range(taken, len(new))]


def _alike(one: str, other: str) -> bool:
    """Whether two lines hold much the same words; what stands between these does not count."""
    mine, theirs = _WORD.findall(one[:_COMPARED]), _WORD.findall(other[:_COMPARED])
    return SequenceMatcher(None, mine, theirs, autojunk=False).quick_ratio() >= _ALIKE


def _hit_places(entries: Sequence[_Entry | Fold], sought: str) -> list[int]:
    return [
        place
        for place, entry in enumerate(entries)
        if sought and isinstance(entry, _Entry) and any(sought in text.casefold() for text in entry.texts)
    ]


def _hits(items: Sequence[tuple[int, _Entry | Fold]], numbers: Mapping[int, int], step: int) -> Iterator[Hit]:
    for position, (place, item) in enumerate(items):
        if place in numbers and isinstance(item, _Entry):
            numbered = item.new or item.old
            if numbered is not None:
                yield Hit(numbered[0], item.new is not None, position // step * step)


def _folded(
    entries: Sequence[_Entry | Fold], hits: Collection[int], everything: bool
) -> Iterator[tuple[int, _Entry | Fold]]:
    """The entries that are shown, with their places, and folds in place of the others."""
    if everything:
        yield from enumerate(entries)
        return
    near = bytearray(len(entries))
    for place, entry in enumerate(entries):
        if isinstance(entry, Fold) or entry.kind != "same" or place in hits:
            start = max(0, place - CONTEXT)
            near[start : place + CONTEXT + 1] = b"\1" * len(near[start : place + CONTEXT + 1])
    place = 0
    while place < len(entries):
        end = place
        while end < len(entries) and not near[end]:
            end += 1
        first = entries[place]
        if end - place >= _SMALLEST_FOLD and isinstance(first, _Entry) and first.old and first.new:
            yield place, Fold(first.old[0], first.new[0], end - place)
            place = end
        else:
            yield place, first
            place += 1


def _start(items: Sequence[tuple[int, _Entry | Fold]], wish: Wish) -> int:
    start = wish.start
    if wish.line:
        start = next((place for place, (_, item) in enumerate(items) if _reaches(item, wish.line)), 0)
    return min(max(start, 0), max(len(items) - 1, 0)) // wish.rows * wish.rows if wish.rows else 0


def _reaches(item: _Entry | Fold, line: int) -> bool:
    if isinstance(item, Fold):
        return item.new_at <= line < item.new_at + item.lines
    return (item.new or item.old or (0, ""))[0] >= line


# ---------------------------------------------------------------------------------------------- dressing lines


def _dressed(item: _Entry | Fold, hit: int, sought: str, widest: int) -> Row | Fold:
    if isinstance(item, Fold):
        return item
    old = _line(item.old, item.old_mate, sought, widest, new=False) if item.old else None
    new = _line(item.new, item.new_mate, sought, widest, new=True) if item.new else None
    return Row(item.kind, old, new, hit)


def _line(numbered: tuple[int, str], mate: str | None, sought: str, widest: int, *, new: bool) -> Line:
    number, text = numbered
    shown = text[:widest]
    words = _changed_words(text, mate, new=new) if mate is not None else ()
    hits = _hits_in(shown, sought)
    return Line(number, tuple(_pieces(shown, words, hits)), len(text) - len(shown))


def _changed_words(text: str, mate: str, *, new: bool) -> tuple[tuple[int, int], ...]:
    """Where a line differs from its mate; nothing when they are long, or have too little in common to point at it."""
    if len(text) > _COMPARED or len(mate) > _COMPARED or not _alike(text, mate):
        return ()
    mine, theirs = _PIECES.findall(text), _PIECES.findall(mate)
    before, after = (theirs, mine) if new else (mine, theirs)
    spans = [(places[2:] if new else places[:2]) for places in changes_of(before, after, _MOST_PAIRS)]
    if len(spans) > _MOST_SPANS:
        spans = [(spans[0][0], spans[-1][1])]
    ends = [0]
    for word in mine:
        ends.append(ends[-1] + len(word))
    return tuple((ends[start], ends[end]) for start, end in spans if end > start)


def _hits_in(text: str, sought: str) -> tuple[tuple[int, int], ...]:
    """Where what is looked for stands. What changes its length when its case is folded is found and not marked."""
    folded = text.casefold()
    if not sought or len(folded) != len(text):
        return ()
    found: list[tuple[int, int]] = []
    at = folded.find(sought)
    while at >= 0 and len(found) < _MOST_MARKS:
        found.append((at, at + len(sought)))
        at = folded.find(sought, at + len(sought))
    return tuple(found)


def _pieces(text: str, words: Sequence[tuple[int, int]], hits: Sequence[tuple[int, int]]) -> Iterator[Piece]:
    in_word, in_hit = bytearray(len(text)), bytearray(len(text))
    for marked, spans in ((in_word, words), (in_hit, hits)):
        for start, end in spans:
            marked[start:end] = b"\1" * len(marked[start:end])
    odd = {place for place, sign in enumerate(text) if unseen(sign)} if not _plain(text) else set()
    cuts = {0, len(text), *(end for span in (*words, *hits) for end in span), *odd, *(at + 1 for at in odd)}
    for start, end in pairwise(sorted(cut for cut in cuts if cut <= len(text))):
        word, hit = bool(in_word[start]), bool(in_hit[start])
        if start in odd:
            yield Piece(f"U+{ord(text[start]):04X}", word, hit, _called(text[start]))
        else:
            yield Piece(text[start:end], word, hit)


def _plain(text: str) -> bool:
    return text.isascii() and text.replace("\t", " ").isprintable()


def unseen(sign: str) -> bool:
    """Whether a character cannot be seen, or moves what stands around it: controls, marks of direction, blanks that are
    no blank (https://trojansource.codes/, https://www.unicode.org/reports/tr36/)."""
    if sign in "\t ":
        return False
    kind = unicodedata.category(sign)
    return kind in ("Cc", "Cf", "Zl", "Zp", "Zs", "Co", "Cs", "Cn") or sign in _BLANK or 0xFE00 <= ord(sign) <= 0xFE0F


def _called(sign: str) -> str:
    return unicodedata.name(sign, "a control character").lower()
