"""Scratch: a folder that lives no longer than the processes that use it, however they end."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def fresh(name: str) -> Iterator[Path]:
    """A new folder below that for temporary files, removed when the block ends. Those of the same name that were left
    behind by processes that were killed go before."""
    for left in Path(tempfile.gettempdir()).glob(f"{name}-*"):
        with suppress(OSError):
            _remove_unused(left)
    made, held = _made(name)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(held)


def _made(name: str) -> tuple[Path, int]:
    while True:
        made = Path(tempfile.mkdtemp(prefix=f"{name}-"))
        with suppress(FileNotFoundError):
            held = _hold(made)
            # Another start may have taken it for one that is left, before we said that it is used.
            if made.exists():
                return made, held
            os.close(held)


@contextmanager
def using(folder: Path) -> Iterator[None]:
    """Let nobody take the folder for one that is left while the block lasts."""
    held = _hold(folder)
    try:
        yield
    finally:
        os.close(held)


def _hold(folder: Path) -> int:
    held = _opened(folder)
    fcntl.flock(held, fcntl.LOCK_SH)
    return held


def _remove_unused(folder: Path) -> None:
    held = _opened(folder)
    try:
        if os.fstat(held).st_uid == os.geteuid():
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(held)


def _opened(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
