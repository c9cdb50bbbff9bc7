"""Sources in the store."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from upkeep.adapters.store.rows import source_of, source_values
from upkeep.adapters.store.tables import sources, templates
from upkeep.adapters.store.tables import work as work_table
from upkeep.adapters.store.transaction import Transaction
from upkeep.domain.errors import Conflict, NotFound
from upkeep.domain.names import SourceName
from upkeep.domain.sources import Source
from upkeep.domain.work import WorkKind
from upkeep.flows.ports import SourcesHealth

_EDITION = "sources"
_COURSE = {"name", "synced_commit", "synced_at", "checked_at", "next_poll_at", "failures", "failure", "findings"} | {
    f"stall{what}" for what in ("_reason", "_cure", "ed_at")
}
"""Columns that only tell how reading a source goes, and not what is read."""

_ONE = sa.select(sources).where(sources.c.name == sa.bindparam("name"))
_NAMED = sa.select(sources).where(sources.c.name.in_(sa.bindparam("names", expanding=True))).order_by(sources.c.name)
_DUE = (
    sa.select(sources)
    .where(
        sources.c.stalled_at.is_(None),
        sa.or_(sources.c.next_poll_at.is_(None), sources.c.next_poll_at <= sa.bindparam("now")),
    )
    .order_by(sources.c.next_poll_at.asc().nulls_first(), sources.c.name)
    .limit(sa.bindparam("at_most", type_=sa.Integer))
)
_DUE_ALONE = _DUE.with_for_update(key_share=True, skip_locked=True)
_PUT_OFF = sa.update(sources).where(sources.c.name == sa.bindparam("of")).values(next_poll_at=sa.bindparam("till"))
_HEARD = (
    sa.update(sources)
    .where(
        sources.c.name == sa.bindparam("of"),
        sources.c.url == sa.bindparam("at"),
        sources.c.branch == sa.bindparam("along"),
        sources.c.synced_commit == sa.bindparam("until"),
        sources.c.failures == 0,
        sources.c.stalled_at.is_(None),
    )
    .values(checked_at=sa.bindparam("now"))
)


class Sources:
    """The flows' SourceBook."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._read: dict[str, Source] = {}

    def add(self, source: Source) -> None:
        if not self._transaction.insert(sources, source_values(source)):
            raise Conflict(f"a source `{source.name}` exists already", cure="choose another name")
        self._transaction.next_number(_EDITION)

    def get(self, name: str) -> Source:
        row = self._transaction.row(self._transaction.kept(_ONE), name=name)
        if row is None:
            raise _unknown(name)
        return self._noted(source_of(row))

    def list(self) -> Sequence[Source]:
        rows = self._transaction.rows(sa.select(sources).order_by(sources.c.name))
        return tuple(self._noted(source_of(row)) for row in rows)

    def named(self, names: Collection[str]) -> Sequence[Source]:
        rows = self._transaction.rows(_NAMED, names=list(names))
        return tuple(self._noted(source_of(row)) for row in rows)

    def page(self, after: str, limit: int) -> Sequence[Source]:
        query = sa.select(sources).where(sources.c.name > after).order_by(sources.c.name).limit(limit)
        return tuple(self._noted(source_of(row)) for row in self._transaction.rows(query))

    def troubled(self, limit: int) -> Sequence[Source]:
        stalled = sa.select(sources).where(sources.c.stalled_at.is_not(None)).order_by(sources.c.name).limit(limit)
        failing = (
            sa.select(sources).where(sources.c.failures > sa.literal_column("0")).order_by(sources.c.name).limit(limit)
        )
        found = [source_of(row) for query in (stalled, failing) for row in self._transaction.rows(query)]
        return tuple({source.name: self._noted(source) for source in found}.values())[:limit]

    def health(self, at_most: int) -> SourcesHealth:
        row = self._transaction.connection.execute(_HEALTH, {"at_most": at_most}).one()
        return SourcesHealth(row.total, row.stalled, row.failing, row.waiting, row.heard_at)

    def edition(self) -> int:
        return self._transaction.last_number(_EDITION)

    def save(self, source: Source) -> None:
        # Lists are read without locks, because every webhook reads one. Writing only what differs from what was
        # read keeps a sync and a poll of the same source from undoing each other's columns.
        read = self._read.get(source.name)
        before = {} if read is None else source_values(read)
        changed = {key: value for key, value in source_values(source).items() if before.get(key, ...) != value}
        changed["name"] = source.name
        if not self._transaction.save(sources, changed):
            raise _unknown(source.name)
        if not changed.keys() <= _COURSE:
            self._transaction.next_number(_EDITION)
        self._noted(source)

    def put_off(self, until: Mapping[SourceName, datetime]) -> None:
        self._transaction.require_writing()
        if until:
            rows = [{"of": name, "till": at} for name, at in until.items()]
            self._transaction.connection.execute(_PUT_OFF, rows)

    def heard(self, answered: Sequence[Source], at: datetime) -> None:
        self._transaction.require_writing()
        # In one order, so that no two transactions wait for each other's rows.
        ordered = sorted(answered, key=lambda source: source.name)
        read = [{"of": s.name, "at": s.url, "along": s.branch, "until": s.synced_commit} for s in ordered]
        if read:
            self._transaction.connection.execute(_HEARD, [each | {"now": at} for each in read])

    def remove(self, name: SourceName) -> None:
        if not self._transaction.remove(sources, sources.c.name == name):
            raise _unknown(name)
        self._transaction.next_number(_EDITION)
        self._transaction.change(templates, templates.c.source == name, {"source": None})
        # A sync that is under way has lost its claim by this, so that it writes nothing any more.
        self._transaction.remove(work_table, sa.and_(work_table.c.kind == WorkKind.SYNC, work_table.c.subject == name))

    def due(self, now: datetime, limit: int) -> Sequence[Source]:
        query = _DUE_ALONE if self._transaction.writing else _DUE
        return tuple(self._noted(source_of(row)) for row in self._transaction.rows(query, now=now, at_most=limit))

    def _noted(self, source: Source) -> Source:
        self._read[source.name] = source
        return source


def _counted(*where: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    at_most = sa.bindparam("at_most", type_=sa.Integer)
    found = sa.select(sources.c.name).where(*where).limit(at_most).subquery()
    return sa.select(sa.func.count()).select_from(found).scalar_subquery()


_CALM = (sources.c.stalled_at.is_(None), sources.c.failures == sa.literal_column("0"))
_HEALTH = sa.select(
    _counted().label("total"),
    _counted(sources.c.stalled_at.is_not(None)).label("stalled"),
    _counted(sources.c.failures > sa.literal_column("0"), sources.c.stalled_at.is_(None)).label("failing"),
    _counted(*_CALM, sources.c.checked_at.is_(None), sources.c.synced_at.is_(None)).label("waiting"),
    sa.select(sources.c.checked_at)
    .where(*_CALM, sources.c.checked_at.is_not(None))
    .order_by(sources.c.checked_at)
    .limit(1)
    .scalar_subquery()
    .label("heard_at"),
)
"""Asked for every page, so that it is put together once. Zeros are written out for the partial indexes to serve."""


def _unknown(name: str) -> NotFound:
    return NotFound(f"there is no source `{name}`", cure="`upkeep source list` shows all")
