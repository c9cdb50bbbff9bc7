from datetime import timedelta

import pytest

from tests.builders import ADMIN, DEVELOPER
from upkeep.domain.errors import CallerError, Conflict, Forbidden, SignedOut, TooManyRequests
from upkeep.domain.people import Role, Via
from upkeep.flows import admit


class Plain:
    """A password hash that is quick on purpose."""

    def hash(self, password):
        return f"plain:{password}"

    def verify(self, encoded, password):
        return encoded == f"plain:{password}"


@pytest.fixture
def people(store, now):
    with store.write() as unit:
        admit.add_user(unit, Plain(), "dana", Role.ADMIN, "correct horse", email=None, actor=ADMIN, now=now)
    return store


def sign_in(store, now, password="correct horse", name="dana"):
    return admit.sign_in(store, Plain(), name, password, now=now)


def test_a_session_says_who_holds_it_until_it_ends(people, now):
    secret = sign_in(people, now)
    with people.read() as unit:
        actor = admit.recognise(unit, secret, via=Via.WEB, now=now)
        assert (actor.name, actor.role) == ("dana", Role.ADMIN)
        with pytest.raises(SignedOut):
            admit.recognise(unit, secret, via=Via.WEB, now=now + admit.SESSION_FOR)
        with pytest.raises(SignedOut):
            admit.recognise(unit, secret + "x", via=Via.WEB, now=now)


def test_a_session_ends_when_its_holder_signs_out_or_is_removed(people, now):
    with people.write() as unit:
        admit.add_user(unit, Plain(), "erik", Role.VIEWER, "long enough!", email=None, actor=ADMIN, now=now)
    first, second = sign_in(people, now), sign_in(people, now, "long enough!", "erik")
    with people.write() as unit:
        admit.sign_out(unit, first, actor=ADMIN, now=now)
        admit.remove_user(unit, "erik", actor=ADMIN, now=now)
    for secret in (first, second):
        with pytest.raises(SignedOut), people.read() as unit:
            admit.recognise(unit, secret, via=Via.WEB, now=now)


def test_wrong_passwords_and_unknown_names_are_refused_alike_and_kept(people, now):
    assert sign_in(people, now, "wrong") is None
    assert sign_in(people, now, "wrong", "nobody") is None
    with people.read() as unit:
        assert [entry.kind for entry in unit.journal.entries(5)][:2] == ["sign_in_refused", "sign_in_refused"]


def test_after_five_wrong_passwords_a_name_waits(people, now):
    for _ in range(admit.FAILURES_ALLOWED):
        sign_in(people, now, "wrong")
    with pytest.raises(TooManyRequests, match="wait 15 minutes"):
        sign_in(people, now)
    assert sign_in(people, now + admit.FAILURES_WITHIN + timedelta(seconds=1)) is not None


def test_a_password_is_verified_while_others_may_write(people, now):
    class Slow(Plain):
        def verify(self, encoded, password):
            with people.write() as unit:
                unit.people.note_failed_sign_in("somebody", now)
            return super().verify(encoded, password)

    assert admit.sign_in(people, Slow(), "dana", "correct horse", now=now) is not None


def test_guesses_made_at_once_do_not_get_around_the_limit(people, now):
    class Crowd(Plain):
        def verify(self, encoded, password):
            with people.write() as unit:
                for _ in range(admit.FAILURES_ALLOWED):
                    unit.people.note_failed_sign_in("dana", now)
            return super().verify(encoded, password)

    with pytest.raises(TooManyRequests):
        admit.sign_in(people, Crowd(), "dana", "correct horse", now=now)


@pytest.mark.parametrize("name", ["", "da na", "dana\x00", "x" * 101, "\udc80"])
def test_what_is_no_name_is_refused_and_written_nowhere(people, now, name):
    assert sign_in(people, now, name=name) is None
    with people.read() as unit:
        assert [entry.kind for entry in unit.journal.entries(5)] == ["user_added"]


def test_the_last_admin_stays(people, now):
    with pytest.raises(Conflict, match="last admin"), people.write() as unit:
        admit.remove_user(unit, "dana", actor=ADMIN, now=now)


def test_short_passwords_bad_names_and_callers_without_the_right_are_refused(people, now):
    def add(name="erik", password="long enough!", actor=ADMIN):
        with people.write() as unit:
            admit.add_user(unit, Plain(), name, Role.VIEWER, password, email=None, actor=actor, now=now)

    with pytest.raises(CallerError, match="shorter than 10"):
        add(password="short")
    with pytest.raises(CallerError, match="not a user name"):
        add(name="er ik")
    with pytest.raises(Forbidden):
        add(actor=DEVELOPER)
    with pytest.raises(Conflict):
        add(name="dana")
