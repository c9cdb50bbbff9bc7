"""What databases complain about, in our words."""

import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from upkeep.domain.errors import Conflict, StalledError, TransientError, UpkeepError

_WAIT = "it is tried again; if it lasts, look for a program that holds the database"
_SPACE = "free space on the disk that holds the database; it goes on by itself"
_READ_ONLY = "make the database writable again; it goes on by itself"
_SERVER = "look at the database server; it goes on by itself when the server is back"
_WAY = "look at the database server, and at its address in the configuration; it goes on by itself"
_DOOR = "look at the database server, and at user, password and database in the configuration; it goes on by itself"
_MIGRATE = "run `upkeep migrate`"

# https://sqlite.org/rescode.html, by primary result code
_SQLITE: dict[int, tuple[type[UpkeepError], str, str]] = {
    sqlite3.SQLITE_BUSY: (TransientError, "the database is locked by another program", _WAIT),
    sqlite3.SQLITE_LOCKED: (TransientError, "the database is locked by another program", _WAIT),
    sqlite3.SQLITE_FULL: (TransientError, "the disk of the database is full", _SPACE),
    sqlite3.SQLITE_READONLY: (TransientError, "the database is read-only", _READ_ONLY),
    sqlite3.SQLITE_IOERR: (TransientError, "the database's file cannot be read or written", "look at its disk"),
    sqlite3.SQLITE_CANTOPEN: (
        TransientError,
        "the database's file cannot be opened",
        "look at the rights of the file and its folder, and at the disk",
    ),
    sqlite3.SQLITE_PERM: (TransientError, "the database's file may not be used", "look at the rights of the file"),
    sqlite3.SQLITE_NOMEM: (TransientError, "the database has no memory left", "give the program more memory"),
    sqlite3.SQLITE_CORRUPT: (
        StalledError,
        "the database's file is damaged",
        "end the daemon, move the file away with what stands beside it (-wal, -shm), and restore a backup",
    ),
    sqlite3.SQLITE_NOTADB: (StalledError, "the database's file is no SQLite database", "name another file"),
}

# https://www.postgresql.org/docs/current/errcodes-appendix.html, by code or by its first two letters
_POSTGRES: dict[str, tuple[type[UpkeepError], str, str]] = {
    "08": (TransientError, "the connection to the database broke", _SERVER),
    "25006": (TransientError, "the database is read-only", _READ_ONLY),
    "25P03": (TransientError, "the database ended a transaction that waited too long", "it is tried again"),
    "25P04": (TransientError, "the database ended a transaction that took too long", "it is tried again"),
    "28": (StalledError, "the database does not let us in", "look at user and password in the configuration"),
    "3D000": (StalledError, "the database does not exist", "create it, then run `upkeep migrate`"),
    "40": (TransientError, "two transactions were in each other's way", "try again; a worker does so by itself"),
    "42501": (
        StalledError,
        "the database's user may not do this",
        "let it own the database, or grant it all rights on the schema and on its tables",
    ),
    "42P01": (StalledError, "the database has no such table", _MIGRATE),
    "53100": (TransientError, "the disk of the database is full", _SPACE),
    "53": (TransientError, "the database has no room for more", _SERVER),
    "55P03": (TransientError, "the database is locked by another program", _WAIT),
    "57014": (TransientError, "the database gave up on a statement", "it is tried again"),
    "57": (TransientError, "the database shuts down or starts", _SERVER),
    "58": (TransientError, "the database has trouble with its disk or memory", _SERVER),
    "XX001": (StalledError, "the database is damaged", "restore a backup"),
    "XX002": (StalledError, "the database is damaged", "rebuild its indexes or restore a backup"),
}

_TAKEN = (Conflict, "the database has something of this name already", "look at what is there, then try again")
_GONE = (TransientError, "something this belongs to was removed meanwhile", "it is tried again")

_OPTION = "invalid connection option"
_MISWRITTEN = (
    StalledError,
    "the database's URL has an option that PostgreSQL does not know",
    "correct what stands behind its `?`: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS",
)

_BROKE, _CLOSED = _POSTGRES["08"][1], "the database refuses the connection"
_REFUSED = re.compile(r"FATAL:\s+(.+)")
_FAILED = re.compile(r"(?:connection failed: |connection is bad: )?(.+)")


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Turn the errors of SQLAlchemy and its drivers into ours; what is a bug stays as it is.

    `name` says which database it is.
    """
    try:
        yield
    except sa.exc.TimeoutError as error:
        raise TransientError(
            "all connections to the database are in use", where=name, cure="it is tried again; allow fewer threads"
        ) from error
    except Exception as error:
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        ours = _ours(cause)
        if ours is None:
            raise
        kind, message, cure = ours
        # A reason names users, databases and addresses: it belongs to the place, which strangers are not told.
        told = {_CLOSED: _REFUSED, _BROKE: _FAILED}.get(message)
        reason = told.search(str(cause)) if told else None
        where = f"{name}: {reason[1].strip()}" if reason else name
        raise kind(message, where=None if kind is Conflict else where, cure=cure) from error


def _ours(error: BaseException | None) -> tuple[type[UpkeepError], str, str] | None:
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0)
        if code in (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY):
            return _TAKEN
        if code == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
            return _GONE
        return _SQLITE.get(code & 0xFF)
    # SQLAlchemy imports it for the first engine that wants it: where none does, 10 MB are spared.
    psycopg = sys.modules.get("psycopg")
    if psycopg is not None and isinstance(error, psycopg.Error):
        state = error.sqlstate
        if isinstance(error, psycopg.ProgrammingError) and state is None and _OPTION in str(error):
            return _MISWRITTEN
        if state is None:
            return _unconnected(error) if isinstance(error, psycopg.OperationalError) else None
        if state == "23505":
            return _TAKEN
        if state == "23503":
            return _GONE
        return _POSTGRES.get(state) or _POSTGRES.get(state[:2])
    return None


def _unconnected(error: Exception) -> tuple[type[UpkeepError], str, str]:
    """The server did not answer, the connection was lost, or the server let us in no further than the door, which
    stands in the text only: no code comes with it."""
    return TransientError, *((_CLOSED, _DOOR) if _REFUSED.search(str(error)) else (_BROKE, _WAY))
