"""Lists: sorted, filtered, by page, and as files."""

import csv
import io
import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import timedelta

import pytest

from tests import builders
from tests.flows.given import environment_bundle, registered
from tests.web.furnished import WAITING
from upkeep.domain.deployments import DeploymentStatus
from upkeep.domain.lag import Lag, Standing
from upkeep.domain.names import TemplateName, environment_key, parse_version
from upkeep.domain.resources import Counters
from upkeep.domain.snoozes import Snooze
from upkeep.domain.sources import Stall
from upkeep.domain.tallies import WHOLE_FLEET, Tally
from upkeep.flows.browse.trends import History, Publish, Share
from upkeep.web import charts, exports


def rows(answer):
    return list(csv.DictReader(io.StringIO(answer.text)))


@pytest.mark.usefixtures("furnished")
def test_a_header_sorts_and_sorts_back(visit):
    viewer = visit("viewer")
    page = viewer.page("/?kind=environment")
    assert page.links["Resource"] == "/?kind=environment&sort=name"
    text = viewer.get("/?kind=environment&sort=name").text
    assert 'aria-sort="ascending"><a href="/?kind=environment&amp;sort=name&amp;dir=desc"' in text
    names = ["empty", "production", "test"]
    assert [name for name in viewer.page("/?kind=environment&sort=name").links if name in names] == names
    assert [name for name in viewer.page("/?kind=environment&sort=name&dir=desc").links if name in names] == names[::-1]
    assert 'aria-sort="descending"' in viewer.get("/?sort=name&dir=desc").text


@pytest.mark.usefixtures("furnished")
@pytest.mark.parametrize("wrong", ["/?sort=colour", "/?size=7", "/deployments?status=x", "/activity?since=yesterday"])
def test_what_no_list_knows_is_refused(visit, wrong):
    assert visit("viewer").page(wrong, 400).text


@pytest.mark.usefixtures("furnished")
def test_a_stalled_deployment_waits_for_a_person(visit, store, now):
    with store.write() as unit:
        found = unit.deployments.get(WAITING)
        stalled = Stall("access is denied to `x`", "grant it", now)
        unit.deployments.save(replace(found, stall=stalled))
    viewer = visit("viewer")
    assert "checkout/test instance web-svc 1.0 (up to date) waits for a person" in viewer.page("/").text
    assert "waits for a person dev access is denied" in viewer.page("/deployments?status=stalled").text
    assert rows(viewer.get("/deployments/export.csv?status=stalled"))[0]["reason"] == "access is denied to `x`"


def test_a_file_has_all_that_fit_and_nothing_that_a_spreadsheet_would_run(visit, store, now, monkeypatch):
    monkeypatch.setattr(exports, "PIECE", 7)
    with store.write() as unit:
        registered(unit, "network-env", "1.0", environment_bundle(), now)
        for number in range(30):
            owner = '=cmd|"/C calc"!A0' if number == 3 else "zoë"
            lag = Lag(Standing.BEHIND_MINOR, 2, 0, now - timedelta(days=7))
            unit.fleet.add(builders.an_environment(f"env-{number:02}", owner=owner, lag=lag))
    viewer = visit("viewer")
    answer = viewer.get("/fleet.csv?owner=zoë&sort=age&after=x")
    assert (answer.mimetype, answer.headers["Content-Disposition"]) == ("text/csv", "attachment; filename=fleet.csv")
    found = rows(answer)
    assert [row["name"] for row in found] == [f"env-{number:02}" for number in range(30) if number != 3]
    assert {(row["owner"], row["minors_behind"], row["behind_for_working_days"]) for row in found} == {
        ("zoë", "2", "5")
    }
    assert [row["owner"] for row in rows(viewer.get("/fleet.csv?search=env-03"))] == ['\'=cmd|"/C calc"!A0']
    told = json.loads(viewer.get("/fleet.json?search=env-0").text)
    assert len(told) == 10
    assert told[3]["owner"] == '=cmd|"/C calc"!A0'
    assert json.loads(viewer.get("/fleet.json?search=nothing").text) == []
    assert viewer.get("/fleet.csv?status=sideways").status_code == 400


@pytest.mark.usefixtures("furnished")
def test_activity_shows_before_and_after_and_is_given_as_a_file(visit):
    viewer = visit("viewer")
    assert "none → platform" in viewer.page("/activity?kind=owner_changed").text
    assert "owner_changed" not in viewer.page("/activity?via=git").text
    (row,) = rows(viewer.get("/activity/export.csv?kind=owner_changed"))
    assert (row["actor"], row["via"], row["before"], row["after"]) == ("ada", "web", "none", "platform")
    day = row["at"][:10]
    assert len(rows(viewer.get(f"/activity/export.csv?kind=owner_changed&since={day}&until={day}"))) == 1
    assert rows(viewer.get("/activity/export.csv?kind=owner_changed&until=2020-01-01")) == []


def test_templates_services_and_versions_come_by_page(visit, store, now):
    with store.write() as unit:
        for number in range(60):
            registered(unit, f"net-{number:02}", "1.0", environment_bundle(), now)
            unit.fleet.add_service(builders.a_service(f"service-{number:02}", owner="shop" if number else "other"))
        for minor in range(1, 40):
            registered(unit, "net-00", f"1.{minor}", environment_bundle(), now)
    viewer = visit("viewer")
    for path, first, last in (("/templates", "net-00", "net-59"), ("/services", "service-00", "service-59")):
        page = viewer.page(path)
        assert first in page.links
        assert last not in page.links
        assert last in viewer.page(page.links["Next page"]).links
    assert "net-07" in viewer.page("/templates?search=T-07").links
    assert "service-00" not in viewer.page("/services?owner=shop").links
    page = viewer.page("/templates/net-00")
    assert "1.39" in page.links
    assert "1.3" not in page.links
    assert "1.3" in viewer.page(page.links["Next page"]).links
    assert "Draft 1.39 waits for a review" in page.text


def test_a_line_that_was_drawn_before_says_what_is_so_now(visit, store, clock):
    with store.write() as unit:
        registered(unit, "network-env", "1.0", environment_bundle(), clock())
        lag = Lag(Standing.BEHIND_MINOR, 1, 0, clock() - timedelta(minutes=50))
        unit.fleet.add(builders.an_environment("first", owner="team-a", lag=lag))
        unit.registry.save_template(replace(unit.registry.template("network-env"), recommended=parse_version("1.1")))
    admin, viewer = visit("admin"), visit("viewer")

    def lines(browser, path="/"):
        return browser.get(path).text.partition("<tbody>")[2].partition("</tbody>")[0]

    seen = [lines(admin)]
    assert seen == [lines(admin)]
    assert lines(viewer) != seen[0], "a viewer is offered no update"
    assert lines(admin, "/environments") != seen[0], "nothing is chosen there"
    for change in (
        {"owner": "team-b"},
        {"lag": replace(lag, minors=2)},
        {"status": DeploymentStatus.FAILED, "last_deployment": "d-1"},
        {"version": parse_version("1.1")},
        {"snooze": Snooze(clock(), "ada", until=clock() + timedelta(minutes=30))},
    ):
        with store.write() as unit:
            unit.fleet.save(replace(unit.fleet.get(environment_key("first")), **change))
        seen.append(lines(admin))
    for _ in range(2):
        clock.advance(timedelta(minutes=20))
        seen.append(lines(admin))
    assert "1 h" in seen[-1]
    assert len(set(seen)) == len(seen)
    assert ("snoozed" in seen[-2], "snoozed" in seen[-1]) == (True, False)
    below = admin.client.get("/", environ_overrides={"SCRIPT_NAME": "/upkeep"}).text
    assert 'href="/upkeep/environments/first"' in below
    assert "/upkeep" not in lines(admin)


def test_what_lives_in_an_environment_comes_by_page(visit, store, now):
    with store.write() as unit:
        registered(unit, "network-env", "1.0", environment_bundle(), now)
        unit.fleet.add(builders.an_environment("full"))
        for number in range(60):
            unit.fleet.add(builders.an_instance("shop", f"i-{number:02}", environment="full"))
        unit.fleet.add(builders.an_environment("empty"))
    admin = visit("admin")
    page = admin.page("/environments/full")
    assert "shop/i-49" in page.links
    assert "shop/i-50" not in page.links
    assert not page.has_button("Forget full")
    page = admin.page(page.links["Next page"])
    assert "shop/i-59" in page.links
    assert "shop/i-49" not in page.links
    assert not page.has_button("Forget full")
    assert admin.page("/environments/empty").has_button("Forget empty")


@pytest.mark.usefixtures("furnished")
def test_numbers_of_a_chart_stand_beside_it(visit, store, now):
    with store.write() as unit:
        unit.tallies.keep(Tally(WHOLE_FLEET, now - timedelta(days=3), Counters(total=5, up_to_date=5)))
        counters = Counters(total=5, up_to_date=1, behind_minor=3, behind_major=1)
        for name in (WHOLE_FLEET, TemplateName("network-env")):
            unit.tallies.keep(Tally(name, now - timedelta(days=1), counters))
    viewer = visit("viewer")
    page = viewer.page("/")
    assert "Behind over time, all templates" in page.text
    assert "Now 1 are behind a major and 3 behind a minor version" in page.text
    assert "Templates with most behind, a minute ago" in page.text
    page = viewer.page("/templates/network-env")
    assert "Versions of network-env in use" in page.text
    assert "1.1 recommended" in page.text


def test_a_chart_is_well_formed_and_escapes_what_it_is_given(now):
    hostile = "<b>&\"'"
    tally = Tally(TemplateName(hostile), now - timedelta(days=2), Counters(total=9, behind_minor=4, behind_major=5))
    publish = Publish(now - timedelta(days=1), hostile, "1.2")
    past = History(now - timedelta(days=3), now, (tally,), (publish,))
    for chart in (
        charts.of_templates([tally]),
        charts.over_time(past, hostile),
        charts.of_versions([Share(parse_version("1.2"), 3, True), Share(None, 0)], hostile),
    ):
        drawing = ET.fromstring(chart.drawing)
        assert drawing.attrib["role"] == "img"
        assert {"title", "desc"} <= {child.tag for child in drawing}
        assert all(len(row) == len(chart.columns) for row in chart.rows)
        assert "style" not in chart.drawing
    assert charts.over_time(History(now, now, (), ()), "all") is None
    assert charts.over_time(replace(past, since=now - timedelta(hours=1)), "all") is None
