"""Chronicle: every event that lands in the journal is also a line of the log and counted, once it is committed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import structlog

from upkeep import watch
from upkeep.domain.events import DeploymentSettled, Event, JournalEntry, facts_of, kind_of
from upkeep.domain.names import ResourceKind
from upkeep.domain.people import Actor
from upkeep.flows.ports import JournalBook, Store, Unit

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ChronicledStore:
    """Implements `flows.ports.Store` over another store, and logs what its transactions record."""

    store: Store

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Unit]:
        """One transaction; its events are told when it has been committed, and never when it was undone."""
        recorded: list[tuple[Event, Actor]] = []
        with self.store.write(durable=durable) as unit:
            yield cast(Unit, _Unit(unit, recorded))
        for event, actor in recorded:
            _tell(event, actor)

    @contextmanager
    def read(self) -> Iterator[Unit]:
        """One transaction that only reads."""
        with self.store.read() as unit:
            yield unit

    def now(self) -> datetime:
        """As the store's."""
        return self.store.now()

    def check(self) -> None:
        """As the store's."""
        self.store.check()

    def ring(self) -> None:
        """As the store's."""
        self.store.ring()

    def wait(self, at_most: timedelta) -> None:
        """As the store's."""
        self.store.wait(at_most)


_RESOURCES = frozenset(ResourceKind)


def _tell(event: Event, actor: Actor) -> None:
    facts = {name: value for name, value in facts_of(event).items() if value is not None}
    _log.info(
        kind_of(event), **_about(event.subject) | facts, subject=event.subject, actor=actor.name, via=actor.via.value
    )
    watch.happened("event", kind_of(event))
    if isinstance(event, DeploymentSettled) and event.took is not None:
        watch.happened("deployment", event.status, event.took)


def _about(subject: str) -> dict[str, str]:
    """The subject under the key that all lines have for its kind."""
    kind, _, name = subject.partition("/")
    if kind in ("source", "template"):
        return {kind: name}
    return {"resource": subject} if kind in _RESOURCES else {}


class _Unit:
    """A unit whose journal is listened to; all other books are the unit's own."""

    def __init__(self, unit: Unit, recorded: list[tuple[Event, Actor]]) -> None:
        self._unit = unit
        self.journal = _Journal(unit.journal, recorded)

    def __getattr__(self, book: str) -> Any:
        return getattr(self._unit, book)


@dataclass(frozen=True, slots=True)
class _Journal:
    book: JournalBook
    recorded: list[tuple[Event, Actor]] = field(default_factory=list)

    def record(self, event: Event, actor: Actor, at: datetime) -> int:
        self.recorded.append((event, actor))
        return self.book.record(event, actor, at)

    def entries(
        self,
        limit: int,
        before: int | None = None,
        subject: str | None = None,
        kind: str | None = None,
        actor: str | None = None,
    ) -> Sequence[JournalEntry]:
        return self.book.entries(limit, before, subject, kind, actor)
