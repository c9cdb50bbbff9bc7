"""Goal 4, replay: numbering a long history, beside what git and reading the bundles take anyway."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median

from tests import builders
from tests.bench.figures import Report, Size, in_turns
from tests.bench.repositories import Remote
from upkeep.adapters.git import GitRepositories, open_local
from upkeep.adapters.jinja import JinjaRenderer
from upkeep.adapters.secrets import KeptSecrets
from upkeep.adapters.store import migrate, open_store
from upkeep.domain.notices import Routing
from upkeep.domain.sources import Cause
from upkeep.domain.work import WorkKind
from upkeep.flows.examine import examine
from upkeep.flows.replay import replay
from upkeep.flows.sync import sync

TEMPLATES = 20


def measure(size: Size, report: Report) -> None:
    """Histories of growing length."""
    lengths = sorted({max(size.commits // 20, 10), max(size.commits // 4, 10), size.commits})
    series: dict[str, list[float]] = {"upkeep template replay": [], "git log and the bundles' parsing": []}
    with tempfile.TemporaryDirectory() as place, JinjaRenderer() as renderer:
        for commits in lengths:
            report.say(f"a history of {commits:,} commits")
            remote = Remote(Path(place) / f"of-{commits}.git")
            remote.history(commits, TEMPLATES)

            def ours(remote: Remote = remote, commits: int = commits) -> float:
                began = time.perf_counter()
                with open_local(remote.folder) as mirror:
                    versions = replay(mirror, renderer, until=mirror.head)
                if len(versions) != commits + TEMPLATES:
                    raise RuntimeError(f"{len(versions)} versions were found, not {commits + TEMPLATES}")
                return (time.perf_counter() - began) * 1000

            rounds = size.rounds if commits == size.commits else 3
            took = in_turns(rounds, {"ours": ours, "floor": lambda remote=remote: _floor(remote, renderer)})
            for called, kind in zip(series, ("ours", "floor"), strict=True):
                series[called].append(median(took[kind]))
            if commits == size.commits:
                floor = "git log --first-parent --raw, and reading and checking each bundle"
                what = f"replaying {commits:,} commits"
                report.compare(what, "ms", took["ours"], took["floor"], floor, at_most=1.5)
                _processes(report, Path(place), remote, renderer, commits)
    report.draw("replay", "Numbering a history", "commits", "ms", lengths, series)


def _floor(remote: Remote, renderer: JinjaRenderer) -> float:
    """The log, and what every bundle costs to be read and checked, whoever does it."""
    began = time.perf_counter()
    git = ["git", f"--git-dir={remote.folder}"]
    log = subprocess.run(
        [*git, "log", "--first-parent", "--raw", "-r", "-t", "-z", "--no-abbrev", "--no-renames", "main"],
        capture_output=True,
        check=True,
    ).stdout
    # `:modes old new status`, NUL, path.
    rows = log.split(b"\0")
    trees = [
        meta.split(b" ")[3].decode()
        for meta, path in pairwise(rows)
        if b":" in meta and path.endswith(b"/v1") and b" 040000 " in meta
    ]
    with open_local(remote.folder) as mirror:
        for tree in dict.fromkeys(trees):
            examine(mirror.bundle(tree), renderer)
    return (time.perf_counter() - began) * 1000


def _processes(report: Report, folder: Path, remote: Remote, renderer: JinjaRenderer, commits: int) -> None:
    """How many git commands a sync of half of such a history starts."""
    state = folder / "state"
    state.mkdir()
    url = f"sqlite:///{state / 'upkeep.db'}"
    migrate(url, state=state)
    store = open_store(url, state=state)
    git = ["git", f"--git-dir={remote.folder}"]
    middle = subprocess.run([*git, "rev-parse", f"main~{commits // 2}"], capture_output=True, check=True)
    subprocess.run([*git, "update-ref", "refs/heads/begun", middle.stdout.decode().strip()], check=True)
    with store.write() as unit:
        unit.sources.add(builders.a_source("templates", url=remote.url, branch="begun"))
    counts = []
    for _ in range(2):
        with _counted(folder) as started:
            now = datetime.now(UTC)
            with store.write() as unit:
                unit.work.ask(WorkKind.SYNC, "templates", now, Cause.WEBHOOK)
                claim = unit.work.claim([WorkKind.SYNC], now, timedelta(minutes=10))
            assert claim is not None
            repositories = GitRepositories(
                state / "git", KeptSecrets(), timeout_for=timedelta(minutes=2), allow_local=True
            )
            began = time.perf_counter()
            sync(store, repositories, renderer, claim, routing=Routing(), now=now)
            lasted = time.perf_counter() - began
        counts.append(len(started.read_text().splitlines()))
        subprocess.run([*git, "update-ref", "refs/heads/begun", remote.head], check=True)
    report.add(f"git commands that a sync of {commits // 2:,} commits starts", "", counts[-1], at_most=5)
    report.add(f"a sync of {commits // 2:,} commits, each a draft in a transaction of its own", "s", lasted)
    store.close()


@contextmanager
def _counted(folder: Path) -> Iterator[Path]:
    """Note every git that is started by name while the block lasts."""
    shims, started = folder / "shims", folder / "started"
    shims.mkdir(exist_ok=True)
    started.write_text("")
    before = os.environ["PATH"]
    shim = shims / "git"
    shim.write_text(f'#!/bin/sh\necho "$1" >>"{started}"\nPATH="{before}"\nexec git "$@"\n')
    shim.chmod(0o755)
    os.environ["PATH"] = f"{shims}:{before}"
    try:
        yield started
    finally:
        os.environ["PATH"] = before
