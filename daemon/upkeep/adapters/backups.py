"""Backups: an installation in one file, checked when it is written and again before anything is taken out of it.

A ZIP archive (https://docs.python.org/3/library/zipfile.html) with `rows.jsonl`, all rows as `store.lines` writes
them; `files/…`, what else of the state folder is no cache; and `manifest.json`, with the SHA-256 of each of them. Its
directory stands at its end, so that one that was not written whole cannot be opened.
"""

import errno
import hashlib
import json
import os
import secrets
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any

from upkeep.domain.errors import CallerError, Conflict, TransientError

KEPT = ("proton.key", "local")
"""What in the state folder is kept: the key that key pairs are derived from, and the stacks of the local provisioner.
Mirrors are fetched again, and pipes and locks belong to processes."""

FORMAT = 1

_MANIFEST, _ROWS, _FILES = "manifest.json", "rows.jsonl", "files/"
_PIECE = 1 << 20
_NEEDS_ANOTHER_PATH = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG}


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup says of itself."""

    revision: str
    program: str
    made_at: datetime
    rows: Mapping[str, int]
    digests: Mapping[str, str]

    @property
    def files(self) -> list[str]:
        """The files of the state folder in it, relative to that folder."""
        return sorted(name.removeprefix(_FILES) for name in self.digests if name.startswith(_FILES))


@contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """A new file that only we may read and that gets its name when it is whole and on the disk. Conflict when there is
    something of that name."""
    if os.path.lexists(path):
        raise _taken(path)
    made = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with _translated(made):
        descriptor = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            with _translated(made):
                file.flush()
                os.fsync(file.fileno())
        with _translated(path):
            try:
                # Unlike a rename, it replaces nothing.
                os.link(made, path)
            except FileExistsError:
                raise _taken(path) from None
        _sync(path.parent)
    finally:
        made.unlink(missing_ok=True)


def write(
    path: Path,
    state: Path,
    lines: Iterable[bytes],
    revision: str,
    counted: Callable[[], Mapping[str, int]],
    *,
    program: str,
    now: datetime,
) -> Backup:
    """Write a backup and read it again. `counted` says how many rows of each table the lines held, once they are
    written. The files of the state folder are copied behind the rows: what is newer there is done again without harm.
    """
    with written_whole(path) as file:
        with _translated(path), zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            digests = {_ROWS: _add(archive, _ROWS, lines)}
            for found in _files_of(state):
                name = _FILES + found.relative_to(state).as_posix()
                # One that went away meanwhile belonged to something that is over.
                with suppress(FileNotFoundError), found.open("rb") as content:
                    digests[name] = _add(archive, name, _pieces(content))
            made = Backup(revision, program, now, dict(counted()), digests)
            archive.writestr(_MANIFEST, _manifest(made))
        file.flush()
        with _opened(file, path) as archive:
            _verify(archive, _told(archive, path), path)
    return made


@contextmanager
def opened(path: Path) -> Iterator[tuple[Backup, zipfile.ZipFile]]:
    """A backup, after every byte of it was checked. CallerError when it is none, or damaged."""
    with _translated(path), path.open("rb") as file, _opened(file, path) as archive:
        found = _told(archive, path)
        _verify(archive, found, path)
        yield found, archive


@contextmanager
def rows_of(archive: zipfile.ZipFile) -> Iterator[Iterable[bytes]]:
    """The lines of the rows in a backup."""
    with archive.open(_ROWS) as file:
        yield file


def require_free(backup: Backup, state: Path) -> None:
    """Conflict when the state folder holds files that the backup does not have, or has otherwise."""
    for found in _files_of(state):
        with _translated(found), found.open("rb") as file:
            digest = _hashed(_pieces(file))
        if backup.digests.get(_FILES + found.relative_to(state).as_posix()) != digest:
            raise Conflict(
                "the state folder is in use",
                where=str(found),
                cure="name an empty state folder; `--replace` gives up what this one holds",
            )


def unpack(backup: Backup, archive: zipfile.ZipFile, state: Path) -> None:
    """Put the files of a backup into the state folder, in the place of what stands there. All of them are on the disk
    before the first is put in its place."""
    made = state / f".restored.{secrets.token_hex(4)}"
    with _translated(state):
        try:
            made.mkdir(mode=0o700)
            for name in backup.files:
                place = made / name
                place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    with archive.open(_FILES + name) as content:
                        shutil.copyfileobj(content, file, _PIECE)
                    file.flush()
                    os.fsync(file.fileno())
            for folder, _, _ in os.walk(made):
                _sync(Path(folder))
            for kept in KEPT:
                if (state / kept).is_dir():
                    shutil.rmtree(state / kept)
                if (made / kept).exists():
                    (made / kept).replace(state / kept)
            _sync(state)
        finally:
            shutil.rmtree(made, ignore_errors=True)


def _files_of(state: Path) -> Iterator[Path]:
    for name in KEPT:
        place = state / name
        if place.is_file():
            yield place
        for folder, folders, names in os.walk(place):
            folders.sort()
            yield from (found for each in sorted(names) if stat.S_ISREG((found := Path(folder, each)).lstat().st_mode))


def _add(archive: zipfile.ZipFile, name: str, pieces: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    with archive.open(name, "w", force_zip64=True) as member:
        for piece in pieces:
            digest.update(piece)
            member.write(piece)
    return digest.hexdigest()


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: file.read(_PIECE), b"")


def _hashed(pieces: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _manifest(backup: Backup) -> str:
    told = {
        "upkeep_backup": FORMAT,
        "revision": backup.revision,
        "program": backup.program,
        "made_at": backup.made_at.isoformat(),
        "rows": backup.rows,
        "sha256": backup.digests,
    }
    return json.dumps(told, indent=1) + "\n"


@contextmanager
def _opened(file: IO[bytes], path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError):
        raise CallerError(
            "this is no backup of upkeep, or it was not written whole", where=str(path), cure="name another one"
        ) from None
    with archive:
        try:
            yield archive
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise _damaged(path, str(error)) from error


def _told(archive: zipfile.ZipFile, path: Path) -> Backup:
    try:
        told: Any = json.loads(archive.read(_MANIFEST))
        form = told["upkeep_backup"]
        if form != FORMAT:
            raise CallerError(
                f"this program does not know the form {form} of a backup", where=str(path), cure="use a newer upkeep"
            )
        made_at = datetime.fromisoformat(told["made_at"])
        rows = {name: int(count) for name, count in told["rows"].items()}
        return Backup(told["revision"], told["program"], made_at, rows, dict(told["sha256"]))
    except (KeyError, ValueError, TypeError, AttributeError):
        raise CallerError("this is no backup of upkeep", where=str(path), cure="name another one") from None


def _verify(archive: zipfile.ZipFile, backup: Backup, path: Path) -> None:
    """Read every byte. The manifest and the archive have to speak of the same files, and of no place but those kept."""
    if set(archive.namelist()) != {_MANIFEST, *backup.digests} or _ROWS not in backup.digests:
        raise _damaged(path, "it holds other files than it says")
    for name in backup.files:
        place = PurePosixPath(name)
        if place.parts[:1] not in {(kept,) for kept in KEPT} or ".." in place.parts or str(place) != name:
            raise _damaged(path, f"{name} belongs to no place of the state folder")
    for name, digest in backup.digests.items():
        with archive.open(name) as member:
            if _hashed(_pieces(member)) != digest:
                raise _damaged(path, f"{name} is not what was written")


def _damaged(path: Path, reason: str) -> CallerError:
    return CallerError(f"the backup is damaged: {reason}", where=str(path), cure="take another one")


def _taken(path: Path) -> Conflict:
    return Conflict("there is something of that name already", where=str(path), cure="choose a name that is free")


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind = CallerError if error.errno in _NEEDS_ANOTHER_PATH else TransientError
        raise kind(
            f"this cannot be read or written: {error.strerror or error}",
            where=str(error.filename or path),
            cure="look at the folder, its rights and its disk, then try again",
        ) from error


def _sync(folder: Path) -> None:
    """Make the names in a folder last."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
