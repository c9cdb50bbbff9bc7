"""What pages cost beside `/healthz`, their own SQL and a bare page.

`python -m tests.bench.pages [RESOURCES] [TEMPLATES] [DATABASE]`, where DATABASE is a URL, or `postgresql` for a server
that is started for this; a SQLite file otherwise.

Each figure is a median of rounds in which all requests take their turn, so that what else the machine does falls on all
of them alike. A request goes through the whole WSGI application and nothing else. Its SQL is what the very statements
it ran cost when the driver alone runs them again and fetches their rows. The goal is a page within three times
`/healthz` plus its SQL. A bare page is what no page gets below: a Flask route that asks nobody anything, and fills a
Jinja template with as many rows of eight cells and as many bytes.
"""

import cProfile
import hashlib
import pstats
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import sqlalchemy as sa
from flask import Flask, render_template
from flask.testing import FlaskClient
from jinja2 import DictLoader

from tests.databases import Databases
from tests.multitude import BUSY, fill
from tests.web.furnished import people
from upkeep.adapters.jinja import JinjaRenderer
from upkeep.adapters.passwords import Argon2Passwords
from upkeep.adapters.secrets import KeptSecrets
from upkeep.adapters.store import SqlStore, open_store, plans
from upkeep.domain.notices import Routing
from upkeep.domain.people import Session
from upkeep.web import charts, kept
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


FIRST = "/ with nothing kept"

BARE = """<!doctype html><table>{% for cells in rows %}<tr>{% for cell in cells %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table>{{ rest }}"""
CELLS = 8


def main(resources: int, templates: int, database: str) -> None:
    """Fill a database, unless the one that is named is filled, and measure."""
    with ExitStack() as held:
        state = Path(held.enter_context(tempfile.TemporaryDirectory()))
        url = database
        if database in ("sqlite", "postgresql"):
            databases = Databases(state)
            held.callback(databases.close)
            url = held.enter_context(databases.migrated(database))
        store = open_store(url, state=state)
        held.callback(store.close)
        measure(store, visitor(store, state, resources, templates))


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


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of a page as a whole, of its SQL (`statements` of them) alone, of what is ours, and of a bare page."""

    name: str
    whole: float
    sql: float
    ours: float
    bare: float
    statements: int


def costs(store: SqlStore, client: FlaskClient, pages: Mapping[str, str]) -> tuple[float, list[Cost]]:
    """What `/healthz` takes in seconds, and each of these pages, by name."""
    # What PostgreSQL works is done elsewhere: only the clock on the wall has it. What is ours is told by our own CPU.
    local = _local(store)
    statements = {name: asked(store, lambda page=page: client.get(page)) for name, page in pages.items()}
    bare, places = bare_pages({name: client.get(page).text for name, page in pages.items()})
    health, whole = Taken(), {name: Taken() for name in pages}
    sql, floor = {name: Taken() for name in pages}, {name: Taken() for name in pages}
    with driver(store) as execute:
        for _ in range(ROUNDS):
            health.by(lambda: client.get("/healthz"))
            for name in pages.keys() - {FIRST}:
                answer = whole[name].by(lambda name=name: client.get(pages[name]))
                assert answer.status_code == 200, answer.text
            for name in pages:
                sql[name].by(lambda name=name: execute(statements[name]))
                floor[name].by(lambda name=name: bare.get(places[name]))
    for _ in range(ROUNDS if FIRST in pages else 0):
        forget()
        whole[FIRST].by(lambda: client.get(pages[FIRST]))
    return health.cpu, [
        Cost(
            name,
            whole[name].cpu if local else whole[name].wall,
            sql[name].cpu if local else sql[name].wall,
            whole[name].cpu - sql[name].cpu,
            floor[name].cpu,
            len(statements[name]),
        )
        for name in pages
    ]


def measure(store: SqlStore, client: FlaskClient) -> None:
    """Print one line for each page."""
    health, found = costs(store, client, {page: page for page in PAGES} | {FIRST: "/"})
    clock = "of this process's CPU" if _local(store) else "on the wall; ours is CPU of this process"
    print(f"/healthz {health * 1000:.2f} ms; medians of {ROUNDS}, {clock}")
    print("ours: the page without its SQL; bare: a page of as many rows and bytes that asks nobody anything\n")
    heads = ("page", "ms", "SQL ms", "asked", "of 3x(healthz+SQL)", "ours ms", "ours/healthz", "bare ms", "ours/bare")
    print("{:31} {:>6} {:>6} {:>5} {:>18} {:>7} {:>12} {:>7} {:>9}".format(*heads))
    for cost in found:
        print(
            f"{cost.name:31} {cost.whole * 1000:6.2f} {cost.sql * 1000:6.2f} {cost.statements:5} "
            f"{cost.whole / (3 * (health + cost.sql)):18.2f} {cost.ours * 1000:7.2f} {cost.ours / health:12.1f} "
            f"{cost.bare * 1000:7.2f} {cost.ours / cost.bare:9.1f}"
        )


def _local(store: SqlStore) -> bool:
    return store._database.engine.dialect.name == "sqlite"


def forget() -> None:
    """Nothing of what was drawn or compared before is kept, as when other rows were looked at since."""
    for keeping in (kept._drawn, plans._outlook, charts.over_time):
        keeping.cache_clear()


class Taken:
    """What acts took: seconds of this process's CPU, which a crowded machine stretches less, and on the wall."""

    def __init__(self) -> None:
        self._seconds: list[tuple[float, float]] = []

    def by(self, act: Callable[[], Any]) -> Any:
        """Act, and take its time."""
        cpu, wall = time.thread_time(), time.perf_counter()
        outcome = act()
        self._seconds.append((time.thread_time() - cpu, time.perf_counter() - wall))
        return outcome

    @property
    def cpu(self) -> float:
        return median(cpu for cpu, _ in self._seconds)

    @property
    def wall(self) -> float:
        return median(wall for _, wall in self._seconds)


def bare_pages(pages: dict[str, str]) -> tuple[FlaskClient, dict[str, str]]:
    """A client of an application that has nothing but a bare page for each of these, and where they are."""
    app = Flask("bare")
    app.jinja_loader = DictLoader({"bare.html": BARE})
    places = {}
    for number, (page, text) in enumerate(pages.items()):
        rows = text.count("<tr")
        # Half of a page is words, the other half is tags.
        width = len(text) // 2 // (rows * CELLS) if rows else 0
        cells = [["x" * width] * CELLS] * rows
        rest = "x" * (len(text) - rows * CELLS * (width + len("<td></td>")))
        places[page] = f"/{number}"
        app.add_url_rule(f"/{number}", page, partial(render_template, "bare.html", rows=cells, rest=rest))
    return app.test_client(), places


def asked(store: SqlStore, act: Callable[[], Any]) -> list[tuple[str, Any]]:
    """The statements that an act runs, with their parameters as the driver gets them."""
    found: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH")):
            found.append((statement, parameters))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        answer = act()
        assert answer is None or answer.status_code == 200, answer.text
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
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
    main(
        int(given[0]) if given else 100_000,
        int(given[1]) if given[1:] else 1000,
        given[2] if given[2:] else "sqlite",
    )
