"""Services, which group instances and a pipeline. What can be done with one of those stands with the resources."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from upkeep.domain import specs
from upkeep.domain.deployments import Deployment as DeploymentRecord
from upkeep.domain.errors import CallerError
from upkeep.domain.names import ResourceKind, parse_version
from upkeep.domain.people import Act
from upkeep.domain.resources import Repository
from upkeep.domain.resources import Service as ServiceRecord
from upkeep.domain.specs import InstanceSpec
from upkeep.domain.tags import check_tags
from upkeep.flows import enroll
from upkeep.flows.browse import facts
from upkeep.flows.ports import Unit
from upkeep.web.api.deployments import Deployment
from upkeep.web.api.lists import DEFAULT, MOST, Listed, by_name, page
from upkeep.web.api.operations import Call, Noun
from upkeep.web.api.resources import Ownership, Resource, told_all
from upkeep.web.api.words import ANSWER, ORDER, QUERY, Name, Number, Owner, Sentence, Whole

noun = Noun("services", "Instances and a pipeline, from one template and one spec.")


class Service(BaseModel):
    """A service."""

    model_config = ANSWER

    name: str
    template: str
    instances: list[str]
    pipeline: bool
    owner: str | None
    created_at: datetime
    spec: str


class ServiceDetails(BaseModel):
    """A service with all its parts."""

    model_config = ANSWER

    name: str
    template: str
    instances: list[str]
    pipeline: bool
    owner: str | None
    created_at: datetime
    spec: str
    resources: list[Resource]
    """Its instances by name, then its pipeline."""


class Asked(BaseModel):
    """What was asked for."""

    model_config = ANSWER

    deployments: list[Deployment]


class ServicesQuery(BaseModel):
    """Which page."""

    model_config = QUERY

    limit: Whole = Field(DEFAULT, ge=1, le=MOST)
    cursor: str | None = None


class RepositoryOrder(BaseModel):
    """The application's repository, as templates see it. What is left out stays."""

    model_config = ORDER

    branch_name: Sentence | None = None
    repository_id: Sentence | None = None
    """As owner/name."""
    repository_connection_arn: Sentence | None = None


class InstanceOrder(BaseModel):
    """An instance that a service shall have."""

    model_config = ORDER

    name: Name
    environment: Name
    """Where it is to live."""
    inputs: dict[str, Any] = Field(default_factory=dict)
    """What is asked for, as the template's schema has it."""


class FurtherInstanceOrder(BaseModel):
    """One more instance of a service."""

    model_config = ORDER

    name: Name
    environment: Name
    """Where it is to live."""
    inputs: dict[str, Any] = Field(default_factory=dict)
    """What is asked for, as the template's schema has it."""
    version: Number | None = None
    """The recommended one otherwise."""


class ServiceOrder(BaseModel):
    """A service to be created."""

    model_config = ORDER

    name: Name
    template: Name
    """A service template."""
    instances: list[InstanceOrder] | None = Field(None, max_length=100)
    pipeline: dict[str, Any] | None = None
    """The inputs of its pipeline, if the template has one."""
    spec: str | None = Field(None, max_length=1 << 20)
    """The same as the text of a spec file, in the place of `instances` and `pipeline`."""
    version: Number | None = None
    """The recommended one otherwise."""
    owner: Owner | None = None
    repository: RepositoryOrder | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    """For everything its stacks make."""


class ServiceChange(BaseModel):
    """What of a service is to change."""

    model_config = ORDER

    spec: str | None = Field(None, max_length=1 << 20)
    """Instances that it lists newly are created, those that it lists no longer are deleted. What stays is not
    deployed."""
    repository: RepositoryOrder | None = None
    """Seen by each part at its next deployment."""


@noun.get("/services")
def list_services(call: Call, query: ServicesQuery) -> Listed[Service]:
    """List services by name."""
    shown, behind = by_name(call.unit.fleet.services(), lambda each: each.name, query.limit, query.cursor)
    return page((Service.model_validate(_row(call.unit, each)) for each in shown), behind)


@noun.get("/services/{service}")
def get_service(call: Call, service: Name) -> ServiceDetails:
    """Show a service with its parts and its spec."""
    found = call.unit.fleet.service(service)
    parts = told_all(call.unit, call.unit.fleet.of_service(found.name))
    return ServiceDetails.model_validate(_row(call.unit, found) | {"resources": parts})


@noun.post("/services", Act.ENROLL, status=202)
def create_service(call: Call, body: ServiceOrder) -> Asked:
    """Create a service with the instances that are listed, and its pipeline if the template has one."""
    if (body.instances is None) is (body.spec is None) or (body.spec is not None and body.pipeline is not None):
        cure = "give `instances` and `pipeline`, or `spec`"
        raise CallerError("a service has either instances or a spec", where="spec", cure=cure)
    instances = [InstanceSpec(each.name, each.environment, each.inputs) for each in body.instances or ()]
    asked = enroll.create_service(
        call.unit,
        body.name,
        body.template,
        specs.written_service_spec(body.pipeline, instances) if body.spec is None else body.spec,
        version=parse_version(body.version) if body.version is not None else None,
        owner=body.owner,
        repository=replace(Repository(), **_given(body.repository)),
        tags=check_tags(body.tags),
        actor=call.actor,
        now=call.now,
    )
    return _asked(asked)


@noun.post("/services/{service}/instances", Act.ENROLL, status=202)
def add_instance(call: Call, service: Name, body: FurtherInstanceOrder) -> Deployment:
    """Create one more instance of a service, and list it in its spec. What the service has already is not deployed."""
    asked = enroll.add_instance(
        call.unit,
        service,
        InstanceSpec(body.name, body.environment, body.inputs),
        version=parse_version(body.version) if body.version is not None else None,
        actor=call.actor,
        now=call.now,
    )
    return Deployment.model_validate(facts.deployment_row(asked))


@noun.post("/services/{service}/update", Act.ENROLL, status=202)
def update_service(call: Call, service: Name, body: ServiceChange) -> Asked:
    """Bring a service to the instances its spec lists, or name another repository for it."""
    if body.spec is None and not _given(body.repository):
        raise CallerError("nothing was asked for", cure="give a `spec`, a `repository`, or both")
    if changed := _given(body.repository):
        repository = replace(call.unit.fleet.service(service).repository, **changed)
        enroll.change_repository(call.unit, service, repository, actor=call.actor, now=call.now)
    if body.spec is None:
        return _asked([])
    return _asked(enroll.update_service(call.unit, service, body.spec, actor=call.actor, now=call.now))


@noun.put("/services/{service}/owner", Act.ENROLL)
def give_service(call: Call, service: Name, body: Ownership) -> ServiceDetails:
    """Give it to a team, with all its parts that belonged to the same owner."""
    enroll.give_service(call.unit, service, body.owner, actor=call.actor, now=call.now)
    return get_service(call, service)


@noun.delete("/services/{service}", Act.ENROLL, status=202)
def delete_service(call: Call, service: Name) -> Asked:
    """Delete a service with its instances and its pipeline."""
    return _asked(enroll.delete_service(call.unit, service, actor=call.actor, now=call.now))


@noun.post("/services/{service}/forget", Act.ENROLL, status=204)
def forget_service(call: Call, service: Name) -> None:
    """Take a service with its parts off the books, and leave their stacks as they are."""
    enroll.forget_service(call.unit, service, actor=call.actor, now=call.now)


def _asked(deployments: Iterable[DeploymentRecord]) -> Asked:
    return Asked(deployments=[Deployment.model_validate(facts.deployment_row(each)) for each in deployments])


def _given(repository: RepositoryOrder | None) -> dict[str, str]:
    return repository.model_dump(exclude_none=True) if repository is not None else {}


def _row(unit: Unit, found: ServiceRecord) -> dict[str, Any]:
    parts = unit.fleet.of_service(found.name)
    instances = [str(part.key.name) for part in parts if part.key.kind is ResourceKind.INSTANCE]
    return facts.service_row(found, instances, any(part.key.kind is ResourceKind.PIPELINE for part in parts))
