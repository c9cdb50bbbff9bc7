"""`upkeep serve`: web server and worker as two child processes, kept alive and ended together."""

import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click

from upkeep.cli.acting import Desk, pass_desk
from upkeep.cli.web import GUNICORN
from upkeep.domain.errors import CallerError

_END_WITHIN = 8.0
"""Seconds the children have to end by themselves; each gives itself less."""

_FIRST_RESTART_AFTER = 0.5
_LONGEST_RESTART_AFTER = 30.0
_SETTLED_AFTER = 20.0
"""Seconds after which a child is no longer one that dies at once."""

_HOPELESS = (2, 5)
"""Exit codes that another start cannot change: a faulty configuration, or one that the database contradicts."""

_BACKLOG = 2048

_LISTENING = {
    errno.EADDRINUSE: "end what listens there, or set `web.port` to another port (0 takes any free one)",
    errno.EACCES: "set `web.port` to one above 1023, and let a proxy listen where people come",
}
"""What to do when the address cannot be had."""


@click.command()
@pass_desk
def serve(desk: Desk) -> None:
    """Serve pages and webhooks and do the work: a web server and a worker, restarted when they die.

    Ends on SIGTERM or Ctrl-C, and with it everything it has started.
    """
    from upkeep.adapters import scratch
    from upkeep.lifeline import end_with_parent

    plan = _planned(desk)
    with ExitStack() as stack, _listen(plan.host, plan.port) as listener:
        metrics = stack.enter_context(scratch.fresh("upkeep-metrics")) if plan.metrics_variable else None
        family = _Family(plan, listener, metrics)
        announcer = family.announce()
        end_with_parent()
        sys.exit(family.run(announcer))


@dataclass(frozen=True, slots=True)
class _Plan:
    """What this process, and the one that announces, have to know of the configuration. `metrics_variable` names the
    environment variable that tells the children of their folder for metrics, and is empty when nobody may read any."""

    host: str
    port: int
    public_url: str
    log_level: str
    log_format: str
    environment: Mapping[str, str]
    metrics_variable: str


def _planned(desk: Desk) -> _Plan:
    """The plan, from a process of its own: what reads the configuration takes as much memory as a web server's share,
    and this process lives as long as they do. A fault is told by that process, and ends this one in the same way."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        plan = _plan(desk)
        os.write(writing, json.dumps(asdict(plan)).encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as answer:  # noqa: PTH123  (a descriptor)
        told = answer.read()
    _, status = os.waitpid(pid, 0)
    if status or not told:
        sys.exit(os.waitstatus_to_exitcode(status) or 1)
    return _Plan(**json.loads(told))


def _plan(desk: Desk) -> _Plan:
    from upkeep import settings, wiring

    chosen = desk.settings
    wiring.require_named(chosen)
    environment = {} if desk.config_path is None else {settings.CONFIG_VARIABLE: str(desk.config_path.absolute())}
    variable = wiring.METRICS_FOLDER_VARIABLE if chosen.metrics.readable else ""
    web, log = chosen.web, chosen.log
    return _Plan(web.host, web.port, web.public_url, log.level, log.format, environment, variable)


def _listen(host: str, port: int) -> socket.socket:
    """The listening socket is made here and inherited, so that no connection is refused while the web restarts."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        # `create_server` writes the address behind the reason, which we name ourselves.
        reason = str(error.strerror or error).partition(" (while")[0]
        cure = _LISTENING.get(error.errno or 0, "set `web.host` to an address of this machine")
        raise CallerError(f"cannot listen on {host}:{port}: {reason}", cure=cure) from error


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

    def __init__(self, plan: _Plan, listener: socket.socket, metrics: Path | None) -> None:
        from upkeep.lifeline import NOTIFIED
        from upkeep.lifeline import VARIABLE as LIFELINE

        self._plan = plan
        self._listener = listener
        self._lifeline, self._held = os.pipe()
        port = listener.getsockname()[1]
        environment = {**os.environ, LIFELINE: str(self._lifeline), "UPKEEP_WEB__PORT": str(port), **plan.environment}
        # Of the family, it is us whom a service manager listens to.
        environment.pop(NOTIFIED, None)
        if metrics is not None:
            environment[plan.metrics_variable] = str(metrics)
        listening = {**environment, "UPKEEP_LISTENER_FD": str(listener.fileno())}
        self._children = (
            _Child("web", GUNICORN, listening, (self._lifeline, listener.fileno())),
            _Child("worker", ("-P", "-m", "upkeep", "worker"), environment, (self._lifeline,)),
        )

    def announce(self) -> int:
        """Say where the pages are, once they answer, in a process of its own for the sake of memory; returns its id.
        It ends with 0 when they do."""
        from upkeep.lifeline import VARIABLE as LIFELINE
        from upkeep.lifeline import end_with_parent

        pid = os.fork()
        if pid == 0:
            os.close(self._held)
            os.environ[LIFELINE] = str(self._lifeline)
            end_with_parent()
            os._exit(not self._announced())
        return pid

    def run(self, announcer: int) -> int:
        """Keep both alive until told to end; returns the exit code."""
        from upkeep.lifeline import tell_ready

        told, tell = os.pipe()
        os.set_blocking(tell, False)
        signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        try:
            for child in self._children:
                child.start()
            return self._watch(told, announcer, tell_ready)
        finally:
            self._end(told)

    def _watch(self, told: int, announcer: int, tell_ready: Callable[[], None]) -> int:
        announced = False
        while True:
            waits = [child.restart_at - time.monotonic() for child in self._children if child.restart_at is not None]
            if _ending(_heard(told, max(0.0, min(waits)) if waits else None)):
                return 0
            if not announced:
                pid, status = os.waitpid(announcer, os.WNOHANG)
                announced = bool(pid)
                if pid and not status:
                    tell_ready()
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

        from upkeep import logs

        logs.configure(self._plan.log_level, self._plan.log_format)
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

    def _announced(self) -> bool:
        """Wait for the pages to answer and print where they are; whether they did."""
        import http.client
        import logging

        import structlog

        from upkeep import logs

        logs.configure(self._plan.log_level, self._plan.log_format)
        host, port = self._listener.getsockname()[:2]
        reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  (compared only)
        connection = http.client.HTTPConnection(reached, port, timeout=60)
        try:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        url = self._plan.public_url or f"http://{'localhost' if reached != host else host}:{port}"
        said = f"Upkeep is up: {url}  (Ctrl-C ends it)"
        if logs.for_people(self._plan.log_format, sys.stderr):
            click.echo(said, err=True)
        else:
            # Whatever level is logged: it is what those wait for who have started it.
            logging.getLogger(__name__).setLevel(logging.INFO)
            structlog.get_logger(__name__).info(said)
        sys.stderr.flush()
        return True


def _heard(told: int, at_most: float | None) -> bytes:
    """The numbers of the signals that came, after waiting for one at most so many seconds."""
    readable, _, _ = select.select([told], [], [], at_most)
    return os.read(told, 4096) if readable else b""


def _ending(signals: bytes) -> bool:
    return any(number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP) for number in signals)
