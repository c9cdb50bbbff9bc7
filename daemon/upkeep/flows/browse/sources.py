"""Sources: how fresh the registry is, and what came of each delivery."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from upkeep.domain.ages import age
from upkeep.domain.deliveries import Delivery, DeliveryStatus
from upkeep.domain.names import parse_source_name
from upkeep.domain.sources import Source
from upkeep.domain.versions import Template
from upkeep.domain.work import DueWork, WorkKind
from upkeep.flows.ports import Unit

PAGE = 50
"""Sources on a page."""

COUNTED_TO = 1000
"""More sources than this are not counted."""

DELIVERIES = 25
"""Deliveries shown, newest first."""


class Freshness(StrEnum):
    """How much the registry can be relied on to be what the branches hold."""

    NONE = "none"
    WAITING = "waiting"
    SYNCED = "synced"
    FAILING = "failing"
    STALLED = "stalled"


@dataclass(frozen=True, slots=True)
class SyncState:
    """The one line about all sources that every page carries. `at` is when the one heard from longest ago answered."""

    freshness: Freshness
    sentence: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A source with how many templates it gives, and its state in a sentence."""

    source: Source
    state: SyncState
    templates: int


@dataclass(frozen=True, slots=True)
class SourcesView:
    """A page of sources, those in trouble first, and the deliveries last received, for whatever source; `next` is the
    name the next page starts behind."""

    rows: tuple[SourceRow, ...]
    next: str | None
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True)
class SourceView:
    """One source's page. `work` is its sync while that is asked for or running."""

    source: Source
    state: SyncState
    templates: tuple[Template, ...]
    deliveries: tuple[Delivery, ...]
    work: DueWork | None


def sync_state(unit: Unit, now: datetime) -> SyncState:
    """All sources in one sentence; the worst of them decides it."""
    health = unit.sources.health(COUNTED_TO)
    if not health.total:
        return SyncState(Freshness.NONE, "no source yet")
    if health.total == 1:
        (only,) = unit.sources.page("", 1)
        return state_of(only, now)
    for freshness, number, words in (
        (Freshness.STALLED, health.stalled, "stalled"),
        (Freshness.FAILING, health.failing, "not answering"),
        (Freshness.WAITING, health.waiting, "not synced yet"),
    ):
        if number:
            return SyncState(freshness, f"{number} of {health.total} sources {words}")
    if health.heard_at is None:
        return SyncState(Freshness.SYNCED, "synced")
    return SyncState(Freshness.SYNCED, f"synced {age(health.heard_at, now)} ago", health.heard_at)


def state_of(source: Source, now: datetime) -> SyncState:
    """One source in a sentence."""
    if source.stall is not None:
        return SyncState(Freshness.STALLED, "sync stalled", source.stall.at)
    if source.failures:
        times = "once" if source.failures == 1 else f"{source.failures} times in a row"
        return SyncState(Freshness.FAILING, f"sync failed {times}", source.checked_at)
    heard = source.checked_at or source.synced_at
    if heard is None:
        return SyncState(Freshness.WAITING, "not synced yet")
    return SyncState(Freshness.SYNCED, f"synced {age(heard, now)} ago", heard)


def sources(unit: Unit, now: datetime, status: DeliveryStatus | None = None, after: str = "") -> SourcesView:
    """A page of sources by name, above the first of them those that are in trouble; and the last deliveries, of one
    status if it is named."""
    found = unit.sources.page(after, PAGE + 1)
    shown = found[:PAGE]
    troubled = unit.sources.troubled(PAGE) if not after else ()
    known = {source.name for source in troubled}
    listed = (*troubled, *(source for source in shown if source.name not in known))
    templates = unit.registry.count_templates([source.name for source in listed])
    rows = [SourceRow(source, state_of(source, now), templates.get(source.name, 0)) for source in listed]
    deliveries = unit.deliveries.recent(DELIVERIES, status=status)
    return SourcesView(tuple(rows), shown[-1].name if len(found) > PAGE else None, tuple(deliveries))


def source(unit: Unit, name: str, now: datetime) -> SourceView:
    """Everything about one source."""
    found = unit.sources.get(parse_source_name(name))
    return SourceView(
        source=found,
        state=state_of(found, now),
        templates=tuple(unit.registry.templates(found.name)),
        deliveries=tuple(unit.deliveries.recent(DELIVERIES, found.name)),
        work=unit.work.find(WorkKind.SYNC, found.name),
    )
