"""Ringing: waking those who wait for work, in this process, in others and on other hosts.

Whoever waits watches one number in its own process, which grows with every ring. In a process somebody waits in,
one thread listens to the outside and makes the number grow; it sleeps in `select` all the while.
"""

import errno
import os
import select
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from upkeep.adapters.store.engine import PostgresDatabase
from upkeep.adapters.store.faults import translated
from upkeep.domain.errors import TransientError, UpkeepError

_CHANNEL = "upkeep"
_AGAIN_AFTER = 1.0


class Outside(Protocol):
    """What carries rings between processes."""

    def send(self) -> None:
        """Ring in all other processes."""

    def listen(self, heard: Callable[[], None], stop: int) -> None:
        """Call `heard` for every ring until the descriptor `stop` can be read. Call it once when ready, too, because
        what was rung before could not be heard."""


class Bell:
    """A bell that any number of threads and processes may wait for. `outside` is None for a single process."""

    def __init__(self, outside: Outside | None) -> None:
        self._outside = outside
        self._changed = threading.Condition()
        self._rings = 0
        self._seen = threading.local()
        self._listener: threading.Thread | None = None
        self._stop: int | None = None

    def ring(self) -> None:
        """Wake everybody who waits."""
        self._heard()
        if self._outside is not None:
            self._outside.send()

    def wait(self, at_most: timedelta) -> None:
        """Sleep until a ring that came after this thread's last wait, or for `at_most`. The first wait of a thread
        returns at once, because nobody can say what was rung before it."""
        if self._outside is not None:
            self._listen(self._outside)
        with self._changed:
            seen = getattr(self._seen, "rings", -1)
            self._changed.wait_for(lambda: self._rings != seen, max(0.0, at_most.total_seconds()))
            self._seen.rings = self._rings

    def close(self) -> None:
        """Stop listening."""
        with self._changed:
            stop, self._stop = self._stop, None
            listener, self._listener = self._listener, None
        if stop is not None:
            # Written, and not left to the closing: a fork may have the same pipe.
            with suppress(BrokenPipeError):
                os.write(stop, b"!")
            os.close(stop)
        if listener is not None:
            listener.join(5)

    def _heard(self) -> None:
        with self._changed:
            self._rings += 1
            self._changed.notify_all()

    def _listen(self, outside: Outside) -> None:
        with self._changed:
            if self._listener is not None and self._listener.is_alive():
                return
            stopped, self._stop = os.pipe()
            self._listener = threading.Thread(
                target=self._listen_until, args=(outside, stopped), name="upkeep-bell", daemon=True
            )
            self._listener.start()

    def _listen_until(self, outside: Outside, stopped: int) -> None:
        try:
            while True:
                # Until it can be heard again, those who wait find their work when their time is over.
                with suppress(OSError, sa.exc.SQLAlchemyError, UpkeepError):
                    outside.listen(self._heard, stopped)
                    return
                if select.select([stopped], [], [], _AGAIN_AFTER)[0]:
                    return
        finally:
            os.close(stopped)


class Pipes:
    """Named pipes in a folder, one for each process that waits: a ring is a byte into each of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self) -> None:
        try:
            pipes = [entry.path for entry in os.scandir(self._folder) if not entry.name.startswith(".")]
        except FileNotFoundError:
            return
        except OSError as error:
            raise TransientError(
                f"nobody can be woken: {error.strerror}",
                where=str(self._folder),
                cure="look at the rights of the state folder",
            ) from error
        for pipe in pipes:
            # One that cannot be rung keeps nobody else asleep.
            with suppress(OSError):
                self._write(pipe)

    def listen(self, heard: Callable[[], None], stop: int) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{os.getpid()}-{time.monotonic_ns()}"
        pipe, hidden = self._folder / name, self._folder / f".{name}"
        os.mkfifo(hidden, 0o600)
        # Open for both, so that it never ends; and read before it gets its name, because a pipe that nobody reads
        # is swept away by the next ring.
        reader = os.open(hidden, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            hidden.rename(pipe)
            heard()
            while stop not in select.select([reader, stop], [], [])[0]:
                with suppress(BlockingIOError):
                    os.read(reader, 65536)
                heard()
        finally:
            pipe.unlink(missing_ok=True)
            os.close(reader)

    def _write(self, pipe: str) -> None:
        try:
            writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.ENXIO and stat.S_ISFIFO(os.lstat(pipe).st_mode):
                # Whoever read it was killed.
                Path(pipe).unlink()
            return
        try:
            # A full pipe refuses it: it holds rings that were not heard yet, and one is as good as many.
            os.write(writer, b"!")
        finally:
            os.close(writer)


class Notifications:
    """PostgreSQL's LISTEN and NOTIFY: https://www.postgresql.org/docs/current/sql-notify.html."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    def send(self) -> None:
        with translated(self._database.name), self._database.engine.connect() as connection:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(sa.text(f"NOTIFY {_CHANNEL}"))

    def listen(self, heard: Callable[[], None], stop: int) -> None:
        # Here and not above, because whoever has SQLite would load it for nothing.
        import psycopg

        with translated(self._database.name), self._database.engine.connect() as pooled:
            connection = pooled.connection.driver_connection
            assert isinstance(connection, psycopg.Connection)
            # The pool shall neither count it nor hand it out again.
            pooled.detach()
            connection.autocommit = True
            connection.execute(f"LISTEN {_CHANNEL}".encode())
            heard()
            while stop not in select.select([connection.fileno(), stop], [], [])[0]:
                for _ in connection.notifies(timeout=0):
                    pass
                heard()
