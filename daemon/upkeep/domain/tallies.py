"""Tallies: how the resources of a template, or of all, stood at the end of each hour."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from upkeep.domain.names import TemplateName
from upkeep.domain.resources import Counters

WHOLE_FLEET = TemplateName("")
"""What the tally of all templates together is kept under; no template has this name."""

SPAN = timedelta(hours=1)
"""So long a tally can still change: the last one within it stays."""

FINE_FOR = timedelta(days=2)
"""After this, one tally of each day is kept."""

KEPT_FOR = timedelta(days=400)
"""After this, none is kept but the last."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counters as they stood last within the span that began `at`."""

    template: TemplateName
    at: datetime
    counters: Counters


def span_of(now: datetime) -> datetime:
    """When the span that this moment lies in began: the full hour."""
    return now.replace(minute=0, second=0, microsecond=0)
