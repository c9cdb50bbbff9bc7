from dataclasses import replace
from datetime import timedelta

import pytest

from tests.web.conftest import Visitor
from tests.web.page import Page
from upkeep.domain.people import DAEMON, Role
from upkeep.flows import admit
from upkeep.web.app import create_app

PASSWORD = "correct horse battery"


@pytest.fixture
def dana(store, passwords, now):
    with store.write() as unit:
        admit.add_user(unit, passwords, "dana", Role.ADMIN, PASSWORD, email=None, actor=DAEMON, now=now)


@pytest.fixture
def visitor(app, dana):
    return Visitor(app.test_client())


def sign_in(visitor, password=PASSWORD, target="/"):
    page = Page(visitor.get(f"/sign-in?next={target}").text)
    return visitor.press(page, "Sign in", {"name": "dana", "password": password})


def events(store):
    with store.read() as unit:
        return [entry.kind for entry in unit.journal.entries(20)]


def test_signing_in_leads_to_where_one_wanted_to_go(visitor, store):
    answer = sign_in(visitor, target="/templates?x=1")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/templates?x=1")
    page = visitor.page("/activity")
    assert "dana" in page.text
    assert "Sign out" in page.text
    assert events(store)[0] == "signed_in"
    assert visitor.get("/sign-in").status_code == 303


def test_a_wrong_password_says_nothing_about_the_name(visitor, store):
    wrong = sign_in(visitor, "something else")
    page = Page(visitor.get("/sign-in").text)
    unknown = visitor.press(page, "Sign in", {"name": "nobody", "password": PASSWORD})
    assert wrong.status_code == unknown.status_code == 401
    assert "This name and password do not belong together." in Page(wrong.text).text
    assert wrong.text.replace("dana", "nobody").count("nobody") == unknown.text.count("nobody")
    assert Page(wrong.text).form("Sign in").fields["name"] == "dana"
    assert Page(wrong.text).form("Sign in").fields["password"] == ""
    assert events(store).count("sign_in_refused") == 2


def test_too_many_wrong_passwords_have_to_wait_and_then_may_try_again(visitor, clock):
    for _ in range(5):
        assert sign_in(visitor, "something else").status_code == 401
    answer = sign_in(visitor)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "30")
    assert "Too many wrong passwords for dana: wait 30 seconds" in Page(answer.text).text
    clock.advance(timedelta(seconds=30))
    assert sign_in(visitor).status_code == 303


def test_signing_out_ends_the_session_on_the_server(visitor, app):
    sign_in(visitor)
    with visitor.client.session_transaction() as cookie:
        stolen = dict(cookie)
    assert visitor.press(visitor.page("/"), "Sign out").headers["Location"] == "/sign-in"
    assert visitor.get("/").status_code == 303
    thief = app.test_client()
    with thief.session_transaction() as cookie:
        cookie.update(stolen)
    assert thief.get("/").status_code == 303


def test_a_session_that_has_ended_leads_to_sign_in_and_back(visitor, clock):
    sign_in(visitor)
    page = visitor.page("/")
    clock.advance(admit.SPANS.session_for + timedelta(seconds=1))
    answer = visitor.get("/templates?search=x")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in?next=/templates?search%3Dx")
    late = visitor.press(page, "Sign out", headers={"Referer": "http://localhost/services"})
    assert (late.status_code, late.headers["Location"]) == (303, "/sign-in?next=/services")


def test_a_session_begins_with_a_fresh_cookie(visitor):
    with visitor.client.session_transaction() as cookie:
        cookie["planted"] = "before"
    sign_in(visitor)
    with visitor.client.session_transaction() as cookie:
        assert "planted" not in cookie
        assert "secret" in cookie


def test_a_user_who_is_removed_is_out_at_once(visitor, store, now):
    sign_in(visitor)
    with store.write() as unit:
        unit.people.remove("dana")
    assert visitor.get("/").status_code == 303


def test_the_cookie_stays_with_the_browser_and_the_site(visitor):
    cookie = sign_in(visitor).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie


def test_behind_https_the_cookie_never_travels_in_the_open(rooms, dana):

    client = create_app(replace(rooms, public_url="https://upkeep.example.com")).test_client()
    cookie = client.get("/sign-in", base_url="https://upkeep.example.com").headers["Set-Cookie"]
    assert cookie.startswith("__Host-upkeep=")
    assert "Secure" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie


def test_two_applications_over_one_store_know_each_other_s_sessions(visitor, rooms):
    sign_in(visitor)
    other = create_app(rooms).test_client()
    with visitor.client.session_transaction() as cookie, other.session_transaction() as copy:
        copy.update(cookie)
    assert other.get("/").status_code == 200


def test_passwords_are_kept_as_argon2_and_unknown_names_cost_the_same(passwords):
    encoded = passwords.hash(PASSWORD)
    assert encoded.startswith("$argon2id$")
    assert passwords.verify(encoded, PASSWORD)
    assert not passwords.verify(encoded, "something else")
    assert not passwords.verify(None, PASSWORD)
    assert not passwords.verify(None, "the password of nobody")
    assert not passwords.verify("not a hash", PASSWORD)
