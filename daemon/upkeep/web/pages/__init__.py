"""One module for each family of pages."""

from upkeep.web.pages import activity, deployments, fleet, registry, resources, sources

BLUEPRINTS = (
    fleet.blueprint,
    registry.blueprint,
    resources.blueprint,
    deployments.blueprint,
    sources.blueprint,
    activity.blueprint,
)
"""All of them, for the application to serve."""
