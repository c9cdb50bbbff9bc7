"""What the web needs from the rest of the house, handed over once when the application is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, cast

from flask import current_app

from upkeep.domain.limits import LIMITS
from upkeep.domain.notices import Routing
from upkeep.domain.people import Role, Rules
from upkeep.flows.admit import SPANS, Passwords, Spans
from upkeep.flows.ports import Renderer, Secrets, SignInProvider, Store
from upkeep.web.intake import Intake
from upkeep.web.proton.protocol import CLOSED, ProtonDoor
from upkeep.web.throttle import Throttle

if TYPE_CHECKING:
    from upkeep.web.metrics import MetricsPage

EXTENSION = "upkeep"


@dataclass(frozen=True, slots=True)
class Entrance:
    """Sign-in elsewhere: who vouches for people, and the roles of the groups they are in there."""

    provider: SignInProvider
    roles: Mapping[str, Role]


@dataclass(frozen=True, slots=True)
class Headers:
    """The headers in which a trusted proxy names a user, and the roles of their groups."""

    user: str
    email: str | None = None
    groups: str | None = None
    roles: Mapping[str, Role] = field(default_factory=dict)
    otherwise: Role | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is taken of what others ask. `request` and `delivery` are bytes of a body, `requests` counts those of
    one person or program, `deliveries` those for one source; `sources` may be followed, and a file of a list has
    `exported_rows`."""

    request: int = 1 << 20
    delivery: int = 25 << 20
    requests: Throttle = field(default_factory=lambda: Throttle(3_000))
    deliveries: Throttle = field(default_factory=lambda: Throttle(120))
    sources: int = LIMITS.sources
    exported_rows: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Rooms:
    """The neighbours of the web. `clock` gives the time of a request, aware and in UTC.

    `webhook_secrets` are the ones every source accepts, several while they are rotated; a source's own secrets
    stand in the source and are followed through `secrets`. `public_url` is where people reach this site;
    `proton` is how the API that Proton had is served.

    `bounds` are the limits of requests. `passwords_open` says whether local users may sign in, `github` and `proxy` how
    others may; `rules` bind all who come in, and `trusted_proxies` are believed about where a request came from.
    `metrics` is None when nobody may read any.
    """

    store: Store
    renderer: Renderer
    passwords: Passwords
    secrets: Secrets
    routing: Routing
    clock: Callable[[], datetime]
    webhook_secrets: tuple[str, ...] = ()
    public_url: str = "http://localhost:8080"
    proton: ProtonDoor = CLOSED
    rules: Rules = field(default_factory=Rules)
    spans: Spans = SPANS
    passwords_open: bool = True
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    github: Entrance | None = None
    proxy: Headers | None = None
    metrics: "MetricsPage | None" = None
    bounds: Bounds = field(default_factory=Bounds)
    intake: Intake = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "intake", Intake(self.store, self.bounds.deliveries.wait))


def rooms() -> Rooms:
    """The rooms of the application that serves this request."""
    return cast(Rooms, current_app.extensions[EXTENSION])
