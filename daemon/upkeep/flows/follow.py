"""Follow: which repositories are read, and asking them to be read again."""

from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import datetime, timedelta

from upkeep.domain import events
from upkeep.domain.errors import Conflict
from upkeep.domain.limits import LIMITS
from upkeep.domain.people import DAEMON, Act, Actor, require
from upkeep.domain.sources import Cause, Origin, Source
from upkeep.domain.work import WorkKind
from upkeep.flows.ports import Unit

_DECLARED = ("url", "branch", "subdirectory", "credential", "webhook_secret", "drafts", "poll_every_for")

POLLED_TOGETHER = 10
"""Sources that one work polls: one after the other, and with two transactions for all of them."""

LONGEST_BACK_OFF = timedelta(hours=1)
"""A repository that keeps failing is asked at least this often."""


def add(unit: Unit, source: Source, *, at_most: int = LIMITS.sources, actor: Actor, now: datetime) -> Source:
    """Follow a repository from now on; its first sync is asked for at once.

    Refused when another source reads the same branch and folder, or so many are followed already.
    """
    require(actor, Act.FOLLOW)
    followed = unit.sources.list()
    if len(followed) >= at_most:
        raise Conflict(
            f"{len(followed):,} sources are followed already, as many as are allowed here",
            cure="remove one that nobody needs, or raise `limits.sources`",
        )
    for other in followed:
        if (other.url, other.branch, other.subdirectory) == (source.url, source.branch, source.subdirectory):
            raise Conflict(
                f"source `{other.name}` reads this branch and folder already",
                cure=f"use it, or remove it with `upkeep source remove {other.name}`",
            )
    unit.sources.add(source)
    unit.journal.record(events.SourceAdded(f"source/{source.name}", source.url, source.branch), actor, now)
    unit.work.ask(WorkKind.SYNC, source.name, now, Cause.START)
    return source


def declare(unit: Unit, declared: Iterable[Source], *, at_most: int = LIMITS.sources, now: datetime) -> None:
    """Make the sources of the configuration file followed as it says; those it no longer names become orphans
    of nobody: they are removed, their templates stay."""
    wanted = {source.name: source for source in declared}
    known = {source.name: source for source in unit.sources.list()}
    for source in known.values():
        if source.origin is Origin.CONFIG and source.name not in wanted:
            remove(unit, source.name, actor=DAEMON, now=now)
    for name, source in wanted.items():
        if name not in known:
            add(unit, replace(source, origin=Origin.CONFIG), at_most=at_most, actor=DAEMON, now=now)
            continue
        before = known[name]
        if before.origin is Origin.ADDED:
            raise Conflict(
                f"source `{name}` of the configuration was added by hand before",
                cure=f"remove it with `upkeep source remove {name}`, or rename one of them",
            )
        after = replace(before, **{field: getattr(source, field) for field in _DECLARED})
        if after != before:
            changed = ", ".join(f.name for f in fields(Source) if getattr(before, f.name) != getattr(after, f.name))
            if after.subdirectory != before.subdirectory:
                # Other folders are read now, and no later commit would tell of them.
                after = replace(after, synced_commit=None)
            unit.sources.save(replace(after, stall=None, failures=0, failure=None))
            unit.journal.record(events.SourceChanged(f"source/{name}", changed), DAEMON, now)
            unit.work.ask(WorkKind.SYNC, name, now, Cause.START)


def remove(unit: Unit, name: str, *, actor: Actor, now: datetime) -> None:
    """Follow a repository no longer. Its templates and their versions stay as they are.

    Refused to people while the configuration declares the source: it would be back at the next start.
    """
    require(actor, Act.FOLLOW)
    source = unit.sources.get(name)
    if source.origin is Origin.CONFIG and actor != DAEMON:
        raise Conflict(
            f"source `{name}` is declared in the configuration",
            cure="take it out of `sources` there and start the daemon again",
        )
    unit.sources.remove(source.name)
    unit.journal.record(events.SourceRemoved(f"source/{name}", source.url), actor, now)


def ask(unit: Unit, name: str, *, actor: Actor, now: datetime) -> None:
    """Ask for a sync now; a stalled source is resumed by it."""
    require(actor, Act.SYNC)
    source = unit.sources.get(name)
    if source.stall is not None:
        unit.sources.save(replace(source, stall=None, failures=0, failure=None))
        unit.journal.record(events.SourceResumed(f"source/{name}"), actor, now)
    unit.work.ask(WorkKind.SYNC, source.name, now, Cause.PERSON)
    unit.journal.record(events.SyncAsked(f"source/{name}", Cause.PERSON), actor, now)


def poll(unit: Unit, *, jitter: float, now: datetime, limit: int = 200) -> int:
    """Ask for a poll of every source whose time has come; returns how many.

    The next time is set here already, so that nobody asks again meanwhile. `jitter`, from 0
    to 1, moves it by up to a tenth of the interval; failures in a row double the interval, up to an hour or the
    interval itself if that is longer.
    """
    due = unit.sources.due(now, limit)
    unit.sources.put_off({source.name: next_poll_at(source, jitter, now) for source in due})
    names = sorted(source.name for source in due)
    for first in range(0, len(names), POLLED_TOGETHER):
        unit.work.ask(WorkKind.POLL, " ".join(names[first : first + POLLED_TOGETHER]), now)
    return len(due)


def next_poll_at(source: Source, jitter: float, now: datetime) -> datetime:
    """When the timer should ask again, counted from `now`."""
    longest = max(source.poll_every_for, LONGEST_BACK_OFF)
    wait = min(source.poll_every_for * (2 ** min(source.failures, 16)), longest)
    spread: timedelta = wait * (0.9 + 0.2 * jitter)
    return now + spread
