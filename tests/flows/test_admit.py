from dataclasses import replace
from datetime import timedelta

import pytest

from tests.builders import ADMIN, DEVELOPER
from upkeep.domain.errors import CallerError, Conflict, Forbidden, NotFound, SignedOut, TooManyRequests
from upkeep.domain.people import Act, Actor, Role, Rules, Scope, Via, require
from upkeep.flows import admit
from upkeep.flows.browse.activity import sentence


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


DANA = Actor("dana", Role.ADMIN, Via.WEB)


def add(people, name, role, now):
    with people.write() as unit:
        admit.add_user(unit, Plain(), name, role, "long enough!", email=None, actor=ADMIN, now=now)
    return Actor(name, role, Via.WEB)


def make_token(people, actor, now, *scopes, label="ci", **more):
    with people.write() as unit:
        return admit.create_token(unit, label, scopes, actor=actor, now=now, **more)


def test_a_token_acts_as_its_user_within_its_scopes_and_the_rules(people, now):
    token, secret = make_token(people, DANA, now, Scope.UPDATE)
    assert secret.startswith("upkeep_")
    assert secret not in repr(token)
    actor = admit.recognise_token(people, secret, now=now, rules=Rules(owners_only=False))
    assert (actor.name, actor.role, actor.via, actor.token) == ("dana", Role.ADMIN, Via.API, "ci")
    assert actor.rules == Rules(owners_only=False)
    require(actor, Act.UPDATE)
    with pytest.raises(Forbidden, match="lacks the scope `review`"):
        require(actor, Act.REVIEW)


def test_the_use_of_a_token_is_noted_once_in_a_minute(people, now):
    _, secret = make_token(people, DANA, now, Scope.READ)

    def used(at):
        admit.recognise_token(people, secret, now=at)
        with people.read() as unit:
            return admit.tokens_of(unit, actor=DANA)[0].used_at

    assert used(now) == now
    assert used(now + timedelta(seconds=59)) == now
    assert used(now + timedelta(seconds=60)) == now + timedelta(seconds=60)


def test_unknown_revoked_and_expired_tokens_are_refused(people, now):
    token, secret = make_token(people, DANA, now, Scope.READ, expires_at=now + timedelta(hours=1))
    with pytest.raises(SignedOut, match="“ci” expired at"):
        admit.recognise_token(people, secret, now=now + timedelta(hours=1))
    for wrong in ("", "x", secret + "x", secret.removeprefix("upkeep_")):
        with pytest.raises(SignedOut, match="unknown or was revoked"):
            admit.recognise_token(people, wrong, now=now)
    with people.write() as unit:
        admit.revoke_token(unit, token.id, actor=DANA, now=now)
    with pytest.raises(SignedOut, match="unknown or was revoked"):
        admit.recognise_token(people, secret, now=now)


def test_a_token_ends_with_its_user_and_shrinks_with_their_role(people, now):
    erik = add(people, "erik", Role.DEVELOPER, now)
    _, secret = make_token(people, erik, now, Scope.UPDATE)
    with people.write() as unit:
        unit.people.save(replace(unit.people.find("erik"), role=Role.VIEWER))
    with pytest.raises(Forbidden, match="erik is a viewer"):
        require(admit.recognise_token(people, secret, now=now), Act.UPDATE)
    with people.write() as unit:
        admit.remove_user(unit, "erik", actor=ADMIN, now=now)
    with pytest.raises(SignedOut):
        admit.recognise_token(people, secret, now=now)


def test_a_token_cannot_do_more_than_its_user(people, now):
    erik = add(people, "erik", Role.DEVELOPER, now)
    with pytest.raises(Forbidden, match="erik is a developer, and a token cannot do more: not `review`"):
        make_token(people, erik, now, Scope.READ, Scope.REVIEW)
    for label, scopes, more in (
        ("", [Scope.READ], {}),
        ("x" * 61, [Scope.READ], {}),
        ("a\nb", [Scope.READ], {}),
        ("ci", [], {}),
        ("ci", [Scope.READ], {"expires_at": now}),
    ):
        with pytest.raises(CallerError):
            make_token(people, erik, now, *scopes, label=label, **more)


def test_tokens_are_their_user_s_and_the_admins_affair(people, now):
    erik = add(people, "erik", Role.DEVELOPER, now)
    token, _ = make_token(people, DANA, now, Scope.READ)
    with pytest.raises(NotFound), people.write() as unit:
        admit.revoke_token(unit, token.id, actor=erik, now=now)
    with pytest.raises(Forbidden), people.read() as unit:
        admit.tokens_of(unit, "dana", actor=erik)
    with pytest.raises(Forbidden):
        make_token(people, erik, now, Scope.READ, user="dana")
    theirs, _ = make_token(people, DANA, now, Scope.READ, user="erik")
    with people.write() as unit:
        assert admit.tokens_of(unit, "erik", actor=DANA) == (theirs,)
        admit.revoke_token(unit, theirs.id, actor=DANA, now=now)
        assert admit.tokens_of(unit, actor=erik) == ()


def test_a_token_makes_no_tokens_unless_it_may_do_everything(people, now):
    _, narrow = make_token(people, DANA, now, Scope.REVIEW)
    with pytest.raises(Forbidden, match="lacks the scope `admin`"):
        make_token(people, admit.recognise_token(people, narrow, now=now), now, Scope.READ)
    _, wide = make_token(people, DANA, now, Scope.ADMIN)
    make_token(people, admit.recognise_token(people, wide, now=now), now, Scope.READ)


def test_the_audit_trail_says_which_token_acted(people, now):
    _, secret = make_token(people, DANA, now, Scope.ADMIN, label="terraform")
    actor = admit.recognise_token(people, secret, now=now)
    make_token(people, actor, now, Scope.READ, label="made by it")
    with people.read() as unit:
        second, first = unit.journal.entries(2)
    assert (first.via, first.facts.get("token")) == (Via.WEB, None)
    assert (second.via, second.facts["token"]) == (Via.API, "terraform")
    assert sentence(second) == "created the token “made by it” for dana: read"
