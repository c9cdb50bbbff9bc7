"""Compose: bring together what a resource's template is rendered from. Reads rows only; rendering comes after."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
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
from upkeep.domain.resources import Inputs, Resource
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
    part = Part(resource.key.kind.value)
    read = _read(unit, resource.template, target.version)
    template = read.inspection.templates.get(part)
    if template is None:
        raise BundleError(
            f"{resource.template} {target.version} has no {part} template",
            where=part.folder,
            cure=f"choose a version with a `{part.folder}` folder",
        )
    return Composition(template, _namespace(unit, resource, part, read.merged(part, target.inputs)))


def is_customer_managed(unit: Unit, resource: Resource, version: Version) -> bool:
    """Whether a version has a schema and no infrastructure of its own: there is nothing to render."""
    return _read(unit, resource.template, version).inspection.customer_managed


def _namespace(unit: Unit, resource: Resource, part: Part, inputs: Inputs) -> Mapping[str, Any]:
    if part is Part.ENVIRONMENT:
        return environment_namespace(EnvironmentFacts(resource.key.name, resource.account_id, inputs))
    service = unit.fleet.service(resource.key.service or resource.key.name)
    facts = ServiceFacts(service.name, service.repository)
    if part is Part.INSTANCE:
        instance = InstanceFacts(resource.key.name, _environment(unit, resource.environment), inputs, resource.outputs)
        return instance_namespace(facts, instance)
    instances = {
        other.key.name: other
        for other in unit.fleet.of_service(service.name)
        if other.key.kind is ResourceKind.INSTANCE
    }
    wanted = [instances.get(ResourceName(asked.name)) for asked in specs.parse_service_spec(service.spec).instances]
    return pipeline_namespace(facts, inputs, [_instance(unit, other) for other in wanted if other is not None])


def _instance(unit: Unit, instance: Resource) -> InstanceFacts:
    """A service instance as its pipeline sees it: with the inputs of what it runs, or is first deployed to."""
    state = State(instance.version, instance.inputs) if instance.version else _first_target(unit, instance)
    inputs = _read(unit, instance.template, state.version).merged(Part.INSTANCE, state.inputs) if state else {}
    return InstanceFacts(instance.key.name, _environment(unit, instance.environment), inputs, instance.outputs)


def _first_target(unit: Unit, instance: Resource) -> State | None:
    asked = unit.deployments.of_resource(instance.key, limit=1)
    return asked[0].target if asked else None


def _environment(unit: Unit, name: ResourceName | None) -> EnvironmentFacts:
    environment = unit.fleet.get(environment_key(name or ""))
    return EnvironmentFacts(environment.key.name, environment.account_id, outputs=environment.outputs)


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


def _read(unit: Unit, template: TemplateName, version: Version) -> _Read:
    tree = unit.registry.version(template, version).tree
    with _lock:
        if tree in _read_before:
            _read_before.move_to_end(tree)
            return _read_before[tree]
    inspection = bundles.inspect(unit.registry.bundle(tree))
    read = _Read(inspection, schemas.parse(inspection.schema) if inspection.schema is not None else None)
    with _lock:
        _read_before[tree] = read
        while len(_read_before) > _KEPT:
            _read_before.popitem(last=False)
    return read
