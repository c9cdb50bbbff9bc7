"""The daemon of the demonstration: a real `upkeep serve` in a process of its own, and the command line beside it."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from upkeep.demo.browser import Browser
from upkeep.demo.expect import Otherwise, eventually
from upkeep.demo.narrator import Narrator
from upkeep.lifeline import VARIABLE as LIFELINE

_LOG_SHOWN = 30
"""Lines of the daemon's log that are shown when it fails."""

_ANNOUNCED = re.compile(r"Upkeep is up: (?P<address>http://\S+)")

ANY_PORT = '"port": 0'
"""How the configuration asks for any free port."""

_ACCESS = '"logger": "gunicorn.access"'


@dataclass(slots=True)
class Daemon:
    """A daemon that serves one configuration. `notices` are the lines its console channel has written so far,
    `address` is where it answers, once it has started."""

    configuration: Path
    log: Path
    narrator: Narrator
    notices: list[str] = field(default_factory=list)
    process: subprocess.Popen[str] | None = None
    address: str = ""
    _held: int = -1
    _said_before: int = 0

    def start(self) -> None:
        """Start it and wait until it is ready. Raises Otherwise when it will not be."""
        lifeline, self._held = os.pipe()
        self._said_before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("a") as log:
            # A session of its own: Ctrl-C in the terminal reaches us alone, and we stop it in order. Should we be
            # killed, the lifeline ends it.
            self.process = subprocess.Popen(
                [sys.executable, "-m", "upkeep", "serve"],
                env={**self._environment(), LIFELINE: str(lifeline)},
                stdout=subprocess.PIPE,
                stderr=log,
                stdin=subprocess.DEVNULL,
                text=True,
                pass_fds=[lifeline],
                start_new_session=True,
            )
        os.close(lifeline)
        threading.Thread(target=self._listen, args=(self.process,), daemon=True).start()
        self.address = eventually("the daemon to say where it is", self._announced, bool)
        eventually("the daemon to be ready", self._ready, bool)
        # Whoever reads the configuration from now on finds the port that was taken.
        port = urlsplit(self.address).port
        self.configuration.write_text(self.configuration.read_text().replace(ANY_PORT, f'"port": {port}'))

    def stop(self) -> None:
        """Stop it in order, and by force if that takes too long; nothing it started is left."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            pass
        finally:
            _kill_group(self.process.pid)
            self.process.wait()
            self.process = None
            os.close(self._held)

    def wait(self) -> int:
        """Wait until it ends by itself; returns its exit code."""
        if self.process is None:
            raise Otherwise("the daemon: expected it to run, saw none")
        return self.process.wait()

    def run(self, *arguments: str, typed: str | None = None) -> str:
        """Run `upkeep` with these arguments as a person would, and return what it printed."""
        command = [sys.executable, "-m", "upkeep", *arguments]
        ended = subprocess.run(  # noqa: S603  (our own interpreter)
            command, env=self._environment(), input=typed, capture_output=True, text=True, timeout=60
        )
        if ended.returncode:
            said = ended.stderr.strip() or ended.stdout.strip()
            raise Otherwise(f"`upkeep {' '.join(arguments)}`: expected exit 0, saw {ended.returncode}: {said}")
        return ended.stdout

    def ask(self, *arguments: str) -> Any:
        """The answer of an `upkeep` command as data."""
        return json.loads(self.run(*arguments, "-o", "json"))

    def last_words(self) -> str:
        """The end of its log, without the requests that pages and polls made."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join([line for line in lines if _ACCESS not in line][-_LOG_SHOWN:])

    def _announced(self) -> str:
        if self.process is not None and (code := self.process.poll()) is not None:
            raise Otherwise(f"the daemon: expected it to serve, saw exit {code}")
        found = _ANNOUNCED.search(self.log.read_bytes()[self._said_before :].decode(errors="replace"))
        return found["address"] if found else ""

    def _ready(self) -> bool:
        return Browser(self.address).open("/readyz").status == 200

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.notices.append(line.rstrip("\n"))
            self.narrator.notice(line.rstrip("\n"))

    def _environment(self) -> Mapping[str, str]:
        """Ours, without settings for another Upkeep, and with this one's configuration."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("UPKEEP_")}
        return kept | {"UPKEEP_CONFIG": str(self.configuration), "PYTHONUNBUFFERED": "1"}


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
