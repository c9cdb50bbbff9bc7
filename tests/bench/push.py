"""Goal 2, push to draft: from a webhook's POST to the rows of the draft, beside what git alone takes."""

import http.client
import multiprocessing
import sqlite3
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import timedelta
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from pathlib import Path
from statistics import median

from tests.bench import webhooks
from tests.bench.figures import Report, Size
from tests.bench.floors import SECRET
from tests.bench.processes import cpu, upkeep
from tests.bench.repositories import Floor, Remote
from tests.databases import Databases
from upkeep.adapters.store import open_store
from upkeep.domain.work import WorkKind

GIVEN_UP_AFTER = 600.0
PUSHES = 4
"""Pushes of one round, of which the median counts."""
RINGS = 40
_REGISTERED = "SELECT 1 FROM (SELECT commit_id FROM versions ORDER BY rowid DESC LIMIT 9) WHERE commit_id = ?"
"""Whether a commit is registered, asked of the newest rows: who looks must not cost more where there are many."""


def measure(size: Size, report: Report) -> None:
    """Pushes to repositories of every size, then waking alone."""
    taken: dict[int, Mapping[str, list[float]]] = {}
    for templates in size.templates:
        with tempfile.TemporaryDirectory() as place:
            taken[templates] = _pushes(templates, size, report, Path(place))
    git = "git's fetch, diff-tree and cat-file + one fsynced insert"
    for templates, took in taken.items():
        what = f"from POST to the draft's rows, {templates:,} templates"
        report.compare(what, "ms", took["ours"], took["floor"], git, at_most=1.5)
    thousand = max(templates for templates in taken if templates <= 1000)
    report.add(f"the same at {thousand:,} templates", "ms", median(taken[thousand]["ours"]), at_most=60.0)
    report.add(f"processor time of it at {thousand:,} templates", "ms", median(taken[thousand]["processor"]))
    few, many = (100 if 100 in taken else min(taken)), max(taken)
    ours, fetch = (median(taken[many][kind]) / median(taken[few][kind]) for kind in ("ours", "fetch"))
    what = f"dearer at {many:,} than at {few:,} templates"
    report.add(what, "times", ours, fetch, "git's own fetch", ours / fetch, at_most=1.3)
    series = {
        called: [median(took[kind]) for took in taken.values()]
        for kind, called in (("ours", "Upkeep"), ("floor", "git and an insert"), ("fetch", "git fetch alone"))
    }
    report.draw("push", "From a push to its draft", "templates in the repository", "ms", size.templates, series)
    _waking(report)


def _pushes(templates: int, size: Size, report: Report, folder: Path) -> Mapping[str, list[float]]:
    report.say(f"a repository of {templates:,} templates")
    remote = Remote(folder / "templates.git")
    remote.fill(templates)
    floor = Floor(remote, folder / "floor.git", folder / "floor.db")
    floor.begin()
    config = f'webhooks: {{secrets: ["{SECRET.decode()}"]}}\ngit: {{allow_local: true}}\n'
    config += f'sources: [{{name: templates, url: "{remote.url}"}}]\n'
    took: dict[str, list[float]] = {"ours": [], "floor": [], "fetch": [], "processor": []}
    with upkeep("serve", folder / "daemon", config) as (port, process):
        database = folder / "daemon" / "state" / "upkeep.db"
        report.say(f"its first sync, and {size.rounds} rounds of {PUSHES} pushes")
        _await(database, "SELECT 1 FROM sources WHERE synced_commit = ?", remote.head)
        # An idle machine has worked out what the new drafts would change as well.
        _await(database, "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM work WHERE kind = ?)", WorkKind.PREVIEW)

        def ours() -> float:
            before, began = cpu(process.pid), time.perf_counter()
            _post(port, webhooks.push(remote.url, after=remote.head))
            _await(database, _REGISTERED, remote.head)
            lasted = (time.perf_counter() - began) * 1000
            _await(database, "SELECT 1 FROM sources WHERE synced_commit = ?", remote.head)
            took["processor"].append((cpu(process.pid) - before) * 1000)
            return lasted

        def theirs() -> float:
            began = time.perf_counter()
            floor.bring_up()
            return (time.perf_counter() - began) * 1000

        for number in range(size.rounds + 1):
            found: dict[str, list[float]] = {"ours": [], "floor": [], "fetch": []}
            for push in range(PUSHES):
                remote.push((number * PUSHES + push) % templates)
                kinds = {"ours": ours, "floor": theirs}
                for kind in sorted(kinds, reverse=bool(push % 2)):
                    found[kind].append(kinds[kind]())
                found["fetch"].append(floor.fetched * 1000)
            if number:
                for kind, lasted in found.items():
                    took[kind].append(median(lasted))
            else:
                took["processor"].clear()
    return took


def _post(port: int, body: bytes) -> None:
    head, tail = webhooks.around(body)
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.connect()
        assert connection.sock is not None
        connection.sock.sendall(head + f"{time.time_ns():032x}".encode() + tail)
        answer = connection.sock.recv(65536)
    if not answer.startswith(b"HTTP/1.1 202"):
        raise RuntimeError(f"a push was answered {answer[:300]!r}")


def _await(database: Path, query: str, about: str) -> None:
    until = time.monotonic() + GIVEN_UP_AFTER
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        while connection.execute(query, (about,)).fetchone() is None:
            if time.monotonic() > until:
                raise RuntimeError(f"{query} of {about} gave nothing within {GIVEN_UP_AFTER:g} s")
            time.sleep(0.0005)


def _waking(report: Report) -> None:
    """How long another process sleeps on after a ring, on either database."""
    with tempfile.TemporaryDirectory() as place:
        databases = Databases(Path(place))
        try:
            for kind, called in (("sqlite", "SQLite"), ("postgresql", "PostgreSQL")):
                report.say(f"waking through {called}")
                with databases.migrated(kind) as url:
                    waits = _rings(url, Path(place) / f"{kind}-state")
                report.add(f"waking a worker in another process, {called}", "ms", median(waits) * 1000, at_most=50.0)
        except BaseException as failure:
            # pytest's way of saying that there is no PostgreSQL here is no Exception.
            if type(failure).__name__ not in ("Skipped", "Failed"):
                raise
            report.missing("waking a worker in another process, PostgreSQL", str(failure))
        finally:
            databases.close()


def _rings(url: str, state: Path) -> list[float]:
    spawning = multiprocessing.get_context("spawn")
    ready, awaited, woken = spawning.Event(), spawning.Event(), spawning.Event()
    heard = spawning.Value("d", 0.0)
    sleeper = spawning.Process(target=_sleep, args=(url, state, ready, awaited, woken, heard), daemon=True)
    sleeper.start()
    store = open_store(url, state=state)
    waits = []
    try:
        if not ready.wait(60):
            raise RuntimeError("the sleeper did not come to sleep")
        for _ in range(RINGS):
            # Long enough for it to fall asleep again.
            time.sleep(0.05)
            awaited.set()
            rung = time.monotonic()
            store.ring()
            if not woken.wait(30):
                raise RuntimeError("the sleeper was not woken")
            woken.clear()
            waits.append(heard.value - rung)
    finally:
        sleeper.kill()
        sleeper.join()
        store.close()
    return waits[2:]


def _sleep(
    url: str,
    state: Path,
    ready: Event,
    awaited: Event,
    woken: Event,
    heard: "Synchronized[float]",
) -> None:
    store = open_store(url, state=state)
    store.wait(at_most=timedelta(0))
    time.sleep(0.5)
    ready.set()
    while True:
        store.wait(at_most=timedelta(seconds=60))
        # What a ring is told by twice wakes twice; only the first time counts.
        if awaited.is_set():
            heard.value = time.monotonic()
            awaited.clear()
            woken.set()
