"""Sign-in with GitHub against a GitHub of our own, which checks what it is sent."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.fakegithub import CLIENT_ID, CLIENT_SECRET, Account, FakeGitHub
from upkeep.adapters.github import GitHubSignIn
from upkeep.adapters.secrets import GivenSecret
from upkeep.domain.errors import CallerError, StalledError, TransientError, UpkeepError
from upkeep.domain.people import Vouched
from upkeep.domain.sources import Credential

BACK = "http://upkeep.example.com/sign-in/github/back"

OCTOCAT = Account(
    583231,
    "Octocat",
    [
        {"email": "old@example.com", "primary": False, "verified": True},
        {"email": "octocat@github.com", "primary": True, "verified": True},
    ],
    {"Acme": "active", "Other": "active", "Invited": "pending"},
    ["Acme/platform", "Acme/payments", "Other/Platform"],
)


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with FakeGitHub(BACK) as opened:
        yield opened
    assert opened.broken == []


@pytest.fixture
def door(github: FakeGitHub) -> GitHubSignIn:
    return GitHubSignIn(CLIENT_ID, Credential(), GivenSecret(CLIENT_SECRET), frozenset({"acme"}), github.url)


def come_back(github: FakeGitHub, door: GitHubSignIn, account: Account = OCTOCAT) -> tuple[str, str]:
    """The code and the verifier of somebody who said yes."""
    errand = door.begin(BACK)
    answer = parse_qs(urlsplit(github.approve(errand.url, account)).query)
    assert answer["state"] == [errand.state]
    return answer["code"][0], errand.verifier


def test_who_says_yes_is_known_by_number_address_organisations_and_teams(
    github: FakeGitHub, door: GitHubSignIn
) -> None:
    vouched = door.finish(*come_back(github, door), BACK)
    assert vouched == Vouched(
        "github",
        "583231",
        "Octocat",
        "octocat@github.com",
        # An invitation that was not taken yet is no membership.
        frozenset({"acme", "other", "acme/platform", "acme/payments", "other/platform"}),
        frozenset({"platform", "payments"}),
    )


def test_teams_of_several_organisations_are_told_apart(github: FakeGitHub, door: GitHubSignIn) -> None:
    several = replace(door, organisations=frozenset({"acme", "Other"}))
    vouched = several.finish(*come_back(github, several), BACK)
    assert vouched.teams == {"acme/platform", "acme/payments", "other/platform"}


def test_an_address_that_was_not_verified_is_none(github: FakeGitHub, door: GitHubSignIn) -> None:
    claimed = replace(OCTOCAT, emails=[{"email": "boss@example.com", "primary": True, "verified": False}])
    assert door.finish(*come_back(github, door, claimed), BACK).email is None


def test_every_errand_has_its_own_state_and_verifier(door: GitHubSignIn) -> None:
    errands = [door.begin(BACK) for _ in range(3)]
    assert len({errand.state for errand in errands}) == len({errand.verifier for errand in errands}) == 3
    assert all(43 <= len(errand.verifier) <= 128 for errand in errands)
    assert all(errand.verifier not in errand.url for errand in errands)
    assert CLIENT_SECRET not in errands[0].url


def test_a_code_counts_once_and_only_with_its_verifier(github: FakeGitHub, door: GitHubSignIn) -> None:
    code, verifier = come_back(github, door)
    door.finish(code, verifier, BACK)
    with pytest.raises(CallerError, match="used up"):
        door.finish(code, verifier, BACK)
    code, _ = come_back(github, door)
    with pytest.raises(CallerError, match="used up"):
        door.finish(code, "another" * 9, BACK)


def test_a_wrong_secret_needs_an_operator(github: FakeGitHub, door: GitHubSignIn) -> None:
    wrong = replace(door, secrets=GivenSecret("wrong"))
    with pytest.raises(StalledError, match="incorrect_client_credentials") as refused:
        wrong.finish(*come_back(github, door), BACK)
    assert "`access.github`" in str(refused.value)


@pytest.mark.parametrize(
    ("path", "status", "body", "family", "said"),
    [
        ("/login/oauth/access_token", 503, "down", TransientError, "does not answer as it should"),
        ("/login/oauth/access_token", 200, "<html>", TransientError, "does not answer as it should"),
        ("/api/v3/user", 500, "{}", TransientError, "does not answer as it should"),
        ("/api/v3/user", 200, "[]", TransientError, "does not answer as it should"),
        ("/api/v3/user/teams", 200, '[{"slug": 1}]', TransientError, "does not answer as it should"),
        ("/api/v3/user/memberships", 403, "{}", StalledError, "answers 403"),
    ],
)
def test_what_goes_wrong_over_there_is_told_by_whom_it_concerns(
    github: FakeGitHub,
    door: GitHubSignIn,
    path: str,
    status: int,
    body: str,
    family: type[UpkeepError],
    said: str,
) -> None:
    returned = come_back(github, door)
    github.script(path, status, body)
    with pytest.raises(family, match=said) as refused:
        door.finish(*returned, BACK)
    assert CLIENT_SECRET not in str(refused.value)


def test_being_asked_to_wait_is_passed_on(github: FakeGitHub, door: GitHubSignIn) -> None:
    returned = come_back(github, door)
    github.script("/api/v3/user", 403, retry_after="17")
    with pytest.raises(TransientError) as refused:
        door.finish(*returned, BACK)
    assert refused.value.retry_after == timedelta(seconds=17)


def test_a_github_that_is_away_is_tried_again(door: GitHubSignIn) -> None:
    away = replace(door, url="http://127.0.0.1:9")
    with pytest.raises(TransientError, match="does not answer") as refused:
        away.finish("code", "verifier", BACK)
    assert refused.value.cure is not None


@pytest.mark.parametrize(
    ("url", "api"),
    [
        ("https://github.com", "https://api.github.com"),
        ("https://acme.ghe.com", "https://api.acme.ghe.com"),
        ("https://github.example.com", "https://github.example.com/api/v3"),
    ],
)
def test_the_api_is_where_each_kind_of_github_has_it(door: GitHubSignIn, url: str, api: str) -> None:
    assert replace(door, url=url)._api == api
