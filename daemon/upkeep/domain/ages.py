"""How long ago something was, the way people who rest on weekends count it."""

from datetime import datetime

_SATURDAY = 5


def working_days(since: datetime, now: datetime) -> int:
    """How many days from Monday to Friday have begun since then, counted in the times' own zone."""
    days = max((now.date() - since.date()).days, 0)
    weeks, rest = divmod(days, 7)
    first = since.weekday() + 1
    return weeks * 5 + sum(day % 7 < _SATURDAY for day in range(first, first + rest))


def age(since: datetime, now: datetime) -> str:
    """A short text such as `2 min`, `3 h` or `4 working days`; what lies ahead counts as no time at all."""
    seconds = (now - since).total_seconds()
    if seconds < 60:
        return "less than a minute"
    if seconds < 3600:
        return f"{int(seconds // 60)} min"
    if seconds < 86400:
        return f"{int(seconds // 3600)} h"
    days = working_days(since, now)
    if days == 0:
        return "less than a working day"
    return f"{days} working day{'s' if days != 1 else ''}"
