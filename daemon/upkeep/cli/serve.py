"""`upkeep serve`: web server and worker as two child processes, kept alive and ended together."""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import click

from upkeep.cli.acting import Desk, pass_desk
from upkeep.cli.web import GUNICORN
from upkeep.domain.errors import CallerError

if TYPE_CHECKING:
    from upkeep.settings import Settings

_END_WITHIN = 8.0
"""Seconds the children have to end by themselves; each gives itself less."""

_FIRST_RESTART_AFTER = 0.5
_LONGEST_RESTART_AFTER = 30.0
_SETTLED_AFTER = 20.0
"""Seconds after which a child is no longer one that dies at once."""

_HOPELESS = (2, 5)
"""Exit codes that another start cannot change: a faulty configuration, or one that the database contradicts."""

_BACKLOG = 2048


@click.command()
@pass_desk
def serve(desk: Desk) -> None:
    """Serve pages and webhooks and do the work: a web server and a worker, restarted when they die.

    Ends on SIGTERM or Ctrl-C, and with it everything it has started.
    """
    from upkeep import logs, wiring
    from upkeep.lifeline import end_with_parent

    end_with_parent()
    settings = desk.settings
    wiring.webhook_secrets(settings)
    logs.configure(settings.log.level, settings.log.format)
    with ExitStack() as stack, _listen(settings) as listener:
        sys.exit(_Family(desk, listener, wiring.metrics_folder(settings, stack)).run())


def _listen(settings: "Settings") -> socket.socket:
    """The listening socket is made here and inherited, so that no connection is refused while the web restarts."""
    host, port = settings.web.host, settings.web.port
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        # `create_server` writes the address behind the reason, which we name ourselves.
        reason = str(error.strerror or error).partition(" (while")[0]
        raise CallerError(
            f"cannot listen on {host}:{port}: {reason}",
            cure="end what listens there, or set `web.port` to another port (0 takes any free one)",
        ) from error


@dataclass(slots=True)
class _Child:
    """A child process that is wanted alive. `restart_at` is set while it is dead."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    inherited: tuple[int, ...]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restart_at: float | None = None
    deaths: int = field(default=0)

    def start(self) -> None:
        self.restart_at = None
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603  (our own interpreter)
            [sys.executable, *self.command],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            pass_fds=self.inherited,
            # A group of its own: Ctrl-C comes to us alone, and whatever it leaves behind can be found.
            process_group=0,
        )

    def signal(self, number: int) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)

    def sweep(self) -> None:
        """End what is left of its group."""
        if self.process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class _Family:
    """The web server, the worker, and who watches over them."""

    def __init__(self, desk: Desk, listener: socket.socket, metrics: Path | None) -> None:
        from upkeep import settings, wiring
        from upkeep.lifeline import NOTIFIED
        from upkeep.lifeline import VARIABLE as LIFELINE

        self._desk = desk
        self._listener = listener
        lifeline, self._held = os.pipe()
        port = listener.getsockname()[1]
        environment = {**os.environ, LIFELINE: str(lifeline), "UPKEEP_WEB__PORT": str(port)}
        # Of the family, it is us whom a service manager listens to.
        environment.pop(NOTIFIED, None)
        if desk.config_path is not None:
            environment[settings.CONFIG_VARIABLE] = str(desk.config_path.absolute())
        if metrics is not None:
            environment[wiring.METRICS_FOLDER_VARIABLE] = str(metrics)
        listening = {**environment, "UPKEEP_LISTENER_FD": str(listener.fileno())}
        self._children = (
            _Child("web", GUNICORN, listening, (lifeline, listener.fileno())),
            _Child("worker", ("-P", "-m", "upkeep", "worker"), environment, (lifeline,)),
        )
        self._port = port

    def run(self) -> int:
        """Keep both alive until told to end; returns the exit code."""
        told, tell = os.pipe()
        os.set_blocking(tell, False)
        signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        try:
            for child in self._children:
                child.start()
            Thread(target=self._announce, daemon=True).start()
            return self._watch(told)
        finally:
            self._end(told)

    def _watch(self, told: int) -> int:
        while True:
            waits = [child.restart_at - time.monotonic() for child in self._children if child.restart_at is not None]
            if _ending(_heard(told, max(0.0, min(waits)) if waits else None)):
                return 0
            for child in self._children:
                if child.restart_at is not None and child.restart_at <= time.monotonic():
                    child.start()
                elif child.restart_at is None and child.process is not None:
                    code = child.process.poll()
                    if code in _HOPELESS:
                        return code
                    if code is not None:
                        self._mourn(child, code)

    def _mourn(self, child: _Child, code: int) -> None:
        """Say that a child died, and when it is started again."""
        import structlog

        child.sweep()
        child.deaths = 0 if time.monotonic() - child.started_at > _SETTLED_AFTER else child.deaths + 1
        after = min(_FIRST_RESTART_AFTER * 2 ** max(child.deaths - 1, 0), _LONGEST_RESTART_AFTER)
        child.restart_at = time.monotonic() + after
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        structlog.get_logger(__name__).error(
            "a process died and is started again", process=child.name, how=how, after=after
        )

    def _end(self, told: int) -> None:
        """End the children, by force if they are not gone in time or we are told again."""
        for child in self._children:
            child.signal(signal.SIGTERM)
        until = time.monotonic() + _END_WITHIN
        while any(child.process is not None and child.process.poll() is None for child in self._children):
            left = until - time.monotonic()
            if left <= 0 or _ending(_heard(told, left)):
                break
        for child in self._children:
            child.sweep()

    def _announce(self) -> None:
        """Print where the pages are, once they answer."""
        import http.client
        import logging

        import structlog

        from upkeep import logs
        from upkeep.lifeline import tell_ready

        host, port = self._listener.getsockname()[:2]
        reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  (compared only)
        connection = http.client.HTTPConnection(reached, port, timeout=60)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            url = self._desk.settings.web.public_url or f"http://{'localhost' if reached != host else host}:{port}"
            said = f"Upkeep is up: {url}  (Ctrl-C ends it)"
            if logs.for_people(self._desk.settings.log.format, sys.stderr):
                click.echo(said, err=True)
            else:
                # Whatever level is logged: it is what those wait for who have started it.
                logging.getLogger(__name__).setLevel(logging.INFO)
                structlog.get_logger(__name__).info(said)
            tell_ready()
        connection.close()


def _heard(told: int, at_most: float | None) -> bytes:
    """The numbers of the signals that came, after waiting for one at most so many seconds."""
    readable, _, _ = select.select([told], [], [], at_most)
    return os.read(told, 4096) if readable else b""


def _ending(signals: bytes) -> bool:
    return any(number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP) for number in signals)
