"""The application over a real store, and people who are signed in without waiting for a slow password."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.web.furnished import furnish, people
from tests.web.page import Page
from upkeep.adapters.jinja import JinjaRenderer
from upkeep.adapters.passwords import Argon2Passwords
from upkeep.adapters.secrets import KeptSecrets
from upkeep.domain.notices import Routing
from upkeep.domain.people import Session
from upkeep.flows.admit import SPANS
from upkeep.web.app import Rooms, create_app

SECRET = "It's a Secret to Everybody"


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    time: datetime

    def __call__(self) -> datetime:
        return self.time

    def advance(self, by: timedelta) -> None:
        self.time += by


class Visitor:
    """A browser: keeps cookies, and sends the token of a page with each form."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def get(self, path: str, **kept):
        return self.client.get(path, **kept)

    def page(self, path: str, status: int = 200) -> Page:
        answer = self.client.get(path)
        assert answer.status_code == status, answer.text
        return Page(answer.text)

    def token(self) -> str:
        """The token of whatever form the visitor can see."""
        answer = self.client.get("/activity", follow_redirects=True)
        return Page(answer.text).forms[0].fields["csrf_token"]

    def post(self, path: str, fields: dict[str, str] | None = None, **kept):
        return self.client.post(path, data={"csrf_token": self.token(), **(fields or {})}, **kept)

    def press(self, page: Page, button: str, typed: dict[str, str] | None = None, **kept):
        form = page.form(button)
        return self.client.post(form.action, data=form.fields | (typed or {}), **kept)


@pytest.fixture(scope="session")
def passwords() -> Argon2Passwords:
    return Argon2Passwords()


@pytest.fixture(scope="session")
def renderer() -> Iterator[JinjaRenderer]:
    with JinjaRenderer(time_for=timedelta(seconds=5), memory_bytes=512 << 20, output_bytes=2 << 20) as opened:
        yield opened


@pytest.fixture
def clock(now) -> Clock:
    return Clock(now)


@pytest.fixture
def rooms(store, renderer, passwords, clock) -> Rooms:
    return Rooms(
        store=store,
        renderer=renderer,
        passwords=passwords,
        secrets=KeptSecrets(),
        routing=Routing(),
        clock=clock,
        webhook_secrets=(SECRET,),
        public_url="http://upkeep.example.com",
    )


@pytest.fixture
def app(rooms) -> Flask:
    return create_app(rooms)


@pytest.fixture
def furnished(store, now) -> None:
    """A store in which there is something of everything."""
    furnish(store, now)


@pytest.fixture
def visit(app, store, clock):
    """`visit()` is a stranger's browser, `visit("viewer")` one in which somebody of that name has signed in."""
    with store.write() as unit:
        people(unit)

    def browser(name: str | None = None, served: Flask = app) -> Visitor:
        client = served.test_client()
        if name is not None:
            secret = f"session of {name}"
            opened = Session(hashlib.sha256(secret.encode()).hexdigest(), name, clock(), clock() + SPANS.session_for)
            with store.write() as unit:
                unit.people.add_session(opened)
            with client.session_transaction() as cookie:
                cookie["secret"] = secret
        return Visitor(client)

    return browser
