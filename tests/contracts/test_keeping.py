"""Backups and exports: what comes back is what was there, whole or not at all, whichever database it came from."""

import hashlib
import io
import json
import multiprocessing
import os
import resource
import signal
import sqlite3
import stat
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from alembic import command
from alembic.config import Config

from tests import builders
from tests.databases import Databases
from tests.web.furnished import furnish
from upkeep import wiring
from upkeep.adapters import store as store_package
from upkeep.adapters.store import SqlStore, Waits, lines, migrate, open_store
from upkeep.adapters.store.engine import SqliteDatabase, open_database
from upkeep.adapters.store.tables import REVISION
from upkeep.adapters.store.upgrade import building
from upkeep.domain import events
from upkeep.domain.bundles import Bundle, BundleFile
from upkeep.domain.errors import CallerError, Conflict, SettingsError, TransientError
from upkeep.domain.names import environment_key
from upkeep.domain.people import Scope, Session, Token
from upkeep.flows.ports import Unit
from upkeep.settings import Settings, read

forked = multiprocessing.get_context("fork")

KINDS = ("sqlite", "postgresql")

ODD_TEXT = 'ünïcödé \U0001f600 \x7f\x85\u2028 \\ " \x1f'


@dataclass
class Installation:
    """A database and a state folder."""

    url: str
    folder: Path

    @property
    def settings(self) -> Settings:
        told = f"state: state\ndatabase:\n  url: {self.url}\n"
        return read(told, "upkeep.yaml", folder=self.folder, environ={})

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def exported(self) -> bytes:
        output = io.BytesIO()
        wiring.export(self.settings, output)
        return output.getvalue()

    def rows(self) -> list[bytes]:
        """Every row of every table."""
        with store_package.contents_of(self.url) as found:
            return list(found.lines)

    @contextmanager
    def store(self) -> Iterator[SqlStore]:
        opened = open_store(self.url, state=self.state)
        try:
            yield opened
        finally:
            opened.close()

    def take(self, told: bytes) -> int:
        return wiring.import_lines(self.settings, io.BytesIO(told).readlines(), "export.jsonl")


@pytest.fixture
def make(databases: Databases, tmp_path: Path) -> Iterator[Callable[[str], Installation]]:
    """Makes empty installations on a kind of database, without tables."""
    with ExitStack() as stack:

        def made(kind: str) -> Installation:
            folder = tmp_path / f"installation-{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            return Installation(stack.enter_context(databases.fresh(kind)), folder)

        yield made


@pytest.fixture
def postgres(databases: Databases, tmp_path: Path) -> Iterator[Installation]:
    """An installation on PostgreSQL, migrated and empty."""
    with databases.migrated("postgresql") as url:
        yield Installation(url, tmp_path)


@pytest.fixture(params=KINDS)
def old(request: pytest.FixtureRequest, databases: Databases, tmp_path: Path, now: datetime) -> Iterator[Installation]:
    """An installation with something in every table, and values that are awkward to write."""
    with databases.migrated(request.param) as url:
        found = Installation(url, tmp_path / "old")
        fill(found, now)
        yield found


def fill(found: Installation, now: datetime) -> None:
    found.state.mkdir(parents=True)
    store = open_store(found.url, state=found.state)
    furnish(store, now)
    with store.write() as unit:
        odd = (
            BundleFile("schema/sch\udce4ma.yaml", "100644", builders.object_id(1), 9, b"\xff\xfe\x00binary"),
            BundleFile("text.txt", "100755", builders.object_id(2), 40, f"{ODD_TEXT}\0\r\n".encode()),
            BundleFile("large.bin", "100644", builders.object_id(3), 1 << 40, None),
        )
        unit.registry.keep_bundle(Bundle(builders.object_id("odd"), odd))
        unit.people.add(replace(builders.a_user("odd"), email=ODD_TEXT, password_hash="$argon2id$secret"))
        unit.people.add_session(Session("hash-of-a-session", "odd", now, now + timedelta(days=9)))
        unit.people.add_token(Token("t1", "hash-of-a-token", "odd", "ci", frozenset({Scope.READ}), now))
        unit.fleet.add(builders.an_environment("odd", "1.0", inputs={"n": float("nan"), "s": "\ud800", "deep": [[{}]]}))
        # A number that was given out and is gone is never given out again.
        unit.fleet.add(builders.an_environment("gone", "1.0"))
        unit.fleet.remove(environment_key("gone"))
    store.close()
    (found.state / "proton.key").write_text("the master key\n")
    place = found.state / "local" / "environment" / "test"
    place.mkdir(parents=True)
    (place / "template.yaml").write_bytes(b"Resources: {}\n")
    (found.state / "git").mkdir()
    (found.state / "git" / "templates.git").write_text("a mirror")


@pytest.fixture
def other(old: Installation, make: Callable[[str], Installation]) -> Installation:
    """An empty installation on the other kind of database."""
    return make("sqlite" if old.url.startswith("postgresql") else "postgresql")


@pytest.fixture(params=KINDS)
def small(request: pytest.FixtureRequest, databases: Databases, tmp_path: Path) -> Iterator[Installation]:
    """An installation with a few rows."""
    with databases.migrated(request.param) as url:
        found = Installation(url, tmp_path / "small")
        found.state.mkdir(parents=True)
        with found.store() as store, store.write() as unit:
            for number in range(3):
                enroll(unit, number)
        (found.state / "proton.key").write_text("the master key\n")
        yield found


@pytest.fixture
def target(small: Installation, make: Callable[[str], Installation]) -> Installation:
    """An empty installation on the same kind of database."""
    return make("postgresql" if small.url.startswith("postgresql") else "sqlite")


def enroll(unit: Unit, number: int) -> None:
    """A resource, and in the same transaction what is written down of it."""
    unit.fleet.add(builders.an_environment(f"env-{number}", "1.0"))
    unit.journal.record(events.ResourceWoken(f"environment/env-{number}"), builders.ADMIN, builders.NOON)


def test_a_backup_and_an_export_give_back_every_row_on_the_other_database(
    old: Installation, other: Installation, make: Callable[[str], Installation], tmp_path: Path
) -> None:
    file = tmp_path / "a.backup"
    made = wiring.back_up(old.settings, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert made.files == ["local/environment/test/template.yaml", "proton.key"]
    wiring.restore(other.settings, file, replace=False)
    assert other.rows() == old.rows()
    assert (other.state / "proton.key").read_text() == "the master key\n"
    assert (other.state / "local/environment/test/template.yaml").read_bytes() == b"Resources: {}\n"
    assert not (other.state / "git").exists()
    assert [path.name for path in tmp_path.iterdir() if "backup" in path.name] == ["a.backup"]
    with other.store() as store, store.write() as unit:
        unit.fleet.add(builders.an_environment("later", "1.0"))
    later = next(row for row in other.rows() if b'"later"' in row)
    assert json.loads(later)["resources"]["id"] > max_id(old)
    # So does an export, but for what lets people in.
    told = old.exported()
    copy = make("sqlite" if old.url.startswith("postgresql") else "postgresql")
    assert copy.take(told) == len(told.splitlines()) - 2
    assert copy.exported() == told
    for secret in (b"hash-of", b"$argon2id", b"password_hash", b'{"secrets"', b'{"sessions"', b'{"tokens"'):
        assert secret not in told
    # The same as YAML, for whoever reads that.
    listed = io.BytesIO()
    wiring.export(old.settings, listed, as_yaml=True)
    assert yaml.load(listed.getvalue(), yaml.CSafeLoader) == [json.loads(line) for line in told.splitlines()]
    kinds = {name for line in told.splitlines() for name in json.loads(line)}
    assert {"templates", "versions", "bundle_files", "contents", "resources", "deployments", "users"} < kinds


def max_id(installation: Installation) -> int:
    """The greatest number that a resource was ever given."""
    return int(json.loads(installation.rows()[-1])["end"]["numbers"]["resources"])


def test_a_backup_goes_into_what_is_empty_unless_it_may_replace_it(small: Installation, tmp_path: Path) -> None:
    first = tmp_path / "first"
    wiring.back_up(small.settings, first)
    before = small.rows()
    with small.store() as store, store.write() as unit:
        enroll(unit, 7)
    (small.state / "proton.key").write_text("another key\n")
    with pytest.raises(Conflict, match="something of that name"):
        wiring.back_up(small.settings, first)
    with pytest.raises(Conflict, match="state folder is in use"):
        wiring.restore(small.settings, first, replace=False)
    (small.state / "proton.key").unlink()
    with pytest.raises(Conflict, match=r"holds rows already \(journal, resources\)"):
        wiring.restore(small.settings, first, replace=False)
    assert not (small.state / "proton.key").exists()
    with pytest.raises(Conflict, match="holds rows already"):
        small.take(small.exported())
    wiring.restore(small.settings, first, replace=True)
    assert small.rows() == before
    assert (small.state / "proton.key").read_text() == "the master key\n"


def test_nothing_is_restored_under_a_daemon(small: Installation, tmp_path: Path) -> None:
    file = tmp_path / "a.backup"
    wiring.back_up(small.settings, file)
    with small.store() as store:
        with store.read():
            # Whoever only checks is gone again; whoever works keeps a connection.
            pass
        with pytest.raises(Conflict, match="the database is in use by") as caught:
            wiring.restore(small.settings, file, replace=True)
        if small.url.startswith("postgresql"):
            assert f"process {os.getpid()}" in caught.value.message
        store.check()


def test_a_backup_that_was_touched_or_cut_off_is_refused(make: Any, databases: Databases, tmp_path: Path) -> None:
    with databases.migrated("sqlite") as url:
        installation = Installation(url, tmp_path)
        file, bad = tmp_path / "good", tmp_path / "bad"
        wiring.back_up(installation.settings, file)
        content = file.read_bytes()
        target = make("sqlite")
        for wrong, said in (
            (content[:-30], "not written whole"),
            (b"", "not written whole"),
            (b"{}", "not written whole"),
            (content[:200] + bytes([content[200] ^ 1]) + content[201:], "damaged"),
            (changed(content, "rows.jsonl", lambda rows: rows.replace(b"{", b"{ ")), "damaged"),
            (changed(content, "files/../../evil", lambda _: b"x"), "damaged"),
            (changed(content, "manifest.json", lambda told: told.replace(b'backup": 1', b'backup": 2')), "form 2"),
            (changed(content, "manifest.json", lambda told: b"[]"), "no backup"),
            (
                changed(content, "manifest.json", lambda told: told.replace(b'"rows": {', b'"rows": {"a": "b",')),
                "no backup",
            ),
            (with_file(content, "files/"), "damaged"),
        ):
            bad.write_bytes(wrong)
            with pytest.raises(CallerError, match=said) as caught:
                wiring.restore(target.settings, bad, replace=True)
            assert str(bad) in str(caught.value)
            assert not Path(target.url.removeprefix("sqlite:///")).exists()
        with pytest.raises(CallerError, match="cannot be read"):
            wiring.restore(target.settings, tmp_path / "nowhere", replace=True)


def test_who_cannot_put_every_file_in_place_has_replaced_none(small: Installation, tmp_path: Path) -> None:
    stack = small.state / "local" / "environment" / "test" / "template.yaml"
    stack.parent.mkdir(parents=True)
    stack.write_text("Resources: {}\n")
    good, bad = tmp_path / "good", tmp_path / "bad"
    wiring.back_up(small.settings, good)
    # A file where a folder has to be.
    bad.write_bytes(with_file(good.read_bytes(), "files/local"))
    before = small.rows()
    with pytest.raises(CallerError, match="Not a directory"):
        wiring.restore(small.settings, bad, replace=True)
    assert stack.read_text() == "Resources: {}\n"
    assert small.rows() == before
    assert not list(small.state.glob(".restored.*"))


def test_a_disk_that_is_full_is_not_taken_for_somebody_at_work(make: Any, tmp_path: Path) -> None:
    installation = make("sqlite")
    wiring.migrate(installation.settings)
    wiring.back_up(installation.settings, tmp_path / "a.backup")
    for target in (leave_much_to_be_written_back, restore_without_room):
        process = forked.Process(target=target, args=(installation, tmp_path / "a.backup"))
        process.start()
        process.join()
        assert process.exitcode == 0


def leave_much_to_be_written_back(installation: Installation, _: Path) -> None:
    """As who was killed leaves it: the next one to close the file writes it back."""
    connection = sqlite3.connect(installation.url.removeprefix("sqlite:///"))
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("INSERT INTO contents VALUES (x'00', zeroblob(4000000))")
    connection.commit()
    os._exit(0)


def restore_without_room(installation: Installation, file: Path) -> None:
    """No file may grow beyond a million bytes, as on a disk that ends there."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    with pytest.raises(TransientError, match=r"cannot be read or written|is full"):
        wiring.restore(installation.settings, file, replace=True)


def changed(content: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    """An archive with one file in it otherwise."""
    output = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(output, "w") as after:
        for each in {*before.namelist(), name}:
            found = before.read(each) if each in before.namelist() else b""
            after.writestr(each, change(found) if each == name else found)
    return output.getvalue()


def with_file(content: bytes, name: str) -> bytes:
    """A backup with one file more, which its manifest knows."""
    said = f'"sha256": {{"{name}": "{hashlib.sha256(b"").hexdigest()}",'.encode()
    return changed(
        changed(content, name, lambda _: b""), "manifest.json", lambda told: told.replace(b'"sha256": {', said)
    )


def test_a_backup_taken_while_others_write_has_whole_transactions_only(
    small: Installation, target: Installation, tmp_path: Path
) -> None:
    stop = threading.Event()

    def write(first: int) -> None:
        with small.store() as store:
            for number in range(first, first + 100_000):
                if stop.is_set():
                    return
                with store.write() as unit:
                    enroll(unit, number)

    writers = [threading.Thread(target=write, args=(first,)) for first in (1_000_000, 2_000_000)]
    for writer in writers:
        writer.start()
    seen = []
    try:
        for number in range(2):
            wiring.back_up(small.settings, tmp_path / f"{number}.backup")
            with zipfile.ZipFile(tmp_path / f"{number}.backup") as archive:
                rows = json.loads(archive.read("manifest.json"))["rows"]
            assert rows["resources"] == rows["journal"]
            seen.append(rows["journal"])
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert seen == sorted(seen)
    wiring.restore(target.settings, tmp_path / "1.backup", replace=False)
    rows = [json.loads(row) for row in target.rows()]
    named = {row["resources"]["key"] for row in rows if "resources" in row}
    assert named == {row["journal"]["subject"] for row in rows if "journal" in row}
    assert len(named) == seen[-1]


def killed(act: Callable[[], object], point: str, time: int = 1) -> None:
    """Run it in a process of its own that is killed before the n-th statement that begins so, or the n-th such call of
    the operating system."""

    def run() -> None:
        left = time

        def reached() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        def before(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if statement.lstrip().startswith(point):
                reached()

        sa.event.listen(sa.Engine, "before_cursor_execute", before)
        if point == "COMMIT":
            sa.event.listen(sa.Engine, "commit", lambda _: reached())
        sys.addaudithook(lambda name, _: reached() if name == point else None)
        act()

    process = forked.Process(target=run)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL, f"{point} was never reached"


def test_who_is_killed_while_it_writes_a_backup_leaves_none(small: Installation, tmp_path: Path) -> None:
    file = tmp_path / "backups" / "a.backup"
    file.parent.mkdir()
    for point, time in (("SELECT resources", 1), ("os.link", 1)):
        killed(lambda: wiring.back_up(small.settings, file), point, time)
        assert not file.exists()
        assert all(left.name.startswith(".a.backup.") for left in file.parent.iterdir())
    wiring.back_up(small.settings, file)


def test_who_is_killed_while_it_restores_has_restored_nothing(
    small: Installation, target: Installation, tmp_path: Path
) -> None:
    file = tmp_path / "a.backup"
    wiring.back_up(small.settings, file)
    killed(lambda: wiring.restore(target.settings, file, replace=False), "INSERT INTO resources")
    with pytest.raises(SettingsError, match="no tables yet"):
        wiring.require_migrated(target.settings)
    wiring.restore(target.settings, file, replace=False)
    with target.store() as store, store.write() as unit:
        enroll(unit, 7)
    before = target.rows()
    (target.state / "proton.key").unlink()
    killed(lambda: wiring.restore(target.settings, file, replace=True), "COMMIT")
    assert target.rows() == before
    # The files are there already; whoever restores again has all of it.
    assert (target.state / "proton.key").exists()


def test_who_is_killed_while_it_migrates_has_changed_nothing(
    make: Any, empty_database_url: str, tmp_path: Path
) -> None:
    installation = Installation(empty_database_url, tmp_path)
    at_revision(installation, "0001")
    before = installation.rows()
    killed(lambda: wiring.migrate(installation.settings), "ALTER TABLE", 9)
    assert installation.rows() == before
    wiring.migrate(installation.settings)
    wiring.require_migrated(installation.settings)
    assert any(b'"ada"' in row for row in installation.rows())


def at_revision(installation: Installation, revision: str) -> None:
    """The tables of an older program, with somebody in them."""
    config = Config()
    config.set_main_option("script_location", str(Path(store_package.__file__).parent / "migrations"))
    installation.state.mkdir(parents=True, exist_ok=True)
    database = open_database(installation.url)
    with database.transaction(writing=True) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.execute(
            sa.text("INSERT INTO users VALUES ('ada', 'admin', '$argon2id$', '2026-01-02 03:04:05.000000', NULL)")
        )
    database.close()


def test_a_backup_of_an_older_program_is_brought_up_to_this_one(
    empty_database_url: str, make: Any, tmp_path: Path
) -> None:
    installation = Installation(empty_database_url, tmp_path)
    at_revision(installation, "0004")
    made = wiring.back_up(installation.settings, tmp_path / "a.backup")
    assert made.revision == "0004"
    with pytest.raises(SettingsError, match="run `upkeep migrate`"):
        installation.exported()
    assert b'"revision":"0004"' in installation.rows()[0]
    target = make("sqlite" if empty_database_url.startswith("postgresql") else "postgresql")
    wiring.restore(target.settings, tmp_path / "a.backup", replace=False)
    wiring.require_migrated(target.settings)
    with target.store() as store, store.read() as unit:
        (ada,) = unit.people.list()
    assert (ada.name, ada.password_hash, ada.teams) == ("ada", "$argon2id$", frozenset())


def test_a_backup_of_a_newer_program_is_refused(make: Any, databases: Databases, tmp_path: Path) -> None:
    target = make("sqlite")
    with pytest.raises(SettingsError, match=r"newer program \(9999, not .*install that program again"):
        target.take(b'{"upkeep":1,"revision":"9999"}\n')
    with databases.migrated("sqlite") as url:
        installation = Installation(url, tmp_path)
        with sa.create_engine(url).begin() as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(SettingsError, match="newer program"):
            wiring.back_up(installation.settings, tmp_path / "a.backup")
    assert not (tmp_path / "a.backup").exists()


def test_the_tables_of_a_newer_program_are_not_replaced_by_halves(small: Installation, tmp_path: Path) -> None:
    wiring.back_up(small.settings, tmp_path / "a.backup")
    engine = sa.create_engine(small.url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE horses (template TEXT REFERENCES templates (name))"))
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(Conflict, match="tables of a newer program") as caught:
        wiring.restore(small.settings, tmp_path / "a.backup", replace=True)
    assert "empty database" in (caught.value.cure or "")
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM resources")).scalar() == 3
    engine.dispose()


ODD_LINES = [
    ("1", b"{}", "no export of upkeep"),
    ("1", b'{"upkeep":2,"revision":"0001"}', "form 2"),
    ("1", b'{"upkeep":1,"revision":"0000"}', "`0000` is no revision"),
    ("1", b'{"upkeep":1,"revision":"-1"}', "`-1` is no revision"),
    ("1", b'{"upkeep":1,"revision":7}', "`7` is no revision"),
    ("3", b"{", "no JSON object"),
    ("3", b"[]", "no JSON object"),
    ("3", b'{"a":1,"b":2}', "no JSON object"),
    ("3", b'{"users":"\xff"}', "no UTF-8"),
    ("3", b'{"horses":{}}', "no table `horses`"),
    ("3", b'{"users":{"name":"eve"}}', "`users.role` is missing"),
    (
        "3",
        b'{"users":{"name":"eve","role":"admin","created_at":"2026-01-01","teams":"shop"}}',
        "`users.teams` is not JSON",
    ),
    ("3", b'{"users":{"name":"eve","role":"queen"}}', "`users.role` is not one of admin, developer, viewer"),
    ("3", b'{"users":{"name":"eve","role":["admin"]}}', "`users.role` is not one of"),
    ("3", b'{"users":{"horse":"eve"}}', "no column `horse`"),
    ("3", b'{"users":{"name":7,"role":"admin","created_at":"2026-01-01"}}', "`users.name` is not a text"),
    ("3", b'{"users":{"name":"a\\u0000","role":"admin","created_at":"2026-01-01"}}', "`users.name` is not a text"),
    ("3", b'{"users":{"name":"eve","role":"admin","created_at":"noon"}}', "`users.created_at` is not a time"),
    ("3", b'{"numbers":{"name":"x","last":1.5}}', "`numbers.last` is not a whole number"),
    ("3", b'{"numbers":{"name":"x","last":true}}', "`numbers.last` is not a whole number"),
    ("3", b'{"numbers":{"name":"x","last":99999999999999999999}}', "`numbers.last` is not a whole number"),
    ("3", b'{"contents":{"digest":{"base64":"?"},"content":""}}', "`contents.digest` is not a text, or"),
    ("2-3", b'{"users":{"name":"ada","role":"admin","created_at":"2026-01-01"}}', "a row of `users` does not fit"),
    (
        "4",
        b'{"users":{"name":"eve","role":"admin","created_at":"2026-01-01"}}',
        "2 rows stand here, and 1 were",
    ),
    ("3", b'{"end":{"rows":1,"numbers":{"users":3}}}', "`users` gives out no number 3"),
    ("4", b'{"end":{"rows":1,"numbers":{}}}', "something stands behind the end"),
]


def test_a_line_that_is_wrong_is_named_and_nothing_is_taken(database_url: str, make: Any) -> None:
    head = f'- {{"upkeep":1,"revision":"{REVISION}"}}'.encode()
    ada = b'{"users":{"name":"ada","role":"admin","created_at":"2026-01-01T00:00:00Z"}}'
    end = b'{"end":{"rows":1,"numbers":{}}}'
    database = open_database(database_url)
    with database.transaction(writing=True) as connection:
        for where, line, said in ODD_LINES:
            told = iter([line, ada, end] if where == "1" else [head, ada, line, end])
            with pytest.raises(CallerError) as caught, connection.begin_nested():
                lines.revision_of(next(told), "export.jsonl")
                lines.insert(connection, told, "export.jsonl", lines.Counts(), edited=True)
            assert (said in caught.value.message, caught.value.where) == (True, f"export.jsonl:{where}"), caught.value
            assert caught.value.cure
    database.close()
    target = make("sqlite")
    with pytest.raises(CallerError, match="the end is missing"):
        target.take(b"\n".join([head, ada]))
    with pytest.raises(SettingsError, match="no tables yet"):
        target.rows()


def test_a_row_that_refers_to_none_is_named_and_nothing_is_taken(make: Any) -> None:
    told = [
        f'{{"upkeep":1,"revision":"{REVISION}"}}'.encode(),
        b'{"majors":{"template":"nowhere","major":1,"path":"a/v1","next_minor":0}}',
        b'{"end":{"rows":1,"numbers":{}}}',
    ]
    target = make("sqlite")
    with pytest.raises(CallerError, match="`nowhere/1` in `majors` refers to a row of `templates`") as caught:
        target.take(b"\n".join(told))
    assert caught.value.where == "export.jsonl"
    with pytest.raises(SettingsError, match="no tables yet"):
        target.rows()


def test_who_migrates_meanwhile_is_named(postgres: Installation, tmp_path: Path) -> None:
    database = open_database(postgres.url)
    waits = Waits(timedelta(seconds=0.2), timedelta(seconds=0.2), timedelta(seconds=0.5))
    with (
        building(database, waits),
        pytest.raises(TransientError, match=r"is changing the tables: upkeep on .*process"),
    ):
        migrate(postgres.url, state=tmp_path, waits=waits)
    database.close()


def test_who_holds_a_table_is_named_and_what_takes_too_long_is_undone(postgres: Installation) -> None:
    database = open_database(postgres.url)
    waits = Waits(timedelta(seconds=0.2), timedelta(seconds=0.2), timedelta(seconds=0.5))
    drop = sa.text("ALTER TABLE users ADD COLUMN horse integer")
    with database.transaction(writing=False) as connection:
        connection.execute(sa.text("SELECT * FROM users"))
        with (
            pytest.raises(TransientError, match=r"a table stayed in use .* upkeep on .*process") as caught,
            building(database, waits) as other,
        ):
            other.execute(drop)
    assert "lock_timeout" in str(caught.value.cure)
    with (
        pytest.raises(TransientError, match=r"took longer than 0\.5 s") as caught,
        building(database, waits) as other,
    ):
        other.execute(drop)
        other.execute(sa.text("SELECT pg_sleep(5)"))
    assert "statement_timeout" in str(caught.value.cure)
    with database.transaction(writing=False) as connection:
        assert "horse" not in {column["name"] for column in sa.inspect(connection).get_columns("users")}
    database.close()


def test_who_writes_for_too_long_is_found_by_the_lock(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "upkeep.db")
    told = f"database: {{url: 'sqlite:///{database.path}', migration: {{wait: 1s}}}}"
    with database.turn(), pytest.raises(TransientError, match="has been writing for 1 s") as caught:
        wiring.migrate(read(told, "upkeep.yaml", folder=tmp_path, environ={}))
    assert f"fuser {database.path}.lock" in str(caught.value.cure)
