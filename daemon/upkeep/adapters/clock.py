"""The clock of this host: the only place that asks it for the time of day. Whoever has a store asks that instead."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present, aware and in UTC."""
    return datetime.now(UTC)
