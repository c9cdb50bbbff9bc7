"""Every route, every role, and no session at all. A route that is not listed here fails until it is.

The operations of the API have a list of their own.
"""

import re
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.builders import object_id
from tests.web.furnished import DONE, FAILED, PAUSED, ROLLOUT, WAITING
from tests.web.page import Page
from upkeep.domain.people import Actor, Role, Rules, Scope, Session, Via
from upkeep.flows import admit as admission
from upkeep.web.app import create_app

ROLES = ("viewer", "developer", "admin")

PASSWORD = "correct horse battery"

OPEN = {
    ("GET", "health.live", "/healthz"): 200,
    ("GET", "health.ready", "/readyz"): 200,
    # Nobody may read it here: it is there for networks and a token that the configuration names.
    ("GET", "metrics.read", "/metrics"): 404,
    ("POST", "hooks.github", "/hooks/github"): 401,
    ("POST", "hooks.github_source", "/hooks/github/templates"): 401,
    ("GET", "static", "/static/upkeep.css"): 200,
    ("POST", "identity.sign_in", "/sign-in"): 401,
    # Nobody opened this door here, and without a host of its own it is not at `/`.
    ("POST", "proton.call", "/proton"): 503,
    ("POST", "proton.call_at_host", "/"): 405,
    ("GET", "identity.github", "/sign-in/github"): 404,
    ("GET", "identity.github_back", "/sign-in/github/back"): 404,
}
"""What asks for no session, and what it answers without a signature or a password."""

LOOKS = {
    ("GET", "fleet.show"): "/",
    ("GET", "fleet.as_csv"): "/fleet.csv",
    ("GET", "fleet.as_json"): "/fleet.json",
    ("GET", "registry.templates"): "/templates",
    ("GET", "registry.template"): "/templates/network-env",
    ("GET", "registry.version"): "/templates/network-env/1.2",
    ("GET", "registry.review"): "/templates/network-env/1.2/review",
    ("GET", "registry.compare"): "/templates/network-env/1.2/compare",
    ("GET", "registry.file"): "/templates/network-env/1.2/files/schema/schema.yaml",
    ("GET", "registry.raw"): "/templates/network-env/1.2/raw/schema/schema.yaml",
    ("GET", "registry.rendered"): "/templates/network-env/1.2/rendered/environment/test",
    ("GET", "resources.environment_diff"): "/environments/test/diff",
    ("GET", "resources.instance_diff"): "/services/checkout/instances/test/diff",
    ("GET", "resources.pipeline_diff"): "/services/checkout/pipeline/diff",
    ("GET", "resources.environments"): "/environments",
    ("GET", "resources.environment"): "/environments/test",
    ("GET", "resources.environment_update"): "/environments/test/update",
    ("GET", "resources.services"): "/services",
    ("GET", "resources.service"): "/services/checkout",
    ("GET", "resources.instance"): "/services/checkout/instances/test",
    ("GET", "resources.instance_update"): "/services/checkout/instances/test/update",
    ("GET", "resources.pipeline"): "/services/checkout/pipeline",
    ("GET", "resources.pipeline_update"): "/services/checkout/pipeline/update",
    ("GET", "resources.environment_new"): "/environments/new",
    ("GET", "resources.service_new"): "/services/new",
    ("GET", "resources.instance_new"): "/services/checkout/instances/new",
    ("GET", "deployments.deployments"): "/deployments",
    ("GET", "deployments.as_csv"): "/deployments/export.csv",
    ("GET", "deployments.deployment"): f"/deployments/{DONE}",
    ("GET", "deployments.rendered"): f"/deployments/{DONE}/template",
    ("GET", "deployments.rendered_file"): f"/deployments/{DONE}/template.yaml",
    ("GET", "deployments.changes"): f"/deployments/{DONE}/changes.json",
    ("GET", "rollouts.rollouts"): "/rollouts",
    ("GET", "rollouts.confirm"): "/rollouts/new",
    ("GET", "rollouts.rollout"): f"/rollouts/{ROLLOUT}",
    ("GET", "sources.sources"): "/sources",
    ("GET", "sources.source"): "/sources/templates",
    ("GET", "activity.show"): "/activity",
    ("GET", "programs.show"): "/api",
    ("GET", "people.account"): "/account",
    ("GET", "activity.as_csv"): "/activity/export.csv",
}
"""What everybody who is signed in may look at."""

OWNED = {
    "rollouts.resume",
    "rollouts.stop",
    "resources.environment_plan",
    "resources.environment_update",
    "resources.instance_update",
    "resources.pipeline_update",
    "resources.instance_plan",
    "resources.pipeline_plan",
    "resources.environment_owner",
    "resources.instance_owner",
    "resources.pipeline_owner",
    "resources.environment_snooze",
    "resources.environment_wake",
    "resources.instance_snooze",
    "resources.instance_wake",
    "resources.pipeline_snooze",
    "resources.pipeline_wake",
    "resources.environment_delete",
    "resources.instance_delete",
    "resources.service_delete",
    "resources.service_owner",
    "resources.service_repository",
    "resources.instance_new",
    "drift.environment",
    "drift.instance",
    "drift.pipeline",
    "deployments.cancel",
    "deployments.continue_rollback",
    "resources.instance_forget",
    "resources.service_forget",
}
"""Acts on what belongs to a team of the developer's and none of the outsider's."""

ADMINS_LOOK = {("GET", "people.people"): "/people", ("GET", "people.person"): "/people/leaver"}
"""What admins alone may look at."""

DEVELOPERS = {"developer", "admin"}
ADMINS = {"admin"}

ONE_INSTANCE = {"instances~items": "0", "instances.0~name": "live", "instances.0~environment": "production"}

ACTS = {
    ("POST", "rollouts.start"): (
        "/rollouts",
        {"key": "environment/test", "seen": "environment/test>1.1"},
        DEVELOPERS,
    ),
    ("POST", "rollouts.pause"): (f"/rollouts/{ROLLOUT}/pause", {}, DEVELOPERS),
    ("POST", "rollouts.resume"): (f"/rollouts/{PAUSED}/resume", {}, DEVELOPERS),
    ("POST", "rollouts.stop"): (f"/rollouts/{ROLLOUT}/stop", {}, DEVELOPERS),
    ("POST", "sources.sync"): ("/sources/templates/sync", {}, DEVELOPERS),
    ("POST", "resources.environment_plan"): ("/environments/test/plan", {"to": "1.1"}, DEVELOPERS),
    ("POST", "resources.environment_update"): ("/environments/test/update", {"to": "1.1", "seen": DONE}, DEVELOPERS),
    ("POST", "resources.instance_update"): ("/services/checkout/instances/test/update", {"to": "1.0"}, DEVELOPERS),
    ("POST", "resources.pipeline_update"): ("/services/checkout/pipeline/update", {"to": "1.0"}, DEVELOPERS),
    ("POST", "resources.instance_plan"): ("/services/checkout/instances/test/plan", {"to": "1.0"}, DEVELOPERS),
    ("POST", "resources.pipeline_plan"): ("/services/checkout/pipeline/plan", {"to": "1.0"}, DEVELOPERS),
    ("POST", "drift.environment"): ("/environments/test/drift", {}, DEVELOPERS),
    ("POST", "drift.instance"): ("/services/checkout/instances/test/drift", {}, DEVELOPERS),
    ("POST", "drift.pipeline"): ("/services/checkout/pipeline/drift", {}, DEVELOPERS),
    ("POST", "deployments.cancel"): (f"/deployments/{WAITING}/cancel", {}, DEVELOPERS),
    ("POST", "deployments.retry"): (f"/deployments/{FAILED}/retry", {}, DEVELOPERS),
    ("POST", "deployments.continue_rollback"): (f"/deployments/{DONE}/continue", {}, DEVELOPERS),
    ("POST", "resources.environment_forget"): ("/environments/empty/forget", {"sure": "yes"}, DEVELOPERS),
    ("POST", "resources.instance_forget"): ("/services/checkout/instances/test/forget", {"sure": "yes"}, DEVELOPERS),
    ("POST", "resources.service_forget"): ("/services/checkout/forget", {"sure": "yes"}, DEVELOPERS),
    ("POST", "resources.environment_snooze"): ("/environments/test/snooze", {"for": "7d"}, DEVELOPERS),
    ("POST", "resources.environment_wake"): ("/environments/test/wake", {}, DEVELOPERS),
    ("POST", "resources.environment_owner"): ("/environments/test/owner", {"owner": "shop"}, DEVELOPERS),
    ("POST", "resources.instance_snooze"): ("/services/checkout/instances/test/snooze", {"for": "7d"}, DEVELOPERS),
    ("POST", "resources.instance_wake"): ("/services/checkout/instances/test/wake", {}, DEVELOPERS),
    ("POST", "resources.instance_owner"): (
        "/services/checkout/instances/test/owner",
        {"owner": "platform"},
        DEVELOPERS,
    ),
    ("POST", "resources.pipeline_snooze"): ("/services/checkout/pipeline/snooze", {"for": "7d"}, DEVELOPERS),
    ("POST", "resources.pipeline_wake"): ("/services/checkout/pipeline/wake", {}, DEVELOPERS),
    ("POST", "resources.pipeline_owner"): ("/services/checkout/pipeline/owner", {"owner": "platform"}, DEVELOPERS),
    ("POST", "resources.environment_delete"): ("/environments/test/delete", {"confirmed": "test"}, DEVELOPERS),
    ("POST", "resources.instance_delete"): (
        "/services/checkout/instances/test/delete",
        {"confirmed": "checkout/test"},
        DEVELOPERS,
    ),
    ("POST", "resources.service_delete"): ("/services/checkout/delete", {"confirmed": "checkout"}, DEVELOPERS),
    ("POST", "resources.service_owner"): ("/services/checkout/owner", {"owner": "platform"}, DEVELOPERS),
    ("POST", "resources.service_repository"): (
        "/services/checkout/repository",
        {"repository_id": "shop/checkout"},
        DEVELOPERS,
    ),
    ("POST", "resources.environment_new"): (
        "/environments/new",
        {"do": "create", "template": "network-env", "version": "1.1", "name": "fresh"},
        DEVELOPERS,
    ),
    ("POST", "resources.service_new"): (
        "/services/new",
        {"do": "create", "template": "web-svc", "version": "1.0", "name": "shop", **ONE_INSTANCE},
        DEVELOPERS,
    ),
    ("POST", "resources.instance_new"): (
        "/services/checkout/instances/new",
        {"do": "create", "version": "1.0", **ONE_INSTANCE},
        DEVELOPERS,
    ),
    ("POST", "registry.check"): ("/templates/network-env/1.2/check", {}, ADMINS),
    ("POST", "registry.preview"): ("/templates/network-env/1.2/preview", {}, ADMINS),
    ("POST", "registry.publish"): ("/templates/network-env/1.2/publish", {"seen": "the draft's"}, ADMINS),
    ("POST", "registry.withdraw"): ("/templates/network-env/1.1/withdraw", {"reason": "bad"}, ADMINS),
    ("POST", "registry.recommend"): ("/templates/network-env/1.0/recommend", {}, ADMINS),
    ("POST", "registry.delete"): ("/templates/network-env/1.3/delete", {}, ADMINS),
    ("POST", "people.change_password"): (
        "/account/password",
        {"old_password": PASSWORD, "new_password": PASSWORD, "again_password": PASSWORD},
        set(ROLES),
    ),
    ("POST", "people.end_other_sessions"): ("/account/sessions/end-others", {}, set(ROLES)),
    ("POST", "people.end_session"): ("/account/sessions/end", {"session": "their own"}, set(ROLES)),
    ("POST", "people.create_token"): ("/account/tokens", {"label": "ci", "scope": "read"}, set(ROLES)),
    ("POST", "people.revoke_token"): ("/account/tokens/their-own/revoke", {}, set(ROLES)),
    ("POST", "people.add"): ("/people", {"name": "new", "role": "viewer", "password": PASSWORD}, ADMINS),
    ("POST", "people.change"): ("/people/leaver/change", {"role": "developer", "teams": "a, b"}, ADMINS),
    ("POST", "people.set_password"): ("/people/leaver/password", {"password": PASSWORD}, ADMINS),
    ("POST", "people.end_sessions"): ("/people/leaver/sessions/end", {}, ADMINS),
    ("POST", "people.unlock"): ("/people/leaver/unlock", {}, ADMINS),
    ("POST", "people.remove"): ("/people/leaver/remove", {"sure": "yes"}, ADMINS),
    ("POST", "identity.sign_out"): ("/sign-out", {}, set(ROLES)),
}
"""What changes something, and who may."""

IN_THE_WAY = {
    "resources.instance_snooze",
    "resources.pipeline_snooze",
    "resources.environment_delete",
    "resources.instance_delete",
    "resources.service_delete",
    "resources.instance_update",
    "resources.instance_plan",
    "resources.pipeline_plan",
    "drift.instance",
    "drift.pipeline",
    "deployments.continue_rollback",
    "resources.instance_forget",
    "resources.service_forget",
}
"""Acts that are allowed and yet refused, because a deployment is under way there, no rollback failed, there is
no stack, it is not behind, or something depends on it."""


def everything(store) -> Counter[str]:
    """What an act could have left behind."""
    with store.read() as unit:
        versions = [repr(version) for version in unit.registry.versions("network-env")]
        resources = [repr(unit.fleet.of_service("checkout")), repr(unit.fleet.in_environment("test"))]
        events = [repr(entry) for entry in unit.journal.entries(500)]
        work = [repr(row) for row in unit.work.list(100)]
        sources = [repr(source) for source in unit.sources.list()]
        deployments = [repr(deployment) for deployment in unit.deployments.recent(100)]
        users = [repr(replace(user, seen_at=None)) for user in unit.people.list()]
        keys = [repr(token) for token in unit.people.tokens()] + [each.token_hash for each in unit.people.sessions()]
    return Counter(versions + resources + events + work + sources + deployments + users + keys)


def prepared(store, passwords, clock, role, path, fields) -> tuple[str, dict[str, str]]:
    """An act with what it needs of one's own: a password, another session, a token, somebody with a session to end."""
    if not path.startswith(("/account", "/people/")):
        return path, filled(store, fields)
    with store.write() as unit:
        users = {user.name for user in unit.people.list()}
        if path == "/account/password" and role in users:
            unit.people.save(replace(unit.people.find(role), password_hash=passwords.hash(PASSWORD)))
        whose = role if path.startswith("/account") else "leaver"
        other = Session(admission.digest(f"{path} {whose}"), whose, clock(), clock() + timedelta(hours=1))
        if whose in users and unit.people.session(other.token_hash) is None:
            unit.people.add_session(other)
        if path.startswith("/account/tokens/"):
            token, _ = admission.create_token(
                unit, "mine", [Scope.READ], actor=Actor(role, Role(role), Via.WEB), now=clock()
            )
            path = f"/account/tokens/{token.id}/revoke"
    return path, fields | ({"session": other.token_hash} if "session" in fields else {})


def filled(store, fields: dict[str, str]) -> dict[str, str]:
    if fields.get("seen") != "the draft's":
        return fields
    with store.read() as unit:
        (waiting,) = unit.registry.drafts("network-env")
        draft = unit.registry.version(waiting.template, waiting.version)
    return fields | {"seen": draft.tree}


def test_every_route_is_listed(app):
    routes = {
        (method, rule.endpoint)
        for rule in app.url_map.iter_rules()
        if not rule.endpoint.startswith("api.")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    listed = {(method, endpoint) for method, endpoint, _ in OPEN} | LOOKS.keys() | ADMINS_LOOK.keys() | ACTS.keys()
    assert routes == listed | {("GET", "identity.sign_in")}


@pytest.mark.usefixtures("furnished")
def test_open_routes_answer_strangers(visit):
    stranger = visit()
    assert stranger.get("/sign-in").status_code == 200
    for (method, _, path), status in OPEN.items():
        answer = stranger.get(path) if method == "GET" else stranger.post(path, {"name": "nobody", "password": "x"})
        assert answer.status_code == status, path


@pytest.mark.usefixtures("furnished")
def test_strangers_are_sent_to_sign_in_and_come_back_afterwards(visit, store):
    stranger = visit()
    for path in (LOOKS | ADMINS_LOOK).values():
        answer = stranger.get(path)
        assert (answer.status_code, answer.headers["Location"]) == (303, f"/sign-in?next={path}"), path
    before = everything(store)
    for path, fields, _ in ACTS.values():
        answer = stranger.post(path, fields)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in?next=/"), path
    assert everything(store) == before


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.usefixtures("furnished")
def test_everybody_who_is_signed_in_may_look(visit, role):
    visitor = visit(role)
    assert {path: visitor.get(path).status_code for path in LOOKS.values()} == dict.fromkeys(LOOKS.values(), 200)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.usefixtures("furnished")
def test_admins_alone_look_at_people(visit, role):
    visitor = visit(role)
    for path in ADMINS_LOOK.values():
        assert visitor.get(path).status_code == (200 if role == "admin" else 403), path
    assert ("All people who may come in" in visitor.page("/account").text) == (role == "admin")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.usefixtures("furnished")
def test_a_role_may_do_what_is_its_own_and_nothing_else(visit, store, passwords, clock, role):
    visitor = visit(role)
    for (_, endpoint), (path, fields, allowed) in ACTS.items():
        path, fields = prepared(store, passwords, clock, role, path, fields)
        before = everything(store)
        answer = visitor.post(path, fields)
        if role in allowed and endpoint not in IN_THE_WAY:
            assert answer.status_code == (201 if endpoint == "people.create_token" else 303), f"{path}: {answer.text}"
            assert everything(store) != before, path
        else:
            assert answer.status_code == (409 if role in allowed else 403), f"{path}: {answer.text}"
            assert everything(store) == before, path


@pytest.mark.usefixtures("furnished")
def test_a_developer_touches_only_what_is_theirs_or_nobody_s(visit, store):
    outsider = visit("outsider")
    for (_, endpoint), (path, fields, allowed) in ACTS.items():
        if allowed != DEVELOPERS:
            continue
        before = everything(store)
        answer = outsider.post(path, filled(store, fields))
        if endpoint in OWNED:
            assert answer.status_code == 403, f"{path}: {answer.text}"
            assert re.search("belongs to (platform|shop), and outsider may", Page(answer.text).text, re.IGNORECASE), (
                path
            )
            assert everything(store) == before, path
        elif endpoint == "rollouts.start":
            assert answer.status_code == 409, f"{path}: {answer.text}"
        else:
            assert answer.status_code in (303, 409), f"{path}: {answer.text}"


@pytest.mark.usefixtures("furnished")
def test_pages_offer_only_what_is_not_refused(visit):
    outsider, developer = visit("outsider"), visit("developer")
    offers = (
        "Update to recommended version",
        "Change owner",
        "Snooze",
        "Check for drift",
        "Change inputs",
        "Update",
        "Resume",
        "Stop",
        "Cancel deployment",
    )
    for path in (
        "/environments/test",
        "/services/checkout",
        "/services/checkout/instances/test",
        "/environments/test/update",
        f"/deployments/{WAITING}",
        f"/rollouts/{PAUSED}",
    ):
        page, theirs = outsider.page(path), developer.page(path)
        assert [offer for offer in offers if page.has_button(offer) or offer in page.links] == [], path
        assert [offer for offer in offers if theirs.has_button(offer) or offer in theirs.links], path
    # What nobody owns is everybody's.
    fleet = outsider.get("/").text
    assert "/environments/test/update" not in fleet
    assert "/environments/production/update" in fleet
    assert "It belongs to platform: ask them or an admin" in outsider.page("/environments/test").text


@pytest.mark.usefixtures("furnished")
def test_without_the_rule_every_developer_touches_everything(rooms, visit, store):
    visit()
    lenient = create_app(replace(rooms, rules=Rules(owners_only=False)))
    outsider = visit("outsider", lenient)
    assert outsider.post("/environments/test/drift").status_code == 303


@pytest.mark.usefixtures("furnished")
def test_a_form_without_its_token_changes_nothing(visit, store):
    admin = visit("admin")
    before = everything(store)
    for path, fields, _ in ACTS.values():
        for token in ({}, {"csrf_token": "forged"}):
            answer = admin.client.post(path, data=filled(store, fields) | token)
            assert answer.status_code == 400, path
            assert "this form was not opened in your present session" in answer.text.lower()
    assert everything(store) == before


@pytest.mark.usefixtures("furnished")
def test_the_token_of_another_session_does_not_count(visit):
    token = visit("admin").token()
    answer = visit("developer").client.post("/sources/templates/sync", data={"csrf_token": token})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "/templates/unknown",
        "/templates/network-env/9.9",
        "/templates/network-env/9.9/review",
        "/environments/unknown",
        "/environments/unknown/update",
        "/environments/test/update?to=9.9",
        "/services/unknown",
        "/services/unknown/pipeline",
        "/services/checkout/instances/unknown",
        f"/deployments/{object_id('x')}",
        f"/deployments/{object_id('x')}/template",
        "/sources/unknown",
        "/rollouts/unknown",
        "/sign-in/github",
        "/rollouts/new?key=environment/unknown",
        "/nowhere",
    ],
)
@pytest.mark.usefixtures("furnished")
def test_what_does_not_exist_is_404_with_a_sentence(visit, path):
    page = visit("viewer").page(path, 404)
    assert page.headings[0][0].isupper()
    assert "What to do:" in page.text or "Where:" in page.text or page.headings[0]


@pytest.mark.parametrize(
    "path",
    [
        "/templates/network-env/latest",
        "/templates/network-env/1.2/review?compare=x",
        "/templates/network-env/1.2/review?compare=1.3",
        "/environments/test/update?to=newest",
        "/environments/%20/update",
        "/activity?before=-1",
        "/activity?before=99999999999999999999",
        "/deployments?status=ODD",
        "/sources?status=odd",
        "/rollouts/new?key=nonsense",
        "/?after=nonsense",
        "/?kind=odd",
        "/?search=a%00b",
        "/templates/a%00b",
    ],
)
@pytest.mark.usefixtures("furnished")
def test_what_cannot_be_read_is_400_with_a_sentence(visit, path):
    assert visit("viewer").page(path, 400).headings


def test_signing_in_leads_nowhere_else(visit):
    for target in (
        "//evil.example",
        "/\\evil.example",
        "https://evil.example/",
        "evil",
        "/a\nb",
        "javascript:alert(1)",
    ):
        page = visit().client.get("/sign-in", query_string={"next": target})
        assert 'name="next" value="/"' in page.text, target
