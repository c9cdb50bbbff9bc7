"""Throttle: so many requests a minute for each who asks, in each web process by itself."""

from collections import OrderedDict
from datetime import datetime, timedelta
from threading import Lock

_KEYS = 10_000
"""Of so many it is known how often they asked; beyond that those are forgotten who have not asked for longest."""


class Throttle:
    """Buckets that hold the requests of a minute, are emptied by requests, and fill again with time."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._buckets: OrderedDict[str, tuple[float, datetime]] = OrderedDict()
        self._lock = Lock()

    def wait(self, key: str, now: datetime) -> timedelta:
        """Count a request, and give no time at all; or, when there were too many of late, count nothing and give the
        time until there is room for one."""
        with self._lock:
            left, since = self._buckets.pop(key, (float(self.per_minute), now))
            gone = max(0.0, (now - since).total_seconds())
            left = min(self.per_minute, left + gone * self.per_minute / 60)
            admitted = left >= 1
            self._buckets[key] = (left - admitted, now)
            while len(self._buckets) > _KEYS:
                self._buckets.popitem(last=False)
        return timedelta() if admitted else timedelta(seconds=(1 - left) * 60 / self.per_minute)
