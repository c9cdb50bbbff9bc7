"""Kept answers: asking again under the same key repeats the answer, and not the act."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

KEPT_FOR = timedelta(days=1)
"""How long an answer is repeated. A key may be used for something else afterwards."""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What was answered to the `actor` who gave this `key`. `request` is a digest of what was asked; `body` is empty
    when there was none, and never holds a secret."""

    actor: str
    key: str
    request: str
    status: int
    headers: Mapping[str, str]
    body: str
    at: datetime
