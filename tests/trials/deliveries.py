"""Deliveries at full speed, while processes are killed at random: what was answered is in the store.

A round starts the daemon over the database that the round before left, delivers over several connections, kills one
process at random (the supervisor, gunicorn's master, a web process, the worker, one of PostgreSQL's), goes on
delivering, and then kills all of the daemon at once.
"""

import hashlib
import hmac
import http.client
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa

from tests import builders
from tests.histories import a_repository
from tests.trials import invariants
from tests.trials.installation import SECRET, Installation, children, command_of, eventually, installed
from tests.trials.trial import Outcome, Promise, Rounds, Trial, chance

CONNECTIONS = 8


class Load:
    """Connections that deliver as fast as they are answered. `answered` are the ids that were answered with 202,
    `refused` counts other answers by their status."""

    def __init__(self, port: int, name: str, repository: str) -> None:
        self.answered: list[str] = []
        self.refused: Counter[int] = Counter()
        self._port, self._name = port, name
        self._ended = threading.Event()
        payload = {
            "ref": "refs/heads/main", "before": "1" * 40, "after": "2" * 40, "deleted": False,
            "repository": {"full_name": "acme/templates", "clone_url": repository}, "commits": [],
        }  # fmt: skip
        self._body = json.dumps(payload).encode()
        self._signature = f"sha256={hmac.new(SECRET.encode(), self._body, hashlib.sha256).hexdigest()}"
        self._threads = [threading.Thread(target=self._deliver, args=(number,)) for number in range(CONNECTIONS)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Deliver no more."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _deliver(self, connection_number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        sent = 0
        while not self._ended.is_set():
            sent += 1
            delivery = f"{self._name}-{connection_number}-{sent}"
            headers = {
                "Content-Type": "application/json",
                "X-GitHub-Delivery": delivery,
                "X-GitHub-Event": "push",
                "X-Hub-Signature-256": self._signature,
            }
            try:
                connection.request("POST", "/hooks/github", self._body, headers)
                answer = connection.getresponse()
                said = json.loads(answer.read())
            except (OSError, http.client.HTTPException, ValueError):
                connection.close()
                self._ended.wait(0.01)
                continue
            if answer.status == 202 and said.get("delivery") == delivery:
                self.answered.append(delivery)
            else:
                self.refused[answer.status] += 1
                self._ended.wait(0.01)
        connection.close()


def _round(here: Installation, name: str, dice: random.Random, repository: str) -> tuple[Load, str]:
    """One round; returns what was delivered in it and what was killed."""
    if here.postgres is not None:
        here.postgres.start()
    here.start("serve")
    eventually("the web server answers", lambda: here.ask("/healthz")[0] == 200, here.last_words)
    load = Load(here.port, name, repository)
    try:
        eventually("a delivery was answered", lambda: bool(load.answered), here.last_words)
        time.sleep(dice.uniform(0.0, 0.7))
        victim, called = _victim(here, dice)
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        time.sleep(dice.uniform(0.2, 1.2))
        here.kill_all()
    finally:
        load.end()
    return load, called


def _victim(here: Installation, dice: random.Random) -> tuple[int, str]:
    """A process, drawn so that each sort is as likely as any other, and what sort it is."""
    sorts: dict[str, list[int]] = {}
    for pid in here.processes():
        command = command_of(pid)
        if "gunicorn" in command:
            parent = "master" if any("gunicorn" in command_of(child) for child in children(pid)) else "web process"
            sorts.setdefault(parent, []).append(pid)
        elif command.endswith(" serve") or command.endswith(" worker"):
            sorts.setdefault("supervisor" if command.endswith("serve") else "worker", []).append(pid)
        elif command:
            sorts.setdefault("helper process", []).append(pid)
    if here.postgres is not None and (running := here.postgres.processes()):
        sorts["PostgreSQL"] = running[:1]
        sorts["a process of PostgreSQL"] = running[1:] or running
    sort = dice.choice(sorted(sorts))
    return dice.choice(sorts[sort]), sort


def _kept(here: Installation, name: str) -> set[str]:
    """The ids in the store that begin so."""
    if here.postgres is not None:
        here.postgres.start()
    engine = sa.create_engine(here.database.replace("postgresql:", "postgresql+psycopg:"))
    try:
        with engine.connect() as connection:
            found = connection.execute(sa.text("SELECT id FROM deliveries WHERE id LIKE :like"), {"like": f"{name}-%"})
            return set(found.scalars())
    finally:
        engine.dispose()


def run(seed: int, rounds: int, folder: Path) -> Outcome:
    """Rounds on both kinds of database in turn; at the end the daemon settles all it had taken."""
    broken: list[str] = []
    answered, kept, killed, refused = 0, 0, Counter[str](), Counter[int]()
    shares = {"sqlite": (rounds + 1) // 2, "postgresql": rounds // 2}
    for kind, share in shares.items():
        if not share:
            continue
        home = folder / kind
        home.mkdir()
        repository = home / "templates.git"
        a_repository(repository, [builders.under("network-env/v1", builders.environment_files())])
        source = {"name": "templates", "url": str(repository), "branch": "main", "poll_every_for": "1h"}
        with installed(home, kind, {"sources": [source]}) as here:
            for number in range(share):
                name = f"{kind}-{number:04}"
                load, victim = _round(here, name, chance(seed, name), str(repository))
                found = _kept(here, name)
                lost = [delivery for delivery in load.answered if delivery not in found]
                broken += [f"{kind}, round {number} ({victim} killed): {len(lost)} lost, as {lost[0]}"] if lost else []
                answered, kept = answered + len(load.answered), kept + len(found)
                killed[victim] += 1
                refused += load.refused
            here.start("serve")
            here.await_ready()
            eventually("all deliveries are settled", lambda: not _waiting(here), here.last_words)
            here.kill_all()
            broken += invariants.broken(here.database)
    if unforeseen := {status: count for status, count in refused.items() if status != 503}:
        broken.append(f"answers other than 202 and 503: {unforeseen}")
    kills = ", ".join(f"{count} {sort}" for sort, count in sorted(killed.items()))
    return Outcome(
        f"{shares['sqlite']} rounds on SQLite, {shares['postgresql']} on PostgreSQL, {answered:,} deliveries",
        f"{answered:,} answered, {kept:,} in the store (some came in and were not answered any more),"
        f" {refused[503]} refused with 503; killed besides the whole at the end of each round: {kills}",
        tuple(broken),
    )


def _waiting(here: Installation) -> int:
    engine = sa.create_engine(here.database.replace("postgresql:", "postgresql+psycopg:"))
    try:
        with engine.connect() as connection:
            return int(
                connection.execute(sa.text("SELECT count(*) FROM deliveries WHERE status = 'RECEIVED'")).scalar_one()
            )
    finally:
        engine.dispose()


TRIAL = Trial("deliveries", Promise.DELIVERIES, Rounds(1, 8, 200), run)
