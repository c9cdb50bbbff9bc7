"""A git server for tests: repositories over smart HTTP on loopback, through git's own `http-backend`."""

import base64
import gzip
import os
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


@dataclass(slots=True)
class GitServer:
    """Serves every bare repository below `folder`; use it as a context manager.

    With a `token`, only requests whose basic-auth password it is get in. `fault` may answer in git's place with an
    HTTP status and a text, or None to let git answer; it may also take its time. With `redirect`, requests for its
    first part are sent to its second.
    """

    folder: Path
    token: str | None = None
    fault: Callable[[str], tuple[int, str] | None] | None = None
    host: str = "127.0.0.1"
    requests: list[str] = field(default_factory=list)
    redirect: tuple[str, str] | None = None
    _server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._server = ThreadingHTTPServer((self.host, 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name="git-server", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    @property
    def address(self) -> str:
        """Where it serves, without a path."""
        assert self._server is not None, "the server is used before it is entered"
        return f"http://{self.host}:{self._server.server_address[1]}"

    def url(self, name: str) -> str:
        """The address of a repository, for git."""
        return f"{self.address}/{name}.git"

    def create(self, name: str, branch: str = "main") -> Path:
        """A new bare repository that takes pushes; returns its folder."""
        place = self.folder / f"{name}.git"
        subprocess.run(["git", "init", "--quiet", "--bare", f"--initial-branch={branch}", place], check=True)
        return place

    def admits(self, authorization: str | None) -> bool:
        """Whether a request may enter."""
        if self.token is None:
            return True
        scheme, _, encoded = (authorization or "").partition(" ")
        if scheme.lower() != "basic":
            return False
        return base64.b64decode(encoded).decode().partition(":")[2] == self.token


def _handler(server: GitServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Answers are written in pieces; without this each waits for the other side's delayed acknowledgement.
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self._body())

        def log_message(self, format: str, *arguments: object) -> None:
            pass

        def _answer(self, body: bytes) -> None:
            server.requests.append(f"{self.command} {self.path}")
            if not server.admits(self.headers.get("Authorization")):
                self._say(401, [("WWW-Authenticate", 'Basic realm="git"')], b"not for you")
                return
            if server.redirect is not None and self.path.startswith(server.redirect[0]):
                target = server.redirect[1] + self.path.removeprefix(server.redirect[0])
                self._say(301, [("Location", target)], b"")
                return
            fault = server.fault(self.path) if server.fault is not None else None
            if fault is not None:
                self._say(fault[0], [("Content-Type", "text/plain")], fault[1].encode())
                return
            parts = urlsplit(self.path)
            environment = {
                "PATH": os.environ["PATH"],
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_PROJECT_ROOT": str(server.folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "REMOTE_USER": "pusher",
                "REMOTE_ADDR": "127.0.0.1",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": parts.path,
                "QUERY_STRING": parts.query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
            }
            done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True)
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = [tuple(line.split(": ", 1)) for line in head.decode("latin-1").split("\r\n") if ": " in line]
            status = next((int(value.split()[0]) for name, value in headers if name == "Status"), 200)
            self._say(status, [(name, value) for name, value in headers if name != "Status"], content)

        def _say(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()

        def _body(self) -> bytes:
            body = b""
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    return Handler
