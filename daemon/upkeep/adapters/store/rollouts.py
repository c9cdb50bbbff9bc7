"""Rollouts in the store."""

from collections.abc import Sequence

import sqlalchemy as sa

from upkeep.adapters.store.rows import member_of, member_values, rollout_of, rollout_values
from upkeep.adapters.store.tables import rollout_members, rollouts
from upkeep.adapters.store.transaction import Transaction
from upkeep.domain.errors import Conflict, NotFound
from upkeep.domain.names import TemplateName
from upkeep.domain.rollouts import Member, Rollout


class Rollouts:
    """The flows' RolloutBook."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def add(self, rollout: Rollout) -> None:
        if not self._transaction.insert(rollouts, rollout_values(rollout)):
            raise Conflict(
                f"an automatic rollout of {rollout.template} is open already", cure="resume or stop it first"
            )
        for position, member in enumerate(rollout.members):
            self._transaction.insert(rollout_members, member_values(rollout.id, position, member))

    def get(self, rollout_id: str) -> Rollout:
        query = sa.select(rollouts).where(rollouts.c.id == rollout_id)
        row = self._transaction.row(self._transaction.kept(query))
        if row is None:
            raise _unknown(rollout_id)
        return rollout_of(row, self._members(rollout_id))

    def save(self, rollout: Rollout) -> None:
        if not self._transaction.change(rollouts, rollouts.c.id == rollout.id, rollout_values(rollout)):
            raise _unknown(rollout.id)
        known = self._members(rollout.id)
        for position, (before, after) in enumerate(zip(known, rollout.members, strict=True)):
            if before != after:
                self._transaction.change(
                    rollout_members,
                    sa.and_(rollout_members.c.rollout == rollout.id, rollout_members.c.position == position),
                    member_values(rollout.id, position, after),
                )

    def recent(self, limit: int, before: str | None = None) -> Sequence[Rollout]:
        query = sa.select(rollouts).order_by(rollouts.c.number.desc()).limit(limit)
        if before is not None:
            place = self._transaction.row(sa.select(rollouts.c.number).where(rollouts.c.id == before))
            if place is None:
                raise _unknown(before)
            query = query.where(rollouts.c.number < place.number)
        rows = self._transaction.rows(query)
        return tuple(rollout_of(row, self._members(row.id)) for row in rows)

    def last_automatic(self, template: TemplateName) -> Rollout | None:
        query = (
            sa.select(rollouts)
            .where(rollouts.c.template == template, rollouts.c.automatic)
            .order_by(rollouts.c.number.desc())
            .limit(1)
        )
        row = self._transaction.row(query)
        return None if row is None else rollout_of(row, self._members(row.id))

    def _members(self, rollout_id: str) -> tuple[Member, ...]:
        query = (
            sa.select(rollout_members)
            .where(rollout_members.c.rollout == rollout_id)
            .order_by(rollout_members.c.position)
        )
        return tuple(member_of(row) for row in self._transaction.rows(query))


def _unknown(rollout_id: str) -> NotFound:
    return NotFound(f"there is no rollout `{rollout_id}`", cure="`upkeep rollout list` shows the last ones")
