"""What operations do, and that they do it as the flows behind the pages do."""

import pytest

from tests.web.furnished import DONE, FAILED

pytestmark = pytest.mark.usefixtures("furnished")

NETWORK = "/templates/network-env"


def test_an_update_is_told_in_the_activity_with_its_door_and_its_token(program):
    developer = program("developer")
    asked = developer.post("/environments/test/update", {"version": "1.1", "seen": DONE}, 202)
    assert (asked["from"], asked["to"], asked["status"]) == ("1.0", "1.1", "IN_PROGRESS")
    assert developer.get(f"/deployments/{asked['id']}") == asked
    (entry,) = developer.get("/activity?kind=deployment_asked")["items"]
    assert (entry["actor"], entry["via"], entry["facts"]["token"]) == ("developer", "api", "of developer")
    assert developer.get("/environments/test")["last_deployment"] == asked["id"]


def test_what_was_deployed_since_it_was_seen_is_not_updated(program):
    refused = program("developer").post("/environments/test/update", {"seen": FAILED}, 409)
    assert refused["detail"] == "test was deployed since you looked"


def test_a_draft_is_published_as_it_was_seen_and_not_otherwise(program):
    admin = program("admin")
    draft = admin.get(f"{NETWORK}/versions/1.2")
    review = admin.get(f"{NETWORK}/versions/1.2/review")
    assert review["version"] == draft and review["becomes_recommended"]
    seen = {"seen": draft["tree"], "evidence": review["evidence"], "note": "mind the days"}
    for moved in ({"seen": "0" * 40}, {"evidence": "another"}):
        assert admin.post(f"{NETWORK}/versions/1.2/publish", seen | moved, 409)["slug"] == "conflict"
    assert admin.post(f"{NETWORK}/versions/1.2/publish", seen)["recommended"] == "1.2"
    assert admin.get(f"{NETWORK}/versions/1.2")["note"] == "mind the days"
    assert admin.get("/lag?template=network-env")["counters"]["behind_minor"] == review["behind"]


def test_an_environment_is_created_from_inputs_or_from_a_spec(program):
    developer = program("developer")
    wanted = {"name": "fresh", "template": "network-env", "inputs": {"cidr": "10.4.0.0/16"}, "owner": "platform"}
    asked = developer.post("/environments", wanted, 202)
    assert (asked["resource"], asked["inputs"]) == ("environment/fresh", {"cidr": "10.4.0.0/16"})
    assert developer.post("/environments", wanted | {"spec": "spec: {}"}, 400)["where"] == "spec"
    del wanted["inputs"]
    assert developer.post("/environments", wanted, 400)["where"] == "spec"


def test_a_dry_run_tells_whom_a_rollout_takes_and_the_rollout_takes_them(program):
    developer = program("developer")
    members = developer.post("/dry-run", {"template": "network-env"})["items"]
    seen = [{"resource": each["resource"], "to": each["to"]} for each in members if each["turn"] == "waiting"]
    assert seen
    fewer = {"template": "network-env", "seen": seen[1:], "max_parallel": 5.0}
    assert developer.post("/rollouts", fewer, 409)["slug"] == "conflict"
    begun = developer.post("/rollouts", {"template": "network-env", "seen": seen}, 202)
    assert begun["waiting"] == len(seen)
    turns = [each["turn"] for each in developer.get(f"/rollouts/{begun['id']}/members")["items"]]
    assert turns.count("waiting") == len(seen)


def test_a_source_of_the_daemons_own_disk_or_with_a_credential_is_not_added(program):
    admin = program("admin")
    for url in ("file:///etc", "/etc", "ext::sh -c x", "https://dana:secret@example.com/a"):
        assert admin.post("/sources", {"name": "fresh", "url": url}, 400)["detail"], url
    body = {"name": "fresh", "url": "https://example.com/a", "token_file": "/etc/passwd"}
    assert admin.post("/sources", body, 400)["errors"][0]["pointer"] == "#/token_file"
