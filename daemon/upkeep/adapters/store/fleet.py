"""Services and resources in the store.

Pages follow an index from where the last one ended, so that they cost what they show: WORST walks down
`urgency`, one number made of everything the order is about, the others walk up the columns they are named after.
"""

import base64
import binascii
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import Enum, auto
from functools import cache
from typing import Any

import sqlalchemy as sa

from upkeep.adapters.store import turns
from upkeep.adapters.store.columns import Moment, Name
from upkeep.adapters.store.headcounts import Headcounts, Place
from upkeep.adapters.store.registry import UNDER_WAY
from upkeep.adapters.store.rows import (
    Values,
    resource_of,
    resource_values,
    service_of,
    service_values,
    snooze_values,
    version_in,
)
from upkeep.adapters.store.tables import deployments, headcounts, majors, resources, services, templates, work
from upkeep.adapters.store.transaction import Transaction
from upkeep.domain.deployments import DeploymentStatus
from upkeep.domain.errors import CallerError, Conflict, NotFound
from upkeep.domain.lag import Lag, Standing, offered
from upkeep.domain.names import ResourceKey, ResourceKind, ResourceName, TemplateName, Version, environment_key
from upkeep.domain.resources import Counters, Listed, Resource, Service
from upkeep.domain.snoozes import Snooze
from upkeep.domain.work import WorkKind
from upkeep.flows.ports import FleetFilter, FleetOrder, FleetPage, ListedPage, ServiceFilter

_AGE_BITS, _MINOR_BITS, _MAJOR_BITS = 34, 16, 10
_AWAKE = 1 << (_AGE_BITS + _MINOR_BITS + _MAJOR_BITS)
_REPLACES = _AWAKE << 1
_FAILED = _AWAKE << 2
_BEHIND = (Standing.BEHIND_MINOR, Standing.BEHIND_MAJOR)
_LONGEST_SEARCH = 200
_FEW = 500
"""So many rows are sorted sooner than an index is walked for them."""


_SORTS: Mapping[FleetOrder, tuple[sa.Column[Any], ...]] = {
    FleetOrder.WORST: (resources.c.urgency,),
    FleetOrder.NAME: (resources.c.label,),
    FleetOrder.TEMPLATE: (resources.c.template, resources.c.label),
    FleetOrder.OWNER: (resources.c.owner, resources.c.label),
    FleetOrder.AGE: (resources.c.since,),
}
"""What each order is by, before the id. What has nothing in the first column comes last in both directions."""


def urgency(lag: Lag, *, failed: bool = False, replaces: bool = False, snoozed: bool = False) -> int:
    """A resource's place in the order WORST as one number: failed, then what its update would replace, then the lag;
    0 without any of these. Of what is snoozed only the lag counts, below that of all others.
    """
    height = _FAILED if failed else 0
    if lag.behind:
        height += _length(lag) + (0 if snoozed else _AWAKE + (_REPLACES if replaces else 0))
    return height


def _length(lag: Lag) -> int:
    """A lag as one number that sorts by majors, then minors, then the seconds it lasts."""
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
        self._headcounts = Headcounts(transaction)

    def add_service(self, service: Service) -> None:
        if not self._transaction.insert(services, service_values(service)):
            raise Conflict(f"a service `{service.name}` exists already", cure="choose another name")

    def service(self, name: str) -> Service:
        turns.for_service(self._transaction, name)
        query = self._transaction.kept(sa.select(services).where(services.c.name == name))
        row = self._transaction.row(query)
        if row is None:
            raise _no_service(name)
        return service_of(row)

    def services(
        self, wanted: ServiceFilter | None = None, after: str = "", limit: int | None = None
    ) -> Sequence[Service]:
        query = sa.select(services).where(services.c.name > after).order_by(services.c.name).limit(limit)
        wanted = wanted or ServiceFilter()
        if wanted.search:
            query = query.where(services.c.name.icontains(_searched(wanted.search), autoescape=True))
        if wanted.template:
            query = query.where(services.c.template == wanted.template)
        if wanted.owner:
            query = query.where(services.c.owner == wanted.owner)
        return tuple(service_of(row) for row in self._transaction.rows(query))

    def save_service(self, service: Service) -> None:
        if not self._transaction.change(services, services.c.name == service.name, service_values(service)):
            raise _no_service(service.name)

    def remove_service(self, name: ResourceName) -> None:
        if not self._transaction.remove(services, services.c.name == name):
            raise _no_service(name)

    def add(self, resource: Resource) -> None:
        values = _row_values(resource)
        if resource.environment is not None and self._transaction.many_write:
            self._transaction.row(_INHABITED, key=str(environment_key(resource.environment)))
        if not self._transaction.insert(resources, values):
            raise Conflict(f"{resource.key} exists already", cure="choose another name")
        self._headcounts.move({Place.of(values): 1})

    def get(self, key: ResourceKey, *, kept: bool = True) -> Resource:
        found = self.find(key, kept=kept)
        if found is None:
            raise _no_resource(key)
        return found

    def find(self, key: ResourceKey, *, kept: bool = True) -> Resource | None:
        if kept:
            turns.for_resource(self._transaction, key)
        row = self._transaction.row(self._transaction.kept(_ONE) if kept else _ONE, key=str(key))
        return None if row is None else resource_of(row)

    def save(self, resource: Resource) -> None:
        before, values = self._headcounts.standing_at(str(resource.key)), _row_values(resource)
        if before is None:
            raise _no_resource(resource.key)
        self._transaction.rewrite(resources.c.key, str(resource.key), values)
        if before != (after := Place.of(values)):
            self._headcounts.move({before: -1}, {after: 1})

    def remove(self, key: ResourceKey) -> None:
        before = self._headcounts.standing_at(str(key))
        if before is None:
            raise _no_resource(key)
        self._transaction.remove(resources, resources.c.key == str(key))
        self._headcounts.move({before: -1})

    def of_services(self, names: Collection[ResourceName]) -> Sequence[Listed]:
        return tuple(_listed_of(row) for row in self._transaction.rows(_OF_SERVICES, names=names)) if names else ()

    def of_service(self, name: ResourceName) -> Sequence[Resource]:
        turns.for_service(self._transaction, name)
        # `instance/…` sorts before `pipeline/…`.
        query = sa.select(resources).where(resources.c.service == name).order_by(resources.c.key)
        return tuple(resource_of(row) for row in self._transaction.rows(self._transaction.kept(query)))

    def in_environment(self, name: ResourceName) -> Sequence[Resource]:
        if self._transaction.many_write:
            self._transaction.row(_EMPTIED, key=str(environment_key(name)))
        return self._all(resources.c.environment == name)

    def on_major(self, template: TemplateName, major: int) -> Sequence[Resource]:
        return self._all(resources.c.template == template, resources.c.major == major)

    def behind(self, template: TemplateName) -> Sequence[Resource]:
        query = (
            sa.select(resources)
            .where(resources.c.template == template, resources.c.urgency > 0, resources.c.standing.in_(_BEHIND))
            .order_by(resources.c.urgency.desc(), resources.c.id.desc())
        )
        return tuple(resource_of(row) for row in self._transaction.rows(query))

    def page(
        self, wanted: FleetFilter, order: FleetOrder, cursor: str | None, limit: int, *, backwards: bool = False
    ) -> FleetPage:
        rows, following = self._page(wanted, order, cursor, limit, backwards=backwards)
        return FleetPage(tuple(resource_of(row) for row in rows), following)

    def listed(
        self, wanted: FleetFilter, order: FleetOrder, cursor: str | None, limit: int, *, backwards: bool = False
    ) -> ListedPage:
        rows, following = self._page(wanted, order, cursor, limit, backwards=backwards, listed=True)
        return ListedPage(tuple(_listed_of(row) for row in rows), following)

    def _page(
        self,
        wanted: FleetFilter,
        order: FleetOrder,
        cursor: str | None,
        limit: int,
        *,
        backwards: bool,
        listed: bool = False,
    ) -> tuple[Sequence[sa.Row[Any]], str | None]:
        """The rows of a page, and the cursor of the next."""
        if limit < 1:
            raise CallerError("a page holds at least one resource", cure="ask for more")
        by = _SORTS[order]
        down = (order is FleetOrder.WORST) != backwards
        behind = None if cursor is None else _read_cursor(cursor, order)
        rows: list[sa.Row[Any]] = []
        narrowed = self._narrowed(wanted)

        def walk(part: _Part, behind: Sequence[Any] | None) -> Sequence[sa.Row[Any]]:
            query = _walk(tuple(narrowed), by, part, placed=behind is not None, down=down, listed=listed)
            place = {f"place_{position}": value for position, value in enumerate(behind or ())}
            return self._transaction.rows(query, **narrowed, **place, at_most=limit + 1 - len(rows))

        if not by[0].nullable:
            rows += walk(_Part.ALL, behind)
        else:
            if behind is None or behind[0] is not None:
                rows += walk(_Part.KNOWN, behind)
                behind = None
            if len(rows) <= limit:
                rows += walk(_Part.UNKNOWN, behind and behind[1:])
        shown = rows[:limit]
        return shown, _write_cursor(shown[-1], order) if len(rows) > limit else None

    def _narrowed(self, wanted: FleetFilter) -> dict[str, Any]:
        """The conditions of a filter by name, with their values. A part of a name can stand anywhere, so that all names
        have to be read, in their own index: what few have is named by id then, what many have is found soon in whatever
        order."""
        values = _narrowing(wanted)
        if not wanted.search:
            return values
        found = [row.id for row in self._transaction.rows(_found(tuple(values)), **values, at_most=_FEW + 1)]
        return {"ids": found} if len(found) <= _FEW else values

    def count(self, wanted: FleetFilter, at_most: int) -> int:
        values = _narrowing(wanted)
        counted = self._transaction.connection.execute(_counting(tuple(values)), {**values, "at_most": at_most})
        return int(counted.scalar_one())

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
        if template is None:
            return _counters(self._transaction.rows(_COUNTERS))
        return _counters(self._transaction.rows(_COUNTERS_OF, template=template))

    def counters_of(self, templates: Collection[TemplateName] | None = None) -> Mapping[TemplateName, Counters]:
        columns = (headcounts.c.template, headcounts.c.standing, headcounts.c.failed)
        query = sa.select(*columns, _ADDED_UP).group_by(*columns)
        if templates is not None:
            query = query.where(headcounts.c.template.in_(templates))
        found: dict[TemplateName, list[Any]] = {}
        for row in self._transaction.rows(query):
            found.setdefault(TemplateName(row.template), []).append(row)
        counted = ((template, _counters(rows)) for template, rows in found.items())
        return {template: counters for template, counters in counted if counters.total}

    def scattered(self) -> bool:
        return self._headcounts.scattered()

    def gather(self) -> None:
        self._headcounts.gather()

    def owners(self, at_most: int) -> Sequence[str]:
        return tuple(self._different(resources.c.owner, at_most))

    def set_lag(self, template: TemplateName, running: Version, lag: Lag) -> int:
        # Each statement moves what stands at one place, so that the headcounts get the very number that it moved. What
        # stands there already comes first, or what was moved there would be moved again.
        measured = 0
        places = self._headcounts.on(template, running)
        for place in sorted(places, key=lambda place: place.standing != lag.standing):
            moved = self._transaction.change(
                resources, _stands(place), {**_lag_values(lag), "replaces": False, "urgency": _measured(lag, place)}
            )
            self._headcounts.move({place: -moved}, {place._replace(standing=lag.standing): moved})
            measured += moved
        return measured

    def warn(self, keys: Collection[ResourceKey]) -> None:
        awake = sa.case((resources.c.snoozed_at.is_(None), _big(_REPLACES)), else_=_big(0))
        self._transaction.change(
            resources,
            sa.and_(
                resources.c.key.in_([str(key) for key in keys]),
                sa.not_(resources.c.replaces),
                resources.c.standing.in_(_BEHIND),
            ),
            {"replaces": True, "urgency": resources.c.urgency + awake},
        )

    def overslept(self, now: datetime) -> bool:
        query = sa.select(resources.c.id).where(resources.c.snoozed_until <= now).limit(1)
        return self._transaction.row(query) is not None

    def wake(self, now: datetime) -> int:
        turns.for_all(self._transaction, resources.c.snoozed_until <= now)
        height = sa.case((resources.c.replaces, _big(_AWAKE + _REPLACES)), else_=_big(_AWAKE))
        lifted = sa.case((resources.c.standing.in_(_BEHIND), height), else_=_big(0))
        return self._transaction.change(
            resources,
            resources.c.snoozed_until <= now,
            {**snooze_values(None), "urgency": resources.c.urgency + lifted},
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
        return tuple(Version(row.major, row.minor) for row in self._transaction.rows(_RUNNING, template=template))

    def _different(self, column: sa.Column[Any], at_most: int) -> Iterator[Any]:
        """The different values of a column, one step in its index for each: none of what they stand on is read."""
        rows = self._transaction.connection.execute(_steps(column), {"at_most": at_most})
        return (row.value for row in rows)

    def _all(self, *where: sa.ColumnElement[bool]) -> Sequence[Resource]:
        query = sa.select(resources).where(*where).order_by(resources.c.key)
        return tuple(resource_of(row) for row in self._transaction.rows(query))


@cache
def _steps(column: sa.Column[Any]) -> sa.Select[Any]:
    steps = sa.select(sa.func.min(column).label("value")).cte("steps", recursive=True)
    following = sa.select(sa.func.min(column)).where(column > steps.c.value).scalar_subquery()
    steps = steps.union_all(sa.select(following).where(steps.c.value.is_not(None)))
    at_most = sa.bindparam("at_most", type_=sa.Integer)
    return sa.select(steps.c.value).where(steps.c.value.is_not(None)).limit(at_most)


_ONE = sa.select(resources).where(resources.c.key == sa.bindparam("key"))
_ID = sa.select(resources.c.id).where(resources.c.key == sa.bindparam("key"))
# As foreign keys do it, it keeps an environment from being removed or asked who lives in it, and lets it be written:
# https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-ROWS
_INHABITED = _ID.with_for_update(read=True, key_share=True)
_EMPTIED = _ID.with_for_update()


def _row_values(resource: Resource) -> Values:
    failed = resource.status.failed
    return {
        **resource_values(resource),
        "failed": int(failed),
        "urgency": urgency(
            resource.lag, failed=failed, replaces=resource.replaces, snoozed=resource.snooze is not None
        ),
    }


def _stands(place: Place) -> sa.ColumnElement[bool]:
    return sa.and_(*(resources.c[name] == value for name, value in place._asdict().items()))


def _measured(lag: Lag, place: Place) -> sa.ColumnElement[int]:
    """The urgency of what stands there and was measured."""
    failed = bool(place.failed)
    asleep, awake = (_big(urgency(lag, failed=failed, snoozed=snoozed)) for snoozed in (True, False))
    return sa.case((resources.c.snoozed_at.is_(None), awake), else_=asleep)


def _counters(rows: Sequence[Any]) -> Counters:
    def counted(standing: Standing) -> int:
        return sum(row.resources for row in rows if row.standing == standing)

    return Counters(
        total=sum(row.resources for row in rows),
        up_to_date=counted(Standing.UP_TO_DATE),
        behind_minor=counted(Standing.BEHIND_MINOR),
        behind_major=counted(Standing.BEHIND_MAJOR),
        failed=sum(row.resources for row in rows if row.failed),
        ahead=counted(Standing.AHEAD),
        undeployed=counted(Standing.UNDEPLOYED),
    )


def _big(number: int) -> sa.BindParameter[int]:
    return sa.literal(number, sa.BigInteger)


def _lag_values(lag: Lag) -> Values:
    return {"standing": lag.standing, "minors": lag.minors, "majors": lag.majors, "since": lag.since}


def _within(number: int, bits: int) -> int:
    return max(0, min(number, (1 << bits) - 1))


def _searched(text: str) -> str:
    if len(text) > _LONGEST_SEARCH:
        raise CallerError(f"the search is longer than {_LONGEST_SEARCH} characters", cure="search for less")
    return text.lower()


def _narrowing(wanted: FleetFilter) -> dict[str, Any]:
    """What a filter asks for, by the names of `_CONDITIONS`, with the values for them."""
    given = {
        "search": _part_of(wanted.search) if wanted.search else None,
        "template": wanted.template or None,
        "owner": wanted.owner or None,
        "environment": wanted.environment or None,
        "kind": wanted.kind,
        "standing": wanted.standing,
        "failed": wanted.failed or None,
        "behind": wanted.behind or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _part_of(text: str) -> str:
    """A part of a name as LIKE takes it."""
    return re.sub("([/%_])", r"/\1", _searched(text))


_CONDITIONS: Mapping[str, tuple[sa.ColumnElement[bool], ...]] = {
    "ids": (resources.c.id.in_(sa.bindparam("ids", expanding=True)),),
    "search": (resources.c.search.contains(sa.bindparam("search", type_=Name), escape="/"),),
    "template": (resources.c.template == sa.bindparam("template"),),
    "owner": (resources.c.owner == sa.bindparam("owner"),),
    "environment": (resources.c.environment == sa.bindparam("environment"),),
    "kind": (resources.c.kind == sa.bindparam("kind"),),
    "standing": (resources.c.standing == sa.bindparam("standing"),),
    "failed": (resources.c.urgency >= _FAILED,),
    # The second says nothing new, but lets the partial index serve.
    "behind": (resources.c.standing.in_(_BEHIND), resources.c.urgency > sa.literal_column("0")),
}


def _where(names: Iterable[str]) -> Iterator[sa.ColumnElement[bool]]:
    return (condition for name in names for condition in _CONDITIONS[name])


_AT_MOST = sa.bindparam("at_most", type_=sa.Integer)
_TOLD = (
    *("kind", "name", "service", "template", "owner", "environment", "status", "major", "minor"),
    *("last_deployment", "deployed_at", "standing", "minors", "majors", "since"),
    *("snoozed_at", "snoozed_by", "snoozed_until", "snoozed_major", "snoozed_minor"),
)
_PLACES = ("id", "label", "urgency")
"""What cursors are made of, beside what is told."""


def _told_of(found: sa.FromClause) -> sa.Select[Any]:
    """What lists tell of some resources."""
    column = found.c
    under_way = sa.and_(deployments.c.id == column.last_deployment, deployments.c.status.in_(UNDER_WAY))
    return (
        sa.select(
            *(column[name] for name in _TOLD),
            templates.c.recommended_major,
            templates.c.recommended_minor,
            majors.c.recommended_minor.label("own_minor"),
            deployments.c.stalled_at,
            *(column[name] for name in _PLACES),
        )
        .select_from(found)
        .outerjoin(templates, templates.c.name == column.template)
        .outerjoin(majors, sa.and_(majors.c.template == column.template, majors.c.major == column.major))
        .outerjoin(deployments, under_way)
    )


_OF_SERVICES = (
    _told_of(resources).where(resources.c.service.in_(sa.bindparam("names", expanding=True))).order_by(resources.c.key)
)

_ADDED_UP = sa.func.sum(headcounts.c.resources).label("resources")
_COUNTERS = sa.select(headcounts.c.standing, headcounts.c.failed, _ADDED_UP).group_by(
    headcounts.c.standing, headcounts.c.failed
)
_COUNTERS_OF = _COUNTERS.where(headcounts.c.template == sa.bindparam("template"))
_RUNNING = (
    sa.select(headcounts.c.major, headcounts.c.minor)
    .where(headcounts.c.template == sa.bindparam("template"), headcounts.c.major.is_not(None))
    .group_by(headcounts.c.major, headcounts.c.minor)
    .having(sa.func.sum(headcounts.c.resources) > 0)
    .order_by(headcounts.c.major, headcounts.c.minor)
)


class _Part(Enum):
    """Which part of the rows is walked: what has a value in the first column of the order, what has none, or all."""

    ALL = auto()
    KNOWN = auto()
    UNKNOWN = auto()


@cache
def _walk(
    narrowed: tuple[str, ...],
    by: tuple[sa.Column[Any], ...],
    part: _Part,
    *,
    placed: bool,
    down: bool,
    listed: bool,
) -> sa.Select[Any]:
    """The rows in the order of some columns and their id; `placed` from behind a place in it."""
    columns = [*(by[1:] if part is _Part.UNKNOWN else by), resources.c.id]
    what = [resources.c[name] for name in (*_TOLD, *_PLACES)] if listed else [resources]
    query = sa.select(*what).where(*_where(narrowed)).limit(_AT_MOST)
    if part is not _Part.ALL:
        query = query.where(by[0].is_(None) if part is _Part.UNKNOWN else by[0].is_not(None))
    if placed:
        here = sa.tuple_(*columns)
        there = sa.tuple_(*(sa.bindparam(f"place_{at}", type_=column.type) for at, column in enumerate(columns)))
        query = query.where(here < there if down else here > there)
    query = _sorted(query, columns, down=down)
    if not listed:
        return query
    # The page comes first and what is beside it after, or PostgreSQL joins them all before it takes a page of them.
    found = query.subquery("page")
    return _sorted(_told_of(found), [found.c[column.name] for column in columns], down=down)


def _sorted(query: sa.Select[Any], columns: Iterable[sa.ColumnElement[Any]], *, down: bool) -> sa.Select[Any]:
    return query.order_by(*(column.desc() if down else column.asc() for column in columns))


@cache
def _found(narrowed: tuple[str, ...]) -> sa.Select[Any]:
    return sa.select(resources.c.id).where(*_where(narrowed)).limit(_AT_MOST)


@cache
def _counting(narrowed: tuple[str, ...]) -> sa.Select[Any]:
    found = sa.select(sa.literal(1)).select_from(resources).where(*_where(narrowed)).limit(_AT_MOST).subquery()
    return sa.select(sa.func.count()).select_from(found)


def _listed_of(row: Any) -> Listed:
    # Taken apart at once: asking a row for one name after the other takes longer than reading it.
    kind, name, service, template, owner, environment, status, major, minor, *rest = row
    last_deployment, deployed_at, standing, minors, majors, since, *rest = rest
    snoozed_at, snoozed_by, snoozed_until, snoozed_major, snoozed_minor, *rest = rest
    recommended_major, recommended_minor, own_minor, stalled_at, *_ = rest
    lag, due, snooze = Lag(Standing(standing), minors, majors, since), None, None
    if lag.behind and major is not None:
        due = offered(major, version_in(recommended_major, recommended_minor), own_minor)
    if snoozed_at is not None:
        snooze = Snooze(snoozed_at, snoozed_by, snoozed_until, version_in(snoozed_major, snoozed_minor))
    return Listed(
        key=ResourceKey(ResourceKind(kind), name, service),
        template=template,
        status=DeploymentStatus(status),
        version=version_in(major, minor),
        owner=owner,
        environment=environment,
        lag=lag,
        last_deployment=last_deployment,
        deployed_at=deployed_at,
        snooze=snooze,
        due=due,
        stalled=stalled_at is not None,
    )


def _write_cursor(row: Any, order: FleetOrder) -> str:
    places = [getattr(row, column.name) for column in _SORTS[order]]
    written = [place.isoformat() if isinstance(place, datetime) else place for place in places]
    return base64.urlsafe_b64encode(json.dumps([order, *written, row.id]).encode()).decode().rstrip("=")


def _read_cursor(cursor: str, order: FleetOrder) -> list[Any]:
    """The place behind which a page begins: a value for each column of the order, and the id."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        match json.loads(base64.b64decode(padded, altchars=b"-_", validate=True)):
            case [order.value, *written, int(last)] if _is_id(last):
                places = [_place(value, c) for value, c in zip(written, _SORTS[order], strict=True)]
                return [*places, last]
    except (binascii.Error, ValueError, RecursionError):
        pass
    raise CallerError("this page does not exist", cure="start again from the first page")


def _place(written: Any, column: sa.Column[Any]) -> Any:
    """A value of a column as a cursor has it; ValueError when it is none."""
    match written, column.type:
        case None, _ if column.nullable:
            return None
        case int(), sa.BigInteger() if _is_id(written):
            return written
        case str(), Moment():
            moment = datetime.fromisoformat(written)
            if moment.tzinfo is not None:
                return moment
        case str(), Name():
            return written
    raise ValueError(written)


def _is_id(number: int) -> bool:
    return 0 <= number < 1 << 63


def _no_service(name: str) -> NotFound:
    return NotFound(f"there is no service `{name}`", cure="`upkeep service list` shows all")


def _no_resource(key: ResourceKey) -> NotFound:
    return NotFound(f"there is no {key}", cure=f"`upkeep {key.kind} list` shows all")
