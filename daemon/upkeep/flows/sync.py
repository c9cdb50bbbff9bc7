"""Sync: bring the registry up to a branch's head, one commit after the other."""

from datetime import datetime

from upkeep.domain.notices import Routing
from upkeep.domain.work import Claim
from upkeep.flows.ports import Renderer, Repositories, Store


def sync(
    store: Store, repositories: Repositories, renderer: Renderer, claim: Claim, *, routing: Routing, now: datetime
) -> None:
    """Do one SYNC work: read what is new on the source's branch and register it."""
    raise NotImplementedError
