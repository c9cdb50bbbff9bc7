"""What the API does, operation by operation, on a store in which there is something of everything."""

import pytest

from tests.web.furnished import DONE, FAILED, ROLLOUT

pytestmark = pytest.mark.usefixtures("furnished")


def test_the_fleet_is_listed_worst_first(program):
    listed = program("viewer").get("/resources")
    assert [each["key"] for each in listed["items"]][:2] == ["environment/production", "environment/empty"]
    assert listed["next"] is None


def test_looks(program):
    viewer = program("admin")
    for path in (
        "/me",
        "/resources",
        "/resources/counters",
        "/resources/counters?template=network-env",
        "/environments",
        "/environments/test",
        "/environments/test/outputs",
        "/environments/test/diff?to=1.1",
        "/services",
        "/services/checkout",
        "/services/checkout/instances/test",
        "/services/checkout/pipeline",
        "/lag",
        "/templates",
        "/templates/network-env",
        "/templates/network-env/versions",
        "/templates/network-env/versions/1.2",
        "/templates/network-env/versions/1.2/files",
        "/templates/network-env/versions/1.2/content?path=schema/schema.yaml",
        "/templates/network-env/versions/1.2/compare",
        "/templates/network-env/versions/1.2/compare?against=1.0",
        "/templates/network-env/versions/1.2/review",
        "/deployments",
        f"/deployments/{DONE}",
        f"/deployments/{DONE}/events",
        f"/deployments/{DONE}/template",
        f"/deployments/{DONE}/changes",
        f"/deployments/{FAILED}/changes",
        "/rollouts",
        f"/rollouts/{ROLLOUT}",
        f"/rollouts/{ROLLOUT}/members",
        "/sources",
        "/sources/templates",
        "/deliveries",
        "/deliveries?source=templates&status=worked",
        "/sync-state",
        "/activity",
        "/users",
        "/tokens",
        "/openapi.json",
    ):
        viewer.get(path)
