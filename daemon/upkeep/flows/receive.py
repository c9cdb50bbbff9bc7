"""Receive: write down webhook deliveries and ask the sources they speak of to sync. Nothing else happens here."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from upkeep.domain.deliveries import Delivery, DeliveryStatus, Push, repository_of
from upkeep.domain.names import SourceName
from upkeep.domain.sources import Cause, Source
from upkeep.domain.work import WorkKind
from upkeep.flows.ports import Unit


@dataclass(frozen=True, slots=True)
class Arrival:
    """An authenticated delivery that is to be written down.

    `push` is None for other events than a push. `scope` holds the sources whose secret signed it, None when a
    global secret did.
    """

    id: str
    event: str
    push: Push | None
    scope: Collection[SourceName] | None
    at: datetime


@dataclass(slots=True)
class Readers:
    """Who reads which repository, kept from one transaction to the next for as long as no source comes, goes or is
    changed, because every delivery asks and hardly any source changes. Threads take turns with it."""

    _edition: int | None = None
    _readers: dict[str, list[Source]] = field(default_factory=dict)

    def at(self, unit: Unit) -> Mapping[str, Sequence[Source]]:
        """The sources that read each repository, as they stand in a transaction."""
        edition = unit.sources.edition()
        if edition != self._edition:
            self._readers = {}
            for source in unit.sources.list():
                self._readers.setdefault(repository_of(source.url), []).append(source)
            self._edition = edition
        return self._readers


WaitOf = Callable[[SourceName, datetime], timedelta]
"""For how long the sync of a source waits that is asked for too often."""


def receive(
    unit: Unit,
    arrivals: Sequence[Arrival],
    readers: Readers,
    wait_of: WaitOf = lambda source, now: timedelta(),
) -> list[Delivery]:
    """Store authenticated deliveries, and say in each what it asked for or why it asked nothing.

    An id that is waiting or was worked changes nothing; one that failed or was ignored is looked at again, because
    GitHub redelivers under the same id. Nothing is lost by what `wait_of` says: the delivery is kept as any other, and
    one sync reads all that was pushed until it begins.
    """
    known = dict(unit.deliveries.found([arrival.id for arrival in arrivals]))
    reading = readers.at(unit)
    written: dict[str, Delivery] = {}
    asked: dict[SourceName, datetime] = {}
    told = []
    for arrival in arrivals:
        before = known.get(arrival.id)
        if before is None or before.status not in (DeliveryStatus.RECEIVED, DeliveryStatus.WORKED):
            sources, reason = _meant(arrival, reading)
            waits = {name: wait_of(name, arrival.at) for name in sources}
            for name, wait in waits.items():
                asked[name] = min(asked.get(name, arrival.at + wait), arrival.at + wait)
            before = _delivery(arrival, before, sources, reason or _put_off(waits))
            known[arrival.id] = written[arrival.id] = before
        told.append(before)
    unit.deliveries.save(*written.values())
    # One ask for a source stands for all deliveries of this transaction.
    for name, at in sorted(asked.items()):
        unit.work.ask(WorkKind.SYNC, name, at, Cause.WEBHOOK)
    return told


def _delivery(
    arrival: Arrival, known: Delivery | None, sources: tuple[SourceName, ...], reason: str | None
) -> Delivery:
    push = arrival.push
    return Delivery(
        id=arrival.id,
        event=arrival.event,
        received_at=arrival.at,
        status=DeliveryStatus.RECEIVED if sources else DeliveryStatus.IGNORED,
        reason=reason,
        repository=min(push.repository_urls, default=None) if push else None,
        ref=push.ref if push else None,
        after=push.after if push else None,
        sources=sources,
        attempts=known.attempts + 1 if known else 1,
    )


def settle(unit: Unit, source: SourceName, asked_before: datetime, failure: str | None, now: datetime) -> None:
    """Write the outcome of a sync on the deliveries that asked for it and came before it began."""
    status = DeliveryStatus.FAILED if failure else DeliveryStatus.WORKED
    waiting = unit.deliveries.open(source, asked_before)
    unit.deliveries.settle(replace(each, status=status, reason=failure, settled_at=now) for each in waiting)


def _put_off(waits: Mapping[SourceName, timedelta]) -> str | None:
    late = [name for name, wait in waits.items() if wait]
    if not late:
        return None
    seconds = max(1, round(max(waits.values()).total_seconds()))
    return (
        f"deliveries for {', '.join(late)} come more often than `limits.deliveries_per_minute` allows, "
        f"so one sync for all of them begins within {seconds} s"
    )


def _meant(arrival: Arrival, readers: Mapping[str, Sequence[Source]]) -> tuple[tuple[SourceName, ...], str | None]:
    """The sources a delivery asks to sync; without any, why it asks none."""
    push, scope = arrival.push, arrival.scope
    if arrival.event == "ping":
        return (), "a ping asks for nothing"
    if push is None:
        return (), f"`{arrival.event}` events ask for nothing, only pushes do"
    places = {repository_of(url) for url in push.repository_urls}
    here = sorted((s for place in places for s in readers.get(place, ())), key=lambda source: source.name)
    if not here:
        return (), "no source reads this repository"
    signed = [s for s in here if scope is None or s.name in scope]
    if not signed:
        return (), "it is meant for another source"
    if not push.ref.startswith("refs/heads/"):
        return (), f"`{push.ref}` is not a branch"
    branch = push.ref.removeprefix("refs/heads/")
    followed = [s for s in signed if s.branch == branch]
    if not followed:
        return (), f"no source reads branch `{branch}`"
    if push.deleted:
        return (), f"branch `{branch}` was deleted"
    return tuple(s.name for s in followed), None
