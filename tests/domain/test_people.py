import pytest

from upkeep.domain.errors import Forbidden, SignedOut, reaction
from upkeep.domain.people import NOBODY, Act, Actor, Role, Scope, Via, may, require, scopes_of


@pytest.mark.parametrize("act", list(Act))
def test_an_admin_may_do_everything(act):
    require(Actor("dana", Role.ADMIN, Via.WEB), act)


@pytest.mark.parametrize("act", [Act.REVIEW, Act.FOLLOW, Act.ADMIT])
def test_a_developer_may_not_decide_about_versions_sources_or_users(act):
    with pytest.raises(Forbidden, match="dev is a developer"):
        require(Actor("dev", Role.DEVELOPER, Via.WEB), act)


@pytest.mark.parametrize("act", sorted(set(Act) - {Act.LOOK, Act.SETTLE_IN}))
def test_a_viewer_only_looks_and_keeps_their_own_keys(act):
    with pytest.raises(Forbidden):
        require(Actor("vera", Role.VIEWER, Via.API), act)


@pytest.mark.parametrize("act", list(Act))
def test_nobody_may_do_nothing(act):
    with pytest.raises(SignedOut):
        require(NOBODY, act)


def test_refusals_react_as_http_and_the_command_line_expect():
    assert (reaction(SignedOut("x")).status, reaction(SignedOut("x")).exit_code) == (401, 4)
    assert (reaction(Forbidden("x")).status, reaction(Forbidden("x")).exit_code) == (403, 5)
    assert reaction(ValueError("a bug")).status == 500


def through(scopes, role=Role.ADMIN):
    return Actor("dana", role, Via.API, scopes=frozenset(scopes), token="ci")


def test_a_token_narrows_the_role_and_the_refusal_names_the_missing_scope():
    require(through({Scope.UPDATE}), Act.UPDATE)
    with pytest.raises(
        Forbidden, match=r"the token “ci” of dana may not publish.* lacks the scope `review`"
    ) as refused:
        require(through({Scope.UPDATE, Scope.READ}), Act.REVIEW)
    assert "`review`" in refused.value.cure
    assert not may(through({Scope.UPDATE}), Act.REVIEW)


def test_a_token_never_widens_the_role():
    with pytest.raises(Forbidden, match="dana is a viewer"):
        require(through(Scope, Role.VIEWER), Act.UPDATE)


def test_only_a_token_for_everything_touches_keys_users_and_sources():
    for act in (Act.SETTLE_IN, Act.ADMIT, Act.FOLLOW):
        assert [scope for scope in Scope if may(through({scope}), act)] == [Scope.ADMIN]


def test_every_scope_looks_and_every_act_has_a_scope():
    assert all(Act.LOOK in scope.acts for scope in Scope)
    assert frozenset().union(*(scope.acts for scope in Scope)) == frozenset(Act)


def test_the_scopes_of_a_role_are_those_it_could_use():
    assert scopes_of(Role.VIEWER) == (Scope.READ,)
    assert scopes_of(Role.DEVELOPER) == (Scope.READ, Scope.UPDATE, Scope.ENROLL)
    assert scopes_of(Role.ADMIN) == tuple(Scope)
