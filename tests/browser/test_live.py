"""What is under way shows its progress by itself, and leaves alone what is not news."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.web.furnished import ENV, ROLLOUT, WAITING
from upkeep.adapters.clock import now
from upkeep.demo.expect import eventually
from upkeep.domain.changesets import StackEvent
from upkeep.domain.deployments import DeploymentStatus
from upkeep.domain.names import environment_key, parse_version
from upkeep.domain.people import Role
from upkeep.domain.plans import Plan
from upkeep.domain.previews import Preview
from upkeep.domain.work import WorkKind


@pytest.fixture
def store(gallery):
    """The gallery's rows, and once more under way what a test brings to its end."""
    with gallery.store.read() as unit:
        attempt = unit.deployments.get(WAITING)
        resource = unit.fleet.get(attempt.resource)
        rollout = unit.rollouts.get(ROLLOUT)
    yield gallery.store
    with gallery.store.write() as unit:
        unit.deployments.save(attempt)
        unit.fleet.save(resource)
        unit.rollouts.save(rollout)


def test_what_is_open_focused_and_selected_stays_so_when_news_comes(store, gallery, views):
    page = views.open(f"/deployments/{WAITING}", known=gallery.known[Role.DEVELOPER])
    page.get_by_text("Cancel", exact=True).click()
    button = page.get_by_role("button", name="Cancel deployment")
    button.focus()
    page.evaluate("getSelection().selectAllChildren(document.querySelector('h1'))")
    selected = page.evaluate("String(getSelection())")
    with store.write() as unit:
        unit.deployments.save(replace(unit.deployments.get(WAITING), begun_at=now(), message=None))
        event = StackEvent("new", now(), "Service", "AWS::ECS::Service", "CREATE_IN_PROGRESS")
        unit.deployments.keep_events(WAITING, [event])
    page.get_by_role("cell", name="CREATE_IN_PROGRESS").wait_for()
    assert button.is_visible()
    assert button.evaluate("button => button === document.activeElement")
    assert page.evaluate("String(getSelection())") == selected
    # The new form is good: what it sends is of this session.
    button.click()
    page.get_by_text("The deployment is").wait_for()


def test_focus_that_loses_its_place_goes_to_the_content(store, gallery, views):
    page = views.open(f"/deployments/{WAITING}", known=gallery.known[Role.DEVELOPER])
    page.get_by_text("Cancel", exact=True).click()
    page.get_by_role("button", name="Cancel deployment").focus()
    with store.write() as unit:
        ended = replace(unit.deployments.get(WAITING), status=DeploymentStatus.SUCCEEDED, completed_at=now())
        unit.deployments.save(ended)
    page.get_by_role("heading", level=1).get_by_text("succeeded").wait_for()
    assert page.evaluate("document.activeElement.id") == "content"
    assert page.locator("[data-live-at]").count() == 1, "the address stays, and nobody asks it any more"


def test_the_list_of_deployments_follows_them(store, gallery, views):
    page = views.open("/deployments", known=gallery.known[Role.VIEWER])
    row = page.get_by_role("row").filter(has_text="checkout/test")
    row.get_by_text("in progress").wait_for()
    with store.write() as unit:
        ended = replace(unit.deployments.get(WAITING), status=DeploymentStatus.FAILED, message="no room left")
        unit.deployments.save(replace(ended, completed_at=now()))
    row.get_by_text("no room left").wait_for()


def test_a_rollout_follows_its_members(store, gallery, views):
    page = views.open(f"/rollouts/{ROLLOUT}", known=gallery.known[Role.VIEWER])
    with store.write() as unit:
        unit.rollouts.save(replace(unit.rollouts.get(ROLLOUT), message="one of two has ended"))
    page.get_by_text("One of two has ended").wait_for()


def test_a_review_shows_the_preview_once_it_is_there_and_keeps_the_note(store, gallery, views):
    with store.write() as unit:
        unit.work.ask(WorkKind.PREVIEW, f"{ENV}@1.2", now())
    page = views.open(f"/templates/{ENV}/1.2/review", known=gallery.known[Role.ADMIN])
    page.get_by_text("a fresh one is on its way").wait_for()
    page.get_by_label("Note to the owners").fill("half a novel")
    with store.write() as unit:
        claim = unit.work.claim([WorkKind.PREVIEW], now(), timedelta(minutes=1))
        before = unit.registry.find_preview(ENV, parse_version("1.2"))
        unit.registry.save_preview(Preview(ENV, parse_version("1.2"), now(), before.groups[:1]))
        unit.work.done(claim)
    page.get_by_text("a fresh one is on its way").wait_for(state="detached")
    page.get_by_text("cannot be rendered").first.wait_for(state="detached")
    assert page.get_by_label("Note to the owners").input_value() == "half a novel"
    with store.write() as unit:
        unit.registry.save_preview(before)


def test_a_plan_shows_up_once_it_is_made_and_what_was_typed_meanwhile_is_kept(store, gallery, views):
    plan = Plan(
        "00000000-0000-4000-8000-00000000b1a2", environment_key("test"), ENV, parse_version("1.1"), {}, "dev", now()
    )
    with store.write() as unit:
        unit.plans.add(plan)
    path = f"/environments/test/update?to=1.1&plan={plan.id}"
    page = views.open(path, known=gallery.known[Role.DEVELOPER])
    page.get_by_text("1 input as before").click()
    page.get_by_label("cidr").fill("10.5.0.0/16")
    with store.write() as unit:
        unit.plans.save(replace(plan, failure="the role may not do that", made_at=now()))
    page.get_by_text("the role may not do that").wait_for()
    assert page.get_by_label("cidr").input_value() == "10.5.0.0/16"


def test_who_looks_elsewhere_is_asked_for_seldom(store, gallery, views):
    page = views.open(known=gallery.known[Role.VIEWER])
    page.add_init_script("Object.defineProperty(document, 'hidden', {get: () => true})")
    page.clock.install()
    page.goto(f"/deployments/{WAITING}")
    asked = []
    page.on("request", lambda request: asked.append(request) if request.resource_type == "fetch" else None)
    page.clock.run_for(29_000)
    assert asked == []
    page.clock.run_for(2_000)
    eventually("a look", lambda: page.evaluate("1") and len(asked), lambda number: number == 1)
