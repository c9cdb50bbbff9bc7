"""The main stories, told by people in front of a real browser, in words that stand on the pages."""

import re
from dataclasses import replace

import pytest

from tests.browser.house import NEEDED, SCHEMA
from tests.browser.window import sign_in
from upkeep.adapters.clock import now
from upkeep.domain.names import TemplateName, environment_key, parse_version
from upkeep.domain.people import Role

UPDATE = "Update to recommended version"


def runs(house, name: str) -> tuple[str, dict]:
    """What an environment runs, and with which inputs."""
    with house.store.read() as unit:
        resource = unit.fleet.get(environment_key(name))
    return str(resource.version), dict(resource.inputs)


@pytest.mark.parametrize("script", [True, False], ids=["with scripts", "without scripts"])
def test_a_draft_is_reviewed_and_published_and_an_owner_updates(house, person, script):
    name = "reviewed" if script else "plain"
    template = house.behind(name)
    admin = person(Role.ADMIN, f"/templates/{template}", script=script)
    admin.get_by_role("button", name="Review 1.1").click()
    admin.get_by_text("marks 1 resource as behind").wait_for()
    admin.get_by_role("heading", name="What would change in each resource").wait_for()
    admin.get_by_label("Note to the owners").fill("Flow logs for everybody")
    admin.get_by_role("button", name="Publish 1.1").click()
    admin.get_by_text(f"{template} 1.1 is published and is the recommended version now").wait_for()

    owner = person(Role.DEVELOPER, f"/environments/{name}", script=script)
    owner.get_by_text("You are not using the latest minor version").wait_for()
    owner.get_by_text("Flow logs for everybody").wait_for()
    owner.get_by_role("button", name=UPDATE).click()
    owner.get_by_role("heading", name="What will change").wait_for()
    owner.get_by_role("button", name=UPDATE).click()
    owner.get_by_role("heading", level=1).get_by_text("succeeded").wait_for()
    assert runs(house, name)[0] == "1.1"


def test_an_approval_of_something_else_is_refused_and_what_was_typed_is_kept(house, person):
    template = house.behind("stale")
    admin = person(Role.ADMIN, f"/templates/{template}/1.1/review")
    admin.get_by_label("Note to the owners").fill("half a novel")
    with house.store.write() as unit:
        draft = unit.registry.version(TemplateName(template), parse_version("1.1"))
        first = unit.registry.version(TemplateName(template), parse_version("1.0"))
        unit.registry.save_version(replace(draft, tree=first.tree))
    admin.get_by_role("button", name="Publish 1.1").click()
    alert = admin.get_by_role("alert")
    alert.get_by_text("changed since you opened it").wait_for()
    assert "Nothing was published" in alert.inner_text()
    assert admin.get_by_label("Note to the owners").input_value() == "half a novel"
    admin.get_by_role("button", name="Publish 1.1").click()
    admin.get_by_text(f"{template} 1.1 is published").wait_for()


def test_a_plan_that_does_not_hold_any_more_is_not_deployed_but_worked_out_anew(house, person):
    template = house.behind("planned")
    house.publish(template, "1.1")
    owner = person(Role.DEVELOPER, "/environments/planned/update")
    owner.get_by_role("button", name="Check with a change set").click()
    owner.get_by_role("button", name="Approve and deploy 1.1").wait_for()
    with house.store.write() as unit:
        resource = unit.fleet.get(environment_key("planned"))
        unit.fleet.save(replace(resource, inputs={"cidr": "10.77.0.0/16"}))
    owner.get_by_role("button", name="Approve and deploy 1.1").click()
    assert "Nothing was deployed" in owner.get_by_role("alert").inner_text()
    owner.get_by_role("button", name="Approve and deploy 1.1").click()
    owner.get_by_role("heading", level=1).get_by_text("succeeded").wait_for()
    assert runs(house, "planned")[0] == "1.1"


@pytest.mark.parametrize("script", [True, False], ids=["with scripts", "without scripts"])
def test_an_update_asks_for_what_is_new_and_for_nothing_else(house, person, script):
    name = "asked" if script else "asked-plainly"
    template = house.behind(name, schema=SCHEMA + NEEDED, draft="2.0")
    house.publish(template, "2.0")
    owner = person(Role.DEVELOPER, f"/environments/{name}/update", script=script)
    assert not owner.get_by_label("cidr").is_visible()
    owner.get_by_role("button", name=UPDATE).click()
    assert owner.url.endswith("/update"), "what is needed and empty is not sent"
    owner.get_by_label("Days to keep logs").fill("30")
    owner.get_by_role("button", name=UPDATE).click()
    owner.get_by_role("heading", level=1).get_by_text("succeeded").wait_for()
    assert runs(house, name) == ("2.0", {"cidr": "10.1.0.0/16", "retention": 30})


def test_who_has_not_signed_in_does_so_first_and_comes_to_the_page_they_wanted(house, windows):
    page = windows.open("/activity")
    page.get_by_label("Name").fill("viewer")
    page.get_by_label("Password").fill("a guess")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text(re.compile("do(es)? not belong together")).wait_for()
    sign_in(page, "viewer", house.password(Role.VIEWER))
    page.wait_for_url("**/activity")
    page.get_by_role("heading", name="Activity").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in").wait_for()
    page.goto("/activity")
    page.get_by_role("button", name="Sign in").wait_for()


def test_who_may_not_is_told_so_and_is_offered_no_button(house, person):
    template = house.behind("looked-at")
    for role, path, said, button in (
        (Role.DEVELOPER, f"/templates/{template}/1.1/review", "for admins", "Publish 1.1"),
        (Role.VIEWER, "/environments/looked-at/update?to=1.0", "for developers and admins", "Deploy with these inputs"),
    ):
        page = person(role, path)
        page.get_by_text(said).wait_for()
        assert page.get_by_role("button", name=button).count() == 0


def test_a_right_that_was_lost_since_the_page_was_opened_is_refused_in_words(house, person):
    template = house.behind("demoted")
    admin = person(Role.ADMIN, f"/templates/{template}/1.1/review")
    with house.store.write() as unit:
        user = unit.people.find("admin")
        unit.people.save(replace(user, role=Role.VIEWER))
    try:
        admin.get_by_role("button", name="Publish 1.1").click()
        admin.get_by_role("heading", name=re.compile("may not|not allowed|viewer", re.IGNORECASE)).wait_for()
        with house.store.read() as unit:
            assert unit.registry.template(TemplateName(template)).recommended == parse_version("1.0")
    finally:
        with house.store.write() as unit:
            unit.people.save(user)


def test_an_ended_session_asks_to_sign_in_shows_what_was_typed_and_goes_on_where_it_was(house, person):
    template = house.behind("expired")
    admin = person(Role.ADMIN, f"/templates/{template}/1.1/review")
    admin.get_by_label("Note to the owners").fill("half a novel")
    house.end_sessions("admin")
    admin.get_by_role("button", name="Publish 1.1").click()
    admin.get_by_role("alert").get_by_text("nothing was changed").wait_for()
    assert admin.get_by_label("Note").input_value() == "half a novel"
    sign_in(admin, "admin", house.password(Role.ADMIN))
    admin.get_by_role("heading", name=f"Review {template} 1.1").wait_for()
    with house.store.read() as unit:
        assert unit.registry.template(TemplateName(template)).recommended == parse_version("1.0")


@pytest.mark.parametrize("script", [True, False], ids=["with scripts", "without scripts"])
def test_what_is_behind_is_snoozed_and_woken(house, person, script):
    name = "tired" if script else "tired-plainly"
    template = house.behind(name)
    house.publish(template, "1.1")
    owner = person(Role.DEVELOPER, f"/environments/{name}", script=script)
    owner.get_by_label("Snooze for").select_option("30 days")
    owner.get_by_role("button", name="Snooze", exact=True).click()
    owner.get_by_text("nobody is told of it until then").wait_for()
    owner.get_by_role("button", name=UPDATE).wait_for()
    owner.get_by_role("button", name="End the snooze").click()
    owner.get_by_role("button", name="Snooze", exact=True).wait_for()
    assert owner.get_by_text("nobody is told of it until then").count() == 0


def test_moments_stand_in_the_zone_of_the_reader_with_utc_in_the_title(house, person):
    house.push("clocked-env", "Add a network", draft="1.0")
    page = person(Role.VIEWER, "/sources/templates")
    moment = page.locator("time.local").first
    assert "UTC" not in moment.inner_text()
    assert moment.get_attribute("title").endswith("UTC")
    assert moment.get_attribute("datetime") <= f"{now():%Y-%m-%dT%H:%M:%SZ}" or "Next poll" in page.content()
