"""What the pages say of drift, and the button that asks for it."""

from dataclasses import replace

import pytest

from tests.web.furnished import STACK
from upkeep.domain.changesets import Drift, DriftState
from upkeep.domain.names import environment_key, instance_key, pipeline_key
from upkeep.domain.work import WorkKind

pytestmark = pytest.mark.usefixtures("furnished")

TEST = environment_key("test")
PAGES = {
    TEST: "/environments/test",
    instance_key("checkout", "test"): "/services/checkout/instances/test",
    pipeline_key("checkout"): "/services/checkout/pipeline",
}


def change(store, key=TEST, **changes):
    with store.write() as unit:
        unit.fleet.save(replace(unit.fleet.get(key), **changes))


@pytest.mark.parametrize("key", PAGES, ids=str)
def test_a_developer_has_a_resource_compared(visit, store, key):
    change(store, key, stack=STACK)
    developer = visit("developer")
    page = developer.page(PAGES[key])
    assert "not looked for since its last deployment" in page.text
    answer = developer.press(page, "Check for drift")
    assert (answer.status_code, answer.headers["Location"]) == (303, PAGES[key])
    assert f"{key.short} is being compared with what was deployed" in developer.page(PAGES[key]).text
    with store.read() as unit:
        assert [due.subject for due in unit.work.list(9) if due.kind is WorkKind.DRIFT] == [str(key)]


def test_a_viewer_sees_what_was_found_and_when_and_asks_for_nothing(visit, store, now):
    change(store, stack=STACK, drift=Drift(DriftState.IN_SYNC), drift_checked_at=now)
    viewer = visit("viewer")
    page = viewer.page(PAGES[TEST])
    assert "none it is what was deployed just now" in page.text
    assert not page.has_button("Check for drift")
    assert viewer.post(f"{PAGES[TEST]}/drift").status_code == 403


def test_what_drifted_is_named_on_its_page_and_warned_of_before_an_update(visit, store, now):
    drift = Drift(DriftState.DRIFTED, ("Network (AWS::EC2::VPC): MODIFIED",))
    change(store, stack=STACK, drift=drift, drift_checked_at=now, drift_handle="going on")
    developer = visit("developer")
    text = developer.page(PAGES[TEST]).text
    assert "drifted Network (AWS::EC2::VPC): MODIFIED just now is being compared now" in text
    update = developer.page(f"{PAGES[TEST]}/update").text
    assert "test has drifted (seen just now): Network (AWS::EC2::VPC): MODIFIED. The update may undo" in update
    change(store, drift=Drift(DriftState.FAILED, reason="no such stack"))
    assert "not compared no such stack" in developer.page(PAGES[TEST]).text
    assert "has drifted" not in developer.page(f"{PAGES[TEST]}/update").text


def test_what_has_no_stack_offers_no_comparison(visit):
    developer = visit("developer")
    assert not developer.page("/environments/empty").has_button("Check for drift")
    assert developer.post("/environments/empty/drift").status_code == 409
