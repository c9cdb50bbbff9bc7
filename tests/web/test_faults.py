import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.web.page import Page
from upkeep.domain.errors import BundleError, StalledError, TransientError
from upkeep.domain.work import WorkKind
from upkeep.web.app import create_app


class Broken:
    """A store that fails in a way of its own."""

    def __init__(self, kept, error):
        self._kept, self._error = kept, error

    def read(self):
        raise self._error

    def write(self):
        return self._kept.write()

    def check(self):
        raise self._error


@pytest.fixture
def broken(rooms):
    def client(error):
        return create_app(replace(rooms, store=Broken(rooms.store, error))).test_client()

    return client


def test_a_bug_shows_its_number_and_nothing_else(broken, caplog):
    with caplog.at_level(logging.INFO, "upkeep.web"):
        answer = broken(ZeroDivisionError("the secret is plugh")).get("/")
    assert answer.status_code == 500
    assert "plugh" not in answer.text
    assert "ZeroDivisionError" not in answer.text
    (record,) = [record for record in caplog.records if record.levelname == "CRITICAL"]
    number = record.getMessage().split()[1]
    assert number in Page(answer.text).text
    assert "the secret is plugh" in caplog.text


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (TransientError("the database does not answer", where="postgresql", cure="start it"), 503),
        (StalledError("the database is full", cure="make room"), 409),
        (BundleError("the bundle is broken", where="a/v1/schema/schema.yaml:12", cure="mend it"), 422),
    ],
)
def test_an_error_says_what_where_and_what_to_do(broken, error, status):
    answer = broken(error).get("/")
    assert answer.status_code == status
    text = Page(answer.text).text
    assert error.message[1:] in text
    assert f"What to do: {error.cure}." in text
    # Which database of which host is away is for the log, and not for strangers.
    assert ((error.where or "") in text) is (status == 422 or error.where is None)


def test_a_program_gets_json(broken):
    error = TransientError("it does not answer", where="here", cure="wait", retry_after=timedelta(seconds=30))
    answer = broken(error).get("/", headers={"Accept": "application/json"})
    assert answer.json == {"error": "transient", "message": "it does not answer", "cure": "wait"}
    assert answer.headers["Retry-After"] == "30"


def test_strangers_who_ask_for_json_are_refused_in_json(app):
    answer = app.test_client().get("/", headers={"Accept": "application/json"})
    assert answer.status_code == 401
    assert answer.json["error"] == "signed-out"


def test_a_form_that_is_too_large_is_refused(visit):
    answer = visit("admin").client.post("/sign-out", data={"x": "y" * 2_000_000})
    assert answer.status_code == 413


def test_a_method_nobody_listens_to_is_405(visit):
    answer = visit("admin").client.put("/")
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


def test_every_answer_carries_the_headers_that_keep_it_to_itself(visit):
    admin = visit("admin")
    for path in ("/", "/sign-in", "/nowhere", "/healthz", "/static/upkeep.css", "/templates/unknown"):
        headers = admin.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["X-Frame-Options"] == "DENY"
        assert "camera=()" in headers["Permissions-Policy"]
        assert "Strict-Transport-Security" not in headers


def test_who_came_by_https_comes_by_it_again(rooms):
    client = create_app(replace(rooms, public_url="https://upkeep.example.com")).test_client()
    for path in ("/sign-in", "/healthz", "/static/upkeep.css"):
        assert client.get(path).headers["Strict-Transport-Security"] == "max-age=31536000"


def test_who_is_signed_in_is_told_where_it_failed(rooms, visit):
    class Full(Broken):
        """A store that reads and does not write."""

        def read(self):
            return self._kept.read()

        def write(self):
            raise self._error

    known = create_app(rooms)
    failing = TransientError("the disk is full", where="upkeep on db.internal", cure="make room")
    admin = visit("admin", known)
    token = admin.token()
    known.extensions["upkeep"] = replace(rooms, store=Full(rooms.store, failing))
    answer = admin.client.post("/sign-out", data={"csrf_token": token})
    assert answer.status_code == 503
    assert "upkeep on db.internal" in answer.text


def test_pages_are_not_kept_and_files_are(visit):
    admin = visit("admin")
    assert admin.get("/").headers["Cache-Control"] == "no-store"
    page = admin.get("/").text
    sheet = page.split('href="/static/upkeep.css', 1)[1].split('"', 1)[0]
    assert sheet.startswith("?v=")
    assert "max-age=31536000" in admin.get(f"/static/upkeep.css{sheet}").headers["Cache-Control"]


def test_the_process_lives_without_a_database_and_names_no_host_to_strangers(broken, caplog):
    client = broken(TransientError("the database does not answer", where="upkeep on db.internal", cure="start it"))
    assert client.get("/healthz").json == {"status": "alive"}
    with caplog.at_level(logging.INFO, "upkeep.web"):
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json == {
        "status": "not ready",
        "parts": {"web": "ready", "database": "not ready"},
        "message": "the database does not answer",
        "cure": "start it",
    }
    assert "upkeep on db.internal" in caplog.text


@pytest.mark.usefixtures("furnished")
def test_readiness_tells_how_long_work_has_waited(app, store, now):

    with store.write() as unit:
        unit.work.claim([WorkKind.PREVIEW], now, timedelta(minutes=1))
    answer = app.test_client().get("/readyz")
    assert answer.status_code == 200
    assert answer.json["status"] == "ready"
    assert answer.json["queue"]["oldest_waits_for_seconds"] >= 60
