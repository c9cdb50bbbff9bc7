"""Looking at what an update would change in the stack, and approving that, as a person does it in a browser."""

from dataclasses import replace

import pytest

from tests.web.furnished import CHANGES, STACK
from tests.web.page import Page
from upkeep.domain.changesets import Proposal, ProposalState
from upkeep.domain.names import TemplateName, Version, environment_key
from upkeep.domain.work import WorkKind
from upkeep.flows import plan as plans

pytestmark = pytest.mark.usefixtures("furnished")

PRODUCTION = environment_key("production")
UPDATE = "/environments/production/update"
APPROVE = "Approve and deploy 1.1"


@pytest.fixture(autouse=True)
def _with_a_stack(furnished, store):
    with store.write() as unit:
        unit.fleet.save(replace(unit.fleet.get(PRODUCTION), stack=STACK))


def check(visitor, typed=None):
    """Press the button that asks for a change set; returns the page it leads to."""
    form = visitor.page(f"{UPDATE}?to=1.1").form("Check with a change set")
    answer = visitor.client.post("/environments/production/plan", data=form.fields | (typed or {}))
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


def the_plan(store, location):
    with store.read() as unit:
        return unit.plans.find(location.partition("plan=")[2])


def work_out(store, now, plan, changes=CHANGES[:3], failure=None):
    """What the worker would have found."""
    with store.write() as unit:
        digest = plans.digest(
            unit, unit.fleet.get(PRODUCTION), unit.registry.version(plan.template, plan.version), plan.inputs
        )
        proposal = None if failure else Proposal(ProposalState.READY, changes, stack=STACK)
        unit.plans.save(replace(plan, digest=digest, proposal=proposal, failure=failure, made_at=now))


def last(store):
    with store.read() as unit:
        return unit.deployments.of_resource(PRODUCTION, 1)[0]


def test_a_check_is_asked_for_and_waited_for_with_what_was_typed(visit, store):
    developer = visit("developer")
    location = check(developer, {"input.cidr": "10.7.0.0/16"})
    asked = the_plan(store, location)
    assert (asked.version, asked.inputs, asked.asked_by) == (Version(1, 1), {"cidr": "10.7.0.0/16"}, "developer")
    with store.read() as unit:
        assert [row.subject for row in unit.work.list(9) if row.kind is WorkKind.PLAN] == [asked.id]
    answer = developer.get(location)
    assert f'http-equiv="refresh" content="3; url={UPDATE}?to=1.1&amp;plan={asked.id}"' in answer.text
    page = Page(answer.text)
    assert "The change set is being worked out" in page.text
    assert page.form("Update to recommended version").fields["input.cidr"] == "10.7.0.0/16"
    assert not page.has_button(APPROVE)
    assert page.inline == page.unlabelled == page.unclosed == []


def test_the_changes_are_shown_worst_first_and_approved(visit, store, now):
    developer = visit("developer")
    location = check(developer)
    asked = the_plan(store, location)
    work_out(store, now, asked)
    page = developer.page(location)
    assert "Replaces Subnet AWS::EC2::Subnet and 2 other changes, those that can cost most first" in page.text
    worst, others = "AWS::EC2::Subnet replace Replaces CidrBlock", "AWS::EC2::VPC change In place"
    assert page.text.index(worst) < page.text.index(others)
    assert "AWS::Logs::LogGroup add In place" in page.text
    assert page.inline == page.unlabelled == page.unclosed == []
    answer = developer.press(page, APPROVE)
    assert answer.status_code == 303
    deployment = last(store)
    assert answer.headers["Location"] == f"/deployments/{deployment.id}"
    assert (deployment.target.version, deployment.target.inputs) == (Version(1, 1), {"cidr": "10.9.0.0/16"})
    with store.read() as unit:
        assert unit.plans.approved_by(deployment.id).id == asked.id


def test_what_moved_in_between_is_worked_out_anew_and_what_was_typed_is_kept(visit, store, now):
    developer = visit("developer")
    location = check(developer, {"input.cidr": "10.7.0.0/16"})
    work_out(store, now, the_plan(store, location))
    page = developer.page(location)
    before = last(store)
    with store.write() as unit:
        unit.fleet.save(replace(unit.fleet.get(PRODUCTION), inputs={"cidr": "10.8.0.0/16"}))
    assert "Out of date" in developer.page(location).text
    answer = developer.press(page, APPROVE)
    assert answer.status_code == 409
    again = Page(answer.text)
    assert "Nothing was deployed; what you typed is kept." in again.text
    assert "The change set is being worked out" in again.text
    assert again.form("Update to recommended version").fields["input.cidr"] == "10.7.0.0/16"
    assert last(store) == before
    with store.read() as unit:
        (fresh,) = [row.subject for row in unit.work.list(9) if row.kind is WorkKind.PLAN][-1:]
        assert unit.plans.find(fresh).inputs == {"cidr": "10.7.0.0/16"}
    assert f"plan={fresh}" in answer.text


def test_what_is_stateful_has_to_be_named(visit, store, now):
    developer = visit("developer")
    location = check(developer)
    work_out(store, now, the_plan(store, location), CHANGES)
    page = developer.page(location)
    assert "What Table holds can be lost." in page.text
    before = last(store)
    answer = developer.press(page, APPROVE, {"confirmed": "Tabel"})
    assert answer.status_code == 400
    assert "This can replace or remove Table" in Page(answer.text).text
    assert last(store) == before
    assert developer.press(Page(answer.text), APPROVE, {"confirmed": "Table"}).status_code == 303
    assert last(store) != before


def test_what_cannot_be_checked_says_why(visit, store, now):
    developer = visit("developer")
    location = check(developer)
    work_out(store, now, the_plan(store, location), failure="the template is no template")
    page = developer.page(location)
    assert "It cannot be checked: the template is no template" in page.text
    assert not page.has_button(APPROVE)
    assert page.has_button("Check with a change set")


def test_an_input_that_does_not_fit_is_named_before_anything_is_checked(visit, store):
    admin = visit("admin")
    form = admin.page(f"{UPDATE}?to=1.2").form("Check with a change set")
    answer = admin.client.post("/environments/production/plan", data=form.fields | {"input.days": "soon"})
    assert answer.status_code == 400
    assert "This is not a number." in Page(answer.text).text
    assert Page(answer.text).form("Update to 1.2").fields["input.days"] == "soon"
    with store.read() as unit:
        assert not [row for row in unit.work.list(9) if row.kind is WorkKind.PLAN]


def test_a_viewer_sees_a_plan_and_cannot_approve_it(visit, store, now):
    location = check(visit("developer"))
    work_out(store, now, the_plan(store, location))
    page = visit("viewer").page(location)
    assert "Replaces Subnet" in page.text
    assert not page.has_button(APPROVE)


def test_a_plan_of_another_resource_is_not_shown(visit, store, now):
    developer = visit("developer")
    location = check(developer)
    work_out(store, now, the_plan(store, location))
    assert "Replaces Subnet" not in developer.page(location.replace("production", "test")).text


REVIEW = "/templates/network-env/1.2/review"


def checked_draft(store, now, changes):
    """What the worker would have found for every stack on the draft's major."""
    with store.write() as unit:
        for found in unit.plans.latest(TemplateName("network-env"), Version(1, 2)).values():
            target = unit.registry.version(found.template, found.version)
            digest = plans.digest(unit, unit.fleet.get(found.resource), target, found.inputs)
            proposal = Proposal(ProposalState.READY, changes, stack=STACK)
            unit.plans.save(replace(found, digest=digest, proposal=proposal, made_at=now))


def test_a_draft_is_checked_for_every_stack_it_could_move(visit, store, now):
    admin = visit("admin")
    page = admin.page(REVIEW)
    assert "Nobody looked at change sets of this version yet." in page.text
    assert admin.press(page, "Check with change sets").headers["Location"] == f"{REVIEW}#stacks"
    assert "2 change sets are being worked out" in admin.page(REVIEW).text
    checked_draft(store, now, CHANGES[:3])
    page = admin.page(REVIEW)
    assert "production environment 1.0 Replaces Subnet AWS::EC2::Subnet 3" in page.text
    assert page.inline == page.unlabelled == page.unclosed == []


def test_what_replaces_something_is_published_once_that_is_acknowledged(visit, store, now):
    admin = visit("admin")
    admin.press(admin.page(REVIEW), "Check with change sets")
    checked_draft(store, now, CHANGES[:3])
    page = admin.page(REVIEW)
    assert "I have seen that updates to 1.2 replace something in 2 stacks" in page.text
    answer = admin.press(page, "Publish 1.2", {"acknowledged": ""})
    assert answer.status_code == 409
    assert "would replace Subnet of" in Page(answer.text).text
    assert admin.press(page, "Publish 1.2", {"acknowledged": "yes"}).status_code == 303


def test_what_replaces_nothing_asks_for_no_acknowledgement(visit, store, now):
    admin = visit("admin")
    admin.press(admin.page(REVIEW), "Check with change sets")
    checked_draft(store, now, CHANGES[:2])
    page = admin.page(REVIEW)
    assert "I have seen" not in page.text
    assert admin.press(page, "Publish 1.2").status_code == 303


def test_what_moved_since_a_draft_was_checked_is_out_of_date(visit, store, now):
    admin = visit("admin")
    admin.press(admin.page(REVIEW), "Check with change sets")
    checked_draft(store, now, CHANGES[:3])
    with store.write() as unit:
        unit.fleet.save(replace(unit.fleet.get(PRODUCTION), inputs={"cidr": "10.8.0.0/16"}))
    page = admin.page(REVIEW)
    assert page.text.count("out of date") == 1
    assert "replace something in 1 stack" in page.text


def test_only_admins_check_drafts(visit):
    assert not visit("developer").page(REVIEW).has_button("Check with change sets")


def test_the_fleet_shows_what_the_next_update_would_change_as_long_as_that_holds(visit, store, now):
    developer = visit("developer")
    assert "Replaces" not in developer.page("/").text
    location = check(developer)
    work_out(store, now, the_plan(store, location))
    with store.write() as unit:
        made = unit.plans.latest(TemplateName("network-env"), Version(1, 1))[PRODUCTION]
        assert unit.plans.last(PRODUCTION, Version(1, 1)) == made
    assert "1.0 → 1.1 (1 behind) failed Replaces Subnet" in developer.page("/").text
    with store.write() as unit:
        unit.fleet.save(replace(unit.fleet.get(PRODUCTION), stack="another"))
    assert "Replaces" not in developer.page("/").text
