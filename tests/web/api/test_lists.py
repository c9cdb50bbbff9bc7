"""Lists: page by page, each thing once, whatever is added meanwhile."""

from dataclasses import replace

import pytest

from tests import builders
from upkeep.domain.people import DAEMON
from upkeep.flows import follow

pytestmark = pytest.mark.usefixtures("furnished")

LISTS = {
    "/resources": "key",
    "/resources?order=name": "key",
    "/environments": "key",
    "/services": "name",
    "/templates": "name",
    "/templates/network-env/versions": "version",
    "/deployments": "id",
    "/rollouts": "id",
    "/sources": "name",
    "/deliveries": "id",
    "/deliveries?source=templates": "id",
    "/activity": "id",
    "/users": "name",
    "/tokens": "id",
}


def join(path: str, more: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}{more}"


@pytest.mark.parametrize("path", LISTS)
def test_the_pages_of_a_list_together_are_the_list(program, path):
    admin = program("admin")
    whole = admin.get(join(path, "limit=200"))
    assert whole["items"] and whole["next"] is None
    found, page = [], admin.get(join(path, "limit=1"))
    while True:
        found += page["items"]
        if page["next"] is None:
            break
        page = admin.get(join(path, f"limit=1&cursor={page['next']}"))
    names = [item[LISTS[path]] for item in found]
    assert names == [item[LISTS[path]] for item in whole["items"]]
    assert len(set(names)) == len(names)


def test_the_header_leads_to_the_next_page(program):
    viewer = program("viewer")
    answer = viewer.ask("GET", "/activity?limit=2&kind=version_published")
    address, relation = answer.headers["Link"].split("; ")
    assert relation == 'rel="next"'
    path = address.strip("<>").removeprefix("/api/v1")
    assert viewer.get(path) == viewer.get(f"/activity?kind=version_published&limit=2&cursor={answer.json['next']}")
    assert "Link" not in viewer.ask("GET", "/templates").headers


def test_what_is_added_meanwhile_shifts_nothing(program, store, now):
    viewer = program("viewer")
    first = viewer.get("/deployments?limit=2")
    with store.write() as unit:
        resource = builders.an_environment("added", "1.0")
        unit.fleet.add(resource)
        unit.deployments.add(builders.a_deployment(resource, "1.1", "00000000-0000-4000-8000-00000000add0"))
        follow.add(unit, replace(builders.a_source("another"), branch="x"), actor=DAEMON, now=now)
    second = viewer.get(f"/deployments?limit=200&cursor={first['next']}")
    ids = [each["id"] for each in first["items"] + second["items"]]
    assert len(set(ids)) == len(ids) == 4
    assert "00000000-0000-4000-8000-00000000add0" not in ids


@pytest.mark.parametrize("cursor", ["", "x", "W10", "%FF", "bm8", "A" * 2000])
def test_what_is_no_cursor_is_refused(program, cursor):
    answer = program("viewer").ask("GET", f"/deployments?cursor={cursor}")
    assert answer.status_code == 400
    assert "cursor" in answer.json["detail"]


def test_a_cursor_of_another_list_or_filter_is_refused(program):
    viewer = program("viewer")
    cursor = viewer.get("/deployments?limit=1")["next"]
    for path in ("/rollouts?", "/resources?", "/activity?", "/deployments?status=FAILED&", "/deliveries?"):
        assert viewer.ask("GET", f"{path}cursor={cursor}").status_code == 400, path
    assert viewer.ask("GET", f"/deployments?limit=3&cursor={cursor}").status_code == 200
