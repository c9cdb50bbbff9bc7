"""Environments, services, instances and pipelines: what each runs, is asked for, and could take."""

from collections.abc import Sequence
from dataclasses import dataclass

from upkeep.domain.consoles import console_url
from upkeep.domain.deployments import Deployment
from upkeep.domain.names import ResourceKey, ResourceKind, ResourceName, Version
from upkeep.domain.resources import Resource, Service
from upkeep.domain.sources import Source
from upkeep.domain.versions import Template, TemplateVersion, VersionState
from upkeep.flows.browse.fleet import FleetRow, rows_of
from upkeep.flows.deploy import left_behind
from upkeep.flows.measure import offered_to
from upkeep.flows.ports import FleetFilter, FleetOrder, Unit

PAGE = 50
"""Environments or services on a page."""

HISTORY = 20
"""Deployments shown of one resource."""


@dataclass(frozen=True, slots=True)
class EnvironmentsView:
    """A page of environments, by name, and the cursor of the next page."""

    rows: tuple[FleetRow, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """A service, which is never deployed itself, with what was."""

    service: Service
    parts: tuple[FleetRow, ...]

    @property
    def instances(self) -> tuple[FleetRow, ...]:
        """Its instances, by name."""
        return tuple(row for row in self.parts if row.resource.key.kind is ResourceKind.INSTANCE)

    @property
    def pipeline(self) -> FleetRow | None:
        """Its pipeline, when its template has one."""
        return next((row for row in self.parts if row.resource.key.kind is ResourceKind.PIPELINE), None)

    @property
    def behind(self) -> int:
        """How many of its parts are behind."""
        return sum(row.resource.lag.behind for row in self.parts)


@dataclass(frozen=True, slots=True)
class ServicesView:
    """A page of services, by name; `next` is the name the next page starts behind."""

    rows: tuple[ServiceRow, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class ResourceView:
    """One resource's page.

    `missed` are the published versions it could take that are newer than its own, newest first. `inhabitants`
    are what lives in an environment. `under_way` is a deployment whose outcome is still to come. `console` is its
    stack's page in AWS; `forgettable` says that it may be taken off our books by itself, or deleted. `older` is the id
    the next page of deployments starts behind. `source` is where the template is read from, None when nothing reads it
    any more; `folder_gone` says that the folder of its major is gone from there. `leftover` is the stack that a failed
    creation left behind.
    """

    resource: Resource
    template: Template
    due: Version | None
    running: TemplateVersion | None
    missed: tuple[TemplateVersion, ...]
    deployments: tuple[Deployment, ...]
    older: str | None
    under_way: Deployment | None
    service: Service | None
    siblings: tuple[FleetRow, ...]
    inhabitants: tuple[FleetRow, ...]
    console: str | None
    source: Source | None
    folder_gone: bool
    leftover: str | None
    owners: tuple[str, ...]

    @property
    def forgettable(self) -> bool:
        """Whether nothing needs it, and no deployment is on its way."""
        if self.under_way is not None and self.under_way.stall is None:
            return False
        match self.resource.key.kind:
            case ResourceKind.ENVIRONMENT:
                return not self.inhabitants
            case ResourceKind.INSTANCE:
                return any(row.resource.key.kind is ResourceKind.INSTANCE for row in self.siblings)
        return False


def environments(unit: Unit, cursor: str | None = None) -> EnvironmentsView:
    """A page of environments behind `cursor`."""
    page = unit.fleet.page(FleetFilter(kind=ResourceKind.ENVIRONMENT), FleetOrder.NAME, cursor, PAGE)
    return EnvironmentsView(rows_of(unit, page.resources), page.next)


def services(unit: Unit, after: str = "") -> ServicesView:
    """A page of services whose names come after `after`."""
    left = sorted((s for s in unit.fleet.services() if s.name > after), key=lambda service: service.name)
    shown = left[:PAGE]
    return ServicesView(
        tuple(service_row(unit, service) for service in shown),
        shown[-1].name if len(left) > PAGE else None,
    )


def service(unit: Unit, name: str) -> ServiceRow:
    """One service with its instances and its pipeline."""
    return service_row(unit, unit.fleet.service(name))


def service_row(unit: Unit, found: Service) -> ServiceRow:
    """A service put together with its parts."""
    return ServiceRow(found, rows_of(unit, unit.fleet.of_service(found.name)))


def resource(unit: Unit, key: ResourceKey, before: str | None = None) -> ResourceView:
    """Everything about one resource, with the deployments older than the one with the id `before`."""
    found = unit.fleet.get(key)
    (row,) = rows_of(unit, [found])
    family = unit.registry.template(found.template)
    owner = key.service if key.kind is not ResourceKind.ENVIRONMENT else None
    history = unit.deployments.of_resource(key, HISTORY + 1, before)
    running_on = found.version or (history[0].target.version if history else family.recommended)
    major = unit.registry.find_major(family.name, running_on.major) if running_on is not None else None
    return ResourceView(
        resource=found,
        template=family,
        due=row.due,
        running=unit.registry.find_version(family.name, found.version) if found.version is not None else None,
        missed=_missed(unit, found),
        deployments=tuple(history[:HISTORY]),
        older=history[HISTORY - 1].id if len(history) > HISTORY else None,
        under_way=unit.deployments.under_way(key),
        service=unit.fleet.service(owner) if owner is not None else None,
        siblings=_siblings(unit, key, owner),
        inhabitants=rows_of(unit, unit.fleet.in_environment(key.name)) if key.kind is ResourceKind.ENVIRONMENT else (),
        console=console_url(found.stack),
        source=unit.sources.get(family.source) if family.source is not None else None,
        folder_gone=major is not None and major.removed_at is not None,
        leftover=left_behind(unit, found),
        owners=tuple(unit.fleet.owners()),
    )


def _missed(unit: Unit, found: Resource) -> tuple[TemplateVersion, ...]:
    if found.version is None:
        return ()
    due = offered_to(unit, found.template, found.version.major)
    return tuple(
        entry
        for entry in unit.registry.versions(found.template)
        if entry.state is VersionState.PUBLISHED and due is not None and found.version < entry.version <= due
    )


def _siblings(unit: Unit, key: ResourceKey, owner: ResourceName | None) -> tuple[FleetRow, ...]:
    if owner is None:
        return ()
    others: Sequence[Resource] = [r for r in unit.fleet.of_service(owner) if r.key != key]
    return rows_of(unit, others)
