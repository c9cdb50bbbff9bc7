"""Databases of every released schema, full of rows, brought to the present one: every row and value is still there.

The rows are made up from the tables as that release had them: several in each table, with every column filled that may
be, so that a migration that copies, rebuilds or fills a table has something to lose.
"""

import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from tests.databases import Databases
from tests.trials.trial import Outcome, Promise, Rounds, Trial, chance
from upkeep.adapters import store as store_package
from upkeep.adapters.store import migrate, open_store
from upkeep.adapters.store.tables import REVISION, metadata

MIGRATIONS = Path(store_package.__file__).parent / "migrations"
ROWS = 25

REWORKED = {("resources", "urgency")}
"""What an upgrade reckons anew from other columns on purpose."""

Rows = dict[str, list[dict[str, Any]]]


def released() -> list[str]:
    """The schemas there have been, the present one last."""
    return sorted(path.name[:4] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def _driver(url: str) -> sa.Engine:
    return sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))


def _fill(connection: sa.Connection, dice: random.Random) -> None:
    """Rows in every table, parents first."""
    tables = sa.MetaData()
    tables.reflect(connection)
    kept: Rows = {}
    for table in tables.sorted_tables:
        if table.name == "alembic_version":
            continue
        kept[table.name] = []
        for number in range(ROWS):
            row = _row(table, number, kept, dice)
            unique = connection.begin_nested()
            try:
                connection.execute(table.insert(), row)
                unique.commit()
                kept[table.name].append(row)
            except sa.exc.IntegrityError:
                # What a rule of the table forbids, such as a second deployment under way.
                unique.rollback()


def _row(table: sa.Table, number: int, kept: Rows, dice: random.Random) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for constraint in table.foreign_key_constraints:
        parents = kept[constraint.referred_table.name]
        parent = dice.choice(parents)
        row |= {element.parent.name: parent[element.column.name] for element in constraint.elements}
    for column in table.columns:
        if column.name in row or (column.nullable and dice.random() < 0.3):
            continue
        row[column.name] = _value(table, column, number, dice)
    return row


def _value(table: sa.Table, column: sa.Column[Any], number: int, dice: random.Random) -> Any:
    name, kind = column.name, column.type
    wanted = metadata.tables[table.name].columns.get(name) if table.name in metadata.tables else None
    kinds = f"{type(wanted.type).__name__ if wanted is not None else ''} {type(kind).__name__}".lower()
    if "moment" in kinds or "timestamp" in kinds or "datetime" in kinds:
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=dice.randrange(10**7), microseconds=number)
        return at if "timestamp" in kinds or "datetime" in kinds else f"{at:%Y-%m-%d %H:%M:%S.%f}"
    if "bool" in kinds:
        return dice.random() < 0.5
    if "binary" in kinds or "blob" in kinds or "bytea" in kinds:
        return dice.randbytes(20) + bytes([number])
    if "json" in kinds:
        return dice.choice(["{}", "[]"]) if name not in _LISTS else "[]"
    if any(word in kinds for word in ("int", "number", "span", "float", "numeric")):
        return number + 1 if column.primary_key or name == "number" else dice.randrange(5)
    if name in _WORDS:
        return dice.choice(_WORDS[name])
    return f"{name} {number} é💙"


_LISTS = {"findings", "groups", "lines", "links", "sources", "changes", "stages", "scopes", "teams", "drift_resources"}
_WORDS = {
    "state": ["DRAFT", "PUBLISHED", "WITHDRAWN"],
    "status": ["SUCCEEDED", "FAILED", "IN_PROGRESS"],
    "action": ["create", "update", "delete"],
    "kind": ["environment", "service"],
    "role": ["admin", "viewer"],
    "standing": ["up_to_date", "behind_minor"],
}
"""What some columns hold; migrations look at it."""


def _rows(connection: sa.Connection, columns: dict[str, list[str]]) -> dict[str, list[tuple[Any, ...]]]:
    """All values of these columns, in an order of their own."""
    found = {}
    for table, names in columns.items():
        listed = ", ".join(f'"{name}"' for name in names)
        found[table] = sorted(
            (tuple(row) for row in connection.execute(sa.text(f'SELECT {listed} FROM "{table}"'))), key=repr
        )
    return found


def _columns(connection: sa.Connection) -> dict[str, list[str]]:
    looked = sa.inspect(connection)
    return {
        table: sorted(column["name"] for column in looked.get_columns(table) if (table, column["name"]) not in REWORKED)
        for table in looked.get_table_names()
        if table != "alembic_version"
    }


def _upgraded(url: str, revision: str, dice: random.Random, folder: Path) -> tuple[int, list[str]]:
    """Fill a database of a release and bring it here; how many rows it had, and what is not as it was."""
    engine = _driver(url)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        _fill(connection, dice)
        columns = _columns(connection)
        before = _rows(connection, columns)
    engine.dispose()
    migrate(url, state=folder)
    broken = []
    engine = _driver(url)
    with engine.connect() as connection:
        now = _columns(connection)
        same = {table: [name for name in names if name in now.get(table, [])] for table, names in columns.items()}
        after = _rows(connection, {table: names for table, names in same.items() if names and table in now})
    engine.dispose()
    for table, names in columns.items():
        if table not in now:
            broken.append(f"{revision}: table {table} is gone with {len(before[table])} rows")
            continue
        places = [names.index(name) for name in same[table]]
        wanted = sorted((tuple(row[place] for place in places) for row in before[table]), key=repr)
        if wanted != after[table]:
            differing = [row for row in wanted if row not in after[table]]
            broken.append(f"{revision}: {len(differing)} of {len(wanted)} rows of {table} are not as they were")
        gone = [name for name in names if name not in same[table]]
        if gone and any(before[table]):
            broken.append(f"{revision}: {table} has lost the columns {gone}")
    open_store(url, state=folder).close()
    return sum(map(len, before.values())), broken


def run(seed: int, rounds: int, folder: Path) -> Outcome:
    """Every release on each kind of database, so many times."""
    broken: list[str] = []
    count, upgrades = 0, 0
    databases = Databases(folder)
    try:
        for number in range(rounds):
            for kind in ("sqlite", "postgresql"):
                for revision in released():
                    state = folder / f"state-{number}-{kind}-{revision}"
                    with databases.fresh(kind) as url:
                        dice = chance(seed, number, kind, revision)
                        rows, faults = _upgraded(url, revision, dice, state)
                    count, upgrades = count + rows, upgrades + 1
                    broken += [f"{kind}, {fault}" for fault in faults]
                    shutil.rmtree(state, ignore_errors=True)
    finally:
        databases.close()
    return Outcome(
        f"{upgrades} upgrades from {', '.join(released())} to {REVISION} on SQLite and PostgreSQL",
        f"{count:,} rows before, the same after in every column of before",
        tuple(broken),
    )


TRIAL = Trial("upgrades", Promise.UPGRADES, Rounds(0, 1, 20), run)
