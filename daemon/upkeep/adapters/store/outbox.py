"""Notices owed, in the store."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from upkeep.adapters.store.rows import notice_values, owed_of
from upkeep.adapters.store.tables import outbox
from upkeep.adapters.store.transaction import Transaction
from upkeep.adapters.store.work import Work
from upkeep.domain.errors import NotFound
from upkeep.domain.notices import Notice, OwedNotice
from upkeep.domain.work import WorkKind


class Outbox:
    """The flows' OutboxBook."""

    def __init__(self, transaction: Transaction, work: Work) -> None:
        self._transaction = transaction
        self._work = work

    def owe(self, notice: Notice, at: datetime) -> bool:
        if not self._transaction.insert(outbox, notice_values(notice, at)):
            return False
        self._work.ask(WorkKind.RELAY, notice.channel, at, notice.key)
        return True

    def unsent(self, channel: str, limit: int) -> Sequence[OwedNotice]:
        return tuple(owed_of(row) for row in self._transaction.rows(_UNSENT, channel=channel, at_most=limit))

    def save(self, owed: OwedNotice) -> None:
        values = {
            "attempts": owed.attempts,
            "sent_at": owed.sent_at,
            "receipt": owed.receipt,
            "failure": owed.failure,
            "not_before": owed.not_before,
            "given_up_at": owed.given_up_at,
        }
        if not self._transaction.rewrite(outbox.c.id, owed.id, values):
            raise NotFound(f"there is no notice {owed.id}")

    def receipt(self, channel: str, thread: str) -> str | None:
        query = (
            sa.select(outbox.c.receipt)
            .where(outbox.c.channel == channel, outbox.c.thread == thread, outbox.c.receipt.is_not(None))
            .order_by(outbox.c.id)
            .limit(1)
        )
        row = self._transaction.row(query)
        return None if row is None else str(row.receipt)

    def recent(self, limit: int) -> Sequence[OwedNotice]:
        query = sa.select(outbox).order_by(outbox.c.id.desc()).limit(limit)
        return tuple(owed_of(row) for row in self._transaction.rows(query))


_UNSENT = (
    sa.select(outbox)
    .where(outbox.c.channel == sa.bindparam("channel"), outbox.c.sent_at.is_(None), outbox.c.given_up_at.is_(None))
    .order_by(outbox.c.id)
    .limit(sa.bindparam("at_most", type_=sa.Integer))
)
