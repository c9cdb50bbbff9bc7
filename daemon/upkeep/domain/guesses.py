"""Guesses: how long somebody waits who gave wrong passwords.

Waits grow and end by themselves; nothing is locked for good, or a stranger could lock out whomever they can name.
Three counts go side by side. Who guesses at one name from one address soon waits for long. Who tries many names from
one address waits as well. And whoever guesses at one name from many addresses is slowed down with everybody else who
tries that name, but only for moments, because its owner is among them.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

COUNTED_FOR = timedelta(days=1)
"""Older failures count no more."""


@dataclass(frozen=True, slots=True)
class Guesses:
    """Wrong passwords of late, and when the last one was given."""

    count: int = 0
    last_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """After `free` wrong passwords each further one costs a wait: `first_for`, twice that, and so on."""

    free: int
    first_for: timedelta
    longest_for: timedelta

    def until(self, guesses: Guesses) -> datetime | None:
        """When the next password is looked at; None for at once."""
        over = guesses.count - self.free
        if over < 0 or guesses.last_at is None:
            return None
        return guesses.last_at + min(self.longest_for, self.first_for * (1 << min(over, 20)))


HERE = Patience(5, timedelta(seconds=30), timedelta(minutes=15))
"""One name from one address."""

ADDRESS = Patience(20, timedelta(seconds=30), timedelta(minutes=15))
"""All names from one address, behind which a whole office may sit."""

NAME = Patience(50, timedelta(seconds=5), timedelta(seconds=30))
"""One name from all addresses."""
