"""Looking closely: a step that went otherwise says what was expected and what was seen."""

import time
from collections.abc import Callable
from typing import TypeVar

from upkeep.domain.errors import UpkeepError

Seen = TypeVar("Seen")

PATIENCE = 60.0
"""Seconds that anything asynchronous may take, on a slow and busy machine."""


class Otherwise(UpkeepError):
    """The story went otherwise than it is told."""

    slug = "demo"


def expect(what: str, expected: object, seen: object) -> None:
    """Raise Otherwise unless both are equal."""
    if expected != seen:
        raise Otherwise(f"{what}: expected {expected!r}, saw {seen!r}")


def eventually(what: str, look: Callable[[], Seen], wanted: Callable[[Seen], bool], patience: float = PATIENCE) -> Seen:
    """Look again and again until what is seen is wanted, and return it; raise Otherwise after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not wanted(seen := look()):
        if time.monotonic() > deadline:
            raise Otherwise(f"{what}: not within {patience:.0f} s, last saw {seen!r}")
        time.sleep(0.1)
    return seen
