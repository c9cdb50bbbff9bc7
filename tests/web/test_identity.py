import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.web.conftest import Visitor
from tests.web.page import Page
from upkeep.adapters.passwords import Argon2Passwords
from upkeep.domain.errors import TransientError
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


def test_passwords_that_many_send_at_once_are_looked_at_a_few_at_a_time():
    busy = Argon2Passwords(wait_for=timedelta())
    together = threading.Barrier(8)

    def look(_):
        together.wait(20)
        try:
            return busy.verify(None, "guess")
        except TransientError as refused:
            return refused.message

    with ThreadPoolExecutor(8) as strangers:
        said = list(strangers.map(look, range(8)))
    assert set(said) == {False, "too many passwords are looked at just now"}


def test_what_was_being_sent_when_a_session_ended_is_shown_and_not_lost_silently(visitor, store, clock):
    sign_in(visitor)
    page = visitor.page("/account")
    clock.advance(admit.SPANS.idle_for)
    late = visitor.press(
        page, "Create token", {"label": "nightly report"}, headers={"Referer": "http://localhost/account"}
    )
    shown = Page(late.text)
    assert late.status_code == 401
    assert "Your session had ended before what you sent arrived: nothing was changed." in shown.text
    assert "nightly report" in late.text
    assert shown.form("Sign in").fields["next"] == "/account"
    with store.read() as unit:
        assert unit.people.tokens() == ()
    assert visitor.press(shown, "Sign in", {"name": "dana", "password": PASSWORD}).headers["Location"] == "/account"


def test_passwords_that_arrive_too_late_are_not_shown(visitor, clock):
    sign_in(visitor)
    page = visitor.page("/account")
    clock.advance(admit.SPANS.idle_for)
    late = visitor.press(page, "Change password", {"old_password": PASSWORD, "new_password": "a new secret one"})
    assert "a new secret one" not in late.text
    assert PASSWORD not in late.text


def test_who_only_looked_is_told_that_the_session_ended(visitor, clock):
    sign_in(visitor)
    clock.advance(admit.SPANS.idle_for)
    page = visitor.page(visitor.get("/services").headers["Location"])
    assert "Your session has ended. Sign in, and you are back where you were." in page.text
    assert "Your session has ended" not in visitor.page("/sign-in").text


def test_one_s_sessions_are_listed_and_ended(visitor, app, clock):
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    other = Visitor(app.test_client())
    page = Page(other.get("/sign-in").text)
    other.press(page, "Sign in", {"name": "dana", "password": PASSWORD}, headers={"User-Agent": agent})
    clock.advance(timedelta(minutes=2))
    sign_in(visitor)
    account = visitor.page("/account")
    assert "Firefox on Linux" in account.text
    assert account.text.count("this one") == 1
    assert "127.0.0.1" in account.text
    visitor.press(account, "End")
    assert other.get("/").status_code == 303
    assert visitor.get("/").status_code == 200


def test_a_token_is_shown_once_and_revoked(visitor, store):
    sign_in(visitor)
    made = visitor.press(visitor.page("/account"), "Create token", {"label": "ci", "scope": "update", "days": "30"})
    assert made.status_code == 201
    with store.read() as unit:
        (token,) = unit.people.tokens()
    assert (token.label, token.scopes, token.expires_at - token.created_at) == ("ci", {"update"}, timedelta(days=30))
    assert "upkeep_" in made.text
    account = visitor.page("/account")
    assert "upkeep_" not in visitor.get("/account").text
    assert "ci" in account.text
    visitor.press(account, "Revoke")
    assert "You have no tokens." in visitor.page("/account").text


def test_a_refused_token_keeps_what_was_typed(visitor):
    sign_in(visitor)
    refused = visitor.press(visitor.page("/account"), "Create token", {"label": "x" * 61})
    assert refused.status_code == 400
    assert "x" * 61 in refused.text
    assert "A token needs a label" in Page(refused.text).text


def test_a_password_is_changed_with_the_old_one(visitor):
    sign_in(visitor)
    typed = {"old_password": "wrong", "new_password": "a new long one", "again_password": "a new long one"}
    wrong = visitor.press(visitor.page("/account"), "Change password", typed)
    assert wrong.status_code == 400
    assert "The old password is another one" in Page(wrong.text).text
    apart = visitor.press(visitor.page("/account"), "Change password", typed | {"again_password": "another one"})
    assert "typed in two ways" in Page(apart.text).text
    assert (
        visitor.press(visitor.page("/account"), "Change password", typed | {"old_password": PASSWORD}).status_code
        == 303
    )
    assert visitor.get("/").status_code == 200


def test_who_only_reads_goes_on_while_nothing_can_be_written(visitor, rooms, clock):
    class Full:
        read = rooms.store.read
        ring = rooms.store.ring

        def write(self):
            raise TransientError("the disk is full")

    sign_in(visitor)
    clock.advance(timedelta(minutes=2))
    reader = create_app(rooms).test_client()
    reader.application.extensions["upkeep"] = replace(rooms, store=Full())
    with visitor.client.session_transaction() as cookie, reader.session_transaction() as copy:
        copy.update(cookie)
    assert reader.get("/").status_code == 200
