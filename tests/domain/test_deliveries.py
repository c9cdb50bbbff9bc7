import pytest

from upkeep.domain.deliveries import parse_push, repository_of
from upkeep.domain.errors import CallerError

PUSH = {
    "ref": "refs/heads/main",
    "after": "1" * 40,
    "deleted": False,
    "repository": {"clone_url": "https://github.example/acme/templates.git", "full_name": "acme/templates"},
}


def test_a_push_says_where_something_moved():
    push = parse_push(PUSH)
    assert push.ref == "refs/heads/main"
    assert push.repository_urls == {"https://github.example/acme/templates.git"}
    assert not push.deleted


@pytest.mark.parametrize(
    "change",
    [{"repository": None}, {"repository": "acme"}, {"repository": {}}, {"ref": 7}, {"after": None}, {"ref": None}],
)
def test_a_payload_that_misses_a_field_is_refused(change):
    with pytest.raises(CallerError):
        parse_push(PUSH | change)


def test_only_the_boolean_true_means_that_a_branch_was_deleted():
    assert parse_push(PUSH | {"deleted": True}).deleted
    assert not parse_push(PUSH | {"deleted": "true"}).deleted


@pytest.mark.parametrize(
    "other",
    [
        "https://github.com/acme/templates",
        "https://github.com/Acme/Templates.git",
        "git@github.com:acme/templates.git",
        "ssh://git@github.com/acme/templates.git",
        "ssh://git@github.com:22/acme/templates",
        "git://github.com/acme/templates.git",
        "https://token@github.com/acme/templates/",
    ],
)
def test_addresses_of_one_repository_are_told_to_be_the_same(other):
    assert repository_of(other) == repository_of("https://github.com/acme/templates.git")


@pytest.mark.parametrize(
    "other",
    [
        "https://github.com/acme/templates2.git",
        "https://github.com/acme2/templates.git",
        "https://github.example/acme/templates.git",
        "https://github.com:8443/acme/templates.git",
        "https://github.com/x/acme/templates.git",
        "https://github.com:no-port/acme/templates.git",
        "https://[broken/acme/templates.git",
    ],
)
def test_addresses_of_two_repositories_are_not(other):
    assert repository_of(other) != repository_of("https://github.com/acme/templates.git")
