"""Annotations: what those who speak Proton's API say about a thing that Upkeep itself has no use for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Annotation:
    """What was said about a subject: descriptions, display names, tags of what has no stack, the request that made it.

    `subject` is written as in the journal: `service/NAME`, `template/NAME` … One that is older than what now has that
    name was about its predecessor.
    """

    subject: str
    at: datetime
    facts: Mapping[str, Any] = field(default_factory=dict)
