"""A request that is repeated under its key is answered again and acts once, whatever happens in between."""

import http.client
import json
import os
import random
import signal
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from tests.builders import DEVELOPER
from tests.web.api.conftest import a_token
from tests.web.furnished import furnish, people
from tests.web.served import served
from upkeep.adapters.clock import now as now_utc
from upkeep.adapters.store import migrate, open_store
from upkeep.domain.answers import KEPT_FOR, KeptAnswer
from upkeep.domain.errors import Conflict
from upkeep.domain.people import Scope
from upkeep.flows import repeat

SPEC = "proton: EnvironmentSpec\nspec:\n  cidr: 10.0.0.0/16\n"


def an_environment(name: str) -> dict[str, str]:
    return {"name": name, "template": "network-env", "spec": SPEC}


@pytest.mark.usefixtures("furnished")
def test_the_same_request_again_is_answered_as_before_and_does_nothing(program, store):
    developer = program("developer")
    first = developer.post("/environments", an_environment("a"), 202, key="one")
    headers = {"Idempotency-Key": '"one"'}
    again = developer.ask("POST", "/environments", headers, json=an_environment("a"))
    assert (again.status_code, again.json, again.headers["Idempotency-Replayed"]) == (202, first, "true")
    with store.read() as unit:
        assert len(unit.journal.entries(10, kind="resource_enrolled")) == 1
    assert developer.post("/environments", an_environment("a"), 409)["slug"] == "conflict"


@pytest.mark.usefixtures("furnished")
def test_a_key_belongs_to_one_request_and_one_user(program):
    developer, admin = program("developer"), program("admin")
    developer.post("/environments", an_environment("a"), 202, key="one")
    for path, body in (("/environments", an_environment("b")), ("/environments/test/update", {})):
        problem = developer.post(path, body, 422, key="one")
        assert (problem["slug"], problem["where"]) == ("key-reused", "Idempotency-Key")
    admin.post("/environments", an_environment("b"), 202, key="one")


@pytest.mark.usefixtures("furnished")
def test_a_refusal_is_not_kept(program):
    developer = program("developer")
    developer.post("/services/checkout/instances/test/update", {}, 409, key="one")
    developer.post("/environments/test/update", {}, 202, key="one")


@pytest.mark.usefixtures("furnished")
def test_a_key_is_free_again_after_a_day(program, store, clock):
    developer = program("developer")
    developer.post("/sources/templates/sync", None, 202, key="one")
    clock.advance(KEPT_FOR - timedelta(seconds=1))
    developer.post("/sources/gone/sync", None, 422, key="one")
    clock.advance(timedelta(seconds=1))
    developer.post("/sources/gone/sync", None, 202, key="one")
    with store.read() as unit:
        assert unit.answers.find("developer", "one").at == clock()


@pytest.mark.usefixtures("furnished")
def test_what_may_not_be_done_any_more_is_not_told_again(program):
    program("developer").post("/environments/test/update", {}, 202, key="one")
    program("developer", Scope.READ).post("/environments/test/update", {}, 403, key="one")


@pytest.mark.usefixtures("furnished")
def test_no_secret_is_kept(program, store):
    admin = program("admin")
    made = admin.post("/tokens", {"label": "ci", "scopes": ["read"]}, 201, key="one")
    assert made["secret"].startswith("upkeep_")
    again = admin.post("/tokens", {"label": "ci", "scopes": ["read"]}, 201, key="one")
    assert again == made | {"secret": "**********"}
    wanted = {"name": "dana", "password": "correct horse battery"}
    admin.post("/users", wanted, 201, key="two")
    with store.read() as unit:
        kept = [unit.answers.find("admin", key) for key in ("one", "two")]
    assert made["secret"] not in repr(kept) and "correct horse" not in repr(kept)


@pytest.mark.parametrize("key", ["", " ", '"', 'a"b', "ü", "a" * 256, '"a', "a b"])
def test_what_is_no_key_is_refused(program, furnished, key):
    problem = program("developer").post("/sources/templates/sync", None, 400, key=key)
    assert problem["errors"][0]["parameter"] == "Idempotency-Key"


def test_while_the_first_is_under_way_the_second_is_refused_or_waits(any_store, database_url, now):
    """SQLite has one writer at a time, so the second finds the answer of the first; PostgreSQL says that there is one
    under way."""
    found: list[object] = []

    def second() -> None:
        try:
            with any_store.write() as unit:
                found.append(repeat.answered(unit, "one", "digest", actor=DEVELOPER, now=now))
        except Conflict as conflict:
            found.append(conflict.message)

    answer = KeptAnswer(DEVELOPER.name, "one", "digest", 202, {}, "{}", now)
    other = threading.Thread(target=second)
    with any_store.write() as unit:
        assert repeat.answered(unit, "one", "digest", actor=DEVELOPER, now=now) is None
        other.start()
        if database_url.startswith("postgresql"):
            other.join(30)
            assert found
        repeat.keep(unit, answer)
    other.join(30)
    assert found in ([answer], ["a request with this idempotency key is under way"])


def test_answers_are_kept_replaced_and_let_go(any_store, now):
    kept = KeptAnswer("dana", "one", "digest", 202, {"Link": "<x>"}, '{"a": "ü"}', now)
    with any_store.write() as unit:
        repeat.keep(unit, kept)
    with any_store.read() as unit:
        assert unit.answers.find("dana", "one") == kept
        assert unit.answers.find("dana", "two") is None
        assert unit.answers.find("eve", "one") is None
    later = KeptAnswer("dana", "two", "digest", 204, {}, "", now + KEPT_FOR)
    with any_store.write() as unit:
        repeat.keep(unit, later)
    with any_store.read() as unit:
        assert (unit.answers.find("dana", "one"), unit.answers.find("dana", "two")) == (None, later)


def test_a_request_that_is_repeated_until_it_is_answered_acts_once_whoever_is_killed(tmp_path):
    url = f"sqlite:///{tmp_path / 'upkeep.db'}"
    migrate(url, state=tmp_path)
    store = open_store(url, state=tmp_path)
    furnish(store, now_utc())
    with store.write() as unit:
        people(unit)
        unit.people.add_token(a_token("developer", "upkeep_killed", now_utc()))
    names = [f"round-{number}" for number in range(3)]
    chance = random.Random(4)
    with served(url, tmp_path) as (port, server):
        for name in names:
            asked_while_killing(port, name, server.pid, chance.uniform(0, 0.02))
            assert until_answered(port, name) == 202
    with store.read() as unit:
        enrolled = [entry.subject for entry in unit.journal.entries(500, kind="resource_enrolled")]
    store.close()
    assert sorted(enrolled) == sorted(f"environment/{name}" for name in names)


def asked_while_killing(port: int, name: str, master: int, after: float) -> None:
    """Ask, and kill every process that could answer a moment later."""
    connection = asking(port, name)
    threading.Event().wait(after)
    for worker in Path(f"/proc/{master}/task/{master}/children").read_text().split():
        os.kill(int(worker), signal.SIGKILL)
    connection.close()


def until_answered(port: int, name: str) -> int:
    while True:
        connection = asking(port, name)
        try:
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            continue
        finally:
            connection.close()


def asking(port: int, name: str) -> http.client.HTTPConnection:
    headers = {"Authorization": "Bearer upkeep_killed", "Content-Type": "application/json", "Idempotency-Key": name}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", "/api/v1/environments", json.dumps(an_environment(name)), headers)
    return connection
