"""Throttle: so many calls a second for each access key, in each web process by itself."""

from collections import OrderedDict
from datetime import datetime, timedelta
from threading import Lock

from upkeep.domain.errors import TooManyRequests

RATE = 50.0
"""Calls a second that a key may go on making."""

BURST = 200.0
"""Calls that it may make at once."""

_KEYS = 1000


class Throttle:
    """Buckets that fill with time and are emptied by calls."""

    def __init__(self, rate: float = RATE, burst: float = BURST) -> None:
        self._rate, self._burst = rate, burst
        self._buckets: OrderedDict[str, tuple[float, datetime]] = OrderedDict()
        self._lock = Lock()

    def admit(self, key: str, now: datetime) -> None:
        """Count a call; TooManyRequests when the key has made too many lately."""
        with self._lock:
            left, since = self._buckets.pop(key, (self._burst, now))
            left = min(self._burst, left + max(0.0, (now - since).total_seconds()) * self._rate)
            self._buckets[key] = (max(0.0, left - 1), now)
            while len(self._buckets) > _KEYS:
                self._buckets.popitem(last=False)
        if left < 1:
            slower = f"make fewer than {self._rate:.0f} calls a second"
            raise TooManyRequests("Rate exceeded", cure=slower, retry_after=timedelta(seconds=1))
