"""Namespaces: the names a template may use, part by part, and the values behind them.

The names are those of AWS Proton's user guide, page "AWS Proton parameters" (CloudFormation and Jinja).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from upkeep.domain.parts import Part
from upkeep.domain.resources import Inputs, Outputs, Repository

Namespace = Mapping[str, Any]
"""Values by top-level name: maps, lists, texts, numbers and booleans only, so that it can be written as JSON."""


@dataclass(frozen=True, slots=True)
class EnvironmentFacts:
    """An environment as templates see it. `inputs` are for its own template, `outputs` for those that live in it."""

    name: str
    account_id: str | None = None
    inputs: Inputs = field(default_factory=dict)
    outputs: Outputs = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """A service as templates see it."""

    name: str
    repository: Repository = field(default_factory=Repository)


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """A service instance as templates see it. `inputs` are merged with the defaults of the version it runs."""

    name: str
    environment: EnvironmentFacts
    inputs: Inputs = field(default_factory=dict)
    outputs: Outputs = field(default_factory=dict)


def environment_namespace(environment: EnvironmentFacts) -> dict[str, Any]:
    """The namespace of an environment template."""
    return {"environment": {**_identity(environment), "inputs": dict(environment.inputs)}}


def instance_namespace(service: ServiceFacts, instance: InstanceFacts) -> dict[str, Any]:
    """The namespace of a service instance template. No component is attached: that is an empty map."""
    return {
        "environment": {**_identity(instance.environment), "outputs": dict(instance.environment.outputs)},
        "service": _service(service),
        "service_instance": {
            "name": instance.name,
            "inputs": dict(instance.inputs),
            "components": {"default": {}},
        },
    }


def pipeline_namespace(service: ServiceFacts, inputs: Inputs, instances: Iterable[InstanceFacts]) -> dict[str, Any]:
    """The namespace of a pipeline template; the instances come in the order of the service's spec."""
    return {
        "pipeline": {"inputs": dict(inputs)},
        "service": _service(service),
        "service_instances": [
            {
                "name": instance.name,
                "inputs": dict(instance.inputs),
                "outputs": dict(instance.outputs),
                "environment": {**_identity(instance.environment), "outputs": dict(instance.environment.outputs)},
            }
            for instance in instances
        ],
    }


def _identity(environment: EnvironmentFacts) -> dict[str, Any]:
    account = {"account_id": environment.account_id} if environment.account_id else {}
    return {"name": environment.name, **account}


def _service(service: ServiceFacts) -> dict[str, Any]:
    """What is not known is left out: an error that names it is better than an empty value in a stack."""
    repository = {
        "branch_name": service.repository.branch_name,
        "repository_connection_arn": service.repository.repository_connection_arn,
        "repository_id": service.repository.repository_id,
    }
    return {"name": service.name, **{name: value for name, value in repository.items() if value}}


@dataclass(frozen=True, slots=True)
class Shape:
    """What may follow a name: the `members` of a map, or what `each` item of a list is. Neither: anything."""

    members: Mapping[str, "Shape"] | None = None
    each: "Shape | None" = None


ANYTHING = Shape()
"""A value, or a map whose names only the schema or a stack knows."""


def _map(*values: str, **maps: Shape) -> Shape:
    return Shape({**dict.fromkeys(values, ANYTHING), **maps})


_ENVIRONMENT_OF_INSTANCE = _map("name", "account_id", "outputs")
_SERVICE = _map("name", "branch_name", "repository_connection_arn", "repository_id")

SHAPES: Mapping[Part, Mapping[str, Shape]] = {
    Part.ENVIRONMENT: {"environment": _map("name", "account_id", "inputs")},
    Part.INSTANCE: {
        "environment": _ENVIRONMENT_OF_INSTANCE,
        "service": _SERVICE,
        "service_instance": _map("name", "inputs", components=_map(default=_map("name", "outputs"))),
    },
    Part.PIPELINE: {
        "pipeline": _map("inputs"),
        "service": _SERVICE,
        "service_instances": Shape(each=_map("name", "inputs", "outputs", environment=_ENVIRONMENT_OF_INSTANCE)),
    },
}
"""The names of each part's namespace, for checks before any value is known."""

INPUTS_OF: Mapping[Part, Mapping[str, Part]] = {
    Part.ENVIRONMENT: {"environment.inputs": Part.ENVIRONMENT},
    Part.INSTANCE: {"service_instance.inputs": Part.INSTANCE},
    Part.PIPELINE: {"pipeline.inputs": Part.PIPELINE, "service_instances[].inputs": Part.INSTANCE},
}
"""Where inputs stand in each part's namespace, and which part's schema type declares them."""

_MOVED: Mapping[str, str] = {
    "env_name": "environment.name",
    "environment_name": "environment.name",
    "environment_account_id": "environment.account_id",
    "account_id": "environment.account_id",
    "service_name": "service.name",
    "service_instance_name": "service_instance.name",
    "source": "service.repository_id, service.branch_name or service.repository_connection_arn",
}
"""Names of AWS Proton's preview and what replaced them (user guide, page "AWS Proton GA API Migration")."""


def moved_name(part: Part, path: str, name: str) -> str | None:
    """What to write today for a name of AWS Proton's preview; None when it was none.

    `path` is where the name was looked for (`environment`, `service_instances[]`, empty for the top level).
    """
    if not path:
        return _MOVED.get(name)
    if path == "service_instances[]" and name in ("spec", "input"):
        return f"{path}.inputs or {path}.outputs"
    home = {
        "environment": "inputs" if part is Part.ENVIRONMENT else "outputs",
        "service_instance": "inputs",
        "pipeline": "inputs",
        "service_instances[].environment": "outputs",
    }.get(path)
    return f"{path}.{home}.{name}" if home else None


_CURES: Mapping[str, str] = {
    "account_id": "give the environment an account id",
    "branch_name": "give the service a repository",
    "repository_id": "give the service a repository",
    "repository_connection_arn": "give the service a repository",
}


def absent_cure(path: str) -> str | None:
    """What to do when a documented name has no value for this resource, such as `service.branch_name`."""
    place, _, name = path.rpartition(".")
    return _CURES.get(name) if place.endswith(("environment", "service")) else None
