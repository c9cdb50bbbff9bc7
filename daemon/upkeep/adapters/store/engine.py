"""The two databases: how a connection is made, and how a transaction begins, excludes others and ends."""

import fcntl
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.pool import NullPool, QueuePool, StaticPool

from upkeep import watch
from upkeep.adapters import clock
from upkeep.adapters.store.clocks import ServerClock
from upkeep.adapters.store.faults import translated
from upkeep.adapters.store.seat import Seat
from upkeep.domain.errors import SettingsError, TransientError

PATIENCE = timedelta(seconds=30)
"""How long a transaction waits for its turn."""

_T = TypeVar("_T")
_FOREIGNERS_FOR = timedelta(seconds=5)
"""How long programs are waited for that know nothing of turns, such as a backup."""
_GONE_AFTER = timedelta(seconds=20)
"""How long a server of PostgreSQL, or a host of ours that is connected to it, may be silent when it ought to answer."""

_GONE_SOON = timedelta(seconds=2)
"""The same where somebody only asks whether it answers."""

_NORMAL, _FULL = 1, 2

_SCHEMES = {"postgres", "postgresql", "postgresql+psycopg"}


class SqliteDatabase:
    """A file, or a database in memory that ends with the object (`path` is None).

    Writers take turns: threads by a lock, processes by `flock` on a file beside the database. SQLite's own way of
    waiting sleeps ever longer and lets newcomers pass, which starves whoever waits.

    Readers of a file have connections of their own: one that is told to write again, or to read only again, forgets
    every statement that it has prepared, and preparing takes longer than most of them.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._engines: dict[int, sa.Engine] = {}
        self._readers: dict[int, sa.Engine] = {}
        self._turns: dict[int, Turn] = {}
        self._seats: dict[int, Seat] = {}

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return str(self.path) if self.path else "the database in memory"

    @property
    def engine(self) -> sa.Engine:
        """The engine of this process that writes: a fork shares no connection with its parent."""
        return _of_this_process(self._engines, self._make_engine)

    @contextmanager
    def transaction(
        self, *, writing: bool, durable: bool = True, patience: timedelta = PATIENCE
    ) -> Iterator[sa.Connection]:
        """One transaction, committed when its block ends well. A reading one sees a single state. TransientError when
        its turn has not come after `patience`.

        One that is not `durable` does not wait for the disk. The next durable one does so for both.
        """
        # The one connection of a database in memory can be in one transaction only, also for reading.
        alone = writing or self.path is None
        turn = self.turn(patience) if alone else nullcontext()
        engine = self.engine if alone else _of_this_process(self._readers, self._make_engine)
        with _transaction(self.name, turn, engine, {}) as connection:
            begin_sqlite(connection, writing=writing, durable=durable, patience=min(patience, _FOREIGNERS_FOR))
            yield connection

    def trial(self, patience: timedelta) -> AbstractContextManager[sa.Connection]:
        """A writing transaction that tells soon whether it can be had."""
        return self.transaction(writing=True, patience=patience)

    def now(self) -> datetime:
        """The present, by the clock of this host: there is no other."""
        return clock.now()

    def turn(self, patience: timedelta = PATIENCE) -> AbstractContextManager[None]:
        """The only writer while the block lasts; TransientError when it is not granted in time, or when another host
        has taken the database's seat."""
        if self.path is None:
            return _of_this_process(self._turns, lambda: Turn(None)).taken(patience)
        lock, seat = self.path.with_name(f"{self.path.name}.lock"), self._taken_seat(self.path)
        return _seated(seat, _of_this_process(self._turns, lambda: Turn(lock)).taken(patience))

    def close(self) -> None:
        """Give back what this process holds."""
        for engines in (self._engines, self._readers):
            engine = engines.pop(os.getpid(), None)
            if engine is not None:
                engine.dispose()
        seat = self._seats.pop(os.getpid(), None)
        if seat is not None:
            seat.close()

    def _taken_seat(self, path: Path) -> Seat:
        seat = _of_this_process(self._seats, lambda: Seat(path))
        seat.take()
        return seat

    def _make_engine(self) -> sa.Engine:
        if self.path is None:
            engine = sa.create_engine(
                "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}, hide_parameters=True
            )
        else:
            self._taken_seat(self.path)
            # No upper limit: a thread that may not write waits for its turn, not for a connection.
            engine = sa.create_engine(
                sa.URL.create("sqlite", database=str(self.path)),
                poolclass=QueuePool,
                pool_size=8,
                max_overflow=-1,
                hide_parameters=True,
            )
        _tell_statements(engine)
        sa.event.listen(engine, "connect", _prepare_sqlite)
        return engine


class PostgresDatabase:
    """A PostgreSQL database, reached by psycopg."""

    def __init__(self, url: sa.URL) -> None:
        self.url = url
        self._clock = ServerClock()
        self._engines: dict[int, sa.Engine] = {}
        self._triers: dict[int, sa.Engine] = {}

    @property
    def name(self) -> str:
        """What to call it in messages: never with its password."""
        return f"{self.url.database or 'the database'} on {self.url.host or 'this host'}"

    @property
    def engine(self) -> sa.Engine:
        """The engine of this process: a fork shares no connection with its parent."""
        return _of_this_process(self._engines, self._make_engine)

    def now(self) -> datetime:
        """The present, by the clock of the database's server, whatever that of this host says."""
        return self._clock.now()

    @contextmanager
    def transaction(self, *, writing: bool, durable: bool = True) -> Iterator[sa.Connection]:
        """One transaction, committed when its block ends well. A reading one sees a single state.

        A writing one sees what others commit meanwhile; what it reads by key is locked instead. It is always durable:
        this server can fail and leave workers behind that know of a claim, and must not give its token again.
        """
        options = {} if writing else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with _transaction(self.name, nullcontext(), self.engine, options) as connection:
            self._clock.look(connection)
            yield connection

    @contextmanager
    def trial(self, patience: timedelta) -> Iterator[sa.Connection]:
        """A writing transaction on a connection of its own, which tells soon whether the server can be reached: one of
        the pool may have been cut without a word, and takes `_GONE_AFTER` to notice."""
        with _transaction(self.name, nullcontext(), _of_this_process(self._triers, self._make_trier), {}) as connection:
            connection.execute(sa.text(f"SET LOCAL lock_timeout = {_milliseconds(patience)}"))
            yield connection

    def close(self) -> None:
        """Give back what this process holds."""
        engine = self._engines.pop(os.getpid(), None)
        if engine is not None:
            engine.dispose()

    def _make_engine(self) -> sa.Engine:
        engine = sa.create_engine(
            self.url,
            poolclass=QueuePool,
            pool_size=5,
            max_overflow=15,
            pool_timeout=10,
            pool_pre_ping=True,
            connect_args=self._arguments(_GONE_AFTER),
            hide_parameters=True,
        )
        _tell_statements(engine)
        sa.event.listen(engine, "connect", _prepare_postgres)
        return engine

    def _make_trier(self) -> sa.Engine:
        soon = self._arguments(_GONE_SOON)
        return sa.create_engine(self.url, poolclass=NullPool, connect_args=soon, hide_parameters=True)

    def _arguments(self, gone_after: timedelta) -> dict[str, int | str]:
        """A server that vanished without a word is noticed in seconds instead of the kernel's minutes; the address of
        the database may say otherwise. https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
        """
        found: dict[str, int | str] = {
            "connect_timeout": round(min(gone_after, timedelta(seconds=5)).total_seconds()),
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": _milliseconds(gone_after),
            # How whoever looks at the server knows us.
            "application_name": f"upkeep on {socket.gethostname()}, process {os.getpid()}",
        }
        return {key: value for key, value in found.items() if key not in self.url.query}


Database = SqliteDatabase | PostgresDatabase


class Turn:
    """Whose turn it is to write: one thread of one process. `lock` is None when there is only this process."""

    def __init__(self, lock: Path | None) -> None:
        self._lock = lock
        self._threads = threading.Lock()

    @contextmanager
    def taken(self, patience: timedelta) -> Iterator[None]:
        """Wait for the turn and hold it while the block lasts."""
        until = time.monotonic() + patience.total_seconds()
        if not self._threads.acquire(timeout=patience.total_seconds()):
            raise _busy()
        try:
            if self._lock is None:
                yield
                return
            file = _take(self._lock, until)
            try:
                yield
            finally:
                # Said, and not left to the closing: a fork may have the same open file.
                fcntl.flock(file, fcntl.LOCK_UN)
                os.close(file)
        finally:
            self._threads.release()


def open_database(url: str) -> Database:
    """The database a URL names; SettingsError, without the URL, when it names none."""
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise SettingsError(
            ["the database's URL cannot be read: write sqlite:///PATH or postgresql://USER@HOST/NAME"]
        ) from None
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        if parsed.host or parsed.query:
            raise SettingsError(["the database's URL has more than a path: write sqlite:///PATH"])
        return SqliteDatabase(None if parsed.database in (None, "", ":memory:") else Path(str(parsed.database)))
    if parsed.drivername in _SCHEMES:
        return PostgresDatabase(parsed.set(drivername="postgresql+psycopg"))
    raise SettingsError(
        [f"the database cannot be `{parsed.drivername}`: write sqlite:///PATH or postgresql://USER@HOST/NAME"]
    )


@contextmanager
def _transaction(
    name: str, turn: AbstractContextManager[None], engine: sa.Engine, options: Mapping[str, Any]
) -> Iterator[sa.Connection]:
    with translated(name), turn, engine.connect() as connection:
        if options:
            connection.execution_options(**options)
        with connection.begin():
            yield connection


@contextmanager
def _seated(seat: Seat, turn: AbstractContextManager[None]) -> Iterator[None]:
    with turn:
        seat.require()
        yield


def _take(path: Path, until: float) -> int:
    """Open and lock the file: its descriptor, or TransientError."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise TransientError(
            f"the lock beside the database cannot be opened: {error.strerror}",
            where=str(path),
            cure="look at the rights of the folder, and at its disk",
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return file
    except BlockingIOError:
        if _queued(file, until - time.monotonic()):
            return file
        raise _busy() from None


def _queued(file: int, seconds: float) -> bool:
    """Stand in the kernel's queue for the lock, which is fair; whether it was granted in time.

    Only a thread of its own can leave that queue in time, by being left behind in it: it gives the lock back when
    it gets it. Asking again and again instead lets others pass, and took ten times as long for the slowest.
    """
    deciding, granted, late = threading.Lock(), threading.Event(), threading.Event()

    def wait() -> None:
        fcntl.flock(file, fcntl.LOCK_EX)
        with deciding:
            granted.set()
            if late.is_set():
                os.close(file)

    threading.Thread(target=wait, name="upkeep-turn", daemon=True).start()
    if granted.wait(seconds):
        return True
    with deciding:
        if granted.is_set():
            return True
        late.set()
    return False


def _of_this_process(kept: dict[int, _T], make: Callable[[], _T]) -> _T:
    found = kept.get(os.getpid())
    # Two threads may both make one; setdefault lets one of them win, and the other's has held nothing yet. What
    # the parent process had stays in the dictionary untouched, because closing it would disturb the parent.
    return found if found is not None else kept.setdefault(os.getpid(), make())


def _busy() -> TransientError:
    return TransientError(
        "the database is locked by another program",
        cure="it is tried again; if it lasts, look for a program that holds the database",
    )


def _tell_statements(engine: sa.Engine) -> None:
    """Tell of every statement while it lasts, as its text without values, if anybody looks that closely."""
    if not watch.minutely():
        return

    def begin(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        connection.info["upkeep_stretch"] = telling = watch.stretch("sql", statement)
        telling.__enter__()

    def end(connection: Any, *_: Any) -> None:
        connection.info.pop("upkeep_stretch").__exit__(None, None, None)

    def fail(failed: sa.engine.ExceptionContext) -> None:
        telling = failed.connection.info.pop("upkeep_stretch", None) if failed.connection is not None else None
        if telling is not None:
            error = failed.original_exception
            with suppress(BaseException):
                telling.__exit__(type(error), error, error.__traceback__)

    sa.event.listen(engine, "before_cursor_execute", begin)
    sa.event.listen(engine, "after_cursor_execute", end)
    sa.event.listen(engine, "handle_error", fail)


def _prepare_sqlite(connection: Any, record: Any) -> None:
    # We say BEGIN ourselves: https://docs.sqlalchemy.org/en/21/dialects/sqlite.html#pysqlite-serializable
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def begin_sqlite(connection: sa.Connection, *, writing: bool, patience: timedelta, durable: bool = True) -> None:
    """Say BEGIN, which neither the driver nor SQLAlchemy does for us: the first thing in every transaction."""
    # By the driver itself: SQLAlchemy's way is ten times as long, and nothing begins more often. Nor is it told of by
    # an event of SQLAlchemy's: as soon as there is one, each statement asks for listeners to all others.
    cursor = connection.connection.cursor()
    wanted = {"busy_timeout": _milliseconds(patience), "query_only": int(not writing)}
    if writing:
        # Where NORMAL commits, a failure of the power may undo the last of them, but never one without those behind
        # it: https://www.sqlite.org/pragma.html#pragma_synchronous
        wanted["synchronous"] = _FULL if durable else _NORMAL
    for name, value in wanted.items():
        # A connection keeps what it was told, and most of its transactions want the same.
        if connection.info.get(name) != value:
            cursor.execute(f"PRAGMA {name}={value}")
            connection.info[name] = value
    cursor.execute("BEGIN IMMEDIATE" if writing else "BEGIN")
    cursor.close()


def _prepare_postgres(connection: Any, record: Any) -> None:
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SET TIME ZONE 'UTC'")
        cursor.execute(f"SET lock_timeout = {_milliseconds(PATIENCE)}")
        # A process that stopped in the middle of a transaction must not hold its rows for ever.
        cursor.execute("SET idle_in_transaction_session_timeout = '60s'")
        # The server's side of a connection: a host that was cut off must not hold what it has locked, nor its place.
        # https://www.postgresql.org/docs/current/runtime-config-connection.html#RUNTIME-CONFIG-TCP-SETTINGS
        cursor.execute("SET tcp_keepalives_idle = 10")
        cursor.execute("SET tcp_keepalives_interval = 5")
        cursor.execute("SET tcp_keepalives_count = 3")
        cursor.execute(f"SET tcp_user_timeout = {_milliseconds(_GONE_AFTER)}")
    connection.autocommit = False


def _milliseconds(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)
