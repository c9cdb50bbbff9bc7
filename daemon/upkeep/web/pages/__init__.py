"""One module for each family of pages."""

from upkeep.web.pages import (
    activity,
    creation,
    deployments,
    drift,
    fleet,
    ownership,
    people,
    programs,
    registry,
    resources,
    rollouts,
    sources,
    updates,
)

BLUEPRINTS = (
    fleet.blueprint,
    registry.blueprint,
    resources.blueprint,
    drift.blueprint,
    deployments.blueprint,
    rollouts.blueprint,
    sources.blueprint,
    activity.blueprint,
    people.blueprint,
    programs.blueprint,
)
"""All of them, for the application to serve."""

ON_RESOURCES = (creation, ownership, updates)
"""What people do with resources: these add their pages to `resources.blueprint`."""
