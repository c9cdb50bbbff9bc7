"""Bringing a database to the tables of this program, and refusing to work on any other.

Revisions are numbers of four digits, so that a later one is also the greater text.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import OID

from upkeep.adapters.store.engine import Database, PostgresDatabase, SqliteDatabase, begin_sqlite, open_database
from upkeep.adapters.store.faults import translated
from upkeep.adapters.store.tables import REVISION
from upkeep.domain.errors import Conflict, SettingsError, TransientError

_ADVISORY_LOCK = 0x75706B656570
_MIGRATIONS = Path(__file__).parent / "migrations"
_NOT_IN_TIME, _TOO_LONG = "55P03", "57014"
"""https://www.postgresql.org/docs/current/errcodes-appendix.html"""

_SESSIONS = sa.table(
    "pg_stat_activity",
    *map(
        sa.column,
        ("pid", "datname", "application_name", "client_addr", "backend_type", "backend_start", "xact_start"),
    ),
)


@dataclass(frozen=True, slots=True)
class Waits:
    """How long changing tables may take: waiting for another process that does so, waiting for whoever works on a
    table (PostgreSQL), and one statement (PostgreSQL). What takes longer is undone and changes nothing."""

    wait_for: timedelta = timedelta(minutes=5)
    lock_for: timedelta = timedelta(seconds=10)
    statement_for: timedelta = timedelta(minutes=15)


def migrate(url: str, *, state: Path, waits: Waits = Waits()) -> None:
    """Bring the database a URL names to the tables of this program, creating what is missing.

    Of several processes that start at once one migrates and the others wait for it. All of it is one transaction:
    who is killed in the middle of it has changed nothing. Raises SettingsError when the database belongs to a newer
    program, TransientError, saying who is in the way, when it cannot be reached or stays locked. A database in memory
    has nothing to migrate.
    """
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = open_database(url)
    try:
        if isinstance(database, PostgresDatabase) or database.path is not None:
            with building(database, waits) as connection:
                found = revision_in(connection)
                require_no_newer(database.name, found)
                upgrade(connection, found)
    finally:
        database.close()


def require_migrated(url: str) -> None:
    """Raise SettingsError unless the database a URL names has exactly the tables of this program. Changes nothing."""
    database = open_database(url)
    try:
        require_current(database)
    finally:
        database.close()


def require_current(database: Database) -> None:
    """Raise SettingsError unless the database has exactly the tables of this program."""
    require_file(database)
    with database.transaction(writing=False) as connection:
        found = revision_in(connection)
    if found is None:
        raise SettingsError([f"{database.name} has no tables yet: run `upkeep migrate`"])
    require_no_newer(database.name, found)
    if found != REVISION:
        raise SettingsError(
            [f"{database.name} has the tables of an older program ({found}, not {REVISION}): run `upkeep migrate`"]
        )


def require_file(database: Database) -> None:
    """Raise SettingsError when the file of an SQLite database is not there."""
    path = database.path if isinstance(database, SqliteDatabase) else None
    if path is None:
        return
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


def require_no_newer(name: str, found: str | None) -> None:
    """Raise SettingsError for the tables of a newer program."""
    if found is not None and found > REVISION:
        raise SettingsError(
            [
                f"{name} has the tables of a newer program ({found}, not {REVISION}): "
                "install that program again, or restore a backup made before it"
            ]
        )


def revision_in(connection: sa.Connection) -> str | None:
    """Whose tables the database has; None when it has none."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def upgrade(connection: sa.Connection, found: str | None, wanted: str = REVISION) -> None:
    """Run the migrations that lead from one revision to a later one."""
    if found == wanted:
        return
    # Alembic takes a tenth of a second to import, and only those who migrate need it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, wanted)


@contextmanager
def building(database: Database, waits: Waits, *, alone: bool = False) -> Iterator[sa.Connection]:
    """One transaction that may change tables, the only one that does. With `alone`, Conflict while anybody else is
    connected to the database."""
    with ExitStack() as stack:
        if isinstance(database, PostgresDatabase):
            yield stack.enter_context(_building_postgres(database, waits, alone))
        else:
            yield stack.enter_context(_building_sqlite(database, waits, alone))


@contextmanager
def _building_sqlite(database: SqliteDatabase, waits: Waits, alone: bool) -> Iterator[sa.Connection]:
    path = database.path
    assert path is not None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise TransientError(
            f"the folder of the database cannot be made: {error.strerror}",
            where=str(path.parent),
            cure="look at the rights of the folder above it",
        ) from error
    with ExitStack() as turn:
        try:
            turn.enter_context(database.turn(waits.wait_for))
        except TransientError as error:
            if error.where is not None:
                raise
            raise TransientError(
                f"another process has been writing for {waits.wait_for.total_seconds():.0f} s",
                where=str(path),
                cure=f"it is tried again; `fuser {path}.lock` names that process",
            ) from error
        with translated(database.name), database.engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.execute(f"PRAGMA busy_timeout={int(waits.lock_for.total_seconds() * 1000)}")
            if alone:
                try:
                    # Whoever is connected keeps the file from leaving WAL.
                    driver.execute("PRAGMA journal_mode=DELETE")
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                        raise
                    raise _in_use(database, f"another process (`fuser {path}` names it)") from error
            # Kept in the file, and only changeable outside transactions: https://sqlite.org/wal.html
            driver.execute("PRAGMA journal_mode=WAL")
            # SQLite changes a column by making the table anew, and dropping the old one would take all rows along
            # that refer to it. Only changeable outside transactions:
            # https://sqlite.org/lang_altertable.html#otheralter
            driver.execute("PRAGMA foreign_keys=OFF")
            try:
                with connection.begin():
                    begin_sqlite(connection, writing=True, patience=waits.lock_for)
                    yield connection
                    _require_whole(connection)
            finally:
                driver.execute("PRAGMA foreign_keys=ON")


def _require_whole(connection: sa.Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if broken:
        raise RuntimeError(f"the migration left rows that refer to nothing: {broken[:5]}")


@contextmanager
def _building_postgres(database: PostgresDatabase, waits: Waits, alone: bool) -> Iterator[sa.Connection]:
    with translated(database.name):
        try:
            with database.engine.connect() as connection, connection.begin():
                _limit(connection, "lock_timeout", waits.wait_for)
                connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
                # Whoever works on a table now is waited for a moment; the world does not queue up behind us.
                _limit(connection, "lock_timeout", waits.lock_for)
                _limit(connection, "statement_timeout", waits.statement_for)
                _limit(connection, "idle_in_transaction_session_timeout", waits.statement_for)
                if alone:
                    others = _others(connection)
                    if others:
                        raise _in_use(database, ", ".join(others))
                yield connection
        except sa.exc.DBAPIError as error:
            code = getattr(error.orig, "sqlstate", None)
            if code == _TOO_LONG:
                longest = waits.statement_for.total_seconds()
                raise TransientError(
                    f"a step took longer than {longest:.1f} s and was undone with all before it",
                    where=database.name,
                    cure="give it more time: `database.migration.statement_timeout`",
                ) from error
            if code == _NOT_IN_TIME:
                raise _in_the_way(database) from error
            raise


def _limit(connection: sa.Connection, name: str, span: timedelta) -> None:
    connection.execute(sa.text(f"SET LOCAL {name} = {int(span.total_seconds() * 1000)}"))


def _in_the_way(database: PostgresDatabase) -> TransientError:
    """Who holds what was waited for, as well as can be told a moment later."""
    with database.engine.connect() as connection:
        locks = sa.table("pg_locks", *map(sa.column, ("pid", "granted", "locktype", "classid", "objid")))
        ours = sa.and_(
            locks.c.granted,
            locks.c.locktype == "advisory",
            locks.c.classid == sa.cast(_ADVISORY_LOCK >> 32, OID),
            locks.c.objid == sa.cast(_ADVISORY_LOCK & 0xFFFFFFFF, OID),
        )
        migrating = _others(connection, _SESSIONS.c.pid.in_(sa.select(locks.c.pid).where(ours)))
        if migrating:
            return TransientError(
                f"another process is changing the tables: {', '.join(migrating)}",
                where=database.name,
                cure="it is tried again; if it lasts, look at that process",
            )
        others = _others(connection, _SESSIONS.c.xact_start.is_not(None))
    return TransientError(
        f"a table stayed in use and could not be changed: {', '.join(others) or 'by somebody who has just left'}",
        where=database.name,
        cure="it is tried again; if it lasts, end that session, or wait longer: `database.migration.lock_timeout`",
    )


def _others(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[str]:
    """Sessions of others in this database: what they call themselves, from where, since when."""
    since = sa.func.coalesce(_SESSIONS.c.xact_start, _SESSIONS.c.backend_start)
    query = (
        sa.select(_SESSIONS.c.application_name, _SESSIONS.c.pid, sa.func.host(_SESSIONS.c.client_addr), since)
        .where(
            _SESSIONS.c.datname == sa.func.current_database(),
            _SESSIONS.c.pid != sa.func.pg_backend_pid(),
            _SESSIONS.c.backend_type == "client backend",
            *conditions,
        )
        .order_by(since)
        .limit(5)
    )
    return [
        f"{name or 'a program'} (session {pid} from {host or 'this host'}, since {at:%H:%M:%S} UTC)"
        for name, pid, host, at in connection.execute(query)
    ]


def _in_use(database: Database, who: str) -> Conflict:
    return Conflict(f"the database is in use by {who}", where=database.name, cure="end it, then try again")
