"""Goal 3, polling: what it costs to ask a repository where nothing has happened, once and a thousand times."""

import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from statistics import median
from threading import Event, Thread

from tests import builders
from tests.bench import webhooks
from tests.bench.figures import Report, Size, in_turns
from tests.bench.floors import SECRET
from tests.bench.load import drive, numbered
from tests.bench.processes import cpu, upkeep
from tests.bench.repositories import Remote
from upkeep.adapters.git import GitRepositories
from upkeep.adapters.secrets import KeptSecrets
from upkeep.adapters.store import SqlStore, migrate, open_store
from upkeep.domain.sources import Source
from upkeep.domain.work import WorkKind
from upkeep.flows import follow
from upkeep.flows.poll import poll

POLLS = 10
DELIVERIES_A_SECOND = 20
A_DAY = timedelta(days=1)


def measure(size: Size, report: Report) -> None:
    """One poll beside git's own, then many in a daemon that has other work."""
    with tempfile.TemporaryDirectory() as place:
        remote = Remote(Path(place) / "remote.git")
        remote.fill(10)
        _few(size, report, Path(place) / "few", remote, follow.POLLED_TOGETHER)
        _few(size, report, Path(place) / "one", remote, 1)
        _many(size, report, Path(place), remote)


def _quiet(remote: Remote, number: int) -> Source:
    """A source that has nothing to find; each asks for another branch."""
    subprocess.run(["git", f"--git-dir={remote.folder}", "branch", "--force", f"b{number}", "main"], check=True)
    known = {"synced_commit": remote.head, "synced_at": datetime.now(UTC), "checked_at": datetime.now(UTC)}
    return builders.a_source(f"quiet-{number:04}", url=remote.url, branch=f"b{number}", poll_every_for=A_DAY, **known)


def _few(size: Size, report: Report, state: Path, remote: Remote, together: int) -> None:
    """Polls of so many sources that are due at once, each beside one `git ls-remote` as a person types it."""
    report.say(f"{size.rounds} rounds of {POLLS} polls, {together} due at once")
    url = f"sqlite:///{state / 'upkeep.db'}"
    state.mkdir()
    migrate(url, state=state)
    store = open_store(url, state=state)
    repositories = GitRepositories(state / "git", KeptSecrets(), timeout_for=timedelta(seconds=60), allow_local=True)
    with store.write() as unit:
        for number in range(together):
            unit.sources.add(_quiet(remote, number))
    # Each round of polls finds them due again: times are arguments.
    days = count(1)
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    used: dict[str, list[float]] = {"ours": [], "floor": []}

    def ours() -> None:
        now = datetime.now(UTC) + 2 * A_DAY * next(days)
        with store.write(durable=False) as unit:
            assert follow.poll(unit, jitter=0.5, now=now) == together
            claim = unit.work.claim([WorkKind.POLL], now, timedelta(minutes=1))
        assert claim is not None
        poll(store, repositories, claim, now=now)

    def floor() -> None:
        for number in range(together):
            command = ["git", "ls-remote", "--", remote.url, f"refs/heads/b{number}"]
            subprocess.run(command, check=True, capture_output=True, env=environment)

    def once(kind: str, act: Callable[[], None]) -> float:
        before, began = _processor(), time.perf_counter()
        for _ in range(POLLS // together):
            act()
        used[kind].append((_processor() - before) * 1000 / POLLS)
        return (time.perf_counter() - began) * 1000 / POLLS

    ours()
    took = in_turns(size.rounds, {"ours": lambda: once("ours", ours), "floor": lambda: once("floor", floor)})
    with store.read() as unit:
        # Every one of them was polled in the last round, and none had to be synced.
        assert len({source.checked_at for source in unit.sources.list()}) == 1 and not unit.work.list(1)
    store.close()
    what = "asking a quiet source" + (f", {together} due at once" if together > 1 else ", alone")
    report.compare(what, "ms", took["ours"], took["floor"], "git ls-remote", at_most=1.5)
    report.compare("processor time of it, git included", "ms", used["ours"], used["floor"], "git ls-remote")
    report.add("processor time of it, git included", "ms", median(used["ours"]), at_most=10.0)


def _processor() -> float:
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in both)


def _many(size: Size, report: Report, folder: Path, remote: Remote) -> None:
    state = folder / "many" / "state"
    state.mkdir(parents=True)
    url = f"sqlite:///{state / 'upkeep.db'}"
    migrate(url, state=state)
    store = open_store(url, state=state)
    config = f'webhooks: {{secrets: ["{SECRET.decode()}"]}}\ngit: {{allow_local: true}}\n'
    config += f'sources: [{{name: busy, url: "{remote.url}"}}]\n'
    most = size.sources[-1]
    report.say(f"{most:,} sources")
    sources = [_quiet(remote, number) for number in range(most)]
    lasted, costs = [], []
    with upkeep("serve", state.parent, config) as (port, process), closing(store):
        with store.write() as unit:
            for source in sources:
                unit.sources.add(replace(source, next_poll_at=datetime.now(UTC) + A_DAY))
        for number in size.sources:
            report.say(f"all of {number:,} sources are due, beside {DELIVERIES_A_SECOND} deliveries a second")
            with _Deliveries(port, webhooks.push(remote.url)) as deliveries:
                time.sleep(1)
                before, began = cpu(process.pid), time.monotonic()
                waited = _until_all_are_polled(store, sources[:number])
                used = cpu(process.pid) - before
                spent = time.monotonic() - began
            lasted.append(waited)
            costs.append(used / number * 1000 if number == most else None)
            if number == most:
                report.add(f"polling {most:,} sources, beside other work", "s", waited, at_most=60.0)
                share = used / spent * 100
                report.add("processor time of the daemon meanwhile", "% of a core", share)
                report.add("deliveries answered meanwhile", "1/s", deliveries.answered / deliveries.lasted)
    title = "Until every source has been asked"
    report.draw("polling", title, "sources that are due at once", "s", size.sources, {"Upkeep": lasted})


def _until_all_are_polled(store: SqlStore, sources: list[Source]) -> float:
    """Seconds from the moment at which all are due, with the tick that notices it."""
    began, clock = datetime.now(UTC), time.monotonic()
    with store.write() as unit:
        for source in sources:
            unit.sources.save(replace(unit.sources.get(source.name), next_poll_at=began))
    names = {source.name for source in sources}
    while True:
        with store.read() as unit:
            late = [
                s for s in unit.sources.list() if s.name in names and (s.checked_at is None or s.checked_at < began)
            ]
        if not late:
            return time.monotonic() - clock
        if time.monotonic() - clock > 240:
            raise RuntimeError(f"{len(late)} of {len(sources)} sources were not polled within 240 s: {late[0]}")
        time.sleep(0.25)


class _Deliveries:
    """Signed pushes at a steady rate, while the block lasts."""

    def __init__(self, port: int, body: bytes) -> None:
        self.answered = 0
        self.lasted = 0.0
        self._requests = numbered(*webhooks.around(body))
        self._port = port
        self._ended = Event()
        self._thread = Thread(target=self._send, daemon=True)

    def __enter__(self) -> "_Deliveries":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _send(self) -> None:
        began = time.monotonic()
        while not self._ended.wait(max(0.0, began + self.answered / DELIVERIES_A_SECOND - time.monotonic())):
            load = drive(self._port, self._requests, connections=1, seconds=0.0)
            if set(load.statuses) != {202}:
                raise RuntimeError(f"a delivery was answered {dict(load.statuses)}")
            self.answered += 1
        self.lasted = time.monotonic() - began
