import hashlib
import hmac
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.builders import a_source
from tests.web.conftest import SECRET
from upkeep.domain.deliveries import DeliveryStatus
from upkeep.domain.errors import TransientError
from upkeep.domain.people import DAEMON
from upkeep.domain.sources import Credential, CredentialKind
from upkeep.domain.work import WorkKind
from upkeep.flows import follow
from upkeep.web.app import create_app
from upkeep.web.passage import ABOUT
from upkeep.web.rooms import Bounds

DAY = timedelta(days=1)
OWN_SECRET = "only for this source"


def signature(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def push_payload(url: str = "https://git.example.com/platform/templates", ref: str = "refs/heads/main", **fields):
    repository = {"id": 1, "full_name": "platform/templates", "clone_url": f"{url}.git", "html_url": url}
    after = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"
    return {"ref": ref, "after": after, "deleted": False, "commits": [], "repository": repository} | fields


@pytest.fixture
def own_secret(tmp_path):
    """A file with the secrets of one source, two of them while they are rotated."""
    file = tmp_path / "webhook-secret"
    file.write_text(f"the one before\n{OWN_SECRET}\n")
    return Credential(CredentialKind.TOKEN_FILE, str(file))


@pytest.fixture
def sources(store, now, own_secret):
    with store.write() as unit:
        follow.add(unit, a_source("templates"), actor=DAEMON, now=now)
        other = replace(a_source("other"), webhook_secret=own_secret)
        follow.add(unit, other, actor=DAEMON, now=now)
        for claim in iter(lambda: unit.work.claim([WorkKind.SYNC], now, now - now), None):
            unit.work.done(claim)
    return store


@pytest.fixture
def deliver(app, sources):
    client = app.test_client()

    def send(payload=None, *, body=None, secret=SECRET, path="/hooks/github", event="push", id="d-1", **headers):
        body = json.dumps(push_payload() if payload is None else payload).encode() if body is None else body
        sent = {
            "X-GitHub-Delivery": id,
            "X-GitHub-Event": event,
            "X-Hub-Signature-256": signature(body, secret),
            "Content-Type": "application/json",
        } | {name.replace("_", "-"): value for name, value in headers.items()}
        return client.post(path, data=body, headers={name: value for name, value in sent.items() if value is not None})

    return send


def deliveries(store):
    with store.read() as unit:
        return list(unit.deliveries.recent(10))


def asked(store):
    with store.read() as unit:
        return [(row.subject) for row in unit.work.list(10) if row.kind is WorkKind.SYNC]


def test_github_s_own_example_of_a_signature_is_accepted(app, sources):
    """https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation"""
    answer = app.test_client().post(
        "/hooks/github",
        data=b"Hello, World!",
        headers={
            "X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            "X-GitHub-Delivery": "d",
            "X-GitHub-Event": "ping",
            "Content-Type": "application/json",
        },
    )
    assert answer.status_code == 400
    assert answer.json["message"] == "the payload is not JSON"


def test_a_push_is_stored_answered_and_asks_its_source_to_sync(deliver, sources):
    answer = deliver()
    assert answer.status_code == 202
    assert answer.json == {"delivery": "d-1", "status": "received", "sources": ["templates"]}
    (kept,) = deliveries(sources)
    assert (kept.id, kept.status, kept.ref) == ("d-1", DeliveryStatus.RECEIVED, "refs/heads/main")
    assert asked(sources) == ["templates"]


def test_a_push_in_a_form_is_signed_as_it_was_sent(deliver, sources):
    body = urlencode({"payload": json.dumps(push_payload())}).encode()
    answer = deliver(body=body, Content_Type="application/x-www-form-urlencoded")
    assert answer.status_code == 202
    assert asked(sources) == ["templates"]


def test_a_ping_is_answered(deliver, sources):
    answer = deliver({"zen": "Design for failure."}, event="ping")
    assert answer.status_code == 200
    assert answer.json["message"] == "pong"
    assert deliveries(sources)[0].reason == "a ping asks for nothing"


@pytest.mark.parametrize(
    ("payload", "event", "reason"),
    [
        (push_payload(ref="refs/heads/feature"), "push", "no source reads branch `feature`"),
        (push_payload(ref="refs/tags/v1"), "push", "`refs/tags/v1` is not a branch"),
        (push_payload(deleted=True), "push", "branch `main` was deleted"),
        (push_payload(url="https://git.example.com/platform/unknown"), "push", "no source reads this repository"),
        ({"action": "opened"}, "pull_request", "`pull_request` events ask for nothing, only pushes do"),
    ],
)
def test_what_asks_for_nothing_is_recorded_with_the_reason(deliver, sources, payload, event, reason):
    answer = deliver(payload, event=event)
    assert answer.status_code == 202
    assert answer.json["status"] == "ignored"
    assert answer.json["reason"] == reason
    assert deliveries(sources)[0].reason == reason
    assert asked(sources) == []


def test_a_second_delivery_with_the_same_id_changes_nothing(deliver, sources):
    first = deliver()
    before = deliveries(sources)
    assert deliver().json == first.json
    assert deliveries(sources) == before


def test_a_redelivery_of_one_that_failed_is_worked(deliver, sources, now):
    deliver()
    with sources.write() as unit:
        unit.deliveries.save(replace(unit.deliveries.find("d-1"), status=DeliveryStatus.FAILED, reason="no answer"))
        unit.work.done(unit.work.claim([WorkKind.SYNC], now, DAY))
    deliver()
    (kept,) = deliveries(sources)
    assert (kept.status, kept.attempts) == (DeliveryStatus.RECEIVED, 2)
    assert asked(sources) == ["templates"]


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ({"X_Hub_Signature_256": None}, "the delivery is not signed"),
        ({"X_Hub_Signature_256": "sha1=" + "0" * 40}, "the signature is malformed"),
        ({"X_Hub_Signature_256": "sha256=" + "0" * 63}, "the signature is malformed"),
        ({"X_Hub_Signature_256": "sha256=" + "é" * 64}, "the signature is malformed"),
        ({"X_Hub_Signature_256": "sha256=" + "0" * 64}, "the signature fits none of the secrets known here"),
        ({"secret": "guessed"}, "the signature fits none of the secrets known here"),
    ],
)
def test_what_is_not_signed_with_a_secret_is_refused_and_not_kept(deliver, sources, headers, sentence):
    answer = deliver(**headers)
    assert answer.status_code == 401
    assert answer.json["message"] == sentence
    assert answer.json["cure"]
    assert deliveries(sources) == []
    assert asked(sources) == []


def test_a_body_that_was_changed_on_the_way_is_refused(deliver, sources):
    body = json.dumps(push_payload()).encode()
    assert deliver(body=body + b" ", X_Hub_Signature_256=signature(body)).status_code == 401
    assert deliveries(sources) == []


def test_old_and_new_secrets_are_accepted_while_they_are_rotated(rooms, sources):
    client = create_app(replace(rooms, webhook_secrets=("old one", "new one"))).test_client()
    for secret, status in (("old one", 202), ("new one", 202), ("older one", 401), ("", 401)):
        body = json.dumps(push_payload()).encode()
        headers = {
            "X-GitHub-Delivery": f"d-{secret}".replace(" ", "-"),
            "X-GitHub-Event": "push",
            "X-Hub-Signature-256": signature(body, secret),
            "Content-Type": "application/json",
        }
        assert client.post("/hooks/github", data=body, headers=headers).status_code == status


@pytest.mark.parametrize("secret", [OWN_SECRET, "the one before"])
def test_a_source_s_own_secret_speaks_for_that_source_only(deliver, sources, secret):
    refused = deliver(secret=secret)
    assert refused.json["reason"] == "it is meant for another source"
    heard = deliver(push_payload(url="https://git.example.com/platform/other"), secret=secret, id="d-2")
    assert heard.json["sources"] == ["other"]
    assert asked(sources) == ["other"]


def test_a_delivery_to_one_source_asks_no_other(deliver, sources):
    assert deliver(path="/hooks/github/templates").json["sources"] == ["templates"]
    assert deliver(path="/hooks/github/other", id="d-2").json["sources"] == []
    assert deliver(path="/hooks/github/templates", secret=OWN_SECRET, id="d-3").status_code == 401


def test_a_source_nobody_knows_is_told_only_to_those_who_signed(deliver, sources):
    assert deliver(path="/hooks/github/unknown", secret="guessed").status_code == 401
    assert deliver(path="/hooks/github/unknown").status_code == 404
    assert deliveries(sources) == []


def test_a_secret_that_cannot_be_read_hurts_its_source_only(deliver, sources, own_secret):

    Path(own_secret.reference).unlink()
    assert deliver().status_code == 202
    other = push_payload(url="https://git.example.com/platform/other")
    assert deliver(other, secret=OWN_SECRET, id="d-2").status_code == 401


def test_without_any_secret_nothing_is_trusted(rooms, store):
    client = create_app(replace(rooms, webhook_secrets=())).test_client()
    answer = client.post("/hooks/github", data=b"{}", headers={"X-Hub-Signature-256": signature(b"{}", "")})
    assert answer.status_code == 503
    assert "no webhook secret is configured" in answer.json["message"]


@pytest.mark.parametrize(
    ("headers", "where"),
    [
        ({"X_GitHub_Delivery": None}, "X-GitHub-Delivery"),
        ({"X_GitHub_Event": None}, "X-GitHub-Event"),
        ({"X_GitHub_Delivery": "d" * 101}, "X-GitHub-Delivery"),
        ({"X_GitHub_Delivery": "a\tb"}, "X-GitHub-Delivery"),
        ({"X_GitHub_Event": "Push!"}, "X-GitHub-Event"),
        ({"Content_Type": "text/plain"}, "Content-Type"),
        ({"Content_Type": None}, "Content-Type"),
    ],
)
def test_a_header_that_is_missing_or_misshapen_is_named(deliver, sources, headers, where):
    answer = deliver(**headers)
    assert answer.status_code == 400
    assert answer.json["where"] == where
    assert deliveries(sources) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"push"',
        b"\xff\xfe",
        b"[" * 100_000,
        b"1" * 5000,
        b'{"ref": 1}',
        b'{"repository": []}',
    ],
)
def test_a_payload_that_is_no_push_is_refused_with_a_sentence(deliver, sources, body):
    answer = deliver(body=body)
    assert answer.status_code == 400
    assert answer.json["message"]
    assert deliveries(sources) == []


@pytest.mark.parametrize("ref", ["refs/heads/a\x00b", "refs/heads/\ud800", "refs/heads/" + "a" * 3000, "a\nb"])
def test_texts_no_database_would_keep_are_refused(deliver, sources, ref):
    assert deliver(push_payload(ref=ref)).status_code == 400
    assert deliveries(sources) == []


@pytest.mark.parametrize("form", [b"", b"payload", b"other=1", b"payload=%7B", b"payload={}&payload={}", b"a=1&" * 20])
def test_a_form_without_one_payload_is_refused(deliver, sources, form):
    assert deliver(body=form, Content_Type="application/x-www-form-urlencoded").status_code == 400
    assert deliveries(sources) == []


def test_a_declared_length_beyond_25_mb_is_refused_unread(app, sources):
    class Unreadable:
        def read(self, size=-1):
            raise AssertionError("the body was read")

        readline = readlines = __iter__ = read

    answer = app.test_client().post(
        "/hooks/github",
        environ_overrides={"wsgi.input": Unreadable(), "CONTENT_LENGTH": str(Bounds().delivery + 1)},
        headers={"X-Hub-Signature-256": "sha256=" + "0" * 64},
    )
    assert answer.status_code == 413
    assert "25 MB" in answer.json["message"]


def test_an_unsigned_body_is_never_read(app, sources):
    class Unreadable:
        def read(self, size=-1):
            raise AssertionError("the body was read")

        readline = readlines = __iter__ = read

    answer = app.test_client().post(
        "/hooks/github", environ_overrides={"wsgi.input": Unreadable(), "CONTENT_LENGTH": "1000"}
    )
    assert answer.status_code == 401


def test_a_body_of_25_mb_is_accepted(deliver, sources):
    filler = "x" * (Bounds().delivery - len(json.dumps(push_payload(filler=""))))
    body = json.dumps(push_payload(filler=filler)).encode()
    assert len(body) == Bounds().delivery
    assert deliver(body=body).status_code == 202


def test_a_hook_is_only_posted_to(app):
    answer = app.test_client().get("/hooks/github")
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
    assert answer.json["message"]


def test_a_large_payload_is_not_tried_with_ever_so_many_secrets(rooms, sources, deliver):
    many = replace(rooms, webhook_secrets=tuple(f"secret {number}" for number in range(300)))
    body = json.dumps(push_payload(filler="x" * (1 << 20))).encode()
    headers = {"X-GitHub-Delivery": "d-1", "X-GitHub-Event": "push", "X-Hub-Signature-256": signature(body, "none")}
    answer = (
        create_app(many)
        .test_client()
        .post("/hooks/github", data=body, headers=headers, content_type="application/json")
    )
    assert (answer.status_code, answer.json["error"]) == (413, "too-large")
    assert "/hooks/github/NAME" in answer.json["cure"]
    assert deliver(push_payload(filler="x" * (1 << 20))).status_code == 202


class Failing:
    """An intake that keeps nothing."""

    def __init__(self, fault: Exception) -> None:
        self.fault = fault

    def receive(self, arrival):
        raise self.fault


@pytest.fixture
def failing(app, rooms, sources, deliver):
    """Deliver to an intake that fails so."""

    def send(fault: Exception):
        object.__setattr__(rooms, "intake", Failing(fault))
        return deliver()

    return send


@pytest.mark.parametrize("public_url", ["http://upkeep.example.com", "https://upkeep.example.com"])
def test_an_answer_to_a_hook_carries_the_headers_of_every_other(rooms, sources, public_url):
    client = create_app(replace(rooms, public_url=public_url)).test_client()
    body = json.dumps(push_payload()).encode()
    headers = {"X-GitHub-Delivery": "d", "X-GitHub-Event": "push", "X-Hub-Signature-256": signature(body)}
    kept = client.post("/hooks/github", data=body, headers=headers, content_type="application/json")
    other = client.get("/healthz")
    assert (kept.status_code, other.status_code) == (202, 200)
    differing = ("Content-Length",)
    assert {name: text for name, text in kept.headers if name not in differing} == {
        name: text for name, text in other.headers if name not in differing
    }
    assert ("Strict-Transport-Security" in kept.headers) is public_url.startswith("https:")
    assert int(kept.headers["Content-Length"]) == len(kept.data)


def test_a_hook_that_must_wait_is_told_for_how_long_and_not_where_the_database_is(failing, caplog):
    caplog.set_level("WARNING")
    answer = failing(
        TransientError("the database is away", where="db.internal", cure="wait", retry_after=timedelta(seconds=1.2))
    )
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "2"
    assert answer.json == {"error": "transient", "message": "the database is away", "cure": "wait"}
    assert "db.internal" in caplog.text


def test_a_bug_behind_a_hook_shows_its_number_and_nothing_else(failing, caplog):
    answer = failing(ZeroDivisionError("the secret is plugh"))
    assert answer.status_code == 500
    assert "plugh" not in answer.text
    assert answer.json["id"] in answer.json["cure"]
    assert f"error {answer.json['id']} at POST /hooks/github" in caplog.text


@pytest.mark.parametrize(("id", "bound"), [("d-1", {"delivery": "d-1"}), ("a\tb", {})])
def test_the_line_of_a_delivery_names_it_unless_it_cannot_be_named(app, sources, id, bound):
    found = {}

    def ask(environ, start_response):
        answer = served(environ, start_response)
        found.update(environ[ABOUT])
        return answer

    served, app.wsgi_app = app.wsgi_app, ask
    app.test_client().post("/hooks/github", data=b"", headers={"X-GitHub-Delivery": id})
    assert len(found.pop("request_id")) == 8
    assert found == bound


def test_a_body_that_ends_early_is_refused_and_not_kept(app, sources):
    body = json.dumps(push_payload()).encode()
    headers = {"X-GitHub-Delivery": "d", "X-GitHub-Event": "push", "X-Hub-Signature-256": signature(body)}
    answer = app.test_client().post(
        "/hooks/github",
        data=body,
        headers=headers,
        content_type="application/json",
        environ_overrides={"CONTENT_LENGTH": str(len(body) + 1)},
    )
    assert (answer.status_code, answer.json["message"]) == (400, "the body ends before it is whole")
    assert deliveries(sources) == []


@pytest.mark.parametrize("path", ["/hooks/", "/hooks/github/", "/hooks/gitlab", "/hooks/github/templates/more"])
def test_what_is_no_hook_is_not_found(app, path):
    answer = app.test_client().post(path, data=b"{}")
    assert answer.status_code == 404
    assert answer.json["message"] == "there is no such page"
