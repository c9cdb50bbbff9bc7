"""Gauges: how everything stands at one moment, in numbers, for those who watch over the daemon from outside."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hmac import compare_digest
from ipaddress import IPv4Network, IPv6Network, ip_address

from upkeep.domain.names import ResourceKind
from upkeep.domain.resources import Counters
from upkeep.domain.work import WorkKind


class WorkState(StrEnum):
    """DUE waits for a worker, RUNNING is held by one, LATER has a time of its own, SET_ASIDE failed so that only a
    person brings it back."""

    DUE = "due"
    RUNNING = "running"
    LATER = "later"
    SET_ASIDE = "set_aside"


@dataclass(frozen=True, slots=True)
class Backlog:
    """So many wait, and the first of them since then."""

    count: int = 0
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Gauges:
    """Numbers of all rows. `behind` counts the resources that are behind by their kind, since the first of them fell
    behind; `heard_at` is when the source that was heard from longest ago answered, without those that are stalled or
    failing."""

    resources: Counters
    behind: Mapping[ResourceKind, Backlog]
    drafts: Backlog
    work: Mapping[tuple[WorkKind, WorkState], Backlog]
    outbox: Mapping[str, Backlog]
    deployments: Backlog
    stalled_deployments: Backlog
    sources: int
    stalled_sources: int
    failing_sources: int
    heard_at: datetime | None


@dataclass(frozen=True, slots=True)
class Scrapers:
    """Who may read the metrics: whoever asks from one of the networks, and whoever shows the token, if there is one."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    token: str | None = field(default=None, repr=False)

    def admit(self, address: str, authorization: str) -> bool:
        """Whether one who asks from an address, with a header `Authorization` (or an empty text), is among them."""
        shown = authorization.removeprefix("Bearer ").strip().encode("utf-8", "surrogateescape")
        if self.token is not None and compare_digest(shown, self.token.encode()):
            return True
        try:
            asking = ip_address(address)
        except ValueError:
            return False
        asking = getattr(asking, "ipv4_mapped", None) or asking
        return any(asking in network for network in self.networks)
