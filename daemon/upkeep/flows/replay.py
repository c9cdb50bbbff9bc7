"""Replay: the numbers a history gives its version folders, told from the repository alone."""

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from upkeep.domain.bundles import Inspection
from upkeep.domain.changes import MARKERS, Layout, Step, compare, version_folder
from upkeep.domain.errors import CallerError, NotFound
from upkeep.domain.findings import Finding, has_errors
from upkeep.domain.names import Version, parse_major_folder
from upkeep.domain.versions import VersionState
from upkeep.flows.examine import compatibility, examine, read
from upkeep.flows.ports import Mirror, Renderer


@dataclass(frozen=True, slots=True)
class Replayed:
    """A version as a sync would have registered it."""

    path: str
    version: Version
    commit: str
    tree: str
    state: VersionState
    findings: tuple[Finding, ...]


@dataclass(slots=True)
class _Folder:
    """A folder on its way through history: which commits gave it which content, and whether it was ever a bundle."""

    major: int
    contents: list[tuple[str, str]] = field(default_factory=list)
    marked: bool = False


def replay(
    mirror: Mirror, renderer: Renderer, *, until: str, since: str | None = None, path: str | None = None
) -> tuple[Replayed, ...]:
    """Number version folders along the first-parent history up to a commit, by path and then by number.

    A folder is N.0 as `since` has it; without `since`, or where `since` lacks it, as the first commit that holds it.
    Each commit that changes its tree id makes the next minor, also when it brings an earlier content back or the
    folder itself after it was gone. With `path` only that folder is followed, whatever stands around it; without, all
    that ever were version folders. A folder that moved is another folder here.

    `until` and `since` are full commit ids. When `since` is not on the first-parent line of `until`, only their trees
    are compared, as a sync does behind a rewritten history. Raises CallerError for a path that is no version folder,
    NotFound when no commit holds `path` or the repository lacks a commit.
    """
    wanted = None if path is None else posixpath.normpath(path).strip("/")
    if wanted is not None and parse_major_folder(wanted.rpartition("/")[2]) is None:
        raise CallerError(f"`{wanted}` is not a version folder", cure="name a folder such as my-template/v1")
    followed: dict[str, _Folder] = {}
    for step in _steps(mirror, since, until):
        _follow(followed, step, wanted)
    if wanted is not None and wanted not in followed:
        raise NotFound(f"no commit holds the folder `{wanted}`", cure="write it as it is called from the root")
    chosen = followed if wanted is not None else {name: f for name, f in followed.items() if f.marked}
    outer = {name for name, folder in chosen.items() if folder.marked}
    examined: dict[str, Inspection] = {}
    return tuple(
        version
        for name in sorted(chosen)
        if wanted is not None or not _inside(name, outer)
        for version in _numbered(mirror, renderer, name, chosen[name], examined)
    )


def misplaced(mirror: Mirror, until: str) -> tuple[Finding, ...]:
    """What hinders folders at a commit from being registered by a sync, whatever they contain."""
    return tuple(finding for finding in Layout(dict(mirror.folders(until, ""))).findings() if has_errors([finding]))


def _steps(mirror: Mirror, since: str | None, until: str) -> Iterable[Step]:
    if since is None:
        return mirror.history(until, "")
    steps = mirror.steps(since, until, "")
    base = mirror.folders(since, "")
    if steps is None:
        steps = iter([Step(mirror.commit(until), compare(base, mirror.folders(until, "")))])
    return chain([Step(mirror.commit(since), compare({}, base))], steps)


def _follow(followed: dict[str, _Folder], step: Step, wanted: str | None) -> None:
    for change in step.folders:
        if change.after is None:
            continue
        parent, _, name = change.path.rpartition("/")
        if name in MARKERS and parent in followed:
            followed[parent].marked = True
        folder = _wanted(change.path, wanted)
        if folder is not None:
            followed.setdefault(change.path, _Folder(folder)).contents.append((step.commit.id, change.after))


def _wanted(path: str, wanted: str | None) -> int | None:
    """The major of a folder that is followed."""
    if wanted is not None:
        named = parse_major_folder(path.rpartition("/")[2]) if path == wanted else None
        return named.major if named else None
    folder = version_folder(path)
    return folder.key.major if folder else None


def _inside(path: str, folders: set[str]) -> bool:
    while path := path.rpartition("/")[0]:
        if path in folders:
            return True
    return False


def _numbered(
    mirror: Mirror, renderer: Renderer, path: str, folder: _Folder, examined: dict[str, Inspection]
) -> Iterator[Replayed]:
    before: Inspection | None = None
    for minor, (commit, tree) in enumerate(folder.contents):
        if tree not in examined:
            bundle, unreadable = read(mirror, tree)
            examined[tree] = unreadable or examine(bundle, renderer)
        inspection = examined[tree]
        findings = list(inspection.findings)
        if before is not None:
            findings += compatibility(before.schema, inspection.schema)
        failed = has_errors(findings)
        if not failed:
            before = inspection
        state = VersionState.REGISTRATION_FAILED if failed else VersionState.DRAFT
        yield Replayed(path, Version(folder.major, minor), commit, tree, state, tuple(findings))
