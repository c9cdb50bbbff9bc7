"""Deliveries in the store."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from upkeep.adapters.store.columns import Moment, Name
from upkeep.adapters.store.rows import delivery_of, delivery_values
from upkeep.adapters.store.tables import deliveries, delivery_sources
from upkeep.adapters.store.transaction import Transaction
from upkeep.domain.deliveries import Delivery, DeliveryStatus
from upkeep.domain.names import SourceName


class Deliveries:
    """The flows' DeliveryBook."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def find(self, delivery_id: str) -> Delivery | None:
        query = self._transaction.kept(sa.select(deliveries).where(deliveries.c.id == delivery_id))
        row = self._transaction.row(query)
        return None if row is None else delivery_of(row)

    def save(self, delivery: Delivery) -> None:
        values = delivery_values(delivery)
        if not self._transaction.insert(deliveries, values):
            self._transaction.put(deliveries, values)
            self._transaction.remove(delivery_sources, delivery_sources.c.delivery == delivery.id)
        for source in dict.fromkeys(delivery.sources):
            self._transaction.insert(
                delivery_sources,
                {"delivery": delivery.id, "source": source, "received_at": delivery.received_at},
            )

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
        query = (
            sa.select(deliveries)
            .join(delivery_sources, delivery_sources.c.delivery == deliveries.c.id)
            .where(
                deliveries.c.status.in_((DeliveryStatus.RECEIVED, DeliveryStatus.FAILED)),
                deliveries.c.received_at <= before,
                delivery_sources.c.source == source,
            )
            .order_by(deliveries.c.received_at, deliveries.c.id)
        )
        return tuple(delivery_of(row) for row in self._transaction.rows(query))
