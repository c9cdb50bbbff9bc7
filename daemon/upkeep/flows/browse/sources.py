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
    """All sources, worst first, and the deliveries last received, for whatever source."""

    rows: tuple[SourceRow, ...]
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True)
class SourceView:
    """One source's page. `work` is its sync while that is asked for or running."""

    source: Source
    state: SyncState
    templates: tuple[Template, ...]
    deliveries: tuple[Delivery, ...]
    work: DueWork | None


_WORST = (Freshness.STALLED, Freshness.FAILING, Freshness.WAITING, Freshness.SYNCED, Freshness.NONE)


def sync_state(unit: Unit, now: datetime) -> SyncState:
    """All sources in one sentence; the worst of them decides it."""
    states = [state_of(source, now) for source in unit.sources.list()]
    if not states:
        return SyncState(Freshness.NONE, "no source yet")
    worst = min(states, key=lambda state: _WORST.index(state.freshness)).freshness
    alike = [state for state in states if state.freshness is worst]
    if worst is Freshness.SYNCED:
        oldest = min(alike, key=lambda state: state.at or now)
        return SyncState(worst, oldest.sentence, oldest.at)
    if len(states) == 1:
        return alike[0]
    words = {Freshness.STALLED: "stalled", Freshness.FAILING: "not answering", Freshness.WAITING: "not synced yet"}
    return SyncState(worst, f"{len(alike)} of {len(states)} sources {words[worst]}")


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


def sources(unit: Unit, now: datetime, status: DeliveryStatus | None = None) -> SourcesView:
    """All sources and the last deliveries, of one status if it is named."""
    rows = [
        SourceRow(source, state_of(source, now), len(unit.registry.templates(source.name)))
        for source in unit.sources.list()
    ]
    rows.sort(key=lambda row: (_WORST.index(row.state.freshness), row.source.name))
    return SourcesView(tuple(rows), tuple(unit.deliveries.recent(DELIVERIES, status=status)))


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
