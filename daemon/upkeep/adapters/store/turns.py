"""In which order a transaction keeps rows from changing where many write at once: a template, a service, its parts.

Who decides about a template changes all that runs it, and who moves one resource asks what its template recommends:
each would wait for the other if the second took the resource first. So whoever reads a resource or a service in order
to write holds its template, together with others who do; whoever reads a template, a major or a version holds it alone,
unless it is held already, and so does whoever changes many resources by one statement, which takes them in an order of
its own. Only the first template of a transaction is held for a resource's sake. What is read and not written is not
held at all: an instance looks at its environment, of another template, and a rollout at all of its members.

Whoever moves a part of a service often asks for the other parts as well: one holds a service alone before any of them.

Deployments come before resources, because a worker holds the one that it settles: whoever ends a deployment for a
resource's sake holds it first. SQLite has one writer at a time.
"""

from typing import Any

import sqlalchemy as sa

from upkeep.adapters.store.tables import resources, services, templates
from upkeep.adapters.store.transaction import Transaction
from upkeep.domain.names import ResourceKey


def alone(transaction: Transaction, template: str) -> None:
    """Hold a template until the end, and all that is registered of it."""
    if transaction.many_write and template not in transaction.held:
        transaction.held.add(template)
        transaction.row(_ALONE, template=template)


def for_resource(transaction: Transaction, key: ResourceKey) -> None:
    """Hold the template of a resource together with others, and its service alone."""
    _together(transaction, _FOR_RESOURCE, key=str(key))
    if key.service is not None:
        _parted(transaction, key.service)


def for_service(transaction: Transaction, name: str) -> None:
    """Hold the template of a service together with others, and the service alone."""
    _together(transaction, _FOR_SERVICE, name=name)
    _parted(transaction, name)


def for_all(transaction: Transaction, some: sa.ColumnElement[bool]) -> None:
    """Hold the templates of some resources, by name, and all that is registered of them."""
    query = _NAMES.where(templates.c.name.in_(sa.select(resources.c.template).where(some)))
    _first(transaction, query.order_by(templates.c.name).with_for_update(key_share=True))


def _together(transaction: Transaction, query: sa.Select[Any], **values: Any) -> None:
    _first(transaction, query.with_for_update(read=True), **values)


def _parted(transaction: Transaction, service: str) -> None:
    if transaction.many_write and service not in transaction.parted:
        transaction.parted.add(service)
        transaction.row(_SERVICE, name=service)


def _first(transaction: Transaction, query: sa.Select[Any], **values: Any) -> None:
    if transaction.many_write and not transaction.held:
        transaction.held.update(row.name for row in transaction.rows(query, **values))


_NAMES = sa.select(templates.c.name)
_ALONE = _NAMES.where(templates.c.name == sa.bindparam("template")).with_for_update(key_share=True)
_SERVICE = sa.select(services.c.name).where(services.c.name == sa.bindparam("name")).with_for_update(key_share=True)
_FOR_RESOURCE = _NAMES.where(
    templates.c.name == sa.select(resources.c.template).where(resources.c.key == sa.bindparam("key")).scalar_subquery()
)
_FOR_SERVICE = _NAMES.where(
    templates.c.name == sa.select(services.c.template).where(services.c.name == sa.bindparam("name")).scalar_subquery()
)
