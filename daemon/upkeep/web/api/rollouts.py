"""Rollouts: many resources of one template moved together."""

from datetime import datetime

from pydantic import BaseModel, Field

from upkeep.domain.names import parse_resource_key, parse_version
from upkeep.domain.people import Act
from upkeep.domain.rollouts import AT_ONCE, FAILURES, RolloutStatus, Turn
from upkeep.domain.rollouts import Rollout as RolloutRecord
from upkeep.flows import rollout as flow
from upkeep.flows.browse import facts
from upkeep.flows.ports import Unit
from upkeep.flows.rollout import PARALLEL_AT_MOST, Wish
from upkeep.web.api.lists import DEFAULT, MOST, Listed, cut, page, place_of
from upkeep.web.api.operations import Call, Noun
from upkeep.web.api.words import ANSWER, ORDER, QUERY, Count, Id, Key, Name, Number, Owner, Whole

noun = Noun("rollouts", "Many resources of one template moved to newer versions, a few at a time.")


class Rollout(BaseModel):
    """A rollout and how far it is."""

    model_config = ANSWER

    id: str
    template: str
    to: str
    """The version that was named, or `recommended`."""
    status: RolloutStatus
    message: str | None
    automatic: bool
    max_parallel: int
    stop_after: int
    left_out: int
    waiting: int
    under_way: int
    succeeded: int
    failed: int
    skipped: int
    asked_by: str
    created_at: datetime
    ended_at: datetime | None


class Member(BaseModel):
    """A resource in a rollout."""

    model_config = ANSWER

    resource: str
    from_: str | None = Field(alias="from")
    to: str | None
    turn: Turn
    reason: str | None
    deployment: str | None
    ended_at: datetime | None


class Members(BaseModel):
    """The resources of a rollout."""

    model_config = ANSWER

    items: list[Member]
    """In the order in which they are asked for; behind them those that are left out."""


class RolloutsQuery(BaseModel):
    """Which page."""

    model_config = QUERY

    limit: Whole = Field(DEFAULT, ge=1, le=MOST)
    cursor: str | None = None


class Seen(BaseModel):
    """A resource and where it was seen to go."""

    model_config = ORDER

    resource: Key
    to: Number


class RolloutOrder(BaseModel):
    """Which resources are to be updated, and how carefully."""

    model_config = ORDER

    template: Name
    to: Number | None = None
    """A published version; the recommended minor of what each resource runs otherwise."""
    majors: bool = False
    """Also where that leads to another major."""
    owner: Owner | None = None
    environment: Name | None = None
    """Only this environment and what lives in it."""
    resources: list[Key] | None = Field(None, max_length=500)
    """Only these."""
    max_parallel: Count = Field(AT_ONCE, ge=1, le=PARALLEL_AT_MOST)
    """How many updates are under way at the same time."""
    stop_after: Count = Field(FAILURES, ge=1, le=1_000_000)
    """After how many failures no more are asked for."""
    seen: list[Seen] | None = Field(None, max_length=500)
    """Whom a dry run would update, as it was looked at; refused when that has changed."""


@noun.get("/rollouts")
def list_rollouts(call: Call, query: RolloutsQuery) -> Listed[Rollout]:
    """List rollouts, newest first."""
    found = call.unit.rollouts.recent(query.limit + 1, place_of(query.cursor))
    shown, behind = cut(found, query.limit, lambda each: each.id)
    return page((_told(each) for each in shown), behind)


@noun.post("/dry-run", Act.LOOK, writes=False)
def try_rollout(call: Call, body: RolloutOrder) -> Members:
    """Show whom a rollout would update, whom it would leave out, and why. Nothing is asked for."""
    found = flow.members(call.unit, _wish(call.unit, body), actor=call.actor)
    return Members.model_validate({"items": [facts.member_row(member) for member in found]})


@noun.post("/rollouts", Act.UPDATE, status=202)
def start_rollout(call: Call, body: RolloutOrder) -> Rollout:
    """Update many resources, worst first, a few at a time; the worker does it."""
    seen = None
    if body.seen is not None:
        seen = {(parse_resource_key(each.resource), parse_version(each.to)) for each in body.seen}
    begun = flow.start(
        call.unit,
        _wish(call.unit, body),
        max_parallel=body.max_parallel,
        stop_after=body.stop_after,
        seen=seen,
        actor=call.actor,
        now=call.now,
    )
    return _told(begun)


@noun.get("/rollouts/{rollout}")
def get_rollout(call: Call, rollout: Id) -> Rollout:
    """Show a rollout and how far it is."""
    return _told(call.unit.rollouts.get(rollout))


@noun.get("/rollouts/{rollout}/members")
def list_members(call: Call, rollout: Id) -> Members:
    """List the resources of a rollout, and what became of each."""
    found = call.unit.rollouts.get(rollout).members
    return Members.model_validate({"items": [facts.member_row(member) for member in found]})


@noun.post("/rollouts/{rollout}/pause", Act.UPDATE)
def pause_rollout(call: Call, rollout: Id) -> Rollout:
    """Ask for nothing more until it is resumed. What is under way goes on."""
    return _told(flow.pause(call.unit, rollout, actor=call.actor, now=call.now))


@noun.post("/rollouts/{rollout}/resume", Act.UPDATE)
def resume_rollout(call: Call, rollout: Id) -> Rollout:
    """Let a paused rollout go on with the rest. What failed so far does not stop it again."""
    return _told(flow.resume(call.unit, rollout, actor=call.actor, now=call.now))


@noun.post("/rollouts/{rollout}/stop", Act.UPDATE)
def stop_rollout(call: Call, rollout: Id) -> Rollout:
    """End a rollout: nothing more is asked for. What is under way goes on."""
    return _told(flow.stop(call.unit, rollout, routing=call.rooms.routing, actor=call.actor, now=call.now))


def _wish(unit: Unit, body: RolloutOrder) -> Wish:
    return Wish(
        unit.registry.template(body.template).name,
        to=parse_version(body.to) if body.to is not None else None,
        majors=body.majors,
        owner=body.owner or "",
        environment=body.environment or "",
        keys={parse_resource_key(key) for key in body.resources} if body.resources is not None else None,
    )


def _told(rollout: RolloutRecord) -> Rollout:
    return Rollout.model_validate(facts.rollout_row(rollout))
