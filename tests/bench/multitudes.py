"""Multitudes: databases with so many resources, each made once in a run and copied for whoever wants one."""

import os
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from tests.multitude import fill
from tests.web.furnished import people
from upkeep.adapters.store import migrate, open_store, tables

FOLDER_VARIABLE = "UPKEEP_BENCH_FOLDER"
"""The environment variable that names the folder which all parts of a run share."""

TEMPLATES = 1000


def database(state: Path, resources: int) -> str:
    """The address of a filled SQLite database in this folder. Its sources are asked for nothing within a day."""
    shared = Path(os.environ.get(FOLDER_VARIABLE, tempfile.gettempdir())) / f"multitude-{resources}"
    if not (shared / "upkeep.db").exists():
        fresh = shared.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        _make(fresh, resources)
        fresh.rename(shared)
    state.mkdir(parents=True, exist_ok=True)
    shutil.copy(shared / "upkeep.db", state / "upkeep.db")
    return f"sqlite:///{state / 'upkeep.db'}"


def _make(state: Path, resources: int) -> None:
    url, now = f"sqlite:///{state / 'upkeep.db'}", datetime.now(UTC)
    migrate(url, state=state)
    store = open_store(url, state=state)
    with store.write() as unit:
        connection = unit._transaction.connection
        fill(connection, now, resources, min(TEMPLATES, resources // 10))
        a_day = timedelta(days=1)
        connection.execute(sa.update(tables.sources).values(poll_every_for=a_day, next_poll_at=now + a_day))
        people(unit)
    store.close()
