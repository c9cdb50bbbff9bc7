"""How a store is opened, migrated, and what it says when its database is away, full, locked or foreign."""

import multiprocessing
import os
import pwd
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from tests.builders import a_source, a_user
from upkeep.adapters import store as store_package
from upkeep.adapters.store import SqlStore, migrate, open_store
from upkeep.adapters.store.engine import open_database
from upkeep.adapters.store.tables import REVISION, metadata
from upkeep.domain.deployments import Phase
from upkeep.domain.errors import SettingsError, StalledError, TransientError, UpkeepError
from upkeep.domain.names import environment_key
from upkeep.domain.resources import Counters, Placement
from upkeep.domain.work import WorkKind

forked = multiprocessing.get_context("fork")


def driver(url: str) -> sa.Engine:
    """An engine of the test's own."""
    return sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))


def schema(url: str) -> set[str]:
    """Every index and table as the database itself describes it."""
    query = (
        "SELECT coalesce(sql, name) FROM sqlite_master WHERE name NOT LIKE 'alembic%'"
        if url.startswith("sqlite")
        else "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
        " UNION SELECT table_name || column_name || data_type || is_nullable || coalesce(collation_name, '')"
        " FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'"
        " UNION SELECT conrelid::regclass::text || conname || pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'"
    )
    with driver(url).connect() as connection:
        return {" ".join(row.split()).replace(", ", ",") for row in connection.execute(sa.text(query)).scalars() if row}


def test_migrations_lead_exactly_to_the_tables(database_url: str, databases, request) -> None:
    with driver(database_url).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": types_differ})
        assert compare_metadata(context, metadata) == []
    with databases.fresh(request.node.callspec.params["database_url"]) as created:
        with driver(created).begin() as connection:
            metadata.create_all(connection)
        if database_url.startswith("postgresql"):
            assert schema(database_url) == schema(created)
        else:
            assert {line.lower() for line in indexes(schema(database_url))} == {
                line.lower() for line in indexes(schema(created))
            }


def types_differ(context: MigrationContext, _kept: object, _wanted: object, kept: Any, wanted: Any) -> bool:
    return kept.compile(context.dialect) != wanted.compile(context.dialect)


def indexes(described: set[str]) -> list[str]:
    return [line for line in described if "INDEX" in line]


def test_the_revision_is_the_last_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(store_package.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def test_migrating_twice_changes_nothing(database_url: str, tmp_path: Path) -> None:
    store = open_store(database_url, state=tmp_path)
    with store.write() as unit:
        unit.sources.add(a_source())
    store.close()
    migrate(database_url, state=tmp_path)
    store = open_store(database_url, state=tmp_path)
    with store.read() as unit:
        assert unit.sources.list() == (a_source(),)
    store.close()


def test_what_an_older_program_left_under_way_is_followed_after_an_upgrade(
    empty_database_url: str, tmp_path: Path
) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(store_package.__file__).parent / "migrations"))
    columns = "id, resource, action, status, target_major, target_minor, target_inputs, asked_by, created_at, begun_at"
    noon = "'2026-03-02 12:00:00.000000'"
    with driver(empty_database_url).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for name, handle in (("test", "'create:d-test:environment/test'"), ("live", "NULL")):
            row = f"'d-{name}', 'environment/{name}', 'create', 'IN_PROGRESS', 1, 0, '{{}}', 'dev', {noon}, {noon}"
            connection.execute(sa.text(f"INSERT INTO deployments ({columns}, handle) VALUES ({row}, {handle})"))
        shown = "label, search, standing, minors, majors, failed, urgency, inputs, outputs, created_at, status"
        row = f"'test', 'test', 'undeployed', 0, 0, 0, 0, '{{}}', '{{}}', {noon}, 'IN_PROGRESS'"
        connection.execute(
            sa.text(
                f"INSERT INTO resources (key, kind, name, template, account_id, {shown})"
                f" VALUES ('environment/test', 'environment', 'test', 'network-env', '123456789012', {row})"
            )
        )
    migrate(empty_database_url, state=tmp_path)
    store = open_store(empty_database_url, state=tmp_path)
    with store.read() as unit:
        executed, begun = unit.deployments.get("d-test"), unit.deployments.get("d-live")
        resource = unit.fleet.get(environment_key("test"))
        counters = unit.fleet.counters()
    store.close()
    assert (executed.phase, executed.accepted_at) == (Phase.EXECUTING, executed.begun_at)
    assert (begun.phase, begun.executed_at) == (Phase.PROPOSING, None)
    assert resource.placement == Placement("123456789012")
    assert (resource.tags, resource.drift, resource.stack) == ({}, None, None)
    assert counters == Counters(total=1, undeployed=1)


def test_who_is_signed_in_stays_so_through_an_upgrade(empty_database_url: str, tmp_path: Path) -> None:
    database = open_database(empty_database_url)
    with database.transaction(writing=True) as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(store_package.__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        connection.execute(
            sa.text("INSERT INTO users VALUES ('ada', 'admin', '$argon2id$', '2026-01-02 03:04:05', 'ada@example.com')")
        )
        connection.execute(
            sa.text("INSERT INTO sessions VALUES ('f0', 'ada', '2026-01-02 03:04:05', '2026-01-02 15:04:05')")
        )
    database.close()
    migrate(empty_database_url, state=tmp_path)
    store = open_store(empty_database_url, state=tmp_path)
    with store.write() as unit:
        (ada,) = unit.people.list()
        assert (ada.name, ada.role, ada.password_hash, ada.email) == ("ada", "admin", "$argon2id$", "ada@example.com")
        assert (ada.provider, ada.teams) == (None, frozenset())
        session = unit.people.session("f0")
        assert session is not None
        assert (session.user, session.seen_at) == ("ada", None)
        # Sessions still belong to users: what was switched off for the upgrade is on again.
        unit.people.remove("ada")
        assert unit.people.session("f0") is None
    store.close()


def test_processes_that_migrate_at_once_do_not_collide(empty_database_url: str, tmp_path: Path) -> None:
    def run() -> None:
        migrate(empty_database_url, state=tmp_path)
        open_store(empty_database_url, state=tmp_path).close()

    processes = [forked.Process(target=run) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4


def test_a_database_that_was_not_migrated_is_not_opened(empty_database_url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="upkeep migrate"):
        open_store(empty_database_url, state=tmp_path)
    if empty_database_url.startswith("sqlite"):
        assert not Path(empty_database_url.removeprefix("sqlite:///")).exists()


def test_a_database_of_a_newer_or_older_program_is_refused(database_url: str, tmp_path: Path) -> None:
    for revision, said in (("9999", "newer"), ("0000", "older")):
        with driver(database_url).begin() as connection:
            connection.execute(sa.text(f"UPDATE alembic_version SET version_num = '{revision}'"))
        with pytest.raises(SettingsError, match=said):
            open_store(database_url, state=tmp_path)
        if said == "newer":
            with pytest.raises(SettingsError, match=said):
                migrate(database_url, state=tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "mysql://ada:geheim@host/db",
        "sqlite://host/x",
        "postgresql://ada:geheim@[::1/db",
        "sqlite+x:///y",
    ],
)
def test_a_url_that_names_no_database_is_refused_without_being_repeated(url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        open_store(url, state=tmp_path)
    assert "geheim" not in str(caught.value)


def test_an_option_that_is_none_in_a_url_is_told_as_that(tmp_path: Path) -> None:
    with pytest.raises(StalledError, match="the database's URL has an option that PostgreSQL does not know") as caught:
        open_store("postgresql://ada:geheim@127.0.0.1:1/upkeep?sslmod=verify-full", state=tmp_path)
    assert "geheim" not in str(caught.value)


def test_a_server_that_does_not_answer_is_away_for_now_and_no_password_is_told(tmp_path: Path) -> None:
    url = "postgres://ada:geheim@127.0.0.1:1/upkeep"
    for attempt in (open_store, migrate):
        with pytest.raises(TransientError) as caught:
            attempt(url, state=tmp_path)
        assert caught.value.where is not None
        assert caught.value.where.startswith("upkeep on 127.0.0.1: ")
        assert caught.value.where.endswith("port 1 failed: Connection refused")
        error: BaseException | None = caught.value
        while error is not None:
            assert "geheim" not in str(error)
            error = error.__cause__


def test_a_server_that_refuses_us_is_quoted(databases, tmp_path: Path) -> None:
    with databases.fresh("postgresql") as url:
        nowhere = sa.make_url(url).set(database="nowhere").render_as_string()
        with pytest.raises(TransientError, match="refuses the connection") as caught:
            open_store(nowhere, state=tmp_path)
    assert caught.value.where is not None
    assert caught.value.where.startswith("nowhere on ")
    # In the place and not in the message: strangers are not told of places.
    assert caught.value.where.endswith('database "nowhere" does not exist')


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    file = tmp_path / "upkeep.db"
    file.write_text("no database " * 1000)
    with pytest.raises(UpkeepError, match="no SQLite database") as caught:
        migrate(f"sqlite:///{file}", state=tmp_path)
    assert caught.value.where == str(file)


def test_a_unit_within_a_unit_is_a_bug(each_store: SqlStore) -> None:
    with each_store.read(), pytest.raises(RuntimeError), each_store.write():
        pass
    with each_store.write() as unit:
        unit.sources.list()


def test_a_reading_unit_cannot_write(each_store: SqlStore, now: datetime) -> None:
    for write in (
        lambda unit: unit.sources.add(a_source()),
        lambda unit: unit.work.ask(WorkKind.SYNC, "a", now),
        lambda unit: unit.people.remove("ada"),
        lambda unit: unit.sources.save(a_source()),
    ):
        with pytest.raises(RuntimeError, match="reading"), each_store.read() as unit:
            write(unit)
    with each_store.write() as unit:
        assert unit.sources.list() == ()
        unit.sources.add(a_source())


def test_a_reading_unit_sees_one_state(any_store: SqlStore, database_url: str, tmp_path: Path) -> None:
    other = open_store(database_url, state=tmp_path / "state")
    with any_store.read() as unit:
        assert unit.sources.list() == ()
        with other.write() as writing:
            writing.sources.add(a_source())
        assert unit.sources.list() == ()
    with any_store.read() as unit:
        assert len(unit.sources.list()) == 1
    other.close()


def test_many_threads_write_in_turn(each_store: SqlStore, now: datetime) -> None:
    with each_store.write() as unit:
        unit.sources.add(a_source())
    failures: list[BaseException] = []

    def count() -> None:
        try:
            for _ in range(10):
                with each_store.write() as unit:
                    source = unit.sources.get("templates")
                    unit.sources.save(a_source(failures=source.failures + 1))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with each_store.read() as unit:
        assert unit.sources.get("templates").failures == 80


def test_a_sync_and_a_poll_of_one_source_do_not_undo_each_other(
    any_store: SqlStore, database_url, tmp_path, now
) -> None:
    other = open_store(database_url, state=tmp_path / "state")
    with any_store.write() as unit:
        unit.sources.add(a_source())
    with any_store.write() as unit:
        (source,) = unit.sources.list()
        if database_url.startswith("postgresql"):
            with other.write() as meanwhile:
                meanwhile.sources.save(a_source(synced_commit="1" * 40))
                meanwhile.sources.get("templates")
        unit.sources.save(a_source(failures=source.failures + 1))
    with any_store.read() as unit:
        found = unit.sources.get("templates")
    assert found.failures == 1
    assert found.synced_commit == ("1" * 40 if database_url.startswith("postgresql") else None)
    other.close()


def test_a_store_can_be_used_on_both_sides_of_a_fork(any_store: SqlStore, now: datetime) -> None:
    def write(number: int) -> None:
        for turn in range(10):
            with any_store.write() as unit:
                unit.people.add(a_user(f"user{number}-{turn}"))

    any_store.check()
    processes = [forked.Process(target=write, args=(number,)) for number in range(3)]
    for process in processes:
        process.start()
    write(9)
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    with any_store.read() as unit:
        assert len(unit.people.list()) == 40


def test_a_store_that_can_be_written_is_ready(each_store: SqlStore) -> None:
    each_store.check()
    each_store.check()


@contextmanager
def said_soon(words: str) -> Iterator[None]:
    began = time.monotonic()
    with pytest.raises(TransientError, match=words) as caught:
        yield
    assert caught.value.cure
    assert time.monotonic() - began < 4


def test_a_locked_database_is_not_ready_and_is_again_when_the_lock_ends(any_store: SqlStore, database_url: str) -> None:
    any_store.check()
    if database_url.startswith("sqlite"):
        with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with said_soon("locked"):
                any_store.check()
    else:
        with psycopg.connect(database_url) as locking:
            locking.execute("LOCK TABLE numbers IN EXCLUSIVE MODE")
            with said_soon("locked"):
                any_store.check()
    any_store.check()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_full_disk_is_told_and_loses_nothing(any_store: SqlStore, now: datetime) -> None:
    # SQLite refuses to grow the file in the same way, and with the same code, as when the disk does.
    with any_store.write() as unit:
        unit.sources.add(a_source())
        pages = unit.sources._transaction.connection.exec_driver_sql("PRAGMA page_count").scalar()  # type: ignore[attr-defined]
        unit.sources._transaction.connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")  # type: ignore[attr-defined]
    with said_soon("full"), any_store.write() as unit:
        for number in range(10_000):
            unit.work.ask(WorkKind.SYNC, f"a{number}", now)
    with any_store.read() as unit:
        assert (unit.work.list(1), unit.sources.list()) == ((), (a_source(),))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_read_only_server_is_told_and_is_used_again_when_it_can_be_written(
    any_store: SqlStore, database_url: str
) -> None:
    def switch(to: str) -> None:
        with psycopg.connect(database_url, autocommit=True) as administrator:
            administrator.execute("SET default_transaction_read_only = off")
            administrator.execute(
                f"ALTER DATABASE {sa.make_url(database_url).database} SET default_transaction_read_only = {to}"
            )
            administrator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    switch("on")
    with said_soon("read-only"):
        any_store.check()
    switch("off")
    any_store.check()


@pytest.mark.parametrize(("closed", "said"), [("file", "read-only"), ("folder", "opened")])
def test_a_file_that_may_not_be_written_is_told(closed: str, said: str) -> None:
    def try_it(path: Path) -> None:
        if os.geteuid() == 0:
            os.setuid(pwd.getpwnam("nobody").pw_uid)
        with pytest.raises(TransientError, match=said):
            open_store(f"sqlite:///{path}", state=path.parent).check()

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "upkeep.db"
        migrate(f"sqlite:///{path}", state=path.parent)
        for beside in Path(folder).iterdir():
            beside.chmod(0o444 if beside == path else 0o666)
        Path(folder).chmod(0o755 if closed == "file" else 0o000)
        process = forked.Process(target=try_it, args=(path,))
        process.start()
        process.join(30)
        Path(folder).chmod(0o700)
    assert process.exitcode == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_damaged_file_needs_a_person(database_url: str, tmp_path: Path) -> None:
    Path(database_url.removeprefix("sqlite:///")).write_bytes(b"no database at all" * 1000)
    with pytest.raises(UpkeepError, match="SQLite"):
        open_store(database_url, state=tmp_path)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_is_committed_on_sqlite_is_on_the_disk_unless_it_need_not_be(any_store: SqlStore) -> None:
    for durable, synchronous in ((True, 2), (False, 1), (True, 2)):
        with any_store.write(durable=durable) as unit:
            ask = unit.sources._transaction.connection.exec_driver_sql
            names = ("journal_mode", "synchronous", "foreign_keys")
            settings = {name: ask(f"PRAGMA {name}").scalar() for name in names}
        assert settings == {"journal_mode": "wal", "synchronous": synchronous, "foreign_keys": 1}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_connection_to_a_file_writes_or_reads_and_is_never_told_to_do_the_other(any_store: SqlStore) -> None:
    """Whichever it is told anew lets SQLite forget all statements that the connection has prepared."""
    used: dict[str, set[object]] = {"read": set(), "write": set()}
    for kind, begin in (("write", any_store.write), ("read", any_store.read)) * 2:
        with begin() as unit:
            used[kind].add(unit.sources._transaction.connection.connection.driver_connection)
    assert len(used["read"] | used["write"]) == 2
    assert not used["read"] & used["write"]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_transactions_that_wait_for_each_other_are_told_apart(any_store: SqlStore, now: datetime) -> None:
    with any_store.write() as unit:
        unit.sources.add(a_source("a"))
        unit.sources.add(a_source("b"))
    told: list[TransientError] = []
    both = threading.Barrier(2)

    def cross(first: str, second: str) -> None:
        try:
            with any_store.write() as unit:
                unit.sources.get(first)
                both.wait(10)
                unit.sources.get(second)
        except TransientError as error:
            told.append(error)

    threads = [threading.Thread(target=cross, args=names) for names in ("ab", "ba")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 1


def test_the_name_of_a_database_tells_no_password() -> None:
    assert open_database("postgresql://ada:geheim@db.example/upkeep").name == "upkeep on db.example"
