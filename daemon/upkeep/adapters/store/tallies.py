"""Tallies in the store."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from upkeep.adapters.store.columns import Moment
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

    def keep(self, *kept: Tally) -> None:
        self._transaction.require_writing()
        if not kept:
            return
        self._transaction.connection.execute(_LAST_NO_MORE, [{"of": tally.template} for tally in kept])
        rows = [
            {"template": tally.template, "at": tally.at, "last": True}
            | {name: getattr(tally.counters, name) for name in _COUNTED}
            for tally in kept
        ]
        self._transaction.put(tallies, *rows)

    def last(self) -> Mapping[TemplateName, Tally]:
        rows = self._transaction.rows(_TALLIES.where(tallies.c.last))
        return {found.template: found for found in map(_tally_of, rows)}

    def worst(self, limit: int) -> Sequence[Tally]:
        return tuple(map(_tally_of, self._transaction.rows(_WORST, at_most=limit)))

    def of(self, template: TemplateName, since: datetime) -> Sequence[Tally]:
        return tuple(map(_tally_of, self._transaction.rows(_OF, template=template, since=since)))

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


_TALLIES = sa.select(tallies.c.template, tallies.c.at, *(tallies.c[name] for name in _COUNTED))
_LAST_NO_MORE = sa.update(tallies).where(tallies.c.template == sa.bindparam("of"), tallies.c.last).values(last=False)
_WORST = (
    _TALLIES.where(tallies.c.last, tallies.c.template != WHOLE_FLEET)
    .order_by(tallies.c.behind_major.desc(), tallies.c.behind_minor.desc(), tallies.c.template.desc())
    .limit(sa.bindparam("at_most", type_=sa.Integer))
)
_SINCE = sa.bindparam("since", type_=Moment)
_earlier = tallies.alias()
_STOOD = sa.select(sa.func.max(_earlier.c.at)).where(
    _earlier.c.template == sa.bindparam("template"), _earlier.c.at < _SINCE
)
_OF = _TALLIES.where(
    tallies.c.template == sa.bindparam("template"), tallies.c.at >= sa.func.coalesce(_STOOD.scalar_subquery(), _SINCE)
).order_by(tallies.c.at)


def _day(dialect: str) -> Any:
    if dialect == "postgresql":
        return lambda moment: sa.func.date_trunc("day", moment)
    return lambda moment: sa.func.date(moment)


def _tally_of(row: Any) -> Tally:
    template, at, undeployed, up_to_date, behind_minor, behind_major, ahead, failed = row
    total = undeployed + up_to_date + behind_minor + behind_major + ahead
    return Tally(template, at, Counters(total, up_to_date, behind_minor, behind_major, failed, ahead, undeployed))
