"""What happens to requests at a limit, whichever door they come by: a sentence that names the setting."""

import csv
import io
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.builders import a_source
from tests.web.api.conftest import Program, a_token
from tests.web.page import Page
from tests.web.test_hooks import deliveries, push_payload, signature
from upkeep.domain.deliveries import DeliveryStatus
from upkeep.domain.people import DAEMON
from upkeep.domain.work import WorkKind
from upkeep.flows import follow
from upkeep.web.app import create_app
from upkeep.web.rooms import Bounds
from upkeep.web.throttle import Throttle

MINUTE = timedelta(minutes=1)


@pytest.fixture
def bounded(rooms):
    """The application under limits of one's own."""

    def made(**limits):
        return create_app(replace(rooms, bounds=Bounds(**limits)))

    return made


def deliver(app, delivery_id, payload=None):
    body = json.dumps(payload or push_payload()).encode()
    headers = {"X-GitHub-Delivery": delivery_id, "X-GitHub-Event": "push", "X-Hub-Signature-256": signature(body)}
    return app.test_client().post("/hooks/github", data=body, headers=headers, content_type="application/json")


def test_deliveries_above_their_rate_are_kept_and_share_one_sync(bounded, store, clock, now):
    app = bounded(deliveries=Throttle(2))
    with store.write() as unit:
        follow.add(unit, a_source("templates"), actor=DAEMON, now=now)
        unit.work.done(unit.work.claim([WorkKind.SYNC], now, MINUTE))
    assert [deliver(app, f"d-{number}").status_code for number in range(2)] == [202, 202]
    with store.write() as unit:
        unit.work.done(unit.work.claim([WorkKind.SYNC], now, MINUTE))
    for number in range(2, 6):
        answer = deliver(app, f"d-{number}")
        assert (answer.status_code, answer.json["status"], answer.json["sources"]) == (202, "received", ["templates"])
        assert "`limits.deliveries_per_minute`" in answer.json["reason"]
    with store.read() as unit:
        (waiting,) = unit.work.list(10)
    assert (waiting.subject, waiting.due_at) == ("templates", now + MINUTE / 2)
    assert {each.status for each in deliveries(store)} == {DeliveryStatus.RECEIVED}
    assert len(deliveries(store)) == 6
    clock.advance(MINUTE)
    assert "reason" not in deliver(app, "d-6").json


def test_a_sync_that_runs_is_followed_by_one_for_what_came_too_fast_meanwhile(bounded, store, now):
    app = bounded(deliveries=Throttle(1))
    with store.write() as unit:
        follow.add(unit, a_source("templates"), actor=DAEMON, now=now)
        running = unit.work.claim([WorkKind.SYNC], now, MINUTE)
    for number in range(3):
        assert deliver(app, f"d-{number}").status_code == 202
    with store.write() as unit:
        unit.work.done(running)
        assert unit.work.find(WorkKind.SYNC, "templates") is not None


def test_one_source_that_is_pushed_to_without_end_keeps_no_other_waiting(bounded, store, now):
    app = bounded(deliveries=Throttle(1))
    other = "https://git.example.com/platform/others"
    with store.write() as unit:
        follow.add(unit, a_source("templates"), actor=DAEMON, now=now)
        follow.add(unit, a_source("others", url=f"{other}.git"), actor=DAEMON, now=now)
    assert [("reason" in deliver(app, f"d-{number}").json) for number in range(3)] == [False, True, True]
    assert "reason" not in deliver(app, "d-other", push_payload(other)).json


def test_a_token_that_asks_too_often_waits_and_no_other_does(bounded, store, visit, now):
    app = bounded(requests=Throttle(2))
    visit("viewer")
    with store.write() as unit:
        for number, secret in enumerate(("upkeep_one", "upkeep_two")):
            unit.people.add_token(a_token("viewer", secret, now, token_id=f"{number:012x}"))
    one, two = (Program(app.test_client(), secret) for secret in ("upkeep_one", "upkeep_two"))
    for _ in range(2):
        one.get("/templates")
    answer = one.ask("GET", "/templates")
    assert (answer.status_code, answer.json["slug"], answer.headers["Retry-After"]) == (429, "too-many-requests", "30")
    assert "more often than 2 times a minute" in answer.json["detail"]
    assert "`limits.requests_per_minute`" in answer.json["cure"]
    two.get("/templates")


def undeclared(app, path, body, content_type, **headers):
    """The answer to a body that came in pieces, whose length nobody declared."""
    return app.test_client().post(
        path,
        input_stream=io.BytesIO(body),
        environ_overrides={"wsgi.input_terminated": True},
        headers={"Transfer-Encoding": "chunked", **headers},
        content_type=content_type,
    )


def test_a_body_of_no_declared_length_is_refused_and_never_cut_off(bounded, store, visit, now):
    app = bounded(request=100)
    visit("admin")
    with store.write() as unit:
        unit.people.add_token(a_token("admin", "upkeep_known", now))
    known = {"Authorization": "Bearer upkeep_known"}
    source = b'{"name": "b", "url": "https://git.example.com/b.git"}'
    answer = undeclared(app, "/api/v1/sources", source.ljust(100), "application/json", **known)
    assert answer.status_code == 202, answer.json
    for path, content_type in (
        ("/api/v1/sources", "application/json"),
        ("/sign-in", "application/x-www-form-urlencoded"),
    ):
        answer = undeclared(app, path, source.ljust(101), content_type, **known)
        assert (answer.status_code, "limits.request" in answer.text) == (413, True), answer.text


def test_strangers_wait_and_keep_nobody_waiting_who_has_a_token(bounded, store, visit, now):
    app = bounded(requests=Throttle(2))
    visit("viewer")
    with store.write() as unit:
        unit.people.add_token(a_token("viewer", "upkeep_known", now))
    stranger = Program(app.test_client(), "upkeep_guessed")
    assert [stranger.ask("GET", "/templates").status_code for _ in range(3)] == [401, 401, 429]
    Program(app.test_client(), "upkeep_known").get("/templates")


def test_a_person_who_asks_too_often_is_shown_when_to_come_back(bounded, visit, clock):
    viewer = visit("viewer", bounded(requests=Throttle(3)))
    for _ in range(3):
        viewer.page("/")
    answer = viewer.get("/")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "20")
    assert "ask less often, or raise limits.requests_per_minute" in Page(answer.text).text
    clock.advance(timedelta(seconds=20))
    viewer.page("/")


def test_a_body_beyond_the_limit_is_refused_in_the_words_of_every_door(bounded, store, visit, now):
    app = bounded(request=16 << 10, delivery=32 << 10)
    with store.write() as unit:
        follow.add(unit, a_source("templates"), actor=DAEMON, now=now)
    admin, large = visit("admin", app), "x" * (17 << 10)
    form = admin.post("/sign-out", {"filler": large})
    assert (form.status_code, "larger than 16,384 bytes" in Page(form.text).text) == (413, True)
    with store.write() as unit:
        unit.people.add_token(a_token("admin", "upkeep_known", now))
    called = Program(app.test_client(), "upkeep_known").ask("POST", "/sources", json={"name": large})
    assert (called.status_code, called.json["detail"]) == (413, "what was sent is larger than 16,384 bytes")
    assert "`limits.request`" in called.json["cure"]
    proton = app.test_client().post("/proton", data=large)
    assert proton.status_code in (413, 503)  # no service model is read here
    assert deliver(app, "fits", push_payload(filler=large)).status_code == 202
    refused = deliver(app, "large", push_payload(filler=large * 2))
    assert (refused.status_code, refused.json["message"]) == (413, "the payload is larger than 32,768 bytes")
    assert "`limits.delivery`" in refused.json["cure"]


@pytest.mark.usefixtures("furnished")
def test_a_file_with_too_many_rows_says_so_in_its_last(bounded, visit):
    viewer = visit("viewer", bounded(exported_rows=3))
    rows = list(csv.reader(io.StringIO(viewer.get("/fleet.csv").text)))
    assert len(rows) == 1 + 3 + 1
    assert "raise `limits.exported_rows`" in rows[-1][0]
    listed = json.loads(viewer.get("/fleet.json").text)
    assert len(listed) == 4
    assert "raise `limits.exported_rows`" in str(listed[-1])
    whole = list(csv.reader(io.StringIO(visit("developer").get("/fleet.csv").text)))
    assert len(whole) > 5
    assert not any("exported_rows" in row[0] for row in whole)


def test_the_api_follows_so_many_sources_and_no_more(bounded, store, visit, now):
    app = bounded(sources=1)
    visit("admin")
    with store.write() as unit:
        unit.people.add_token(a_token("admin", "upkeep_known", now))
    admin = Program(app.test_client(), "upkeep_known")
    admin.post("/sources", {"name": "one", "url": "https://git.example.com/one.git", "branch": "main"}, 202)
    refused = admin.post("/sources", {"name": "two", "url": "https://git.example.com/two.git", "branch": "main"}, 409)
    assert "1 sources are followed already" in refused["detail"]
    assert "`limits.sources`" in refused["cure"]
