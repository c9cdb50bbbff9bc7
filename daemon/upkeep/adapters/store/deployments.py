"""Deployments in the store."""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from upkeep.adapters.store.registry import UNDER_WAY
from upkeep.adapters.store.rows import (
    deployment_of,
    deployment_values,
    proposal_of,
    proposal_values,
    stack_event_of,
    stack_event_values,
)
from upkeep.adapters.store.tables import deployments, proposals, renders, resources, stack_events
from upkeep.adapters.store.transaction import Transaction
from upkeep.domain.changesets import Proposal, StackEvent
from upkeep.domain.deployments import Deployment, DeploymentStatus
from upkeep.domain.errors import Conflict, NotFound
from upkeep.domain.names import ResourceKey, Version


class Deployments:
    """The flows' DeploymentBook."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def add(self, deployment: Deployment) -> None:
        if self._transaction.insert(deployments, deployment_values(deployment)):
            return
        other = self.under_way(deployment.resource)
        if other is None:
            raise Conflict(f"deployment {deployment.id} exists already", cure="ask for a new one")
        raise Conflict(
            f"deployment {other.id} of {deployment.resource} is under way ({other.status})",
            cure="wait until it has ended, or cancel it",
        )

    def get(self, deployment_id: str, *, kept: bool = True) -> Deployment:
        row = self._transaction.row(self._transaction.kept(_ONE) if kept else _ONE, deployment=deployment_id)
        if row is None:
            raise _unknown(deployment_id)
        return deployment_of(row)

    def save(self, deployment: Deployment) -> None:
        if not self._transaction.rewrite(deployments.c.id, deployment.id, deployment_values(deployment)):
            raise _unknown(deployment.id)

    def of_resource(self, key: ResourceKey, limit: int, before: str | None = None) -> Sequence[Deployment]:
        query = (
            sa.select(deployments)
            .where(deployments.c.resource == str(key))
            .order_by(deployments.c.number.desc())
            .limit(limit)
        )
        if before is not None:
            place = sa.select(deployments.c.number).where(deployments.c.id == before).scalar_subquery()
            query = query.where(deployments.c.number < place)
        return tuple(deployment_of(row) for row in self._transaction.rows(query))

    def recent(
        self,
        limit: int,
        status: DeploymentStatus | None = None,
        resource: ResourceKey | None = None,
        before: str | None = None,
        *,
        called: str = "",
        template: str = "",
        asked_by: str = "",
        stalled: bool = False,
    ) -> Sequence[Deployment]:
        query = sa.select(deployments).order_by(deployments.c.number.desc()).limit(limit)
        if status is not None:
            query = query.where(deployments.c.status == status)
        if resource is not None:
            query = query.where(deployments.c.resource == str(resource))
        if called:
            named = sa.select(resources.c.key).where(resources.c.label == called)
            query = query.where(deployments.c.resource.in_(named))
        if template:
            query = query.where(
                deployments.c.resource.in_(sa.select(resources.c.key).where(resources.c.template == template))
            )
        if asked_by:
            query = query.where(deployments.c.asked_by == asked_by)
        if stalled:
            query = query.where(deployments.c.stalled_at.is_not(None), deployments.c.status.in_(UNDER_WAY))
        if before is not None:
            place = self._transaction.row(sa.select(deployments.c.number).where(deployments.c.id == before))
            if place is None:
                raise _unknown(before)
            query = query.where(deployments.c.number < place.number)
        return tuple(deployment_of(row) for row in self._transaction.rows(query))

    def under_way(self, key: ResourceKey) -> Deployment | None:
        # Not kept: whoever asks holds the resource's row, and a worker that settles holds the deployment's and waits
        # for the resource's. Each waiting for the other, one of the two would be given up.
        row = self._transaction.row(_UNDER_WAY, resource=str(key))
        return None if row is None else deployment_of(row)

    def keep_rendered(self, deployment_id: str, rendered: str) -> None:
        self._transaction.put(renders, {"deployment": deployment_id, "rendered": rendered})

    def rendered(self, deployment_id: str) -> str | None:
        row = self._transaction.row(_RENDERED, deployment=deployment_id)
        return None if row is None else str(row.rendered)

    def keep_proposal(self, deployment_id: str, proposal: Proposal) -> None:
        self._transaction.put(proposals, proposal_values(deployment_id, proposal))

    def proposal(self, deployment_id: str) -> Proposal | None:
        row = self._transaction.row(_PROPOSAL, deployment=deployment_id)
        return None if row is None else proposal_of(row)

    def keep_events(self, deployment_id: str, events: Iterable[StackEvent]) -> int:
        known = {row.id for row in self._transaction.rows(_TOLD, deployment=deployment_id)}
        fresh = {event.id: event for event in events if event.id not in known}
        self._transaction.insert_missing(
            stack_events, [stack_event_values(deployment_id, event) for event in fresh.values()]
        )
        return len(fresh)

    def told(self, deployment_id: str) -> int:
        query = sa.select(sa.func.count()).where(stack_events.c.deployment == deployment_id)
        return int(self._transaction.connection.execute(query).scalar_one())

    def stack_events(self, deployment_id: str, limit: int) -> Sequence[StackEvent]:
        query = (
            sa.select(stack_events)
            .where(stack_events.c.deployment == deployment_id)
            .order_by(stack_events.c.at.desc(), stack_events.c.number.desc())
            .limit(limit)
        )
        return tuple(stack_event_of(row) for row in reversed(self._transaction.rows(query)))

    def remove(self, deployment_id: str) -> None:
        if not self._transaction.remove(deployments, deployments.c.id == deployment_id):
            raise _unknown(deployment_id)

    def last_succeeded(self, key: ResourceKey, version: Version) -> Deployment | None:
        query = (
            sa.select(deployments)
            .where(
                deployments.c.resource == str(key),
                deployments.c.status == DeploymentStatus.SUCCEEDED,
                deployments.c.target_major == version.major,
                deployments.c.target_minor == version.minor,
            )
            .order_by(deployments.c.number.desc())
            .limit(1)
        )
        row = self._transaction.row(query)
        return None if row is None else deployment_of(row)


_ONE = sa.select(deployments).where(deployments.c.id == sa.bindparam("deployment"))
_UNDER_WAY = sa.select(deployments).where(
    deployments.c.resource == sa.bindparam("resource"), deployments.c.status.in_(UNDER_WAY)
)
_RENDERED = sa.select(renders.c.rendered).where(renders.c.deployment == sa.bindparam("deployment"))
_PROPOSAL = sa.select(proposals).where(proposals.c.deployment == sa.bindparam("deployment"))
_TOLD = sa.select(stack_events.c.id).where(stack_events.c.deployment == sa.bindparam("deployment"))


def _unknown(deployment_id: str) -> NotFound:
    return NotFound(f"there is no deployment `{deployment_id}`", cure="`upkeep deployment list` shows the last ones")
