"""The audit trail in the store: rows are added, never changed or removed."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from upkeep.adapters.store.rows import entry_of
from upkeep.adapters.store.tables import journal
from upkeep.adapters.store.transaction import Transaction
from upkeep.domain.events import Event, JournalEntry, facts_of, kind_of
from upkeep.domain.people import Actor


class Journal:
    """The flows' JournalBook."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def record(self, event: Event, actor: Actor, at: datetime) -> int:
        statement = (
            self._transaction.inserting(journal)
            .values(
                at=at,
                kind=kind_of(event),
                subject=event.subject,
                actor=actor.name,
                via=actor.via,
                facts=facts_of(event) | ({} if actor.token is None else {"token": actor.token}),
            )
            .returning(journal.c.id)
        )
        return int(self._transaction.connection.execute(statement).scalar_one())

    def entries(
        self,
        limit: int,
        before: int | None = None,
        subject: str | None = None,
        kind: str | None = None,
        actor: str | None = None,
    ) -> Sequence[JournalEntry]:
        query = sa.select(journal).order_by(journal.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(journal.c.id < before)
        for column, wanted in ((journal.c.subject, subject), (journal.c.kind, kind), (journal.c.actor, actor)):
            if wanted is not None:
                query = query.where(column == wanted)
        return tuple(entry_of(row) for row in self._transaction.rows(query))
