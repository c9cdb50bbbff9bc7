"""The stores that every contract is tried on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import Databases
from upkeep.adapters.store import SqlStore, open_store


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def each_store(request: pytest.FixtureRequest, databases: Databases, tmp_path: Path) -> Iterator[SqlStore]:
    """An empty store on each kind of database, and in memory."""
    with databases.migrated(request.param) as url:
        opened = open_store(url, state=tmp_path / "state")
        yield opened
        opened.close()
