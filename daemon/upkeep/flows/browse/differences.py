"""What changed from one bundle to another, file by file."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from upkeep.domain.bundles import Bundle, BundleFile
from upkeep.domain.differences import Block, difference


class Change(StrEnum):
    """What happened to a file."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class FileDifference:
    """One file that differs: in whole `blocks`, and as a unified `diff` that is cut off when it is very long. Both are
    empty when `silent` says why it cannot be shown."""

    path: str
    change: Change
    diff: str
    silent: str | None = None
    blocks: tuple[Block, ...] = ()


def differences(before: Bundle | None, after: Bundle) -> tuple[FileDifference, ...]:
    """The files that differ, by path; without a bundle before, all of them are new."""
    old = _by_path(before.files if before else ())
    new = _by_path(after.files)
    return tuple(
        _difference(path, old.get(path), new.get(path))
        for path in sorted(old.keys() | new.keys())
        if _identity(old.get(path)) != _identity(new.get(path))
    )


def text_difference(path: str, before: str | None, after: str | None) -> FileDifference | None:
    """The difference of two texts; None when they are equal."""
    if before == after:
        return None
    return _compared(path, _change(before, after), before or "", after or "")


def _by_path(files: Iterable[BundleFile]) -> dict[str, BundleFile]:
    return {file.path: file for file in files}


def _identity(file: BundleFile | None) -> tuple[str, str] | None:
    return (file.mode, file.blob) if file else None


def _change(before: object | None, after: object | None) -> Change:
    if before is None:
        return Change.ADDED
    return Change.REMOVED if after is None else Change.CHANGED


def _difference(path: str, before: BundleFile | None, after: BundleFile | None) -> FileDifference:
    change = _change(before, after)
    try:
        old, new = _text(before), _text(after)
    except UnicodeDecodeError:
        return FileDifference(path, change, "", "it is not text")
    if old is None or new is None:
        return FileDifference(path, change, "", "its content was not read")
    if before and after and before.blob == after.blob:
        return FileDifference(path, change, "", f"only its mode changed, from {before.mode} to {after.mode}")
    return _compared(path, change, old, new)


def _text(file: BundleFile | None) -> str | None:
    if file is None:
        return ""
    return None if file.content is None else file.content.decode()


def _compared(path: str, change: Change, before: str, after: str) -> FileDifference:
    names = ("/dev/null" if change is Change.ADDED else path, "/dev/null" if change is Change.REMOVED else path)
    found = difference(before, after)
    silent = None if found.blocks else "it is empty, or only its last line break differs"
    return FileDifference(path, change, found.unified(*names), silent, found.blocks)
