"""Outlines: which lines of a CloudFormation template belong to which logical resource, told by indentation alone, so
that what cannot be parsed is still divided, or else left whole.

A template is a mapping of sections, `Resources` one of logical ids
(https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html). YAML in block style is read, and
JSON that is written over many lines.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from upkeep.domain.differences import Block, difference

_KEY = re.compile(r"""(?P<indent>[ ]*)(?P<quote>["']?)(?P<name>[A-Za-z][\w:.-]*)(?P=quote)\s*:(?:\s|$)""")
_TYPE = re.compile(r"""(?P<indent>\s+)["']?Type["']?\s*:\s*["']?(?P<type>[\w:.]+)""")
_ITEM = re.compile(r"(\s*)- ")
_RESOURCES = "Resources"

_MOST_SECTIONS = 2_000
"""More than CloudFormation takes; what has more is left whole."""

REMARKS = "the same but for comments behind it"
"""What is said of a section that differs only in what stands between it and the next."""

_PATHS = 5
"""Properties that are named of one changed section."""


@dataclass(frozen=True, slots=True)
class Section:
    """Lines that belong together, from number `at` on: a logical resource and its type, or another section of the
    template; `type` is empty where none is written."""

    name: str
    resource: bool
    type: str
    at: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SectionChange:
    """What became of one section. `change` is added, changed, removed, or REMARKS; `paths` are the first of its
    properties that differ, such as `Properties.CidrBlock`; `blocks` count lines as the whole template does."""

    name: str
    resource: bool
    type: str
    change: str
    paths: tuple[str, ...]
    blocks: tuple[Block, ...]


def sections_of(lines: Sequence[str]) -> tuple[Section, ...]:
    """A template's sections in their order, which together hold every line once; a single one without a name for what
    has no `Resources` that could be found."""
    members = list(_members(lines, 0, len(lines)))
    if _RESOURCES not in {name for name, _, _ in members}:
        return (Section("", False, "", 1, tuple(lines)),) if lines else ()
    first = members[0][1]
    found = [Section("", False, "", 1, tuple(lines[:first]))] if first else []
    for name, start, end in members:
        inside = list(_members(lines, start + 1, end)) if name == _RESOURCES else []
        head = inside[0][1] if inside else end
        found.append(Section(name, False, "", start + 1, tuple(lines[start:head])))
        found += [Section(own, True, _type(lines[a + 1 : b]), a + 1, tuple(lines[a:b])) for own, a, b in inside]
    return tuple(found)


def section_changes(blocks: Iterable[Block]) -> tuple[SectionChange, ...]:
    """A whole difference divided by the sections of the template it is of, logical resources first, each compared with
    itself wherever it stands. Nothing is left out but what stayed the same."""
    kept = tuple(blocks)
    before = _by_name(sections_of([line for block in kept for line in block.old]))
    after = _by_name(sections_of([line for block in kept for line in block.new]))
    if before is None or after is None:
        return (SectionChange("", False, "", "changed", (), kept),)
    names = dict.fromkeys([*after, *before])
    changes = [change for name in names if (change := _changed(before.get(name), after.get(name)))]
    return tuple(sorted(changes, key=lambda change: (not change.resource, change.change == REMARKS)))


def _by_name(sections: Sequence[Section]) -> Mapping[tuple[bool, str], Section] | None:
    """None when a name stands for several, or there are too many."""
    named = {(section.resource, section.name): section for section in sections}
    return named if len(named) == len(sections) <= _MOST_SECTIONS else None


def _changed(before: Section | None, after: Section | None) -> SectionChange | None:
    own = after or before
    old, new = before.lines if before else (), after.lines if after else ()
    if own is None or old == new:
        return None
    found = difference("".join(f"{line}\n" for line in old), "".join(f"{line}\n" for line in new)).blocks
    old_at, new_at = before.at - 1 if before else 0, after.at - 1 if after else 0
    blocks = tuple(Block(block.old_at + old_at, block.new_at + new_at, block.old, block.new) for block in found)
    change = "added" if before is None else "removed" if after is None else "changed"
    if change == "changed" and _body(old) == _body(new):
        change = REMARKS
    paths = tuple(dict.fromkeys(_paths(found, old, new))) if change == "changed" else ()
    return SectionChange(own.name, own.resource, own.type, change, paths[:_PATHS], blocks)


def _members(lines: Sequence[str], start: int, end: int) -> Iterator[tuple[str, int, int]]:
    """The members of the mapping whose first key is the first in these lines: name, first line, end."""
    indent: int | None = None
    opened: tuple[str, int] | None = None
    for place in range(start, end):
        found = _KEY.match(lines[place])
        if found is None or (indent is not None and len(found["indent"]) != indent):
            continue
        indent = len(found["indent"])
        if opened is not None:
            yield (*opened, place)
        opened = found["name"], place
    if opened is not None:
        yield (*opened, end)


def _type(lines: Sequence[str]) -> str:
    """The `Type` that is least indented: others belong to something inside."""
    found = [match for line in lines if (match := _TYPE.match(line))]
    return min(found, key=lambda match: len(match["indent"]))["type"] if found else ""


def _paths(blocks: Iterable[Block], old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    for block in blocks:
        if block.same:
            continue
        lines, at = (new, block.new_at) if block.new else (old, block.old_at)
        if path := _path(lines, at - 1):
            yield path


def _body(lines: Sequence[str]) -> Sequence[str]:
    """The lines of a section without the empty ones and comments behind it. What is indented deeper than its key may be
    part of a text and is never taken for a comment."""
    end, key = len(lines), len(lines[0]) - len(lines[0].lstrip())
    while end and (
        not (bare := lines[end - 1].lstrip()) or (bare[0] == "#" and len(lines[end - 1]) - len(bare) <= key)
    ):
        end -= 1
    return lines[:end]


def _path(lines: Sequence[str], place: int) -> str:
    """The keys that lead to a line and its own, without the section's name; empty where indentation does not tell."""
    names: list[str] = []
    limit: int | None = None
    for line in reversed(lines[1 : place + 1]):
        found = _KEY.match(_ITEM.sub(r"\1  ", line, count=1) if _ITEM.match(line) else line)
        if found is None or (limit is not None and len(found["indent"]) >= limit):
            continue
        names.append(found["name"])
        limit = len(found["indent"])
    return ".".join(reversed(names))
