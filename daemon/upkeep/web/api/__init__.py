"""The API: everything that the pages and the command line can do, for programs."""

from upkeep.web.api import (
    activity,
    deployments,
    document,
    environments,
    lag,
    people,
    resources,
    rollouts,
    services,
    sources,
    templates,
    versions,
)
from upkeep.web.api.operations import asked_for, blueprint, number_request

__all__ = [
    "activity",
    "asked_for",
    "blueprint",
    "deployments",
    "document",
    "environments",
    "lag",
    "number_request",
    "people",
    "resources",
    "rollouts",
    "services",
    "sources",
    "templates",
    "versions",
]
