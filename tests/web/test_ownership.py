"""What an owner decides on the page of a resource or a service: quiet, owner, repository, removal."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests import builders
from upkeep.domain.deployments import Action, DeploymentStatus
from upkeep.domain.names import environment_key, instance_key, pipeline_key
from upkeep.domain.resources import Repository
from upkeep.domain.sources import Stall

pytestmark = pytest.mark.usefixtures("furnished")

TEST = environment_key("test")


def get(store, key=TEST):
    with store.read() as unit:
        return unit.fleet.get(key)


def settle(store, *keys):
    """Nothing is under way any more."""
    with store.write() as unit:
        for deployment in unit.deployments.recent(50):
            if deployment.status.under_way:
                unit.deployments.save(replace(deployment, status=DeploymentStatus.SUCCEEDED))
        for key in keys:
            unit.fleet.save(replace(unit.fleet.get(key), status=DeploymentStatus.SUCCEEDED))


def test_what_is_behind_is_snoozed_marked_and_woken(visit, store):
    developer = visit("developer")
    page = developer.page("/environments/test")
    assert "You are not using the latest minor version. 1.0 → 1.1 (1 behind, for 14 working days)." in page.text
    assert "1.1 note of 1.1" in page.text
    assert developer.press(page, "Snooze", {"for": "30d"}).status_code == 303
    page = developer.page("/environments/test")
    assert "snoozed until 2026-04-01 by developer: nobody is told of it until then." in page.text
    assert "behind snoozed until 2026-04-01 by developer" in developer.page("/").text
    assert page.has_button("End the snooze")
    assert not page.has_button("Snooze")
    assert developer.press(page, "End the snooze").status_code == 303
    assert get(store).snooze is None
    assert developer.press(developer.page("/environments/test"), "Snooze", {"for": "version"}).status_code == 303
    assert "until something newer than 1.1 is recommended by developer" in developer.page("/environments/test").text
    assert "snoozed test until something newer than 1.1 is recommended" in developer.page("/activity").text


def test_a_snooze_that_is_over_is_not_shown(visit, store, clock):
    developer = visit("developer")
    developer.press(developer.page("/environments/test"), "Snooze", {"for": "7d"})
    clock.advance(timedelta(days=7))
    fresh = visit("admin").page("/environments/test")
    assert "snoozed" not in fresh.text
    assert fresh.has_button("Snooze")


def test_nobody_snoozes_for_a_time_that_is_not_offered(visit):
    answer = visit("developer").post("/environments/test/snooze", {"for": "10y"})
    assert answer.status_code == 400
    assert "choose 7d, 30d, version" in answer.text.lower()


def test_an_owner_is_changed_and_taken_away(visit, store):
    developer, admin = visit("developer"), visit("admin")
    page = developer.page("/environments/test")
    assert page.form("Change owner").fields["owner"] == "platform"
    assert developer.press(page, "Change owner", {"owner": " others "}).status_code == 303
    assert get(store).owner == "others"
    page = developer.page("/environments/test")
    assert "test belongs to others now." in page.text
    assert not page.has_button("Change owner")
    assert admin.press(admin.page("/environments/test"), "Change owner", {"owner": ""}).status_code == 303
    assert get(store).owner is None


def test_a_deletion_asks_for_the_name_and_says_what_is_lost(visit, store):
    developer = visit("developer")
    page = developer.page("/environments/empty")
    for typed in ("", "Empty", "test"):
        answer = developer.press(page, "Delete empty", {"confirmed": typed})
        assert answer.status_code == 400
        assert "so nothing was deleted" in answer.text
    answer = developer.press(page, "Delete empty", {"confirmed": "empty"})
    assert answer.status_code == 303
    with store.read() as unit:
        (deletion, *_) = unit.deployments.of_resource(environment_key("empty"), 1)
    assert (deletion.action, answer.headers["Location"]) == (Action.DELETE, f"/deployments/{deletion.id}")
    page = developer.page("/environments/empty")
    assert not page.has_button("Delete empty")


def test_what_others_need_is_not_offered_for_deletion(visit, store):
    settle(store, instance_key("checkout", "test"))
    developer = visit("developer")
    for path, sentence in (
        ("/environments/test", "It can be deleted once nothing lives in it."),
        ("/services/checkout/instances/test", "It is the last instance of its service, and goes with checkout."),
        ("/services/checkout/pipeline", "A pipeline goes with its service checkout."),
    ):
        page = developer.page(path)
        assert sentence in page.text
        assert not any(button.startswith(("Delete", "Forget")) for form in page.forms for button in form.buttons)


def test_a_service_is_deleted_with_all_its_parts(visit, store):
    settle(store, instance_key("checkout", "test"), pipeline_key("checkout"))
    developer = visit("developer")
    page = developer.page("/services/checkout")
    assert "The stacks of 2 parts are deleted" in page.text
    assert developer.press(page, "Delete checkout", {"confirmed": "checkout/test"}).status_code == 400
    assert developer.press(page, "Delete checkout", {"confirmed": "checkout"}).status_code == 303
    assert get(store, instance_key("checkout", "test")).status is DeploymentStatus.DELETE_IN_PROGRESS
    assert get(store, pipeline_key("checkout")).status is DeploymentStatus.DELETE_IN_PROGRESS


def test_a_repository_is_named_later(visit, store):
    developer = visit("developer")
    page = developer.page("/services/checkout")
    assert "none is named" in page.text
    typed = {"repository_id": "shop/checkout", "branch_name": "main"}
    assert developer.press(page, "Change repository", typed).status_code == 303
    with store.read() as unit:
        assert unit.fleet.service("checkout").repository == Repository("main", "shop/checkout", "")
    assert "shop/checkout, branch main" in developer.page("/services/checkout").text


def test_a_source_that_is_gone_or_not_read_is_said_on_what_came_from_it(visit, store, now):
    developer = visit("developer")
    with store.write() as unit:
        source = unit.sources.get("templates")
        unit.sources.save(replace(source, stall=Stall("the key is refused", "renew it", now)))
    assert "The source templates is not read: the key is refused." in developer.page("/environments/test").text
    with store.write() as unit:
        major = unit.registry.find_major(builders.ENVIRONMENT_TEMPLATE, 1)
        unit.registry.save_major(replace(major, removed_at=now))
    assert "The folder of this major is gone from the branch main of templates" in (
        developer.page("/environments/test").text
    )
    with store.write() as unit:
        unit.sources.remove("templates")
    assert "Nothing reads network-env any more" in developer.page("/environments/test").text


def test_deployments_of_a_resource_are_paged(visit, store, now):
    with store.write() as unit:
        resource = unit.fleet.get(environment_key("production"))
        for number in range(45):
            unit.deployments.add(
                builders.a_deployment(
                    resource,
                    "1.1",
                    f"00000000-0000-4000-8000-{number:012}",
                    status=DeploymentStatus.FAILED,
                    message=f"reason {number}",
                )
            )
    developer = visit("developer")
    pages = [developer.page("/environments/production")]
    while "Older ones" in pages[-1].links:
        pages.append(developer.page(pages[-1].links["Older ones"]))
    assert len(pages) == 3
    for number in range(45):
        assert [f"reason {number} " in f"{page.text} " for page in pages].count(True) == 1, number
    assert "reason 44" in pages[0].text
    assert pages[-1].links["The latest"] == "/environments/production"


def test_a_creation_that_failed_says_how_to_go_on(visit):
    page = visit("developer").page("/environments/empty")
    assert "The last deployment failed: no such role" in page.text
    assert page.links["Deploy it for the first time again"] == "/environments/empty/update"


def test_inputs_are_shown_as_a_spec_writes_them(visit, store):
    with store.write() as unit:
        resource = unit.fleet.get(TEST)
        unit.fleet.save(replace(resource, inputs={"flag": True, "none": None, "list": [1, {"a": "é"}]}))
    text = visit("viewer").page("/environments/test").text
    for shown in ("flagtrue", "nonenull", 'list[1, {"a": "é"}]'):
        assert shown in text
