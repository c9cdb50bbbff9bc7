"""Headcounts: how many resources stand how, kept with every change of one, so that nobody has to count them.

They add up: a change takes one from where a resource stood and adds one where it stands. Rows are only ever added, so
that writers never wait for each other here, and gathered into one for each place from time to time.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import sqlalchemy as sa

from upkeep.adapters.store.tables import headcounts, resources
from upkeep.adapters.store.transaction import Transaction
from upkeep.domain.names import Version


class Place(NamedTuple):
    """Where a resource stands: what it runs, how that is, and whether its last deployment failed."""

    template: str
    major: int | None
    minor: int | None
    standing: str
    failed: int

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """The place of a row, or of the values of one."""
        return cls(*(row[name] for name in cls._fields))


class Headcounts:
    """What adds up to how many resources stand at each place."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def standing_at(self, key: str) -> Place | None:
        """Where a resource stands; nobody else moves it before the end."""
        row = self._transaction.row(self._transaction.kept(_ONE), key=key)
        return None if row is None else Place.of(row._asdict())

    def on(self, template: str, running: Version) -> Sequence[Place]:
        """The places of a version where resources can stand now: a deployment may fail or succeed at any moment."""
        rows = self._transaction.rows(_ON, template=template, major=running.major, minor=running.minor)
        version = (template, running.major, running.minor)
        return tuple(Place(*version, row.standing, failed) for row in rows for failed in (0, 1))

    def move(self, *moved: Mapping[Place, int]) -> None:
        """Add these numbers, which are below 0 for places that are left."""
        rows = [{**place._asdict(), "resources": number} for each in moved for place, number in each.items() if number]
        if rows:
            self._transaction.connection.execute(sa.insert(headcounts), rows)

    def scattered(self) -> bool:
        """Whether there is something to gather."""
        return self._transaction.row(_SCATTERED.limit(1)) is not None

    def gather(self) -> None:
        """Keep one row for each place instead of many."""
        of_these = headcounts.c.template.in_(sa.select(_SCATTERED.subquery().c.template))
        taken: Counter[Place] = Counter()
        for row in self._transaction.connection.execute(sa.delete(headcounts).where(of_these).returning(*headcounts.c)):
            taken[Place.of(row._asdict())] += row.resources
        self.move(taken)


_PLACE = tuple(headcounts.c[name] for name in Place._fields)
_THERE = sa.select(*(resources.c[name] for name in Place._fields))
_ONE = _THERE.where(resources.c.key == sa.bindparam("key"))
_ON = sa.select(headcounts.c.standing).distinct()
_ON = _ON.where(*(headcounts.c[name] == sa.bindparam(name) for name in ("template", "major", "minor")))
_SCATTERED = sa.select(headcounts.c.template).group_by(*_PLACE).having(sa.func.count() > 1)
