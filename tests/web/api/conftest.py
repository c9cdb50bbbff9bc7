"""Programs that call the API, each with a token of its own."""

import hashlib
import itertools
from collections.abc import Collection
from datetime import datetime
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.web.furnished import people
from upkeep.domain.people import Scope, Token

API = "/api/v1"


def a_token(user: str, secret: str, now: datetime, scopes: Collection[Scope] = (), token_id: str = "f" * 12) -> Token:
    """A token of a user, with every scope unless some are named."""
    hashed = hashlib.sha256(secret.encode()).hexdigest()
    return Token(token_id, hashed, user, f"of {user}", frozenset(scopes or Scope), now, used_at=now)


class Program:
    """A program with a token. What it sends as `json` and receives is JSON."""

    def __init__(self, client: FlaskClient, secret: str | None) -> None:
        self._client = client
        self._known = {} if secret is None else {"Authorization": f"Bearer {secret}"}

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, **kept: Any) -> TestResponse:
        return self._client.open(API + path, method=method, headers=self._known | (headers or {}), **kept)

    def get(self, path: str, status: int = 200, **kept: Any) -> Any:
        return self._told(self.ask("GET", path, **kept), status)

    def post(self, path: str, json: Any = None, status: int = 200, key: str | None = None, **kept: Any) -> Any:
        headers = {} if key is None else {"Idempotency-Key": key}
        return self._told(self.ask("POST", path, headers, **({} if json is None else {"json": json}), **kept), status)

    def _told(self, answer: TestResponse, status: int) -> Any:
        assert answer.status_code == status, answer.text
        return answer.json if answer.data else None


@pytest.fixture
def program(app, store, now):
    """`program()` has no token, `program("viewer")` one of a user of that name with every scope, and
    `program("admin", Scope.READ)` one with that scope alone."""
    numbers = itertools.count(1)

    def made(name: str | None = None, *scopes: Scope) -> Program:
        if name is None:
            return Program(app.test_client(), None)
        number = next(numbers)
        secret = f"upkeep_{number}"
        with store.write() as unit:
            if unit.people.find(name) is None:
                people(unit)
            unit.people.add_token(a_token(name, secret, now, scopes, f"{number:012x}"))
        return Program(app.test_client(), secret)

    return made
