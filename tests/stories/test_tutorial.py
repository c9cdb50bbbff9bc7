"""The second day of a platform team, through real pushes, webhooks and processes; however it goes, it ends alike."""

from pathlib import Path

import pytest

from tests.databases import Databases
from tests.stories.telling import VersionRow, expected_versions, telling


@pytest.fixture
def expected(tmp_path: Path) -> list[VersionRow]:
    """The versions that every telling must end with."""
    return expected_versions(tmp_path / "expected")


def test_the_story_is_told_by_pushes_and_webhooks(tmp_path: Path, expected: list[VersionRow]) -> None:
    with telling(tmp_path) as told:
        assert told.whole() == expected


def test_the_story_is_the_same_on_postgresql(tmp_path: Path, expected: list[VersionRow], databases: Databases) -> None:
    with databases.fresh("postgresql") as url, telling(tmp_path, database=url) as told:
        assert told.whole() == expected


def test_without_webhooks_polling_finds_the_same_versions(tmp_path: Path, expected: list[VersionRow]) -> None:
    with telling(tmp_path, webhooks=False, poll_every=1) as told:
        assert told.whole() == expected


def test_a_worker_killed_in_the_middle_of_a_sync_changes_nothing(tmp_path: Path, expected: list[VersionRow]) -> None:
    with telling(tmp_path, lease=3) as told:
        assert told.whole(during=told.kill_worker_in_the_middle) == expected
