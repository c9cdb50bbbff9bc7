import pytest

from upkeep.domain.errors import Forbidden, SignedOut, reaction
from upkeep.domain.people import (
    DAEMON,
    NOBODY,
    Act,
    Actor,
    Role,
    Rules,
    Scope,
    Via,
    is_user_name,
    may,
    require,
    role_among,
    scopes_of,
    why_not_publish,
)


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


def bound(role=Role.DEVELOPER, *, email=None, **rules):
    return Actor("dev", role, Via.WEB, frozenset({"payments"}), email, Rules(**rules))


@pytest.mark.parametrize(("owner", "theirs"), [("dev", True), ("payments", True), (None, True), ("shop", False)])
def test_owners_touch_what_is_theirs_or_their_teams_or_nobodys(owner, theirs):
    assert may(bound(), Act.UPDATE, owner) == theirs
    assert may(bound(Role.ADMIN), Act.UPDATE, owner)
    assert may(bound(owners_only=False), Act.UPDATE, owner)
    assert may(DAEMON, Act.UPDATE, owner)
    assert not may(bound(Role.VIEWER), Act.UPDATE, owner)


def test_a_refusal_says_whose_it_is_and_whom_to_ask():
    with pytest.raises(Forbidden, match="checkout/prod belongs to shop, and dev may update resources only") as refused:
        require(bound(), Act.UPDATE, "shop", "checkout/prod")
    assert refused.value.cure.startswith("ask shop or an admin")


def test_an_author_may_not_publish_when_the_rule_says_so():
    strict = {"authors_may_publish": False, "role": Role.ADMIN}
    assert why_not_publish(bound(**strict, email="Dev@Example.com"), "other@example.com") is None
    assert "wrote this change" in why_not_publish(bound(**strict, email="Dev@Example.com"), " dev@example.COM").message
    unknown = why_not_publish(bound(**strict), "dev@example.com")
    assert "upkeep user change dev --email" in unknown.cure
    assert why_not_publish(bound(Role.ADMIN, email="dev@example.com"), "dev@example.com") is None
    assert why_not_publish(DAEMON, "dev@example.com") is None


def test_the_highest_role_of_the_groups_holds():
    roles = {"acme": Role.VIEWER, "Acme/Platform": Role.ADMIN, "acme/product": Role.DEVELOPER}
    assert role_among({"acme", "acme/product"}, roles) is Role.DEVELOPER
    assert role_among({"acme/platform", "acme"}, roles) is Role.ADMIN
    assert role_among({"other"}, roles) is None
    assert role_among({"other"}, roles, Role.VIEWER) is Role.VIEWER


@pytest.mark.parametrize("name", ["dana", "dana@example.com", "d.ana+x", "octo-cat_acme"])
def test_names_may_be_addresses(name):
    assert is_user_name(name)


@pytest.mark.parametrize("name", ["", "@dana", "da/na", "da na", "dana\n", "dänä"])
def test_what_is_no_name_is_told_apart(name):
    assert not is_user_name(name)
