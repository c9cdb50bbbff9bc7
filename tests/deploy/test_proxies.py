"""The examples of reverse proxies: each really in front of a real web server, with a client that it sees elsewhere."""

import http.client
import json
import os
import shutil
import socket
import sqlite3
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.deploy.certificates import certify
from tests.deploy.machine import eventually
from tests.deploy.ports import a_free_port, answer
from tests.deploy.shipped import DEPLOY
from tests.web.page import Page
from tests.web.test_hooks import SECRET, push_payload, signature
from upkeep import settings
from upkeep.cli.doctor import outside
from upkeep.web.rooms import Bounds

HOST = "upkeep.example.com"
CLIENT = "127.0.0.9"
"""Where the client is; the proxy asks from 127.0.0.1."""

CONFIGURATION = f"""\
state: state
web: {{port: 0, workers: 1, threads: 2, public_url: "https://{HOST}"}}
access: {{trusted_proxies: [127.0.0.1/32]}}
webhooks: {{secrets: ["{SECRET}"]}}
"""


@dataclass(frozen=True)
class Front:
    """A proxy that runs: its port, the web server's port, and the web server's folder."""

    port: int
    behind: int
    folder: Path

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> http.client.HTTPResponse:
        """One request of the client."""
        given = {"Host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
        context = ssl.create_default_context(cafile=self.folder / "certificate.pem")
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=15, context=context, source_address=(CLIENT, 0)
        )
        # Who refuses a body may not care to take it in.
        with suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
            connection.request(method, path, body, given)
        return connection.getresponse()


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """A web server as `upkeep web` starts it, with two threads in all."""
    folder = tmp_path_factory.mktemp("behind")
    port = a_free_port()
    (folder / "upkeep.yaml").write_text(CONFIGURATION)
    certify(folder, HOST, "127.0.0.1")
    with running(
        [sys.executable, "-P", "-m", "upkeep", "--config", folder / "upkeep.yaml", "web"],
        folder / "said",
        UPKEEP_WEB__PORT=str(port),
    ) as server:
        eventually(lambda: answer(port, "/readyz") == 200, server, folder / "said")
        yield port, folder


@pytest.fixture(scope="module", params=["nginx", "Caddy"])
def front(request: pytest.FixtureRequest, behind: tuple[int, Path]) -> Iterator[Front]:
    """Each of the proxies, with its example as it is shipped but for ports and the files of its certificate."""
    port, (web, folder) = a_free_port(), behind
    command = {"nginx": nginx, "Caddy": caddy}[request.param](folder, port, web)
    said = folder / f"{request.param} said"
    with ExitStack() as stack:
        server = stack.enter_context(running(command, said, HOME=str(folder), XDG_DATA_HOME=str(folder)))
        found = Front(port, web, folder)
        eventually(lambda: listens(port), server, said)
        yield found


def nginx(folder: Path, port: int, web: int) -> list[str | Path]:
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("there is no nginx here: apt-get install nginx-light")
    site = (DEPLOY / "proxy" / "nginx.conf").read_text()
    for shipped, tried in {
        "listen [::]:80;": "",
        "listen [::]:443 ssl http2;": "",
        "listen 80;": f"listen 127.0.0.1:{a_free_port()};",
        "listen 443 ssl http2;": f"listen 127.0.0.1:{port} ssl http2;",
        "server 127.0.0.1:8080;": f"server 127.0.0.1:{web};",
        "/etc/ssl/upkeep/fullchain.pem": str(folder / "certificate.pem"),
        "/etc/ssl/upkeep/privkey.pem": str(folder / "key.pem"),
    }.items():
        assert site.count(shipped) == 1
        site = site.replace(shipped, tried)
    (folder / "site.conf").write_text(site)
    temporary = " ".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"daemon off; {user} worker_processes 1; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {temporary} include {folder}/site.conf; }}\n"
    )
    command: list[str | Path] = [program, "-c", folder / "nginx.conf", "-e", "stderr"]
    tried = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert tried.returncode == 0, tried.stderr
    assert "[warn]" not in tried.stderr
    return command


def caddy(folder: Path, port: int, web: int) -> list[str | Path]:
    site = (DEPLOY / "proxy" / "Caddyfile").read_text()
    certificate = f"\ttls {folder}/certificate.pem {folder}/key.pem\n"
    for shipped, tried in {
        f"\n{HOST} {{\n": f"\nhttps://{HOST}:{port} {{\n{certificate}",
        "reverse_proxy 127.0.0.1:8080 {": f"reverse_proxy 127.0.0.1:{web} {{",
    }.items():
        assert site.count(shipped) == 1
        site = site.replace(shipped, tried)
    alone = "{\n\tadmin off\n\tauto_https disable_redirects\n\tgrace_period 1s\n\tdefault_bind 127.0.0.1\n}\n"
    (folder / "Caddyfile").write_text(alone + site)
    return [Path(sys.executable).with_name("caddy"), "run", "--adapter", "caddyfile", "--config", folder / "Caddyfile"]


def test_a_webhook_goes_through_to_upkeep_and_its_answer_back(front):
    body = json.dumps(push_payload()).encode()
    answered = front.ask(
        "POST", "/hooks/github", body,
        X_GitHub_Delivery=f"through-{front.port}", X_GitHub_Event="push", X_Hub_Signature_256=signature(body),
        Content_Type="application/json",
    )  # fmt: skip
    assert (answered.status, json.loads(answered.read())["delivery"]) == (202, f"through-{front.port}")
    assert answered.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert answered.headers["X-Content-Type-Options"] == "nosniff"


def test_the_largest_webhook_goes_through_and_a_larger_one_does_not(front):
    body = b"x" * Bounds().delivery
    answered = front.ask("POST", "/hooks/github", body, X_Hub_Signature_256=signature(body), X_GitHub_Delivery="large",
                         X_GitHub_Event="push", Content_Type="application/json")  # fmt: skip
    # It is Upkeep that has read all of it, and found no JSON.
    assert (answered.status, "not JSON" in answered.read().decode()) == (400, True)
    assert front.ask("POST", "/hooks/github", body + b"x").status == 413


def test_what_is_not_public_is_not_to_be_had(front):
    assert {path: front.ask("GET", path).status for path in ("/healthz", "/readyz", "/metrics")} == {
        "/healthz": 200,
        "/readyz": 404,
        "/metrics": 404,
    }
    assert answer(front.behind, "/readyz") == 200


def test_upkeep_knows_where_the_client_is_whatever_the_client_says(front):
    form = front.ask("GET", "/sign-in")
    cookie = form.headers["Set-Cookie"].partition(";")[0]
    fields = Page(form.read().decode()).form("Sign in").fields | {"name": f"nobody-{front.port}", "password": "wrong"}
    refused = front.ask(
        "POST", "/sign-in", urlencode(fields).encode(), Cookie=cookie, X_Forwarded_For="192.0.2.1",
        Content_Type="application/x-www-form-urlencoded",
    )  # fmt: skip
    assert refused.status == 401
    connection = sqlite3.connect(f"file:{front.folder / 'state' / 'upkeep.db'}?mode=ro", uri=True)
    seen = connection.execute("select address from failed_sign_ins where name = ?", [f"nobody-{front.port}"]).fetchall()
    connection.close()
    assert seen == [(CLIENT,)]


def test_clients_that_send_slowly_hold_no_thread_of_upkeep(front):
    with ExitStack() as stack:
        for _ in range(6):
            context = ssl.create_default_context(cafile=front.folder / "certificate.pem")
            plain = stack.enter_context(socket.create_connection(("127.0.0.1", front.port), 20))
            slow = stack.enter_context(context.wrap_socket(plain, server_hostname="127.0.0.1"))
            head = f"POST /hooks/github HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1000\r\n"
            slow.sendall(f"{head}X-Hub-Signature-256: sha256={'0' * 64}\r\n\r\n{{".encode())
        # Upkeep has two threads, and all of them are free: nobody has to wait until a proxy gives the slow ones up.
        assert front.ask("GET", "/healthz").status == 200
        assert answer(front.behind, "/healthz") == 200


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@contextmanager
def running(command: list[str | Path], said: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs while the block lasts."""
    with said.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command], env={**os.environ, **environment}, stdout=output, stderr=output
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)


def test_the_doctor_hears_that_deliveries_get_through(behind):
    url = f"http://127.0.0.1:{behind[0]}"
    checked = settings.read(f"web: {{public_url: '{url}'}}", "upkeep.yaml", folder=behind[1], environ={})
    told = {each.thing: (each.level, each.reason) for each in outside.public_address(checked)}
    assert told["deliveries"] == ("ok", f"they get through to {url}/hooks/github")
