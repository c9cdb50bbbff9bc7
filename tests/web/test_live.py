"""Pages that are asked for again while something is under way: no news costs nothing, and news comes at once."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from flask import template_rendered

from tests import builders
from tests.web.furnished import DONE, ENV, FAILED, ROLLOUT, SVC, WAITING
from upkeep.domain import events
from upkeep.domain.changesets import StackEvent
from upkeep.domain.deliveries import Delivery, DeliveryStatus
from upkeep.domain.deployments import DeploymentStatus
from upkeep.domain.names import environment_key, parse_version
from upkeep.domain.people import DAEMON
from upkeep.domain.plans import Plan
from upkeep.domain.previews import Preview
from upkeep.domain.rollouts import RolloutStatus
from upkeep.domain.work import WorkKind
from upkeep.flows.ports import Unit
from upkeep.web.app import create_app

TEST = environment_key("test")
PLAN = "00000000-0000-4000-8000-00000000b1a0"
DRAFT = parse_version("1.2")

PAGES = (
    f"/deployments/{WAITING}",
    "/deployments",
    "/deployments?status=IN_PROGRESS",
    "/services/checkout/instances/test",
    f"/environments/test/update?to=1.1&plan={PLAN}",
    "/sources/templates",
    f"/templates/{ENV}",
    f"/templates/{ENV}/1.2/review",
    f"/rollouts/{ROLLOUT}",
)
"""Pages that show something under way."""


@pytest.fixture
def viewer(visit, furnished, store, now):
    with store.write() as unit:
        unit.work.ask(WorkKind.PREVIEW, f"{ENV}@1.2", now)
        unit.plans.add(Plan(PLAN, TEST, ENV, parse_version("1.1"), {}, "dev", now))
    return visit("viewer")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_on_which_something_is_under_way_says_where_to_look_for_news(viewer, path):
    answer = viewer.get(path)
    tag = answer.headers["ETag"].replace('"', "&#34;")
    assert f'data-live-at="{path.replace("&", "&amp;")}" data-live-tag="{tag}"' in answer.text
    assert "live.js" in answer.text
    assert ("http-equiv" in answer.text) == ("review" not in path)


@pytest.mark.parametrize("path", [f"/deployments/{FAILED}", f"/deployments/{DONE}", "/environments/production"])
def test_a_page_on_which_nothing_is_under_way_asks_for_nothing(viewer, path):
    answer = viewer.get(path)
    assert "data-live-at" not in answer.text
    assert "live.js" not in answer.text
    assert "http-equiv" not in answer.text


@pytest.mark.parametrize("path", PAGES)
def test_without_news_nothing_is_rendered_and_nothing_sent_but_the_tag(app, viewer, path):
    tag = viewer.get(path).headers["ETag"]
    rendered = []
    template_rendered.connect(lambda *_, **told: rendered.append(told["template"]), app, weak=False)
    again = viewer.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
    assert again.headers["Cache-Control"] == "no-store"
    assert rendered == []


@pytest.mark.parametrize("path", PAGES)
def test_a_tag_is_still_good_after_a_restart(rooms, visit, viewer, path):
    tag = viewer.get(path).headers["ETag"]
    cookie = viewer.client.get_cookie(viewer.client.application.config["SESSION_COOKIE_NAME"])
    again = create_app(rooms).test_client()
    again.set_cookie(cookie.key, cookie.value)
    assert again.get(path, headers={"If-None-Match": tag}).status_code == 304


def test_a_tag_is_the_same_in_every_process():
    said = "from upkeep.domain.people import Actor, Role, Via; from upkeep.web.live import asker; "
    said += "print(asker(Actor('dev', Role.DEVELOPER, Via.WEB, teams=frozenset('abcdefgh'))))"
    seeds = ({**os.environ, "PYTHONHASHSEED": str(seed)} for seed in (1, 2))
    one, other = (subprocess.run([sys.executable, "-c", said], env=seed, capture_output=True) for seed in seeds)
    assert one.stdout == other.stdout != b""


@pytest.mark.parametrize("path", PAGES)
def test_ages_are_fresh_to_the_minute(viewer, clock, path):
    tag = viewer.get(path).headers["ETag"]
    clock.advance(timedelta(minutes=1))
    assert viewer.get(path, headers={"If-None-Match": tag}).status_code == 200


def test_a_tag_is_for_one_person_and_one_page(visit, viewer):
    path, other = f"/deployments/{WAITING}", "/deployments"
    tag = viewer.get(path).headers["ETag"]
    assert visit("developer").get(path, headers={"If-None-Match": tag}).status_code == 200
    assert viewer.get(other, headers={"If-None-Match": tag}).status_code == 200


def test_whose_session_has_ended_is_sent_to_sign_in_whatever_they_have_seen(viewer, clock):
    path = f"/deployments/{WAITING}"
    tag = viewer.get(path).headers["ETag"]
    clock.advance(timedelta(days=400))
    answer = viewer.get(path, headers={"If-None-Match": tag})
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/sign-in?next=/deployments/{WAITING}")


def test_what_was_said_to_a_person_is_not_taken_by_a_page_that_looks_for_news(visit, viewer):
    developer = visit("developer")
    developer.post(f"/deployments/{WAITING}/cancel")
    developer.get("/deployments", headers={"If-None-Match": '"another"'})
    assert "is cancelled" in developer.page("/deployments").text


# ------------------------------------------------------------------------------------------------ what is news


def deployment(**changes) -> Callable[[Unit], None]:
    def change(unit: Unit) -> None:
        unit.deployments.save(replace(unit.deployments.get(WAITING), **changes))

    return change


def an_event(unit: Unit) -> None:
    early = builders.NOON - timedelta(days=1)
    unit.deployments.keep_events(WAITING, [StackEvent("late", early, "Service", "AWS::ECS::Service", "CREATE_FAILED")])


def another(unit: Unit) -> None:
    unit.deployments.add(builders.a_deployment(unit.fleet.get(TEST), "1.1"))


def a_plan_made(unit: Unit) -> None:
    found = unit.plans.find(PLAN)
    assert found is not None
    unit.plans.save(replace(found, failure="no such role", made_at=builders.NOON))


def a_plan_for_the_draft(unit: Unit) -> None:
    unit.plans.add(Plan("00000000-0000-4000-8000-00000000b1a1", TEST, ENV, DRAFT, {}, "ada", builders.NOON))


def synced(unit: Unit) -> None:
    found = unit.sources.get("templates")
    unit.sources.save(replace(found, synced_at=builders.NOON, synced_commit=builders.object_id("new")))


def delivered(unit: Unit) -> None:
    found = Delivery("d-new", "push", builders.NOON, DeliveryStatus.RECEIVED, sources=("templates",))
    unit.deliveries.save(found)


def claimed(*kinds: WorkKind) -> Callable[[Unit], None]:
    def change(unit: Unit) -> None:
        assert unit.work.claim(kinds, builders.NOON, timedelta(minutes=1)) is not None

    return change


def journaled(unit: Unit) -> None:
    unit.journal.record(events.VersionPublished(f"template/{SVC}", "1.1", "", 0), DAEMON, builders.NOON)


def previewed(unit: Unit) -> None:
    unit.registry.save_preview(Preview(ENV, DRAFT, builders.NOON + timedelta(seconds=1), ()))


def paused(unit: Unit) -> None:
    unit.rollouts.save(replace(unit.rollouts.get(ROLLOUT), status=RolloutStatus.PAUSED, message="one failed"))


ATTEMPT, INSTANCE, SOURCE, TEMPLATE, REVIEW = PAGES[0], PAGES[3], PAGES[5], PAGES[6], PAGES[7]

NEWS = {
    "it begins": (ATTEMPT, deployment(begun_at=builders.NOON)),
    "it waits": (ATTEMPT, deployment(message="waits for something else")),
    "it ends": (ATTEMPT, deployment(status=DeploymentStatus.SUCCEEDED, completed_at=builders.NOON)),
    "an event that comes late": (ATTEMPT, an_event),
    "the list: it ends": ("/deployments", deployment(status=DeploymentStatus.FAILED)),
    "the list: another": ("/deployments", another),
    "the instance: it ends": (INSTANCE, deployment(status=DeploymentStatus.FAILED)),
    "the instance: something is published": (INSTANCE, journaled),
    "the plan is made": (PAGES[4], a_plan_made),
    "the sync begins": (SOURCE, claimed(WorkKind.SYNC)),
    "the sync has ended": (SOURCE, synced),
    "a delivery": (SOURCE, delivered),
    "the template: the sync begins": (TEMPLATE, claimed(WorkKind.SYNC)),
    "the template: the preview begins": (TEMPLATE, claimed(WorkKind.PREVIEW)),
    "the template: something is published": (TEMPLATE, journaled),
    "the review: the preview begins": (REVIEW, claimed(WorkKind.PREVIEW)),
    "the review: the preview is there": (REVIEW, previewed),
    "the review: a change set is asked for": (REVIEW, a_plan_for_the_draft),
    "the review: something is published": (REVIEW, journaled),
    "the rollout stops": (f"/rollouts/{ROLLOUT}", paused),
}


@pytest.mark.parametrize("what", NEWS)
def test_news_is_told_at_once(viewer, store, what):
    path, change = NEWS[what]
    tag = viewer.get(path).headers["ETag"]
    assert viewer.get(path, headers={"If-None-Match": tag}).status_code == 304
    with store.write() as unit:
        change(unit)
    answer = viewer.get(path, headers={"If-None-Match": tag})
    assert answer.status_code == 200
    assert answer.headers["ETag"] != tag
    assert viewer.get(path, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304


def test_a_lease_that_is_prolonged_is_no_news(viewer, store, now):
    with store.write() as unit:
        claim = unit.work.claim([WorkKind.SYNC], now, timedelta(minutes=1))
    tag = viewer.get(SOURCE).headers["ETag"]
    with store.write() as unit:
        assert unit.work.renew(claim, now + timedelta(minutes=5))
    assert viewer.get(SOURCE, headers={"If-None-Match": tag}).status_code == 304
