"""Deployments: what was tried, what came of it, and why."""

from dataclasses import dataclass

from upkeep.domain.changesets import Risk, StackChange, StackEvent, worst_first
from upkeep.domain.consoles import console_url
from upkeep.domain.deployments import Action, Deployment, DeploymentStatus, UpdateType
from upkeep.domain.errors import CallerError, NotFound
from upkeep.domain.names import ResourceKey, parse_resource_key
from upkeep.domain.resources import Resource
from upkeep.flows.deploy import left_behind
from upkeep.flows.ports import Unit

SHOWN = 50
"""Deployments on a page."""

EVENTS = 500
"""Stack events on a page: the last of them."""


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """One attempt. `resource` is None once it is no more on our books, `superseded` says that it was deployed again
    since. `pruned` says that what it sent and what its stack told is kept no longer. `changes` are those of the change
    set, worst first; None while there is none. `events` are the last that the stack told, `console` is its page in AWS.
    `leftover` is the stack that retrying would delete first.
    """

    deployment: Deployment
    resource: Resource | None
    rendered: bool
    pruned: bool
    update_type: UpdateType
    superseded: bool
    changes: tuple[StackChange, ...] | None
    risk: Risk
    events: tuple[StackEvent, ...]
    console: str | None
    leftover: str | None

    @property
    def retriable(self) -> bool:
        """Whether it ended without doing what was asked and nothing else was tried since."""
        ended_badly = self.deployment.status.failed or self.deployment.status is DeploymentStatus.CANCELLED
        return ended_badly and self.resource is not None and not self.superseded

    @property
    def resumable(self) -> bool:
        """Whether it stands still and can be told to go on as it is."""
        return self.deployment.stall is not None and not self.deployment.rollback_failed


@dataclass(frozen=True, slots=True)
class DeploymentFilter:
    """Which deployments are listed; every field narrows it further. `resource` is a key or a short name, `stalled`
    leaves those that wait for a person."""

    status: DeploymentStatus | None = None
    resource: str = ""
    template: str = ""
    asked_by: str = ""
    stalled: bool = False


@dataclass(frozen=True, slots=True)
class DeploymentsView:
    """A page of deployments, newest first; `next` is the id of the one the next page starts behind."""

    rows: tuple[Deployment, ...]
    next: str | None


def deployments(unit: Unit, wanted: DeploymentFilter, before: str | None = None, limit: int = SHOWN) -> DeploymentsView:
    """Those older than the one with the id `before`."""
    key = _key_of(wanted.resource)
    found = unit.deployments.recent(
        limit + 1,
        wanted.status,
        key,
        before,
        called="" if key else wanted.resource,
        template=wanted.template,
        asked_by=wanted.asked_by,
        stalled=wanted.stalled,
    )
    return DeploymentsView(tuple(found[:limit]), found[limit - 1].id if len(found) > limit else None)


def _key_of(text: str) -> ResourceKey | None:
    try:
        return parse_resource_key(text)
    except CallerError:
        return None


def deployment(unit: Unit, deployment_id: str) -> DeploymentView:
    """One deployment with what it was asked of."""
    found = unit.deployments.get(deployment_id)
    resource = unit.fleet.find(found.resource)
    proposal = unit.deployments.proposal(found.id)
    rendered = bool(unit.deployments.rendered(deployment_id))
    return DeploymentView(
        deployment=found,
        resource=resource,
        rendered=rendered,
        pruned=pruned(found, rendered),
        update_type=update_type(found),
        superseded=resource is not None and resource.last_deployment != found.id,
        changes=worst_first(proposal.changes) if proposal else None,
        risk=proposal.risk if proposal else Risk.NOT_CHECKED,
        events=tuple(unit.deployments.stack_events(found.id, EVENTS)),
        console=console_url(found.stack),
        leftover=left_behind(unit, resource) if resource else None,
    )


def template_of(unit: Unit, deployment_id: str) -> tuple[Deployment, str]:
    """A deployment and the template as it was rendered for it. NotFound, saying why, when there is none."""
    found = unit.deployments.get(deployment_id)
    text = unit.deployments.rendered(found.id)
    if text:
        return found, text
    if pruned(found, rendered=False):
        raise NotFound(
            f"the rendered template of deployment {found.id} is not kept any more",
            cure="`retention.renderings` in the configuration says for how long it is, and for the latest always",
        )
    raise NotFound(f"deployment {found.id} has no rendered template", cure="it was not rendered yet, or had nothing to")


def pruned(found: Deployment, rendered: bool) -> bool:
    """Whether there was a rendered template and it was let go of."""
    proposed = found.proposed_at is not None and found.action is not Action.DELETE
    return proposed and not found.status.under_way and not rendered


def update_type(found: Deployment) -> UpdateType:
    """Proton's word for how far a deployment moves its resource."""
    if found.action is not Action.UPDATE or found.initial is None:
        return UpdateType.NONE
    before, after = found.initial.version, found.target.version
    if before == after:
        return UpdateType.CURRENT_VERSION
    return UpdateType.MINOR_VERSION if before.major == after.major else UpdateType.MAJOR_VERSION
