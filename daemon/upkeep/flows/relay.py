"""Relay: pay the notices owed to a channel."""

from datetime import datetime

from upkeep.domain.work import Claim
from upkeep.flows.ports import Channels, Store


def relay(store: Store, channels: Channels, claim: Claim, *, now: datetime) -> None:
    """Do one RELAY work: send what is owed to the channel that is the work's subject, oldest first."""
    raise NotImplementedError
