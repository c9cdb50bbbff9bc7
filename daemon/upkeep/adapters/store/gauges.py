"""How everything stands, in numbers from the rows."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from upkeep.adapters.store.fleet import Fleet
from upkeep.adapters.store.registry import UNDER_WAY
from upkeep.adapters.store.sources import Sources
from upkeep.adapters.store.tables import deployments, outbox, resources, versions, work
from upkeep.adapters.store.transaction import Transaction
from upkeep.domain.gauges import Backlog, Gauges, WorkState
from upkeep.domain.lag import Standing
from upkeep.domain.names import ResourceKind
from upkeep.domain.versions import VersionState
from upkeep.domain.work import WorkKind

_SOURCES_AT_MOST = 100_000

_FAR = timedelta(days=365)
"""Work that is due so far ahead was set aside: no retry and no schedule looks a year ahead."""

_UNDER_WAY = deployments.c.status.in_([sa.literal_column(f"'{status}'") for status in UNDER_WAY])
"""Written out for the partial index to serve."""

_BEHIND = (Standing.BEHIND_MINOR, Standing.BEHIND_MAJOR)


class GaugeReadings:
    """The flows' GaugeBook."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def read(self, now: datetime) -> Gauges:
        sources = Sources(self._transaction).health(_SOURCES_AT_MOST)
        return Gauges(
            resources=Fleet(self._transaction).counters(),
            behind=self._behind(),
            drafts=self._backlog(versions.c.created_at, versions.c.state == VersionState.DRAFT),
            work=self._work(now),
            outbox=self._outbox(),
            deployments=self._backlog(deployments.c.created_at, _UNDER_WAY),
            stalled_deployments=self._backlog(deployments.c.stalled_at, deployments.c.stalled_at.is_not(None)),
            sources=sources.total,
            stalled_sources=sources.stalled,
            failing_sources=sources.failing,
            heard_at=sources.heard_at,
        )

    def _backlog(self, since: sa.Column[datetime], where: sa.ColumnElement[bool]) -> Backlog:
        query: Any = sa.select(sa.func.count(), sa.func.min(since)).where(where)
        return Backlog(*self._transaction.rows(query)[0])

    def _behind(self) -> dict[ResourceKind, Backlog]:
        query = sa.select(resources.c.kind, sa.func.count(), sa.func.min(resources.c.since))
        rows: Any = self._transaction.rows(query.where(resources.c.standing.in_(_BEHIND)).group_by(resources.c.kind))
        return {ResourceKind(kind): Backlog(count, since) for kind, count, since in rows}

    def _work(self, now: datetime) -> dict[tuple[WorkKind, WorkState], Backlog]:
        state = sa.case(
            (sa.and_(work.c.token.is_not(None), work.c.due_at > now), WorkState.RUNNING.value),
            (work.c.due_at <= now, WorkState.DUE.value),
            (work.c.due_at > now + _FAR, WorkState.SET_ASIDE.value),
            else_=WorkState.LATER.value,
        ).label("state")
        query = sa.select(work.c.kind, state, sa.func.count(), sa.func.min(work.c.due_at)).group_by(work.c.kind, state)
        rows: Any = self._transaction.rows(query)
        return {(WorkKind(kind), WorkState(found)): Backlog(count, since) for kind, found, count, since in rows}

    def _outbox(self) -> dict[str, Backlog]:
        owed = outbox.c.sent_at.is_(None) & outbox.c.given_up_at.is_(None)
        query = sa.select(outbox.c.channel, sa.func.count(), sa.func.min(outbox.c.owed_at)).where(owed)
        rows: Any = self._transaction.rows(query.group_by(outbox.c.channel))
        return {channel: Backlog(count, since) for channel, count, since in rows}
