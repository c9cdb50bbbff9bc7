"""One module for each family of pages."""

from upkeep.web.pages import activity, deployments, drift, fleet, people, registry, resources, rollouts, sources

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
)
"""All of them, for the application to serve."""
