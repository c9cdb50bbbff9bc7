"""What a trial is: one promise of ours, a way to try it that draws its accidents from a seed, and what came of it.

A trial is a module of this folder with a value `Trial(name, promise, rounds, run)` in it; nothing else has to know it.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Promise(StrEnum):
    """What Upkeep promises, in the order it is told."""

    DELIVERIES = "an answered delivery is never lost"
    VERSIONS = "the same push twice, out of order, or missing gives the same versions"
    ONCE = "one draft per change, one deployment per request, whatever the number of workers"
    NUMBERS = "numbers are never reused, recommended never points at nothing"
    NOTICES = "a notice owed is sent"
    BAD_INPUT = "bad input is refused with a sentence and loses nothing"
    TEMPLATES = "templates cannot hurt the host"
    RIGHTS = "nobody acts without the right to"
    OUTAGES = "what fails around the daemon is told, and it goes on by itself when that ends"
    UPGRADES = "an upgrade keeps the data, and so do backup and restore"
    HOSTS = "on PostgreSQL any number of hosts work as one, and none is the one to lose"


class Size(StrEnum):
    """How much a run tries: what `make test` has time for, what some minutes have time for, or all of it."""

    SHORT = "short"
    MEDIUM = "medium"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Rounds:
    """How often a trial is repeated at each size. What a round is, or a case, the trial says itself. `short` is 0
    where tests in another room show the same at a small size."""

    short: int
    medium: int
    full: int

    def at(self, size: Size) -> int:
        """The number for this size."""
        return {Size.SHORT: self.short, Size.MEDIUM: self.medium, Size.FULL: self.full}[size]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a trial: how many cases there were, what was seen as one sentence without its stop, and each way
    in which the promise was broken. `cases` says what it counts: `12 rounds, 10,400 deliveries`."""

    cases: str
    seen: str
    broken: tuple[str, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether the promise was kept."""
        return not self.broken


@dataclass(frozen=True, slots=True)
class Trial:
    """A way to try a promise.

    `run` is given the seed, the number of rounds and an empty folder of its own, and leaves no process behind. It
    draws everything that is left to chance from `chance(seed, name)`, so that a seed tries the same again. What it
    raises counts as broken.
    """

    name: str
    promise: Promise
    rounds: Rounds
    run: Callable[[int, int, Path], Outcome]


class CannotTry(Exception):
    """What the trial needs is not on this machine: the message says what, and how to get it."""


def chance(seed: int, *names: object) -> random.Random:
    """Dice for one part of a trial, independent of those of its other parts."""
    return random.Random(":".join(map(str, (seed, *names))))
