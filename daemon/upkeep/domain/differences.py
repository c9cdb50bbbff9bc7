"""Differences: a unified diff of two texts, in bounded time and length whatever they hold."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

CONTEXT = 3
"""Unchanged lines shown around a change."""

LONGEST = 200_000
"""Characters after which a diff is cut off."""

_THOROUGH_PAIRS = 100_000
"""Up to this many pairs of equal lines the best diff is searched for, beyond it frequent lines are left out of the
search, as difflib does by default."""

_MOST_PAIRS = 4_000_000
"""Beyond this many pairs, what differs is shown as replaced whole."""

_Opcode = tuple[str, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Difference:
    """What turns one text into another. `hunks` is a unified diff without its two header lines, `changed` only its
    removed and added lines: two differences that do the same in different places have them in common."""

    hunks: str = ""
    changed: tuple[str, ...] = ()

    def unified(self, before: str, after: str) -> str:
        """The diff under a name for each side; an empty text when nothing differs."""
        return f"--- {before}\n+++ {after}\n{self.hunks}" if self.hunks else ""


def difference(before: str, after: str) -> Difference:
    """What turns `before` into `after`, line by line; a newline at the end of a text does not count."""
    old, new = _split(before), _split(after)
    if old == new:
        return Difference()
    start = max(0, _equal(old, new) - CONTEXT)
    end = max(0, _equal(old[start:][::-1], new[start:][::-1]) - CONTEXT)
    lines = list(_hunks(old[start : len(old) - end], new[start : len(new) - end], start))
    return Difference(_joined(lines), tuple(line for line in lines if line[0] in "+-"))


def _split(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n") if text else []


def _equal(old: Sequence[str], new: Sequence[str]) -> int:
    """How many lines are equal from the start on."""
    for position, (before, after) in enumerate(zip(old, new, strict=False)):
        if before != after:
            return position
    return min(len(old), len(new))


def _hunks(old: Sequence[str], new: Sequence[str], start: int) -> Iterator[str]:
    for group in _groups(old, new):
        (_, first_old, _, first_new, _), (_, _, last_old, _, last_new) = group[0], group[-1]
        yield f"@@ -{_range(first_old + start, last_old + start)} +{_range(first_new + start, last_new + start)} @@"
        for kind, old_start, old_end, new_start, new_end in group:
            if kind == "equal":
                yield from (f" {line}" for line in old[old_start:old_end])
                continue
            yield from (f"-{line}" for line in old[old_start:old_end])
            yield from (f"+{line}" for line in new[new_start:new_end])


def _groups(old: Sequence[str], new: Sequence[str]) -> Iterable[Sequence[_Opcode]]:
    pairs = _pairs(old, new, frequent=True)
    thorough = pairs <= _THOROUGH_PAIRS
    if not thorough and _pairs(old, new, frequent=False) > _MOST_PAIRS:
        return [[("replace", 0, len(old), 0, len(new))]]
    return SequenceMatcher(None, old, new, autojunk=not thorough).get_grouped_opcodes(CONTEXT)


def _pairs(old: Sequence[str], new: Sequence[str], *, frequent: bool) -> int:
    """How many pairs of equal lines there are; without the lines difflib calls popular unless `frequent`."""
    often = len(new) if frequent else len(new) // 100 + 1
    counted = {line: count for line, count in Counter(new).items() if count <= often}
    return sum(counted.get(line, 0) for line in old)


def _range(start: int, end: int) -> str:
    """A range of lines as unified diffs write it (GNU diffutils manual, "Detailed Description of Unified Format")."""
    length = end - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"


def _joined(lines: Sequence[str]) -> str:
    kept, room = [], LONGEST
    for position, line in enumerate(lines):
        room -= len(line) + 1
        if room < 0:
            kept.append(f"@@ {len(lines) - position} more lines are not shown @@")
            break
        kept.append(line)
    return "\n".join(kept) + "\n"
