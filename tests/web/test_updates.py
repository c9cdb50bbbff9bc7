"""Updating a resource, as a person does it in a browser."""

from dataclasses import replace

import pytest

from tests.web.furnished import FAILED, WAITING
from tests.web.page import Page
from upkeep.domain.deployments import Action, DeploymentStatus
from upkeep.domain.names import Version, environment_key

pytestmark = pytest.mark.usefixtures("furnished")

UPDATE = "/environments/test/update"
TEST = environment_key("test")


def last(store, key=TEST):
    with store.read() as unit:
        return unit.deployments.of_resource(key, 1)[0]


def test_update_to_the_recommended_version_keeps_every_input(visit, store):
    developer = visit("developer")
    page = developer.page(UPDATE)
    assert "This moves test from 1.0 to 1.1, the recommended version. Nothing else is touched." in page.text
    assert "- removed # 0" in page.text
    assert "+ added # 1" in page.text
    answer = developer.press(page, "Update to recommended version")
    asked = last(store)
    assert answer.status_code == 303
    assert answer.headers["Location"] == f"/deployments/{asked.id}"
    assert (asked.target.version, asked.target.inputs, asked.asked_by) == (Version(1, 1), {}, "developer")
    assert asked.status is DeploymentStatus.IN_PROGRESS
    page = developer.page(f"/deployments/{asked.id}")
    assert "1.0 → 1.1 in progress" in page.text


def test_a_draft_is_offered_to_admins_only(visit):
    for name, offered in (("admin", True), ("developer", False)):
        choices = visit(name).get(UPDATE).text
        assert ('value="1.2"' in choices) is offered


def test_a_new_input_is_asked_for_and_an_old_one_kept(visit, store):
    admin = visit("admin")
    page = admin.page("/environments/production/update?to=1.2")
    assert "4 new inputs" in page.text
    assert "1 input as before" in page.text
    form = page.form("Update to 1.2")
    assert form.fields["input.cidr"] == "10.9.0.0/16"
    answer = admin.press(
        page,
        "Update to 1.2",
        {
            "input.days": "7",
            "input.flow_logs": "true",
            "input.zones~items": "0 1",
            "input.zones.0": "a",
            "input.zones.1": "b",
        },
    )
    assert answer.status_code == 303, answer.text
    given = last(store, environment_key("production")).target.inputs
    assert given == {"cidr": "10.9.0.0/16", "days": 7, "flow_logs": True, "zones": ["a", "b"]}


@pytest.mark.parametrize(
    ("typed", "status", "sentence"),
    [
        ({}, 400, "This input is needed."),
        ({"input.days": "soon"}, 400, "This is not a number."),
        ({"input.days": "nan"}, 400, "This is not a number."),
        ({"input.days": "7", "input.zones~items": "0"}, 400, "This item is empty: give it a value, or remove it."),
        ({"input.days": "7", "input.tier": "huge"}, 400, "This is not one of the choices."),
        ({"input.days": "0"}, 400, "less than 1"),
    ],
)
def test_an_input_that_does_not_fit_is_named_and_what_was_typed_is_kept(visit, store, typed, status, sentence):
    admin = visit("admin")
    page = admin.page(f"{UPDATE}?to=1.2")
    before = last(store).id
    answer = admin.press(page, "Update to 1.2", {"input.cidr": "10.1.2.0/24", **typed})
    assert answer.status_code == status
    again = Page(answer.text)
    assert sentence in again.text
    assert "Nothing was deployed; what you typed is kept." in again.text
    form = again.form("Update to 1.2")
    assert form.fields["input.cidr"] == "10.1.2.0/24"
    assert form.fields["input.days"] == typed.get("input.days", "")
    assert last(store).id == before


def test_items_are_added_and_removed_by_buttons_and_everything_typed_stays(visit, store):
    admin = visit("admin")
    page = admin.page(f"{UPDATE}?to=1.2")
    assert page.has_button("Add one")
    typed = {"input.cidr": "not yet", "input.days": "7"}
    for number, zone in enumerate("abc"):
        answer = admin.press(page, "Update to 1.2", typed | {"change": "add:input.zones"})
        assert answer.status_code == 200
        assert f'id="input.zones.{number}" name="input.zones.{number}"' in answer.text
        page, typed = Page(answer.text), {f"input.zones.{number}": zone}
    page = Page(admin.press(page, "Update to 1.2", typed | {"change": "remove:input.zones.1"}).text)
    fields = page.form("Update to 1.2").fields
    assert (fields["input.cidr"], fields["input.days"], fields["input.zones~items"]) == ("not yet", "7", "0 2")
    assert last(store).target.version == Version(1, 0)
    assert admin.press(page, "Update to 1.2").status_code == 303
    assert last(store).target.inputs == {"cidr": "not yet", "days": 7, "zones": ["a", "c"]}


def test_choosing_another_version_keeps_what_was_typed(visit, store):
    admin = visit("admin")
    page = admin.page(f"{UPDATE}?to=1.2")
    before = last(store).id
    assert page.form("Show this version") is page.form("Update to 1.2")
    typed = {"input.cidr": "not yet", "input.days": "7", "other": "1.1", "change": "version"}
    page = Page(admin.press(page, "Show this version", typed).text)
    fields = page.form("Update to recommended version").fields
    assert (fields["to"], fields["other"], fields["input.cidr"]) == ("1.1", "1.1", "not yet")
    page = Page(admin.press(page, "Show this version", {"other": "1.2", "change": "version"}).text)
    fields = page.form("Update to 1.2").fields
    assert (fields["to"], fields["other"], fields["input.cidr"]) == ("1.2", "1.2", "not yet")
    assert last(store).id == before


def test_who_may_not_move_it_still_looks_at_other_versions(visit):
    page = visit("viewer").page(UPDATE)
    form = page.form("Show this version")
    assert (form.method, form.action) == ("get", UPDATE)
    assert form.fields.keys() == {"to"}


def test_what_is_wrong_is_linked_from_the_top_and_told_at_its_field(visit):
    admin = visit("admin")
    answer = admin.press(admin.page(f"{UPDATE}?to=1.2"), "Update to 1.2", {"input.days": "soon"})
    page = Page(answer.text)
    assert page.links["Days to keep"] == "#input.days"
    assert 'aria-describedby="input.days-hint input.days-error" aria-invalid="true"' in answer.text
    assert 'id="input.days-error"' in answer.text
    assert 'id="faults" tabindex="-1" autofocus' in answer.text


def test_an_emptied_input_goes_back_to_its_default(visit, store):
    developer = visit("developer")
    page = developer.page("/environments/production/update?to=1.0")
    assert "This deploys production again at 1.0 with the inputs below." in page.text
    assert developer.press(page, "Deploy with these inputs", {"input.cidr": ""}).status_code == 303
    assert last(store, environment_key("production")).target.inputs == {}


def test_an_order_given_on_an_old_page_is_not_followed(visit, store):
    developer = visit("developer")
    page = developer.page("/environments/production/update?to=1.1")
    with store.write() as unit:
        resource = unit.fleet.get(environment_key("production"))
        unit.fleet.save(replace(resource, last_deployment="another"))
    answer = developer.press(page, "Update to recommended version", {"input.cidr": "10.1.2.0/24"})
    assert answer.status_code == 409
    again = Page(answer.text)
    assert "Production was deployed since you opened this page" in again.text
    assert again.form("Update to recommended version").fields["input.cidr"] == "10.1.2.0/24"
    assert again.form("Update to recommended version").fields["seen"] == "another"


def test_nothing_can_be_started_while_a_deployment_is_under_way(visit):
    page = visit("developer").page("/services/checkout/instances/test/update")
    assert "A deployment to 1.0 is under way" in page.text
    assert not page.has_button("Deploy with these inputs")


def test_what_never_ran_is_deployed_for_the_first_time_again(visit, store):
    developer = visit("developer")
    page = developer.page("/environments/empty/update")
    assert "This deploys empty for the first time, at 1.1." in page.text
    assert developer.press(page, "Deploy 1.1").status_code == 303
    assert last(store, environment_key("empty")).status is DeploymentStatus.IN_PROGRESS


def test_a_deployment_that_has_not_begun_is_cancelled(visit, store):
    developer = visit("developer")
    page = developer.page(f"/deployments/{WAITING}")
    assert "It waits: waits for environment test" in page.text
    assert developer.press(page, "Cancel deployment").status_code == 303
    assert "cancelled by developer" in developer.page(f"/deployments/{WAITING}").text


def test_a_creation_under_way_offers_no_cancelling(visit, store, now):
    with store.write() as unit:
        unit.deployments.save(
            replace(unit.deployments.get(WAITING), action=Action.CREATE, begun_at=now, executed_at=now)
        )
    developer = visit("developer")
    assert not developer.page(f"/deployments/{WAITING}").has_button("Cancel deployment")
    assert developer.post(f"/deployments/{WAITING}/cancel").status_code == 409


def test_a_failed_deployment_is_retried_as_it_was(visit, store):
    developer = visit("developer")
    answer = developer.press(developer.page(f"/deployments/{FAILED}"), "Retry")
    again = last(store, environment_key("production"))
    assert answer.headers["Location"] == f"/deployments/{again.id}"
    assert again.target.version == Version(1, 1)
    page = developer.page(f"/deployments/{FAILED}")
    assert "production was deployed again since" in page.text
    assert not page.has_button("Retry")
