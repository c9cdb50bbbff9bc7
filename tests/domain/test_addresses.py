"""Which repository addresses and branch names are accepted."""

import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from upkeep.domain.addresses import check_address, check_branch, check_subdirectory
from upkeep.domain.errors import CallerError


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/platform/templates.git",
        "https://x-token-auth@bitbucket.org/platform/templates",
        "http://127.0.0.1:8080/templates.git",
        "https://[::1]:8443/templates.git",
        "ssh://git@git.example.com:2222/platform/templates.git",
        "git@github.com:platform/templates.git",
        "git.example.com:templates",
    ],
)
def test_usual_addresses_are_accepted(url: str) -> None:
    check_address(url, allow_local=False)


@pytest.mark.parametrize(
    "url",
    [
        "https://ghp_0123456789abcdef@github.com/platform/templates.git",
        "https://github_pat_11AAAA@github.com/platform/templates.git",
        "https://glpat-0123456789@gitlab.com/platform/templates.git",
        f"https://{'0123456789abcdef' * 3}@git.example.com/platform/templates.git",
        "https://x:hidden@git.example.com/platform/templates.git",
    ],
)
def test_an_address_that_holds_a_secret_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(CallerError, match=r"holds a (token|password)") as refused:
        check_address(url, allow_local=False)
    secret = url.partition("//")[2].partition("@")[0].rpartition(":")[2]
    assert secret not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "templates",
        "--upload-pack=touch /tmp/x",
        "-oProxyCommand=x:y",
        "ext::sh -c 'touch /tmp/x'",
        "https:/git.example.com/a.git",
        "file:etc/passwd",
        "fd::17/foo",
        "git://github.com/platform/templates.git",
        "https://-evil/x",
        "ssh://-oProxyCommand=touch/x",
        "git@-oProxyCommand=touch:x",
        "git@example.com:-x",
        "https://example.com",
        "https://example.com/a b",
        "https://example.com/a\nb",
        "file://server/share",
        "../templates",
        "javascript:alert(1)\x00",
    ],
)
def test_other_addresses_are_refused_with_a_cure(url: str) -> None:
    with pytest.raises(CallerError) as refused:
        check_address(url, allow_local=True)
    assert refused.value.cure


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(CallerError) as refused:
        check_address("https://me:s3cret@example.com/x", allow_local=False)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("url", ["/srv/git/templates.git", "file:///srv/git/templates.git"])
def test_places_on_this_machine_are_accepted_only_where_they_are_allowed(url: str) -> None:
    check_address(url, allow_local=True)
    with pytest.raises(CallerError, match="on this machine"):
        check_address(url, allow_local=False)


@pytest.mark.parametrize("path", ["..", "a/../b", "/a", "a/", "./a", "a//b", "a\nb"])
def test_a_subdirectory_is_a_folder_inside_the_repository(path: str) -> None:
    check_subdirectory("")
    check_subdirectory("platform/our templates")
    with pytest.raises(CallerError, match="not a folder"):
        check_subdirectory(path)


_PIECES = [*"ab-./@{~^:?*[\\", " ", ".lock", "\x7f", "ü"]
_REF_TEXT = st.lists(st.sampled_from(_PIECES), min_size=1, max_size=8).map("".join)


@given(_REF_TEXT)
@settings(max_examples=60, deadline=None)
@example("feature/a.lock")
@example("a/.b")
@example("@")
@example("a@{b")
def test_branch_names_are_those_that_git_accepts(name: str) -> None:
    git = subprocess.run(["git", "check-ref-format", f"refs/heads/{name}"], capture_output=True).returncode == 0
    usable = not name.startswith("-") and name != "@"
    try:
        check_branch(name)
    except CallerError:
        assert not (git and usable)
    else:
        assert git
