"""Bundles as gzipped tarballs: read as git would have them, and refused when they would harm or lie."""

import gzip
import io
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from tests.proton.test_life import archive
from upkeep.adapters.archives import read_archive
from upkeep.adapters.folders import read_bundle
from upkeep.domain.errors import BundleError
from upkeep.domain.limits import LIMITS


def packed(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    to = io.BytesIO()
    with tarfile.open(fileobj=to, mode="w:gz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return to.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, **changes: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type = kind
    for field, value in changes.items():
        setattr(made, field, value)
    return made


def test_an_archive_is_the_bundle_that_git_would_have(tmp_path: Path) -> None:
    folder = builders.write_files(tmp_path / "v1", builders.service_files())
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    subprocess.run(["tar", "-czf", tmp_path / "bundle.tgz", "-C", folder, "."], check=True)
    assert read_archive((tmp_path / "bundle.tgz").read_bytes()) == read_bundle(folder)


def test_leading_dots_and_folders_do_not_matter() -> None:
    files = builders.environment_files()
    plain = packed(*((member(path), str(text).encode()) for path, text in files.items()))
    assert read_archive(plain) == read_archive(archive(files))


def holes(size: int) -> bytes:
    """A file of nothing but holes, as old GNU tars write it."""
    head = bytearray(member("schema/schema.yaml", tarfile.GNUTYPE_SPARSE).tobuf(tarfile.GNU_FORMAT))
    head[386:410] = b"%011o\0%011o\0" % (size, 0)
    head[483:495] = b"%011o\0" % size
    head[148:156] = b"%06o\0 " % (sum(head[:148]) + sum(head[156:]) + 8 * 32)
    return gzip.compress(bytes(head) + bytes(1024))


def announced(size: int) -> bytes:
    """The same as newer ones write it: in words before the file."""
    words = {"GNU.sparse.map": f"{size},0", "GNU.sparse.size": str(size)}
    return packed((member("schema/schema.yaml", pax_headers=words), b""))


def prefaced(times: int) -> bytes:
    """A file whose name is announced ever so often."""
    name = member("././@LongLink", tarfile.GNUTYPE_LONGNAME)
    return packed(*((name, b"a\0") for _ in range(times)), (member("a"), b"x"))


BAD: dict[str, Callable[[], bytes]] = {
    "no gzip": lambda: b"schema: {}",
    "nothing": lambda: b"",
    "no tar": lambda: gzip.compress(b"schema: {}" * 100),
    "cut short": lambda: archive(builders.environment_files())[:-20],
    "a symbolic link": lambda: packed((member("schema/schema.yaml", tarfile.SYMTYPE, linkname="/etc/passwd"), b"")),
    "a hard link": lambda: packed((member("schema/schema.yaml", tarfile.LNKTYPE, linkname="other"), b"")),
    "a device": lambda: packed((member("schema/null", tarfile.CHRTYPE), b"")),
    "a pipe": lambda: packed((member("schema/pipe", tarfile.FIFOTYPE), b"")),
    "an absolute path": lambda: packed((member("/etc/passwd"), b"x")),
    "a path outside": lambda: packed((member("schema/../../passwd"), b"x")),
    "a folder outside": lambda: packed((member("../x", tarfile.DIRTYPE), b"")),
    "an empty step": lambda: packed((member("schema//schema.yaml"), b"x")),
    "a backslash": lambda: packed((member("schema\\schema.yaml"), b"x")),
    "a line end in a name": lambda: packed((member("schema/a\nb"), b"x")),
    "a file twice": lambda: packed((member("a"), b"x"), (member("./a"), b"y")),
    "a file that is a folder": lambda: packed((member("a"), b"x"), (member("a/b"), b"y")),
    "a folder that is a file": lambda: packed((member("a/b"), b"x"), (member("a"), b"y")),
    "too many files": lambda: packed(*((member(f"f{number}"), b"") for number in range(LIMITS.bundle.files + 1))),
    "a file of holes": lambda: holes(LIMITS.bundle.bytes * 8),
    "a file of announced holes": lambda: announced(LIMITS.bundle.bytes * 8),
    "folders without an end": lambda: packed((member("d/" * 30_000 + "f"), b"x")),
    "names without an end": lambda: prefaced(4_000),
    "a bomb": lambda: gzip.compress(b"\0" * (LIMITS.bundle.bytes * 8)),
    "a bomb in a file": lambda: packed((member("big"), b"\0" * (LIMITS.bundle.bytes * 2))),
}


@pytest.mark.parametrize("what", BAD)
def test_what_would_harm_or_lie_is_refused(what: str) -> None:
    with pytest.raises(BundleError) as caught:
        read_archive(BAD[what]())
    assert caught.value.cure


@given(st.binary(max_size=2000))
def test_whatever_is_gzipped_is_read_or_refused(content: bytes) -> None:
    for packed_up in (gzip.compress(content), content):
        try:
            read_archive(packed_up)
        except BundleError:
            continue


@given(st.integers(0, 5000), st.integers(0, 255))
def test_a_damaged_archive_is_read_or_refused(place: int, value: int) -> None:
    whole = bytearray(gzip.decompress(archive(builders.environment_files())))
    whole[place % len(whole)] = value
    try:
        read_archive(gzip.compress(bytes(whole)))
    except BundleError:
        return
