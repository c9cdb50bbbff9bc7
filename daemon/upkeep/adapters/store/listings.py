"""Listings: pages of instances and deployments in the orders that Proton's API has. They cost what they show, as far as
an index has that order."""

import json
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from upkeep.adapters.store.rows import deployment_of, resource_of
from upkeep.adapters.store.tables import deployments, resources
from upkeep.adapters.store.transaction import Transaction
from upkeep.domain.deployments import Deployment
from upkeep.domain.errors import CallerError
from upkeep.domain.names import ResourceKey, ResourceKind
from upkeep.flows.ports import FleetPage, InstanceFilter, InstanceOrder

_ATTEMPTED = sa.func.coalesce(deployments.c.created_at, resources.c.created_at, type_=deployments.c.created_at.type)

_COLUMNS: dict[InstanceOrder, Any] = {
    InstanceOrder.NAME: resources.c.name,
    InstanceOrder.STATUS: resources.c.status,
    InstanceOrder.TEMPLATE: resources.c.template,
    InstanceOrder.SERVICE: resources.c.service,
    InstanceOrder.ENVIRONMENT: resources.c.environment,
    InstanceOrder.ATTEMPTED: _ATTEMPTED,
    InstanceOrder.CREATED: resources.c.created_at,
}


class Listings:
    """The flows' ListingBook."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def instances(
        self, wanted: InstanceFilter, order: InstanceOrder, *, descending: bool, cursor: str | None, limit: int
    ) -> FleetPage:
        column = _COLUMNS[order]
        both = (column, resources.c.id)
        query = (
            sa.select(resources, column.label("place"))
            .outerjoin(deployments, deployments.c.id == resources.c.last_deployment)
            .where(resources.c.kind == ResourceKind.INSTANCE, *_matching(wanted))
            .order_by(*(each.desc() if descending else each for each in both))
        )
        if cursor is not None:
            here, there = sa.tuple_(*both), sa.tuple_(*_read_cursor(cursor, order, column))
            query = query.where(here < there if descending else here > there)
        rows = self._transaction.rows(query.limit(limit + 1))
        shown = rows[:limit]
        following = _write_cursor(shown[-1], order) if len(rows) > limit else None
        return FleetPage(tuple(resource_of(row) for row in shown), following)

    def deployments(
        self, keys: Collection[ResourceKey] | None, before: int | None, limit: int
    ) -> tuple[Sequence[Deployment], int | None]:
        query = sa.select(deployments).order_by(deployments.c.number.desc())
        if keys is None:
            query = query.where(sa.exists().where(resources.c.key == deployments.c.resource))
        else:
            query = query.where(deployments.c.resource.in_([str(key) for key in keys]))
        if before is not None:
            query = query.where(deployments.c.number < before)
        rows = self._transaction.rows(query.limit(limit + 1))
        shown = rows[:limit]
        return tuple(deployment_of(row) for row in shown), shown[-1].number if len(rows) > limit else None


def _matching(wanted: InstanceFilter) -> list[sa.ColumnElement[bool]]:
    equal = {
        resources.c.name: wanted.name,
        resources.c.service: wanted.service,
        resources.c.template: wanted.template,
        resources.c.environment: wanted.environment,
        resources.c.status: wanted.status,
        resources.c.standing: wanted.standing,
    }
    conditions: list[sa.ColumnElement[bool]] = [column == value for column, value in equal.items() if value is not None]
    for column, before, after in (
        (_ATTEMPTED, wanted.attempted_before, wanted.attempted_after),
        (resources.c.created_at, wanted.created_before, wanted.created_after),
    ):
        conditions += [column < before] if before is not None else []
        conditions += [column > after] if after is not None else []
    return conditions


def _write_cursor(row: Any, order: InstanceOrder) -> str:
    place = row.place.astimezone(UTC).isoformat() if isinstance(row.place, datetime) else row.place
    return json.dumps([order, place, row.id])


def _read_cursor(cursor: str, order: InstanceOrder, column: Any) -> tuple[Any, Any]:
    try:
        match json.loads(cursor):
            case [order.value, str(place), int(last)] if 0 <= last < 1 << 63:
                value = datetime.fromisoformat(place) if order.is_time else place
                return sa.literal(value, column.type), sa.literal(last)
    except (ValueError, RecursionError):
        pass
    raise CallerError("this page does not exist", cure="start again from the first page")
