"""Environments, services, instances and pipelines: what each runs, is asked for, and could take."""

from dataclasses import dataclass, replace

from upkeep.domain.consoles import console_url
from upkeep.domain.deployments import Deployment
from upkeep.domain.names import ResourceKey, ResourceKind, ResourceName, Version
from upkeep.domain.resources import Listed, Resource, Service
from upkeep.domain.sources import Source
from upkeep.domain.versions import Template, TemplateVersion, VersionState
from upkeep.flows.browse.fleet import CHOICES, FleetRow, due_of, rows_of
from upkeep.flows.deploy import left_behind
from upkeep.flows.measure import offered_to
from upkeep.flows.ports import FleetFilter, FleetOrder, ServiceFilter, Unit

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

    `missed` are the published versions it could take that are newer than its own, newest first. `inhabitants` are a
    page of what lives in an environment, by name, and `more_inhabitants` is the cursor of the next. `under_way` is a
    deployment whose outcome is still to come. `console` is its stack's page in AWS; `forgettable` says that it may be
    taken off our books by itself, or deleted. `older` is the id the next page of deployments starts behind. `source` is
    where the template is read from, None when nothing reads it any more; `folder_gone` says that the folder of its
    major is gone from there. `leftover` is the stack that a failed creation left behind.
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
    siblings: tuple[Listed, ...]
    inhabited: bool
    inhabitants: tuple[FleetRow, ...]
    more_inhabitants: str | None
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
                return not self.inhabited
            case ResourceKind.INSTANCE:
                return any(other.key.kind is ResourceKind.INSTANCE for other in self.siblings)
        return False


def environments(unit: Unit, wanted: FleetFilter, cursor: str | None = None) -> EnvironmentsView:
    """A page of environments behind `cursor`."""
    only = replace(wanted, kind=ResourceKind.ENVIRONMENT)
    page = unit.fleet.listed(only, FleetOrder.NAME, cursor, PAGE)
    return EnvironmentsView(rows_of(unit, page.resources), page.next)


def services(unit: Unit, wanted: ServiceFilter, after: str = "") -> ServicesView:
    """A page of services whose names come after `after`."""
    found = unit.fleet.services(wanted, after, PAGE + 1)
    shown = found[:PAGE]
    parts: dict[str, list[FleetRow]] = {}
    for row in rows_of(unit, unit.fleet.of_services([service.name for service in shown])):
        parts.setdefault(row.resource.key.service or "", []).append(row)
    return ServicesView(
        tuple(ServiceRow(service, tuple(parts.get(service.name, ()))) for service in shown),
        shown[-1].name if len(found) > PAGE else None,
    )


def service(unit: Unit, name: str) -> ServiceRow:
    """One service with its instances and its pipeline."""
    return service_row(unit, unit.fleet.service(name))


def service_row(unit: Unit, found: Service) -> ServiceRow:
    """A service put together with its parts."""
    return ServiceRow(found, rows_of(unit, unit.fleet.of_services([found.name])))


def resource(unit: Unit, key: ResourceKey, before: str | None = None, after: str | None = None) -> ResourceView:
    """Everything about one resource, with the deployments older than the one with the id `before`, and what lives in
    an environment behind the cursor `after`."""
    found = unit.fleet.get(key)
    lives_here = FleetFilter(environment=key.name) if key.kind is ResourceKind.ENVIRONMENT else None
    living = unit.fleet.listed(lives_here, FleetOrder.NAME, after, PAGE) if lives_here is not None else None
    family = unit.registry.template(found.template)
    owner = key.service if key.kind is not ResourceKind.ENVIRONMENT else None
    history = unit.deployments.of_resource(key, HISTORY + 1, before)
    running_on = found.version or (history[0].target.version if history else family.recommended)
    major = unit.registry.find_major(family.name, running_on.major) if running_on is not None else None
    return ResourceView(
        resource=found,
        template=family,
        due=due_of(unit, [found]).get(key),
        running=unit.registry.find_version(family.name, found.version) if found.version is not None else None,
        missed=_missed(unit, found),
        deployments=tuple(history[:HISTORY]),
        older=history[HISTORY - 1].id if len(history) > HISTORY else None,
        under_way=unit.deployments.under_way(key),
        service=unit.fleet.service(owner) if owner is not None else None,
        siblings=_siblings(unit, key, owner),
        inhabited=lives_here is not None and unit.fleet.count(lives_here, 1) > 0,
        inhabitants=rows_of(unit, living.resources) if living is not None else (),
        more_inhabitants=living.next if living is not None else None,
        console=console_url(found.stack),
        source=unit.sources.get(family.source) if family.source is not None else None,
        folder_gone=major is not None and major.removed_at is not None,
        leftover=left_behind(unit, found),
        owners=tuple(unit.fleet.owners(CHOICES)),
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


def _siblings(unit: Unit, key: ResourceKey, owner: ResourceName | None) -> tuple[Listed, ...]:
    return tuple(other for other in unit.fleet.of_services([owner]) if other.key != key) if owner is not None else ()
