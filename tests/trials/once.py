"""Four workers on PostgreSQL that are killed, stopped for longer than their lease, and cut off from the database.

A round pushes commits and tells of them twice, publishes what has become a draft, asks for updates of what runs it, and
meanwhile does harm: SIGKILL to a worker, which is started again; SIGSTOP for longer than a lease, and SIGCONT, after
which it goes on as if nothing had been; an end to a connection wherever its transaction stands. When all is done,
each change has its one version, each request its one deployment that ended once, and each folder of the provisioner
holds what the last deployment brought.
"""

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import psycopg

from tests import builders
from tests.builders import ADMIN, under
from tests.histories import History, a_repository
from tests.trials import invariants
from tests.trials.installation import Installation, eventually, installed
from tests.trials.trial import Outcome, Promise, Rounds, Trial, chance
from tests.trials.versions import expected
from upkeep.adapters.clock import now
from upkeep.domain.deliveries import Push
from upkeep.domain.errors import Conflict, TransientError
from upkeep.domain.names import environment_key
from upkeep.domain.notices import Routing
from upkeep.flows import deploy, enroll, review
from upkeep.flows.ports import Store, Unit
from upkeep.flows.receive import Arrival, Readers, receive

WORKERS = 4
LEASE = 3.0
TEMPLATES = ("net", "app")
ENVIRONMENTS = 6
AT_REST_WITHIN = 180.0


@dataclass
class Siege:
    """An installation under harm. `asked` are the ids of all deployments that were asked for."""

    here: Installation
    store: Store
    remote: History
    dice: random.Random
    workers: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TEMPLATES, 0))
    met: Counter[str] = field(default_factory=Counter)

    def begin(self) -> None:
        """Templates published, environments running, nobody harmed yet."""
        self.push(TEMPLATES)
        self.workers = [self.here.start("worker").pid for _ in range(WORKERS)]
        eventually("both templates are drafts", lambda: self.publish() == len(TEMPLATES), self.here.last_words)
        for number in range(ENVIRONMENTS):
            with self.store.write() as unit:
                made = enroll.create_environment(
                    unit, f"e{number}", self.dice.choice(TEMPLATES), builders.ENVIRONMENT_SPEC, actor=ADMIN, now=now()
                )
            self.asked.append(made.id)
        self.store.ring()

    def round(self) -> None:
        """Some work, and some harm while it is done."""
        self.push(self.dice.sample(TEMPLATES, self.dice.choice([1, 1, 2])))
        self.harm()
        self.publish()
        self.update()
        for _ in range(self.dice.choice([1, 2])):
            time.sleep(self.dice.uniform(0, 0.4))
            self.harm()

    def push(self, templates: "list[str] | tuple[str, ...]") -> None:
        """A commit for each, told of twice and once more."""
        for template in templates:
            self.notes[template] += 1
            tree = {}
            for name in TEMPLATES:
                body = f"# {self.notes[name]}\n{builders.ENVIRONMENT_BODY}"
                tree |= under(f"{name}/v1", builders.environment_files(body=body)) if self.notes[name] else {}
            known = self.remote.git("for-each-ref", "--format=%(objectname)", "refs/heads/main")
            (after,) = self.remote.write([tree], onto=known or None)
            for delivery in (f"d-{after}", f"d-{after}", f"again-{after}"):
                push = Push(frozenset({str(self.remote.git_dir)}), "refs/heads/main", after, False)
                with self.store.write() as unit:
                    receive(unit, [Arrival(delivery, "push", push, None, now())], Readers())
        self.store.ring()

    def publish(self) -> int:
        """Publish every draft there is; how many templates have a published version."""
        with self.store.read() as unit:
            drafts = unit.registry.drafts()
        for draft in drafts:
            with self.asking() as unit:
                review.publish(
                    unit, draft.template, draft.version,
                    seen_tree=None, note=None, routing=Routing(default="console"), actor=ADMIN, now=now(),
                )  # fmt: skip
        with self.store.read() as unit:
            return sum(template.recommended is not None for template in unit.registry.templates())

    def update(self) -> None:
        """Ask for an update of what is behind and not on its way."""
        for number in range(ENVIRONMENTS):
            with self.asking() as unit:
                key = environment_key(f"e{number}")
                resource = unit.fleet.get(key)
                if resource.version is not None and unit.deployments.under_way(key) is None:
                    target = unit.registry.template(resource.template).recommended
                    if target != resource.version:
                        asked = deploy.update(unit, key, actor=ADMIN, now=now()).id
                        self.asked.append(asked)
        self.store.ring()

    @contextmanager
    def asking(self) -> Iterator[Unit]:
        """A transaction of a person, who is refused now and then and asks again in the next round."""
        count = len(self.asked)
        try:
            with self.store.write() as unit:
                yield unit
        except (Conflict, TransientError) as refusal:
            # What was not committed was not asked for.
            del self.asked[count:]
            self.met["refused: " + refusal.message.partition(":")[0][:60]] += 1

    def harm(self) -> None:
        """Do something bad to one of them."""
        victim = self.dice.choice(self.workers)
        sort = self.dice.choice(["killed", "stopped", "cut off"])
        self.met[sort] += 1
        if sort == "killed":
            os.kill(victim, signal.SIGKILL)
            self.workers.remove(victim)
            self.workers.append(self.here.start("worker").pid)
        elif sort == "stopped":
            os.kill(victim, signal.SIGSTOP)
            time.sleep(LEASE * self.dice.choice([0.3, 1.2, 1.5]))
            os.kill(victim, signal.SIGCONT)
        else:
            assert self.here.postgres is not None
            with psycopg.connect(self.here.postgres.url, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'upkeep'"
                    " AND pid <> pg_backend_pid() ORDER BY random() LIMIT 3"
                )

    def at_rest(self) -> bool:
        """Whether nothing is due or being done."""
        with self.store.read() as unit:
            return not [work for work in unit.work.list(100) if work.due_at < now() + timedelta(days=365)]

    def judge(self) -> list[str]:
        """What is wrong now that all is done."""
        broken = list(invariants.broken(self.here.database))
        with self.store.read() as unit:
            broken += missed(unit, self.remote, TEMPLATES, self.asked)
            broken += [f"{work.kind} {work.subject} is set aside: {work.failure}" for work in unit.work.list(100)]
            for number in range(ENVIRONMENTS):
                resource = unit.fleet.get(environment_key(f"e{number}"))
                place = self.here.folder / "state" / "local" / "environment" / f"e{number}"
                told = json.loads((place / "deployment.json").read_text())
                if told["deployment"] != resource.last_succeeded_deployment:
                    broken.append(
                        f"e{number} has files of {told['deployment']}, not {resource.last_succeeded_deployment}"
                    )
        if self.here.logged('"level": "critical"'):
            lines = [line for line in self.here.log.read_text().splitlines() if '"level": "critical"' in line]
            broken.append(f"a worker met a bug: {lines[0][:300]}")
        return broken


def run(seed: int, rounds: int, folder: Path) -> Outcome:
    """One siege of so many rounds."""
    remote = a_repository(folder / "templates.git")
    source = {"name": "templates", "url": str(remote.git_dir), "branch": "main", "poll_every_for": "1h"}
    configuration = {"sources": [source], "worker": {"lease": f"{LEASE:.0f}s", "concurrency": 2}}
    with installed(folder / "home", "postgresql", configuration) as here, here.store() as store:
        siege = Siege(here, store, remote, chance(seed, "once"))
        siege.begin()
        for _ in range(rounds):
            siege.round()
        resting = eventually("all work is done", siege.at_rest, here.last_words, within=AT_REST_WITHIN)
        broken = siege.judge()
    versions = sum(siege.notes.values())
    met = ", ".join(f"{what} {count}" for what, count in sorted(siege.met.items()))
    return Outcome(
        f"{rounds} rounds, {versions} changes, {len(siege.asked)} requests",
        f"{versions} versions and {len(siege.asked)} deployments, each once; {met}; at rest {resting:.0f} s after",
        tuple(broken),
    )


def missed(unit: Unit, remote: History, templates: Iterable[str], asked: Collection[str]) -> list[str]:
    """What is wrong with the versions of what was pushed, each of which has to be there once, and with the deployments
    that were asked for, each of which has to have succeeded once."""
    broken = []
    wanted = expected(remote, remote.git("rev-parse", "main"), tuple(f"{name}/v1" for name in templates))
    found = {
        (name, 1): sorted((each.version.minor, each.tree) for each in unit.registry.versions(name))
        for name in (template.name for template in unit.registry.templates())
    }
    if found != wanted:
        broken.append(f"the versions are {found}, and git says {wanted}")
    states = Counter(unit.deployments.get(identity).status.value for identity in asked)
    if set(states) - {"SUCCEEDED"}:
        broken.append(f"deployments ended as {dict(states)}")
    everything = unit.deployments.recent(10 * len(asked))
    if sorted(each.id for each in everything) != sorted(asked):
        broken.append(f"{len(everything)} deployments, and {len(asked)} were asked for")
    return broken


TRIAL = Trial("once", Promise.ONCE, Rounds(0, 8, 150), run)
