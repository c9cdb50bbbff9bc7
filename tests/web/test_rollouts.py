"""Many resources chosen, confirmed, updated and followed on pages."""

import pytest

from tests.web.furnished import PAUSED, ROLLOUT
from upkeep.domain.names import environment_key
from upkeep.domain.rollouts import RolloutStatus, Turn

pytestmark = pytest.mark.usefixtures("furnished")


def recent(store):
    with store.read() as unit:
        return unit.rollouts.recent(10)


def test_the_fleet_lets_those_choose_who_may_update(visit):
    developer = visit("developer")
    page = developer.page("/?status=behind")
    form = page.form("Update chosen, or all shown")
    assert (form.action, form.fields) == ("/rollouts/new", {"status": "behind"})
    assert 'value="environment/test"' in developer.get("/").text
    assert not visit("viewer").page("/").has_button("Update chosen, or all shown")


def test_the_confirm_page_names_what_is_left_out_and_why(visit):
    page = visit("developer").page("/rollouts/new")
    assert "test environment 1.0 → 1.1" in page.text
    assert "checkout/test instance Deployment" in page.text
    assert "is under way" in page.text
    assert "checkout pipeline pipeline Up to date" in page.text
    assert "empty environment It was never deployed" in page.text
    assert not visit("viewer").page("/rollouts/new").has_button("Start updating")


def test_what_was_confirmed_is_started_and_followed(visit, store):
    visitor = visit("developer")
    page = visitor.page("/rollouts/new?key=environment/test")
    assert "Update 1 resource" in page.headings
    answer = visitor.press(page, "Start updating", {"max_parallel": "2", "stop_after": "3"})
    assert answer.status_code == 303
    begun = recent(store)[0]
    assert answer.headers["Location"] == f"/rollouts/{begun.id}"
    assert (begun.max_parallel, begun.stop_after, begun.actor.name) == (2, 3, "developer")
    assert [member.resource for member in begun.of(Turn.WAITING)] == [environment_key("test")]
    assert "0 of 1 have ended" in visitor.page(f"/rollouts/{begun.id}").text


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"key": "environment/test", "seen": "environment/test>1.0"}, 409),
        ({"key": "environment/test"}, 409),
        ({}, 409),
        ({"key": "nonsense"}, 400),
        ({"key": "environment/test", "seen": "environment/test"}, 400),
        ({"key": "environment/test", "seen": "environment/test>1.1", "max_parallel": "many"}, 400),
        ({"key": "environment/test", "seen": "environment/test>1.1", "max_parallel": "0"}, 400),
        ({"key": "environment/nobody", "seen": "environment/nobody>1.1"}, 404),
    ],
)
def test_what_does_not_fit_what_was_seen_starts_nothing(visit, store, fields, status):
    before = recent(store)
    assert visit("developer").post("/rollouts", fields).status_code == status
    assert recent(store) == before


def test_a_rollout_is_paused_resumed_and_stopped(visit, store):
    visitor = visit("developer")
    for button, status in (
        ("Pause", RolloutStatus.PAUSED),
        ("Resume", RolloutStatus.RUNNING),
        ("Stop", RolloutStatus.STOPPED),
    ):
        assert visitor.press(visitor.page(f"/rollouts/{ROLLOUT}"), button).status_code == 303
        with store.read() as unit:
            assert unit.rollouts.get(ROLLOUT).status is status
    assert not visitor.page(f"/rollouts/{ROLLOUT}").has_button("Stop")


def test_a_rollout_shows_how_far_it_is_and_why_it_waits(visit):
    viewer = visit("viewer")
    page = viewer.page(f"/rollouts/{PAUSED}")
    assert "1 update did not succeed." in page.text
    assert "1 of 2 have ended: 0 updated, 1 failed, 0 skipped. 0 under way, 1 waiting." in page.text
    assert "production environment first 1.0 → 1.1 failed No memory left" in page.text
    assert not page.has_button("Resume")
    assert "network-env" in viewer.page("/rollouts").text
