"""Repeat: answer a request that comes a second time as it was answered before, and do nothing again.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

from datetime import datetime

from upkeep.domain.answers import KEPT_FOR, KeptAnswer
from upkeep.domain.errors import Reused
from upkeep.domain.people import Actor
from upkeep.flows.ports import Unit


def answered(unit: Unit, key: str, request: str, *, actor: Actor, now: datetime) -> KeptAnswer | None:
    """What was answered to this request before; None when it is to be done now, in this transaction.

    Raises Reused when the key came with another request, and Conflict while the first one under it is under way.
    """
    unit.answers.reserve(actor.name, key)
    kept = unit.answers.find(actor.name, key)
    if kept is None or kept.at + KEPT_FOR <= now:
        return None
    if kept.request != request:
        raise Reused(
            "this idempotency key was used for another request",
            where="Idempotency-Key",
            cure="use a new key for every request, and the same only to repeat one",
        )
    return kept


def keep(unit: Unit, answer: KeptAnswer) -> None:
    """Keep an answer together with what it tells of, and let go of those that are too old."""
    unit.answers.remove_before(answer.at - KEPT_FOR)
    unit.answers.save(answer)
