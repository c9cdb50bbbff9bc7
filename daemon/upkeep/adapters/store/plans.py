"""Plans in the store."""

from collections.abc import Collection, Mapping
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from upkeep.adapters.store.rows import proposal_of, proposal_values
from upkeep.adapters.store.tables import plans
from upkeep.adapters.store.transaction import Transaction
from upkeep.domain.errors import Conflict, NotFound
from upkeep.domain.names import ResourceKey, TemplateName, Version, parse_resource_key
from upkeep.domain.plans import Plan

_TOLD = [column for column in plans.c if column.name != "rendered"]


class Plans:
    """The flows' PlanBook."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def add(self, plan: Plan) -> None:
        self._transaction.remove(
            plans,
            sa.and_(
                plans.c.resource == str(plan.resource),
                plans.c.major == plan.version.major,
                plans.c.minor == plan.version.minor,
                plans.c.made_at.is_not(None),
                plans.c.deployment.is_(None),
            ),
        )
        if not self._transaction.insert(plans, _values(plan)):
            raise Conflict(f"plan {plan.id} exists already", cure="ask for a new one")

    def find(self, plan_id: str) -> Plan | None:
        query = sa.select(*_TOLD).where(plans.c.id == plan_id)
        row = self._transaction.row(self._transaction.kept(query))
        return None if row is None else _plan_of(row)

    def save(self, plan: Plan) -> None:
        if not self._transaction.change(plans, plans.c.id == plan.id, _values(plan)):
            raise NotFound(f"there is no plan `{plan.id}`", cure="check it again")

    def keep_rendered(self, plan_id: str, rendered: str) -> None:
        self._transaction.change(plans, plans.c.id == plan_id, {"rendered": rendered})

    def rendered(self, plan_id: str) -> str | None:
        row = self._transaction.row(sa.select(plans.c.rendered).where(plans.c.id == plan_id))
        return None if row is None else row.rendered

    def approved_by(self, deployment_id: str) -> Plan | None:
        row = self._transaction.row(sa.select(*_TOLD).where(plans.c.deployment == deployment_id))
        return None if row is None else _plan_of(row)

    def latest(self, template: TemplateName, version: Version) -> Mapping[ResourceKey, Plan]:
        query = (
            sa.select(*_TOLD)
            .where(plans.c.template == template, plans.c.major == version.major, plans.c.minor == version.minor)
            .order_by(plans.c.number)
        )
        return {found.resource: found for found in map(_plan_of, self._transaction.rows(query))}

    def standing(self, template: TemplateName, version: Version) -> tuple[int, int]:
        query = sa.select(sa.func.max(plans.c.number), sa.func.count(plans.c.made_at)).where(
            plans.c.template == template, plans.c.major == version.major, plans.c.minor == version.minor
        )
        last, made = self._transaction.connection.execute(query).one()
        return last or 0, made

    def of_resources(self, keys: Collection[ResourceKey]) -> Mapping[tuple[ResourceKey, Version], Plan]:
        query = sa.select(*_TOLD).where(plans.c.resource.in_([str(key) for key in keys]))
        # Sorted here, for a database may walk all numbers rather than sort a few rows.
        found = map(_plan_of, sorted(self._transaction.rows(query), key=attrgetter("number")))
        return {(plan.resource, plan.version): plan for plan in found}


def _values(plan: Plan) -> dict[str, Any]:
    told = proposal_values("", plan.proposal) if plan.proposal is not None else {}
    return {
        "id": plan.id,
        "resource": str(plan.resource),
        "template": plan.template,
        "major": plan.version.major,
        "minor": plan.version.minor,
        "inputs": plan.inputs,
        "asked_by": plan.asked_by,
        "asked_at": plan.asked_at,
        "digest": plan.digest,
        "handle": plan.handle,
        "state": told.get("state"),
        "changes": told.get("changes"),
        "reason": told.get("reason"),
        "stack": told.get("stack"),
        "failure": plan.failure,
        "made_at": plan.made_at,
        "deployment": plan.deployment,
    }


def _plan_of(row: Any) -> Plan:
    return Plan(
        id=row.id,
        resource=parse_resource_key(row.resource),
        template=TemplateName(row.template),
        version=Version(row.major, row.minor),
        inputs=row.inputs,
        asked_by=row.asked_by,
        asked_at=row.asked_at,
        digest=row.digest,
        handle=row.handle,
        proposal=None if row.state is None else proposal_of(row),
        failure=row.failure,
        made_at=row.made_at,
        deployment=row.deployment,
    )
