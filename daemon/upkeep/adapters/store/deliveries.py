"""Deliveries in the store."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from upkeep.adapters.store.columns import Moment, Name
from upkeep.adapters.store.rows import delivery_of, delivery_values
from upkeep.adapters.store.tables import deliveries, delivery_sources
from upkeep.adapters.store.transaction import Transaction, written
from upkeep.domain.deliveries import Delivery, DeliveryStatus
from upkeep.domain.names import SourceName

_IDS: sa.BindParameter[str] = sa.bindparam("ids", expanding=True)
_THOSE = sa.select(deliveries).where(deliveries.c.id.in_(_IDS)).order_by(deliveries.c.id)
_WITHOUT_SOURCES = sa.delete(delivery_sources).where(delivery_sources.c.delivery.in_(_IDS))

_SETTLED = (
    sa.update(deliveries)
    .where(deliveries.c.id == sa.bindparam("of"))
    .values(status=sa.bindparam("became"), reason=sa.bindparam("why"), settled_at=sa.bindparam("at"))
)

_OPEN = (
    sa.select(deliveries)
    .join(delivery_sources, delivery_sources.c.delivery == deliveries.c.id)
    .where(
        deliveries.c.status.in_(written((DeliveryStatus.RECEIVED, DeliveryStatus.FAILED))),
        deliveries.c.received_at <= sa.bindparam("before"),
        delivery_sources.c.source == sa.bindparam("source"),
    )
    .order_by(deliveries.c.received_at, deliveries.c.id)
)


class Deliveries:
    """The flows' DeliveryBook."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._absent: set[str] = set()

    def find(self, delivery_id: str) -> Delivery | None:
        return self.found([delivery_id]).get(delivery_id)

    def found(self, delivery_ids: Sequence[str]) -> Mapping[str, Delivery]:
        rows = self._transaction.rows(self._transaction.kept(_THOSE), ids=list(delivery_ids))
        there = {row.id: delivery_of(row) for row in rows}
        self._absent.update(delivery_id for delivery_id in delivery_ids if delivery_id not in there)
        return there

    def save(self, *saved: Delivery) -> None:
        # In one order, so that no two transactions wait for each other's rows.
        ordered = sorted(saved, key=lambda delivery: delivery.id)
        self._transaction.put(deliveries, *map(delivery_values, ordered))
        # Hardly any delivery comes twice, and what was looked for and is not there has no sources to take away.
        if before := [delivery.id for delivery in ordered if delivery.id not in self._absent]:
            self._transaction.connection.execute(_WITHOUT_SOURCES, {"ids": before})
        self._absent.difference_update(delivery.id for delivery in ordered)
        self._transaction.put(
            delivery_sources,
            *(
                {"delivery": delivery.id, "source": source, "received_at": delivery.received_at}
                for delivery in ordered
                for source in dict.fromkeys(delivery.sources)
            ),
        )

    def settle(self, settled: Iterable[Delivery]) -> None:
        self._transaction.require_writing()
        # In one order, so that no two transactions wait for each other's rows.
        ordered = sorted(settled, key=lambda delivery: delivery.id)
        became = [{"of": d.id, "became": d.status, "why": d.reason, "at": d.settled_at} for d in ordered]
        if became:
            self._transaction.connection.execute(_SETTLED, became)

    def recent(
        self,
        limit: int,
        source: SourceName | None = None,
        status: DeliveryStatus | None = None,
        before: tuple[datetime, str] | None = None,
    ) -> Sequence[Delivery]:
        query = sa.select(deliveries)
        received_at = deliveries.c.received_at if source is None else delivery_sources.c.received_at
        if before is not None:
            at, delivery_id = before
            place = sa.tuple_(sa.literal(at, Moment), sa.literal(delivery_id, Name))
            query = query.where(sa.tuple_(received_at, deliveries.c.id) < place)
        if source is None:
            query = query.order_by(deliveries.c.received_at.desc(), deliveries.c.id.desc())
        else:
            query = (
                query.join(delivery_sources, delivery_sources.c.delivery == deliveries.c.id)
                .where(delivery_sources.c.source == source)
                .order_by(delivery_sources.c.received_at.desc(), deliveries.c.id.desc())
            )
        if status is not None:
            query = query.where(deliveries.c.status == status)
        return tuple(delivery_of(row) for row in self._transaction.rows(query.limit(limit)))

    def open(self, source: SourceName, before: datetime) -> Sequence[Delivery]:
        return tuple(delivery_of(row) for row in self._transaction.rows(_OPEN, source=source, before=before))
