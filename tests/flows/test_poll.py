"""Polls: which sources have nothing new, and what becomes of the others."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from tests.builders import ADMIN, NOON, a_source
from upkeep.adapters.store import SqlStore
from upkeep.domain.changes import NAME_HELD_ELSEWHERE
from upkeep.domain.errors import LostLease, StalledError, TransientError, UpkeepError
from upkeep.domain.findings import warning
from upkeep.domain.sources import Source, Stall
from upkeep.domain.work import Claim, WorkKind
from upkeep.flows import follow
from upkeep.flows.poll import poll
from upkeep.flows.ports import Mirror

LEASE = timedelta(minutes=1)
SYNCED, MOVED = "1" * 40, "2" * 40


@dataclass
class Heads:
    """Repositories that answer with a head or an error, SYNCED where nothing else is said."""

    answers: dict[str, str | UpkeepError] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def head(self, source: Source) -> str:
        self.asked.append(source.name)
        answer = self.answers.get(source.name, SYNCED)
        if isinstance(answer, UpkeepError):
            raise answer
        return answer

    def fetch(self, source: Source, at_most: int | None = None) -> AbstractContextManager[Mirror]:
        raise AssertionError("a poll fetches nothing")


def claimed(store: SqlStore, now: datetime, *sources: Source) -> Claim:
    """The claim on a poll of these sources, which come into the store."""
    with store.write() as unit:
        for source in sources:
            unit.sources.add(source)
        unit.work.ask(WorkKind.POLL, " ".join(source.name for source in sources), now)
        claim = unit.work.claim([WorkKind.POLL], now, LEASE)
    assert claim is not None
    return claim


def quiet(name: str, **changes: object) -> Source:
    return a_source(name, **{"synced_commit": SYNCED, **changes})


def works(store: SqlStore) -> list[tuple[str, str]]:
    with store.read() as unit:
        return sorted((row.kind.value, row.subject) for row in unit.work.list(20))


def heard(store: SqlStore, now: datetime) -> Sequence[str]:
    with store.read() as unit:
        return [source.name for source in unit.sources.list() if source.checked_at == now]


def test_sources_where_nothing_is_new_are_heard_from_and_not_synced(any_store: SqlStore, now: datetime) -> None:
    claim = claimed(any_store, now, quiet("one"), quiet("two"))
    poll(any_store, Heads(), claim, now=now)
    assert heard(any_store, now) == ["one", "two"]
    assert works(any_store) == []


def test_what_a_poll_finds_new_is_left_to_a_sync(any_store: SqlStore, now: datetime) -> None:
    claim = claimed(any_store, now, quiet("one"), quiet("two"))
    poll(any_store, Heads({"one": MOVED}), claim, now=now)
    assert heard(any_store, now) == ["two"]
    assert works(any_store) == [("sync", "one")]


@pytest.mark.parametrize("failure", [TransientError("it is down"), StalledError("it is gone")])
def test_a_source_that_does_not_answer_holds_nobody_up(store: SqlStore, now: datetime, failure: UpkeepError) -> None:
    repositories = Heads({"two": failure})
    poll(store, repositories, claimed(store, now, *map(quiet, ("one", "two", "three", "four"))), now=now)
    assert repositories.asked == ["four", "one", "three", "two"]
    assert works(store) == [("sync", "two")]
    assert heard(store, now) == ["four", "one", "three"]
    later = now + timedelta(minutes=5)
    repositories = Heads({"four": failure})
    with store.write() as unit:
        unit.work.ask(WorkKind.POLL, "four one three", later)
        claim = unit.work.claim([WorkKind.POLL], later, LEASE)
    assert claim is not None
    poll(store, repositories, claim, now=later)
    assert repositories.asked == ["four"]
    assert works(store) == [("sync", name) for name in ("four", "one", "three", "two")]


def test_a_source_with_something_left_to_do_is_synced_wherever_its_head_is(store: SqlStore, now: datetime) -> None:
    held = warning(NAME_HELD_ELSEWHERE, "`net` is of another source")
    repositories = Heads()
    sources = (
        quiet("never", synced_commit=None),
        quiet("failing", failures=1, failure="it was down"),
        quiet("waiting", findings=(held,)),
    )
    poll(store, repositories, claimed(store, now, *sources), now=now)
    assert repositories.asked == []
    assert works(store) == [("sync", name) for name in ("failing", "never", "waiting")]


def test_a_stalled_source_and_one_that_was_removed_are_left_alone(store: SqlStore, now: datetime) -> None:
    stalled = quiet("stalled", stall=Stall("it is gone", "bring it back", now))
    claim = claimed(store, now, quiet("removed"), stalled)
    with store.write() as unit:
        follow.remove(unit, "removed", actor=ADMIN, now=now)
    repositories = Heads()
    poll(store, repositories, claim, now=now)
    assert repositories.asked == []
    assert works(store) == []


@pytest.mark.parametrize(
    "change",
    [
        {"url": "https://git.example.com/elsewhere.git"},
        {"branch": "next"},
        {"synced_commit": MOVED},
        {"synced_commit": None},
        {"failures": 1, "failure": "it is down"},
        {"stall": Stall("it is gone", "bring it back", NOON)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_was_heard_of_a_source_is_not_said_of_another_state(
    any_store: SqlStore, now: datetime, change: dict[str, object]
) -> None:
    with any_store.write() as unit:
        unit.sources.add(replace(quiet("one"), **change))  # type: ignore[arg-type]
        unit.sources.add(quiet("two"))
        unit.sources.heard([quiet("one"), quiet("two")], now)
    assert heard(any_store, now) == ["two"]


def test_who_lost_the_claim_writes_nothing(store: SqlStore, now: datetime) -> None:
    claim = claimed(store, now, quiet("one"), quiet("two"))
    with store.write() as unit:
        assert unit.work.claim([WorkKind.POLL], now + 2 * LEASE, LEASE) is not None
    for repositories in (Heads(), Heads({"one": MOVED})):
        with pytest.raises(LostLease):
            poll(store, repositories, claim, now=now)
    assert heard(store, now) == []
    assert works(store) == [("poll", "one two")]
