"""Plans in the store."""

import json
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from upkeep.adapters.store.columns import Json, Name
from upkeep.adapters.store.rows import proposal_in, proposal_of, proposal_values, version_in
from upkeep.adapters.store.tables import plans, resources, services, versions
from upkeep.adapters.store.transaction import Transaction
from upkeep.domain.changesets import Proposal
from upkeep.domain.errors import Conflict, NotFound
from upkeep.domain.names import ResourceKey, TemplateName, Version, parse_resource_key
from upkeep.domain.plans import Grounds, Plan, outlook
from upkeep.domain.resources import Placement

_TOLD = [column for column in plans.c if column.name != "rendered"]
_APPROVED = sa.select(*_TOLD).where(plans.c.deployment == sa.bindparam("deployment"))


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
        row = self._transaction.row(_APPROVED, deployment=deployment_id)
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

    def last(self, key: ResourceKey, version: Version) -> Plan | None:
        query = (
            sa.select(*_TOLD)
            .where(plans.c.resource == str(key), plans.c.major == version.major, plans.c.minor == version.minor)
            .order_by(plans.c.number.desc())
            .limit(1)
        )
        row = self._transaction.row(query)
        return None if row is None else _plan_of(row)

    def outlooks(self, keys: Collection[ResourceKey]) -> Mapping[tuple[ResourceKey, Version], Proposal | None]:
        known = {str(key): key for key in keys}
        found = self._transaction.rows(_OUTLOOKS, keys=list(known)) if known else ()
        # Sorted here, for a database may walk all numbers rather than sort a few rows.
        return {
            (known[resource], Version(major, minor)): _outlook(major, minor, *said)
            for resource, major, minor, *said, _ in map(tuple, sorted(found, key=itemgetter(-1)))
        }


def _unread(table: sa.FromClause, *names: str) -> Iterator[sa.ColumnElement[Any]]:
    """Some columns, with JSON as the text it is."""
    for column in (table.c[name] for name in names):
        yield sa.type_coerce(column, sa.Text) if isinstance(column.type, Json) else column


_KEYS: sa.BindParameter[str] = sa.bindparam("keys", expanding=True)
_home = resources.alias("home")
_OUTLOOKS = (
    sa.select(
        plans.c.resource,
        plans.c.major,
        plans.c.minor,
        *_unread(plans, "inputs", "digest", "deployment", "state", "changes", "reason", "stack"),
        *_unread(resources, "major", "minor", "inputs", "stack", "last_deployment", "tags"),
        versions.c.tree,
        services.c.spec,
        *_unread(_home, "outputs", "account_id", "region", "role_arn", "external_id"),
        plans.c.number,
    )
    .join(resources, resources.c.key == plans.c.resource)
    .outerjoin(
        versions,
        sa.and_(
            versions.c.template == plans.c.template,
            versions.c.major == plans.c.major,
            versions.c.minor == plans.c.minor,
        ),
    )
    .outerjoin(services, services.c.name == resources.c.service)
    .outerjoin(
        _home,
        _home.c.key
        == sa.func.coalesce(sa.literal_column("'environment/'", Name) + resources.c.environment, resources.c.key),
    )
    # The second says nothing new, but keeps PostgreSQL from reading all resources for the half of them on a large page.
    .where(plans.c.resource.in_(_KEYS), resources.c.key.in_(_KEYS))
)


@lru_cache(maxsize=500)
def _outlook(*said: Any) -> Proposal | None:
    """What a row of it comes to. The same rows are read and compared again and again, for every list they are in: what
    the last ones came to is kept by all that they say."""
    to_major, to_minor, asked, digest, deployment, state, changes, reason, stack, *rest = said
    major, minor, inputs, running_stack, last_deployment, tags, tree, spec, outputs, *placement = rest
    if state is None or deployment is not None:
        return None
    grounds = Grounds(
        running=version_in(major, minor),
        inputs=json.loads(inputs),
        stack=running_stack,
        last_deployment=last_deployment,
        tags=json.loads(tags) if tags is not None else {},
        tree=tree,
        spec=spec,
        home=None if outputs is None else (json.loads(outputs), Placement(*(text or "" for text in placement))),
    )
    proposal = proposal_in(state, json.loads(changes), reason, stack)
    return outlook(proposal, digest, Version(to_major, to_minor), json.loads(asked), grounds)


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
