"""Processes: what a tree of them costs, and that nothing of it is left."""

import compileall
import ctypes
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER: https://man7.org/linux/man-pages/man2/PR_SET_CHILD_SUBREAPER.2const.html."""


def adopt_orphans() -> None:
    """Make this process the parent of whatever its children leave behind, so that it can be found and ended."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def end_all(root: int) -> None:
    """Kill every process below this one, whoever started it, and wait for those that are ours."""
    for _ in range(50):
        below = [pid for pid in tree(root) if pid != root]
        if not below:
            return
        for pid in below:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.02)


def tree(root: int) -> list[int]:
    """A process and all below it."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(stat.parent.name))
    found, asked = [], [root]
    while asked:
        pid = asked.pop()
        found.append(pid)
        asked += parents.get(pid, [])
    return found


def cpu(root: int) -> float:
    """Seconds of processor time that a tree has used, with what its ended children used."""
    ticks = 0
    for pid in tree(root):
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def megabytes(root: int, what: str = "Pss") -> dict[int, float]:
    """Of each process of a tree, what `smaps_rollup` says: Pss shares what is shared."""
    found = {}
    for pid in tree(root):
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith(f"{what}:"):
                    found[pid] = int(line.split()[1]) / 1024
    return found


def forget_peaks(root: int) -> None:
    """Begin anew to note the most memory that each process of a tree had."""
    for pid in tree(root):
        with suppress(OSError):
            Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak(root: int, field: str = "VmHWM") -> float:
    """Megabytes, the most that the processes of a tree had since then, each by itself, in sum."""
    kilobytes = 0
    for pid in tree(root):
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith(f"{field}:"):
                    kilobytes += int(line.split()[1])
    return kilobytes / 1024


def command_of(pid: int) -> str:
    """How a process was called."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def running(
    command: list[str | Path],
    folder: Path,
    port: int | None = None,
    *,
    path: str = "/healthz",
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A program, once it answers on its port, until the block ends. What it says is kept in the folder."""
    log = folder / f"{Path(command[0]).name}-{port}.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [*map(str, command)],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        if port is not None:
            _await(port, path, process, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            end_all(process.pid)
            process.kill()
            process.wait()


def _await(port: int, path: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + 120
    while status(port, path) not in (200, 404, 405):
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"it did not start: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.005)


def status(port: int, path: str) -> int | None:
    """The status of an answer; None when there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


HIDDEN = Path(__file__).parent / "installed"
"""Modules that stand for what an installation does not have."""


@cache
def _as_installed() -> dict[str, str]:
    """The environment in which the daemon is what `pip install` makes of it: bytecode is there, and nothing that only
    tests bring."""
    compileall.compile_dir(ROOT / "daemon", quiet=1)
    paths = (str(HIDDEN), os.environ.get("PYTHONPATH", ""))
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


@contextmanager
def upkeep(
    verb: str, folder: Path, config: str, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """`upkeep serve`, or another verb that listens, with this configuration and as it is when it is installed: its port
    and process."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / "upkeep.yaml"
    place.write_text(f"state: {folder / 'state'}\nweb: {{port: {port}}}\n{config}")
    command = [sys.executable, "-P", "-m", "upkeep", "--config", place, verb]
    installed = {**_as_installed(), **(environment or {})}
    with running(command, folder, port, path="/readyz", environment=installed) as process:
        yield port, process
