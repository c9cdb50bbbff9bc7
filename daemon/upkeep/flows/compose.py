"""Compose: bring together what a resource's template is rendered from. Reads rows only; rendering comes after."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from upkeep.domain import bundles, schemas, specs
from upkeep.domain.bundles import Inspection, TemplateFile
from upkeep.domain.deployments import State
from upkeep.domain.errors import BundleError
from upkeep.domain.names import ResourceKind, ResourceName, TemplateName, Version, environment_key
from upkeep.domain.namespaces import (
    EnvironmentFacts,
    InstanceFacts,
    ServiceFacts,
    environment_namespace,
    instance_namespace,
    pipeline_namespace,
)
from upkeep.domain.parts import Part
from upkeep.domain.resources import Inputs, Resource, Service
from upkeep.domain.schemas import Schema
from upkeep.flows.ports import Unit


@dataclass(frozen=True, slots=True)
class Composition:
    """A template and the namespace it is to be rendered with."""

    template: TemplateFile
    namespace: Mapping[str, Any]


def compose(unit: Unit, resource: Resource, target: State) -> Composition:
    """The template of the target version's part for this resource, with its namespace: inputs merged with the
    schema's defaults, the environment's outputs, and for a pipeline all instances of its service.

    Raises CallerError when the inputs do not fit the schema, BundleError when the version has no such part.
    """
    return Composer(unit).compose(resource, target)


class Composer:
    """Composes for many resources within one transaction, and reads each row it needs once."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._bundles: dict[tuple[TemplateName, Version], _Read] = {}
        self._services: dict[ResourceName, Service] = {}
        self._environments: dict[ResourceName | None, EnvironmentFacts] = {}
        self._instances: dict[ResourceName, Sequence[InstanceFacts]] = {}

    def compose(self, resource: Resource, target: State) -> Composition:
        """As the function of this name."""
        part = Part(resource.key.kind.value)
        read = self._bundle(resource.template, target.version)
        template = read.inspection.templates.get(part)
        if template is None:
            raise BundleError(
                f"{resource.template} {target.version} has no {part} template",
                where=part.folder,
                cure=f"choose a version with a `{part.folder}` folder",
            )
        return Composition(template, self._namespace(resource, part, read.merged(part, target.inputs)))

    def is_customer_managed(self, resource: Resource, version: Version) -> bool:
        """Whether a version has a schema and no infrastructure of its own: there is nothing to render."""
        return self._bundle(resource.template, version).inspection.customer_managed

    def _namespace(self, resource: Resource, part: Part, inputs: Inputs) -> Mapping[str, Any]:
        if part is Part.ENVIRONMENT:
            return environment_namespace(EnvironmentFacts(resource.key.name, resource.account_id, inputs))
        service = self._service(resource.key.service or resource.key.name)
        facts = ServiceFacts(service.name, service.repository)
        if part is Part.PIPELINE:
            return pipeline_namespace(facts, inputs, self._instances_of(service))
        home = self._environment(resource.environment)
        return instance_namespace(facts, InstanceFacts(resource.key.name, home, inputs, resource.outputs))

    def _instances_of(self, service: Service) -> Sequence[InstanceFacts]:
        """The instances that the service's spec lists, in its order."""
        if service.name not in self._instances:
            known = {
                resource.key.name: resource
                for resource in self._unit.fleet.of_service(service.name)
                if resource.key.kind is ResourceKind.INSTANCE
            }
            listed = [ResourceName(instance.name) for instance in specs.parse_service_spec(service.spec).instances]
            self._instances[service.name] = [self._instance(known[name]) for name in listed if name in known]
        return self._instances[service.name]

    def _instance(self, instance: Resource) -> InstanceFacts:
        """A service instance as its pipeline sees it: with the inputs of what it runs, or is first deployed to."""
        state = State(instance.version, instance.inputs) if instance.version else self._first_target(instance)
        inputs: Inputs = {}
        if state is not None:
            inputs = self._bundle(instance.template, state.version).merged(Part.INSTANCE, state.inputs)
        return InstanceFacts(instance.key.name, self._environment(instance.environment), inputs, instance.outputs)

    def _first_target(self, instance: Resource) -> State | None:
        asked = self._unit.deployments.of_resource(instance.key, limit=1)
        return asked[0].target if asked else None

    def _service(self, name: ResourceName) -> Service:
        if name not in self._services:
            self._services[name] = self._unit.fleet.service(name)
        return self._services[name]

    def _environment(self, name: ResourceName | None) -> EnvironmentFacts:
        if name not in self._environments:
            found = self._unit.fleet.get(environment_key(name or ""), kept=False)
            self._environments[name] = EnvironmentFacts(found.key.name, found.account_id, outputs=found.outputs)
        return self._environments[name]

    def _bundle(self, template: TemplateName, version: Version) -> "_Read":
        if (template, version) not in self._bundles:
            self._bundles[template, version] = _read(self._unit, self._unit.registry.version(template, version).tree)
        return self._bundles[template, version]


# ------------------------------------------------------------------------------------------- reading bundles


@dataclass(frozen=True, slots=True)
class _Read:
    """A bundle's inspection and its parsed schema."""

    inspection: Inspection
    schema: Schema | None

    def merged(self, part: Part, given: Inputs) -> Inputs:
        return specs.merge(self.schema.inputs_of(part) if self.schema else None, given)


_KEPT = 64
"""So many inspections are kept. They are found by tree id, which names their content, so they never grow old."""

_read_before: OrderedDict[str, _Read] = OrderedDict()
_lock = threading.Lock()


def _read(unit: Unit, tree: str) -> _Read:
    with _lock:
        if tree in _read_before:
            _read_before.move_to_end(tree)
            return _read_before[tree]
    inspection = bundles.inspect(unit.registry.bundle(tree), None)
    read = _Read(inspection, schemas.parse(inspection.schema) if inspection.schema is not None else None)
    with _lock:
        _read_before[tree] = read
        while len(_read_before) > _KEPT:
            _read_before.popitem(last=False)
    return read
