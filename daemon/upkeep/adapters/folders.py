"""Folders: bundles on this machine's disk. Reads only what lies in a folder, never what a link points to."""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from upkeep.domain.bundles import Bundle, BundleFile, Part, is_part_folder
from upkeep.domain.errors import CallerError, NotFound
from upkeep.domain.limits import LIMITS
from upkeep.domain.names import parse_major_folder

PLAIN, EXECUTABLE, _SYMLINK, _SUBMODULE, _TREE = "100644", "100755", "120000", "160000", "40000"
_DEEPEST = 300
_UNKNOWN_BLOB = "0" * 40
_CHUNK = 1 << 20
_SURE_FILES = ("schema.yaml", "schema.yml", "manifest.yaml", "manifest.yml")
_PART_FOLDERS = ("schema", *(part.folder for part in Part))


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle with git's object ids: its tree is the one git would name the folder's files by.

    Raises NotFound when there is no such folder, CallerError when a folder in it may not be read.
    """
    reading = _Reading()
    with _readable():
        if not folder.is_dir():
            raise NotFound(f"`{folder}` is no folder", cure="name the folder that holds `schema/`")
        tree = reading.tree(folder, "")
    return Bundle(tree, tuple(sorted(reading.files, key=lambda file: file.path)))


def find_bundles(root: Path) -> tuple[str, ...]:
    """The folders at or below `root` that are meant to be bundles, good or bad, relative to it with `/`, sorted.

    These are version folders (`v1`, `1`) with one of the folders a bundle is made of, other folders with a schema
    or manifest in its place, and folders that hold nothing of a bundle but a `spec/` with a Proton spec. Hidden
    folders are not searched. Raises NotFound when there is no such folder, CallerError when one may not be read.
    """
    with _readable():
        if not root.is_dir():
            raise NotFound(f"`{root}` is no folder", cure="name the folder that holds the bundles")
        return tuple(sorted(_search(root, root.resolve().name, "", inside_bundle=False)))


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise CallerError(
            f"this cannot be read: {fault.strerror}", where=str(fault.filename), cure="look at its rights"
        ) from fault


def _search(folder: Path, name: str, path: str, *, inside_bundle: bool) -> list[str]:
    """The bundles at and below a folder of this name."""
    _check_depth(path)
    children = {entry.name: entry for entry in _entries(folder) if _is_folder(entry) and not entry.name.startswith(".")}
    named_like_major = parse_major_folder(name) is not None
    bundle = (named_like_major and any(is_part_folder(child) for child in children)) or (
        not inside_bundle and _is_sure(folder, children)
    )
    found = [path or "."] if bundle else []
    for child in children.values():
        if bundle and child.name in _PART_FOLDERS:
            continue
        below = f"{path}/{child.name}" if path else child.name
        found += _search(Path(child.path), child.name, below, inside_bundle=inside_bundle or bundle)
    if not found and not inside_bundle and "spec" in children and _holds_spec(Path(children["spec"].path)):
        found.append(path or ".")
    return found


def _is_sure(folder: Path, children: dict[str, os.DirEntry[str]]) -> bool:
    return any((folder / part / file).is_file() for part in _PART_FOLDERS if part in children for file in _SURE_FILES)


def _holds_spec(folder: Path) -> bool:
    for entry in _entries(folder):
        if entry.name.endswith((".yaml", ".yml")) and entry.is_file(follow_symlinks=False):
            with Path(entry.path).open("rb") as file:
                if any(line.startswith(b"proton:") for line in file.read(LIMITS.bundle.file_bytes).splitlines()):
                    return True
    return False


def _check_depth(path: str) -> None:
    if path.count("/") >= _DEEPEST:
        start = "/".join(path.split("/")[:3])
        raise CallerError(f"folders nest deeper than {_DEEPEST}", where=f"{start}/…", cure="name a folder without them")


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from sorted(entries, key=lambda entry: entry.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


class _Reading:
    """Collects the files of one bundle."""

    def __init__(self) -> None:
        self.files: list[BundleFile] = []
        self._bytes = 0

    def tree(self, folder: Path, path: str) -> str:
        """Read a folder and return its git tree id."""
        _check_depth(path)
        rows: list[tuple[bytes, str, str]] = []
        for entry in _entries(folder):
            if entry.name == ".git":
                continue
            name = os.fsencode(entry.name)
            below = f"{path}/{entry.name}" if path else entry.name
            if not _is_folder(entry):
                file = self._file(Path(entry.path), below)
                if file is not None:
                    rows.append((name, file.mode, file.blob))
            elif (Path(entry.path) / ".git").exists():
                self.files.append(BundleFile(below, _SUBMODULE, _UNKNOWN_BLOB, 0, None))
                rows.append((name, _SUBMODULE, _UNKNOWN_BLOB))
            else:
                before = len(self.files)
                tree = self.tree(Path(entry.path), below)
                if len(self.files) > before:  # git knows no empty folders
                    rows.append((name, _TREE, tree))
        return _tree_of(rows)

    def _file(self, place: Path, path: str) -> BundleFile | None:
        """Read a file or link; None for what git does not keep, such as a socket."""
        try:
            status = place.lstat()
            if stat.S_ISLNK(status.st_mode):
                target = os.fsencode(place.readlink())
                file = BundleFile(path, _SYMLINK, object_id(b"blob", target), len(target), None)
            elif stat.S_ISREG(status.st_mode):
                file = self._regular(place, path, EXECUTABLE if status.st_mode & stat.S_IXUSR else PLAIN)
            else:
                return None
        except OSError:
            file = BundleFile(path, PLAIN, _UNKNOWN_BLOB, 0, None)
        self.files.append(file)
        return file

    def _regular(self, place: Path, path: str, mode: str) -> BundleFile:
        with place.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            self._bytes += size
            if size <= LIMITS.bundle.file_bytes and self._bytes <= LIMITS.bundle.bytes:
                content = stream.read()
                return BundleFile(path, mode, object_id(b"blob", content), len(content), content)
            digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
            return BundleFile(path, mode, digest.hexdigest(), size, None)


def object_id(kind: bytes, content: bytes) -> str:
    """The id git gives an object (https://git-scm.com/book/en/v2/Git-Internals-Git-Objects)."""
    return hashlib.sha1(b"%s %d\0" % (kind, len(content)) + content, usedforsecurity=False).hexdigest()


def tree_id(folder: Mapping[str, Any]) -> str:
    """The id git gives a folder: of its files as they are, and of the folders in it, each a mapping like this one."""
    rows = []
    for name, entry in folder.items():
        is_folder = isinstance(entry, Mapping)
        rows.append((name.encode(), _TREE, tree_id(entry)) if is_folder else (name.encode(), entry.mode, entry.blob))
    return _tree_of(rows)


def _tree_of(rows: list[tuple[bytes, str, str]]) -> str:
    """Git orders a folder as if its name ended with a slash."""
    rows = sorted(rows, key=lambda row: row[0] + b"/" if row[1] == _TREE else row[0])
    content = b"".join(mode.encode() + b" " + name + b"\0" + bytes.fromhex(blob) for name, mode, blob in rows)
    return object_id(b"tree", content)
