"""Rebuild: the rows of one database as lines, and a database anew from such lines, whole or not at all."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from upkeep.adapters.store import lines
from upkeep.adapters.store.engine import Database, SqliteDatabase, open_database
from upkeep.adapters.store.lines import NOTHING, Counts, LeftOut
from upkeep.adapters.store.tables import REVISION
from upkeep.adapters.store.upgrade import Waits, building, require_file, require_no_newer, revision_in, upgrade
from upkeep.domain.errors import Conflict, SettingsError

WITHOUT_CREDENTIALS: LeftOut = {
    "answers": None,
    "failed_sign_ins": None,
    "secrets": None,
    "sessions": None,
    "tokens": None,
    "users": ("password_hash",),
}
"""What an export leaves out: everything that lets somebody in, and what it was answered to them."""

_HOLDS_NOTHING = {"headcounts", "numbers", "secrets"}
"""Tables that have rows as soon as a daemon has started once, or that only add up what others hold."""


@dataclass(frozen=True, slots=True)
class Contents:
    """The rows of a database, to be read once, in one transaction. `counts` is right when all lines were read."""

    revision: str
    database: str
    lines: Iterator[bytes]
    counts: Counts


@contextmanager
def contents_of(url: str, left_out: LeftOut = NOTHING) -> Iterator[Contents]:
    """The rows as they are at one moment, also those of an older program, while others go on to write.

    Raises SettingsError for a database without tables or of a newer program.
    """
    database = open_database(url)
    try:
        require_file(database)
        with database.transaction(writing=False) as connection:
            found = revision_in(connection)
            if found is None:
                raise SettingsError([f"{database.name} has no tables yet: there is nothing to keep"])
            require_no_newer(database.name, found)
            counts = Counts()
            told = lines.written(connection, found, left_out, counts)
            yield Contents(found, connection.dialect.name, told, counts)
    finally:
        database.close()


def rebuild(
    url: str,
    told: Iterable[bytes],
    name: str,
    *,
    waits: Waits,
    edited: bool = False,
    replace: bool = False,
    then: Callable[[], None] = lambda: None,
) -> Counts:
    """Fill a database from lines, `name` being what faults call them: the tables of their program are made, filled and
    brought to those of this program, in one transaction. What a person may have `edited` is looked through more
    closely. `then` is called right before it is committed.

    Raises CallerError for what is wrong in the lines, SettingsError when they are of a newer program, Conflict when
    the database holds rows (unless they may be replaced), is in use or of a newer program; then nothing has changed.
    """
    reading = iter(told)
    revision = lines.revision_of(next(reading, b""), name)
    require_no_newer(name, revision)
    database = open_database(url)
    counts = Counts()
    try:
        _require_lasting(database)
        with building(database, waits, alone=True) as connection:
            found = revision_in(connection)
            if found is not None:
                if found > REVISION:
                    # What it has besides the tables known here would stand in the way of this database's next upgrade.
                    raise Conflict(
                        f"the database has the tables of a newer program ({found}, not {REVISION})",
                        where=database.name,
                        cure="name an empty database: move the file away, or drop the database and create it again",
                    )
                if not replace:
                    _require_empty(database, connection)
                _drop(connection)
            upgrade(connection, None, revision)
            lines.insert(connection, reading, name, counts, edited=edited)
            upgrade(connection, revision)
            then()
    finally:
        database.close()
    return counts


def _require_lasting(database: Database) -> None:
    if isinstance(database, SqliteDatabase) and database.path is None:
        raise SettingsError(["a database in memory ends with this command: name a file or a server"])


def _require_empty(database: Database, connection: sa.Connection) -> None:
    held = [
        table.name
        for table in lines.ours(connection)
        if table.name not in _HOLDS_NOTHING
        and connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first()
    ]
    if held:
        raise Conflict(
            f"the database holds rows already ({', '.join(sorted(held))})",
            where=database.name,
            cure="name an empty database; `upkeep restore --replace` alone gives up what one holds",
        )


def _drop(connection: sa.Connection) -> None:
    for table in (*reversed(lines.ours(connection)), sa.table("alembic_version")):
        connection.execute(sa.schema.DropTable(sa.Table(table.name, sa.MetaData())))
