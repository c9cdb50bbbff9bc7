from dataclasses import replace
from datetime import timedelta

import pytest

from tests.builders import ADMIN, DEVELOPER
from upkeep.domain import guesses
from upkeep.domain.errors import CallerError, Conflict, Forbidden, NotFound, SignedOut, TooManyRequests
from upkeep.domain.people import Act, Actor, Role, Rules, Scope, Via, Vouched, require
from upkeep.flows import admit
from upkeep.flows.browse.activity import sentence


class Plain:
    """A password hash that is quick on purpose."""

    def hash(self, password):
        return f"plain:{password}"

    def verify(self, encoded, password):
        return encoded == f"plain:{password}"

    def outdated(self, encoded):
        return False


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
        actor, _ = admit.recognise(unit, secret, via=Via.WEB, now=now, rules=None)
        assert (actor.name, actor.role) == ("dana", Role.ADMIN)
        with pytest.raises(SignedOut):
            admit.recognise(unit, secret, via=Via.WEB, now=now + admit.SPANS.session_for, rules=None)
        with pytest.raises(SignedOut):
            admit.recognise(unit, secret + "x", via=Via.WEB, now=now, rules=None)


def test_a_session_ends_when_its_holder_signs_out_or_is_removed(people, now):
    with people.write() as unit:
        admit.add_user(unit, Plain(), "erik", Role.VIEWER, "long enough!", email=None, actor=ADMIN, now=now)
    first, second = sign_in(people, now), sign_in(people, now, "long enough!", "erik")
    with people.write() as unit:
        admit.sign_out(unit, first, actor=ADMIN, now=now)
        admit.remove_user(unit, "erik", actor=ADMIN, now=now)
    for secret in (first, second):
        with pytest.raises(SignedOut), people.read() as unit:
            admit.recognise(unit, secret, via=Via.WEB, now=now, rules=None)


def test_wrong_passwords_and_unknown_names_are_refused_alike_and_kept(people, now):
    assert sign_in(people, now, "wrong") is None
    assert sign_in(people, now, "wrong", "nobody") is None
    with people.read() as unit:
        assert [entry.kind for entry in unit.journal.entries(5)][:2] == ["sign_in_refused", "sign_in_refused"]


def test_after_five_wrong_passwords_a_name_waits_longer_each_time_and_never_for_good(people, now):
    at = now
    for _ in range(5):
        assert sign_in(people, at, "wrong") is None
    waits = []
    for _ in range(7):
        with pytest.raises(TooManyRequests) as refused:
            sign_in(people, at)
        waits.append(refused.value.retry_after)
        at += refused.value.retry_after
        assert sign_in(people, at, "wrong") is None
    minutes = [wait / timedelta(minutes=1) for wait in waits]
    assert minutes == [0.5, 1, 2, 4, 8, 15, 15]
    assert sign_in(people, at + timedelta(minutes=15)) is not None
    assert sign_in(people, at + timedelta(minutes=15), "wrong") is None
    assert sign_in(people, at + timedelta(minutes=15)) is not None


def test_a_stranger_elsewhere_does_not_keep_a_person_out(people, now):
    for _ in range(12):
        try:
            admit.sign_in(people, Plain(), "dana", "wrong", address="203.0.113.9", now=now)
        except TooManyRequests:
            break
    with pytest.raises(TooManyRequests, match="for dana"):
        admit.sign_in(people, Plain(), "dana", "correct horse", address="203.0.113.9", now=now)
    assert admit.sign_in(people, Plain(), "dana", "correct horse", address="192.0.2.1", now=now) is not None


def test_guesses_at_one_name_from_everywhere_slow_it_down_for_moments_only(people, now):
    for number in range(60):
        with people.write() as unit:
            unit.people.note_failed_sign_in("dana", f"203.0.113.{number}", now)
    with pytest.raises(TooManyRequests) as refused:
        sign_in(people, now)
    assert refused.value.retry_after <= timedelta(seconds=30)
    assert sign_in(people, now + refused.value.retry_after) is not None


def test_an_address_that_tries_many_names_waits(people, now):
    for number in range(20):
        assert admit.sign_in(people, Plain(), f"name{number}", "wrong", address="203.0.113.9", now=now) is None
    with pytest.raises(TooManyRequests, match=r"from 203\.0\.113\.9"):
        admit.sign_in(people, Plain(), "dana", "correct horse", address="203.0.113.9", now=now)
    with people.write() as unit:
        admit.lift_waits(unit, address="203.0.113.9", actor=ADMIN, now=now)
    assert admit.sign_in(people, Plain(), "dana", "correct horse", address="203.0.113.9", now=now) is not None


@pytest.mark.parametrize(
    ("address", "counts_as"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:7::1", "2001:db8:7::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_an_address_counts_as_what_its_holder_cannot_choose(address, counts_as):
    assert guesses.origin(address) == counts_as


def test_addresses_of_one_network_of_ipv6_count_as_one(people, now):
    for number in range(20):
        address = f"2001:db8:7::{number:x}"
        assert admit.sign_in(people, Plain(), f"name{number}", "wrong", address=address, now=now) is None
    with pytest.raises(TooManyRequests, match="from 2001:db8:7::/64"):
        admit.sign_in(people, Plain(), "dana", "correct horse", address="2001:db8:7::ffff", now=now)
    assert admit.sign_in(people, Plain(), "dana", "correct horse", address="2001:db8:8::1", now=now) is not None
    with people.write() as unit:
        admit.lift_waits(unit, address="2001:db8:7::1", actor=ADMIN, now=now)
    assert admit.sign_in(people, Plain(), "dana", "correct horse", address="2001:db8:7::1", now=now) is not None


def test_an_address_that_tries_what_is_no_name_waits_as_well(people, now):
    for number in range(20):
        assert admit.sign_in(people, Plain(), f"no name {number}", "wrong", address="203.0.113.9", now=now) is None
    with pytest.raises(TooManyRequests, match=r"from 203\.0\.113\.9"):
        admit.sign_in(people, Plain(), "no name", "wrong", address="203.0.113.9", now=now)
    assert sign_in(people, now) is not None


def test_an_admin_lifts_the_wait_of_a_name_and_nobody_else_does(people, now):
    for _ in range(5):
        sign_in(people, now, "wrong")
    with pytest.raises(Forbidden), people.write() as unit:
        admit.lift_waits(unit, name="dana", actor=DEVELOPER, now=now)
    with people.write() as unit:
        admit.lift_waits(unit, name="dana", actor=ADMIN, now=now)
    assert sign_in(people, now) is not None


def test_a_password_is_verified_while_others_may_write(people, now):
    class Slow(Plain):
        def verify(self, encoded, password):
            with people.write() as unit:
                unit.people.note_failed_sign_in("somebody", "", now)
            return super().verify(encoded, password)

    assert admit.sign_in(people, Slow(), "dana", "correct horse", now=now) is not None


def test_guesses_made_at_once_do_not_get_around_the_limit(people, now):
    class Crowd(Plain):
        def verify(self, encoded, password):
            with people.write() as unit:
                for _ in range(5):
                    unit.people.note_failed_sign_in("dana", "", now)
            return super().verify(encoded, password)

    with pytest.raises(TooManyRequests):
        admit.sign_in(people, Crowd(), "dana", "correct horse", now=now)


def test_a_password_hashed_with_older_parameters_is_hashed_again(people, now):
    class Newer(Plain):
        def hash(self, password):
            return f"newer:{password}"

        def outdated(self, encoded):
            return encoded.startswith("plain:")

    assert admit.sign_in(people, Newer(), "dana", "wrong", now=now) is None
    with people.read() as unit:
        assert unit.people.find("dana").password_hash == "plain:correct horse"
    assert admit.sign_in(people, Newer(), "dana", "correct horse", now=now) is not None
    with people.read() as unit:
        assert unit.people.find("dana").password_hash == "newer:correct horse"


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
        admit.recognise_token(people, secret, now=at, rules=None)
        with people.read() as unit:
            return admit.tokens_of(unit, actor=DANA)[0].used_at

    assert used(now) == now
    assert used(now + timedelta(seconds=59)) == now
    assert used(now + timedelta(seconds=60)) == now + timedelta(seconds=60)


def test_unknown_revoked_and_expired_tokens_are_refused(people, now):
    token, secret = make_token(people, DANA, now, Scope.READ, expires_at=now + timedelta(hours=1))
    with pytest.raises(SignedOut, match="“ci” expired at"):
        admit.recognise_token(people, secret, now=now + timedelta(hours=1), rules=None)
    for wrong in ("", "x", secret + "x", secret.removeprefix("upkeep_")):
        with pytest.raises(SignedOut, match="unknown or was revoked"):
            admit.recognise_token(people, wrong, now=now, rules=None)
    with people.write() as unit:
        admit.revoke_token(unit, token.id, actor=DANA, now=now)
    with pytest.raises(SignedOut, match="unknown or was revoked"):
        admit.recognise_token(people, secret, now=now, rules=None)


def test_a_token_ends_with_its_user_and_shrinks_with_their_role(people, now):
    erik = add(people, "erik", Role.DEVELOPER, now)
    _, secret = make_token(people, erik, now, Scope.UPDATE)
    with people.write() as unit:
        unit.people.save(replace(unit.people.find("erik"), role=Role.VIEWER))
    with pytest.raises(Forbidden, match="erik is a viewer"):
        require(admit.recognise_token(people, secret, now=now, rules=None), Act.UPDATE)
    with people.write() as unit:
        admit.remove_user(unit, "erik", actor=ADMIN, now=now)
    with pytest.raises(SignedOut):
        admit.recognise_token(people, secret, now=now, rules=None)


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
        make_token(people, admit.recognise_token(people, narrow, now=now, rules=None), now, Scope.READ)
    _, wide = make_token(people, DANA, now, Scope.ADMIN)
    make_token(people, admit.recognise_token(people, wide, now=now, rules=None), now, Scope.READ)


def test_the_audit_trail_says_which_token_acted(people, now):
    _, secret = make_token(people, DANA, now, Scope.ADMIN, label="terraform")
    actor = admit.recognise_token(people, secret, now=now, rules=None)
    make_token(people, actor, now, Scope.READ, label="made by it")
    with people.read() as unit:
        second, first = unit.journal.entries(2)
    assert (first.via, first.facts.get("token")) == (Via.WEB, None)
    assert (second.via, second.facts["token"]) == (Via.API, "terraform")
    assert sentence(second) == "created the token “made by it” for dana: read"


def recognised(people, secret, now):
    with people.read() as unit:
        return admit.recognise(unit, secret, via=Via.WEB, now=now, rules=None)


def test_a_session_that_is_not_used_ends_and_one_that_is_goes_on(people, now):
    secret = sign_in(people, now)
    at = now + admit.SPANS.idle_for - timedelta(seconds=1)
    _, session = recognised(people, secret, at)
    admit.note_seen(people, session, "192.0.2.7", now=at)
    _, session = recognised(people, secret, at + admit.SPANS.idle_for - timedelta(seconds=1))
    assert (session.seen_at, session.address) == (at, "192.0.2.7")
    with pytest.raises(SignedOut):
        recognised(people, secret, at + admit.SPANS.idle_for)
    with people.read() as unit:
        assert unit.people.find("dana").seen_at == at


def test_people_see_their_sessions_and_end_one_or_all_others(people, now):
    add(people, "erik", Role.DEVELOPER, now)
    here, there, elsewhere = (sign_in(people, now + timedelta(minutes=minute)) for minute in range(3))
    eriks = sign_in(people, now, "long enough!", "erik")
    with people.write() as unit:
        listed = admit.sessions_of(unit, actor=DANA, now=now)
        assert [each.token_hash for each in listed] == [admit.digest(each) for each in (elsewhere, there, here)]
        admit.end_session(unit, admit.digest(there), actor=DANA, now=now)
        with pytest.raises(NotFound):
            admit.end_session(unit, admit.digest(eriks), actor=DANA, now=now)
    recognised(people, here, now)
    with pytest.raises(SignedOut):
        recognised(people, there, now)
    with people.write() as unit:
        assert admit.end_sessions(unit, keep=admit.digest(here), actor=DANA, now=now) == 1
        with pytest.raises(Forbidden):
            admit.end_sessions(unit, "dana", actor=Actor("erik", Role.DEVELOPER, Via.WEB), now=now)
        assert admit.end_sessions(unit, "erik", actor=DANA, now=now) == 1
    recognised(people, here, now)
    for secret in (elsewhere, eriks):
        with pytest.raises(SignedOut):
            recognised(people, secret, now)


def change(people, now, old, new, keep="", address=""):
    return admit.change_password(people, Plain(), old, new, address=address, keep=keep, actor=DANA, now=now)


def test_a_password_is_changed_with_the_old_one_and_ends_other_sessions(people, now):
    here, there = sign_in(people, now), sign_in(people, now)
    assert not change(people, now, "wrong", "a better one", admit.digest(here))
    recognised(people, there, now)
    assert change(people, now, "correct horse", "a better one", admit.digest(here))
    recognised(people, here, now)
    with pytest.raises(SignedOut):
        recognised(people, there, now)
    assert sign_in(people, now, "a better one") is not None
    with pytest.raises(CallerError, match="shorter than 10"):
        change(people, now, "a better one", "short")


def test_old_passwords_cannot_be_guessed_on_the_account_page_either(people, now):
    for _ in range(5):
        assert not change(people, now, "wrong", "a better one")
    with pytest.raises(TooManyRequests):
        change(people, now, "correct horse", "a better one")


def test_an_admin_changes_roles_teams_and_passwords(people, now):
    add(people, "erik", Role.VIEWER, now)
    secret = sign_in(people, now, "long enough!", "erik")
    with people.write() as unit:
        admit.change_user(unit, "erik", role=Role.DEVELOPER, teams=["payments"], actor=DANA, now=now)
        entry, *_ = unit.journal.entries(1)
    assert sentence(entry) == "changed erik: role from viewer to developer; teams from none to payments"
    actor, _ = recognised(people, secret, now)
    assert (actor.role, actor.teams) == (Role.DEVELOPER, {"payments"})
    with people.write() as unit:
        admit.set_password(unit, Plain(), "erik", "something new", actor=DANA, now=now)
    with pytest.raises(SignedOut):
        recognised(people, secret, now)
    for act in (
        lambda unit: admit.change_user(unit, "erik", role=Role.ADMIN, actor=DEVELOPER, now=now),
        lambda unit: admit.set_password(unit, Plain(), "dana", "something new", actor=DEVELOPER, now=now),
    ):
        with pytest.raises(Forbidden), people.write() as unit:
            act(unit)
    with pytest.raises(Conflict, match="last admin"), people.write() as unit:
        admit.change_user(unit, "dana", role=Role.VIEWER, actor=DANA, now=now)


OCTOCAT = Vouched("github", "583231", "octocat", "octocat@github.com", frozenset({"acme"}), frozenset({"platform"}))


def test_who_is_vouched_for_becomes_a_user_and_follows_what_changes_there(people, now):
    secret = admit.sign_in_vouched(people, OCTOCAT, Role.DEVELOPER, now=now)
    actor, _ = recognised(people, secret, now)
    assert (actor.name, actor.role, actor.teams, actor.email) == (
        "octocat",
        Role.DEVELOPER,
        {"platform"},
        "octocat@github.com",
    )
    later = replace(OCTOCAT, name="monalisa", email="mona@github.com", teams=frozenset({"payments"}))
    admit.sign_in_vouched(people, later, Role.VIEWER, now=now)
    actor, session = recognised(people, secret, now)
    assert (actor.name, actor.role, actor.teams, session.user) == ("monalisa", Role.VIEWER, {"payments"}, "monalisa")
    with people.read() as unit:
        assert unit.people.find("octocat") is None
        kinds = [entry.kind for entry in unit.journal.entries(5)]
    assert kinds == ["signed_in", "user_changed", "user_renamed", "signed_in", "user_added"]


def test_a_user_of_the_same_name_is_never_taken_over(people, now):
    with pytest.raises(Forbidden, match="another user `dana`"):
        admit.sign_in_vouched(people, replace(OCTOCAT, name="dana"), Role.ADMIN, now=now)
    admit.sign_in_vouched(people, OCTOCAT, Role.VIEWER, now=now)
    with pytest.raises(Forbidden, match="another user `dana`"):
        admit.sign_in_vouched(people, replace(OCTOCAT, name="dana"), Role.VIEWER, now=now)
    with pytest.raises(Forbidden, match="another user `octocat`"):
        admit.sign_in_vouched(people, replace(OCTOCAT, id="1"), Role.VIEWER, now=now)
    with people.read() as unit:
        assert unit.people.find("dana").provider is None
        assert unit.journal.entries(1)[0].kind == "sign_in_refused"


def test_who_has_no_role_is_refused_with_what_to_do_and_not_kept(people, now):
    with pytest.raises(Forbidden, match="none of their groups has a role") as refused:
        admit.sign_in_vouched(people, OCTOCAT, None, now=now)
    assert "`access.github`" in refused.value.cure
    with people.read() as unit:
        assert unit.people.find("octocat") is None


def test_who_is_vouched_for_has_no_password_and_no_role_of_ours(people, now):
    admit.sign_in_vouched(people, OCTOCAT, Role.VIEWER, now=now)
    assert sign_in(people, now, "", "octocat") is None
    for refused in (
        lambda unit: admit.change_user(unit, "octocat", role=Role.ADMIN, actor=DANA, now=now),
        lambda unit: admit.set_password(unit, Plain(), "octocat", "long enough!", actor=DANA, now=now),
    ):
        with pytest.raises(Conflict, match="github"), people.write() as unit:
            refused(unit)


def test_who_is_vouched_for_with_each_request_costs_one_write_a_minute(people, now):
    erin = Vouched("proxy", "erin@example.com", "erin@example.com")
    rules = Rules()
    actor = admit.recognise_vouched(people, erin, Role.VIEWER, now=now, rules=rules)
    assert (actor.name, actor.role, actor.rules) == ("erin@example.com", Role.VIEWER, rules)

    class ReadOnly:
        read = people.read

    assert admit.recognise_vouched(ReadOnly(), erin, Role.VIEWER, now=now, rules=None).name == erin.name
    assert admit.recognise_vouched(people, erin, Role.ADMIN, now=now, rules=None).role is Role.ADMIN
    with pytest.raises(Forbidden):
        admit.recognise_vouched(people, erin, None, now=now, rules=None)
