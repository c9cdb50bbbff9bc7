"""What is under way shows its progress by itself, also through the death of what works on it."""

import re
from dataclasses import replace
from uuid import uuid4

from tests import builders
from tests.browser.window import sign_in
from upkeep.adapters.clock import now
from upkeep.domain.deployments import DeploymentStatus
from upkeep.domain.names import environment_key
from upkeep.domain.people import Role


def test_a_deployment_is_followed_to_its_end_through_the_death_of_the_worker(house, person):
    template = house.behind("survivor")
    house.publish(template, "1.1")
    with house.worker_that_dies():
        asked = house.update("survivor", "1.1")
        page = person(Role.VIEWER, f"/deployments/{asked.id}")
        page.get_by_text("It waits for a worker to begin").wait_for()
        assert page.get_by_role("listitem").filter(has_text="Asked for").get_attribute("aria-current") == "step"
        page.evaluate("window.sameDocument = true")
    page.get_by_role("heading", level=1).get_by_text("succeeded").wait_for()
    page.get_by_role("listitem").filter(has_text="Changing the stack").wait_for()
    assert page.evaluate("window.sameDocument"), "the page was loaded again"
    assert "succeeded" in page.title()


def test_without_scripts_the_page_loads_itself_again(house, person):
    template = house.behind("reloader")
    house.publish(template, "1.1")
    with house.worker_that_dies():
        asked = house.update("reloader", "1.1")
        page = person(Role.VIEWER, f"/deployments/{asked.id}", script=False)
        page.get_by_text("It waits for a worker to begin").wait_for()
    page.get_by_role("heading", level=1).get_by_text("succeeded").wait_for()


def test_a_page_whose_session_has_ended_says_so_and_leads_back(house, person):
    template = house.behind("leaver")
    house.publish(template, "1.1")
    with house.worker_that_dies():
        asked = house.update("leaver", "1.1")
        page = person(Role.DEVELOPER, f"/deployments/{asked.id}")
        house.end_sessions("developer")
        page.get_by_role("link", name="Sign in again").click()
        sign_in(page, "developer", house.password(Role.DEVELOPER))
        page.wait_for_url(f"**/deployments/{asked.id}")


def test_a_sync_shows_up_where_it_was_asked_for(house, person):
    house.push("synced-env", "Add a network", draft="1.0")
    page = person(Role.DEVELOPER, "/sources/templates")
    with house.worker_that_dies():
        page.get_by_role("button", name="Sync now").click()
        page.get_by_text("is asked to sync").wait_for()
        page.get_by_text("a sync is asked for").wait_for()
    page.get_by_text(re.compile("a sync is (under way|asked for)")).wait_for(state="detached")


def test_a_page_says_that_the_daemon_is_away_and_goes_on_when_it_is_back(house, person):
    house.behind("returner")
    with house.store.write() as unit:
        # Nobody is asked to work on it, so that it ends when the test says so.
        resource = unit.fleet.get(environment_key("returner"))
        asked = builders.a_deployment(resource, "1.1", str(uuid4()))
        unit.deployments.add(asked)
    page = person(Role.VIEWER, f"/deployments/{asked.id}")
    page.evaluate("window.sameDocument = true")
    house.told.stage.daemon.stop()
    try:
        said = page.get_by_role("status").filter(has_text="Upkeep does not answer")
        said.get_by_text(re.compile(r"Last seen \d+ s ago")).wait_for()
        page.get_by_role("heading", level=1).get_by_text("in progress").wait_for()
        with house.store.write() as unit:
            unit.deployments.save(replace(asked, status=DeploymentStatus.SUCCEEDED, completed_at=now()))
    finally:
        house.told.stage.daemon.start()
    page.get_by_role("heading", level=1).get_by_text("succeeded").wait_for()
    assert said.count() == 0
    assert page.evaluate("window.sameDocument")
