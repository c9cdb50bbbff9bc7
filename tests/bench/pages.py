"""What pages cost beside `/healthz` and their own SQL: `python -m tests.bench.pages [RESOURCES] [TEMPLATES] [URL]`.

Each figure is a median of rounds in which all requests take their turn, so that what else the machine does falls on all
of them alike. A request goes through the whole WSGI application and nothing else. Its SQL is what the very statements
it ran cost when the driver alone runs them again and fetches their rows. The goal is a page within three times
`/healthz` plus its SQL.
"""

import cProfile
import hashlib
import pstats
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import sqlalchemy as sa
from flask.testing import FlaskClient

from tests.multitude import BUSY, fill
from tests.web.furnished import people
from upkeep.adapters.jinja import JinjaRenderer
from upkeep.adapters.passwords import Argon2Passwords
from upkeep.adapters.secrets import KeptSecrets
from upkeep.adapters.store import SqlStore, migrate, open_store
from upkeep.domain.notices import Routing
from upkeep.domain.people import Session
from upkeep.web.app import Rooms, create_app

ROUNDS = 21

PAGES = (
    "/",
    "/?status=behind&kind=instance",
    f"/?template={BUSY}",
    "/?search=service-0000",
    "/?sort=age",
    "/templates",
    f"/templates/{BUSY}",
    "/environments",
    "/services",
    "/deployments",
    "/activity",
    "/sources",
)


def main(resources: int, templates: int, url: str | None) -> None:
    """Fill a database, unless one is named, and measure."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        if url is None:
            url = f"sqlite:///{state / 'upkeep.db'}"
            migrate(url, state=state)
        store = open_store(url, state=state)
        client = visitor(store, state, resources, templates)
        measure(store, client)
        store.close()


def visitor(store: SqlStore, state: Path, resources: int, templates: int) -> FlaskClient:
    """A client with a session, over a store that is filled unless it was."""
    now = datetime.now(UTC)
    with store.write() as unit:
        if not unit.people.list():
            fill(unit._transaction.connection, now, resources, templates)
            people(unit)
        secret = f"session {time.time_ns()}"
        digest = hashlib.sha256(secret.encode()).hexdigest()
        unit.people.add_session(Session(digest, "admin", now, now + timedelta(days=1)))
    renderer = JinjaRenderer(time_for=timedelta(seconds=5), memory_bytes=512 << 20, output_bytes=2 << 20)
    app = create_app(
        Rooms(
            store=store,
            renderer=renderer,
            passwords=Argon2Passwords(),
            secrets=KeptSecrets(),
            routing=Routing(),
            clock=lambda: datetime.now(UTC),
        )
    )
    client = app.test_client()
    with client.session_transaction() as cookie:
        cookie["secret"] = secret
    return client


def measure(store: SqlStore, client: FlaskClient) -> None:
    """Print one line for each page."""
    statements = {page: asked(store, lambda page=page: client.get(page)) for page in PAGES}
    took: dict[str, list[float]] = {page: [] for page in ("/healthz", *PAGES)}
    sql: dict[str, list[float]] = {page: [] for page in PAGES}
    with driver(store) as execute:
        for _ in range(ROUNDS):
            for page in took:
                took[page].append(timed(lambda page=page: client.get(page)))
            for page in PAGES:
                sql[page].append(timed(lambda page=page: execute(statements[page])))
    floor = median(took["/healthz"])
    print(f"/healthz {floor * 1000:.2f} ms; medians of {ROUNDS}")
    heads = ("page", "ms", "SQL ms", "statements", "of 3 x (floor + SQL)", "(page - SQL) / floor")
    print("{:34} {:>7} {:>7} {:>10} {:>21} {:>21}".format(*heads))
    for page in PAGES:
        whole, own = median(took[page]), median(sql[page])
        budget = 3 * (floor + own)
        print(
            f"{page:34} {whole * 1000:7.2f} {own * 1000:7.2f} {len(statements[page]):10} "
            f"{whole / budget:21.2f} {(whole - own) / floor:21.1f}"
        )


def timed(act: Callable[[], Any]) -> float:
    """Seconds of this process's own CPU, which a crowded machine stretches less than the clock on the wall."""
    began = time.thread_time()
    act()
    return time.thread_time() - began


def asked(store: SqlStore, act: Callable[[], Any]) -> list[tuple[str, Any]]:
    """The statements that an act runs, with their parameters as the driver gets them."""
    found: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH")):
            found.append((statement, parameters))

    engine = store._database.engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        answer = act()
        assert answer is None or answer.status_code == 200, answer.text
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
    return found


@contextmanager
def driver(store: SqlStore) -> Iterator[Callable[[list[tuple[str, Any]]], None]]:
    """What runs statements on a bare connection of the driver."""
    with store._database.engine.execution_options(upkeep_writing=False, upkeep_patience=timedelta(1)).connect() as held:
        cursor = held.connection.cursor()

        def execute(statements: list[tuple[str, Any]]) -> None:
            for statement, parameters in statements:
                cursor.execute(statement, parameters)
                cursor.fetchall()

        yield execute


def profile(client: FlaskClient, page: str) -> None:
    """Where the time of a page goes."""
    client.get(page)
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(20):
        client.get(page)
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(30)


if __name__ == "__main__":
    given = sys.argv[1:]
    main(int(given[0]) if given else 100_000, int(given[1]) if given[1:] else 1000, given[2] if given[2:] else None)
