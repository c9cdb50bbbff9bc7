"""Snoozes: who may, what stays quiet meanwhile, and all the ways in which one ends."""

from datetime import timedelta

import pytest

from tests.builders import ADMIN, DEVELOPER, VIEWER
from tests.flows.given import environment_bundle, registered, running
from tests.flows.stacks import Stacks, work
from upkeep.domain.errors import Conflict, Forbidden
from upkeep.domain.names import TemplateName, Version, environment_key
from upkeep.domain.notices import Routing
from upkeep.domain.snoozes import Length, Snooze
from upkeep.flows import deploy, review
from upkeep.flows.browse.activity import sentence
from upkeep.flows.measure import measure
from upkeep.flows.snooze import snooze, wake

ENV = TemplateName("network-env")
TEST, OTHER = environment_key("test"), environment_key("other")
ROUTING = Routing(default="#all")


@pytest.fixture
def behind(store, now):
    """`test` runs 1.0 and `other` 1.1 of 1.1."""
    for minor in (0, 1):
        publish(store, now, f"1.{minor}")
    with store.write() as unit:
        running(unit, TEST, ENV, "1.0", owner="platform")
        running(unit, OTHER, ENV, "1.1", owner="platform")
        measure(unit, ENV)
    return store


def publish(store, now, text):
    with store.write() as unit:
        registered(unit, ENV, text, environment_bundle(), now)
        major, minor = map(int, text.split("."))
        review.publish(
            unit, ENV, Version(major, minor), seen_tree=None, note=None, routing=ROUTING, actor=ADMIN, now=now
        )


def sleep(store, length, now, key=TEST, actor=DEVELOPER):
    with store.write() as unit:
        return snooze(unit, key, length, actor=actor, now=now)


def get(store, key=TEST):
    with store.read() as unit:
        return unit.fleet.get(key)


def told(store):
    """The lines of all notices that are owed."""
    with store.read() as unit:
        return [line for owed in unit.outbox.unsent("#all", 100) for line in owed.notice.lines]


@pytest.mark.parametrize(("length", "days"), [(Length.WEEK, 7), (Length.MONTH, 30)])
def test_a_snooze_of_days_ends_when_they_are_over(behind, now, length, days):
    assert sleep(behind, length, now) == Snooze(now, "dev", until=now + timedelta(days=days))
    resource = get(behind)
    assert resource.asleep(now + timedelta(days=days, seconds=-1))
    assert not resource.asleep(now + timedelta(days=days))


def test_a_snooze_of_a_version_lasts_until_a_newer_one_is_recommended(behind, now):
    assert sleep(behind, Length.VERSION, now).version == Version(1, 1)
    later = now + timedelta(days=400)
    assert get(behind).asleep(later)
    publish(behind, later, "1.2")
    assert get(behind).snooze is None


def test_an_older_version_that_is_recommended_instead_wakes_nobody(behind, now):
    publish(behind, now, "1.2")
    sleep(behind, Length.VERSION, now)
    with behind.write() as unit:
        review.withdraw(unit, ENV, Version(1, 2), reason="bad", actor=ADMIN, now=now)
    assert get(behind).asleep(now)


def test_a_newer_version_does_not_cut_days_short(behind, now):
    sleep(behind, Length.MONTH, now)
    publish(behind, now, "1.2")
    assert get(behind).asleep(now)


def test_nobody_is_told_that_a_snoozed_resource_is_behind(behind, now):
    before = len(told(behind))
    sleep(behind, Length.MONTH, now)
    publish(behind, now, "1.2")
    lines = told(behind)[before:]
    assert any("other: 1.1 → 1.2" in line for line in lines)
    assert not any("test:" in line for line in lines)
    publish(behind, now + timedelta(days=31), "1.3")
    assert any("test: 1.0 → 1.3" in line for line in told(behind))


def test_an_update_ends_a_snooze_and_new_inputs_alone_do_not(behind, now):
    sleep(behind, Length.MONTH, now)
    stacks = Stacks()
    for to, asleep in ((Version(1, 0), True), (Version(1, 1), False)):
        with behind.write() as unit:
            deploy.update(unit, TEST, to=to, inputs={"cidr": "10.3.0.0/16"}, actor=DEVELOPER, now=now)
        work(behind, stacks, now)
        assert get(behind).version == to
        assert (get(behind).snooze is not None) == asleep


def test_a_snooze_can_be_ended_and_is_told_of(behind, now):
    sleep(behind, Length.WEEK, now)
    sleep(behind, Length.VERSION, now)
    for _ in range(2):
        with behind.write() as unit:
            wake(unit, TEST, actor=DEVELOPER, now=now)
    assert get(behind).snooze is None
    with behind.read() as unit:
        entries = [sentence(entry) for entry in unit.journal.entries(10, subject=str(TEST))]
    assert entries == [
        "ended the snooze of test",
        "snoozed test until something newer than 1.1 is recommended",
        "snoozed test until 2026-03-09",
    ]


def test_what_is_not_behind_is_not_snoozed(behind, now):
    with pytest.raises(Conflict, match="other is not behind"):
        sleep(behind, Length.WEEK, now, OTHER)


def test_viewers_snooze_and_wake_nothing(behind, now):
    with pytest.raises(Forbidden):
        sleep(behind, Length.WEEK, now, actor=VIEWER)
    with pytest.raises(Forbidden), behind.write() as unit:
        wake(unit, TEST, actor=VIEWER, now=now)
