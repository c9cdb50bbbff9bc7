"""Every operation, every role, every scope, and no token at all. An operation that is not listed here fails until it
is."""

import pytest

from tests.builders import object_id
from tests.web.api.conftest import Program
from tests.web.furnished import DONE, FAILED, PAUSED, ROLLOUT, WAITING
from tests.web.test_access import everything
from upkeep.domain.people import Scope
from upkeep.web.api.operations import OPERATIONS

ROLES = ("viewer", "developer", "admin")

EVERYBODY, DEVELOPERS, ADMINS = set(ROLES), {"developer", "admin"}, {"admin"}
LOOKING = set(Scope)
UPDATING = {Scope.UPDATE, Scope.ENROLL, Scope.ADMIN}
SYNCING = UPDATING | {Scope.REVIEW}
ENROLLING = {Scope.ENROLL, Scope.ADMIN}
REVIEWING = {Scope.REVIEW, Scope.ADMIN}
ALL = {Scope.ADMIN}

UNKNOWN = "00000000-0000-4000-8000-000000000000"
NETWORK = "/templates/network-env"
DRAFT = f"{NETWORK}/versions/1.2"
SPEC = "proton: EnvironmentSpec\nspec:\n  cidr: 10.0.0.0/16\n"

LOOKS = {
    "get_me": "/me",
    "list_resources": "/resources",
    "count_resources": "/resources/counters",
    "get_lag": "/lag",
    "list_environments": "/environments",
    "get_environment": "/environments/test",
    "get_instance": "/services/checkout/instances/test",
    "get_pipeline": "/services/checkout/pipeline",
    "get_outputs_of_environment": "/environments/test/outputs",
    "get_outputs_of_instance": "/services/checkout/instances/test/outputs",
    "get_outputs_of_pipeline": "/services/checkout/pipeline/outputs",
    "diff_environment": "/environments/test/diff?to=1.1",
    "diff_instance": "/services/checkout/instances/test/diff?to=1.0",
    "diff_pipeline": "/services/checkout/pipeline/diff?to=1.0",
    "list_services": "/services",
    "get_service": "/services/checkout",
    "list_templates": "/templates",
    "get_template": NETWORK,
    "list_versions": f"{NETWORK}/versions",
    "get_version": DRAFT,
    "list_files": f"{DRAFT}/files",
    "get_file": f"{DRAFT}/content?path=schema/schema.yaml",
    "compare_versions": f"{DRAFT}/compare",
    "get_review": f"{DRAFT}/review",
    "list_deployments": "/deployments",
    "get_deployment": f"/deployments/{DONE}",
    "list_stack_events": f"/deployments/{DONE}/events",
    "get_rendered_template": f"/deployments/{DONE}/template",
    "get_change_set": f"/deployments/{DONE}/changes",
    "list_rollouts": "/rollouts",
    "get_rollout": f"/rollouts/{ROLLOUT}",
    "list_members": f"/rollouts/{ROLLOUT}/members",
    "get_sync_state": "/sync-state",
    "list_sources": "/sources",
    "get_source": "/sources/templates",
    "list_deliveries": "/deliveries",
    "list_activity": "/activity",
}
"""What everybody may look at, with whatever scope."""

ACTS = {
    # What only looks, and is still not for everybody or comes with a body or finds nothing.
    "try_rollout": ("/dry-run", {"template": "network-env"}, EVERYBODY, LOOKING, 200),
    "get_plan_of_environment": (f"/environments/test/plans/{UNKNOWN}", None, EVERYBODY, LOOKING, 404),
    "get_plan_of_instance": (f"/services/checkout/instances/test/plans/{UNKNOWN}", None, EVERYBODY, LOOKING, 404),
    "get_plan_of_pipeline": (f"/services/checkout/pipeline/plans/{UNKNOWN}", None, EVERYBODY, LOOKING, 404),
    "list_users": ("/users", None, ADMINS, ALL, 200),
    "list_tokens": ("/tokens", None, EVERYBODY, ALL, 200),
    # What changes something, or would if nothing stood in its way.
    "start_rollout": (
        "/rollouts",
        {"template": "network-env", "seen": [{"resource": "environment/test", "to": "1.1"}]},
        DEVELOPERS,
        UPDATING,
        409,
    ),
    "pause_rollout": (f"/rollouts/{ROLLOUT}/pause", None, DEVELOPERS, UPDATING, 200),
    "resume_rollout": (f"/rollouts/{PAUSED}/resume", None, DEVELOPERS, UPDATING, 200),
    "stop_rollout": (f"/rollouts/{ROLLOUT}/stop", None, DEVELOPERS, UPDATING, 200),
    "plan_environment": ("/environments/test/plans", {"version": "1.1"}, DEVELOPERS, UPDATING, 202),
    "plan_instance": ("/services/checkout/instances/test/plans", {"version": "1.0"}, DEVELOPERS, UPDATING, 409),
    "plan_pipeline": ("/services/checkout/pipeline/plans", {"version": "1.0"}, DEVELOPERS, UPDATING, 409),
    "compare_environment": ("/environments/test/drift", None, DEVELOPERS, UPDATING, 202),
    "compare_instance": ("/services/checkout/instances/test/drift", None, DEVELOPERS, UPDATING, 409),
    "compare_pipeline": ("/services/checkout/pipeline/drift", None, DEVELOPERS, UPDATING, 409),
    "give_environment": ("/environments/test/owner", {"owner": "shop"}, DEVELOPERS, ENROLLING, 200),
    "give_instance": ("/services/checkout/instances/test/owner", {"owner": None}, DEVELOPERS, ENROLLING, 200),
    "give_pipeline": ("/services/checkout/pipeline/owner", {"owner": None}, DEVELOPERS, ENROLLING, 200),
    "give_service": ("/services/checkout/owner", {"owner": "shop"}, DEVELOPERS, ENROLLING, 200),
    "snooze_environment": ("/environments/test/snooze", {"length": "7d"}, DEVELOPERS, UPDATING, 200),
    "snooze_instance": ("/services/checkout/instances/test/snooze", {"length": "7d"}, DEVELOPERS, UPDATING, 409),
    "snooze_pipeline": ("/services/checkout/pipeline/snooze", {"length": "7d"}, DEVELOPERS, UPDATING, 409),
    "wake_environment": ("/environments/test/snooze", None, DEVELOPERS, UPDATING, 204),
    "wake_instance": ("/services/checkout/instances/test/snooze", None, DEVELOPERS, UPDATING, 204),
    "wake_pipeline": ("/services/checkout/pipeline/snooze", None, DEVELOPERS, UPDATING, 204),
    "update_environment": ("/environments/test/update", {}, DEVELOPERS, UPDATING, 202),
    "update_instance": ("/services/checkout/instances/test/update", {}, DEVELOPERS, UPDATING, 409),
    "update_pipeline": ("/services/checkout/pipeline/update", {}, DEVELOPERS, UPDATING, 202),
    "retry_deployment": (f"/deployments/{FAILED}/retry", {}, DEVELOPERS, UPDATING, 202),
    "cancel_deployment": (f"/deployments/{WAITING}/cancel", None, DEVELOPERS, UPDATING, 202),
    "continue_rollback": (f"/deployments/{DONE}/continue", None, DEVELOPERS, UPDATING, 409),
    "create_environment": (
        "/environments",
        {"name": "fresh", "template": "network-env", "spec": SPEC},
        DEVELOPERS,
        ENROLLING,
        202,
    ),
    "create_service": (
        "/services",
        {"name": "fresh", "template": "web-svc", "spec": "proton: ServiceSpec\ninstances: []\n"},
        DEVELOPERS,
        ENROLLING,
        400,
    ),
    "update_service": (
        "/services/checkout/update",
        {"repository": {"repository_id": "acme/shop"}},
        DEVELOPERS,
        ENROLLING,
        202,
    ),
    "delete_environment": ("/environments/test", None, DEVELOPERS, ENROLLING, 409),
    "delete_instance": ("/services/checkout/instances/test", None, DEVELOPERS, ENROLLING, 409),
    "delete_pipeline": ("/services/checkout/pipeline", None, DEVELOPERS, ENROLLING, 409),
    "delete_service": ("/services/checkout", None, DEVELOPERS, ENROLLING, 409),
    "forget_environment": ("/environments/empty/forget", None, DEVELOPERS, ENROLLING, 204),
    "forget_instance": ("/services/checkout/instances/test/forget", None, DEVELOPERS, ENROLLING, 409),
    "forget_pipeline": ("/services/checkout/pipeline/forget", None, DEVELOPERS, ENROLLING, 409),
    "forget_service": ("/services/checkout/forget", None, DEVELOPERS, ENROLLING, 409),
    "check_version": (f"{DRAFT}/check", None, ADMINS, REVIEWING, 202),
    "publish_version": (f"{DRAFT}/publish", {"seen": object_id("another")}, ADMINS, REVIEWING, 409),
    "withdraw_version": (f"{NETWORK}/versions/1.1/withdraw", {"reason": "broken"}, ADMINS, REVIEWING, 200),
    "recommend_version": (f"{NETWORK}/versions/1.0/recommend", None, ADMINS, REVIEWING, 200),
    "delete_version": (DRAFT, None, ADMINS, REVIEWING, 204),
    "delete_template": (NETWORK, None, ADMINS, REVIEWING, 400),
    "sync_source": ("/sources/templates/sync", None, DEVELOPERS, SYNCING, 202),
    "add_source": ("/sources", {"name": "fresh", "url": "https://example.com/a.git"}, ADMINS, ALL, 202),
    "remove_source": ("/sources/gone", None, ADMINS, ALL, 204),
    "add_instance": (
        "/services/checkout/instances",
        {"name": "test", "environment": "test", "inputs": {"port": 80}},
        DEVELOPERS,
        ENROLLING,
        409,
    ),
    "add_user": ("/users", {"name": "fresh", "password": "long enough"}, ADMINS, ALL, 201),
    "change_user": ("/users/fresh/change", {"role": "developer"}, ADMINS, ALL, 200),
    "set_password": ("/users/fresh/password", {"password": "quite another one"}, ADMINS, ALL, 204),
    "end_sessions": ("/users/fresh/end-sessions", None, ADMINS, ALL, 200),
    "unlock_user": ("/users/fresh/unlock", None, ADMINS, ALL, 204),
    "remove_user": ("/users/fresh", None, ADMINS, ALL, 204),
    "create_token": ("/tokens", {"label": "another", "scopes": ["read"]}, EVERYBODY, ALL, 201),
    "revoke_token": ("/tokens/ffffffffffff", None, EVERYBODY, ALL, 404),
}
"""What is asked, who may, with which scopes, and what an admin is answered who asks for all of it in this order."""

BY_NAME = {operation.id: operation for operation in OPERATIONS}


def asked(program, name):
    path, body, *_ = ACTS[name] if name in ACTS else (LOOKS[name], None)
    return program.ask(BY_NAME[name].method, path, **({} if body is None else {"json": body}))


def test_every_operation_is_listed_and_has_a_route(app):
    listed = sorted([*LOOKS, *ACTS])
    assert listed == sorted(BY_NAME)
    routes = {rule.endpoint for rule in app.url_map.iter_rules() if rule.endpoint.startswith("api.")}
    assert routes == {f"api.{name}" for name in [*listed, "openapi"]}


@pytest.mark.usefixtures("furnished")
def test_without_a_token_nothing_is_told_and_nothing_happens(program, visit, store):
    signed_in = Program(visit("admin").client, None)
    before = everything(store)
    for name in BY_NAME:
        for stranger in (program(), signed_in):
            answer = asked(stranger, name)
            assert answer.status_code == 401, name
            assert answer.headers["WWW-Authenticate"].startswith("Bearer"), name
            assert answer.json["slug"] == "signed-out"
    assert everything(store) == before


@pytest.mark.usefixtures("furnished")
def test_an_admin_may_do_everything(program):
    admin = program("admin")
    assert {name: asked(admin, name).status_code for name in LOOKS} == dict.fromkeys(LOOKS, 200)
    assert {name: asked(admin, name).status_code for name in ACTS} == {name: act[4] for name, act in ACTS.items()}


@pytest.mark.parametrize("scope", [None, *Scope])
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.usefixtures("furnished")
def test_a_token_may_do_what_its_user_and_its_scopes_may_and_nothing_else(program, store, role, scope):
    holder = program(role, *([] if scope is None else [scope]))
    scopes = set(Scope) if scope is None else {scope}
    for name in LOOKS:
        assert asked(holder, name).status_code == 200, name
    may = [name for name, (*_, roles, allowed, _) in ACTS.items() if role in roles and scopes & allowed]
    before = everything(store)
    for name in ACTS.keys() - may:
        answer = asked(holder, name)
        assert (answer.status_code, answer.json["slug"]) == (403, "forbidden"), f"{name}: {answer.text}"
    assert everything(store) == before
    for name in may:
        answer = asked(holder, name)
        assert answer.status_code not in (401, 403), f"{name}: {answer.text}"


@pytest.mark.usefixtures("furnished")
def test_what_belongs_to_others_is_not_moved_by_this_door_either(program, store):
    outsider = program("outsider")
    before = everything(store)
    for name, (path, *_, roles, _, _) in ACTS.items():
        if path.startswith("/environments/test/") and roles == DEVELOPERS:
            assert asked(outsider, name).status_code == 403, name
    assert everything(store) == before
