"""Services and resources in the store.

Pages follow an index from where the last one ended, so that they cost what they show: WORST walks down
`urgency`, one number made of everything the order is about, NAME walks up the labels.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from upkeep.adapters.store.rows import (
    Values,
    resource_of,
    resource_values,
    service_of,
    service_values,
    snooze_values,
)
from upkeep.adapters.store.tables import resources, services, work
from upkeep.adapters.store.transaction import Transaction
from upkeep.domain.deployments import DeploymentStatus
from upkeep.domain.errors import CallerError, Conflict, NotFound
from upkeep.domain.lag import Lag, Standing
from upkeep.domain.names import ResourceKey, ResourceKind, ResourceName, TemplateName, Version
from upkeep.domain.resources import Counters, Resource, Service
from upkeep.domain.work import WorkKind
from upkeep.flows.ports import FleetFilter, FleetOrder, FleetPage

_AGE_BITS, _MINOR_BITS, _MAJOR_BITS = 34, 16, 12
_FAILED = 1 << (_AGE_BITS + _MINOR_BITS + _MAJOR_BITS)
_BEHIND = (Standing.BEHIND_MINOR, Standing.BEHIND_MAJOR)
_LONGEST_SEARCH = 200


def urgency(lag: Lag) -> int:
    """A lag as one number that sorts as WORST does: majors, then minors, then the seconds it lasts; 0 without a lag.

    `_FAILED` is added for a resource whose last deployment failed, which puts it before all others.
    """
    if not lag.behind:
        return 0
    since = int(lag.since.timestamp()) if lag.since else 0
    age = _within((1 << _AGE_BITS) - 1 - since, _AGE_BITS)
    return (
        _within(lag.majors, _MAJOR_BITS) << (_MINOR_BITS + _AGE_BITS)
        | _within(lag.minors, _MINOR_BITS) << _AGE_BITS
        | age
    )


class Fleet:
    """The flows' FleetBook."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def add_service(self, service: Service) -> None:
        if not self._transaction.insert(services, service_values(service)):
            raise Conflict(f"a service `{service.name}` exists already", cure="choose another name")

    def service(self, name: str) -> Service:
        query = self._transaction.kept(sa.select(services).where(services.c.name == name))
        row = self._transaction.row(query)
        if row is None:
            raise _no_service(name)
        return service_of(row)

    def services(self) -> Sequence[Service]:
        rows = self._transaction.rows(sa.select(services).order_by(services.c.name))
        return tuple(service_of(row) for row in rows)

    def save_service(self, service: Service) -> None:
        if not self._transaction.change(services, services.c.name == service.name, service_values(service)):
            raise _no_service(service.name)

    def remove_service(self, name: ResourceName) -> None:
        if not self._transaction.remove(services, services.c.name == name):
            raise _no_service(name)

    def add(self, resource: Resource) -> None:
        if not self._transaction.insert(resources, _row_values(resource)):
            raise Conflict(f"{resource.key} exists already", cure="choose another name")

    def get(self, key: ResourceKey) -> Resource:
        found = self.find(key)
        if found is None:
            raise _no_resource(key)
        return found

    def find(self, key: ResourceKey) -> Resource | None:
        query = self._transaction.kept(sa.select(resources).where(resources.c.key == str(key)))
        row = self._transaction.row(query)
        return None if row is None else resource_of(row)

    def save(self, resource: Resource) -> None:
        if not self._transaction.change(resources, resources.c.key == str(resource.key), _row_values(resource)):
            raise _no_resource(resource.key)

    def remove(self, key: ResourceKey) -> None:
        if not self._transaction.remove(resources, resources.c.key == str(key)):
            raise _no_resource(key)

    def of_service(self, name: ResourceName) -> Sequence[Resource]:
        # `instance/…` sorts before `pipeline/…`.
        query = sa.select(resources).where(resources.c.service == name).order_by(resources.c.key)
        return tuple(resource_of(row) for row in self._transaction.rows(self._transaction.kept(query)))

    def in_environment(self, name: ResourceName) -> Sequence[Resource]:
        return self._listed(resources.c.environment == name)

    def on_major(self, template: TemplateName, major: int) -> Sequence[Resource]:
        return self._listed(resources.c.template == template, resources.c.major == major)

    def behind(self, template: TemplateName) -> Sequence[Resource]:
        query = (
            sa.select(resources)
            .where(resources.c.template == template, resources.c.urgency > 0, resources.c.standing.in_(_BEHIND))
            .order_by(resources.c.urgency.desc(), resources.c.id.desc())
        )
        return tuple(resource_of(row) for row in self._transaction.rows(query))

    def page(self, wanted: FleetFilter, order: FleetOrder, cursor: str | None, limit: int) -> FleetPage:
        if limit < 1:
            raise CallerError("a page holds at least one resource", cure="ask for more")
        query = sa.select(resources).where(*_matching(wanted))
        if order is FleetOrder.WORST:
            query = query.order_by(resources.c.urgency.desc(), resources.c.id.desc())
        else:
            query = query.order_by(resources.c.label, resources.c.id)
        if cursor is not None:
            place, last = _read_cursor(cursor, order)
            column = resources.c.urgency if order is FleetOrder.WORST else resources.c.label
            here, there = sa.tuple_(column, resources.c.id), sa.tuple_(sa.literal(place), sa.literal(last))
            query = query.where(here < there if order is FleetOrder.WORST else here > there)
        rows = self._transaction.rows(query.limit(limit + 1))
        shown = rows[:limit]
        more = len(rows) > limit
        return FleetPage(tuple(resource_of(row) for row in shown), _write_cursor(shown[-1], order) if more else None)

    def count(self, wanted: FleetFilter, at_most: int) -> int:
        found = sa.select(sa.literal(1)).select_from(resources).where(*_matching(wanted)).limit(at_most).subquery()
        return int(self._transaction.connection.execute(sa.select(sa.func.count()).select_from(found)).scalar_one())

    def uncompared(self, since: datetime, limit: int) -> Sequence[Resource]:
        last = sa.func.coalesce(resources.c.drift_checked_at, resources.c.deployed_at)
        asked = sa.exists().where(work.c.kind == WorkKind.DRIFT, work.c.subject == resources.c.key)
        query = (
            sa.select(resources)
            .where(
                resources.c.stack.is_not(None),
                resources.c.status.not_in([status for status in DeploymentStatus if status.under_way]),
                last <= since,
                ~asked,
            )
            .order_by(last, resources.c.id)
            .limit(limit)
        )
        return tuple(resource_of(row) for row in self._transaction.rows(query))

    def counters(self, template: str | None = None) -> Counters:
        # The columns of one index each, so that no resource itself is read.
        failed = resources.c.urgency >= _FAILED if template is None else resources.c.failed
        query = sa.select(resources.c.standing, failed.label("failed"), sa.func.count().label("resources"))
        if template is not None:
            query = query.where(resources.c.template == template)
        rows = self._transaction.rows(query.group_by(resources.c.standing, failed))

        def counted(standing: Standing) -> int:
            return sum(row.resources for row in rows if row.standing == standing)

        return Counters(
            total=sum(row.resources for row in rows),
            up_to_date=counted(Standing.UP_TO_DATE),
            behind_minor=counted(Standing.BEHIND_MINOR),
            behind_major=counted(Standing.BEHIND_MAJOR),
            failed=sum(row.resources for row in rows if row.failed),
            ahead=counted(Standing.AHEAD),
        )

    def owners(self) -> Sequence[str]:
        query = sa.select(resources.c.owner).where(resources.c.owner.is_not(None)).distinct()
        return tuple(row.owner for row in self._transaction.rows(query.order_by(resources.c.owner)))

    def set_lag(self, template: TemplateName, running: Version, lag: Lag) -> int:
        return self._transaction.change(
            resources,
            sa.and_(
                resources.c.template == template,
                resources.c.major == running.major,
                resources.c.minor == running.minor,
            ),
            {
                **_lag_values(lag),
                "urgency": sa.literal(urgency(lag), sa.BigInteger)
                + resources.c.failed * sa.literal(_FAILED, sa.BigInteger),
            },
        )

    def end_snoozes(self, template: TemplateName, running: Version, due: Version) -> None:
        lower = sa.or_(
            resources.c.snoozed_major < due.major,
            sa.and_(resources.c.snoozed_major == due.major, resources.c.snoozed_minor < due.minor),
        )
        of_version = sa.and_(
            resources.c.template == template, resources.c.major == running.major, resources.c.minor == running.minor
        )
        self._transaction.change(resources, sa.and_(of_version, lower), snooze_values(None))

    def running_versions(self, template: TemplateName) -> Sequence[Version]:
        query = (
            sa.select(resources.c.major, resources.c.minor)
            .where(resources.c.template == template, resources.c.major.is_not(None))
            .distinct()
            .order_by(resources.c.major, resources.c.minor)
        )
        return tuple(Version(row.major, row.minor) for row in self._transaction.rows(query))

    def _listed(self, *where: sa.ColumnElement[bool]) -> Sequence[Resource]:
        query = sa.select(resources).where(*where).order_by(resources.c.key)
        return tuple(resource_of(row) for row in self._transaction.rows(query))


def _row_values(resource: Resource) -> Values:
    failed = resource.status.failed
    return {
        **resource_values(resource),
        "failed": int(failed),
        "urgency": urgency(resource.lag) + (_FAILED if failed else 0),
    }


def _lag_values(lag: Lag) -> Values:
    return {"standing": lag.standing, "minors": lag.minors, "majors": lag.majors, "since": lag.since}


def _within(number: int, bits: int) -> int:
    return max(0, min(number, (1 << bits) - 1))


def _matching(wanted: FleetFilter) -> list[sa.ColumnElement[bool]]:
    if len(wanted.search) > _LONGEST_SEARCH:
        raise CallerError(f"the search is longer than {_LONGEST_SEARCH} characters", cure="search for less")
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.search:
        conditions.append(resources.c.search.contains(wanted.search.lower(), autoescape=True))
    if wanted.template:
        conditions.append(resources.c.template == wanted.template)
    if wanted.owner:
        conditions.append(resources.c.owner == wanted.owner)
    if wanted.kind is not None:
        conditions.append(resources.c.kind == ResourceKind(wanted.kind))
    if wanted.standing is not None:
        conditions.append(resources.c.standing == Standing(wanted.standing))
    if wanted.failed:
        conditions.append(resources.c.urgency >= _FAILED)
    if wanted.behind:
        # The second says nothing new, but lets the partial index serve.
        conditions += [resources.c.standing.in_(_BEHIND), resources.c.urgency > sa.literal_column("0")]
    return conditions


def _write_cursor(row: Any, order: FleetOrder) -> str:
    place = row.urgency if order is FleetOrder.WORST else row.label
    return base64.urlsafe_b64encode(json.dumps([order, place, row.id]).encode()).decode().rstrip("=")


def _read_cursor(cursor: str, order: FleetOrder) -> tuple[int | str, int]:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        match order, json.loads(base64.b64decode(padded, altchars=b"-_", validate=True)):
            case FleetOrder.WORST, [FleetOrder.WORST.value, int(place), int(last)] if _is_id(place) and _is_id(last):
                return place, last
            case FleetOrder.NAME, [FleetOrder.NAME.value, str(label), int(last)] if _is_id(last):
                return label, last
    except (binascii.Error, ValueError, RecursionError):
        pass
    raise CallerError("this page does not exist", cure="start again from the first page")


def _is_id(number: int) -> bool:
    return 0 <= number < 1 << 63


def _no_service(name: str) -> NotFound:
    return NotFound(f"there is no service `{name}`", cure="`upkeep service list` shows all")


def _no_resource(key: ResourceKey) -> NotFound:
    return NotFound(f"there is no {key}", cure=f"`upkeep {key.kind} list` shows all")
