"""The audit trail in the store: rows are added, never changed or removed."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa

from upkeep.adapters.store.rows import entry_of
from upkeep.adapters.store.tables import journal
from upkeep.adapters.store.transaction import Transaction
from upkeep.domain.events import Event, JournalEntry, facts_of, kind_of
from upkeep.domain.people import Actor, Via

_RECORDING = sa.insert(journal).returning(journal.c.id)
_OVERLAP = timedelta(hours=1)
"""No transaction lasts as long."""


class Journal:
    """The flows' JournalBook."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def record(self, event: Event, actor: Actor, at: datetime) -> int:
        self._transaction.require_writing()
        entry = {
            "at": at,
            "kind": kind_of(event),
            "subject": event.subject,
            "actor": actor.name,
            "via": actor.via,
            "facts": facts_of(event) | ({} if actor.token is None else {"token": actor.token}),
        }
        return int(self._transaction.connection.execute(_RECORDING, entry).scalar_one())

    def entries(
        self,
        limit: int,
        before: int | None = None,
        subject: str | None = None,
        kind: str | None = None,
        actor: str | None = None,
        via: Via | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Sequence[JournalEntry]:
        given = {
            "before": before,
            "subject": subject,
            "kind": kind,
            "actor": actor,
            "via": via,
            "since": since,
            "until": until,
            # Ids grow with time, but for transactions that overlapped: they bound what has to be read.
            "about_since": since and since - _OVERLAP,
            "about_until": until and until + _OVERLAP,
        }
        values = {name: value for name, value in given.items() if value is not None}
        rows = self._transaction.rows(_entries(tuple(values)), **values, at_most=limit)
        return tuple(entry_of(row) for row in rows)


def _id_at(at: sa.ColumnElement[bool], nearest: sa.UnaryExpression[Any]) -> sa.ScalarSelect[int]:
    return sa.select(journal.c.id).where(at).order_by(nearest).limit(1).scalar_subquery()


_BY_COLUMN = {name: journal.c[name] == sa.bindparam(name) for name in ("subject", "kind", "actor", "via")}
_CONDITIONS: Mapping[str, sa.ColumnElement[bool]] = {
    **_BY_COLUMN,
    "before": journal.c.id < sa.bindparam("before"),
    "since": journal.c.at >= sa.bindparam("since"),
    "until": journal.c.at < sa.bindparam("until"),
    "about_since": journal.c.id >= _id_at(journal.c.at >= sa.bindparam("about_since"), journal.c.at.asc()),
    "about_until": journal.c.id <= _id_at(journal.c.at < sa.bindparam("about_until"), journal.c.at.desc()),
}


@cache
def _entries(given: tuple[str, ...]) -> sa.Select[Any]:
    query = sa.select(journal).where(*(_CONDITIONS[name] for name in given))
    return query.order_by(journal.c.id.desc()).limit(sa.bindparam("at_most", type_=sa.Integer))
