import pytest

from upkeep.domain.errors import Forbidden, SignedOut, reaction
from upkeep.domain.people import NOBODY, Act, Actor, Role, Via, require


@pytest.mark.parametrize("act", list(Act))
def test_an_admin_may_do_everything(act):
    require(Actor("dana", Role.ADMIN, Via.WEB), act)


@pytest.mark.parametrize("act", [Act.REVIEW, Act.FOLLOW, Act.ADMIT])
def test_a_developer_may_not_decide_about_versions_sources_or_users(act):
    with pytest.raises(Forbidden, match="dev is a developer"):
        require(Actor("dev", Role.DEVELOPER, Via.WEB), act)


@pytest.mark.parametrize("act", [act for act in Act if act is not Act.LOOK])
def test_a_viewer_only_looks(act):
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
