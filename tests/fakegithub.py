"""A GitHub of our own on loopback: its sign-in pages and its API, by GitHub's published rules.

https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors
https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api
"""

import base64
import hashlib
import json
import secrets
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

CLIENT_ID = "Iv1.0123456789abcdef"
CLIENT_SECRET = "kept-by-github-and-us"


@dataclass
class Account:
    """Somebody who has an account there. Teams are `organisation/slug`."""

    id: int
    login: str
    emails: list[dict[str, Any]] = field(default_factory=list)
    organisations: dict[str, str] = field(default_factory=dict)
    teams: list[str] = field(default_factory=list)


@dataclass
class Grant:
    """A code that was given, and what it was given for."""

    account: Account
    redirect_uri: str
    challenge: str
    scope: str


class FakeGitHub:
    """A context; `url` is where it listens. What breaks its rules is kept in `broken` and refused."""

    def __init__(self, callback: str) -> None:
        self.callback = callback
        self.broken: list[str] = []
        self.asked: list[str] = []
        self.answers: dict[str, tuple[int, str, dict[str, str]]] = {}
        self.page_size = 2
        self._codes: dict[str, Grant] = {}
        self._tokens: dict[str, Grant] = {}
        github = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                github.asked.append(self.path)
                self._send(*github.scripted(self.path) or github.api(self.path, dict(self.headers.items())))

            def do_POST(self) -> None:
                github.asked.append(self.path)
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self._send(*github.scripted(self.path) or github.token(self.path, body, dict(self.headers.items())))

            def _send(self, status: int, body: str, headers: dict[str, str]) -> None:
                content = body.encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json; charset=utf-8", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def script(self, path: str, status: int, body: str = "{}", **headers: str) -> None:
        """Answer everything below a path so from now on."""
        self.answers[path] = (status, body, {name.replace("_", "-"): value for name, value in headers.items()})

    def scripted(self, path: str) -> tuple[int, str, dict[str, str]] | None:
        return next((answer for begin, answer in self.answers.items() if path.startswith(begin)), None)

    def approve(self, url: str, account: Account) -> str:
        """What the page at `url` does when its reader is `account` and says yes: the address the browser is sent to."""
        parts = urlsplit(url)
        assert f"{parts.scheme}://{parts.netloc}" == self.url
        assert parts.path == "/login/oauth/authorize"
        asked = dict(parse_qsl(parts.query, strict_parsing=True))
        assert asked["client_id"] == CLIENT_ID
        # The callback is compared with the registered one: host, port and path.
        assert asked["redirect_uri"] == self.callback
        assert set(asked["scope"].split()) == {"read:org", "user:email"}
        assert len(asked["state"]) >= 16
        assert asked["code_challenge_method"] == "S256"
        assert len(asked["code_challenge"]) == 43
        code = secrets.token_hex(10)
        self._codes[code] = Grant(account, asked["redirect_uri"], asked["code_challenge"], asked["scope"])
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def token(self, path: str, body: str, headers: dict[str, str]) -> tuple[int, str, dict[str, str]]:
        """POST /login/oauth/access_token. Refusals come with status 200."""
        if path != "/login/oauth/access_token":
            return 404, "{}", {}
        sent = {name: values[0] for name, values in parse_qs(body, strict_parsing=True).items()}
        if headers.get("Accept") != "application/json":
            self.broken.append("without Accept: application/json the answer is a form")
        if "Authorization" in headers:
            self.broken.append("client id and secret belong into the body")
        if (sent.get("client_id"), sent.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return _refused("incorrect_client_credentials")
        grant = self._codes.pop(sent.get("code", ""), None)
        if grant is None:
            return _refused("bad_verification_code")
        if sent.get("redirect_uri") != grant.redirect_uri:
            return _refused("redirect_uri_mismatch")
        digest = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != grant.challenge:
            return _refused("bad_verification_code")
        access = f"gho_{secrets.token_hex(18)}"
        self._tokens[access] = grant
        return 200, json.dumps({"access_token": access, "scope": grant.scope, "token_type": "bearer"}), {}

    def api(self, path: str, headers: dict[str, str]) -> tuple[int, str, dict[str, str]]:
        """The four questions of the REST API, below /api/v3 as on GitHub Enterprise Server."""
        kind, _, access = headers.get("Authorization", "").partition(" ")
        grant = self._tokens.get(access)
        if kind != "Bearer" or grant is None:
            return 401, json.dumps({"message": "Bad credentials"}), {}
        if headers.get("Accept") != "application/vnd.github+json" or "X-GitHub-Api-Version" not in headers:
            self.broken.append(f"{path}: say which form and version of the API is meant")
        if not headers.get("User-Agent"):
            return 403, json.dumps({"message": "Request forbidden by administrative rules"}), {}
        parts = urlsplit(path)
        query = dict(parse_qsl(parts.query))
        account = grant.account
        match parts.path.removeprefix("/api/v3"):
            case "/user":
                return 200, json.dumps({"id": account.id, "login": account.login, "email": None}), {}
            case "/user/emails":
                return self._page(account.emails, parts.path, query)
            case "/user/memberships/orgs":
                found = [
                    {"state": state, "role": "member", "organization": {"login": login}}
                    for login, state in account.organisations.items()
                    if query.get("state") in (None, state)
                ]
                return self._page(found, parts.path, query)
            case "/user/teams":
                teams = [team.split("/") for team in account.teams]
                found = [
                    {"slug": slug, "name": slug.title(), "organization": {"login": login}} for login, slug in teams
                ]
                return self._page(found, parts.path, query)
        return 404, json.dumps({"message": "Not Found"}), {}

    def _page(self, rows: list[Any], path: str, query: dict[str, str]) -> tuple[int, str, dict[str, str]]:
        number, size = int(query.get("page", "1")), min(int(query.get("per_page", "30")), self.page_size)
        shown = rows[(number - 1) * size : number * size]
        headers = {}
        if number * size < len(rows):
            following = urlencode({**query, "page": number + 1})
            headers["Link"] = f'<{self.url}{path}?{following}>; rel="next", <{self.url}{path}?page=9>; rel="last"'
        return 200, json.dumps(shown), headers


def _refused(code: str) -> tuple[int, str, dict[str, str]]:
    return 200, json.dumps({"error": code, "error_description": "…", "error_uri": "https://docs.github.com"}), {}
