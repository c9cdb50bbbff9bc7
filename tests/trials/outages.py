"""What fails around a running daemon, for a while: its disk, its database, its clock, its remote.

Each round has one outage of one sort. While it lasts, `/readyz` and the log say so, deliveries are answered or refused
but never lost, and no process dies of it. When it ends, the daemon goes on by itself: it is the same processes that are
ready again, answer the next delivery and sync what was pushed meanwhile.
"""

import fcntl
import hashlib
import hmac
import http.client
import json
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests import builders
from tests.builders import under
from tests.gitserver import GitServer
from tests.histories import History, a_repository
from tests.trials import invariants
from tests.trials.installation import SECRET, Installation, command_of, eventually, installed
from tests.trials.trial import CannotTry, Outcome, Promise, Rounds, Trial, chance

FAKETIME = "libfaketimeMT.so.1"
POLLED = "5s"


@dataclass
class Running:
    """A daemon under an outage. `answered` are the deliveries it has taken, `told` what it said, `took` how long it was
    until it went on."""

    here: Installation
    remote: History
    url: str
    answered: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    commits: int = 0
    sent: int = 0

    def begin(self, environment: dict[str, str] | None = None) -> None:
        """Start it and wait until it has read its source. `environment` is the worker's own."""
        self.push()
        if environment is None:
            self.here.start("serve")
        else:
            # gunicorn cannot live on a clock that is made up: it writes a time on a file that would be negative.
            self.here.start("web")
            self.here.start("worker", environment=environment)
        self.here.await_ready()
        self.await_versions()
        self.family = self.members()

    def members(self) -> list[str]:
        """Its long-lived processes: supervisor, gunicorn and its children, worker."""
        here = ((pid, command_of(pid)) for pid in self.here.processes())
        return sorted(
            f"{pid} {command}" for pid, command in here if "jinja" not in command and "git" not in command[:4]
        )

    def push(self) -> str:
        """Commit a change of the template."""
        self.commits += 1
        tree = under(
            "network-env/v1", builders.environment_files(body=f"# {self.commits}\n{builders.ENVIRONMENT_BODY}")
        )
        known = self.remote.git("for-each-ref", "--format=%(objectname)", "refs/heads/main")
        (commit,) = self.remote.write([tree], onto=known or None)
        return commit

    def deliver(self) -> int:
        """Tell of a push; the status of the answer, 0 without one."""
        self.sent += 1
        name = f"d{self.sent}"
        payload = {
            "ref": "refs/heads/main", "after": "1" * 40, "deleted": False,
            "repository": {"full_name": "a/b", "clone_url": self.url},
        }  # fmt: skip
        body = json.dumps(payload).encode()
        signed = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {"X-GitHub-Delivery": name, "X-GitHub-Event": "push", "X-Hub-Signature-256": f"sha256={signed}"}
        connection = http.client.HTTPConnection("127.0.0.1", self.here.port, timeout=60)
        try:
            connection.request("POST", "/hooks/github", body, headers | {"Content-Type": "application/json"})
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()
        if status == 202:
            self.answered.append(name)
        return status

    def await_versions(self) -> float:
        """Wait until every commit is a version; the seconds it took."""

        def registered() -> bool:
            with self.here.store() as store, store.read() as unit:
                return len(unit.registry.versions("network-env")) == self.commits

        return eventually("every commit is a version", registered, self.here.last_words)

    def await_trouble(self, *words: str) -> None:
        """Wait until `/readyz` and the log tell of it."""
        before = self.here.log.stat().st_size
        seen: dict[str, Any] = {}

        def refused() -> bool:
            self.deliver()
            status, seen["document"] = self.here.ask("/readyz")
            return status == 503

        eventually("/readyz says that it is not ready", refused, lambda: f"{seen}\n{self.here.last_words()}")
        said = f"{seen['document'].get('message', '')}"
        assert any(word in said for word in words), f"/readyz says {said!r}, and nothing of {words}"
        eventually(
            "the log says it", lambda: any(self.here.logged(word, before) for word in words), self.here.last_words
        )
        assert seen["document"].get("cure"), f"/readyz names no cure: {seen}"
        if said not in self.told:
            self.told.append(said)

    def await_end(self) -> None:
        """Wait until it goes on, as the processes that it was."""
        waited = eventually("it is ready again", lambda: self.here.ask("/readyz")[0] == 200, self.here.last_words)
        eventually("a delivery is answered", lambda: self.deliver() == 202, self.here.last_words)
        self.took.append(waited + self.await_versions())
        # One more may be seen: a git that was just forked is called like its parent for a moment.
        gone = set(self.family) - set(self.members())
        assert not gone, f"processes died: {sorted(gone)} of {self.family}"

    def judge(self) -> list[str]:
        """What is wrong at the end of all."""
        engine = sa.create_engine(self.here.database.replace("postgresql:", "postgresql+psycopg:"))
        with engine.connect() as connection:
            kept = set(connection.execute(sa.text("SELECT id FROM deliveries")).scalars())
        engine.dispose()
        lost = [name for name in self.answered if name not in kept]
        broken = [f"{len(lost)} answered deliveries are lost"] if lost else []
        lines = [line for line in self.here.log.read_text().splitlines() if '"level": "critical"' in line]
        broken += [f"it met a bug: {lines[0][:400]}"] if lines else []
        return broken + list(invariants.broken(self.here.database))


@contextmanager
def _running(folder: Path, kind: str, **more: Any) -> Iterator[Running]:
    remote = a_repository(folder / "templates.git")
    source = {"name": "templates", "url": str(remote.git_dir), "branch": "main", "poll_every_for": POLLED}
    with installed(folder / "home", kind, {"sources": [source], **more}) as here:
        yield Running(here, remote, str(remote.git_dir))


def _outcome(running: Running, rounds: int, what: str) -> Outcome:
    said = f"said: {'; '.join(running.told)}; " if running.told else ""
    return Outcome(
        f"{rounds} {what}",
        f"{said}it went on by itself within {max(running.took):.0f} s of the end, as the same processes",
        tuple(running.judge()),
    )


def _each(rounds: int, running: Running, outage: Callable[[], None]) -> None:
    for _ in range(rounds):
        outage()
        running.push()
        running.await_end()


# ------------------------------------------------------------------------------------------------------------ disk


def disk(seed: int, rounds: int, folder: Path) -> Outcome:
    """The disk that holds the state and the database is full."""
    if os.geteuid() != 0:
        raise CannotTry("only root may mount a small disk to fill")
    dice = chance(seed, "disk")
    state = folder / "home" / "state"
    state.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", state], capture_output=True, text=True)
    if mounted.returncode:
        raise CannotTry(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    try:
        with _running(folder, "sqlite") as running:
            running.begin()

            def outage() -> None:
                _fill(state / "filler")
                running.await_trouble("full", "cannot be read or written", "No space left")
                time.sleep(dice.uniform(0, 3))
                (state / "filler").unlink()

            _each(rounds, running, outage)
            running.here.kill_all()
            return _outcome(running, rounds, "full disks")
    finally:
        subprocess.run(["umount", "--lazy", state], check=False)


def _fill(path: Path) -> None:
    size = 1 << 20
    with path.open("ab", buffering=0) as filler:
        while size:
            try:
                filler.write(b"x" * size)
            except OSError:
                size //= 2


# -------------------------------------------------------------------------------------------------------- database


def locked(seed: int, rounds: int, folder: Path) -> Outcome:
    """Another program holds the SQLite database, or the lock beside it."""
    dice = chance(seed, "locked")
    with _running(folder, "sqlite") as running:
        running.begin()
        place = Path(running.here.database.removeprefix("sqlite:///"))

        def outage() -> None:
            with _holding(place, dice):
                running.await_trouble("locked")
                time.sleep(dice.uniform(0, 3))

        _each(rounds, running, outage)
        return _outcome(running, rounds, "databases locked by another program")


@contextmanager
def _holding(place: Path, dice: random.Random) -> Iterator[None]:
    if dice.random() < 0.5:
        holder = sqlite3.connect(place, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            holder.execute("ROLLBACK")
            holder.close()
    else:
        with place.with_name(f"{place.name}.lock").open("r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def server(seed: int, rounds: int, folder: Path) -> Outcome:
    """The PostgreSQL server is stopped or killed, and comes back."""
    dice = chance(seed, "server")
    with _running(folder, "postgresql") as running:
        running.begin()
        postgres = running.here.postgres
        assert postgres is not None

        def outage() -> None:
            postgres.stop(dice.choice([signal.SIGINT, signal.SIGKILL]))
            running.await_trouble("connection", "shuts down")
            time.sleep(dice.uniform(0, 3))
            postgres.start()

        _each(rounds, running, outage)
        return _outcome(running, rounds, "outages of PostgreSQL, stopped or killed")


# ----------------------------------------------------------------------------------------------------------- clock


def clock(seed: int, rounds: int, folder: Path) -> Outcome:
    """The clock of the worker jumps back by hours or days, and forward again."""
    library = next(iter(Path("/usr/lib").glob(f"*/faketime/{FAKETIME}")), None)
    if library is None:
        raise CannotTry("no libfaketime here: apt-get install libfaketime")
    dice = chance(seed, "clock")
    offset = folder / "offset"
    offset.write_text("+0\n")
    environment = {
        "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
    with _running(folder, "sqlite") as running:
        running.begin(environment)

        def outage() -> None:
            before = running.here.log.stat().st_size
            hours = dice.choice([2, 30, 24 * 40])
            offset.write_text(f"-{hours}h\n")
            eventually("the log says it", lambda: running.here.logged("the clock was set back", before))
            running.push()
            # Nobody tells of it: the timer has to find it on the new clock.
            running.took.append(running.await_versions())
            offset.write_text("+0\n")

        _each(rounds, running, outage)
        running.told.append("the clock was set back")
        return _outcome(running, rounds, "jumps of the clock back and forth")


# ---------------------------------------------------------------------------------------------------------- remote


def remote(seed: int, rounds: int, folder: Path) -> Outcome:
    """The git server refuses, fails, or takes a request and never answers; another source is read all the while."""
    dice = chance(seed, "remote")
    with GitServer(folder / "served") as served:
        far = History(served.create("far"))
        configuration: dict[str, Any] = {"git": {"timeout": "3s"}}
        with _running(folder, "sqlite", **configuration) as running:
            other = {"name": "far", "url": served.url("far"), "branch": "main", "poll_every_for": POLLED}
            text = json.loads(running.here.configuration.read_text())
            text["sources"].append(other)
            running.here.configuration.write_text(json.dumps(text))
            written = 0

            def push_far() -> None:
                nonlocal written
                written += 1
                body = f"# {written}\n{builders.ENVIRONMENT_BODY}"
                known = far.git("for-each-ref", "--format=%(objectname)", "refs/heads/main")
                far.write([under("far-env/v1", builders.environment_files(body=body))], onto=known or None)

            def far_versions() -> int:
                with running.here.store() as store, store.read() as unit:
                    return len(unit.registry.versions("far-env"))

            push_far()
            running.begin()
            eventually("the far one is read", lambda: far_versions() == written, running.here.last_words)
            running.family = running.members()

            def outage() -> None:
                before = running.here.log.stat().st_size
                sort = dice.choice(["503", "hangs"])
                served.fault = _failing if sort == "503" else _hanging
                push_far()
                eventually(
                    "the log says it",
                    lambda: (
                        running.here.logged('"source": "far"', before) and running.here.logged("tried again", before)
                    ),
                    running.here.last_words,
                )
                with running.here.store() as store, store.read() as unit:
                    failure = unit.sources.get("far").failure or ""
                assert failure, "the source does not say why it is not read"
                said = failure.partition(" (")[0]
                if said not in running.told:
                    running.told.append(said)
                running.push()
                running.await_versions()
                served.fault = None
                running.took.append(eventually("it is read again", lambda: far_versions() == written))

            _each(rounds, running, outage)
            return _outcome(running, rounds, "outages of a git server")


def _failing(path: str) -> tuple[int, str]:
    return 503, "not now"


def _hanging(path: str) -> None:
    time.sleep(8)


DISK = Trial("disk", Promise.OUTAGES, Rounds(0, 1, 40), disk)
LOCKED = Trial("locked", Promise.OUTAGES, Rounds(0, 1, 40), locked)
SERVER = Trial("server", Promise.OUTAGES, Rounds(0, 2, 60), server)
CLOCK = Trial("clock", Promise.OUTAGES, Rounds(0, 1, 40), clock)
REMOTE = Trial("remote", Promise.OUTAGES, Rounds(0, 1, 40), remote)
