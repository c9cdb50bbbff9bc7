"""The web server: gunicorn's configuration, and the application it serves.

`upkeep web` runs `gunicorn --config python:upkeep.wsgi upkeep.wsgi:application()`. The names below, down to the hooks,
are gunicorn's own: https://docs.gunicorn.org/en/stable/settings.html
"""

import gc
import importlib
import logging
import os
import sys
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from gunicorn import glogging

from upkeep import logs, settings, wiring
from upkeep.domain.errors import StalledError, UpkeepError, reaction
from upkeep.lifeline import end_with_parent
from upkeep.web import patience

if TYPE_CHECKING:
    from flask import Flask

LISTENER_VARIABLE = "UPKEEP_LISTENER_FD"
"""The environment variable that names a listening socket which this process inherited."""

_settings = settings.load(settings.find(None, os.environ, Path()), os.environ)
_opened = ExitStack()
_key: bytes | None = None
_place = "web"
_shared = ExitStack()
"""What the processes that serve have in common, and the one that has forked them closes."""


class Log(glogging.Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's two logs, in our format."""

    def setup(self, cfg: Any) -> None:
        self.cfg = cfg
        self._access_log_enabled = True
        logs.configure(_settings.log.level, _settings.log.format)
        for log in (self.error_log, self.access_log):
            log.handlers.clear()
            log.propagate = True
            log.setLevel(logging.NOTSET)

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """One line a request; those that only ask whether we live, or whether there is news, are left out."""
        path = environ.get("PATH_INFO", "")
        status = int(str(resp.status).split(" ", 1)[0])
        silent = path in ("/healthz", "/readyz", "/metrics") or path.startswith("/static/") or status == 304
        level = logging.DEBUG if silent else logging.INFO
        facts = {
            "method": environ.get("REQUEST_METHOD"),
            "path": path,
            "status": status,
            "milliseconds": round(request_time.total_seconds() * 1000, 1),
            **environ.get("upkeep.about", {}),
        }
        self.access_log.log(level, "request", extra={name: fact for name, fact in facts.items() if fact is not None})


bind = (
    f"fd://{os.environ[LISTENER_VARIABLE]}"
    if LISTENER_VARIABLE in os.environ
    else f"[{_settings.web.host}]:{_settings.web.port}"
    if ":" in _settings.web.host
    else f"{_settings.web.host}:{_settings.web.port}"
)
workers = _settings.web.workers
worker_class = "upkeep.web.patience.PatientWorker"
threads = _settings.web.threads
worker_connections = patience.CONNECTIONS
timeout = 60
graceful_timeout = 4
keepalive = 15
logger_class = Log
proc_name = "upkeep web"
control_socket_disable = True
# Whose word about an address is taken is decided by `upkeep.web.peers`; nobody's about where a path begins.
forwarded_allow_ips = ""
forwarder_headers = ""


def on_starting(server: Any) -> None:
    """Prepare the database, and import what every worker process needs once, so that they share its memory."""
    global _key
    end_with_parent()
    try:
        wiring.require_named(_settings)
        wiring.share_metrics(_settings, _shared)
        wiring.prepare(_settings)
        _key = wiring.signing_key(_settings)
        if not wiring.anybody_may_sign_in(_settings):
            fix = "upkeep user add NAME --role admin"
            structlog.get_logger(__name__).warning("nobody can sign in yet", fix=fix)
    except UpkeepError as error:
        structlog.get_logger(__name__).error("the web server cannot start", reason=str(error))
        sys.exit(reaction(error).exit_code)
    for name in ("upkeep.web.app", "upkeep.adapters.store", "upkeep.adapters.jinja"):
        importlib.import_module(name)
    wiring.open_passwords()
    try:
        wiring.proton_model()
    except StalledError as missing:
        structlog.get_logger(__name__).warning("the API that Proton had stays closed", reason=str(missing))
    gc.collect()
    gc.freeze()


def on_exit(server: Any) -> None:
    """Take away what the worker processes had in common."""
    _shared.close()


def pre_fork(server: Any, worker: Any) -> None:
    """Give a new worker process the first place that none has which is still there."""
    taken = {each.place for each in server.WORKERS.values()}
    worker.place = next(place for place in map("web{}".format, count()) if place not in taken)


def post_fork(server: Any, worker: Any) -> None:
    """In the worker process: remember its place."""
    global _place
    _place = worker.place


def child_exit(server: Any, worker: Any) -> None:
    """Forget what a worker process that is gone, however it went, said of its present."""
    wiring.forget_place(_settings, worker.place)


def worker_exit(server: Any, worker: Any) -> None:
    """Close what the worker process opened."""
    _opened.close()


def application() -> "Flask":
    """What a worker process serves."""
    return wiring.open_web(_settings, _opened, _place, _key)
