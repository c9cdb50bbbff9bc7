"""Bad input at every door: webhooks, the API, pages, bundles, schemas, specs, YAML, Jinja, addresses, archives, trees.

A case is one thing sent through one door. It is refused with a sentence or taken; it never ends as a 500, an exception
that nobody foresaw, or not at all. After all of them nothing that was there before is lost, no file lies where none
belongs, and no process, thread or descriptor is left.
"""

import gzip
import hashlib
import io
import json
import os
import random
import signal
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flask.testing import FlaskClient

from tests import builders
from tests.builders import NOON
from tests.histories import Submodule, Symlink, a_repository
from tests.trials import garbage
from tests.trials.installation import children
from tests.trials.trial import Outcome, Promise, Rounds, Trial, chance
from tests.trials.versions import World
from tests.web.api.conftest import Program, a_token
from tests.web.api.test_access import ACTS, BY_NAME, LOOKS
from tests.web.furnished import furnish, people
from tests.web.page import Page
from tests.web.test_hooks import push_payload, signature
from upkeep import settings
from upkeep.adapters.archives import read_archive
from upkeep.adapters.jinja import JinjaRenderer
from upkeep.adapters.passwords import Argon2Passwords
from upkeep.adapters.secrets import KeptSecrets
from upkeep.adapters.store import SqlStore, open_store
from upkeep.domain import addresses, documents, names, schemas, specs
from upkeep.domain.bundles import TemplateFile
from upkeep.domain.errors import UpkeepError
from upkeep.domain.namespaces import EnvironmentFacts, environment_namespace
from upkeep.domain.notices import Routing
from upkeep.domain.parts import Part
from upkeep.domain.people import DAEMON, Session
from upkeep.flows import follow
from upkeep.flows.admit import SPANS
from upkeep.flows.examine import examine
from upkeep.flows.ports import Renderer
from upkeep.web.app import Rooms, create_app

SECRET = "It's a Secret to Everybody"
SLOW = 20.0
"""Seconds after which a case counts as one that does not end."""

ANEW_AFTER = 1500
"""Cases after which the world behind the API and the pages is made anew, so that it does not fill up with garbage."""

WORDS = [
    "{{", "}}", "{%", "%}", "{%-", "{#", "#}", "for", "x", "in", "endfor", "if", "else", "endif", "set", "endset",
    "macro", "m", "endmacro", "call", "endcall", "filter", "endfilter", "with", "endwith", "block", "raw", "endraw",
    "include", "import", "loop", "self", "is", "defined", "default", "upper", "join", "items", "environment", "inputs",
    "cidr", "range", "lipsum", "cycler", "namespace", "attr", "format", "map", "list", "__class__", ".", ",", "|", "(",
    ")", "[", "]", "{", "}", ":", "=", "~", "*", "**", "-1", "0", "99999999", "'a'", "none", "\n",
]  # fmt: skip


class Hangs(Exception):
    """A case did not end."""


@dataclass
class Behind:
    """What is behind the doors of the web: an application over a furnished store, and who speaks to it."""

    renderer: Renderer
    store: SqlStore
    client: FlaskClient
    program: Program
    signed_in: FlaskClient
    csrf_token: str
    used: int = 0


@dataclass
class Doors:
    """The doors, and what stands behind them. Each method tries one case and says what was wrong with the outcome."""

    folder: Path
    renderer: Renderer
    dice: random.Random
    behind: Behind | None = None
    seen: Counter[str] = field(default_factory=Counter)
    taken: list[str] = field(default_factory=list)

    def world(self) -> Behind:
        """A fresh one now and then."""
        if self.behind is None or self.behind.used >= ANEW_AFTER:
            if self.behind is not None:
                self.behind.store.close()
            self.behind = _behind(self.folder, self.renderer)
            self.taken = []
        self.behind.used += 1
        return self.behind

    # --------------------------------------------------------------------------------------------- the web

    def webhook(self) -> str | None:
        dice = self.dice
        payload: Any = push_payload()
        if dice.random() < 0.8:
            payload = garbage.damaged_value(dice, payload)
        body = garbage.as_body(dice, payload)
        kind = dice.choice(["application/json"] * 6 + ["application/x-www-form-urlencoded", "text/xml", ""])
        if kind.endswith("urlencoded"):
            body = b"payload=" + quote(body).encode()
        delivery = f"{dice.getrandbits(64):x}"
        headers = {
            "X-GitHub-Delivery": delivery if dice.random() < 0.8 else _header(dice),
            "X-GitHub-Event": "push" if dice.random() < 0.8 else _header(dice),
            "X-Hub-Signature-256": signature(body) if dice.random() < 0.9 else _header(dice),
            "Content-Type": kind,
        }
        if dice.random() < 0.05:
            del headers[dice.choice(sorted(headers))]
        path = (
            "/hooks/github"
            if dice.random() < 0.9
            else "/hooks/github/" + quote(garbage.a_token(dice).encode("utf-8", "replace"))
        )
        answer = self.world().client.post(path, data=body, headers=headers)
        if answer.status_code == 202 and headers.get("X-GitHub-Delivery") == delivery:
            self.taken.append(delivery)
        return _judged(answer)

    def api(self) -> str | None:
        dice, behind = self.dice, self.world()
        name = dice.choice(_OPERATIONS)
        path, body, *_ = ACTS[name] if name in ACTS else (LOOKS[name], None)
        path = _damaged_path(dice, path)
        kept: dict[str, Any] = {}
        if body is not None or dice.random() < 0.3:
            value = garbage.damaged_value(dice, body if body is not None else {}) if dice.random() < 0.9 else body
            kept = {"data": garbage.as_body(dice, value), "content_type": "application/json"}
            if dice.random() < 0.05:
                kept["content_type"] = _header(dice)
        headers = {"Idempotency-Key": _header(dice)} if dice.random() < 0.1 else {}
        return _judged(behind.program.ask(BY_NAME[name].method, path, headers, **kept))

    def page(self) -> str | None:
        dice, behind = self.dice, self.world()
        rule = dice.choice(_pages(behind.client))
        path = rule.rule
        for argument in rule.arguments:
            value = dice.choice(["test", "network-env", "web-svc", "checkout", "1", "1.0", garbage.a_token(dice)])
            for shape in (f"<path:{argument}>", f"<int:{argument}>", f"<{argument}>"):
                path = path.replace(shape, quote(value.encode("utf-8", "replace")))
        if dice.random() < 0.6:
            words = [
                "page",
                "after",
                "order",
                "q",
                "owner",
                "template",
                "kind",
                "status",
                "version",
                "from",
                "to",
                "search",
                "limit",
            ]
            path += "?" + "&".join(
                f"{dice.choice(words)}={quote(garbage.a_token(dice).encode('utf-8', 'replace'))}" for _ in range(3)
            )
        methods = rule.methods or set()
        if "POST" in methods and not path.startswith("/sign") and ("GET" not in methods or dice.random() < 0.3):
            form = {
                word: garbage.a_token(dice)
                for word in ("spec", "version", "inputs", "name", "note", "reason", "owner", "template")
            }
            form = {name: text.encode("utf-8", "replace").decode() for name, text in form.items()}
            return _judged(behind.signed_in.post(path, data={"csrf_token": behind.csrf_token, **form}))
        return _judged(behind.signed_in.get(path))

    # ------------------------------------------------------------------------------------------- files of templates

    def bundle(self) -> str | None:
        dice = self.dice
        files = dice.choice([builders.environment_files, builders.service_files])()
        for path in dice.sample(sorted(files), dice.choice([1, 1, 2])):
            text = files[path]
            content = text if isinstance(text, bytes) else text.encode()
            files[path] = garbage.damaged_bytes(dice, content)
        if dice.random() < 0.3:
            files[garbage.a_token(dice).strip("/").replace("\ud800", "x") or "x"] = garbage.a_token(dice).encode(
                "utf-8", "replace"
            )
        inspection = examine(builders.a_bundle(files), self.renderer)
        bugs = [str(finding) for finding in inspection.findings if "Upkeep failed to read" in str(finding)]
        return f"a bundle met a bug: {bugs[0]} ({files})" if bugs else None

    def schema(self) -> str | None:
        text = garbage.damaged(self.dice, self.dice.choice([builders.ENVIRONMENT_SCHEMA, builders.SERVICE_SCHEMA]))
        schema, findings = schemas.inspect(text)
        if schema is None and not findings:
            return f"a schema was refused without a word: {text!r}"
        if schema is not None:
            schemas.compatibility(schemas.parse(builders.ENVIRONMENT_SCHEMA), schema)
        return None

    def spec(self) -> str | None:
        dice = self.dice
        if dice.random() < 0.5:
            found = specs.parse_environment_spec(garbage.damaged(dice, builders.ENVIRONMENT_SPEC))
            specs.merge(_NETWORK, found.inputs)
        else:
            service = specs.parse_service_spec(garbage.damaged(dice, builders.SERVICE_SPEC))
            specs.written_service_spec(service.pipeline, service.instances)
        return None

    def yaml(self) -> str | None:
        dice = self.dice
        text = dice.choice([builders.ENVIRONMENT_BODY, builders.MANIFEST, "a: &x [1]\nb: *x\n", "", "&a [*a, *a]"])
        text = garbage.damaged(dice, text, 10)
        dice.choice([documents.load, documents.load_template, documents.load_texts])(text, "x.yaml")
        return None

    def jinja(self) -> str | None:
        dice = self.dice
        text = " ".join(dice.choices(WORDS, k=dice.randint(1, 30)))
        if dice.random() < 0.5:
            text = garbage.damaged(dice, builders.ENVIRONMENT_BODY) + text
        template = TemplateFile("t.yaml", text)
        self.renderer.check(template, Part.ENVIRONMENT, {Part.ENVIRONMENT: ["cidr"]})
        self.renderer.render(template, _NAMESPACE)
        return None

    def archive(self) -> str | None:
        dice = self.dice
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for path, text in builders.environment_files().items():
                member = tarfile.TarInfo(path if dice.random() < 0.8 else garbage.damaged(dice, path, 2)[:90])
                content = text if isinstance(text, bytes) else text.encode()
                member.size = len(content)
                if dice.random() < 0.15:
                    member.type = dice.choice(
                        [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, b"L", b"x"]
                    )
                    member.linkname = dice.choice(["/etc/passwd", "../..", "schema"])
                try:
                    archive.addfile(member, io.BytesIO(content))
                except (UnicodeError, ValueError):
                    continue
        content = packed.getvalue()
        if dice.random() < 0.4:
            content = garbage.damaged_bytes(dice, content)
        content = gzip.compress(content, 1)
        if dice.random() < 0.3:
            content = garbage.damaged_bytes(dice, content)
        found = read_archive(content)
        outside = [file.path for file in found.files if file.path.startswith("/") or ".." in file.path.split("/")]
        return f"an archive leads outside: {outside}" if outside else None

    def configuration(self) -> str | None:
        text = garbage.damaged(self.dice, _CONFIGURATION)
        place = self.folder / "damaged.yaml"
        place.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            settings.load(place, {})
        finally:
            place.unlink()
        return None

    # --------------------------------------------------------------------------------------------- what git reads

    def address(self) -> str | None:
        dice = self.dice
        good = dice.choice(
            [
                "https://git.example.com/a/b.git",
                "git@example.com:a/b.git",
                "ssh://git@example.com/a",
                "main",
                "a/b",
                "1.0",
            ]
        )
        text = garbage.damaged(dice, good, 3) if dice.random() < 0.8 else garbage.a_token(dice)
        match dice.randrange(5):
            case 0:
                addresses.check_address(text, allow_local=False)
                wrong = (
                    text.startswith(("-", "/", "file:"))
                    or "::" in text.partition("/")[0].replace("[::", "")
                    or "\n" in text
                )
            case 1:
                addresses.check_branch(text)
                wrong = text.startswith("-") or ".." in text or (not text.isprintable() and "\n" in text)
            case 2:
                addresses.check_subdirectory(text)
                wrong = text.startswith("/") or ".." in text.split("/")
            case 3:
                names.parse_template_name(text)
                wrong = not text.replace("-", "").replace("_", "").isalnum() or text.startswith("-")
            case _:
                names.parse_resource_key(f"environment/{text}")
                wrong = "/" in text or ".." in text
        return f"this was let in: {text!r}" if wrong else None

    def tree(self) -> str | None:
        dice = self.dice
        here = self.folder / "trees" / f"{dice.getrandbits(48):x}"
        here.mkdir(parents=True)
        files: dict[str, Any] = builders.under("net/v1", builders.environment_files())
        for _ in range(dice.randint(1, 5)):
            name = dice.choice(
                ["net/v1/", "net/v1/schema/", "", "v1/", "net/v2/", ".git/hooks/", "net/v1/infrastructure/"]
            )
            name += _file_name(dice)
            files[name] = dice.choice([
                Symlink(dice.choice(["/etc/passwd", "../../../..", "schema", f"../../{garbage.CANARY}"])),
                Submodule(), garbage.a_token(dice).encode("utf-8", "replace"), b"\0" * dice.choice([0, 1, 100_000]),
            ])  # fmt: skip
        remote = a_repository(here / "remote.git")
        try:
            remote.write([files])
        except Exception:
            # git itself did not want it.
            return None
        world = World(here, self.renderer, dice, 0.0, str(remote.git_dir), remote)
        try:
            world.work(risk=0.0)
            with world.store.read() as unit:
                source = unit.sources.get("templates")
                found = unit.registry.templates()
                bugs = [
                    str(finding) for template in found for version in unit.registry.versions(template.name)
                    for finding in version.findings if "Upkeep failed to read" in str(finding)
                ]  # fmt: skip
        finally:
            world.store.close()
        strays = sorted(path.name for path in here.iterdir() if path.name not in _BELONGS)
        if bugs or strays:
            return f"a tree of {sorted(files)} left {strays or bugs}"
        if source.synced_commit is None and source.stall is None:
            return f"a tree of {sorted(files)} was neither read nor refused: {source.failure}"
        return None


_DATABASE = {f"upkeep.db{of}" for of in ("", "-wal", "-shm", ".lock", ".seat")}
_BELONGS = {"remote.git", "git", "bells"} | _DATABASE
_CONFIGURATION = json.dumps(
    {
        "state": "state",
        "web": {"port": 8080, "workers": 2},
        "worker": {"lease": "1m"},
        "sources": [{"name": "templates", "url": "https://git.example.com/a.git", "poll_every_for": "5m"}],
        "notices": {"channels": {"console": {"kind": "console"}}, "owners": {"a": "console"}},
        "updates": {"policies": [{"environments": ["live-*"], "windows": [{"opens": "09:00", "closes": "15:30"}]}]},
    },
    indent=1,
)
_OPERATIONS = sorted(name for name in BY_NAME if name not in ("set_password", "add_user"))
_NETWORK = schemas.parse(builders.ENVIRONMENT_SCHEMA).inputs_of(Part.ENVIRONMENT)
_NAMESPACE = environment_namespace(EnvironmentFacts("test", "111111111111", {"cidr": "10.0.0.0/16"}))

DOORS: dict[str, tuple[Callable[[Doors], str | None], float]] = {
    "webhook": (Doors.webhook, 20), "API": (Doors.api, 15), "pages": (Doors.page, 5), "bundles": (Doors.bundle, 8),
    "schemas": (Doors.schema, 10), "specs": (Doors.spec, 10), "YAML": (Doors.yaml, 10), "Jinja": (Doors.jinja, 6),
    "archives": (Doors.archive, 6), "configurations": (Doors.configuration, 2),
    "addresses and names": (Doors.address, 10), "trees": (Doors.tree, 0.3),
}  # fmt: skip
"""The doors, and how often each is tried beside the others."""


def _behind(folder: Path, renderer: Renderer) -> Behind:
    store = open_store("sqlite://", state=folder)
    furnish(store, NOON)
    opened = Session(hashlib.sha256(b"admin's").hexdigest(), "admin", NOON, NOON + SPANS.session_for)
    with store.write() as unit:
        people(unit)
        unit.people.add_session(opened)
        # Not the token that the lists revoke.
        unit.people.add_token(a_token("admin", "upkeep_1", NOON, token_id="0" * 12))
        follow.add(unit, builders.a_source("pushed"), actor=DAEMON, now=NOON)
    app = create_app(
        Rooms(
            store=store,
            renderer=renderer,
            passwords=Argon2Passwords(),
            secrets=KeptSecrets(),
            routing=Routing(),
            clock=lambda: NOON,
            webhook_secrets=(SECRET,),
            public_url="http://upkeep.example.com",
        )
    )
    signed_in = app.test_client()
    with signed_in.session_transaction() as cookie:
        cookie["secret"] = "admin's"
    token = Page(signed_in.get("/activity").text).forms[0].fields["csrf_token"]
    return Behind(renderer, store, app.test_client(), Program(app.test_client(), "upkeep_1"), signed_in, token)


def _pages(client: FlaskClient) -> list[Any]:
    rules = client.application.url_map.iter_rules()
    return sorted(
        (rule for rule in rules if not rule.rule.startswith(("/api", "/hooks", "/static", "/proton"))),
        key=lambda rule: (rule.rule, rule.endpoint),
    )


def _judged(answer: Any) -> str | None:
    if answer.status_code >= 500 and answer.status_code != 503:
        return f"{answer.request.method} {answer.request.full_path} was answered with {answer.status_code}"
    if answer.status_code >= 400 and not answer.data.strip() and answer.request.method != "HEAD":
        return f"{answer.request.method} {answer.request.full_path} was refused without a sentence"
    return None


def _header(dice: random.Random) -> str:
    # What no HTTP server lets through is not for us to judge.
    return "".join(letter for letter in garbage.a_token(dice) if letter.isprintable() and ord(letter) < 256)


def _damaged_path(dice: random.Random, path: str) -> str:
    if dice.random() < 0.3:
        parts = path.split("/")
        parts[dice.randrange(len(parts))] = quote(garbage.a_token(dice).encode("utf-8", "replace"))
        path = "/".join(parts)
    if dice.random() < 0.3:
        word = dice.choice(["limit", "page_token", "status", "owner", "template", "search", "order", "x"])
        path += f"?{word}={quote(garbage.a_token(dice).encode('utf-8', 'replace'))}"
    return path


def _file_name(dice: random.Random) -> str:
    name = dice.choice(
        [
            "x",
            "schema.yaml",
            "manifest.yaml",
            ".gitmodules",
            ".gitattributes",
            "caf\udce9",
            "a" * 300,
            garbage.a_token(dice),
        ]
    )
    return "".join(letter for letter in name if letter not in "\0\ud800").strip("/") or "x"


@contextmanager
def _watched() -> Iterator[None]:
    def late(*_: object) -> None:
        raise Hangs(f"it did not end in {SLOW:.0f} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SLOW)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _held() -> tuple[int, int, int]:
    """Descriptors, child processes and threads of ours."""
    return len(list(Path("/proc/self/fd").iterdir())), len(children(os.getpid())), threading.active_count()


def run(seed: int, rounds: int, folder: Path) -> Outcome:
    """Rounds of a hundred cases each, at doors drawn by their weight."""
    dice = chance(seed, "bad input")
    broken: list[str] = []
    tried: Counter[str] = Counter()
    refused, slowest = 0, (0.0, "")
    before = _held()
    work = folder / "work"
    work.mkdir()
    here = Path.cwd()
    os.chdir(work)
    try:
        limits = {"time_for": timedelta(milliseconds=300), "memory_bytes": 128 << 20, "output_bytes": 100_000}
        with JinjaRenderer(workers=1, **limits) as renderer:
            doors = Doors(folder, renderer, dice)
            ways, weights = list(DOORS), [weight for _, weight in DOORS.values()]
            for number in range(rounds * 100):
                (door,) = dice.choices(ways, weights)
                began = time.monotonic()
                try:
                    with _watched():
                        fault = DOORS[door][0](doors)
                except UpkeepError as refusal:
                    refused += 1
                    fault = None if str(refusal).strip() else "refused without a sentence"
                except Exception as bug:
                    fault = f"{type(bug).__name__}: {bug}"
                tried[door] += 1
                slowest = max(slowest, (time.monotonic() - began, door))
                if fault is not None:
                    broken.append(f"case {number}, {door}: {fault[:400]}")
                    if len(broken) > 20:
                        break
            if doors.behind is not None:
                broken += _lost(doors, doors.behind.store)
                doors.behind.store.close()
    finally:
        os.chdir(here)
    after = _held()
    if any(now > then for now, then in zip(after, before, strict=True)):
        broken.append(f"descriptors, processes, threads: {before} before, {after} after")
    if strays := [str(path) for path in [*work.iterdir(), *folder.rglob(garbage.CANARY)]]:
        broken.append(f"files where none belong: {strays[:5]}")
    counts = ", ".join(f"{count:,} {door}" for door, count in sorted(tried.items()))
    return Outcome(
        f"{tried.total():,} cases: {counts}",
        f"no 500, no bug, no hang (slowest {slowest[0]:.1f} s: {slowest[1]}), nothing lost, leaked or strayed",
        tuple(broken),
    )


def _lost(doors: Doors, store: SqlStore) -> list[str]:
    with store.read() as unit:
        lost = [delivery for delivery in doors.taken if unit.deliveries.find(delivery) is None]
    return [f"{len(lost)} answered deliveries are lost"] if lost else []


TRIAL = Trial("bad-input", Promise.BAD_INPUT, Rounds(4, 100, 1000), run)
