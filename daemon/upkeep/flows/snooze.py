"""Snooze: ask not to be told of a resource's lag for a while. It stays where it is, and everybody can see that."""

from dataclasses import replace
from datetime import datetime

from upkeep.domain import events
from upkeep.domain.errors import Conflict
from upkeep.domain.names import ResourceKey
from upkeep.domain.people import Act, Actor, require
from upkeep.domain.snoozes import Length, Snooze, snoozed
from upkeep.flows.measure import offered_to
from upkeep.flows.ports import Unit


def snooze(unit: Unit, key: ResourceKey, length: Length, *, actor: Actor, now: datetime) -> Snooze:
    """Let a resource that is behind sleep; a snooze that it has already is replaced.

    It ends by itself: when its time is over, when a newer version is recommended than the one it is for, or when the
    resource is updated. Conflict when the resource is not behind.
    """
    require(actor, Act.UPDATE)
    resource = unit.fleet.get(key)
    require(actor, Act.UPDATE, resource.owner, key.short)
    due = offered_to(unit, resource.template, resource.version.major) if resource.version is not None else None
    if due is None or not resource.lag.behind:
        raise Conflict(f"{key.short} is not behind", cure="there is nothing to snooze")
    asleep = snoozed(length, due, actor.name, now)
    unit.fleet.save(replace(resource, snooze=asleep))
    until = asleep.until.isoformat() if asleep.until is not None else None
    version = str(asleep.version) if asleep.version is not None else None
    unit.journal.record(events.ResourceSnoozed(str(key), until, version), actor, now)
    return asleep


def wake(unit: Unit, key: ResourceKey, *, actor: Actor, now: datetime) -> None:
    """End a snooze before its time. One that is over already is let be."""
    require(actor, Act.UPDATE)
    resource = unit.fleet.get(key)
    require(actor, Act.UPDATE, resource.owner, key.short)
    if resource.snooze is None:
        return
    unit.fleet.save(replace(resource, snooze=None))
    if resource.snooze.holds(now):
        unit.journal.record(events.ResourceWoken(str(key)), actor, now)
