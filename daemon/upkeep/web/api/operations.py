"""Operations: what the API can do, each declared once. The routes and the OpenAPI document are made from the same
declarations, so that one says what the other does.

A declaration is a function. Its first argument is the call; the others are the parameters of its path by name, `query`
and `body`. Its return type is what it answers, its docstring what the document says.
"""

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from flask import Blueprint, Response, g, request
from pydantic import BaseModel, create_model

from upkeep.domain.answers import KeptAnswer
from upkeep.domain.errors import SignedOut
from upkeep.domain.people import Act, Actor, require
from upkeep.flows import admit, repeat
from upkeep.flows.ports import Unit
from upkeep.web.api import reading
from upkeep.web.api.words import QUERY
from upkeep.web.pace import admit_known, admit_stranger
from upkeep.web.passage import new_number
from upkeep.web.rooms import Rooms, rooms

PREFIX = "/api/v1"

blueprint = Blueprint("api", __name__, url_prefix=PREFIX)

_Declared = TypeVar("_Declared", bound=Callable[..., BaseModel | None])

REVEAL = "reveal"
"""What the context of a dump says when the secrets in an answer are to be written."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request: who asks, at what time, and the transaction that it is answered in."""

    actor: Actor
    now: datetime
    rooms: Rooms
    transaction: Unit | None

    @property
    def unit(self) -> Unit:
        """The transaction. An operation that was declared to open its own has none."""
        assert self.transaction is not None
        return self.transaction


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing the API can do. `act` is what the one who asks must be allowed, `path` the address behind the prefix
    with its parameters in braces. One that `writes` does so in one transaction together with the answer that is kept
    for its idempotency key."""

    id: str
    noun: str
    method: str
    path: str
    act: Act
    status: int
    writes: bool
    in_transaction: bool
    does: Callable[..., BaseModel | None]
    parameters: type[BaseModel] | None
    query: type[BaseModel] | None
    body: type[BaseModel] | None
    answers: type[BaseModel] | None


OPERATIONS: list[Operation] = []
"""All of them, in the order in which they are declared."""

NOUNS: dict[str, str] = {}
"""What operations are about, and what that is."""


@dataclass(frozen=True, slots=True)
class Noun:
    """What some operations are about. Its methods declare them."""

    name: str
    meaning: str

    def __post_init__(self) -> None:
        NOUNS[self.name] = self.meaning

    def get(self, path: str, act: Act = Act.LOOK, *, in_transaction: bool = True) -> Callable[[_Declared], _Declared]:
        """An operation that only looks."""
        return self._declaring("GET", path, act, 200, False, in_transaction)

    def post(self, path: str, act: Act, *, status: int = 200, writes: bool = True) -> Callable[[_Declared], _Declared]:
        """An operation that does something; or only looks, when what it looks for does not fit into an address."""
        return self._declaring("POST", path, act, status, writes, True)

    def put(self, path: str, act: Act) -> Callable[[_Declared], _Declared]:
        """An operation after which something is as the body says."""
        return self._declaring("PUT", path, act, 200, True, True)

    def delete(self, path: str, act: Act, *, status: int = 204) -> Callable[[_Declared], _Declared]:
        """An operation after which something is gone, or will be."""
        return self._declaring("DELETE", path, act, status, True, True)

    def _declaring(
        self, method: str, path: str, act: Act, status: int, writes: bool, in_transaction: bool
    ) -> Callable[[_Declared], _Declared]:
        def declare(does: _Declared) -> _Declared:
            _declare(self.name, does.__name__, does, method, path, act, status, writes, in_transaction)
            return does

        return declare


def _declare(
    noun: str,
    name: str,
    does: Callable[..., BaseModel | None],
    method: str,
    path: str,
    act: Act,
    status: int,
    writes: bool,
    in_transaction: bool,
) -> None:
    signature = inspect.signature(does)
    taken = {name: argument.annotation for name, argument in list(signature.parameters.items())[1:]}
    query, body = taken.pop("query", None), taken.pop("body", None)
    fields: dict[str, Any] = {name: (annotation, ...) for name, annotation in taken.items()}
    operation = Operation(
        id=name,
        noun=noun,
        method=method,
        path=path,
        act=act,
        status=status,
        writes=writes,
        in_transaction=in_transaction,
        does=does,
        parameters=create_model(f"{name}_path", __config__=QUERY, **fields) if fields else None,
        query=query,
        body=body,
        answers=signature.return_annotation,
    )
    OPERATIONS.append(operation)
    blueprint.add_url_rule(
        path.replace("{", "<").replace("}", ">"),
        name,
        partial(_answer, operation),
        methods=[method],
        provide_automatic_options=False,
    )


def number_request() -> None:
    """Give a request the name by which the log and its answer speak of it."""
    g.request_id = new_number()


def asked_for() -> bool:
    """Whether a request is one to this API, also at an address that it does not have."""
    return request.path.startswith(f"{PREFIX}/")


def _answer(operation: Operation, **path: str) -> Response:
    here = rooms()
    now = here.clock()
    reading.require_json_accepted(request)
    secret = reading.bearer(request)
    try:
        g.actor = admit.recognise_token(here.store, secret, now=now, rules=here.rules)
    except SignedOut:
        admit_stranger(now)
        raise
    admit_known(f"token {admit.digest(secret)}", now)
    require(g.actor, operation.act)
    asked = _asked(operation, path)
    call = Call(g.actor, now, here, None)
    if operation.writes:
        return _written(operation, call, asked)
    if not operation.in_transaction:
        return _response(operation.status, _dumped(operation.does(call, **asked), reveal=True))
    with here.store.read() as unit:
        answer = operation.does(Call(call.actor, now, here, unit), **asked)
    return _response(operation.status, _dumped(answer, reveal=True))


def _written(operation: Operation, call: Call, asked: Mapping[str, Any]) -> Response:
    """Do it, and keep the answer in the same transaction; or answer what was kept, and do nothing."""
    key = reading.key_of(request)
    digest = _digest(asked)
    with call.rooms.store.write() as unit:
        if key is not None:
            kept = repeat.answered(unit, key, digest, actor=call.actor, now=call.now)
            if kept is not None:
                return _response(kept.status, kept.body, {**kept.headers, "Idempotency-Replayed": "true"})
        answer = operation.does(Call(call.actor, call.now, call.rooms, unit), **asked)
        if key is not None:
            body = _dumped(answer, reveal=False)
            repeat.keep(unit, KeptAnswer(call.actor.name, key, digest, operation.status, {}, body, call.now))
    call.rooms.store.ring()
    return _response(operation.status, _dumped(answer, reveal=True))


def _asked(operation: Operation, path: Mapping[str, str]) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    if operation.parameters is not None:
        asked |= reading.path_of(operation.parameters, path).model_dump()
    asked_query = reading.query_of(operation.query or _Nothing, request)
    if operation.query is not None:
        asked["query"] = asked_query
    if operation.body is not None:
        asked["body"] = reading.body_of(operation.body, request)
    elif operation.method != "GET":
        reading.refuse_body(request)
    return asked


class _Nothing(BaseModel):
    model_config = QUERY


def _digest(asked: Mapping[str, Any]) -> str:
    """A short name for what was asked. Secrets in it count as equal: nothing that is kept shall tell of them."""
    said = {
        name: value.model_dump(mode="json") if isinstance(value, BaseModel) else value for name, value in asked.items()
    }
    written = json.dumps([request.method, request.path, said], sort_keys=True)
    return hashlib.sha256(written.encode()).hexdigest()


def _dumped(answer: BaseModel | None, *, reveal: bool) -> str:
    return "" if answer is None else answer.model_dump_json(by_alias=True, context={REVEAL: reveal})


def _response(status: int, body: str, headers: Mapping[str, str] | None = None) -> Response:
    response = Response(body, status, headers, content_type="application/json" if body else None)
    if not body:
        response.headers.pop("Content-Type", None)
    if link := g.get("link"):
        response.headers["Link"] = link
    return response
