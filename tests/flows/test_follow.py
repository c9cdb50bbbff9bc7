from dataclasses import replace
from datetime import timedelta

import pytest

from tests.builders import ADMIN, DEVELOPER, VIEWER, a_source
from upkeep.domain.errors import Conflict, Forbidden
from upkeep.domain.sources import Drafts, Origin, Stall
from upkeep.domain.work import WorkKind
from upkeep.flows import follow


def work(store, kind=WorkKind.SYNC):
    with store.read() as unit:
        return [due.subject for due in unit.work.list(10) if due.kind is kind]


def test_a_new_source_is_asked_to_sync_at_once(store, now):
    with store.write() as unit:
        follow.add(unit, a_source(), actor=ADMIN, now=now)
    assert work(store) == ["templates"]


def test_two_sources_do_not_read_the_same_branch_and_folder(store, now):
    with store.write() as unit:
        follow.add(unit, a_source(), actor=ADMIN, now=now)
    with pytest.raises(Conflict, match="`templates` reads this branch and folder already"), store.write() as unit:
        follow.add(unit, a_source("other", url=a_source().url), actor=ADMIN, now=now)


def test_only_admins_follow_and_viewers_do_not_even_ask(store, now):
    with pytest.raises(Forbidden), store.write() as unit:
        follow.add(unit, a_source(), actor=DEVELOPER, now=now)
    with store.write() as unit:
        follow.add(unit, a_source(), actor=ADMIN, now=now)
        follow.ask(unit, "templates", actor=DEVELOPER, now=now)
    with pytest.raises(Forbidden), store.write() as unit:
        follow.ask(unit, "templates", actor=VIEWER, now=now)


def test_asking_a_stalled_source_resumes_it(store, now):
    with store.write() as unit:
        follow.add(unit, a_source(), actor=ADMIN, now=now)
        stalled = replace(unit.sources.get("templates"), stall=Stall("gone", "bring it back", now), failures=3)
        unit.sources.save(stalled)
        follow.ask(unit, "templates", actor=ADMIN, now=now)
        source = unit.sources.get("templates")
        assert (source.stall, source.failures) == (None, 0)
        assert "source_resumed" in [entry.kind for entry in unit.journal.entries(5)]


def test_the_timer_asks_only_sources_whose_time_has_come(store, now):
    with store.write() as unit:
        unit.sources.add(a_source("due", next_poll_at=now - timedelta(seconds=1)))
        unit.sources.add(a_source("later", next_poll_at=now + timedelta(seconds=1)))
        unit.sources.add(a_source("stalled", next_poll_at=now, stall=Stall("gone", "", now)))
        assert follow.poll(unit, jitter=0.5, now=now) == 1
    assert work(store, WorkKind.POLL) == ["due"]
    with store.read() as unit:
        assert unit.sources.get("due").next_poll_at == now + timedelta(minutes=5)


def test_sources_that_are_due_at_once_are_polled_a_few_by_each_work(store, now):
    names = [f"s{number:02}" for number in range(follow.POLLED_TOGETHER + 3)]
    with store.write() as unit:
        for name in names:
            unit.sources.add(a_source(name, next_poll_at=now))
        assert follow.poll(unit, jitter=0.5, now=now) == len(names)
        assert follow.poll(unit, jitter=0.5, now=now) == 0
    asked = [subject.split(" ") for subject in work(store, WorkKind.POLL)]
    assert [len(few) for few in asked] == [follow.POLLED_TOGETHER, 3]
    assert sorted(name for few in asked for name in few) == names


def test_failures_in_a_row_double_the_interval_up_to_an_hour(now):
    waits = [follow.next_poll_at(a_source(failures=n), 0.5, now) - now for n in (0, 1, 2, 3, 4, 50)]
    assert waits == [timedelta(minutes=m) for m in (5, 10, 20, 40, 60, 60)]
    slow = a_source(failures=9, poll_every_for=timedelta(hours=6))
    assert follow.next_poll_at(slow, 0.5, now) - now == timedelta(hours=6)


def test_jitter_moves_a_poll_by_up_to_a_tenth(now):
    source = a_source(poll_every_for=timedelta(seconds=100))
    assert follow.next_poll_at(source, 0.0, now) - now == timedelta(seconds=90)
    assert follow.next_poll_at(source, 1.0, now) - now == timedelta(seconds=110)


def test_the_configuration_is_followed_as_it_says(store, now):
    def declare(*sources):
        with store.write() as unit:
            follow.declare(unit, sources, now=now)
            return {source.name: source for source in unit.sources.list()}

    first = declare(a_source("one"), a_source("two"))
    assert [source.origin for source in first.values()] == [Origin.CONFIG, Origin.CONFIG]
    with store.write() as unit:
        unit.sources.save(replace(unit.sources.get("one"), synced_commit="1" * 40))
    second = declare(a_source("one", drafts=Drafts.PER_PUSH))
    assert list(second) == ["one"]
    assert (second["one"].drafts, second["one"].synced_commit) == (Drafts.PER_PUSH, "1" * 40)


def test_declaring_the_same_twice_changes_nothing(store, now):
    for _ in range(2):
        with store.write() as unit:
            follow.declare(unit, [a_source()], now=now)
    with store.read() as unit:
        assert [entry.kind for entry in unit.journal.entries(10)] == ["source_added"]


def test_a_source_added_by_hand_stays_when_the_configuration_does_not_name_it(store, now):
    with store.write() as unit:
        follow.add(unit, a_source("mine"), actor=ADMIN, now=now)
        follow.declare(unit, [], now=now)
        assert [source.name for source in unit.sources.list()] == ["mine"]
