"""Deployments: what was tried, what came of it, and why."""

from dataclasses import dataclass

from upkeep.domain.deployments import Action, Deployment, DeploymentStatus, UpdateType
from upkeep.domain.resources import Resource
from upkeep.flows.ports import Unit

SHOWN = 100
"""Deployments on the list, newest first."""


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """One attempt. `resource` is None once it has been deleted; `retried` says that it was deployed again since."""

    deployment: Deployment
    resource: Resource | None
    rendered: bool
    update_type: UpdateType
    superseded: bool

    @property
    def cancellable(self) -> bool:
        """Whether it has not begun yet, so that cancelling leaves nothing half done."""
        return self.deployment.status is DeploymentStatus.IN_PROGRESS and self.deployment.begun_at is None

    @property
    def retriable(self) -> bool:
        """Whether it ended without doing what was asked and nothing else was tried since."""
        ended_badly = self.deployment.status.failed or self.deployment.status is DeploymentStatus.CANCELLED
        return ended_badly and self.resource is not None and not self.superseded


def deployments(unit: Unit, status: DeploymentStatus | None = None) -> tuple[Deployment, ...]:
    """The latest, newest first."""
    return tuple(unit.deployments.recent(SHOWN, status))


def deployment(unit: Unit, deployment_id: str) -> DeploymentView:
    """One deployment with what it was asked of."""
    found = unit.deployments.get(deployment_id)
    resource = unit.fleet.find(found.resource)
    return DeploymentView(
        deployment=found,
        resource=resource,
        rendered=bool(unit.deployments.rendered(deployment_id)),
        update_type=update_type(found),
        superseded=resource is not None and resource.last_deployment != found.id,
    )


def update_type(found: Deployment) -> UpdateType:
    """Proton's word for how far a deployment moves its resource."""
    if found.action is not Action.UPDATE or found.initial is None:
        return UpdateType.NONE
    before, after = found.initial.version, found.target.version
    if before == after:
        return UpdateType.CURRENT_VERSION
    return UpdateType.MINOR_VERSION if before.major == after.major else UpdateType.MAJOR_VERSION
