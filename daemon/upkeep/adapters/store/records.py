"""Old records in the store: which may go, and letting them go."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from upkeep.adapters.store.registry import UNDER_WAY
from upkeep.adapters.store.tables import (
    deliveries,
    deployments,
    journal,
    outbox,
    plans,
    previews,
    renders,
    resources,
    stack_events,
    versions,
)
from upkeep.adapters.store.transaction import Transaction
from upkeep.domain.deliveries import DeliveryStatus
from upkeep.domain.records import Records
from upkeep.domain.versions import VersionState

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Shelf:
    """Where records stand: their table, the columns that they are walked and named by, and which of them may go."""

    table: sa.Table
    keys: tuple[sa.Column[Any], ...]
    old: Callable[[datetime], sa.ColumnElement[bool]]


def _deliveries(before: datetime) -> sa.ColumnElement[bool]:
    settled = deliveries.c.status.in_((DeliveryStatus.WORKED, DeliveryStatus.IGNORED))
    return sa.and_(deliveries.c.received_at < before, settled)


def _notices(before: datetime) -> sa.ColumnElement[bool]:
    ended = sa.or_(outbox.c.sent_at.is_not(None), outbox.c.given_up_at.is_not(None))
    return sa.and_(outbox.c.owed_at < before, ended)


def _renderings(before: datetime) -> sa.ColumnElement[bool]:
    detailed = sa.or_(
        sa.exists().where(renders.c.deployment == deployments.c.id),
        sa.exists().where(stack_events.c.deployment == deployments.c.id),
    )
    latest = sa.exists().where(
        resources.c.key == deployments.c.resource,
        sa.or_(
            resources.c.last_deployment == deployments.c.id,
            resources.c.last_succeeded_deployment == deployments.c.id,
        ),
    )
    ended = sa.and_(deployments.c.completed_at < before, deployments.c.status.not_in(UNDER_WAY))
    return sa.and_(ended, detailed, ~latest)


def _previews(before: datetime) -> sa.ColumnElement[bool]:
    decided = sa.exists().where(
        versions.c.template == previews.c.template,
        versions.c.major == previews.c.major,
        versions.c.minor == previews.c.minor,
        versions.c.state != VersionState.DRAFT,
    )
    return sa.and_(previews.c.at < before, decided)


def _plans(before: datetime) -> sa.ColumnElement[bool]:
    later = plans.alias("later")
    superseded = sa.exists().where(later.c.resource == plans.c.resource, later.c.number > plans.c.number)
    return sa.and_(plans.c.asked_at < before, plans.c.made_at.is_not(None), plans.c.deployment.is_(None), superseded)


_SHELVES: Mapping[Records, _Shelf] = {
    Records.DELIVERIES: _Shelf(deliveries, (deliveries.c.received_at, deliveries.c.id), _deliveries),
    Records.NOTICES: _Shelf(outbox, (outbox.c.id,), _notices),
    Records.RENDERINGS: _Shelf(deployments, (deployments.c.number,), _renderings),
    Records.PREVIEWS: _Shelf(previews, (previews.c.template, previews.c.major, previews.c.minor), _previews),
    Records.PLANS: _Shelf(plans, (plans.c.number,), _plans),
    Records.JOURNAL: _Shelf(journal, (journal.c.at, journal.c.id), lambda before: journal.c.at < before),
}


class OldRecords:
    """The flows' RecordBook."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def count(self, records: Records, before: datetime) -> int:
        shelf = _SHELVES[records]
        query = sa.select(sa.func.count()).select_from(shelf.table).where(shelf.old(before))
        return int(self._transaction.connection.execute(query).scalar_one())

    def past(self, records: Records, before: datetime, limit: int, after: Key | None = None) -> Sequence[Key]:
        shelf = _SHELVES[records]
        query = sa.select(*shelf.keys).where(shelf.old(before)).order_by(*shelf.keys).limit(limit)
        if after is not None:
            query = query.where(sa.tuple_(*shelf.keys) > _literal(shelf, after))
        return [tuple(row) for row in self._transaction.rows(query)]

    def remove(self, records: Records, before: datetime, keys: Sequence[Key]) -> int:
        shelf = _SHELVES[records]
        # The last key tells rows apart, but for those that have no number and no id.
        *_, last = shelf.keys
        own = last.in_([key[-1] for key in keys]) if records is not Records.PREVIEWS else _each_of(shelf, keys)
        # Asked once more: a delivery may have come again meanwhile.
        where = sa.and_(own, shelf.old(before))
        if records is Records.RENDERINGS:
            return self._remove_details(where)
        return self._transaction.remove(shelf.table, where)

    def _remove_details(self, where: sa.ColumnElement[bool]) -> int:
        found = [row.id for row in self._transaction.rows(sa.select(deployments.c.id).where(where))]
        self._transaction.remove(renders, renders.c.deployment.in_(found))
        self._transaction.remove(stack_events, stack_events.c.deployment.in_(found))
        self._transaction.change(plans, plans.c.deployment.in_(found), {"rendered": None})
        return len(found)


def _literal(shelf: _Shelf, key: Key) -> sa.ColumnElement[Any]:
    return sa.tuple_(*(sa.literal(value, column.type) for column, value in zip(shelf.keys, key, strict=True)))


def _each_of(shelf: _Shelf, keys: Sequence[Key]) -> sa.ColumnElement[bool]:
    same = (sa.and_(*(column == value for column, value in zip(shelf.keys, key, strict=True))) for key in keys)
    return sa.or_(sa.false(), *same)
