"""Pushes that are told twice, late, out of order or not at all, polls and restarts: the versions are always the same.

A round makes up a history of templates and tells of it in a disorderly way: the branch moves by any number of commits,
each push has a delivery that comes at once, later, twice, or never, sources are polled, mirrors are lost, and the
process dies before or after any of its transactions. At the end, one poll. What is in the registry then is compared
with what git alone says: every first-parent commit, every version folder whose tree it changed.
"""

import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from tests import builders
from tests.builders import NOON, under
from tests.histories import History, Tree, a_repository
from tests.trials import invariants
from tests.trials.trial import Outcome, Promise, Rounds, Trial, chance
from upkeep.adapters.git import GitRepositories
from upkeep.adapters.jinja import JinjaRenderer
from upkeep.adapters.store import SqlStore, migrate, open_store
from upkeep.domain.deliveries import Push
from upkeep.domain.errors import TransientError
from upkeep.domain.notices import Routing
from upkeep.domain.sources import Credential, Source
from upkeep.domain.work import WorkKind
from upkeep.flows import follow
from upkeep.flows.poll import poll
from upkeep.flows.ports import Renderer, Unit
from upkeep.flows.receive import Arrival, Readers, receive
from upkeep.flows.sync import sync

LEASE = timedelta(minutes=1)
FOLDERS = ("net/v1", "net/v2", "web/v1", "teams/app/v1")


class Killed(BaseException):
    """The process ends here."""


class _NoSecrets:
    def reveal(self, credential: Credential) -> str | None:
        return None


@dataclass
class Mortal:
    """A store whose process may die before a transaction is committed, or right after."""

    store: SqlStore
    dice: random.Random
    risk: float

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Unit]:
        drawn = self.dice.random()
        with self.store.write(durable=durable) as unit:
            yield unit
            if drawn < self.risk / 2:
                raise Killed
        if drawn < self.risk:
            raise Killed

    @contextmanager
    def read(self) -> Iterator[Unit]:
        with self.store.read() as unit:
            yield unit


@dataclass
class World:
    """A remote, its mirrors, the rows, and the time."""

    folder: Path
    renderer: Renderer
    dice: random.Random
    risk: float
    url: str
    remote: History
    now: datetime = NOON
    met: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        database = f"sqlite:///{self.folder / 'upkeep.db'}"
        migrate(database, state=self.folder)
        self.database = database
        self.store = open_store(database, state=self.folder)
        self.repositories = self._opened()
        with self.store.write() as unit:
            follow.declare(unit, [Source("templates", self.url, "main")], now=self.now)

    def receive(self, delivery: str, after: str) -> None:
        """GitHub tells of a push."""
        push = Push((self.url,), "refs/heads/main", after, False)
        with self.store.write() as unit:
            receive(unit, [Arrival(delivery, "push", push, None, self.now)], Readers())

    def poll(self) -> None:
        """The timer asks."""
        self.now += timedelta(hours=2)
        with self.store.write() as unit:
            follow.poll(unit, jitter=0.5, now=self.now)

    def work(self, risk: float | None = None) -> None:
        """A worker does what is due, until nothing is or it dies."""
        mortal = Mortal(self.store, self.dice, self.risk if risk is None else risk)
        for _ in range(50):
            with self.store.write() as unit:
                claim = unit.work.claim([WorkKind.POLL, WorkKind.SYNC], self.now, LEASE)
            if claim is None:
                return
            try:
                if claim.kind is WorkKind.POLL:
                    poll(mortal, self.repositories, claim, now=self.now)
                else:
                    sync(mortal, self.repositories, self.renderer, claim, routing=Routing(), now=self.now)
            except Killed:
                self.met[f"died in a {claim.kind}"] += 1
                self.repositories = self._opened()
                self.now += LEASE * 2
            except TransientError as failure:
                with self.store.write() as unit:
                    unit.work.retry(claim, self.now + timedelta(seconds=1), str(failure))
                self.now += timedelta(seconds=2)
                self.met["tried again"] += 1
        raise AssertionError("the work never ends")

    def restart(self) -> None:
        """Another process over the same rows; sometimes on another host, where no mirror is."""
        self.store.close()
        self.store = open_store(self.database, state=self.folder)
        if self.dice.random() < 0.5:
            shutil.rmtree(self.folder / "git", ignore_errors=True)
            self.met["mirror lost"] += 1
        self.repositories = self._opened()
        self.met["restart"] += 1

    def versions(self) -> dict[tuple[str, int], list[tuple[int, str]]]:
        """Number and tree of every version, by template and major."""
        found: dict[tuple[str, int], list[tuple[int, str]]] = {}
        with self.store.read() as unit:
            for template in unit.registry.templates():
                for version in unit.registry.versions(template.name):
                    key = (template.name, version.version.major)
                    found.setdefault(key, []).append((version.version.minor, version.tree))
        return {key: sorted(numbers) for key, numbers in found.items()}

    def _opened(self) -> GitRepositories:
        return GitRepositories(self.folder / "git", _NoSecrets(), timeout_for=timedelta(minutes=2), allow_local=True)


def _history(dice: random.Random, length: int) -> list[Tree]:
    """Whole trees, each with one or some folders changed, sometimes back to what they were, broken, or gone."""
    folders: dict[str, dict[str, str | bytes]] = {}
    trees: list[Tree] = []
    past: dict[str, list[dict[str, str | bytes]]] = {}
    for number in range(length):
        for path in dice.sample(FOLDERS, dice.choice([0, 1, 1, 1, 2])):
            drawn = dice.random()
            if drawn < 0.08 and path in folders:
                del folders[path]
            elif drawn < 0.2 and past.get(path):
                folders[path] = dice.choice(past[path])
            else:
                note = f"# {number} {dice.random()}\n"
                files = (
                    builders.service_files(compatible="net:1") | {"README.md": note}
                    if path.startswith("web")
                    else builders.environment_files(body=note + builders.ENVIRONMENT_BODY)
                )
                if dice.random() < 0.1:
                    files["schema/schema.yaml"] = "schema: ["
                folders[path] = files
                past.setdefault(path, []).append(files)
        tree: dict[str, str | bytes] = {"README.md": f"{number}"}
        for path, files in folders.items():
            tree |= under(path, files)
        trees.append(tree)
    return trees


def expected(
    remote: History, head: str, folders: tuple[str, ...] = FOLDERS
) -> dict[tuple[str, int], list[tuple[int, str]]]:
    """What git alone says the versions are: number and tree, by template and major."""
    found: dict[tuple[str, int], list[tuple[int, str]]] = {}
    last: dict[str, str] = {}
    for commit in remote.git("rev-list", "--first-parent", "--reverse", head).split():
        listed = remote.git("ls-tree", "-r", "-d", commit).splitlines()
        trees = {line.split("\t")[1]: line.split()[2] for line in listed}
        for path in folders:
            tree = trees.get(path)
            if tree is not None and tree != last.get(path):
                template, _, major = path.rpartition("/")
                key = (template.rpartition("/")[2], int(major[1:]))
                minors = found.setdefault(key, [])
                minors.append((len(minors), tree))
            if tree is not None:
                last[path] = tree
            else:
                last.pop(path, None)
    return found


def _round(dice: random.Random, folder: Path, renderer: Renderer) -> tuple[int, Counter[str], list[str]]:
    folder.mkdir()
    written = a_repository(folder / "written.git")
    commits = written.write(_history(dice, dice.randint(5, 25)))
    remote = a_repository(folder / "remote.git")
    (remote.git_dir / "objects" / "info" / "alternates").write_text(f"{written.git_dir / 'objects'}\n")
    world = World(folder, renderer, dice, dice.choice([0.0, 0.05, 0.2]), str(remote.git_dir), remote)
    told: list[tuple[str, str]] = []
    ahead = list(commits)
    # There is something on the branch before it is followed, so that the first sync has what to read.
    remote.git("update-ref", "refs/heads/main", ahead.pop(0))
    world.work()
    while ahead:
        taken = min(len(ahead), dice.choice([1, 1, 1, 2, 3, 8]))
        after = ahead[taken - 1]
        del ahead[:taken]
        remote.git("update-ref", "refs/heads/main", after)
        if dice.random() < 0.3:
            world.met["delivery lost"] += 1
        else:
            told.append((f"d{len(commits) - len(ahead)}", after))
        while told and dice.random() < 0.6:
            # Any of those that are on their way, the last as well as the first.
            delivery = dice.choice(told)
            world.receive(*delivery)
            world.met["delivered"] += 1
            if dice.random() < 0.75:
                told.remove(delivery)
            else:
                world.met["delivered twice"] += 1
            if dice.random() < 0.7:
                world.work()
        if dice.random() < 0.15:
            world.poll()
            world.met["poll"] += 1
        if dice.random() < 0.15:
            world.restart()
    for delivery in dice.sample(told, len(told)):
        world.receive(*delivery)
    world.poll()
    world.work(risk=0.0)
    found, wanted = world.versions(), expected(remote, commits[-1])
    broken = [] if found == wanted else [f"the versions are {found}, and git says {wanted}"]
    broken += invariants.broken(world.database)
    world.store.close()
    return sum(map(len, wanted.values())), world.met, broken


def run(seed: int, rounds: int, folder: Path) -> Outcome:
    """So many histories."""
    count, met, broken = 0, Counter[str](), []
    with JinjaRenderer() as renderer:
        for number in range(rounds):
            here = folder / str(number)
            versions, seen, faults = _round(chance(seed, "versions", number), here, renderer)
            count, met = count + versions, met + seen
            broken += [f"round {number}: {fault}" for fault in faults]
            if not faults:
                subprocess.run(["rm", "-rf", here], check=True)
    return Outcome(
        f"{rounds} histories, {count:,} versions",
        f"number and tree of each as git says; met: {', '.join(f'{what} {n}' for what, n in sorted(met.items()))}",
        tuple(broken),
    )


TRIAL = Trial("versions", Promise.VERSIONS, Rounds(2, 24, 1500), run)
