"""What the web needs from the rest of the house, handed over once when the application is made."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from flask import current_app

from upkeep.domain.notices import Routing
from upkeep.flows.admit import Passwords
from upkeep.flows.ports import Renderer, Secrets, Store
from upkeep.web.proton.protocol import CLOSED, ProtonDoor

EXTENSION = "upkeep"


@dataclass(frozen=True, slots=True)
class Rooms:
    """The neighbours of the web. `clock` gives the time of a request, aware and in UTC.

    `webhook_secrets` are the ones every source accepts, several while they are rotated; a source's own secrets
    stand in the source and are followed through `secrets`. `public_url` is where people reach this site;
    `proton` is how the API that Proton had is served.
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


def rooms() -> Rooms:
    """The rooms of the application that serves this request."""
    return cast(Rooms, current_app.extensions[EXTENSION])
