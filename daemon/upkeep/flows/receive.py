"""Receive: write down a webhook delivery and ask the sources it speaks of to sync. Nothing else happens here."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from upkeep.domain.deliveries import Delivery, DeliveryStatus, Push, same_repository
from upkeep.domain.names import SourceName
from upkeep.domain.sources import Cause, Source
from upkeep.domain.work import WorkKind
from upkeep.flows.ports import Unit


def receive(
    unit: Unit,
    *,
    delivery_id: str,
    event: str,
    push: Push | None,
    scope: Collection[SourceName] | None,
    wait_of: Callable[[SourceName], timedelta] = lambda source: timedelta(),
    now: datetime,
) -> Delivery:
    """Store one authenticated delivery, and say in it what it asked for or why it asked nothing.

    `push` is None for other events than a push. `scope` holds the sources whose secret signed it, None when a
    global secret did. An id that is waiting or was worked changes nothing; one that failed or was ignored is
    looked at again, because GitHub redelivers under the same id.

    `wait_of` says for how long the sync of a source waits that is asked for too often. Nothing is lost by that: the
    delivery is kept as any other, and one sync reads all that was pushed until it begins.
    """
    known = unit.deliveries.find(delivery_id)
    if known is not None and known.status in (DeliveryStatus.RECEIVED, DeliveryStatus.WORKED):
        return known
    sources, reason = _asked(unit.sources.list(), event, push, scope)
    waits = {name: wait_of(name) for name in sources}
    delivery = Delivery(
        id=delivery_id,
        event=event,
        received_at=now,
        status=DeliveryStatus.RECEIVED if sources else DeliveryStatus.IGNORED,
        reason=reason or _put_off(waits),
        repository=min(push.repository_urls, default=None) if push else None,
        ref=push.ref if push else None,
        after=push.after if push else None,
        sources=sources,
        attempts=known.attempts + 1 if known else 1,
    )
    unit.deliveries.save(delivery)
    for name in sources:
        unit.work.ask(WorkKind.SYNC, name, now + waits[name], Cause.WEBHOOK)
    return delivery


def settle(unit: Unit, source: SourceName, asked_before: datetime, failure: str | None, now: datetime) -> None:
    """Write the outcome of a sync on the deliveries that asked for it and came before it began."""
    for delivery in unit.deliveries.open(source, asked_before):
        unit.deliveries.save(
            replace(
                delivery,
                status=DeliveryStatus.FAILED if failure else DeliveryStatus.WORKED,
                reason=failure,
                settled_at=now,
            )
        )


def _put_off(waits: Mapping[SourceName, timedelta]) -> str | None:
    late = [name for name, wait in waits.items() if wait]
    if not late:
        return None
    seconds = max(1, round(max(waits.values()).total_seconds()))
    return (
        f"deliveries for {', '.join(late)} come more often than `limits.deliveries_per_minute` allows, "
        f"so one sync for all of them begins within {seconds} s"
    )


def _asked(
    sources: Sequence[Source],
    event: str,
    push: Push | None,
    scope: Collection[SourceName] | None,
) -> tuple[tuple[SourceName, ...], str | None]:
    if event == "ping":
        return (), "a ping asks for nothing"
    if push is None:
        return (), f"`{event}` events ask for nothing, only pushes do"
    here = [s for s in sources if any(same_repository(s.url, url) for url in push.repository_urls)]
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
