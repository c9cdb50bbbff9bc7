"""Folders that go with the processes that use them, however these end."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from upkeep.adapters import scratch

HOLDING = """
import sys, time
from pathlib import Path
from upkeep.adapters import scratch

with scratch.fresh("seen") as folder:
    (folder / "kept").write_text("")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


@pytest.fixture
def another() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process that has a folder, and the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process:
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_a_folder_goes_when_its_block_ends() -> None:
    with scratch.fresh("seen") as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "file").write_text("")
    assert not folder.exists()


def test_one_that_a_killed_process_left_goes_with_the_next_start(another) -> None:
    process, left = another
    process.kill()
    process.wait()
    assert left.exists()
    with scratch.fresh("seen"):
        assert not left.exists()


def test_one_that_is_used_stays(another) -> None:
    _, used = another
    with scratch.fresh("seen") as folder:
        assert (used / "kept").exists()
        assert folder != used


def test_one_that_only_a_child_still_uses_stays(another) -> None:
    process, left = another
    with scratch.using(left):
        process.kill()
        process.wait()
        with scratch.fresh("seen"):
            assert left.exists()


def test_what_a_link_leads_to_is_left_alone(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "seen-link").symlink_to(elsewhere)
    (elsewhere / "file").write_text("")
    with scratch.fresh("seen"):
        assert (elsewhere / "file").exists()
