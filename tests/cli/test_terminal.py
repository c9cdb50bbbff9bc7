"""What others wrote does nothing to the terminal of whoever looks at it."""

import os
import pty
import subprocess
import sys
from pathlib import Path

from tests.builders import environment_files, write_files


def seen(*command: str) -> str:
    """What a person sees who runs the command in a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = bytearray()
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # what Linux says at the end of a pseudo terminal
                break
            shown += chunk
        process.wait()
    os.close(ours)
    return shown.decode()


def test_a_finding_that_quotes_a_file_moves_no_cursor(tmp_path: Path) -> None:
    body = environment_files()
    body["infrastructure/cloudformation.yaml"] = "a: {{ environment.inputs['\\x1b[2J\\x9b1A'] }}{% \x1b[2Jx %}\n"
    write_files(tmp_path / "v1", body)
    shown = seen(sys.executable, "-m", "upkeep", "template", "lint", str(tmp_path))
    assert "cloudformation.yaml" in shown
    assert "\x1b[2J" not in shown
    assert "\x9b" not in shown
