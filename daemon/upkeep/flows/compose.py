"""Compose: bring together what a resource's template is rendered from. Reads rows only; rendering comes after."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from upkeep.domain.bundles import TemplateFile
from upkeep.domain.deployments import State
from upkeep.domain.resources import Resource
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
    raise NotImplementedError
