"""Verdicts: what is to be said of one thing that was looked at."""

from collections.abc import Iterator
from dataclasses import dataclass

from upkeep.domain.errors import UpkeepError

OK, WARN, FAIL = "ok", "warn", "fail"
"""It is well; it may be meant, or become a fault; Upkeep cannot do its work like this."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a thing is, why that is known, and what to do about it when it is not well."""

    level: str
    thing: str
    reason: str
    cure: str = ""


def failed(thing: str, error: UpkeepError) -> Verdict:
    """What an error says of a thing."""
    where = f"{error.where}: " if error.where else ""
    return Verdict(FAIL, thing, f"{where}{error.message}", error.cure or "")


def tried(thing: str, looked: Iterator[Verdict]) -> Iterator[Verdict]:
    """Verdicts of a look that may itself fail."""
    try:
        yield from looked
    except UpkeepError as error:
        yield failed(thing, error)
