"""An installation of Upkeep for a trial: its configuration, its database, and its real processes."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.trials.postgres import Postgres
from upkeep import settings, wiring
from upkeep.flows.ports import Store
from upkeep.lifeline import VARIABLE as LIFELINE

SECRET = "It's a Secret to Everybody"
SOON = 90.0
"""Seconds that what must come by itself may take on a machine that is busy with other things."""


class Installation:
    """A configuration in a folder, and the processes that were started for it. `port` is where the web answers.

    Use `installed`, which ends them.
    """

    def __init__(self, folder: Path, postgres: Postgres | None, configuration: Mapping[str, Any]) -> None:
        self.folder = folder
        self.postgres = postgres
        self.port = free_port()
        self.configuration = folder / "upkeep.yaml"
        text: dict[str, Any] = {
            "state": "state",
            "web": {"port": self.port},
            "webhooks": {"secrets": [SECRET]},
            "git": {"allow_local": True},
            "log": {"format": "json"},
        }
        if postgres is not None:
            text["database"] = {"url": postgres.url}
        for name, section in configuration.items():
            text[name] = {**text[name], **section} if isinstance(section, dict) and name in text else section
        # JSON is YAML.
        self.configuration.write_text(json.dumps(text))
        self.log = folder / "log"
        self._started: list[subprocess.Popen[bytes]] = []
        self._seen: dict[int, str] = {}
        self._lifeline, self._held = os.pipe()

    @property
    def database(self) -> str:
        """The address of its rows."""
        return wiring.database_url(settings.load(self.configuration, {}))

    def start(
        self, *words: str, environment: Mapping[str, str] | None = None, within: Sequence[str] = ()
    ) -> "subprocess.Popen[bytes]":
        """Start `upkeep WORDS`, by the command `within` if there is one; what it says goes into the log."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*within, sys.executable, "-m", "upkeep", "--config", str(self.configuration), *words],
                env={**os.environ, LIFELINE: str(self._lifeline), "PYTHONUNBUFFERED": "1", **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[self._lifeline],
                process_group=0,
            )
        self._started.append(process)
        return process

    def run(self, *words: str, typed: str | None = None) -> str:
        """What `upkeep WORDS` prints; it must end well."""
        done = subprocess.run(
            [sys.executable, "-m", "upkeep", "--config", str(self.configuration), *words],
            input=typed, capture_output=True, text=True, timeout=SOON,
        )  # fmt: skip
        assert done.returncode == 0, f"upkeep {' '.join(words)}: {done.returncode}: {done.stderr}"
        return done.stdout

    def migrate(self) -> None:
        """Make the tables."""
        wiring.migrate(settings.load(self.configuration, {}))

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The rows, as they are now."""
        with ExitStack() as stack:
            yield wiring.open_store(settings.load(self.configuration, {}), stack)

    def ask(self, path: str, at_most: float = 30.0) -> tuple[int, dict[str, Any]]:
        """Status and document of a GET; 0 and nothing when nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=at_most)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"{}")
        except (OSError, http.client.HTTPException, ValueError):
            return 0, {}
        finally:
            connection.close()

    def await_ready(self) -> None:
        """Wait until it says that it can do its work."""
        eventually("the daemon is ready", lambda: self.ask("/readyz")[0] == 200, self.last_words)

    def logged(self, text: str, after: int = 0) -> bool:
        """Whether a line with this text was written, from a place in the log on."""
        return self.log.exists() and text.encode() in self.log.read_bytes()[after:]

    def last_words(self) -> str:
        """The end of its log, without requests."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join([line for line in lines if '"gunicorn.access"' not in line][-25:])

    def processes(self) -> list[int]:
        """Everything that runs for it, also what outlived the process that had started it."""
        found = [process.pid for process in self._started if process.poll() is None]
        found += [pid for pid, born in self._seen.items() if pid not in found and birth(pid) == born]
        for pid in found:
            found += [child for child in children(pid) if child not in found]
        self._seen = {pid: born for pid in found if (born := birth(pid))}
        return list(self._seen)

    def kill_all(self) -> None:
        """SIGKILL to everything at once, as when the machine loses its power."""
        while running := self.processes():
            for pid in running:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for process in self._started:
                process.wait()
            self._started.clear()

    def end(self) -> None:
        """Leave nothing."""
        self.kill_all()
        for descriptor in (self._lifeline, self._held):
            with suppress(OSError):
                os.close(descriptor)


@contextmanager
def installed(folder: Path, kind: str, configuration: Mapping[str, Any] | None = None) -> Iterator[Installation]:
    """An installation on `sqlite` or `postgresql` whose tables are made; nothing of it is left at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        postgres = stack.enter_context(Postgres()) if kind == "postgresql" else None
        made = Installation(folder, postgres, configuration or {})
        stack.callback(made.end)
        made.migrate()
        yield made


def eventually(what: str, true: Callable[[], bool], else_say: Callable[[], str] = str, within: float = SOON) -> float:
    """Wait until something is so; the seconds it took. AssertionError when it does not come."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < within, f"waited {within:.0f} s in vain: {what}\n{else_say()}"
        time.sleep(0.02)
    return time.monotonic() - began


def children(pid: int) -> Sequence[int]:
    """The processes that a process has started and that are still there."""
    found: list[int] = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, listed.read_text().split())
    return found


def birth(pid: int) -> str:
    """When a process was born, by which it is told from a later one of the same number; empty when it has ended."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state == "Z" else rest[18]


def command_of(pid: int) -> str:
    """A process's command line; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def free_port() -> int:
    """A port of this host that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
