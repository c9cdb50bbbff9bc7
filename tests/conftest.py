"""What every test stands on: a fixed time, a store, and a world without network, git configuration or home."""

import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.databases import Databases
from tests.emulator.harness import KEY, SECRET, CannotRun, Emulator
from tests.trials.invariants import HEADCOUNTS
from upkeep.adapters.store import SqlStore, open_store

TOGETHER = (
    "tests/browser/stories/",
    "tests/browser/",
    "tests/contracts/test_query_plans.py",
    "tests/stories/test_seen.py",
)
"""Where tests share what takes long to begin, a daemon, a browser or large tables: one process runs all of a place."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests go wherever there is time for them, one by one, but for those that are run together."""
    from xdist.scheduler import LoadScopeScheduling

    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = lambda nodeid: next(filter(nodeid.startswith, TOGETHER), nodeid)
    return scheduler


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Half as many more as there are cores, because many tests wait for the processes that they have started."""
    return min(8, (os.cpu_count() or 1) * 3 // 2)


@pytest.fixture
def now() -> datetime:
    """The time it is: noon of a Monday."""
    return datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    """An empty store in memory."""
    opened = open_store("sqlite://", state=tmp_path)
    yield opened
    _require_true_headcounts(opened)
    opened.close()


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Makes databases; its PostgreSQL server starts when the first of them is asked for."""
    made = Databases(tmp_path_factory.mktemp("databases"))
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, databases: Databases) -> Iterator[str]:
    """A database without tables."""
    with databases.fresh(request.param) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, databases: Databases) -> Iterator[str]:
    """A migrated database, on each kind of server."""
    with databases.migrated(request.param) as url:
        yield url


@pytest.fixture
def any_store(database_url: str, tmp_path: Path) -> Iterator[SqlStore]:
    """An empty store on each kind of database."""
    opened = open_store(database_url, state=tmp_path / "state")
    yield opened
    _require_true_headcounts(opened)
    opened.close()


@pytest.fixture
def samples() -> Path:
    """The folder of sample bundles beside the repository; tests without them are skipped."""
    folder = Path(os.environ.get("UPKEEP_SAMPLES", Path(__file__).parents[2] / "shared" / "samples"))
    if not folder.is_dir():
        pytest.skip(f"there are no samples in {folder}: set UPKEEP_SAMPLES")
    return folder


@pytest.fixture(scope="session")
def _running_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    try:
        running = Emulator(tmp_path_factory.mktemp("emulator"))
    except CannotRun as fault:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(fault))
    yield running
    running.stop()


@pytest.fixture
def emulator(_running_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """AWS, emulated and empty. boto3's own chain finds the credentials it knows, and no others."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    _running_emulator.reset()
    return _running_emulator


@pytest.fixture(autouse=True, scope="session")
def _only_loopback() -> Iterator[None]:
    """A test that talks to the world fails."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def refuse_others(address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else "127.0.0.1"
        local = host == "localhost" or (_is_ip(host) and ip_address(host.partition("%")[0]).is_loopback)
        if not local:
            raise AssertionError(f"a test wants to connect to {address}: only loopback is allowed")

    def guarded(self: socket.socket, address: Any) -> None:
        refuse_others(address)
        connect(self, address)

    def guarded_ex(self: socket.socket, address: Any) -> int:
        refuse_others(address)
        return connect_ex(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        patch.setattr(socket.socket, "connect_ex", guarded_ex)
        yield


@pytest.fixture(autouse=True)
def _own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the home nor the git configuration of whoever runs the tests matters, nor their own settings."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in [name for name in os.environ if name.startswith(("GIT_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_TERMINAL_PROMPT", "0")


def _require_true_headcounts(store: SqlStore) -> None:
    """Whatever a test did, what is kept of its resources is what counting them gives."""
    with store.read() as unit:
        assert unit._transaction.connection.execute(sa.text(HEADCOUNTS)).all() == []


def _is_ip(text: str) -> bool:
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
