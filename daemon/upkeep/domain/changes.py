"""Tree ids before and after: which folders are version folders, and which of them a commit changed.

A version folder is `<template>/v<major>/` (or, unusual, `<template>/<major>/`) that holds one of the folders a bundle
is made of. Git names the content of a folder by its tree id, so two ids say all there is to know about a change.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from upkeep.domain import findings
from upkeep.domain.bundles import Part
from upkeep.domain.findings import Finding
from upkeep.domain.names import TemplateName, is_name, parse_major_folder
from upkeep.domain.versions import Commit

SCHEMA_FOLDER = "schema"

MARKERS = frozenset({SCHEMA_FOLDER, *(part.folder for part in Part)})
"""The folders a bundle is made of. One of them, directly below, makes a folder a bundle."""

NAME_HELD_ELSEWHERE = "template-of-another-source"
"""Slug of the finding that may end without a commit in this source: when the other source lets go of the name."""

_SERVICE_MARKERS = frozenset({Part.INSTANCE.folder, Part.PIPELINE.folder})


@dataclass(frozen=True, slots=True)
class FolderChange:
    """One row of a tree comparison: a folder (`path` from the repository's root) and its tree ids before and
    after; None where it did not exist."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """A first-parent commit and all folders that it changed, at any depth."""

    commit: Commit
    folders: tuple[FolderChange, ...]


@dataclass(frozen=True, order=True, slots=True)
class MajorKey:
    """What a version folder stands for."""

    template: TemplateName
    major: int


@dataclass(frozen=True, slots=True)
class VersionFolder:
    """A folder whose path says that it is a version folder."""

    path: str
    key: MajorKey
    usual: bool

    @property
    def template_path(self) -> str:
        """The folder that holds it and its sister majors."""
        return _parent(self.path)


@dataclass(frozen=True, slots=True)
class Move:
    """What a commit did to one major: its folder and tree id before and after, None where there was none.

    With equal tree ids only the path is another one.
    """

    key: MajorKey
    path: str
    before: str | None
    after: str | None


def version_folder(path: str) -> VersionFolder | None:
    """Read a path as `…/<template>/v<major>`; None when it is none, or not one that can be registered."""
    return None if _fault(path) else _parsed(path)


def structural(change: FolderChange) -> bool:
    """Whether a change can turn anything into a version folder, or end one: a folder came or went that is named
    like a major or like a part of a bundle."""
    if (change.before is None) == (change.after is None):
        return False
    name = _name(change.path)
    return name in MARKERS or parse_major_folder(name) is not None


def compare(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[FolderChange, ...]:
    """The rows of a comparison of two trees' folders."""
    return tuple(
        FolderChange(path, before.get(path), after.get(path))
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    )


def fold(steps: Iterable[Step]) -> Step | None:
    """All steps as one, with the last one's commit: what a push changed as a whole. None without steps."""
    first: dict[str, str | None] = {}
    last: dict[str, str | None] = {}
    commit: Commit | None = None
    for step in steps:
        commit = step.commit
        for change in step.folders:
            first.setdefault(change.path, change.before)
            last[change.path] = change.after
    if commit is None:
        return None
    return Step(
        commit,
        tuple(FolderChange(path, first[path], last[path]) for path in first if first[path] != last[path]),
    )


@dataclass(slots=True)
class Layout:
    """The folders of a source and what is claimed by which, kept up with commit after commit.

    `known` are the folders that the registry has for each major, `holders` the folder each template's name is
    registered from, `foreign` the names that belong to other sources. A known folder stays a version folder while it
    exists, whatever it holds, and is one again when it returns. A name that is claimed from two places belongs to
    the place it is registered from; when it is registered from none, it is registered from neither.

    A commit costs what it changes, not what the source holds.
    """

    folders: dict[str, str]
    known: dict[MajorKey, str] = field(default_factory=dict)
    holders: dict[str, str] = field(default_factory=dict)
    foreign: Mapping[str, str] = field(default_factory=dict)
    _markers: dict[str, set[str]] = field(default_factory=dict)
    _claims: dict[str, set[str]] = field(default_factory=dict)
    _accepted: dict[MajorKey, str] = field(default_factory=dict)
    _decided: dict[str, list[MajorKey]] = field(default_factory=dict)
    _nested: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for path in self.folders:
            self._note_marker(path)
        names = {name for path in self.folders if (name := self._place_claim(path)) is not None}
        self._decide_all(names)

    @property
    def accepted(self) -> Mapping[MajorKey, str]:
        """The version folder of each major that can be registered."""
        return self._accepted

    def tree(self, path: str) -> str | None:
        """The tree id of a folder."""
        return self.folders.get(path)

    def follow(self, changes: Iterable[FolderChange]) -> tuple[Move, ...]:
        """Take in what a commit changed and return what it did to the majors, in order of name and number."""
        before: dict[MajorKey, tuple[str, str | None]] = {}
        touched: set[str] = set()
        names: set[str] = set()
        rows = tuple(changes)
        for change in rows:
            parsed = _parsed(change.path)
            if parsed is not None:
                touched.add(parsed.key.template)
            if structural(change):
                names.update(self._names_around(change.path))
        for name in touched | names:
            before |= {key: (path, self.folders.get(path)) for key, path in self._of_name(name)}
        for change in rows:
            if change.after is None:
                self.folders.pop(change.path, None)
            else:
                self.folders[change.path] = change.after
            if change.before is None or change.after is None:
                self._note_marker(change.path)
        for change in rows:
            if structural(change):
                for path in (change.path, _parent(change.path)):
                    self._place_claim(path)
        # Whether a folder lies inside a bundle may have changed with the bundle.
        for name, held in self._decide_all(names).items():
            names.add(name)
            before |= held
        after = {key: (path, self.folders.get(path)) for name in touched | names for key, path in self._of_name(name)}
        return tuple(
            move
            for key in sorted(before.keys() | after.keys())
            if (move := _move(key, before.get(key), after.get(key))) is not None
        )

    def findings(self) -> tuple[Finding, ...]:
        """What people have to put right in the source's layout, by path."""
        found = [finding for path in self._markers for finding in self._fault_findings(path)]
        for name in self._claims:
            found += self._name_findings(name)
        return tuple(sorted(found, key=lambda finding: (finding.path, finding.slug, finding.message)))

    # What follows keeps indexes: which marker folders a folder holds, which version folders claim a name, which of
    # these could lie inside another one, which are accepted, and which of those for a name.

    def _note_marker(self, path: str) -> None:
        name, parent = _name(path), _parent(path)
        if name not in MARKERS:
            return
        if path in self.folders:
            self._markers.setdefault(parent, set()).add(name)
        elif parent in self._markers:
            self._markers[parent].discard(name)
            if not self._markers[parent]:
                del self._markers[parent]

    def _place_claim(self, path: str) -> str | None:
        parsed = _parsed(path)
        if parsed is None or _fault(path):
            return None
        claims = self._claims.setdefault(parsed.key.template, set())
        if path in self.folders and (path in self._markers or self.known.get(parsed.key) == path):
            claims.add(path)
            if _may_be_nested(path):
                self._nested.add(path)
        else:
            claims.discard(path)
            self._nested.discard(path)
        if not claims:
            del self._claims[parsed.key.template]
        return parsed.key.template

    def _names_around(self, path: str) -> Iterator[str]:
        for place in (path, _parent(path)):
            parsed = _parsed(place)
            if parsed is not None:
                yield parsed.key.template
                yield from (_name(_parent(claim)) for claim in self._nested if claim.startswith(f"{place}/"))

    def _of_name(self, name: str) -> Iterator[tuple[MajorKey, str]]:
        for path in self._claims.get(name, ()):
            parsed = _parsed(path)
            if parsed is not None and self._accepted.get(parsed.key) == path:
                yield parsed.key, path

    def _decide_all(self, names: Iterable[str]) -> Mapping[str, Mapping[MajorKey, tuple[str, str | None]]]:
        """Decide these names, and others that this concerns: a folder that claimed its name only because it was known
        may lose that to another one, and is no bundle then that others could lie in. Returns those others, with what
        was accepted for them before."""
        asked = set(names)
        waiting, others = list(asked), {}
        while waiting:
            for lost in self._decide(waiting.pop()):
                for name in self._names_around(lost):
                    if name not in asked and name not in others:
                        others[name] = {key: (path, self.folders.get(path)) for key, path in self._of_name(name)}
                    waiting.append(name)
        return others

    def _decide(self, name: str) -> tuple[str, ...]:
        """Which folders of a name are accepted; returns those that lost their claim on it."""
        for key in self._decided.pop(name, ()):
            del self._accepted[key]
        if name in self.foreign:
            return ()
        lost = []
        claims = self._fit(name)
        homes = {claim.template_path for claim in claims}
        home = next(iter(homes)) if len(homes) == 1 else self.holders.get(name)
        for key in {claim.key for claim in claims}:
            paths = [claim.path for claim in claims if claim.key == key and claim.template_path == home]
            chosen = self.known.get(key) if len(paths) > 1 else next(iter(paths), None)
            if chosen in paths and chosen is not None:
                self._accepted[key] = chosen
                self._decided.setdefault(name, []).append(key)
                former = self.known.get(key, chosen)
                self.known[key] = chosen
                self.holders[name] = _parent(chosen)
                if former in self._claims[name]:
                    self._place_claim(former)
                    lost += [former] if former not in self._claims[name] else []
        return tuple(lost)

    def _fit(self, name: str) -> list[VersionFolder]:
        """The claims on a name that are in their place: not inside another bundle, unless known from before."""
        claims = (parsed for path in self._claims.get(name, ()) if (parsed := _parsed(path)) is not None)
        return [c for c in claims if self.known.get(c.key) == c.path or self._around(c.path) is None]

    def _around(self, path: str) -> str | None:
        """The version folder that a folder lies in."""
        while path := _parent(path):
            parsed = _parsed(path)
            if parsed is not None and path in self._claims.get(parsed.key.template, ()):
                return path
        return None

    def _fault_findings(self, path: str) -> Iterator[Finding]:
        """What is wrong with a bundle's place, whoever else claims its name."""
        parsed = _parsed(path)
        if parsed is None:
            if (
                self._around(path) is None
                and _is_bundle(self._markers[path])
                and parse_major_folder(_name(path)) is None
            ):
                yield findings.error(
                    "bundle-without-version",
                    "this bundle is in no version folder, so it is not registered",
                    _printable(path) or ".",
                    cure="move its files into a folder `<template>/v1`",
                )
            elif parse_major_folder(_name(path)) is not None:
                yield findings.error(
                    "version-without-template",
                    f"the version folder `{_name(path)}` is in no template's folder",
                    _printable(path),
                    cure=f"move it into a folder that carries the template's name: `<template>/{_name(path)}`",
                )
        elif (fault := _fault(path)) is not None:
            yield fault
        elif (around := self._around(path)) is not None and self.known.get(parsed.key) != path:
            yield findings.error(
                "nested-major",
                f"this version folder lies inside the version folder `{around}`, so it is not registered",
                path,
                cure="move it beside the other template folders",
            )

    def _name_findings(self, name: str) -> Iterator[Finding]:
        claims = sorted(self._fit(name), key=lambda claim: claim.path)
        if (owner := self.foreign.get(name)) is not None:
            for claim in claims:
                yield findings.error(
                    NAME_HELD_ELSEWHERE,
                    f"the template name `{name}` belongs to source `{owner}`, so this folder is not registered",
                    claim.path,
                    cure="rename the folder, or remove the other source",
                )
            return
        accepted = dict(self._of_name(name))
        homes = sorted({claim.template_path for claim in claims})
        for claim in claims:
            if accepted.get(claim.key) == claim.path:
                if not claim.usual:
                    yield findings.warning(
                        "unusual-version-folder",
                        f"the version folder is called `{_name(claim.path)}`",
                        claim.path,
                        cure=f"`v{claim.key.major}` is the usual name; both are read",
                    )
            elif len(homes) > 1:
                others = ", ".join(f"`{home}`" for home in homes if home != claim.template_path)
                holder = self.holders.get(name)
                outcome = (
                    f"the name stays with `{holder}`, where it is registered from"
                    if holder in homes
                    else "none of them is registered"
                )
                yield findings.error(
                    "template-name-twice",
                    f"the template name `{name}` is claimed by {others} too; {outcome}",
                    claim.path,
                    cure="rename one of the folders; template names are unique",
                )
            else:
                rivals = [c.path for c in claims if c.key == claim.key and c.path != claim.path]
                outcome = (
                    f"`{accepted[claim.key]}` stays the registered one"
                    if claim.key in accepted
                    else "neither is registered"
                )
                yield findings.error(
                    "major-twice",
                    f"`{', '.join(_name(path) for path in rivals)}` is major {claim.key.major} too; {outcome}",
                    claim.path,
                    cure="keep one of them",
                )
        kinds = {key: kind for key, path in accepted.items() if (kind := _kind(self._markers.get(path, set())))}
        if len(set(kinds.values())) > 1:
            told = ", ".join(f"v{key.major} {kind}" for key, kind in sorted(kinds.items()))
            yield findings.error(
                "majors-of-two-kinds",
                f"the majors of `{name}` are of different kinds: {told}",
                self.holders[name],
                cure="give one of them a folder and template name of its own",
            )


def _move(key: MajorKey, before: tuple[str, str | None] | None, after: tuple[str, str | None] | None) -> Move | None:
    if before == after:
        return None
    path = after[0] if after else before[0] if before else ""
    return Move(key, path, before[1] if before else None, after[1] if after else None)


def _may_be_nested(path: str) -> bool:
    return any(parse_major_folder(name) is not None for name in path.split("/")[:-1])


@lru_cache(maxsize=1 << 16)
def _parsed(path: str) -> VersionFolder | None:
    folder = parse_major_folder(_name(path))
    parent = _parent(path)
    if folder is None or not parent:
        return None
    return VersionFolder(path, MajorKey(TemplateName(_name(parent)), folder.major), folder.usual)


def _fault(path: str) -> Finding | None:
    """Why a version folder can never be registered under its path."""
    parsed = _parsed(path)
    if parsed is None:
        return None
    name = parsed.key.template
    if parse_major_folder(name) is not None:
        return findings.error(
            "nested-major",
            f"`{_name(path)}` lies in `{name}`, which is itself named like a version, so it is not registered",
            _printable(path),
            cure=f"move its files up into `{_printable(_parent(path))}`, or into a folder named for its template",
        )
    if not is_name(name):
        return findings.error(
            "template-name",
            f"`{_printable(name)}` is not a template name, so this folder is not registered",
            _printable(path),
            cure="use 1 to 100 letters, digits, `_` and `-`, starting with a letter or digit",
        )
    if _printable(path) != path:
        return findings.error(
            "folder-name-encoding",
            "the path of this version folder is not UTF-8, so it is not registered",
            _printable(path),
            cure="rename the folder",
        )
    return None


def _is_bundle(markers: set[str]) -> bool:
    """Whether a folder outside any version folder is surely meant as a bundle: `schema` or `infrastructure` alone
    are common names."""
    return bool(markers & _SERVICE_MARKERS) or len(markers) > 1


def _kind(markers: set[str]) -> str | None:
    if markers & _SERVICE_MARKERS:
        return "service"
    return "environment" if Part.ENVIRONMENT.folder in markers else None


def _printable(path: str) -> str:
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
