"""Differences: what turns one text into another, line by line, in bounded time whatever they hold."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby

CONTEXT = 3
"""Unchanged lines shown around a change."""

LONGEST = 200_000
"""Characters after which a unified diff is cut off. Blocks never are."""

_THOROUGH_PAIRS = 100_000
"""Up to this many pairs of equal lines the best diff is searched for, beyond it frequent lines are left out of the
search, as difflib does by default."""

_MOST_PAIRS = 4_000_000
"""Beyond this many pairs, what differs is shown as replaced whole."""

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of lines that stayed (`old` and `new` are equal) or that one text has in place of the other's.

    `old_at` and `new_at` are the numbers, from 1, of its first line on either side.
    """

    old_at: int
    new_at: int
    old: tuple[str, ...]
    new: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether nothing changed here."""
        return self.old == self.new


@dataclass(frozen=True, slots=True)
class Difference:
    """What turns one text into another, in blocks that follow one another without a gap."""

    blocks: tuple[Block, ...] = ()

    @property
    def changed(self) -> tuple[str, ...]:
        """Only the removed and added lines: two differences that do the same in different places have them in
        common."""
        return tuple(line for block in self.blocks if not block.same for line in _marked(block))

    @property
    def hunks(self) -> str:
        """A unified diff without its two header lines, cut off when it is very long."""
        return _joined(list(_hunks(self.blocks)))

    @property
    def whole(self) -> str:
        """The same with every unchanged line in it, and never cut off: `read_hunks` brings the blocks back."""
        return "\n".join(_hunk(self.blocks)) + "\n" if self.blocks else ""

    def unified(self, before: str, after: str) -> str:
        """The diff under a name for each side; an empty text when nothing differs."""
        return f"--- {before}\n+++ {after}\n{self.hunks}" if self.blocks else ""


def difference(before: str, after: str) -> Difference:
    """What turns `before` into `after`, line by line; a newline at the end of a text does not count."""
    old, new = lines_of(before), lines_of(after)
    return Difference() if old == new else Difference(tuple(_blocks(old, new)))


def lines_of(text: str) -> list[str]:
    """The lines of a text as they are counted here: by line feeds alone, without the last."""
    return text.removesuffix("\n").split("\n") if text else []


def changes_of(
    old: Sequence[str], new: Sequence[str], most_pairs: int = _MOST_PAIRS
) -> Iterator[tuple[int, int, int, int]]:
    """Where two sequences differ: start and end in the one, start and end in the other. Their equal ends are left out;
    with more than `most_pairs` pairs of equal members between these, all that lies there counts as different."""
    start = max(0, _equal(old, new) - CONTEXT)
    end = max(0, _equal(old[start:][::-1], new[start:][::-1]) - CONTEXT)
    old, new = old[start : len(old) - end], new[start : len(new) - end]
    pairs = _pairs(old, new, frequent=True)
    thorough = pairs <= min(_THOROUGH_PAIRS, most_pairs)
    if not thorough and _pairs(old, new, frequent=False) > most_pairs:
        yield start, start + len(old), start, start + len(new)
        return
    for kind, *places in SequenceMatcher(None, old, new, autojunk=not thorough).get_opcodes():
        if kind != "equal":
            yield places[0] + start, places[1] + start, places[2] + start, places[3] + start


def read_hunks(hunks: str) -> tuple[Block, ...]:
    """The blocks of a unified diff, with or without its header; between two hunks there is a gap in their numbers."""
    blocks: list[Block] = []
    old_at = new_at = 1
    written = lines_of(hunks)
    for key, group in groupby(written[2:] if hunks.startswith("--- ") else written, key=_kind_of):
        lines = list(group)
        if key == "@":
            if found := _HUNK.match(lines[-1]):
                old_at = int(found[1]) + (found[2] == "0")
                new_at = int(found[3]) + (found[4] == "0")
            continue
        old = tuple(line[1:] for line in lines if line[:1] != "+")
        new = tuple(line[1:] for line in lines if line[:1] != "-")
        blocks.append(Block(old_at, new_at, old, new))
        old_at, new_at = old_at + len(old), new_at + len(new)
    return tuple(blocks)


def _kind_of(line: str) -> str:
    return {"@": "@", " ": " ", "": " "}.get(line[:1], "+-")


def _blocks(old: Sequence[str], new: Sequence[str]) -> Iterator[Block]:
    """Only what lies between the ends that the two have in common, and a little of these, is compared."""
    begin_old = begin_new = 0
    for old_start, old_end, new_start, new_end in changes_of(old, new):
        if old_start > begin_old:
            yield _block(old, new, begin_old, begin_new, old_start - begin_old, new_start - begin_new)
        yield _block(old, new, old_start, new_start, old_end - old_start, new_end - new_start)
        begin_old, begin_new = old_end, new_end
    if begin_old < len(old):
        yield _block(old, new, begin_old, begin_new, len(old) - begin_old, len(new) - begin_new)


def _block(old: Sequence[str], new: Sequence[str], old_at: int, new_at: int, olds: int, news: int) -> Block:
    return Block(old_at + 1, new_at + 1, tuple(old[old_at : old_at + olds]), tuple(new[new_at : new_at + news]))


def _equal(old: Sequence[str], new: Sequence[str]) -> int:
    """How many lines are equal from the start on."""
    for position, (before, after) in enumerate(zip(old, new, strict=False)):
        if before != after:
            return position
    return min(len(old), len(new))


def _pairs(old: Sequence[str], new: Sequence[str], *, frequent: bool) -> int:
    """How many pairs of equal lines there are; without the lines difflib calls popular unless `frequent`."""
    often = len(new) if frequent else len(new) // 100 + 1
    counted = {line: count for line, count in Counter(new).items() if count <= often}
    return sum(counted.get(line, 0) for line in old)


def _hunks(blocks: Sequence[Block]) -> Iterator[str]:
    """Hunks, each with the changes that stand close together and a few unchanged lines around them."""
    held: list[Block] = []
    for position, block in enumerate(blocks):
        if not block.same:
            held.append(block)
            continue
        last = position == len(blocks) - 1
        if held and (last or len(block.old) > 2 * CONTEXT):
            yield from _hunk([*held, _part(block, 0, CONTEXT)])
            held = []
        elif held:
            held.append(block)
        if not held:
            held = [] if last else [_part(block, max(0, len(block.old) - CONTEXT), len(block.old))]
    if held:
        yield from _hunk(held)


def _part(block: Block, start: int, end: int) -> Block:
    return Block(block.old_at + start, block.new_at + start, block.old[start:end], block.new[start:end])


def _hunk(blocks: Sequence[Block]) -> Iterator[str]:
    old, new = sum(len(block.old) for block in blocks), sum(len(block.new) for block in blocks)
    yield f"@@ -{_range(blocks[0].old_at, old)} +{_range(blocks[0].new_at, new)} @@"
    for block in blocks:
        yield from _marked(block)


def _marked(block: Block) -> Iterator[str]:
    if block.same:
        yield from (f" {line}" for line in block.old)
    else:
        yield from (f"-{line}" for line in block.old)
        yield from (f"+{line}" for line in block.new)


def _range(at: int, length: int) -> str:
    """A range of lines as unified diffs write it (GNU diffutils manual, "Detailed Description of Unified Format")."""
    if length == 1:
        return str(at)
    return f"{at if length else at - 1},{length}"


def _joined(lines: Sequence[str]) -> str:
    kept, room = [], LONGEST
    for position, line in enumerate(lines):
        room -= len(line) + 1
        if room < 0:
            kept.append(f"@@ {len(lines) - position} more lines are not shown @@")
            break
        kept.append(line)
    return "\n".join(kept) + "\n" if kept else ""
