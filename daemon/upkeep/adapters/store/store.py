"""The store: books over one transaction."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

from upkeep.adapters.store.annotations import Annotations
from upkeep.adapters.store.answers import Answers
from upkeep.adapters.store.bells import Bell, Notifications, Pipes
from upkeep.adapters.store.deliveries import Deliveries
from upkeep.adapters.store.deployments import Deployments
from upkeep.adapters.store.engine import Database, SqliteDatabase, open_database
from upkeep.adapters.store.fleet import Fleet
from upkeep.adapters.store.gauges import GaugeReadings
from upkeep.adapters.store.journal import Journal
from upkeep.adapters.store.listings import Listings
from upkeep.adapters.store.outbox import Outbox
from upkeep.adapters.store.people import People
from upkeep.adapters.store.plans import Plans
from upkeep.adapters.store.records import OldRecords
from upkeep.adapters.store.registry import Registry
from upkeep.adapters.store.rollouts import Rollouts
from upkeep.adapters.store.seat import network_file_system
from upkeep.adapters.store.sources import Sources
from upkeep.adapters.store.tables import metadata
from upkeep.adapters.store.tallies import Tallies
from upkeep.adapters.store.transaction import Transaction
from upkeep.adapters.store.upgrade import require_current
from upkeep.adapters.store.uploads import Uploads
from upkeep.adapters.store.work import Work
from upkeep.domain.errors import StalledError, TransientError

PATIENCE_OF_CHECKS = timedelta(seconds=1)
"""How long `check` waits for a database that is in use."""


class SqlUnit:
    """The flows' Unit."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    @cached_property
    def sources(self) -> Sources:
        return Sources(self._transaction)

    @cached_property
    def deliveries(self) -> Deliveries:
        return Deliveries(self._transaction)

    @cached_property
    def registry(self) -> Registry:
        return Registry(self._transaction)

    @cached_property
    def fleet(self) -> Fleet:
        return Fleet(self._transaction)

    @cached_property
    def deployments(self) -> Deployments:
        return Deployments(self._transaction)

    @cached_property
    def plans(self) -> Plans:
        return Plans(self._transaction)

    @cached_property
    def rollouts(self) -> Rollouts:
        return Rollouts(self._transaction)

    @cached_property
    def tallies(self) -> Tallies:
        return Tallies(self._transaction)

    @cached_property
    def journal(self) -> Journal:
        return Journal(self._transaction)

    @property
    def records(self) -> OldRecords:
        return OldRecords(self._transaction)

    @property
    def annotations(self) -> Annotations:
        return Annotations(self._transaction)

    @property
    def uploads(self) -> Uploads:
        return Uploads(self._transaction)

    @property
    def listings(self) -> Listings:
        return Listings(self._transaction)

    @cached_property
    def outbox(self) -> Outbox:
        return Outbox(self._transaction, self.work)

    @cached_property
    def work(self) -> Work:
        return Work(self._transaction)

    @cached_property
    def people(self) -> People:
        return People(self._transaction)

    @cached_property
    def answers(self) -> Answers:
        return Answers(self._transaction)

    @property
    def gauges(self) -> GaugeReadings:
        return GaugeReadings(self._transaction)


class SqlStore:
    """The flows' Store, on SQLite or PostgreSQL. Safe to use from many threads, and in the children of a fork.

    In a writing unit, what was read by its key stays as it was read until the unit ends: on PostgreSQL its row is
    locked, on SQLite there is no other writer. A thread opens one unit at a time.
    """

    def __init__(self, database: Database, bell: Bell) -> None:
        self._database = database
        self._bell = bell
        self._thread = threading.local()

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[SqlUnit]:
        with self._alone(), self._database.transaction(writing=True, durable=durable) as connection:
            unit = SqlUnit(Transaction(connection, writing=True))
            yield unit
        if unit.work.rang:
            # It is committed: whoever waits finds it in time even if it cannot be woken.
            with suppress(TransientError):
                self.ring()

    @contextmanager
    def read(self) -> Iterator[SqlUnit]:
        with self._alone(), self._database.transaction(writing=False) as connection:
            yield SqlUnit(Transaction(connection, writing=False))

    def ring(self) -> None:
        self._bell.ring()

    def wait(self, at_most: timedelta) -> None:
        self._bell.wait(at_most)

    def now(self) -> datetime:
        return self._database.now()

    def check(self) -> None:
        """Write something and commit it, within a second or two: TransientError when that cannot be done now."""
        with self._alone(), self._database.trial(PATIENCE_OF_CHECKS) as connection:
            Transaction(connection, writing=True).next_number("probe")

    def close(self) -> None:
        """Give back connections, files and the thread that listens. Nobody may use the store afterwards."""
        self._bell.close()
        self._database.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if getattr(self._thread, "busy", False):
            raise RuntimeError("a unit is opened within a unit of the same thread")
        self._thread.busy = True
        try:
            yield
        finally:
            self._thread.busy = False


def open_store(url: str, *, state: Path, prepared: bool = False) -> SqlStore:
    """Open the store a URL names: `sqlite:///PATH`, `postgresql://USER@HOST/NAME`, or `sqlite://` for one in memory
    that ends with the object.

    Only a database that was migrated to exactly this program's tables is opened; SettingsError otherwise, saying
    to run `upkeep migrate`. Opening migrates nothing itself, because many processes open and one should migrate: the
    daemon calls `migrate` once before it starts them; whoever knows that says `prepared`, and nothing is asked of the
    database. `state` is the folder of this host where processes find each other to ring. TransientError when the
    database does not answer.
    """
    database = open_database(url)
    if isinstance(database, SqliteDatabase):
        if database.path is None:
            with database.transaction(writing=True) as connection:
                metadata.create_all(connection, checkfirst=False)
            return SqlStore(database, Bell(None))
        outside: Pipes | Notifications = Pipes(state / "bells")
    else:
        outside = Notifications(database)
    if not prepared:
        try:
            require_current(database)
        finally:
            # A process that is forked later shall not find a connection here.
            database.close()
    return SqlStore(database, Bell(outside))


def doubt(url: str) -> StalledError | None:
    """Why the database a URL names may come to harm where it stands; None when it will not."""
    database = open_database(url)
    path = database.path if isinstance(database, SqliteDatabase) else None
    kind = None if path is None else network_file_system(path.parent)
    if kind is None:
        return None
    return StalledError(
        f"the database lies on {kind}, a file system of a network, where SQLite's locks cannot be relied upon "
        "(https://sqlite.org/useovernet.html)",
        where=str(path),
        cure="put `state` on a disk of this host, or use PostgreSQL (`database.url_file`)",
    )
