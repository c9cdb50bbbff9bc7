"""`upkeep demo`: plays its story, says what went wrong, and leaves nothing behind."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.stories.telling import children, command_of
from upkeep.demo import edits
from upkeep.demo.expect import eventually
from upkeep.demo.stage import write_templates


@contextmanager
def demo(tmp_path: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A running `upkeep demo` whose throw-away folder is made under `tmp_path`; it is dead at the end."""
    folder = tmp_path / "throw-away"
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "upkeep", "demo", *options],
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def left_in(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "throw-away").iterdir()]


def descendants(pid: int) -> list[int]:
    """Everything a process has started, and what that has started."""
    return [each for child in children(pid) for each in (child, *descendants(child))]


def alive(pids: list[int]) -> list[list[str]]:
    return [command for pid in pids if (command := command_of(pid)) != [""] and command]


def test_the_headless_demonstration_plays_its_story_to_the_end(tmp_path: Path) -> None:
    with demo(tmp_path, "--headless") as process:
        said, _ = process.communicate(timeout=150)
    assert process.returncode == 0, said
    assert "The whole story went as it is told." in said
    assert "storefront/prod now runs fargate-svc 1.1" in said
    assert left_in(tmp_path) == []


def test_the_demonstration_waits_for_a_person_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        assert process.stdout is not None
        said: list[str] = []
        for line in process.stdout:
            said.append(line)
            if "Ctrl-C" in line:
                break
        text = "".join(said)
        found = re.search(r"Open (http://127\.0\.0\.1:\d+/) and sign in", text)
        assert found is not None, text
        assert urlopen(found[1], timeout=10).status == 200
        assert re.search(r"^ +admin +\S{10,} +publishes", text, re.MULTILINE), text
        started = descendants(process.pid)
        assert len(alive(started)) > 3
        process.send_signal(signal.SIGINT)
        said.append(process.stdout.read())
        assert process.wait(timeout=30) == 0, "".join(said)
    eventually("all processes to end", lambda: alive(started), lambda commands: not commands)
    assert left_in(tmp_path) == []


def test_a_step_that_goes_wrong_is_named_and_everything_is_removed(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with demo(tmp_path, "--headless", "--port", str(port)) as process:
            said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "error: step 2 (The daemon): the daemon: expected it to serve, saw exit 1" in said
    assert f"cannot listen on 127.0.0.1:{port}" in said
    assert left_in(tmp_path) == []


def test_a_killed_demonstration_takes_its_daemon_with_it(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if "upkeep serve answers" in line)
        started = descendants(process.pid)
    assert len(started) > 3
    eventually("the daemon to end", lambda: alive(started), lambda commands: not commands)


def test_the_sample_templates_have_no_findings_before_and_after_their_edits(tmp_path: Path) -> None:
    def linted() -> list[dict[str, Any]]:
        command = [sys.executable, "-m", "upkeep", "template", "lint", str(tmp_path), "-o", "json"]
        found: list[dict[str, Any]] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        return found

    write_templates(tmp_path)
    assert [bundle["findings"] for bundle in linted()] == [[], []]
    for change in (edits.FLOW_LOGS, edits.APPROVAL_AND_EXEC):
        edits.apply(change, tmp_path)
    assert [bundle["findings"] for bundle in linted()] == [[], []]
