"""Tallies in the store."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from upkeep.adapters.store.tables import tallies
from upkeep.adapters.store.transaction import Transaction
from upkeep.domain.names import TemplateName
from upkeep.domain.resources import Counters
from upkeep.domain.tallies import WHOLE_FLEET, Tally

_COUNTED = ("undeployed", "up_to_date", "behind_minor", "behind_major", "ahead", "failed")


class Tallies:
    """The flows' TallyBook."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def keep(self, tally: Tally) -> None:
        of_template = tallies.c.template == tally.template
        self._transaction.change(tallies, sa.and_(of_template, tallies.c.last), {"last": False})
        counted = {name: getattr(tally.counters, name) for name in _COUNTED}
        self._transaction.put(tallies, {"template": tally.template, "at": tally.at, **counted, "last": True})

    def last(self) -> Mapping[TemplateName, Tally]:
        rows = self._transaction.rows(sa.select(tallies).where(tallies.c.last))
        return {found.template: found for found in map(_tally_of, rows)}

    def worst(self, limit: int) -> Sequence[Tally]:
        query = (
            sa.select(tallies)
            .where(tallies.c.last, tallies.c.template != WHOLE_FLEET)
            .order_by(tallies.c.behind_major.desc(), tallies.c.behind_minor.desc(), tallies.c.template.desc())
            .limit(limit)
        )
        return tuple(map(_tally_of, self._transaction.rows(query)))

    def of(self, template: TemplateName, since: datetime) -> Sequence[Tally]:
        own = sa.select(tallies).where(tallies.c.template == template)
        before = own.where(tallies.c.at < since).order_by(tallies.c.at.desc()).limit(1)
        after = own.where(tallies.c.at >= since).order_by(tallies.c.at)
        return tuple(_tally_of(row) for query in (before, after) for row in self._transaction.rows(query))

    def thin(self, before: datetime, gone: datetime) -> int:
        later = tallies.alias()
        day = _day(self._transaction.connection.dialect.name)
        same_day = sa.exists().where(
            later.c.template == tallies.c.template,
            later.c.at > tallies.c.at,
            later.c.at < before,
            day(later.c.at) == day(tallies.c.at),
        )
        old = sa.and_(tallies.c.at < before, sa.or_(tallies.c.at < gone, same_day))
        return self._transaction.remove(tallies, sa.and_(sa.not_(tallies.c.last), old))


def _day(dialect: str) -> Any:
    if dialect == "postgresql":
        return lambda moment: sa.func.date_trunc("day", moment)
    return lambda moment: sa.func.date(moment)


def _tally_of(row: Any) -> Tally:
    template, at, undeployed, up_to_date, behind_minor, behind_major, ahead, failed, _ = row
    total = undeployed + up_to_date + behind_minor + behind_major + ahead
    return Tally(template, at, Counters(total, up_to_date, behind_minor, behind_major, failed, ahead, undeployed))
