"""Environments: listing and creating them. What can be done with one stands with the resources."""

from typing import Any

from pydantic import BaseModel, Field

from upkeep.domain import specs
from upkeep.domain.errors import CallerError
from upkeep.domain.names import ResourceKind, parse_version
from upkeep.domain.people import Act
from upkeep.domain.resources import Placement
from upkeep.domain.tags import check_tags
from upkeep.flows import enroll
from upkeep.flows.browse import facts
from upkeep.flows.ports import FleetFilter, FleetOrder
from upkeep.web.api.deployments import Deployment
from upkeep.web.api.lists import DEFAULT, MOST, Listed
from upkeep.web.api.operations import Call, Noun
from upkeep.web.api.resources import Resource, fleet_page
from upkeep.web.api.words import ORDER, QUERY, Name, Number, Owner, Whole

noun = Noun("environments", "What service instances live in.")


class EnvironmentsQuery(BaseModel):
    """Which page."""

    model_config = QUERY

    limit: Whole = Field(DEFAULT, ge=1, le=MOST)
    cursor: str | None = None


class EnvironmentOrder(BaseModel):
    """An environment to be created."""

    model_config = ORDER

    name: Name
    template: Name
    """An environment template."""
    inputs: dict[str, Any] | None = None
    """What is asked for, as the template's schema has it."""
    spec: str | None = Field(None, max_length=1 << 20)
    """The same as the text of a spec file, in the place of `inputs`."""
    version: Number | None = None
    """The recommended one otherwise."""
    owner: Owner | None = None
    account_id: str = ""
    """The AWS account it lives in."""
    region: str = ""
    role_arn: str = ""
    """The role that is assumed to reach its account."""
    external_id: str = ""
    """What that role's trust policy asks for."""
    tags: dict[str, str] = Field(default_factory=dict)
    """For everything its stacks make."""


@noun.get("/environments")
def list_environments(call: Call, query: EnvironmentsQuery) -> Listed[Resource]:
    """List environments by name."""
    return fleet_page(call, FleetFilter(kind=ResourceKind.ENVIRONMENT), FleetOrder.NAME, query.limit, query.cursor)


@noun.post("/environments", Act.ENROLL, status=202)
def create_environment(call: Call, body: EnvironmentOrder) -> Deployment:
    """Create an environment from its inputs or its spec; the worker deploys it."""
    if (body.inputs is None) is (body.spec is None):
        raise CallerError("an environment has either inputs or a spec", where="spec", cure="give one of the two")
    asked = enroll.create_environment(
        call.unit,
        body.name,
        body.template,
        specs.written_environment_spec(body.inputs or {}) if body.spec is None else body.spec,
        version=parse_version(body.version) if body.version is not None else None,
        owner=body.owner,
        placement=Placement(body.account_id, body.region, body.role_arn, body.external_id),
        tags=check_tags(body.tags),
        actor=call.actor,
        now=call.now,
    )
    return Deployment.model_validate(facts.deployment_row(asked))
