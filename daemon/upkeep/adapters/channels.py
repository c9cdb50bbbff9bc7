"""Channels by name: which way a notice goes to the people of a channel."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from upkeep import watch
from upkeep.domain.errors import StalledError
from upkeep.domain.notices import OwedNotice


class Channel(Protocol):
    """One place that people read."""

    @property
    def pace(self) -> timedelta:
        """The least time between two messages."""

    def send(self, owed: OwedNotice, thread_receipt: str | None) -> str | None:
        """Deliver one, and return the place's own id of the message. Errors as for `Channels.send`."""

    def check(self) -> str:
        """Try what can be tried without a message, and say what is known then. Errors as for `send`."""


@dataclass(frozen=True, slots=True)
class NamedChannels:
    """The channels of the configuration."""

    channels: Mapping[str, Channel]

    def send(self, owed: OwedNotice, thread_receipt: str | None) -> str | None:
        """Deliver one through the channel it names; StalledError when no channel has that name."""
        name = owed.notice.channel
        channel = self.channels.get(name)
        if channel is None:
            raise StalledError(
                f"there is no channel `{name}`",
                cure=f"describe `{name}` under `notices.channels` in the configuration, or route its notices elsewhere",
            )
        with watch.stretch("notice", name):
            return channel.send(owed, thread_receipt)

    def check(self, channel: str) -> str:
        """What is known of a channel without sending it anything. Errors as for `send`."""
        return self.channels[channel].check()

    def pace(self, channel: str) -> timedelta:
        """The least time between two messages to a channel; zero for one that does not exist."""
        known = self.channels.get(channel)
        return timedelta() if known is None else known.pace
