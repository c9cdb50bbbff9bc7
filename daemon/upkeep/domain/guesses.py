"""Guesses: how long somebody waits who gave wrong passwords.

Waits grow and end by themselves; nothing is locked for good, or a stranger could lock out whomever they can name.
Three counts go side by side. Who guesses at one name from one address soon waits for long. Who tries many names from
one address waits as well. And whoever guesses at one name from many addresses is slowed down with everybody else who
tries that name, but only for moments, because its owner is among them.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, IPv6Network

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


_ONE_NETWORK = 64
"""Bits of an address of IPv6 that its holder does not choose: https://www.rfc-editor.org/rfc/rfc7421"""


def origin(address: str) -> str:
    """As what an address counts: with IPv6 everybody has a network of them, and could come from another each time."""
    try:
        parsed = IPv6Address(address)
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed), _ONE_NETWORK), strict=False))


HERE = Patience(5, timedelta(seconds=30), timedelta(minutes=15))
"""One name from one address."""

ADDRESS = Patience(20, timedelta(seconds=30), timedelta(minutes=15))
"""All names from one address, behind which a whole office may sit."""

NAME = Patience(50, timedelta(seconds=5), timedelta(seconds=30))
"""One name from all addresses."""
