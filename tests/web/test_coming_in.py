"""Coming in by GitHub or behind a proxy, and which address a request is counted under."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.fakegithub import CLIENT_ID, CLIENT_SECRET, Account, FakeGitHub
from tests.web.conftest import Visitor
from tests.web.page import Page
from upkeep.adapters.github import GitHubSignIn
from upkeep.adapters.secrets import GivenSecret
from upkeep.domain.people import Role
from upkeep.domain.sources import Credential
from upkeep.web.app import create_app
from upkeep.web.rooms import Entrance, Headers

BACK = "http://upkeep.example.com/sign-in/github/back"
ROLES = {"acme": Role.VIEWER, "acme/platform": Role.ADMIN}

OCTOCAT = Account(
    583231,
    "octocat",
    [{"email": "octocat@github.com", "primary": True, "verified": True}],
    {"acme": "active"},
    ["acme/platform"],
)
STRANGER = Account(7, "stranger", [], {"elsewhere": "active"})

PROXY = ip_network("10.0.0.0/8")
HEADERS = Headers("X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", {"ops": Role.ADMIN}, Role.VIEWER)


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with FakeGitHub(BACK) as opened:
        yield opened
    assert opened.broken == []


@pytest.fixture
def browser(rooms, github):
    provider = GitHubSignIn(CLIENT_ID, Credential(), GivenSecret(CLIENT_SECRET), frozenset({"acme"}), github.url)
    app = create_app(replace(rooms, github=Entrance(provider, ROLES)))
    return lambda: Visitor(app.test_client())


def come_back(visitor, github, account, target="/"):
    """Press the button, say yes over there, and come back: what the browser then gets."""
    page = visitor.page(f"/sign-in?next={target}")
    there = visitor.get(page.links["Sign in with GitHub"]).headers["Location"]
    back = github.approve(there, account)
    return visitor.get(back.removeprefix("http://upkeep.example.com"))


def test_github_leads_in_and_to_where_one_was_going(browser, github, store):
    visitor = browser()
    answer = come_back(visitor, github, OCTOCAT, "/templates")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/templates")
    page = visitor.page("/account")
    for said in ("octocat", "admin", "platform", "octocat@github.com", "GitHub"):
        assert said in page.text
    assert not page.has_button("Change password")
    with store.read() as unit:
        user = unit.people.find("octocat")
    assert (user.provider, user.provider_id, user.teams) == ("github", "583231", {"platform"})


def test_membership_is_asked_again_at_each_sign_in(browser, github, store):
    come_back(browser(), github, OCTOCAT)
    assert come_back(browser(), github, replace(OCTOCAT, teams=[])).status_code == 303
    with store.read() as unit:
        assert unit.people.find("octocat").role is Role.VIEWER
    gone = come_back(browser(), github, replace(OCTOCAT, organisations={}, teams=[]))
    assert gone.status_code == 403


def test_who_is_in_no_organisation_of_ours_is_told_so_and_stays_out(browser, github, store):
    visitor = browser()
    answer = come_back(visitor, github, STRANGER)
    assert answer.status_code == 403
    assert "Github knows stranger, but none of their groups has a role here" in Page(answer.text).text.replace("H", "h")
    assert visitor.get("/").status_code == 303
    with store.read() as unit:
        assert unit.people.find("stranger") is None


def test_a_sign_in_that_another_browser_began_is_refused(browser, github):
    begun, victim = browser(), browser()
    there = begun.get("/sign-in/github").headers["Location"]
    back = github.approve(there, OCTOCAT).removeprefix("http://upkeep.example.com")
    for answer in (victim.get(back), begun.get(back.replace("state=", "state=x"))):
        assert answer.status_code == 400
        assert "did not begin in this browser" in Page(answer.text).text
    # The state counts once, also when it was answered wrongly.
    assert begun.get(back).status_code == 400
    assert victim.get("/").status_code == 303


def test_who_says_no_over_there_is_offered_another_way(browser):
    visitor = browser()
    there = visitor.get("/sign-in/github?next=/services").headers["Location"]
    state = parse_qs(urlsplit(there).query)["state"][0]
    answer = visitor.get(f"/sign-in/github/back?error=access_denied&state={state}")
    page = Page(answer.text)
    assert answer.status_code == 403
    assert "You did not let GitHub tell who you are" in page.text
    assert page.form("Sign in").fields["next"] == "/services"


def test_a_github_that_is_down_gives_a_page_to_try_again_from(browser, github):
    visitor = browser()
    there = visitor.get("/sign-in/github").headers["Location"]
    back = github.approve(there, OCTOCAT).removeprefix("http://upkeep.example.com")
    github.script("/login/oauth/access_token", 503, "<html>unicorn</html>")
    answer = visitor.get(back)
    page = Page(answer.text)
    assert answer.status_code == 503
    assert "GitHub does not answer as it should: try again in a moment" in page.text
    github.answers.clear()
    assert come_back(visitor, github, OCTOCAT).status_code == 303


def test_the_page_offers_what_is_set_up(rooms, browser):
    both = browser().page("/sign-in")
    assert both.has_button("Sign in")
    assert "Sign in with GitHub" in both.links
    only = create_app(replace(rooms, passwords_open=False, proxy=HEADERS)).test_client()
    page = Page(only.get("/sign-in").text)
    assert not page.has_button("Sign in")
    assert "You come in through the proxy in front of this site" in page.text
    assert only.get("/sign-in/github").status_code == 404


@pytest.fixture
def proxied(rooms):
    app = create_app(replace(rooms, proxy=HEADERS, trusted_proxies=(PROXY,)))

    def ask(path, peer="10.1.2.3", client=None, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return (client or app.test_client()).get(path, headers=named, environ_base={"REMOTE_ADDR": peer})

    ask.app = app
    return ask


def test_a_trusted_proxy_names_users_with_each_request(proxied, store):
    answer = proxied("/account", X_Forwarded_User="dana@example.com", X_Forwarded_Groups="ops, shop")
    page = Page(answer.text)
    assert answer.status_code == 200
    for said in ("dana@example.com", "admin", "ops, shop", "the proxy in front of this site"):
        assert said in page.text
    with store.read() as unit:
        user = unit.people.find("dana@example.com")
    assert (user.provider, user.role, user.teams) == ("proxy", Role.ADMIN, {"ops", "shop"})
    assert "developer" not in page.text
    lowered = proxied("/people", X_Forwarded_User="dana@example.com", X_Forwarded_Groups="shop")
    assert lowered.status_code == 403


def test_the_header_of_anybody_else_is_ignored(proxied, store):
    for peer in ("192.0.2.1", "11.0.0.1", "::1", ""):
        answer = proxied("/account", peer=peer, X_Forwarded_User="dana", X_Forwarded_Groups="ops")
        assert answer.status_code == 303, peer
    forged = proxied("/account", peer="192.0.2.1", X_Forwarded_User="dana", X_Forwarded_For="10.1.2.3")
    assert forged.status_code == 303
    with store.read() as unit:
        assert unit.people.list() == ()


def test_a_local_user_is_not_taken_over_by_a_header(proxied, visit, store):
    visit()
    answer = proxied("/", X_Forwarded_User="admin", X_Forwarded_Groups="ops")
    assert answer.status_code == 403
    assert "another user `admin`".replace("`", "") in Page(answer.text).text.replace("`", "")
    with store.read() as unit:
        assert unit.people.find("admin").provider is None


def test_without_a_group_or_a_role_for_all_one_is_refused(rooms):
    app = create_app(replace(rooms, proxy=replace(HEADERS, otherwise=None), trusted_proxies=(PROXY,)))
    answer = app.test_client().get("/", headers={"X-Forwarded-User": "erin"}, environ_base={"REMOTE_ADDR": "10.1.2.3"})
    assert answer.status_code == 403
    assert "none of their groups has a role here" in Page(answer.text).text


def test_signing_out_says_that_the_proxy_holds_the_session(proxied):
    client = proxied.app.test_client()
    page = Page(proxied("/account", client=client, X_Forwarded_User="erin").text)
    answer = client.post(
        "/sign-out",
        data={"csrf_token": page.form("Sign out").fields["csrf_token"]},
        headers={"X-Forwarded-User": "erin"},
        environ_base={"REMOTE_ADDR": "10.1.2.3"},
    )
    assert answer.status_code == 409
    assert "signs you in as erin with every request" in Page(answer.text).text


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("::ffff:10.0.0.1", "2001:db8::7", "2001:db8::/64"),
    ],
)
def test_a_wrong_password_is_counted_under_the_client_s_address(proxied, store, now, peer, forwarded, counted):
    client = proxied.app.test_client()
    page = Page(proxied("/sign-in", client=client).text)
    fields = page.form("Sign in").fields | {"name": "dana", "password": "wrong"}
    answer = client.post(
        "/sign-in", data=fields, headers={"X-Forwarded-For": forwarded}, environ_base={"REMOTE_ADDR": peer}
    )
    assert answer.status_code == 401
    with store.read() as unit:
        assert unit.people.failed_sign_ins(now, "dana", counted).count == 1
