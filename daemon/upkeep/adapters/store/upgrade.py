"""Bringing a database to the tables of this program, and refusing to work on any other.

Revisions are numbers of four digits, so that a later one is also the greater text.
"""

from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from upkeep.adapters.store.engine import Database, PostgresDatabase, SqliteDatabase, open_database
from upkeep.adapters.store.faults import translated
from upkeep.adapters.store.tables import REVISION
from upkeep.domain.errors import SettingsError, TransientError

PATIENCE_OF_MIGRATIONS = timedelta(minutes=5)
"""How long a migration waits for another one to end."""

_ADVISORY_LOCK = 0x75706B656570
_MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(url: str, *, state: Path) -> None:
    """Bring the database a URL names to the tables of this program, creating what is missing.

    Of several processes that start at once one migrates and the others wait for it. Raises SettingsError when the
    database belongs to a newer program, TransientError when it cannot be reached or stays locked. A database in
    memory has nothing to migrate.
    """
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = open_database(url)
    try:
        if isinstance(database, PostgresDatabase):
            _migrate_postgres(database)
        elif database.path is not None:
            _migrate_sqlite(database, database.path)
    finally:
        database.close()


def require_current(database: Database) -> None:
    """Raise SettingsError unless the database has exactly the tables of this program."""
    if isinstance(database, SqliteDatabase) and database.path is not None:
        _require_file(database.path)
    with database.transaction(writing=False) as connection:
        found = _revision(connection)
    if found is None:
        raise SettingsError([f"{database.name} has no tables yet: run `upkeep migrate`"])
    _require_no_newer(database, found)
    if found != REVISION:
        raise SettingsError(
            [f"{database.name} has the tables of an older program ({found}, not {REVISION}): run `upkeep migrate`"]
        )


def _require_file(path: Path) -> None:
    # To connect would make an empty one.
    try:
        path.stat()
    except FileNotFoundError:
        raise SettingsError([f"{path} does not exist: run `upkeep migrate`"]) from None
    except OSError as error:
        raise TransientError(
            f"the database's file cannot be opened: {error.strerror}",
            where=str(path),
            cure="look at the rights of the file and its folder, and at the disk",
        ) from error


def _migrate_sqlite(database: SqliteDatabase, path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise TransientError(
            f"the folder of the database cannot be made: {error.strerror}",
            where=str(path.parent),
            cure="look at the rights of the folder above it",
        ) from error
    with translated(database.name), database.turn(PATIENCE_OF_MIGRATIONS):
        engine = database.engine.execution_options(upkeep_writing=True, upkeep_patience=PATIENCE_OF_MIGRATIONS)
        with engine.connect() as connection:
            # Kept in the file, and only changeable outside transactions: https://sqlite.org/wal.html
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.execute("PRAGMA journal_mode=WAL")
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            # SQLite changes a column by making the table anew, and dropping the old one would take all rows along that
            # refer to it. Only changeable outside transactions: https://sqlite.org/lang_altertable.html#otheralter
            driver.execute("PRAGMA foreign_keys=OFF")
            try:
                with connection.begin():
                    _upgrade(database, connection)
                    _require_whole(connection)
            finally:
                driver.execute("PRAGMA foreign_keys=ON")


def _require_whole(connection: sa.Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if broken:
        raise RuntimeError(f"the migration left rows that refer to nothing: {broken[:5]}")


def _migrate_postgres(database: PostgresDatabase) -> None:
    with translated(database.name), database.engine.connect() as connection, connection.begin():
        waiting = int(PATIENCE_OF_MIGRATIONS.total_seconds() * 1000)
        connection.execute(sa.text(f"SET LOCAL lock_timeout = {waiting}"))
        connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
        # Whoever works on a table now is waited for a moment; the rest of the world does not queue up behind us.
        connection.execute(sa.text("SET LOCAL lock_timeout = '10s'"))
        _upgrade(database, connection)


def _upgrade(database: Database, connection: sa.Connection) -> None:
    found = _revision(connection)
    if found == REVISION:
        return
    if found is not None:
        _require_no_newer(database, found)
    # Alembic takes a tenth of a second to import, and only those who migrate need it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, REVISION)


def _require_no_newer(database: Database, found: str) -> None:
    if found > REVISION:
        raise SettingsError(
            [
                f"{database.name} has the tables of a newer program ({found}, not {REVISION}): "
                "install that program again, or restore a backup made before it"
            ]
        )


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)
