"""Fleet pages: in order, without gaps or repetitions, whatever is filtered; and counters that agree with them."""

from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from tests.builders import NOON, a_deployment, a_pipeline, a_resource, a_service, an_environment, an_instance
from upkeep.adapters.store import SqlStore
from upkeep.domain.deployments import DeploymentStatus
from upkeep.domain.errors import CallerError, Conflict
from upkeep.domain.lag import UNMEASURED, Lag, Standing
from upkeep.domain.names import ResourceKind, TemplateName, Version, environment_key, instance_key, pipeline_key
from upkeep.domain.resources import Resource
from upkeep.domain.snoozes import Snooze
from upkeep.domain.sources import Stall
from upkeep.domain.versions import Major, Template, TemplateKind
from upkeep.flows.ports import FleetFilter, FleetOrder, ServiceFilter, Unit

ALL = FleetFilter()
ENVIRONMENTS, SERVICES = TemplateName("network-env"), TemplateName("web-svc")
CURRENT = Lag(Standing.UP_TO_DATE)


def minor(minors: int, days: int = 1) -> Lag:
    return Lag(Standing.BEHIND_MINOR, minors, 0, NOON - timedelta(days=days))


def major(majors: int, minors: int = 0, days: int = 1) -> Lag:
    return Lag(Standing.BEHIND_MAJOR, minors, majors, NOON - timedelta(days=days))


FLEET = (
    an_environment("e-ahead", lag=Lag(Standing.AHEAD), owner="team-a"),
    an_environment("e-current", lag=CURRENT),
    an_environment("e-failed", lag=CURRENT, status=DeploymentStatus.FAILED, owner="team-b"),
    an_environment("e-failed-behind", lag=minor(1), status=DeploymentStatus.DELETE_FAILED),
    an_environment("e-new", None, lag=UNMEASURED),
    an_instance("shop", "major", lag=major(1), owner="team-a"),
    an_instance("shop", "majors", lag=major(2)),
    an_instance("shop", "minor-old", lag=minor(1, days=9), owner="team-a"),
    an_instance("shop", "minor-young", lag=minor(1, days=2)),
    an_instance("shop", "minors", lag=minor(70_000, days=1)),
    an_instance("shop", "major-and-minor", lag=major(1, 3), owner="Team_A"),
    a_pipeline("shop", lag=CURRENT),
)
WORST = [
    "e-failed-behind",
    "e-failed",
    "shop/majors",
    "shop/major-and-minor",
    "shop/major",
    "shop/minors",
    "shop/minor-old",
    "shop/minor-young",
]


@pytest.fixture
def unit(each_store: SqlStore) -> Iterator[Unit]:
    with each_store.write() as opened:
        for resource in FLEET:
            opened.fleet.add(resource)
        yield opened


def pages(unit: Unit, wanted: FleetFilter, order: FleetOrder, limit: int) -> list[str]:
    """Everything, page by page, as people call it."""
    names: list[str] = []
    cursor = None
    while True:
        page = unit.fleet.page(wanted, order, cursor, limit)
        assert len(page.resources) <= limit
        names += [resource.key.short for resource in page.resources]
        if page.next is None:
            return names
        cursor = page.next


@pytest.mark.parametrize("limit", [1, 2, 5, 12, 50])
def test_the_worst_come_first_on_pages_of_any_size(unit: Unit, limit: int) -> None:
    found = pages(unit, ALL, FleetOrder.WORST, limit)
    assert found[: len(WORST)] == WORST
    assert sorted(found) == sorted(resource.key.short for resource in FLEET)


@pytest.mark.parametrize("limit", [1, 5, 12])
def test_names_are_sorted_on_pages_of_any_size(unit: Unit, limit: int) -> None:
    assert pages(unit, ALL, FleetOrder.NAME, limit) == sorted(resource.key.short for resource in FLEET)


@pytest.mark.parametrize("order", FleetOrder)
@pytest.mark.parametrize("backwards", [False, True])
def test_a_list_tells_what_the_resources_are_page_by_page(unit: Unit, order: FleetOrder, backwards: bool) -> None:
    snooze = Snooze(NOON, "ada", version=Version(2, 0))
    unit.fleet.save(replace(unit.fleet.get(FLEET[5].key), snooze=snooze))
    cursor, last = None, False
    while not last:
        whole = unit.fleet.page(ALL, order, cursor, 5, backwards=backwards)
        listed = unit.fleet.listed(ALL, order, cursor, 5, backwards=backwards)
        assert listed.next == whole.next
        for told, resource in zip(listed.resources, whole.resources, strict=True):
            names = [name for name in fields_of(told) if name not in ("due", "stalled")]
            assert {name: getattr(told, name) for name in names} == {name: getattr(resource, name) for name in names}
        cursor, last = whole.next, whole.next is None


def fields_of(value: Any) -> list[str]:
    return [field.name for field in fields(value)]


def test_a_list_tells_where_an_update_leads_and_what_waits_for_a_person(unit: Unit) -> None:
    shop, at = instance_key("shop", "majors"), NOON - timedelta(days=40)
    unit.registry.add_template(Template(SERVICES, TemplateKind.SERVICE, None, "web-svc", at, Version(2, 1)))
    for number, recommended in ((1, 7), (2, 1), (3, 4)):
        unit.registry.save_major(Major(SERVICES, number, f"web-svc/v{number}", 9, recommended))
    above = an_instance("shop", "above", "3.0", lag=minor(4))
    unit.fleet.add(above)
    stuck = replace(a_deployment(above, "3.4", "stuck"), stall=Stall("no access", "grant it", NOON))
    unit.deployments.add(stuck)
    unit.fleet.save(replace(above, status=DeploymentStatus.IN_PROGRESS, last_deployment="stuck"))
    listed = {told.key: told for told in unit.fleet.listed(ALL, FleetOrder.NAME, None, 50).resources}
    assert listed[shop].due == Version(2, 1)
    assert listed[above.key].due == Version(3, 4), "what is recommended is lower than its own major"
    assert listed[pipeline_key("shop")].due is None, "it is not behind"
    assert listed[environment_key("e-failed-behind")].due is None, "nothing is known of its template"
    assert [key.short for key, told in listed.items() if told.stalled] == ["shop/above"]
    assert unit.fleet.of_services(["shop"]) == tuple(listed[key] for key in sorted(listed, key=str) if key.service)
    unit.deployments.save(replace(stuck, status=DeploymentStatus.FAILED))
    assert not any(told.stalled for told in unit.fleet.of_services(["shop"]))


def test_what_comes_and_goes_between_two_pages_shifts_nothing(unit: Unit) -> None:
    first = unit.fleet.page(ALL, FleetOrder.WORST, None, 3)
    unit.fleet.remove(first.resources[-1].key)
    unit.fleet.add(an_environment("worse", lag=major(9)))
    second = unit.fleet.page(ALL, FleetOrder.WORST, first.next, 3)
    assert [resource.key.short for resource in second.resources] == WORST[3:6]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (FleetFilter(behind=True), [name for name in WORST if name != "e-failed"]),
        (FleetFilter(failed=True), WORST[:2]),
        (FleetFilter(failed=True, behind=True), WORST[:1]),
        (FleetFilter(standing=Standing.BEHIND_MAJOR), WORST[2:5]),
        (FleetFilter(standing=Standing.BEHIND_MINOR), ["e-failed-behind", "shop/minors", *WORST[6:]]),
        (FleetFilter(standing=Standing.AHEAD), ["e-ahead"]),
        (FleetFilter(standing=Standing.UNDEPLOYED), ["e-new"]),
        (FleetFilter(owner="team-a"), ["shop/major", "shop/minor-old", "e-ahead"]),
        (FleetFilter(owner="team-a", behind=True), ["shop/major", "shop/minor-old"]),
        (FleetFilter(owner="nobody"), []),
        (FleetFilter(template=ENVIRONMENTS, behind=True), ["e-failed-behind"]),
        (FleetFilter(kind=ResourceKind.PIPELINE), ["shop pipeline"]),
        (FleetFilter(search="SHOP/Major"), ["shop/majors", "shop/major-and-minor", "shop/major"]),
        (FleetFilter(search="pipeline/shop"), ["shop pipeline"]),
        (FleetFilter(search="shop pipeline"), ["shop pipeline"]),
        (FleetFilter(search="%"), []),
        (FleetFilter(search="e_new"), []),
        (FleetFilter(search="\\"), []),
        (FleetFilter(search="'; --\x00"), []),
    ],
)
def test_filters_narrow_pages_and_counts_alike(unit: Unit, wanted: FleetFilter, expected: list[str]) -> None:
    assert pages(unit, wanted, FleetOrder.WORST, 2) == expected
    assert pages(unit, wanted, FleetOrder.NAME, 2) == sorted(expected)
    assert unit.fleet.count(wanted, 1000) == len(expected)


def test_counting_stops_where_it_is_told(unit: Unit) -> None:
    assert unit.fleet.count(ALL, 5) == 5
    assert unit.fleet.count(ALL, 1000) == len(FLEET)


@pytest.mark.parametrize(
    "cursor", ["", "x", "é", "====", "WyJ3b3JzdCIsMV0", "bnVsbA", "WyJuYW1lIiwgIngiLCAxXQ", "W1tbW1tbW1tb" * 50]
)
def test_a_cursor_that_is_none_is_refused(unit: Unit, cursor: str) -> None:
    with pytest.raises(CallerError, match="page"):
        unit.fleet.page(ALL, FleetOrder.WORST, cursor, 2)


def test_what_cannot_be_asked_is_refused(unit: Unit) -> None:
    with pytest.raises(CallerError):
        unit.fleet.page(ALL, FleetOrder.NAME, None, 0)
    with pytest.raises(CallerError):
        unit.fleet.page(FleetFilter(search="x" * 10_000), FleetOrder.NAME, None, 1)
    name_cursor = unit.fleet.page(ALL, FleetOrder.NAME, None, 1).next
    with pytest.raises(CallerError):
        unit.fleet.page(ALL, FleetOrder.WORST, name_cursor, 1)


def test_counters_agree_with_filters(unit: Unit) -> None:
    counters = unit.fleet.counters()
    assert counters.total == len(FLEET)
    assert counters.failed == unit.fleet.count(FleetFilter(failed=True), 99)
    assert counters.behind_major == unit.fleet.count(FleetFilter(standing=Standing.BEHIND_MAJOR), 99)
    assert counters.behind_minor == unit.fleet.count(FleetFilter(standing=Standing.BEHIND_MINOR), 99)
    assert counters.up_to_date == unit.fleet.count(FleetFilter(standing=Standing.UP_TO_DATE), 99)
    assert counters.ahead == 1
    of_one = unit.fleet.counters(ENVIRONMENTS)
    assert (of_one.total, of_one.failed, of_one.behind_minor, of_one.behind_major) == (5, 2, 1, 0)
    assert unit.fleet.counters("none").total == 0


def test_owners_are_listed_once(unit: Unit) -> None:
    assert unit.fleet.owners(9) == ("Team_A", "team-a", "team-b")


def test_a_snooze_is_kept_and_ended_for_those_that_run_a_version_and_slept_for_a_lower_one(unit: Unit) -> None:
    for name, asleep in (
        ("days", Snooze(NOON, "dev", until=NOON + timedelta(days=7))),
        ("lower", Snooze(NOON, "dev", version=Version(1, 9))),
        ("same", Snooze(NOON, "dev", version=Version(2, 1))),
        ("higher", Snooze(NOON, "dev", version=Version(3, 0))),
    ):
        unit.fleet.add(an_environment(name, "1.5", lag=minor(1), snooze=asleep))
        assert unit.fleet.get(environment_key(name)).snooze == asleep
    unit.fleet.add(an_environment("elsewhere", "1.4", lag=minor(1), snooze=Snooze(NOON, "dev", version=Version(1, 9))))
    unit.fleet.end_snoozes(ENVIRONMENTS, Version(1, 5), Version(2, 1))
    sleeping = {
        name: unit.fleet.get(environment_key(name)).snooze is not None
        for name in ("days", "lower", "same", "higher", "elsewhere")
    }
    assert sleeping == {"days": True, "lower": False, "same": True, "higher": True, "elsewhere": True}


def test_a_lag_is_written_on_all_that_run_a_version(unit: Unit) -> None:
    other = an_environment("other", "1.1", lag=CURRENT)
    unit.fleet.add(other)
    late = major(3, 2, days=30)
    assert unit.fleet.set_lag(ENVIRONMENTS, Version(1, 0), late) == 4
    assert unit.fleet.set_lag(ENVIRONMENTS, Version(9, 0), late) == 0
    assert unit.fleet.get(environment_key("e-current")).lag == late
    assert unit.fleet.get(other.key).lag == CURRENT
    assert pages(unit, ALL, FleetOrder.WORST, 3)[:4] == ["e-failed-behind", "e-failed", "e-current", "e-ahead"]
    assert unit.fleet.set_lag(ENVIRONMENTS, Version(1, 0), CURRENT) == 4
    assert pages(unit, FleetFilter(behind=True, template=ENVIRONMENTS), FleetOrder.WORST, 3) == []
    assert pages(unit, FleetFilter(failed=True), FleetOrder.WORST, 9) == ["e-failed-behind", "e-failed"]
    assert unit.fleet.running_versions(ENVIRONMENTS) == (Version(1, 0), Version(1, 1))


def test_a_changed_resource_moves_to_its_place(unit: Unit) -> None:
    current = unit.fleet.get(environment_key("e-current"))
    unit.fleet.save(replace(current, lag=major(9)))
    assert pages(unit, ALL, FleetOrder.WORST, 5)[2] == "e-current"
    unit.fleet.save(replace(current, status=DeploymentStatus.FAILED, lag=major(9)))
    assert pages(unit, ALL, FleetOrder.WORST, 5)[0] == "e-current"
    assert unit.fleet.get(current.key).id == current.id


def test_the_resources_of_a_service_a_place_and_a_major_are_found(unit: Unit) -> None:
    def names(resources: object) -> list[str]:
        assert isinstance(resources, tuple)
        return [resource.key.short for resource in resources]

    shop = a_service("shop").name
    assert names(unit.fleet.of_service(shop)) == [
        "shop/major",
        "shop/major-and-minor",
        "shop/majors",
        "shop/minor-old",
        "shop/minor-young",
        "shop/minors",
        "shop pipeline",
    ]
    assert len(unit.fleet.in_environment(an_environment("test").key.name)) == 6
    assert names(unit.fleet.on_major(ENVIRONMENTS, 1)) == ["e-ahead", "e-current", "e-failed", "e-failed-behind"]
    assert names(unit.fleet.behind(SERVICES)) == WORST[2:]


def test_a_key_is_taken_once_and_free_again_when_its_resource_goes(unit: Unit) -> None:
    taken: Resource = a_resource(environment_key("e-new"), "other")
    with pytest.raises(Conflict):
        unit.fleet.add(taken)
    before = unit.fleet.get(taken.key).id
    unit.fleet.remove(taken.key)
    assert unit.fleet.find(taken.key) is None
    unit.fleet.add(taken)
    assert unit.fleet.get(taken.key).id > before


def test_a_service_is_kept_changed_and_removed(unit: Unit) -> None:
    service = a_service("shop")
    unit.fleet.add_service(service)
    with pytest.raises(Conflict):
        unit.fleet.add_service(service)
    unit.fleet.save_service(replace(service, owner="team-z"))
    assert [s.owner for s in unit.fleet.services()] == ["team-z"]
    unit.fleet.remove_service(service.name)
    assert unit.fleet.services() == ()


@pytest.mark.parametrize("limit", [1, 3, 50])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(
    ("order", "by"),
    [
        (FleetOrder.TEMPLATE, lambda found: (found.template, found.key.short)),
        (FleetOrder.OWNER, lambda found: found.owner and (found.owner, found.key.short)),
        (FleetOrder.AGE, lambda found: found.lag.since and (found.lag.since, found.id)),
    ],
)
def test_every_order_goes_both_ways_and_ends_with_what_has_no_place_in_it(unit, order, by, backwards, limit) -> None:
    found: list[Resource] = []
    cursor = None
    while len(found) < 50:
        page = unit.fleet.page(ALL, order, cursor, limit, backwards=backwards)
        found += page.resources
        cursor = page.next
        if cursor is None:
            break
    assert len({resource.key for resource in found}) == len(found) == len(FLEET)
    placed = [by(resource) for resource in found if by(resource) is not None]
    assert placed == sorted(placed, reverse=backwards)
    assert [by(resource) for resource in found[len(placed) :]] == [None] * (len(FLEET) - len(placed))


def test_a_cursor_of_another_order_is_refused(unit: Unit) -> None:
    page = unit.fleet.page(ALL, FleetOrder.AGE, None, 2)
    assert unit.fleet.page(ALL, FleetOrder.AGE, page.next, 2).resources
    with pytest.raises(CallerError, match="page"):
        unit.fleet.page(ALL, FleetOrder.OWNER, page.next, 2)


def test_what_replaces_stands_below_failures_and_what_is_snoozed_below_all_lag(unit: Unit) -> None:
    keys = {found.key.short: found.key for found in FLEET}
    unit.fleet.warn([keys["shop/minor-young"], keys["shop/minors"], keys["e-current"]])
    asleep = unit.fleet.get(keys["shop/minors"])
    until = NOON + timedelta(days=7)
    unit.fleet.save(replace(asleep, snooze=Snooze(NOON, "ada", until)))
    rest = ["shop/majors", "shop/major-and-minor", "shop/major", "shop/minor-old", "shop/minors"]
    assert pages(unit, FleetFilter(behind=True), FleetOrder.WORST, 2) == ["e-failed-behind", "shop/minor-young", *rest]
    assert not unit.fleet.overslept(NOON)
    assert unit.fleet.wake(NOON) == 0
    assert unit.fleet.overslept(until)
    assert unit.fleet.wake(until) == 1
    assert pages(unit, FleetFilter(behind=True), FleetOrder.WORST, 3)[1:3] == ["shop/minors", "shop/minor-young"]
    assert not unit.fleet.get(keys["e-current"]).replaces


def test_an_environment_and_a_rare_part_of_a_name_narrow_a_page(unit: Unit) -> None:
    assert len(pages(unit, FleetFilter(environment="test"), FleetOrder.WORST, 4)) == 6
    assert pages(unit, FleetFilter(search="MINOR-"), FleetOrder.WORST, 1) == ["shop/minor-old", "shop/minor-young"]


def test_services_come_by_page_and_filter(unit: Unit) -> None:
    for name, owner in (("a", "x"), ("b", "y"), ("c", "x")):
        unit.fleet.add_service(a_service(name, owner=owner))
    assert [found.name for found in unit.fleet.services(None, "a", 1)] == ["b"]
    assert [found.name for found in unit.fleet.services(ServiceFilter(owner="x"))] == ["a", "c"]
    assert [found.name for found in unit.fleet.services(ServiceFilter(search="B"))] == ["b"]
