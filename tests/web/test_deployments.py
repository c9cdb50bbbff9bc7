"""What a deployment's page shows of its change set and its stack, and what can be done about one that stands still."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.web.furnished import DONE, FAILED, STACK, WAITING
from upkeep.domain.deployments import Action, DeploymentStatus, Phase
from upkeep.domain.errors import NotFound
from upkeep.domain.names import environment_key, instance_key
from upkeep.domain.sources import Stall
from upkeep.domain.work import WorkKind

pytestmark = pytest.mark.usefixtures("furnished")

TEST, EMPTY = environment_key("test"), environment_key("empty")


def change(store, deployment_id, **changes):
    with store.write() as unit:
        unit.deployments.save(replace(unit.deployments.get(deployment_id), **changes))


def found(store, deployment_id):
    with store.read() as unit:
        return unit.deployments.get(deployment_id)


def test_the_page_shows_the_change_set_worst_first_and_what_the_stack_told(visit):
    viewer = visit("viewer")
    text = viewer.page(f"/deployments/{DONE}").text
    assert "Replaces 4 changes, those that can cost most first." in text
    order = [text.index(word) for word in ("Subnet", "Table", "Log AWS::Logs", "Network")]
    assert order == sorted(order)
    assert "CREATE_FAILED Resource limit exceeded" in text
    assert "UPDATE_COMPLETE Open in the AWS console" in text
    html = viewer.get(f"/deployments/{DONE}").text
    assert (
        "https://eu-west-1.console.aws.amazon.com/cloudformation/home?region=eu-west-1#/stacks/events?stackId=" in html
    )


def test_the_change_set_is_a_file_to_keep(visit):
    viewer = visit("viewer")
    answer = viewer.get(f"/deployments/{DONE}/changes.json")
    assert answer.headers["Content-Disposition"] == "attachment; filename=test-1.0-changes.json"
    assert (answer.json["stack"], answer.json["risk"]) == (STACK, "Replaces")
    assert [one["logical_id"] for one in answer.json["changes"]] == ["Subnet", "Table", "Log", "Network"]
    assert answer.json["changes"][0]["causes"] == ["CidrBlock"]
    assert viewer.get(f"/deployments/{FAILED}/changes.json").status_code == 404


def test_what_was_sent_and_let_go_of_is_said_to_be_gone(visit, store, now):
    change(store, FAILED, proposed_at=now, completed_at=now)
    viewer = visit("viewer")
    assert "not kept any more, like the stack events" in viewer.page(f"/deployments/{FAILED}").text
    gone = viewer.get(f"/deployments/{FAILED}/template")
    assert gone.status_code == 404
    assert "is not kept any more" in gone.text
    assert "retention.renderings" in gone.text


def test_what_waits_for_a_person_says_what_to_do_and_goes_on_when_told(visit, store, now):
    change(store, WAITING, begun_at=now, deadline_at=now, stall=Stall("access denied", "give the role a right", now))
    developer = visit("developer")
    page = developer.page(f"/deployments/{WAITING}")
    assert "It waits for a person: access denied. Give the role a right." in page.text
    assert "waiting for a person" in page.text
    assert 'http-equiv="refresh"' not in developer.get(f"/deployments/{WAITING}").text
    assert "waits for a person: access denied" in developer.page("/services/checkout/instances/test").text
    assert developer.press(page, "Go on").headers["Location"] == f"/deployments/{WAITING}"
    assert (found(store, WAITING).stall, found(store, WAITING).deadline_at) == (None, None)
    with store.read() as unit:
        assert [due.subject for due in unit.work.list(9) if due.kind is WorkKind.DEPLOY] == [WAITING]


def test_a_failed_rollback_offers_to_continue_and_nothing_that_cannot_help(visit, store, now):
    stall = Stall("its rollback failed", "put it right", now)
    change(store, WAITING, executed_at=now, begun_at=now, stack_status="UPDATE_ROLLBACK_FAILED", stall=stall)
    developer = visit("developer")
    page = developer.page(f"/deployments/{WAITING}")
    assert not page.has_button("Go on")
    assert developer.press(page, "Continue rollback").status_code == 303
    assert found(store, WAITING).phase is Phase.GOING_BACK


def test_an_update_under_way_is_asked_to_go_back(visit, store, now):
    change(store, WAITING, begun_at=now, executed_at=now)
    developer = visit("developer")
    page = developer.page(f"/deployments/{WAITING}")
    assert "The stack is asked to go back to what it was." in page.text
    assert developer.press(page, "Cancel deployment").status_code == 303
    assert found(store, WAITING).status is DeploymentStatus.CANCELLING
    assert "It is under way: cancelled by developer" in developer.page(f"/deployments/{WAITING}").text


def test_what_a_failed_creation_left_is_deleted_only_after_a_yes(visit, store):
    with store.read() as unit:
        (failed,) = unit.deployments.of_resource(EMPTY, 1)
    change(store, failed.id, action=Action.CREATE, stack=STACK, stack_status="ROLLBACK_COMPLETE")
    developer = visit("developer")
    page = developer.page(f"/deployments/{failed.id}")
    assert f"Delete what the failed creation left behind first: {STACK}" in page.text
    assert developer.press(page, "Retry").status_code == 409
    update = developer.page("/environments/empty/update")
    assert f"Delete what the failed creation left behind first: {STACK}" in update.text
    answer = developer.press(update, "Deploy 1.1", {"recreate": "yes"})
    assert answer.status_code == 303
    asked = found(store, answer.headers["Location"].rpartition("/")[2])
    assert asked.replaces == STACK


def test_the_way_back_offers_the_inputs_of_that_time(visit, store, now):
    with store.write() as unit:
        resource = unit.fleet.get(TEST)
        unit.fleet.save(replace(resource, version=replace(resource.version, minor=1), inputs={"cidr": "10.9.0.0/16"}))
        then = unit.deployments.get(DONE)
        unit.deployments.save(replace(then, target=replace(then.target, inputs={"cidr": "10.1.0.0/16"})))
    developer = visit("developer")
    page = developer.page("/environments/test/update?to=1.0")
    assert "Take the inputs it had when it last ran 1.0, in place of those above: cidr: 10.1.0.0/16" in page.text
    answer = developer.press(page, "Update to 1.0", {"inputs_then": "yes"})
    asked = found(store, answer.headers["Location"].rpartition("/")[2])
    assert asked.target.inputs == {"cidr": "10.1.0.0/16"}


def test_an_environment_is_forgotten_after_a_yes_and_one_that_is_lived_in_never(visit, store):
    developer = visit("developer")
    page = developer.page("/environments/empty")
    button = "Forget empty"
    assert developer.press(page, button).status_code == 400
    assert developer.press(page, button, {"sure": "yes"}).headers["Location"] == "/environments"
    with pytest.raises(NotFound), store.read() as unit:
        unit.fleet.get(EMPTY)
    assert "forgot empty" in developer.page("/activity").text
    assert not developer.page("/environments/test").has_button("Forget test")
    assert developer.post("/environments/test/forget", {"sure": "yes"}).status_code == 409


def test_a_service_is_forgotten_with_its_parts_once_nothing_is_under_way(visit, store, now):
    developer = visit("developer")
    page = developer.page("/services/checkout")
    assert developer.press(page, "Forget checkout", {"sure": "yes"}).status_code == 409
    change(store, WAITING, status=DeploymentStatus.CANCELLED, completed_at=now + timedelta(minutes=1))
    assert developer.press(page, "Forget checkout", {"sure": "yes"}).headers["Location"] == "/services"
    with store.read() as unit:
        assert unit.fleet.services() == ()
        assert unit.fleet.find(instance_key("checkout", "test")) is None


def test_where_an_environment_lives_is_shown(visit, store):
    with store.write() as unit:
        resource = unit.fleet.get(TEST)
        role = "arn:aws:iam::123456789012:role/upkeep"
        unit.fleet.save(replace(resource, region="eu-west-1", role_arn=role, stack=STACK, tags={"team": "shop"}))
    text = visit("viewer").page("/environments/test").text
    for said in ("AWS regioneu-west-1", f"Role{role}", f"Stack{STACK} Open in the AWS console", "Tagsteam=shop"):
        assert said in text
