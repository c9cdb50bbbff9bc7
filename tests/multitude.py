"""A fleet as large as it is wanted, written by the thousand: what pages and statements are measured on."""

from collections.abc import Iterator
from dataclasses import astuple
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from tests import builders
from upkeep.adapters.store import rows, tables
from upkeep.adapters.store.fleet import urgency
from upkeep.domain import events
from upkeep.domain.changesets import Proposal, ProposalState, StackChange
from upkeep.domain.deployments import DeploymentStatus
from upkeep.domain.lag import Lag, Standing
from upkeep.domain.names import TemplateName, Version, environment_key, instance_key, parse_version
from upkeep.domain.plans import digest_of
from upkeep.domain.resources import Counters, Resource, Service
from upkeep.domain.tallies import WHOLE_FLEET
from upkeep.domain.versions import Major, Template, TemplateKind, VersionState

BUSY = TemplateName("svc-0000")
"""The template that a tenth of all resources run, and that has 500 versions."""

_PIECE = 5000
_PROPOSAL = Proposal(
    ProposalState.READY, (StackChange("Modify", "Table", "AWS::DynamoDB::Table", "t-1", "True", ("Properties",)),)
)


def fill(connection: sa.Connection, now: datetime, resources: int, templates: int, sources: int = 1000) -> None:
    """Fill an empty database. One in ten resources is an environment; one in three is behind."""
    _insert(connection, tables.sources, _sources(sources, now))
    _insert(connection, tables.templates, _templates(templates, sources, now))
    _insert(connection, tables.majors, _majors(templates))
    _insert(connection, tables.versions, _versions(templates, now))
    _insert(connection, tables.services, _services(resources, templates, now))
    _insert(connection, tables.resources, _resources(resources, templates, now))
    _count(connection)
    _insert(connection, tables.deployments, _deployments(resources, now))
    _insert(connection, tables.journal, _journal(resources, templates, now))
    _insert(connection, tables.tallies, _tallies(templates, now))
    _insert(connection, tables.plans, _plans(resources, templates, now))
    connection.execute(sa.text("ANALYZE"))


def _insert(connection: sa.Connection, table: sa.Table, values: Iterator[dict[str, Any]]) -> None:
    piece: list[dict[str, Any]] = []
    for row in values:
        piece.append(row)
        if len(piece) == _PIECE:
            connection.execute(sa.insert(table), piece)
            piece = []
    if piece:
        connection.execute(sa.insert(table), piece)


def _count(connection: sa.Connection) -> None:
    place = [column.name for column in tables.headcounts.c if column.name not in ("number", "resources")]
    columns = [tables.resources.c[name] for name in place]
    counted = sa.select(*columns, sa.func.count()).group_by(*columns)
    connection.execute(sa.insert(tables.headcounts).from_select([*place, "resources"], counted))


def _name(number: int) -> TemplateName:
    return TemplateName(f"{'env' if number % 5 == 4 else 'svc'}-{number:04}")


def _sources(count: int, now: datetime) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield rows.source_values(
            builders.a_source(f"source-{number:04}", checked_at=now - timedelta(seconds=number), next_poll_at=now)
        )


def _templates(count: int, sources: int, now: datetime) -> Iterator[dict[str, Any]]:
    for number in range(count):
        name = _name(number)
        kind = TemplateKind.ENVIRONMENT if name.startswith("env") else TemplateKind.SERVICE
        source = f"source-{number % sources:04}"
        yield rows.template_values(Template(name, kind, source, name, now, Version(1, 3)))


def _majors(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield rows.major_values(Major(_name(number), 1, f"{_name(number)}/v1", 4, 3))


def _versions(count: int, now: datetime) -> Iterator[dict[str, Any]]:
    for number in range(count):
        for minor in range(500 if number == 0 else 4):
            state = VersionState.DRAFT if number % 20 == 1 and minor == 3 else VersionState.PUBLISHED
            at = now - timedelta(days=40 - minor % 40)
            yield rows.version_values(
                builders.a_version(
                    _name(number),
                    f"1.{minor}",
                    state=state,
                    created_at=at,
                    published_at=at,
                    published_by="admin",
                )
            )


def _services(resources: int, templates: int, now: datetime) -> Iterator[dict[str, Any]]:
    for number in range(resources // 3):
        yield rows.service_values(
            Service(f"service-{number:06}", _template_of(number, templates), "spec: {}", now, f"team-{number % 300:03}")
        )


def _template_of(number: int, templates: int) -> TemplateName:
    if number % 10 == 0 or templates == 1:
        return BUSY
    at = number % templates
    return _name(at if at % 5 != 4 else at - 1)


def _resources(count: int, templates: int, now: datetime) -> Iterator[dict[str, Any]]:
    for number in range(count):
        resource = _resource(number, templates, now)
        yield {
            **rows.resource_values(resource),
            "failed": int(resource.status.failed),
            "urgency": urgency(resource.lag, failed=resource.status.failed, replaces=resource.replaces),
        }


def _resource(number: int, templates: int, now: datetime) -> Resource:
    minor = 3 - (number % 3 == 0) * (1 + number % 2)
    lag = Lag(Standing.UP_TO_DATE)
    if minor < 3:
        lag = Lag(Standing.BEHIND_MINOR, 3 - minor, 0, now - timedelta(days=1 + number % 200, seconds=number))
    status = DeploymentStatus.SUCCEEDED
    if number % 500 == 0:
        status = DeploymentStatus.FAILED
    elif number % 501 == 0:
        status = DeploymentStatus.IN_PROGRESS
    environment = number % 10 == 9
    at = min(5 * (number % max(templates // 5, 1)) + 4, templates - 1)
    service = f"service-{number // 3:06}"
    return Resource(
        key=environment_key(f"environment-{number:06}") if environment else instance_key(service, f"i-{number}"),
        template=_name(at) if environment else _template_of(number, templates),
        status=status,
        created_at=now - timedelta(days=200),
        version=parse_version(f"1.{minor}"),
        inputs={"cidr": "10.0.0.0/16", "size": number},
        outputs={"Url": f"https://{number}.example.com"},
        owner=None if number % 7 == 0 else f"team-{number % 300:03}",
        environment=None if environment else f"environment-{number // 100 * 100 + 9:06}",
        lag=lag,
        stack=f"arn:aws:cloudformation:eu-west-1:123456789012:stack/s-{number}/1",
        last_deployment=f"d-{number}",
        deployed_at=now - timedelta(days=100),
    )


def _deployments(resources: int, now: datetime) -> Iterator[dict[str, Any]]:
    for number in range(resources):
        key = _resource(number, 1000, now).key
        status = DeploymentStatus.SUCCEEDED
        if number % 500 == 0:
            status = DeploymentStatus.FAILED
        elif number % 501 == 0:
            status = DeploymentStatus.IN_PROGRESS
        resource = builders.a_resource(key, BUSY)
        yield rows.deployment_values(
            builders.a_deployment(resource, "1.1", f"d-{number}", status=status, asked_by=f"dev-{number % 50}")
        )


def _journal(count: int, templates: int, now: datetime) -> Iterator[dict[str, Any]]:
    for number in range(count):
        published = number % 100 == 0
        event: Any = (
            events.VersionPublished(f"template/{_name(number % templates)}", "1.3", None, 3)
            if published
            else events.OwnerChanged(f"instance/service-{number // 3:06}/i-{number}", None, "team")
        )
        yield {
            "at": now - timedelta(minutes=count - number),
            "kind": events.kind_of(event),
            "subject": event.subject,
            "actor": f"dev-{number % 50}",
            "via": "web" if number % 2 else "cli",
            "facts": events.facts_of(event),
        }


def _tallies(templates: int, now: datetime) -> Iterator[dict[str, Any]]:
    for number in range(-1, templates):
        name = WHOLE_FLEET if number < 0 else _name(number)
        spans = 136 if number <= 0 else 3
        for span in range(spans):
            counted = Counters(behind_minor=(number * 7 + span) % 90, up_to_date=60, failed=1)
            yield {
                "template": name,
                "at": (
                    now - timedelta(hours=(spans - span) if spans - span < 48 else 24 * (spans - span - 46))
                ).replace(minute=0, second=0, microsecond=0),
                "undeployed": 0,
                "up_to_date": counted.up_to_date,
                "behind_minor": counted.behind_minor,
                "behind_major": 0,
                "ahead": 0,
                "failed": 1,
                "last": span == spans - 1,
            }


def _plans(resources: int, templates: int, now: datetime) -> Iterator[dict[str, Any]]:
    for number in range(0, resources, 3):
        resource = _resource(number, templates, now)
        yield {
            "id": f"p-{number}",
            "resource": str(resource.key),
            "template": resource.template,
            "major": 1,
            "minor": 3,
            "inputs": dict(resource.inputs),
            "asked_by": "daemon",
            "asked_at": now,
            "digest": _digest_of(resource, now, templates),
            **{
                name: value
                for name, value in rows.proposal_values("", _PROPOSAL).items()
                if name in ("state", "changes")
            },
            "made_at": now,
        }


def _digest_of(resource: Resource, now: datetime, templates: int) -> str:
    """What `flows.plan` would make of it, so that the plan holds."""
    home = resource
    if resource.environment is not None:
        home = _resource(int(resource.environment.rpartition("-")[2]), templates, now)
    return digest_of(
        [
            str(resource.version),
            resource.inputs,
            resource.stack,
            resource.last_deployment,
            resource.tags,
            "1.3",
            builders.a_version(resource.template, "1.3").tree,
            resource.inputs,
            "spec: {}" if resource.key.service else None,
            [home.outputs, *astuple(home.placement)],
        ]
    )
