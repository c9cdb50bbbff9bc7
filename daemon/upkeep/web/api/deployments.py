"""Deployments: attempts to move a resource, and deciding about those on their way."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from upkeep.domain.changesets import Risk, worst_first
from upkeep.domain.deployments import Action, DeploymentStatus, Phase
from upkeep.domain.names import parse_resource_key
from upkeep.domain.people import Act
from upkeep.flows import deploy
from upkeep.flows.browse import deployments as browse
from upkeep.flows.browse import facts
from upkeep.web.api.lists import DEFAULT, MOST, Listed, cut, page, place_of
from upkeep.web.api.operations import Call, Noun
from upkeep.web.api.words import ANSWER, ORDER, QUERY, Id, Key, Whole

noun = Noun("deployments", "Attempts to move a resource to a version and inputs.")

MOST_EVENTS = 1000


class Deployment(BaseModel):
    """A deployment and how it goes."""

    model_config = ANSWER

    id: str
    resource: str
    action: Action
    from_: str | None = Field(alias="from")
    to: str
    status: DeploymentStatus
    phase: Phase
    message: str | None
    waits_for: str | None
    """Why it stopped and waits for a person."""
    fix: str | None
    """What that person has to do."""
    stack: str | None
    stack_status: str | None
    console: str | None
    """Its stack's page in AWS."""
    asked_by: str
    created_at: datetime
    begun_at: datetime | None
    proposed_at: datetime | None
    executed_at: datetime | None
    deadline_at: datetime | None
    completed_at: datetime | None
    inputs: dict[str, Any]
    outputs: dict[str, str] | None


class StackChange(BaseModel):
    """What happens to one stack resource, in CloudFormation's words."""

    model_config = ANSWER

    risk: Risk
    action: str
    resource: str
    type: str
    physical_id: str | None
    replacement: str | None
    scope: list[str]
    causes: list[str]


class ChangeSet(BaseModel):
    """What a deployment changes in its stack."""

    model_config = ANSWER

    known: bool
    """Whether it was worked out already."""
    risk: Risk
    changes: list[StackChange]
    """Those that can cost most first."""


class StackEvent(BaseModel):
    """What a stack told."""

    model_config = ANSWER

    id: str
    at: datetime
    resource: str
    type: str
    status: str
    reason: str | None


class StackEvents(BaseModel):
    """What a stack told last."""

    model_config = ANSWER

    items: list[StackEvent]
    """The oldest first."""


class Rendered(BaseModel):
    """The template as it was rendered."""

    model_config = ANSWER

    template: str


class DeploymentsQuery(BaseModel):
    """Which deployments."""

    model_config = QUERY

    resource: Key | None = None
    status: DeploymentStatus | None = None
    limit: Whole = Field(DEFAULT, ge=1, le=MOST)
    cursor: str | None = None


class EventsQuery(BaseModel):
    """How many of the last."""

    model_config = QUERY

    limit: Whole = Field(MOST_EVENTS, ge=1, le=MOST_EVENTS)


class RetryOrder(BaseModel):
    """How it is tried again."""

    model_config = ORDER

    recreate: bool = False
    """Delete the stack that a failed creation left behind, and create it anew."""


@noun.get("/deployments")
def list_deployments(call: Call, query: DeploymentsQuery) -> Listed[Deployment]:
    """List deployments, newest first."""
    key = parse_resource_key(query.resource) if query.resource is not None else None
    found = call.unit.deployments.recent(query.limit + 1, query.status, key, place_of(query.cursor))
    shown, behind = cut(found, query.limit, lambda each: each.id)
    return page((Deployment.model_validate(facts.deployment_row(each)) for each in shown), behind)


@noun.get("/deployments/{deployment}")
def get_deployment(call: Call, deployment: Id) -> Deployment:
    """Show a deployment and how it goes."""
    return Deployment.model_validate(facts.deployment_row(call.unit.deployments.get(deployment)))


@noun.get("/deployments/{deployment}/events")
def list_stack_events(call: Call, deployment: Id, query: EventsQuery) -> StackEvents:
    """List what its stack told last, the oldest first."""
    found = call.unit.deployments.get(deployment)
    told = call.unit.deployments.stack_events(found.id, query.limit)
    return StackEvents.model_validate({"items": [facts.stack_event_row(event) for event in told]})


@noun.get("/deployments/{deployment}/template")
def get_rendered_template(call: Call, deployment: Id) -> Rendered:
    """Show the template as it was rendered for a deployment."""
    _, rendered = browse.template_of(call.unit, deployment)
    return Rendered(template=rendered)


@noun.get("/deployments/{deployment}/changes")
def get_change_set(call: Call, deployment: Id) -> ChangeSet:
    """Show what a deployment changes in its stack."""
    proposal = call.unit.deployments.proposal(call.unit.deployments.get(deployment).id)
    if proposal is None:
        return ChangeSet(known=False, risk=Risk.NOT_CHECKED, changes=[])
    changes = [StackChange.model_validate(facts.change_row(change)) for change in worst_first(proposal.changes)]
    return ChangeSet(known=True, risk=proposal.risk, changes=changes)


@noun.post("/deployments/{deployment}/cancel", Act.UPDATE, status=202)
def cancel_deployment(call: Call, deployment: Id) -> Deployment:
    """Cancel a deployment: before its change set is executed, and an update also while it runs."""
    cancelled = deploy.cancel(call.unit, deployment, actor=call.actor, now=call.now)
    return Deployment.model_validate(facts.deployment_row(cancelled))


@noun.post("/deployments/{deployment}/retry", Act.UPDATE, status=202)
def retry_deployment(call: Call, deployment: Id, body: RetryOrder) -> Deployment:
    """Ask again for what a failed or cancelled deployment aimed at, or let one go on that waits for a person."""
    asked = deploy.retry(call.unit, deployment, recreate=body.recreate, actor=call.actor, now=call.now)
    return Deployment.model_validate(facts.deployment_row(asked))


@noun.post("/deployments/{deployment}/continue", Act.UPDATE, status=202)
def continue_rollback(call: Call, deployment: Id) -> Deployment:
    """Let a stack whose rollback failed try it again."""
    going = deploy.continue_rollback(call.unit, deployment, actor=call.actor, now=call.now)
    return Deployment.model_validate(facts.deployment_row(going))
