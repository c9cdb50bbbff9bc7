"""Spec documents: what is asked of things that run, written as their owners would write it."""

from dataclasses import replace

from upkeep.domain import specs
from upkeep.domain.names import ResourceKind
from upkeep.domain.resources import Inputs, Resource, Service
from upkeep.domain.specs import InstanceSpec, ServiceSpec
from upkeep.flows.ports import Unit


def asked_inputs(unit: Unit, resource: Resource) -> Inputs:
    """The inputs that a resource runs with, or that it is being deployed with."""
    if resource.last_deployment is None or (resource.version is not None and not resource.status.under_way):
        return resource.inputs
    return unit.deployments.get(resource.last_deployment).target.inputs


def environment_document(unit: Unit, environment: Resource) -> str:
    """The spec of an environment."""
    return specs.written_environment_spec(asked_inputs(unit, environment))


def service_document(unit: Unit, service: Service) -> str:
    """The one spec of a service: as it was given, unless a part of it was updated by itself since."""
    given = specs.parse_service_spec(service.spec)
    now = current_spec(unit, service, given)
    return service.spec if now == given else specs.written_service_spec(now.pipeline, now.instances)


def current_spec(unit: Unit, service: Service, given: ServiceSpec | None = None) -> ServiceSpec:
    """What a service's parts are asked for now, in the order of its spec. Instances on their way out are not in it."""
    given = given or specs.parse_service_spec(service.spec)
    parts = unit.fleet.of_service(service.name)
    instances = {str(part.key.name): part for part in parts if part.key.kind is ResourceKind.INSTANCE}
    there = [one for one in given.instances if one.name in instances]
    kept = [replace(one, inputs=asked_inputs(unit, instances[one.name])) for one in there]
    listed = {one.name for one in given.instances}
    kept += [
        InstanceSpec(name, str(part.environment), asked_inputs(unit, part))
        for name, part in instances.items()
        if name not in listed and not part.status.leaving
    ]
    pipeline = next((part for part in parts if part.key.kind is ResourceKind.PIPELINE), None)
    inputs = given.pipeline if pipeline is None else asked_inputs(unit, pipeline)
    return ServiceSpec(inputs if inputs or given.pipeline is not None else None, tuple(kept))
