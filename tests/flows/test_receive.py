from datetime import timedelta

import pytest

from tests.builders import ADMIN, a_source
from upkeep.domain.deliveries import DeliveryStatus, Push
from upkeep.domain.sources import Cause
from upkeep.domain.work import WorkKind
from upkeep.flows import follow, receive

URL = "https://git.example.com/platform/templates.git"


@pytest.fixture
def followed(store, now):
    """A store with one source whose first sync is done."""
    with store.write() as unit:
        follow.add(unit, a_source(), actor=ADMIN, now=now)
        claim = unit.work.claim([WorkKind.SYNC], now, timedelta(minutes=1))
        unit.work.done(claim)
    return store


def push(ref="refs/heads/main", url=URL, deleted=False):
    return Push(frozenset({url}), ref, "1" * 40, deleted)


def deliver(store, now, push, *, event="push", scope=None, delivery_id="d1"):
    with store.write() as unit:
        (delivery,) = receive.receive(unit, [receive.Arrival(delivery_id, event, push, scope, now)], receive.Readers())
        return delivery


def asked(store):
    with store.read() as unit:
        return [(work.kind, work.subject) for work in unit.work.list(10)]


def test_a_push_to_a_followed_branch_asks_its_source_to_sync(followed, now):
    delivery = deliver(followed, now, push())
    assert delivery.status is DeliveryStatus.RECEIVED
    assert delivery.sources == ("templates",)
    assert asked(followed) == [(WorkKind.SYNC, "templates")]


@pytest.mark.parametrize(
    ("moved", "event", "scope", "reason"),
    [
        (None, "ping", None, "a ping asks for nothing"),
        (None, "issues", None, "`issues` events ask for nothing, only pushes do"),
        (push(ref="refs/heads/other"), "push", None, "no source reads branch `other`"),
        (push(ref="refs/tags/v1"), "push", None, "`refs/tags/v1` is not a branch"),
        (push(deleted=True), "push", None, "branch `main` was deleted"),
        (push(url="https://git.example.com/platform/else.git"), "push", None, "no source reads this repository"),
        (push(), "push", {"another"}, "it is meant for another source"),
    ],
)
def test_what_asks_for_nothing_is_recorded_with_its_reason(followed, now, moved, event, scope, reason):
    delivery = deliver(followed, now, moved, event=event, scope=scope)
    assert (delivery.status, delivery.reason) == (DeliveryStatus.IGNORED, reason)
    assert asked(followed) == []
    with followed.read() as unit:
        assert unit.deliveries.find("d1") == delivery


def test_a_second_delivery_with_the_same_id_changes_nothing(followed, now):
    first = deliver(followed, now, push())
    with followed.write() as unit:
        claim = unit.work.claim([WorkKind.SYNC], now, timedelta(minutes=1))
        assert claim.cause == Cause.WEBHOOK
        receive.settle(unit, claim.subject, now, None, now)
        unit.work.done(claim)
    again = deliver(followed, now + timedelta(minutes=1), push())
    assert (again.status, again.received_at) == (DeliveryStatus.WORKED, first.received_at)
    assert asked(followed) == []


def test_a_redelivery_of_one_that_failed_is_worked(followed, now):
    deliver(followed, now, push())
    with followed.write() as unit:
        claim = unit.work.claim([WorkKind.SYNC], now, timedelta(minutes=1))
        receive.settle(unit, claim.subject, now, "the repository did not answer", now)
        unit.work.done(claim)
        assert unit.deliveries.find("d1").status is DeliveryStatus.FAILED
    again = deliver(followed, now + timedelta(minutes=1), push())
    assert (again.status, again.attempts) == (DeliveryStatus.RECEIVED, 2)
    assert asked(followed) == [(WorkKind.SYNC, "templates")]


def test_a_redelivery_of_one_that_was_ignored_is_looked_at_again(followed, now):
    deliver(followed, now, push(ref="refs/heads/next"))
    with followed.write() as unit:
        follow.add(unit, a_source("next", url=URL, branch="next"), actor=ADMIN, now=now)
    assert deliver(followed, now, push(ref="refs/heads/next")).sources == ("next",)


def test_a_delivery_that_comes_while_a_sync_runs_is_not_settled_by_it(followed, now):
    deliver(followed, now, push(), delivery_id="before")
    deliver(followed, now + timedelta(seconds=10), push(), delivery_id="after")
    with followed.write() as unit:
        receive.settle(unit, "templates", now + timedelta(seconds=5), None, now + timedelta(seconds=20))
        assert unit.deliveries.find("before").status is DeliveryStatus.WORKED
        assert unit.deliveries.find("after").status is DeliveryStatus.RECEIVED
