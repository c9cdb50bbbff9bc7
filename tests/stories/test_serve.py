"""`upkeep serve` as a real process tree on a throw-away state: it serves, heals itself, and leaves nothing behind."""

import fcntl
import http.client
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

SOON = 60.0

T = TypeVar("T")


def eventually(what: str, look: Callable[[], T], within: float = SOON) -> T:
    """What `look` gives as soon as it is truthy."""
    pause = threading.Event()
    until = time.monotonic() + within
    while time.monotonic() < until:
        if found := look():
            return found
        pause.wait(0.02)
    pytest.fail(f"{what} did not happen within {within} s")


@dataclass
class Served:
    """A running `upkeep serve`."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def address(self) -> str:
        def said() -> str | None:
            found = re.search(r"Upkeep is up: http://([^ ]+)", self.log.read_text())
            return found[1] if found else None

        return eventually("the announcement", lambda: said() or self._ended()) or ""

    def get(self, path: str, headers: dict[str, str] | None = None) -> int | None:
        """The status of a page; None when nothing answers."""
        connection = http.client.HTTPConnection(self.address, timeout=5)
        try:
            connection.request("GET", path, headers=headers or {})
            return connection.getresponse().status
        except OSError:
            return None
        finally:
            connection.close()

    def child(self, marking: str) -> int:
        """The process id of the child whose command line has a word."""
        return eventually(f"a child {marking}", lambda: next(iter(children(self.process.pid, marking)), 0))

    def _ended(self) -> None:
        if self.process.poll() is not None:
            pytest.fail(f"serve ended: {self.log.read_text()}")


def children(parent: int, marking: str) -> list[int]:
    return [pid for pid, above, line in processes() if above == parent and marking in line]


def processes() -> Iterator[tuple[int, int, str]]:
    """Process id, parent's id and command line of everything that runs."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    for line in listed.splitlines():
        pid, parent, arguments = line.split(None, 2)
        yield int(pid), int(parent), arguments


def family(root: int) -> set[int]:
    """A process and everything below it."""
    found = {root}
    everything = list(processes())
    while more := {pid for pid, parent, _ in everything if parent in found} - found:
        found |= more
    return found


def alive(pids: set[int]) -> set[int]:
    return {pid for pid, _, line in processes() if pid in pids and "<defunct>" not in line}


@contextmanager
def serving(folder: Path, extra: str = "") -> Iterator[Served]:
    configuration = folder / "upkeep.yaml"
    configuration.write_text(f"state: state\nweb: {{port: 0, workers: 1, threads: 2}}\n{extra}")
    log = folder / "serve.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UPKEEP_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "upkeep", "--config", str(configuration), "serve"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    everybody = {process.pid}
    try:
        served = Served(process, log)
        assert served.address
        everybody |= family(process.pid)
        yield served
        everybody |= family(process.pid)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        for pid in alive(everybody):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_it_serves_until_it_is_told_to_end_and_leaves_no_process(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        assert served.get("/healthz") == 200
        # Whoever asks through a proxy on this host does not say where a path begins.
        assert served.get("/nowhere/healthz", {"SCRIPT_NAME": "/nowhere"}) == 404
        assert eventually("readiness", lambda: served.get("/readyz") == 200)
        everybody = family(served.process.pid)
        assert len(everybody) >= 4
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(10) == 0
        assert not alive(everybody)


def test_a_killed_worker_and_a_killed_web_server_are_started_again(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with serving(tmp_path, "metrics: {networks: [127.0.0.1]}\n") as served:
        worker, web = served.child("upkeep worker"), served.child("gunicorn")

        def counts() -> set[str]:
            return {file.name for file in tmp_path.glob("upkeep-metrics-*/*.db")}

        eventually("counts of both", lambda: {"counter_worker.db", "counter_web0.db"} <= counts())
        before = counts()
        serves = children(web, "gunicorn")[0]
        # Whoever takes the place of one that served asks the database nothing: not whether it is there, and not whether
        # a newer program has changed its tables meanwhile.
        with (tmp_path / "state" / "upkeep.db.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            ours = revised(tmp_path / "state" / "upkeep.db", "newer")
            os.kill(serves, signal.SIGKILL)
            eventually("a new process that serves", lambda: set(children(web, "gunicorn")) - {serves})
            assert eventually("an answer", lambda: served.get("/healthz") == 200)
            assert children(served.process.pid, "gunicorn") == [web]
            revised(tmp_path / "state" / "upkeep.db", ours)
        os.kill(worker, signal.SIGKILL)
        os.kill(web, signal.SIGKILL)
        eventually("a new worker", lambda: served.child("upkeep worker") != worker)
        eventually("a new web server", lambda: served.child("gunicorn") != web)
        assert eventually("an answer", lambda: served.get("/healthz") == 200)
        assert "a process died and is started again" in served.log.read_text()
        # Each counts on in the files of the one whose place it took.
        assert counts() == before


def revised(database: Path, revision: str) -> str:
    """Say of the tables that they are of another program's version; gives the one they were said to be of."""
    with closing(sqlite3.connect(database)) as connection, connection:
        ((before,),) = connection.execute("select version_num from alembic_version").fetchall()
        connection.execute("update alembic_version set version_num = ?", (revision,))
    return before


def test_when_it_is_killed_itself_its_children_end_too(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        served.child("upkeep worker")
        everybody = family(served.process.pid)
        served.process.kill()
        served.process.wait(5)
        eventually("the end of its children", lambda: not alive(everybody))


def test_a_faulty_configuration_ends_it_with_every_fault(tmp_path: Path) -> None:
    (tmp_path / "upkeep.yaml").write_text("web: {port: high}\nlog: {level: loud}\n")
    ended = subprocess.run(
        [sys.executable, "-m", "upkeep", "serve"], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 2
    assert [line.partition(": `")[0] for line in ended.stderr.splitlines()] == [
        "error: upkeep.yaml:1",
        "error: upkeep.yaml:2",
    ]


def test_an_address_of_another_machine_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "upkeep.yaml").write_text("web: {host: 192.0.2.1}\n")
    ended = subprocess.run(
        [sys.executable, "-m", "upkeep", "serve"], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
    )
    assert (ended.returncode, ended.stderr.splitlines()) == (
        1,
        [
            "error: cannot listen on 192.0.2.1:8080: Cannot assign requested address",
            "fix: set `web.host` to an address of this machine",
        ],
    )


def test_a_port_that_is_taken_is_told_at_once(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        port = served.address.partition(":")[2]
        ended = subprocess.run(
            [sys.executable, "-m", "upkeep", "serve"],
            cwd=tmp_path,
            env={**os.environ, "UPKEEP_WEB__PORT": port},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert ended.returncode == 1
        assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr
        assert "while attempting" not in ended.stderr
