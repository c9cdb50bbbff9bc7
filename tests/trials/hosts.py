"""Hosts in network namespaces on one PostgreSQL: all begin at once, and one after the other is cut off and comes back.

A round pushes a commit for each template, tells two hosts of it, asks for updates, and cuts a host off while they are
worked: by taking its cable out, or by losing all its packets without a word. While it is away the others publish,
deploy and come to rest; it says itself that it is not ready; and it is ready again once it is back. At the end every
change has its one version, every request its one deployment, and what the clock asks for was asked once for all hosts.
"""

import hashlib
import hmac
import http.client
import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg

from tests import builders
from tests.builders import ADMIN, under
from tests.gitserver import GitServer
from tests.histories import History
from tests.trials import invariants
from tests.trials.installation import SECRET, Installation, eventually
from tests.trials.network import Host, Network
from tests.trials.once import missed
from tests.trials.postgres import Postgres
from tests.trials.trial import Outcome, Promise, Rounds, Trial, chance
from upkeep import wiring
from upkeep.adapters.store import SqlStore, open_store
from upkeep.domain.errors import Conflict, TransientError
from upkeep.domain.names import environment_key
from upkeep.domain.people import Role, Scope
from upkeep.domain.work import WorkKind
from upkeep.flows import admit, deploy, enroll

HOSTS = ("one", "two", "three")
TEMPLATES = ("net", "app")
ENVIRONMENTS = 6
LEASE = 3.0
POLL_EVERY = 3.0
PASSWORD = "correct horse battery staple"
NOTICED_WITHIN = 90.0
"""An idle worker looks at its rows every half minute, and then waits for an answer for twenty seconds."""


@dataclass
class Member:
    """One host with its own state folder, a web server and a worker."""

    host: Host
    here: Installation

    def start(self) -> None:
        """Start both."""
        with self.host.inside():
            self.here.start("web")
            self.here.start("worker")

    def ready(self) -> int:
        """How its web server answers whether it can do its work; 0 when it does not."""
        with self.host.inside():
            return self.here.ask("/readyz")[0]

    def call(
        self, method: str, path: str, body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, str, str]:
        """Status, body and cookie of a request to its web server."""
        with self.host.inside():
            connection = http.client.HTTPConnection("127.0.0.1", self.here.port, timeout=60)
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            text = answer.read().decode()
            connection.close()
        return answer.status, text, (answer.getheader("Set-Cookie") or "").partition(";")[0]

    def lines(self) -> Iterator[dict[str, Any]]:
        """Its log."""
        for line in self.here.log.read_text(errors="replace").splitlines():
            with suppress(ValueError):
                yield json.loads(line)


@dataclass
class Fleet:
    """All hosts, and what they are asked to do."""

    network: Network
    members: tuple[Member, ...]
    store: SqlStore
    postgres: Postgres
    remote: History
    remote_url: str
    dice: random.Random
    notes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TEMPLATES, 0))
    asked: list[str] = field(default_factory=list)
    token: str = ""
    began: float = field(default_factory=time.monotonic)
    cuts: Counter[str] = field(default_factory=Counter)
    rested: list[float] = field(default_factory=list)
    returned: list[float] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """A first version of everything, and what runs it."""
        self.push()
        with self.store.write() as unit:
            now = self.store.now()
            admit.add_user(unit, wiring.open_passwords(), "ada", Role.ADMIN, PASSWORD, email=None, actor=ADMIN, now=now)
            _, self.token = admit.create_token(unit, "trial", [Scope.ADMIN], user="ada", actor=ADMIN, now=now)
        eventually("the templates are published", lambda: self.publish(self.members) == len(TEMPLATES), self.last_words)
        for number in range(ENVIRONMENTS):
            with self.store.write() as unit:
                made = enroll.create_environment(
                    unit, f"e{number}", self.dice.choice(TEMPLATES), builders.ENVIRONMENT_SPEC,
                    actor=ADMIN, now=self.store.now(),
                )  # fmt: skip
            self.asked.append(made.id)
        eventually("the environments run", self.at_rest, self.last_words)

    def round(self, cut: str, *, until_told: bool = False) -> None:
        """Cut a host off while all of them work, look what the others do, and let it come back."""
        victim = self.dice.choice(self.members)
        others = tuple(member for member in self.members if member is not victim)
        self.push()
        self.update()
        time.sleep(self.dice.uniform(0.0, 1.0))
        mark = victim.here.log.stat().st_size
        (self.network.pull if cut == "pulled" else self.network.lose)(victim.host)
        self.cuts[cut] += 1
        went = time.monotonic()
        told = eventually(f"{victim.host.name} says it is cut off", lambda: victim.ready() == 503, within=20)
        if told > 5:
            self.broken.append(f"{victim.host.name} was {told:.0f} s without knowing that it was cut off")
        if any(member.ready() != 200 for member in others):
            self.broken.append("a host is not ready because another was cut off")
        wanted = set(self.notes.values())
        eventually(
            "the others bring the versions",
            lambda: self.publish(others, max(wanted)) == len(TEMPLATES),
            self.last_words,
        )
        self.update()
        eventually("the others come to rest", self.at_rest, self.last_words)
        self.rested.append(time.monotonic() - went)
        if until_told:
            self._told(victim, mark, "no work can be claimed")
        self.network.mend(victim.host)
        self.returned.append(
            eventually(f"{victim.host.name} is ready again", lambda: victim.ready() == 200, victim.here.last_words)
        )
        if until_told:
            self._told(victim, mark, "work can be claimed again")

    def push(self) -> None:
        """A commit that changes every template, which two hosts are told of as one delivery."""
        tree: dict[str, str | bytes] = {}
        for name in TEMPLATES:
            self.notes[name] += 1
            body = f"# {self.notes[name]}\n{builders.ENVIRONMENT_BODY}"
            tree |= under(f"{name}/v1", builders.environment_files(body=body))
        known = self.remote.git("for-each-ref", "--format=%(objectname)", "refs/heads/main")
        (after,) = self.remote.write([tree], onto=known or None)
        payload = {
            "ref": "refs/heads/main", "before": known, "after": after, "deleted": False,
            "repository": {"full_name": "acme/templates", "clone_url": self.remote_url}, "commits": [],
        }  # fmt: skip
        body = json.dumps(payload)
        signature = hmac.new(SECRET.encode(), body.encode(), hashlib.sha256).hexdigest()
        for member in self.dice.sample(self.members, 2):
            headers = {
                "Content-Type": "application/json", "X-GitHub-Event": "push",
                "X-GitHub-Delivery": after, "X-Hub-Signature-256": f"sha256={signature}",
            }  # fmt: skip
            status, text, _ = member.call("POST", "/hooks/github", body, headers)
            if status not in (200, 202):
                self.broken.append(f"a delivery to {member.host.name} was answered {status}: {text[:200]}")

    def publish(self, members: tuple[Member, ...], at_least: int = 1) -> int:
        """Publish the drafts there are, each by some host, and see it by another; how many templates have a published
        version for each of so many changes."""
        with self.store.read() as unit:
            drafts = unit.registry.drafts()
        for draft in drafts:
            with self.store.read() as unit:
                tree = unit.registry.version(draft.template, draft.version).tree
            one, other = self.dice.sample(members * 2, 2)
            path = f"/api/v1/templates/{draft.template}/versions/{draft.version}"
            headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
            repeatable = {**headers, "Idempotency-Key": f"{draft.template}-{draft.version}"}
            status, text, _ = one.call("POST", f"{path}/publish", json.dumps({"seen": tree}), repeatable)
            if status != 200:
                # Somebody may not have looked at it yet: it is a draft at the next look as well.
                continue
            again, repeated, _ = other.call("POST", f"{path}/publish", json.dumps({"seen": tree}), repeatable)
            if (again, repeated) != (status, text):
                self.broken.append(f"an answer of {one.host.name} was not known to {other.host.name}: {again}")
            seen = json.loads(other.call("GET", path, headers=headers)[1])
            if seen.get("state") != "PUBLISHED":
                self.broken.append(f"an approval on {one.host.name} is not seen on {other.host.name}: {seen}")
        with self.store.read() as unit:
            names = [template.name for template in unit.registry.templates()]
            return sum(len(unit.registry.published(name)) >= at_least for name in names)

    def update(self) -> None:
        """Ask for an update of what is behind and not on its way."""
        for number in range(ENVIRONMENTS):
            key = environment_key(f"e{number}")
            with suppress(Conflict, TransientError), self.store.write() as unit:
                resource = unit.fleet.get(key)
                target = unit.registry.template(resource.template).recommended
                if resource.version != target and unit.deployments.under_way(key) is None:
                    self.asked.append(deploy.update(unit, key, actor=ADMIN, now=self.store.now()).id)
        self.store.ring()

    def at_rest(self) -> bool:
        """Whether nothing is due or being done, but for the polls that come all the time."""
        with self.store.read() as unit:
            due = [work for work in unit.work.list(100) if work.due_at < self.store.now() + timedelta(days=365)]
        return not [work for work in due if work.kind not in (WorkKind.POLL, WorkKind.SYNC)]

    def sign_in_everywhere(self) -> None:
        """A form of one host is taken by another, and the session it opens is good on all."""
        one, other, *_ = self.members
        _, page, cookie = one.call("GET", "/sign-in")
        found = re.search(r'name="csrf_token" value="([^"]+)"', page)
        form = {"name": "ada", "password": PASSWORD, "csrf_token": found[1] if found else ""}
        headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
        status, _, session = other.call("POST", "/sign-in", urlencode(form), headers)
        if status != 303:
            self.broken.append(f"a form of {one.host.name} was answered {status} by {other.host.name}")
        for member in self.members:
            status, page, _ = member.call("GET", "/people", headers={"Cookie": session})
            if status != 200 or "ada" not in page:
                self.broken.append(f"a session of {other.host.name} is answered {status} on {member.host.name}")

    def compare_all(self) -> None:
        """Let the time come at which every resource is compared for drift, and see that each is compared once."""
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            connection.execute("UPDATE resources SET deployed_at = now() - interval '2 days', drift_checked_at = NULL")
        count = f"all {ENVIRONMENTS} are compared"
        eventually(count, lambda: len(self.worked("drift")) >= ENVIRONMENTS, self.last_words)
        # What another host would ask for, too, comes with its next tick at the latest, a minute later.
        time.sleep(65)
        twice = [subject for subject, times in Counter(self.worked("drift")).items() if times != 1]
        if twice:
            self.broken.append(f"compared more than once for one time that came: {twice}")

    def worked(self, kind: str) -> list[str]:
        """The subjects of what was worked on all hosts."""
        called = {"drift": "resource", "poll": "sources"}[kind]
        return [
            line[called]
            for member in self.members
            for line in member.lines()
            if line.get("event") == "worked" and line.get("work") == kind
        ]

    def taken_over(self) -> int:
        """How many works were begun by a host that was cut off and left to another, as the logs of the former tell."""
        return sum(
            str(line.get("event")).startswith(("left to the worker", "the failure could not be written"))
            for member in self.members
            for line in member.lines()
        )

    def judge(self) -> list[str]:
        """What is wrong now that all is done."""
        broken = [*self.broken, *invariants.broken(self.postgres.url)]
        with self.store.read() as unit:
            broken += missed(unit, self.remote, TEMPLATES, self.asked)
            broken += [f"{work.kind} {work.subject}: {work.failure}" for work in unit.work.list(100) if work.failure]
        polls, most = len(self.worked("poll")), (time.monotonic() - self.began) / (0.9 * POLL_EVERY) + 1
        if polls > most:
            broken.append(f"the clock asked for {polls} polls, and for {most:.0f} at most was it time")
        for member in self.members:
            bugs = [line for line in member.lines() if line.get("level") == "critical"]
            broken += [f"{member.host.name} met a bug: {str(line)[:300]}" for line in bugs[:1]]
        return broken

    def last_words(self) -> str:
        """The ends of all logs."""
        return "\n".join(f"--- {member.host.name}\n{member.here.last_words()}" for member in self.members)

    def _told(self, member: Member, mark: int, what: str) -> None:
        eventually(
            f"the log of {member.host.name} says: {what}",
            lambda: member.here.logged(what, mark), member.here.last_words, within=NOTICED_WITHIN,
        )  # fmt: skip


@contextmanager
def fleet(folder: Path, dice: random.Random, names: tuple[str, ...]) -> Iterator[Fleet]:
    """Hosts that were started all at once on a database without tables, which is on one more host, as is git."""
    with ExitStack() as stack:
        network = stack.enter_context(Network(("rows", *names)))
        rows = network.hosts["rows"]
        with rows.inside():
            postgres = stack.enter_context(Postgres(rows.address))
            # A sync takes so long that a cut falls into its middle.
            slowly = GitServer(folder / "git", host=rows.address, fault=lambda _: time.sleep(0.3))
            server = stack.enter_context(slowly)
        remote = History(server.create("templates"))
        url = server.url("templates")
        source = {"name": "templates", "url": url, "branch": "main", "poll_every_for": f"{POLL_EVERY:.0f}s"}
        configuration = {
            "database": {"url": postgres.network_url},
            "sources": [source],
            "web": {"workers": 1},
            "worker": {"lease": f"{LEASE:.0f}s", "concurrency": 2},
            "local": {"folder": str(folder / "stacks")},
            "drift": {"every_for": "1h"},
            "log": {"format": "json", "level": "debug"},
        }
        members = []
        for name in names:
            (folder / name).mkdir()
            here = Installation(folder / name, None, configuration)
            stack.callback(here.end)
            members.append(Member(network.hosts[name], here))
        for member in members:
            member.start()
        for member in members:
            eventually(f"{member.host.name} is ready", lambda m=member: m.ready() == 200, member.here.last_words)
        store = open_store(postgres.url, state=folder / "here")
        stack.callback(store.close)
        yield Fleet(network, tuple(members), store, postgres, remote, url, dice)


def run(seed: int, rounds: int, folder: Path) -> Outcome:
    """So many hosts cut off, one after the other."""
    with fleet(folder, chance(seed, "hosts"), HOSTS if rounds > 1 else HOSTS[:2]) as hosts:
        hosts.begin()
        hosts.sign_in_everywhere()
        cuts = ["silent", "pulled"] * (rounds // 2 + 1)
        for number in range(rounds):
            hosts.round(cuts[number], until_told=rounds > 2 and number in (1, 2))
        eventually("all work is done", hosts.at_rest, hosts.last_words)
        eventually("the clock has asked for a poll", lambda: bool(hosts.worked("poll")), hosts.last_words)
        if rounds > 2:
            hosts.compare_all()
        broken = hosts.judge()
        by_clock = f"{len(hosts.worked('poll'))} polls and {len(hosts.worked('drift'))} comparisons by the clock"
        taken = hosts.taken_over()
    cut = ", ".join(f"{count} {how}" for how, count in sorted(hosts.cuts.items()))
    return Outcome(
        f"{len(hosts.members)} hosts, cut off {rounds} times ({cut}), {sum(hosts.notes.values())} changes, "
        f"{len(hosts.asked)} requests",
        f"the others at rest after {max(hosts.rested):.0f} s at most, {taken} works taken over, the one cut off ready "
        f"{max(hosts.returned):.1f} s after its return; {by_clock}, each once",
        tuple(broken),
    )


TRIAL = Trial("hosts", Promise.HOSTS, Rounds(1, 4, 24), run)
