"""The books of Proton's API: annotations, uploads and listings, on every kind of store."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tests import builders
from upkeep.adapters.store import SqlStore
from upkeep.domain.annotations import Annotation
from upkeep.domain.deployments import DeploymentStatus
from upkeep.domain.errors import CallerError
from upkeep.domain.names import TemplateName, parse_version
from upkeep.domain.uploads import Upload
from upkeep.domain.versions import CompatibleEnvironment
from upkeep.flows.ports import InstanceFilter, InstanceOrder


@pytest.fixture
def stocked(each_store: SqlStore, now: datetime) -> SqlStore:
    with each_store.write() as unit:
        unit.fleet.add_service(builders.a_service("checkout"))
        for position, name in enumerate(("b", "a", "c")):
            instance = builders.an_instance("checkout", name, created_at=now + timedelta(minutes=position))
            unit.fleet.add(instance)
            asked = builders.a_deployment(
                instance, status=DeploymentStatus.SUCCEEDED, created_at=now - timedelta(minutes=position)
            )
            unit.deployments.add(asked)
            unit.fleet.save(replace(instance, last_deployment=asked.id))
    return each_store


@pytest.mark.parametrize("order", list(InstanceOrder))
@pytest.mark.parametrize("descending", [False, True])
def test_every_order_is_walked_page_by_page(stocked: SqlStore, order: InstanceOrder, descending: bool) -> None:
    found, cursor = [], None
    for _ in range(3):
        with stocked.read() as unit:
            page = unit.listings.instances(InstanceFilter(), order, descending=descending, cursor=cursor, limit=1)
        found += [resource.key.name for resource in page.resources]
        cursor = page.next
    assert cursor is None
    assert sorted(found) == ["a", "b", "c"]
    expected = {InstanceOrder.NAME: "abc", InstanceOrder.CREATED: "bac", InstanceOrder.ATTEMPTED: "cab"}.get(order)
    if expected:
        assert "".join(found) == (expected[::-1] if descending else expected)


@pytest.mark.parametrize("cursor", ["", "x", "[]", '["name", 1, 2]', '["createdAt", "x", 1]', '["name", "a", -1]'])
def test_a_cursor_of_another_order_is_no_page(stocked: SqlStore, cursor: str) -> None:
    with stocked.read() as unit, pytest.raises(CallerError):
        unit.listings.instances(InstanceFilter(), InstanceOrder.CREATED, descending=False, cursor=cursor, limit=1)


def test_instances_are_narrowed_by_every_filter(stocked: SqlStore, now: datetime) -> None:
    def names(**wanted: object) -> str:
        with stocked.read() as unit:
            page = unit.listings.instances(
                InstanceFilter(**wanted), InstanceOrder.NAME, descending=False, cursor=None, limit=10
            )
        return "".join(resource.key.name for resource in page.resources)

    assert names() == "abc"
    assert names(name="a") == "a"
    assert names(service="other") == names(environment="other") == names(template="other") == ""
    assert names(status=DeploymentStatus.FAILED) == ""
    assert names(created_before=now + timedelta(minutes=1)) == "b"
    assert names(created_after=now) == "ac"
    assert names(attempted_before=now) == "ac"
    assert names(attempted_after=now - timedelta(minutes=1)) == "b"


def test_deployments_come_newest_first_and_page_by_page(stocked: SqlStore) -> None:
    with stocked.read() as unit:
        everything, last = unit.listings.deployments(None, None, 10)
        first, before = unit.listings.deployments(None, None, 2)
        rest, end = unit.listings.deployments(None, before, 2)
        (one,), _ = unit.listings.deployments([everything[0].resource], None, 10)
    assert (last, end) == (None, None)
    assert [*first, *rest] == list(everything)
    assert [each.resource.name for each in everything] == ["c", "a", "b"]
    assert one == everything[0]


def test_deployments_of_what_is_gone_are_not_listed(stocked: SqlStore) -> None:
    with stocked.write() as unit:
        unit.fleet.remove(builders.an_instance("checkout", "a").key)
    with stocked.read() as unit:
        found, _ = unit.listings.deployments(None, None, 10)
    assert [each.resource.name for each in found] == ["c", "b"]


def test_a_deployment_can_be_removed_with_what_was_kept_for_it(stocked: SqlStore) -> None:
    with stocked.write() as unit:
        (found, *_), _ = unit.listings.deployments(None, None, 10)
        unit.deployments.keep_rendered(found.id, "Resources: {}")
        unit.deployments.remove(found.id)
        assert unit.deployments.rendered(found.id) is None
        assert found.id not in [each.id for each in unit.deployments.recent(10)]


def test_annotations_are_kept_listed_and_removed(each_store: SqlStore, now: datetime) -> None:
    with each_store.write() as unit:
        for subject in ("repository/a", "repository/b/c", "repositoryx", "service/a"):
            unit.annotations.save(Annotation(subject, now, {"name": subject}))
        unit.annotations.save(Annotation("repository/a", now + timedelta(hours=1), {"description": "höhe"}))
    with each_store.write() as unit:
        assert unit.annotations.find("repository/a") == Annotation(
            "repository/a", now + timedelta(hours=1), {"description": "höhe"}
        )
        assert [one.subject for one in unit.annotations.list("repository")] == ["repository/a", "repository/b/c"]
        unit.annotations.remove("repository/a")
        assert unit.annotations.find("repository/a") is None
        assert unit.annotations.find("repositoryx") is not None


def test_uploads_are_kept_and_go_with_their_template(each_store: SqlStore, now: datetime) -> None:
    name = TemplateName("web")
    environments = (CompatibleEnvironment(TemplateName("env"), 2),)
    upload = Upload(name, parse_version("1.2"), "bundles", "a/b.tgz", "ada", now, environments, "Ships faster")
    with each_store.write() as unit:
        unit.registry.add_template(builders.a_template(name))
        unit.uploads.add(upload)
    with each_store.write() as unit:
        assert unit.uploads.find(name, parse_version("1.2")) == upload
        assert unit.uploads.of_template(name) == (upload,)
        assert unit.uploads.find(name, parse_version("1.3")) is None
        unit.uploads.remove(name, parse_version("1.2"))
        unit.uploads.add(upload)
        unit.registry.remove_template(name)
        assert unit.uploads.find(name, parse_version("1.2")) is None
