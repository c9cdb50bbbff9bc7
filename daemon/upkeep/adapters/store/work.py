"""The queue in the store.

One row for each kind and subject. While nobody holds it, `due_at` says when it may be claimed; while somebody
does, it is the end of the lease, after which it may be claimed as well. So there is one index to look at, and a worker
that was killed needs nobody to tidy up after it. Each kind has a stretch of its own there: what waits of one, however
much, is not read for another. What is asked for while the row is held stands in `again_at` and is forgotten at the
next claim, not at the end of the work.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from upkeep.adapters.store.rows import due_work_of
from upkeep.adapters.store.tables import work
from upkeep.adapters.store.transaction import Transaction, inserting
from upkeep.domain.errors import LostLease
from upkeep.domain.work import Claim, DueWork, WorkKind

_TOKENS = "work"
_ERRANDS = "upkeep errands"
"""Part of the names of locks, so that nobody else on this database server has the same by chance."""
_FOUND = sa.select(work).where(work.c.kind == sa.bindparam("kind"), work.c.subject == sa.bindparam("subject"))


class Work:
    """The flows' WorkBook. `rang` says whether something was made due."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self.rang = False

    def alone(self, errand: str) -> bool:
        connection = self._transaction.connection
        if connection.dialect.name != "postgresql":
            # There is one writer at a time: whoever was first has ended.
            return True
        named = sa.func.hashtextextended(f"{_ERRANDS}\n{errand}", 0)
        return bool(connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(named))).scalar_one())

    def ask(self, kind: WorkKind, subject: str, due_at: datetime, cause: str = "") -> None:
        asked = {"kind": kind, "subject": subject, "due_at": due_at, "asked_at": due_at, "cause": cause, "attempts": 0}
        self._transaction.require_writing()
        self._transaction.connection.execute(_asking(self._transaction.connection.dialect.name), asked)
        self.rang = True

    def claim(self, kinds: Iterable[WorkKind], now: datetime, lease_for: timedelta) -> Claim | None:
        longest = sorted((at, kind) for kind, at in self._next_due(kinds).items() if at <= now)
        # Of a kind whose rows other workers are claiming there may be none left, and of the next one there is.
        found = (self._transaction.row(_DUE, now=now, kind=kind) for _, kind in longest)
        row = next((row for row in found if row is not None), None)
        if row is None:
            return None
        # Not a number of the row: rows come and go, and a worker that slept through all of it must not find its old
        # token on a new row.
        token = self._transaction.next_number(_TOKENS)
        claim = Claim(WorkKind(row.kind), row.subject, token, row.attempts + 1, now + lease_for, row.cause)
        given = {"till": claim.leased_until, "by": claim.token, "after": claim.attempts}
        self._transaction.connection.execute(_CLAIMED, {"of": claim.kind, "what": claim.subject, **given})
        return claim

    def hold(self, claim: Claim) -> None:
        self._held(claim)

    def renew(self, claim: Claim, leased_until: datetime) -> bool:
        renewed = self._transaction.connection.execute(_RENEWED, {**_parameters(claim), "till": leased_until})
        return renewed.rowcount > 0

    def done(self, claim: Claim, again_at: datetime | None = None) -> None:
        self._transaction.require_writing()
        if again_at is None and self._transaction.connection.execute(_GONE, _parameters(claim)).rowcount:
            return
        # It is to be done once more, or is somebody else's by now.
        row = self._held(claim)
        wanted = [at for at in (row.again_at, again_at) if at is not None]
        self._free(claim, min(wanted), attempts=0, failure=None)

    def retry(self, claim: Claim, due_at: datetime, failure: str) -> None:
        row = self._held(claim)
        soonest = due_at if row.again_at is None else min(due_at, row.again_at)
        self._free(claim, soonest, attempts=row.attempts, failure=failure)

    def next_due_at(self, kinds: Iterable[WorkKind] = tuple(WorkKind)) -> datetime | None:
        return min(self._next_due(kinds).values(), default=None)

    def find(self, kind: WorkKind, subject: str) -> DueWork | None:
        row = self._transaction.row(_FOUND, kind=kind, subject=subject)
        return None if row is None else due_work_of(row)

    def list(self, limit: int) -> Sequence[DueWork]:
        query = sa.select(work).order_by(work.c.due_at, work.c.id).limit(limit)
        return tuple(due_work_of(row) for row in self._transaction.rows(query))

    def _next_due(self, kinds: Iterable[WorkKind]) -> Mapping[WorkKind, datetime]:
        """When the earliest row of each kind is due, of kinds that have any."""
        wanted = tuple(kinds)
        row = self._transaction.row(_soonest(wanted)) if wanted else None
        return {kind: at for kind, at in zip(wanted, row or (), strict=False) if at is not None}

    def _held(self, claim: Claim) -> sa.Row[Any]:
        row = self._transaction.row(self._transaction.kept(_HELD), **_parameters(claim))
        if row is None:
            raise LostLease(f"another worker took over the {claim.kind} of {claim.subject}")
        return row

    def _free(self, claim: Claim, due_at: datetime, *, attempts: int, failure: str | None) -> None:
        given = {"due": due_at, "after": attempts, "why": failure}
        self._transaction.connection.execute(_FREED, {**_parameters(claim), **given})
        self.rang = True


@cache
def _asking(dialect: str) -> "postgresql.Insert | sqlite.Insert":
    """What asks for work."""
    statement = inserting(work, dialect)
    asked = statement.excluded.due_at
    held = work.c.token.is_not(None)
    return statement.on_conflict_do_update(
        index_elements=["kind", "subject"],
        set_={
            "cause": statement.excluded.cause,
            "due_at": sa.case((held, work.c.due_at), (work.c.due_at < asked, work.c.due_at), else_=asked),
            "again_at": sa.case((~held, None), (work.c.again_at < asked, work.c.again_at), else_=asked),
        },
    )


@cache
def _soonest(kinds: tuple[WorkKind, ...]) -> sa.Select[Any]:
    """When the earliest row of each kind is due. One look into the index for each kind: asked for all kinds at once,
    a database would read through whatever waits of a kind that has no place free."""
    return sa.select(
        *(
            sa.select(work.c.due_at).where(work.c.kind == kind).order_by(work.c.due_at).limit(1).scalar_subquery()
            for kind in kinds
        )
    )


def _parameters(claim: Claim) -> dict[str, Any]:
    return {"of": claim.kind, "what": claim.subject, "by": claim.token}


# Every piece of work asks these, and putting them together takes longer than having them done.
_NAMED = sa.and_(work.c.kind == sa.bindparam("of"), work.c.subject == sa.bindparam("what"))
_OWN = sa.and_(_NAMED, work.c.token == sa.bindparam("by"))
_HELD = sa.select(work).where(_OWN)
_GONE = sa.delete(work).where(_OWN, work.c.again_at.is_(None))
_RENEWED = sa.update(work).where(_OWN).values(due_at=sa.bindparam("till"))
_DUE = (
    sa.select(work)
    .where(work.c.kind == sa.bindparam("kind"), work.c.due_at <= sa.bindparam("now"))
    .order_by(work.c.due_at, work.c.id)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_CLAIMED = (
    sa.update(work)
    .where(_NAMED)
    .values(due_at=sa.bindparam("till"), again_at=None, token=sa.bindparam("by"), attempts=sa.bindparam("after"))
)
_FREED = (
    sa.update(work)
    .where(_OWN)
    .values(
        due_at=sa.bindparam("due"),
        again_at=None,
        token=None,
        attempts=sa.bindparam("after"),
        failure=sa.bindparam("why"),
    )
)
