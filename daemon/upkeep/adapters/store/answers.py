"""Kept answers in the store."""

from datetime import datetime

import sqlalchemy as sa

from upkeep.adapters.store.rows import answer_of, answer_values
from upkeep.adapters.store.tables import answers
from upkeep.adapters.store.transaction import Transaction
from upkeep.domain.answers import KeptAnswer
from upkeep.domain.errors import Conflict

_LOCK = "answers"


class Answers:
    """The flows' AnswerBook."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def reserve(self, actor: str, key: str) -> None:
        connection = self._transaction.connection
        if connection.dialect.name != "postgresql":
            # There is one writer at a time: whoever was first has ended.
            return
        named = sa.func.hashtextextended(f"{_LOCK}\n{actor}\n{key}", 0)
        if not connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(named))).scalar_one():
            raise Conflict(
                "a request with this idempotency key is under way",
                where="Idempotency-Key",
                cure="wait for its answer, or ask again in a moment",
            )

    def find(self, actor: str, key: str) -> KeptAnswer | None:
        row = self._transaction.row(sa.select(answers).where(answers.c.actor == actor, answers.c.key == key))
        return None if row is None else answer_of(row)

    def save(self, answer: KeptAnswer) -> None:
        self._transaction.put(answers, answer_values(answer))

    def remove_before(self, at: datetime) -> None:
        self._transaction.remove(answers, answers.c.at <= at)
