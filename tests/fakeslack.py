"""A Slack of our own on loopback. It keeps Slack's published rules and remembers what it was sent.

Rules: https://docs.slack.dev/reference/methods/chat.postMessage, https://docs.slack.dev/reference/block-kit/blocks/,
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks and
https://docs.slack.dev/apis/web-api/rate-limits
"""

import json
import re
import socket
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

TOKEN = "xoxb-1111-2222-kept-in-a-file"
HOOK = "/services/T0001/B0001/kept-in-the-environment"
CHANNELS = {"platform": "C0001", "owners": "C0002"}

_POST_MESSAGE_FIELDS = {
    "attachments", "blocks", "channel", "icon_emoji", "icon_url", "link_names", "metadata", "mrkdwn", "parse",
    "reply_broadcast", "text", "thread_ts", "unfurl_links", "unfurl_media", "username",
}  # fmt: skip
_HOOK_FIELDS = {"attachments", "blocks", "metadata", "text", "thread_ts", "unfurl_links", "unfurl_media"}
_MARKUP = re.compile(r"<([^<>]*)>")
_ENTITY = re.compile(r"&(?!amp;|lt;|gt;)")


@dataclass(frozen=True, slots=True)
class Posted:
    """A message Slack took: everything that was sent and the `ts` it got."""

    channel: str
    body: dict[str, Any]
    ts: str

    @property
    def text(self) -> str:
        """What a person reads, block after block."""
        return "\n".join(block["text"]["text"] for block in self.body["blocks"])


@dataclass(frozen=True, slots=True)
class Answer:
    """A scripted answer. `body` None hangs up without one; `posts` says whether the message was taken before it."""

    status: int = 200
    body: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    posts: bool = False


def error(code: str) -> Answer:
    """`ok: false` as the Web API says it: with HTTP status 200."""
    return Answer(200, json.dumps({"ok": False, "error": code}))


def too_many(seconds: int) -> Answer:
    """HTTP 429 with the time to wait."""
    return Answer(429, json.dumps({"ok": False, "error": "ratelimited"}), {"Retry-After": str(seconds)})


HANGS_UP_BEFORE = Answer(body=None)
HANGS_UP_AFTER = Answer(body=None, posts=True)


class FakeSlack:
    """The server. `posted` are the messages it took, `faults` the rules that were broken, `asked` counts requests."""

    def __init__(self, *, one_a_second: bool = False) -> None:
        self.posted: list[Posted] = []
        self.faults: list[str] = []
        self.asked = 0
        self.one_a_second = one_a_second
        self.scopes = "chat:write"
        self._script: deque[Answer] = deque()
        self._last_at: dict[str, float] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def api_url(self) -> str:
        return f"{self.url}/api/"

    @property
    def hook_url(self) -> str:
        return f"{self.url}{HOOK}"

    def answer_next(self, *answers: Answer) -> None:
        """Give these answers to the next requests, then go on by the rules."""
        self._script.extend(answers)

    def take(self, path: str, headers: dict[str, str], raw: bytes) -> Answer:
        """What Slack answers to one POST."""
        with self._lock:
            self.asked += 1
            hook = path == HOOK
            if path == "/api/auth.test":
                return self._known(headers)
            if not hook and path != "/api/chat.postMessage":
                return Answer(404, "no_service" if path.startswith("/services/") else "<html>not found</html>")
            scripted = self._script.popleft() if self._script else None
            if scripted and not scripted.posts:
                return scripted
            code, posted = self._judge(hook, headers, raw)
            if posted:
                self.posted.append(posted)
            if scripted:
                return scripted
            if code == "ratelimited":
                return too_many(1)
            if hook:
                return Answer(200, "ok") if posted else Answer(400, code)
            if posted is None:
                return error(code)
            return Answer(200, json.dumps({"ok": True, "channel": posted.channel, "ts": posted.ts, "message": {}}))

    def _known(self, headers: dict[str, str]) -> Answer:
        """https://docs.slack.dev/reference/methods/auth.test"""
        if headers.get("authorization") != f"Bearer {TOKEN}":
            return error("invalid_auth")
        told = {"ok": True, "user": "upkeep", "team": "Acme", "user_id": "U1", "team_id": "T1", "bot_id": "B1"}
        return Answer(200, json.dumps(told), {"X-OAuth-Scopes": self.scopes})

    def _judge(self, hook: bool, headers: dict[str, str], raw: bytes) -> tuple[str, Posted | None]:
        kind = headers.get("content-type", "").replace(" ", "").lower()
        if kind not in ("application/json", "application/json;charset=utf-8"):
            return self._broken("invalid_payload" if hook else "invalid_post_type", f"content type {kind!r}")
        try:
            body = json.loads(raw)
        except ValueError:
            return self._broken("invalid_payload" if hook else "invalid_json", "the body is not JSON")
        if not isinstance(body, dict):
            return self._broken("invalid_payload" if hook else "json_not_object", "the body is not an object")
        if hook and "authorization" in headers:
            self.faults.append("a webhook was sent a token")
        unknown = set(body) - (_HOOK_FIELDS if hook else _POST_MESSAGE_FIELDS)
        if unknown:
            self.faults.append(f"unknown fields {sorted(unknown)}")
        channel = CHANNELS["owners"]
        if not hook:
            if headers.get("authorization") != f"Bearer {TOKEN}":
                return ("not_authed" if "authorization" not in headers else "invalid_auth"), None
            wanted = str(body.get("channel", "")).removeprefix("#")
            if wanted not in CHANNELS and wanted not in CHANNELS.values():
                return "channel_not_found", None
            channel = CHANNELS.get(wanted, wanted)
            parent = body.get("thread_ts")
            if parent is not None and parent not in {message.ts for message in self.posted}:
                return "thread_not_found", None
        if body == {"text": ""}:
            # How somebody asks whether an address is good, and no mistake.
            return "no_text", None
        fault = _fault_in(body)
        if fault:
            return self._broken(*fault)
        at = time.monotonic()
        if self.one_a_second and at - self._last_at.get(channel, -1.0) < 1.0:
            return "ratelimited", None
        self._last_at[channel] = at
        return "", Posted(channel, body, f"1700000000.{len(self.posted):06}")

    def _broken(self, code: str, fault: str) -> tuple[str, None]:
        self.faults.append(fault)
        return code, None


def _fault_in(body: dict[str, Any]) -> tuple[str, str] | None:
    text, blocks = body.get("text"), body.get("blocks", [])
    if not text and not blocks:
        return "no_text", "neither text nor blocks"
    if not isinstance(text, str) or not text:
        return "no_text", "no text beside the blocks, which notifications and screen readers need"
    if len(text) > 4000:
        return "msg_too_long", f"a text of {len(text)} characters"
    if not isinstance(blocks, list) or len(blocks) > 50:
        return "invalid_blocks", f"{len(blocks)} blocks"
    for block in blocks:
        fault = _fault_in_block(block)
        if fault:
            return "invalid_blocks", fault
    fault = _fault_in_markup(text)
    return ("invalid_blocks", fault) if fault else None


def _fault_in_block(block: dict[str, Any]) -> str | None:
    kind, inner = block.get("type"), block.get("text")
    if kind not in ("section", "header"):
        return f"a block of kind {kind!r} is not known here"
    if not isinstance(inner, dict) or not isinstance(inner.get("text"), str) or not inner["text"]:
        return f"a {kind} without text"
    if set(inner) - {"type", "text", "emoji", "verbatim"}:
        return f"unknown fields in a text: {sorted(inner)}"
    if kind == "header" and (inner.get("type") != "plain_text" or len(inner["text"]) > 150):
        return "a header has to be plain text of 150 characters at most"
    if inner.get("type") not in ("plain_text", "mrkdwn") or len(inner["text"]) > 3000:
        return f"a section of {len(inner['text'])} characters"
    return _fault_in_markup(inner["text"]) if inner["type"] == "mrkdwn" else None


def _fault_in_markup(text: str) -> str | None:
    for inner in _MARKUP.findall(text):
        if not re.match(r"https?://[^\s|]+(\|[^|]+)?$", inner):
            return f"`<{inner}>` would be a mention, a command or a broken link"
    rest = _MARKUP.sub("", text)
    if "<" in rest or ">" in rest or _ENTITY.search(text):
        return f"an unescaped character in {rest!r}"
    return None


def _handler(slack: FakeSlack) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = slack.take(self.path, {name.lower(): value for name, value in self.headers.items()}, raw)
            if answer.body is None:
                with suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            payload = answer.body.encode()
            self.send_response(answer.status)
            kind = "application/json" if answer.body.startswith("{") else "text/plain"
            for name, value in {"Content-Type": kind, "Content-Length": str(len(payload)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler
