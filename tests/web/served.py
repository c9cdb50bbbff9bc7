"""The application behind a real gunicorn, on a port of this host."""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextmanager
def served(database: str, state: Path, *, threads: int = 4) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Serve a database with two processes of so many threads while the block lasts; gives the port, and the process
    that these are children of. Nothing of it is left at the end."""
    environment = {"TEST_DATABASE": database, "TEST_STATE": str(state)}
    options = ["--config", "python:tests.web.serving_hooks", "--threads", str(threads), "--workers", "2"]
    with serving("tests.web.serving:app", options, environment) as found:
        yield found


@contextmanager
def serving(
    application: str, options: Iterable[str], environment: Mapping[str, str]
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Serve an application with gunicorn, and with the class of workers that the daemon has."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.set_inheritable(True)
        command = [sys.executable, "-m", "gunicorn", application, "--bind", f"fd://{listening.fileno()}", *options]
        command += ["--worker-class", "upkeep.web.patience.PatientWorker", "--no-control-socket"]
        server = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, pass_fds=[listening.fileno()])
        try:
            port = listening.getsockname()[1]
            _await(port, server)
            yield port, server
        finally:
            server.terminate()
            assert server.wait(20) == 0


def _await(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            if ask(port, "GET", "/healthz")[0] == 200:
                return
        except OSError:
            assert server.poll() is None, "gunicorn ended"
            assert time.monotonic() < deadline, "gunicorn does not answer"


def ask(port, method, path, body=None, headers=None, chunked=False):
    """One request, and its status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body=body, headers=headers or {}, encode_chunked=chunked)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
