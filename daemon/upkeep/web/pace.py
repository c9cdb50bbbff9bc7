"""Pace: how often somebody may ask, whichever door they come by."""

from datetime import datetime

from upkeep.domain.errors import TooManyRequests
from upkeep.domain.guesses import origin
from upkeep.web.peers import client_address
from upkeep.web.rooms import rooms


def admit_known(who: str, now: datetime) -> None:
    """Count a request of somebody who is recognised; TooManyRequests when there were too many of late."""
    _admit(who, "you ask", now)


def admit_stranger(now: datetime) -> None:
    """Count a request that nobody is recognised by. Those who are recognised are never kept waiting by strangers, not
    even at the same address."""
    _admit(f"stranger at {origin(client_address())}", "requests without a valid token come from your address", now)


def _admit(key: str, said: str, now: datetime) -> None:
    requests = rooms().bounds.requests
    if wait := requests.wait(key, now):
        raise TooManyRequests(
            f"{said} more often than {requests.per_minute:,} times a minute",
            cure="ask less often, or raise `limits.requests_per_minute`",
            retry_after=wait,
        )
