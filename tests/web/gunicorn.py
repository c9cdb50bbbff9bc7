"""The application of `serving` behind a real gunicorn on loopback."""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextmanager
def gunicorn(database: str, state: Path, *, threads: int = 4) -> Iterator[int]:
    """Serve the rows of a database; yields the port. Nothing of it is left at the end."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.set_inheritable(True)
        environment = {**os.environ, "TEST_DATABASE": database, "TEST_STATE": str(state)}
        command = [sys.executable, "-m", "gunicorn", "tests.web.serving:app", "--bind", f"fd://{listening.fileno()}"]
        command += ["--worker-class", "gthread", "--threads", str(threads), "--workers", "2", "--no-control-socket"]
        server = subprocess.Popen(command, cwd=ROOT, env=environment, pass_fds=[listening.fileno()])
        port = listening.getsockname()[1]
        try:
            _await(port, server)
            yield port
        finally:
            server.terminate()
            assert server.wait(20) == 0


def _await(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            assert server.poll() is None, "gunicorn ended"
            assert time.monotonic() < deadline, "gunicorn does not answer"
        finally:
            connection.close()
