"""Secrets planted wherever a daemon takes one, which then does and fails to do everything: none of them shows."""

import base64
import http.client
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests import builders
from tests.gitserver import GitServer
from tests.histories import History
from tests.stories.test_serve import Served, eventually, family, serving
from tests.web.api.conftest import a_token
from tests.web.furnished import furnish, people
from tests.web.page import Page
from tests.web.test_hooks import push_payload, signature
from upkeep.adapters.clock import now as present
from upkeep.adapters.passwords import Argon2Passwords
from upkeep.adapters.store import migrate, open_store
from upkeep.domain.people import Role


def planted(name: str) -> str:
    return f"planted-{name}-7b1e5f0c"


HOOK, HOOK_FILE, OWN_HOOK = planted("hook"), planted("hook-in-a-file"), planted("hook-of-a-source")
GIT, GIT_ENV = planted("git"), planted("git-in-the-environment")
SLACK, SLACK_BOT = planted("slack"), f"xoxb-{planted('bot')}"
OAUTH, OAUTH_CODE = planted("oauth"), planted("oauth-code")
AWS, AWS_SESSION = planted("aws-secret"), planted("aws-session")
PROTON, DATABASE = planted("proton-master-key-that-is-long"), planted("database")
PASSWORD, WRONG_PASSWORD = planted("password"), planted("wrong-password")
TOKEN, WRONG_TOKEN, COOKIE = (f"upkeep_{planted(name)}" for name in ("token", "wrong-token", "cookie"))
SSH = planted("ssh-key")

SECRETS = (
    *(HOOK, HOOK_FILE, OWN_HOOK, GIT, GIT_ENV, SLACK, SLACK_BOT, OAUTH, OAUTH_CODE, AWS, AWS_SESSION, PROTON, DATABASE),
    *(PASSWORD, WRONG_PASSWORD, TOKEN, WRONG_TOKEN, SSH),
)

EXPECTED = (
    ("source_synced",),
    ("source_stalled",),
    ("source_failed",),
    ('"work": "relay"', '"channel": "hook"', "worked"),
    ('"work": "deploy"', "reason"),
)
"""What the log says before it is looked through: each path was gone to its end."""


class Broken(BaseHTTPRequestHandler):
    """Whatever is asked fails, with what was asked in the answer: an ill-mannered Slack, GitHub and AWS."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = f"oh no: {self.path} {self.headers}".encode()
        self.send_response(500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def broken() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Broken) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class Caller:
    """Asks the daemon, and keeps everything it answers."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.cookies: dict[str, str] = {}
        self.heard: list[str] = []

    def __call__(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            named["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        connection = http.client.HTTPConnection(self.address, timeout=30)
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        text = answer.read().decode()
        told = [(name, value) for name, value in answer.getheaders() if name != "Set-Cookie"]
        for line in answer.headers.get_all("Set-Cookie", []):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        connection.close()
        self.heard.append(f"{method} {path.partition('?')[0]} {answer.status} {told} {text}")
        return answer.status, text

    def form(self, path: str, fields: dict[str, str], page: str) -> tuple[int, str]:
        token = Page(self("GET", page)[1]).forms[0].fields["csrf_token"]
        body = urlencode(fields | {"csrf_token": token}).encode()
        return self("POST", path, body, Content_Type="application/x-www-form-urlencoded")


def configured(folder: Path, server: GitServer, broken: str) -> str:
    """A configuration with a secret in every place that takes one."""
    for name, text in {"hooks": HOOK_FILE, "own-hook": OWN_HOOK, "git": GIT, "ssh": SSH, "slack": SLACK_BOT}.items():
        (folder / name).write_text(text + "\n")
    return f"""
log: {{level: debug, format: json}}
webhooks: {{secrets: [{HOOK}], secrets_file: hooks}}
sources:
  - {{name: good, url: "{server.url("good")}", token_file: git, webhook_secret_file: own-hook}}
  - {{name: bad, url: "{server.url("good")}", branch: other, token_env: GIT_TOKEN}}
  - {{name: nowhere, url: "http://127.0.0.1:1/x.git", token_file: git}}
  - {{name: secure, url: "git@127.0.0.1:x.git", ssh_key_file: ssh}}
provisioner: cloudformation
cloudformation: {{region: eu-west-1, endpoint_url: "{broken}"}}
proton: {{key: {PROTON}}}
notices:
  default: hook
  operators: bot
  channels:
    hook: {{kind: slack_webhook, url: "{broken}/services/{SLACK}"}}
    bot: {{kind: slack_bot, channel: C1, token_file: slack}}
access:
  github: {{client_id: Iv1, client_secret: {OAUTH}, url: "{broken}", roles: {{acme: viewer}}}}
"""


def test_no_secret_shows_anywhere(tmp_path: Path, broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TOKEN", GIT_ENV)
    for name, value in {"ACCESS_KEY_ID": "AKIAX", "SECRET_ACCESS_KEY": AWS, "SESSION_TOKEN": AWS_SESSION}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    # Nothing of this test leaves the machine: what is not on loopback would go to a proxy that is not there.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    prepare(state)
    with GitServer(tmp_path / "served", token=GIT) as server:
        history = History(server.create("good"))
        history.write([builders.under("net/v1", builders.environment_files())])
        commands: list[str] = []

        def look(path: str) -> None:
            commands.extend(command_lines())

        server.fault = look
        with serving(tmp_path, configured(tmp_path, server, broken)) as served:
            ask = Caller(served.address)
            use(ask)
            for words in EXPECTED:
                eventually(" ".join(words), lambda words=words: said(served, words))
            read(ask)
            commands.extend(command_lines())
            assert any("git" in line for line in commands)
            told = said_by(tmp_path, ("doctor",), ("notify", "test"))
            shown_environment_of(served)
            listed = served.log.read_text()
    monkeypatch.setenv("UPKEEP_DATABASE__URL", f"postgresql://ada:{DATABASE}@127.0.0.1:1/upkeep")
    told += said_by(tmp_path, ("doctor",), ("migrate",), ("check-config",))
    kept = [path.read_bytes().decode("latin-1") for path in state.rglob("*") if path.is_file()]
    places = {"logs": listed, "answers": "\n".join(ask.heard), "commands": "\n".join(commands)}
    places |= {"told": "\n".join(told), "state": "\n".join(kept)}
    cookie = ask.cookies["upkeep"]
    for place, text in places.items():
        assert text, place
        for secret in (*SECRETS, cookie):
            for form in (secret, base64.b64encode(f"x-access-token:{secret}".encode()).decode()):
                at = text.find(form)
                assert at < 0, f"{place}: {text[max(0, at - 300) : at + 100]}"
    assert {path.stat().st_mode & 0o077 for path in state.rglob("*") if path.is_file()} == {0}


def said(served: Served, words: tuple[str, ...]) -> bool:
    """Whether a line of the log holds all these words."""
    return any(all(word in line for word in words) for line in served.log.read_text().splitlines())


def prepare(state: Path) -> None:
    """A database with people, a token, and things to look at and to deploy."""
    url = f"sqlite:///{state / 'upkeep.db'}"
    umask = os.umask(0o077)
    try:
        migrate(url, state=state)
        store = open_store(url, state=state)
        furnish(store, present())
        with store.write() as unit:
            people(unit)
            dana = replace(builders.a_user("dana", Role.ADMIN), password_hash=Argon2Passwords().hash(PASSWORD))
            unit.people.add(dana)
            unit.people.add_token(a_token("dana", TOKEN, present()))
        store.close()
    finally:
        os.umask(umask)


def use(ask: Caller) -> None:
    """Come in by every door, rightly and wrongly."""
    body = json.dumps(push_payload()).encode()
    json_type = {"Content_Type": "application/json"}
    for secret, expected in ((HOOK, 202), (HOOK_FILE, 202), ("guessed", 401)):
        headers = {"X_GitHub_Delivery": f"d-{secret[-9:]}", "X_GitHub_Event": "push"} | json_type
        status, _ = ask("POST", "/hooks/github", body, X_Hub_Signature_256=signature(body, secret), **headers)
        assert status == expected
    assert ask.form("/sign-in", {"name": "dana", "password": WRONG_PASSWORD}, "/sign-in")[0] == 401
    ask("GET", f"/sign-in/github/back?state=forged&code={OAUTH_CODE}")
    ask("GET", "/sign-in/github")
    at = re.search(r"state=([^&')]+)", ask.heard[-1])
    assert at is not None
    ask("GET", f"/sign-in/github/back?state={at[1]}&code={OAUTH_CODE}")
    assert ask.form("/sign-in", {"name": "dana", "password": PASSWORD}, "/sign-in")[0] == 303
    for token, expected in ((TOKEN, 200), (WRONG_TOKEN, 401)):
        assert ask("GET", "/api/v1/sources", Authorization=f"Bearer {token}")[0] == expected
    assert ask("POST", "/proton", b"{}", Authorization=f"AWS4-HMAC-SHA256 {TOKEN}")[0] == 400
    bearer = {"Authorization": f"Bearer {TOKEN}"} | json_type
    for name in ("test", "empty"):
        ask("POST", f"/api/v1/environments/{name}/update", b'{"version": "1.1"}', **bearer)


def read(ask: Caller) -> None:
    """Look at every page and list that could show something."""
    paths = ("/", "/sources", "/sources/good", "/sources/bad", "/activity", "/account", "/people", "/deployments")
    for path in paths:
        assert ask("GET", path)[0] == 200, path
    for path in ("sources", "deliveries", "events", "templates", "users", "tokens"):
        ask("GET", f"/api/v1/{path}?limit=200", Authorization=f"Bearer {TOKEN}")
    ask("GET", "/readyz")


def said_by(folder: Path, *commands: tuple[str, ...]) -> list[str]:
    """What commands print, all of them at the same time."""

    def run(words: tuple[str, ...]) -> str:
        command = [sys.executable, "-m", "upkeep", "--config", str(folder / "upkeep.yaml"), *words]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        return f"{words} {ended.returncode} {ended.stdout} {ended.stderr}"

    with ThreadPoolExecutor() as pool:
        return list(pool.map(run, commands))


def command_lines() -> list[str]:
    """How every process of this machine was called."""
    lines = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                lines.append((entry / "cmdline").read_bytes().decode("utf-8", "replace"))
            except OSError:
                continue
    return lines


def shown_environment_of(served: Served) -> None:
    """Nobody writes core dumps of what the daemon holds."""
    for pid in family(served.process.pid):
        try:
            limits = Path(f"/proc/{pid}/limits").read_text()
        except OSError:
            continue
        assert re.search(r"Max core file size +0 +0 ", limits), limits
