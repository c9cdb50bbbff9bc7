"""Resources: environments, instances and pipelines, what each runs, and moving them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from inspect import Parameter, signature
from typing import Any, TypeVar

from pydantic import BaseModel, Field

from upkeep.domain.changesets import DriftState
from upkeep.domain.deployments import DeploymentStatus
from upkeep.domain.errors import Conflict, NotFound
from upkeep.domain.lag import Standing
from upkeep.domain.names import ResourceKey, ResourceKind, environment_key, instance_key, parse_version, pipeline_key
from upkeep.domain.people import Act
from upkeep.domain.resources import Resource as ResourceRecord
from upkeep.domain.snoozes import Length
from upkeep.flows import deploy, drift, enroll, preview
from upkeep.flows import plan as plans
from upkeep.flows import snooze as snoozes
from upkeep.flows.browse import facts
from upkeep.flows.browse.fleet import due_of
from upkeep.flows.ports import FleetFilter, FleetOrder, Unit
from upkeep.web.api.deployments import Deployment
from upkeep.web.api.lists import DEFAULT, MOST, Listed, page, place_of
from upkeep.web.api.operations import Call, Noun
from upkeep.web.api.plans import Plan
from upkeep.web.api.words import ANSWER, ORDER, QUERY, Flag, Id, Name, Number, Owner, Whole

_Declared = TypeVar("_Declared", bound=Callable[..., Any])

noun = Noun("resources", "Environments, instances and pipelines: what runs versions of templates.")


class Resource(BaseModel):
    """A resource as it stands."""

    model_config = ANSWER

    key: str
    """What it is known by, such as `instance/checkout/prod`."""
    name: str
    """How people speak of it."""
    kind: ResourceKind
    template: str
    version: str | None
    """The version it runs; null before its first deployment succeeded."""
    due: str | None
    """The version that *Update to recommended version* leads to; null when it is not behind."""
    lag: str
    """How far it is behind, in a few words."""
    standing: Standing
    minors_behind: int
    majors_behind: int
    behind_since: datetime | None
    snoozed_by: str | None
    snoozed_until: datetime | None
    snoozed_for: str | None
    """The version it is snoozed for, until a newer one is recommended."""
    status: DeploymentStatus
    """That of its last deployment."""
    owner: str | None
    environment: str | None
    """Where an instance lives."""
    account_id: str | None
    region: str | None
    role_arn: str | None
    external_id: str | None
    stack: str | None
    tags: dict[str, str]
    drift: DriftState | None
    drifted_resources: list[str]
    drift_checked_at: datetime | None
    inputs: dict[str, Any]
    """What was given, without the defaults."""
    outputs: dict[str, str]
    last_deployment: str | None
    """The id of its last deployment: what `seen` of an update names."""
    deployed_at: datetime | None
    created_at: datetime


class Counters(BaseModel):
    """How the fleet stands."""

    model_config = ANSWER

    total: int
    up_to_date: int
    behind_minor: int
    behind_major: int
    failed: int
    ahead: int


class FleetQuery(BaseModel):
    """Which resources, in which order, and which page of them."""

    model_config = QUERY

    search: str | None = Field(None, max_length=100)
    """A part of the name or key."""
    template: Name | None = None
    owner: Owner | None = None
    kind: ResourceKind | None = None
    standing: Standing | None = None
    failed: Flag = False
    """Only those whose last deployment failed."""
    behind: Flag = False
    """Only those that are behind, by minors or majors."""
    order: FleetOrder = FleetOrder.WORST
    limit: Whole = Field(DEFAULT, ge=1, le=MOST)
    cursor: str | None = None


class CountersQuery(BaseModel):
    """Of which template."""

    model_config = QUERY

    template: Name | None = None


class UpdateOrder(BaseModel):
    """What a resource is to be moved to. Nothing at all is: to the recommended version, with the inputs it has."""

    model_config = ORDER

    version: Number | None = None
    """Where to; the recommended version otherwise."""
    inputs: dict[str, Any] | None = None
    """All inputs; those it has otherwise. The text `${Proton::CURRENT_VAL}` keeps a value."""
    inputs_then: bool = False
    """With the inputs it had when it last ran that version: the way back."""
    recreate: bool = False
    """Delete the stack that a failed creation left behind, and create it anew."""
    plan: Id | None = None
    """A plan that was seen and is approved hereby: what it showed is deployed, or nothing."""
    confirmed: list[str] = Field(default_factory=list, max_length=500)
    """The stateful stack resources that the plan replaces, by name."""
    seen: Id | None = None
    """The last deployment that was seen; refused when the resource was deployed since."""


class PlanOrder(BaseModel):
    """What is to be looked at before it happens."""

    model_config = ORDER

    version: Number
    inputs: dict[str, Any] | None = None
    """All inputs; those it has otherwise."""


class DiffQuery(BaseModel):
    """Compared with what."""

    model_config = QUERY

    to: Number


class Diff(BaseModel):
    """How what is rendered for a resource would change."""

    model_config = ANSWER

    diff: str
    """A unified diff of the rendered templates; empty when nothing changes."""
    failure: str | None
    """Why the version cannot be rendered for it."""


class Ownership(BaseModel):
    """Whose a resource or a service is."""

    model_config = ORDER

    owner: Owner | None
    """A team, which hears when it is behind; null for nobody."""


class SnoozeOrder(BaseModel):
    """How long nobody wants to hear that it is behind."""

    model_config = ORDER

    length: Length = Field(strict=False)
    """`7d`, `30d`, or `version`: until something newer is recommended than now."""


class Outputs(BaseModel):
    """What a stack gives back."""

    model_config = ANSWER

    outputs: dict[str, str]


def told_all(unit: Unit, found: Sequence[ResourceRecord]) -> list[Resource]:
    """Resources as the API tells them."""
    due = due_of(unit, found)
    return [
        Resource.model_validate(facts.resource_row(each) | {"due": str(due[each.key]) if each.key in due else None})
        for each in found
    ]


def fleet_page(call: Call, wanted: FleetFilter, order: FleetOrder, limit: int, cursor: str | None) -> Listed[Resource]:
    """A page of the fleet."""
    found = call.unit.fleet.page(wanted, order, place_of(cursor), limit)
    return page(told_all(call.unit, found.resources), found.next)


@noun.get("/resources")
def list_resources(call: Call, query: FleetQuery) -> Listed[Resource]:
    """List the fleet, worst first unless another order is named."""
    wanted = FleetFilter(
        search=query.search or "",
        template=query.template or "",
        owner=query.owner or "",
        kind=query.kind,
        standing=query.standing,
        failed=query.failed,
        behind=query.behind,
    )
    return fleet_page(call, wanted, query.order, query.limit, query.cursor)


@noun.get("/resources/counters")
def count_resources(call: Call, query: CountersQuery) -> Counters:
    """Count the fleet, or the resources of one template."""
    template = call.unit.registry.template(query.template).name if query.template else None
    return Counters.model_validate(facts.counters_row(call.unit.fleet.counters(template)))


_PLACES: Mapping[ResourceKind, tuple[str, tuple[str, ...], Callable[..., ResourceKey]]] = {
    ResourceKind.ENVIRONMENT: ("/environments/{name}", ("name",), environment_key),
    ResourceKind.INSTANCE: ("/services/{service}/instances/{name}", ("service", "name"), instance_key),
    ResourceKind.PIPELINE: ("/services/{service}/pipeline", ("service",), pipeline_key),
}


def of_each_kind(
    under: str, declaring: Callable[..., Callable[[_Declared], _Declared]], *how: Any, **more: Any
) -> Callable[[_Declared], _Declared]:
    """Declare an operation for each kind of resource, below its address. The function takes the key of the resource in
    the place of the parameters of that address; `declaring` is a method of a noun, `how` and `more` are for it."""

    def declare(does: _Declared) -> _Declared:
        for kind, (place, names, key_of) in _PLACES.items():
            declaring(place + under, *how, **more)(_addressed(does, kind, names, key_of))
        return does

    return declare


def _addressed(does: Any, kind: ResourceKind, names: tuple[str, ...], key_of: Callable[..., ResourceKey]) -> Any:
    """The same operation for one kind, with the parameters of its address."""

    def addressed(call: Call, **asked: Any) -> BaseModel | None:
        key = key_of(*(asked.pop(name) for name in names))
        answer: BaseModel | None = does(call, key, **asked)
        return answer

    declared = signature(does)
    first, _, *others = declared.parameters.values()
    taken = [Parameter(name, Parameter.KEYWORD_ONLY, annotation=Name) for name in names]
    others = [other.replace(kind=Parameter.KEYWORD_ONLY) for other in others]
    addressed.__signature__ = declared.replace(parameters=[first, *taken, *others])  # type: ignore[attr-defined]
    addressed.__name__ = f"{does.__name__}_{kind}"
    addressed.__doc__ = does.__doc__
    return addressed


@of_each_kind("", noun.get)
def get(call: Call, key: ResourceKey) -> Resource:
    """Show it as it stands."""
    return told_all(call.unit, [call.unit.fleet.get(key)])[0]


@of_each_kind("/outputs", noun.get)
def get_outputs_of(call: Call, key: ResourceKey) -> Outputs:
    """Show what its stack gives back."""
    return Outputs(outputs=dict(call.unit.fleet.get(key).outputs))


@of_each_kind("/diff", noun.get, in_transaction=False)
def diff(call: Call, key: ResourceKey, query: DiffQuery) -> Diff:
    """Show how what is rendered for it would change at another version, with the inputs it has."""
    group = preview.preview_resource(call.rooms.store, call.rooms.renderer, key, parse_version(query.to))
    return Diff(diff=group.diff, failure=group.failure)


@of_each_kind("/update", noun.post, Act.UPDATE, status=202)
def update(call: Call, key: ResourceKey, body: UpdateOrder) -> Deployment:
    """Update it to the recommended version, or as the body says; the worker does it."""
    if body.seen is not None and call.unit.fleet.get(key).last_deployment != body.seen:
        raise Conflict(f"{key.short} was deployed since you looked", cure="look at what it runs now, then ask again")
    asked = deploy.update(
        call.unit,
        key,
        to=parse_version(body.version) if body.version is not None else None,
        inputs=body.inputs,
        inputs_then=body.inputs_then,
        recreate=body.recreate,
        plan=body.plan,
        confirmed=body.confirmed,
        actor=call.actor,
        now=call.now,
    )
    return Deployment.model_validate(facts.deployment_row(asked))


@of_each_kind("/plans", noun.post, Act.UPDATE, status=202)
def plan(call: Call, key: ResourceKey, body: PlanOrder) -> Plan:
    """Ask what an update would change in its stack. Nothing is deployed; the worker works it out."""
    asked = plans.ask(
        call.unit, key, to=parse_version(body.version), inputs=body.inputs, actor=call.actor, now=call.now
    )
    return Plan.model_validate(facts.plan_row(asked, stale=False))


@of_each_kind("/plans/{plan}", noun.get)
def get_plan_of(call: Call, key: ResourceKey, plan: Id) -> Plan:
    """Show a plan and whether it still holds. To approve it, update with its id."""
    found = call.unit.plans.find(plan)
    if found is None or found.resource != key:
        raise NotFound(f"there is no plan `{plan}` of {key.short}", cure="ask for a new one")
    stale = found.made_at is not None and found.deployment is None and plans.moved(call.unit, found)
    return Plan.model_validate(facts.plan_row(found, stale=stale))


@of_each_kind("/drift", noun.post, Act.UPDATE, status=202)
def compare(call: Call, key: ResourceKey) -> Resource:
    """Ask for what runs to be compared with what was deployed; `drift` of the resource tells what was found."""
    return told_all(call.unit, [drift.ask(call.unit, key, actor=call.actor, now=call.now)])[0]


@of_each_kind("/owner", noun.put, Act.ENROLL)
def give(call: Call, key: ResourceKey, body: Ownership) -> Resource:
    """Give it to a team."""
    enroll.give(call.unit, key, body.owner, actor=call.actor, now=call.now)
    return get(call, key)


@of_each_kind("/snooze", noun.put, Act.UPDATE)
def snooze(call: Call, key: ResourceKey, body: SnoozeOrder) -> Resource:
    """Let nobody hear for a while that it is behind."""
    snoozes.snooze(call.unit, key, body.length, actor=call.actor, now=call.now)
    return get(call, key)


@of_each_kind("/snooze", noun.delete, Act.UPDATE)
def wake(call: Call, key: ResourceKey) -> None:
    """End its snooze."""
    snoozes.wake(call.unit, key, actor=call.actor, now=call.now)


@of_each_kind("", noun.delete, Act.ENROLL, status=202)
def delete(call: Call, key: ResourceKey) -> Deployment:
    """Delete what was deployed for it, and then the record. A pipeline goes with its service."""
    asked = enroll.delete_resource(call.unit, key, actor=call.actor, now=call.now)
    return Deployment.model_validate(facts.deployment_row(asked))


@of_each_kind("/forget", noun.post, Act.ENROLL, status=204)
def forget(call: Call, key: ResourceKey) -> None:
    """Take it off the books, and leave its stack as it is."""
    enroll.forget(call.unit, key, actor=call.actor, now=call.now)
