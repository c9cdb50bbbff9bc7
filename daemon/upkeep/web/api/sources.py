"""Sources, what was delivered for them, and how fresh the registry is."""

from datetime import datetime, timedelta

from pydantic import BaseModel, Field

from upkeep.domain.addresses import check_address, check_branch, check_subdirectory
from upkeep.domain.deliveries import DeliveryStatus
from upkeep.domain.names import SourceName
from upkeep.domain.people import Act
from upkeep.domain.sources import Drafts, Origin
from upkeep.domain.sources import Source as SourceRecord
from upkeep.flows import follow
from upkeep.flows.browse import facts
from upkeep.flows.browse.sources import Freshness, sync_state
from upkeep.web.api.lists import DEFAULT, MOST, Listed, by_name, cut, page, place_of
from upkeep.web.api.operations import Call, Noun
from upkeep.web.api.versions import Finding
from upkeep.web.api.words import ANSWER, ORDER, QUERY, Count, Name, Whole

noun = Noun("sources", "Repositories that templates are read from, and what GitHub delivered for them.")


class Source(BaseModel):
    """A source and how far it has been read."""

    model_config = ANSWER

    name: str
    url: str
    branch: str
    subdirectory: str
    state: str
    """`new`, `synced`, `failing` or `stalled`."""
    reason: str | None
    fix: str | None
    commit: str | None
    synced_commit: str | None
    synced_at: datetime | None
    checked_at: datetime | None
    next_poll_at: datetime | None
    poll_every_seconds: int
    drafts: Drafts
    origin: Origin
    credential: str | None
    """Where its credential is kept."""
    webhook_secret: str | None
    findings: list[Finding]


class Delivery(BaseModel):
    """A webhook delivery and its outcome."""

    model_config = ANSWER

    id: str
    event: str
    received_at: datetime
    status: DeliveryStatus
    reason: str | None
    repository: str | None
    ref: str | None
    commit: str | None
    sources: list[str]
    settled_at: datetime | None
    attempts: int


class SyncState(BaseModel):
    """All sources in one sentence; the worst of them decides it."""

    model_config = ANSWER

    freshness: Freshness
    sentence: str
    at: datetime | None
    """When the source that was heard from longest ago answered."""


class SourcesQuery(BaseModel):
    """Which page."""

    model_config = QUERY

    limit: Whole = Field(DEFAULT, ge=1, le=MOST)
    cursor: str | None = None


class DeliveriesQuery(BaseModel):
    """Which deliveries."""

    model_config = QUERY

    source: Name | None = None
    status: DeliveryStatus | None = None
    limit: Whole = Field(DEFAULT, ge=1, le=MOST)
    cursor: str | None = None


class SourceOrder(BaseModel):
    """A repository to be followed that asks for no credential.

    A credential is a file or a variable of the daemon's host. Sources with one are declared in the configuration or
    with `upkeep source add`, by those who may read there.
    """

    model_config = ORDER

    name: Name
    url: str = Field(max_length=1000)
    branch: str = Field("main", max_length=200)
    subdirectory: str = Field("", max_length=500)
    """Read only what is below this folder."""
    drafts: Drafts = Field(Drafts.PER_COMMIT, strict=False)
    """Make a draft of every commit that changes a version folder, or of the last one of a push."""
    poll_every_seconds: Count = Field(300, ge=10, le=604_800)


@noun.get("/sync-state")
def get_sync_state(call: Call) -> SyncState:
    """Show how much the registry can be relied on to be what the branches hold."""
    state = sync_state(call.unit, call.now)
    return SyncState(freshness=state.freshness, sentence=state.sentence, at=state.at)


@noun.get("/sources")
def list_sources(call: Call, query: SourcesQuery) -> Listed[Source]:
    """List sources by name."""
    shown, behind = by_name(call.unit.sources.list(), lambda each: each.name, query.limit, query.cursor)
    return page((_told(each) for each in shown), behind)


@noun.get("/sources/{source}")
def get_source(call: Call, source: Name) -> Source:
    """Show a source and how far it has been read."""
    return _told(call.unit.sources.get(source))


@noun.post("/sources", Act.FOLLOW, status=202)
def add_source(call: Call, body: SourceOrder) -> Source:
    """Follow a repository. Its templates are registered at the first sync, which is asked for at once."""
    check_address(body.url, allow_local=False)
    check_branch(body.branch)
    check_subdirectory(body.subdirectory)
    wanted = SourceRecord(
        SourceName(body.name),
        body.url,
        body.branch,
        body.subdirectory,
        drafts=body.drafts,
        poll_every_for=timedelta(seconds=body.poll_every_seconds),
    )
    return _told(follow.add(call.unit, wanted, at_most=call.rooms.bounds.sources, actor=call.actor, now=call.now))


@noun.delete("/sources/{source}", Act.FOLLOW)
def remove_source(call: Call, source: Name) -> None:
    """Follow a repository no longer. Its templates and their versions stay."""
    follow.remove(call.unit, source, actor=call.actor, now=call.now)


@noun.post("/sources/{source}/sync", Act.SYNC, status=202)
def sync_source(call: Call, source: Name) -> Source:
    """Ask for a sync now. A stalled source is resumed by it."""
    follow.ask(call.unit, source, actor=call.actor, now=call.now)
    return _told(call.unit.sources.get(source))


@noun.get("/deliveries")
def list_deliveries(call: Call, query: DeliveriesQuery) -> Listed[Delivery]:
    """List webhook deliveries with their outcome, newest first."""
    source = call.unit.sources.get(query.source).name if query.source is not None else None
    place = place_of(query.cursor)
    before = None
    if place is not None:
        at, _, delivery_id = place.partition(" ")
        before = datetime.fromisoformat(at), delivery_id
    found = call.unit.deliveries.recent(query.limit + 1, source, query.status, before)
    shown, behind = cut(found, query.limit, lambda each: f"{each.received_at.isoformat()} {each.id}")
    return page((Delivery.model_validate(facts.delivery_row(each)) for each in shown), behind)


def _told(source: SourceRecord) -> Source:
    return Source.model_validate(facts.source_row(source))
