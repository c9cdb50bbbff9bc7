"""What the door to Proton's API needs from the rest of the house, and what each operation is given."""

import base64
import binascii
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from upkeep.domain.errors import CallerError, NotFound, SignedOut
from upkeep.domain.notices import Routing
from upkeep.domain.people import Actor
from upkeep.flows.ports import Unit
from upkeep.web.proton.arns import Names

Row = TypeVar("Row")
Answer = dict[str, Any]

_LONGEST_PART = 9
"""Digits."""

PAGE = 50
"""Members of a page when a client names no number."""


class Model(Protocol):
    """The service model: which operations there are, what they take and what they answer."""

    @property
    def target(self) -> str:
        """What the header X-Amz-Target begins with."""

    @property
    def operations(self) -> Collection[str]:
        """The names of all operations."""

    def faults(self, operation: str, given: Mapping[str, Any]) -> list[str]:
        """What is wrong with the input of an operation."""

    def answer(self, operation: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """The output of an operation as JSON has it; ValueError when it does not fit the model."""

    def status(self, error: str) -> int:
        """The HTTP status of an error."""


@dataclass(frozen=True, slots=True)
class ProtonDoor:
    """How Proton's API is served. `model` is None when the SDK has none, and then `closed` says so; `secret_of` gives
    the secret that belongs to an access key; at the host name `host` the API is at `/` as well; `pipeline_role` is the
    role that the stacks of pipelines are made by."""

    model: Model | None
    secret_of: Callable[[str], str]
    names: Names
    host: str = ""
    closed: str = ""
    pipeline_role: str = ""


def _no_secret(access_key: str) -> str:
    raise SignedOut(f"there is no secret for {access_key}", cure="open this door first")


CLOSED = ProtonDoor(None, _no_secret, Names("us-east-1", "000000000000"), closed="this API is not served here")
"""The door as it is where nobody opened it."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call: its parameters, checked against the model, and what its flows need."""

    operation: str
    given: Mapping[str, Any]
    unit: Unit
    actor: Actor
    now: datetime
    door: ProtonDoor
    routing: Routing

    @property
    def names(self) -> Names:
        """How things are named here."""
        return self.door.names

    def text(self, name: str) -> str | None:
        """A parameter that may be left out."""
        value: str | None = self.given.get(name)
        return value

    def number(self, name: str) -> int | None:
        """A part of a version that may be left out."""
        text = self.text(name)
        return None if text is None else part(text)

    def page(self, rows: Sequence[Row], key: Callable[[Row], str]) -> tuple[list[Row], str | None]:
        """The rows of the page that is asked for, and the token of the next one. `key` orders rows and says for each
        where the next page begins; rows that come or go in between move no other."""
        limit = self.given.get("maxResults", PAGE)
        after = self.place()
        left = [row for row in sorted(rows, key=key) if after is None or key(row) > after]
        shown = left[:limit]
        return shown, self.token(key(shown[-1])) if len(left) > limit else None

    def place(self) -> str | None:
        """Where the page that is asked for begins."""
        token = self.given.get("nextToken")
        if not token:
            return None
        try:
            operation, place = json.loads(base64.b64decode(token, validate=True))
        except (binascii.Error, ValueError, TypeError):
            operation, place = "", ""
        if operation != self.operation or not isinstance(place, str):
            raise CallerError("`nextToken` is none that this operation gave", cure="begin with the first page")
        return place

    def token(self, place: str) -> str:
        """What leads to the page that begins behind a place."""
        return base64.b64encode(json.dumps([self.operation, place]).encode()).decode()


def part(text: str) -> int:
    """A major or minor. NotFound when there never was one so high: the model allows more than any database counts."""
    if len(text) > _LONGEST_PART:
        raise NotFound(f"there is no version {text}", cure="look at the list of versions")
    return int(text)


Operation = Callable[[Call], Answer]

READS: dict[str, Operation] = {}
"""The operations that only look."""

WRITES: dict[str, Operation] = {}
"""The operations that change something."""


def reads(name: str) -> Callable[[Operation], Operation]:
    """An operation of this name that only looks."""
    return _listed(READS, name)


def writes(name: str) -> Callable[[Operation], Operation]:
    """An operation of this name that changes something."""
    return _listed(WRITES, name)


def _listed(operations: dict[str, Operation], name: str) -> Callable[[Operation], Operation]:
    def add(operation: Operation) -> Operation:
        operations[name] = operation
        return operation

    return add
