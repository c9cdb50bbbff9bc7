"""Archives: bundles as gzipped tarballs, the way they were uploaded to Proton.

Nothing is written to a disk. What unpacks to too much is not unpacked, and what is no plain file below the archive's
root is refused: links, devices, and paths that lead outside. https://docs.python.org/3/library/tarfile.html
"""

import io
import tarfile
import zlib
from collections.abc import Mapping

from upkeep.adapters.folders import EXECUTABLE, PLAIN, object_id, tree_id
from upkeep.domain.bundles import Bundle, BundleFile
from upkeep.domain.errors import BundleError
from upkeep.domain.limits import LIMITS, BundleLimits, megabytes

_OVERHEAD = 4 << 20
"""What headers and padding may add to the files."""

_GZIP = 16 + zlib.MAX_WBITS


def read_archive(content: bytes, limits: BundleLimits = LIMITS.bundle) -> Bundle:
    """Read a bundle with git's object ids, as if its files had been committed. BundleError says what is wrong."""
    files: dict[str, BundleFile] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(_unpacked(content, limits)), mode="r:") as archive:
            for member in archive:
                path = _path(member)
                if member.isdir():
                    continue
                if len(files) >= limits.files:
                    raise BundleError(
                        f"the archive holds more than {limits.files:,} files",
                        cure="pack the bundle alone, or raise `limits.bundle_files`",
                    )
                if path in files:
                    raise BundleError(f"the archive holds `{path}` twice", cure="pack each file once")
                files[path] = _file(archive, member, path)
        listed = tuple(files[path] for path in sorted(files))
        return Bundle(tree_id(_nested(files)), listed)
    except (tarfile.TarError, EOFError, UnicodeError, ValueError, OverflowError) as fault:
        raise BundleError(f"the archive cannot be read: {fault}", cure=_CURE) from fault
    except RecursionError as fault:
        raise BundleError("the archive cannot be read: its folders or names do not end", cure=_CURE) from fault


_CURE = "pack the bundle with `tar -czf bundle.tar.gz schema infrastructure`"


def _unpacked(content: bytes, limits: BundleLimits) -> bytes:
    most = limits.bytes + _OVERHEAD
    reader = zlib.decompressobj(_GZIP)
    try:
        unpacked = reader.decompress(content, most + 1)
    except zlib.error as fault:
        raise BundleError(f"the archive is not gzipped: {fault}", cure=_CURE) from fault
    if len(unpacked) > most:
        raise BundleError(
            f"the archive unpacks to more than {megabytes(most)}",
            cure="leave out what is no template, or raise `limits.bundle`",
        )
    if not reader.eof:
        raise BundleError("the archive ends too early", cure="upload it again")
    return unpacked


def _path(member: tarfile.TarInfo) -> str:
    steps = [step for step in member.name.split("/") if step != "."]
    if member.isdir():
        steps = [step for step in steps if step]
    if member.name.startswith("/") or ".." in steps or "\\" in member.name or not member.name.isprintable():
        raise BundleError(f"the archive holds the path {member.name!r}", cure="pack plain paths from its root")
    # A file of holes unpacks to whatever size it names.
    if not (member.isdir() or member.isreg()) or member.issparse():
        raise BundleError(f"`{member.name}` is a link or no plain file", cure="pack plain files and folders only")
    if not member.isdir() and not all(steps):
        raise BundleError(f"the archive holds the path {member.name!r}", cure="pack plain paths from its root")
    return "/".join(steps)


def _file(archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> BundleFile:
    stream = archive.extractfile(member)
    text = stream.read() if stream is not None else b""
    mode = EXECUTABLE if member.mode & 0o100 else PLAIN
    return BundleFile(path, mode, object_id(b"blob", text), len(text), text)


def _nested(files: Mapping[str, BundleFile]) -> dict[str, "BundleFile | dict[str, object]"]:
    """The files by folder. BundleError when a path is both a file and a folder."""
    root: dict[str, object] = {}
    for path, file in files.items():
        *folders, name = path.split("/")
        here = root
        for folder in folders:
            below = here.setdefault(folder, {})
            if not isinstance(below, dict):
                raise BundleError(f"`{folder}` is a file and a folder", cure=_CURE)
            here = below
        if name in here:
            raise BundleError(f"`{path}` is a file and a folder", cure=_CURE)
        here[name] = file
    return root  # type: ignore[return-value]
