"""`upkeep doctor`: what is wrong with an installation, and how to mend it."""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from upkeep.cli.acting import Desk, pass_desk
from upkeep.domain.errors import SettingsError, UpkeepError

if TYPE_CHECKING:
    from upkeep.flows.ports import Store
    from upkeep.settings import Settings

_OVERDUE_AFTER = timedelta(minutes=1)
_OLDEST_GIT = (2, 25)


@dataclass(frozen=True, slots=True)
class _Verdict:
    level: str
    thing: str
    reason: str
    fix: str = ""


@click.command()
@pass_desk
def doctor(desk: Desk) -> None:
    """Look at configuration, database, git, worker, sources, webhooks, AWS and keys; exit with 1 when one fails."""
    failed = False
    with ExitStack() as stack:
        for verdict in _verdicts(desk, stack):
            colour = {"ok": "green", "warn": "yellow", "fail": "red"}[verdict.level]
            click.echo(f"[{click.style(verdict.level, fg=colour)}] {verdict.thing}: {verdict.reason}")
            if verdict.fix:
                click.echo(f"       fix: {verdict.fix}")
            failed = failed or verdict.level == "fail"
    if failed:
        raise click.exceptions.Exit(1)


def _verdicts(desk: Desk, stack: ExitStack) -> Iterator[_Verdict]:
    yield _git()
    try:
        checked = desk.settings
    except SettingsError as error:
        for fault in error.faults:
            yield _Verdict("fail", "config", fault)
        return
    yield _Verdict("ok", "config", str(desk.config_path or "the defaults, no file"))
    try:
        store = _store(checked, stack)
    except SettingsError as error:
        for fault in error.faults:
            yield _Verdict("fail", "database", fault, "upkeep migrate")
    except UpkeepError as error:
        yield _failed("database", error)
    else:
        yield _Verdict("ok", "database", "it answers and can be written to")
        for thing, look in _LOOKS.items():
            try:
                yield from look(desk, store)
            except UpkeepError as error:
                yield _failed(thing, error)


def _failed(thing: str, error: UpkeepError) -> _Verdict:
    where = f"{error.where}: " if error.where else ""
    return _Verdict("fail", thing, f"{where}{error.message}", error.cure or "")


def _git() -> _Verdict:
    program = shutil.which("git")
    if program is None:
        return _Verdict("fail", "git", "there is no git in PATH", "install git")
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10)  # noqa: S603  (git, by its whole path)
    found = answer.stdout.strip().removeprefix("git version ")
    numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
    if numbers < _OLDEST_GIT:
        return _Verdict("warn", "git", f"{found or 'its version'} is old", "install git 2.25 or newer")
    return _Verdict("ok", "git", found)


def _store(checked: "Settings", stack: ExitStack) -> "Store":
    from upkeep import wiring

    store = wiring.open_store(checked, stack)
    store.check()
    return store


def _worker(desk: Desk, store: "Store") -> Iterator[_Verdict]:
    now = desk.now
    with store.read() as unit:
        rows = unit.work.list(1000)
    free = [row for row in rows if row.leased_until is None or row.leased_until <= now]
    overdue = [row for row in free if row.due_at < now - _OVERDUE_AFTER]
    if overdue:
        yield _Verdict("fail", "worker", f"{len(overdue)} works wait for one", "upkeep serve, or upkeep worker")
    else:
        yield _Verdict("ok", "worker", "no work is overdue")
    for row in rows:
        if row.failure:
            yield _Verdict("warn", f"{row.kind} {row.subject}", f"failed {row.attempts} times: {row.failure}")


def _sources(desk: Desk, store: "Store") -> Iterator[_Verdict]:
    from upkeep.adapters.secrets import KeptSecrets

    with store.read() as unit:
        sources = unit.sources.list()
    if not sources:
        yield _Verdict("warn", "sources", "there are none", "upkeep source add NAME URL")
    for source in sources:
        thing = f"source {source.name}"
        try:
            KeptSecrets().reveal(source.credential)
        except UpkeepError as error:
            yield _failed(thing, error)
        if source.stall is not None:
            yield _Verdict("fail", thing, source.stall.reason, f"{source.stall.cure}; upkeep source sync {source.name}")
        elif source.failures:
            yield _Verdict("warn", thing, f"failed {source.failures} times in a row: {source.failure}")
        elif source.synced_at is None:
            yield _Verdict("warn", thing, "not synced yet", f"upkeep source sync {source.name}")
        else:
            yield _Verdict("ok", thing, f"synced {source.synced_at:%Y-%m-%d %H:%M}Z")


def _webhooks(desk: Desk, store: "Store") -> Iterator[_Verdict]:
    from upkeep import wiring
    from upkeep.domain.sources import CredentialKind

    with store.read() as unit:
        own = any(source.webhook_secret.kind is not CredentialKind.NONE for source in unit.sources.list())
        last = next(iter(unit.deliveries.recent(1)), None)
    if not wiring.webhook_secrets(desk.settings) and not own:
        yield _Verdict(
            "warn",
            "webhooks",
            "no secret is set, so that every webhook is refused; sources are only polled",
            "set `webhooks.secrets_file` and give GitHub the same secret",
        )
    elif last is None:
        yield _Verdict(
            "warn", "webhooks", "none has come yet", f"let GitHub post to {desk.settings.public_url}/hooks/github"
        )
    else:
        yield _Verdict("ok", "webhooks", f"the last came {last.received_at:%Y-%m-%d %H:%M}Z and was {last.status}")
    if urlsplit(desk.settings.public_url).hostname in ("localhost", "127.0.0.1", "::1"):
        yield _Verdict(
            "warn",
            "public address",
            f"{desk.settings.public_url} is reached from this machine only",
            "set `web.public_url`",
        )


def _aws(desk: Desk, store: "Store") -> Iterator[_Verdict]:
    """Whether every place can be entered where stacks live, with the credentials of whoever asks."""
    from upkeep import wiring
    from upkeep.domain.names import ResourceKind
    from upkeep.domain.resources import Placement
    from upkeep.flows.ports import FleetFilter, FleetOrder

    if desk.settings.provisioner != "cloudformation":
        return
    accounts = wiring.open_accounts(desk.settings)
    places, cursor, more = {Placement(): None, desk.settings.cloudformation.pipelines.placement: None}, None, True
    with store.read() as unit:
        while more:
            page = unit.fleet.page(FleetFilter(kind=ResourceKind.ENVIRONMENT), FleetOrder.NAME, cursor, 200)
            places |= {resource.placement: None for resource in page.resources}
            cursor, more = page.next, page.next is not None
    for place in places:
        thing = " ".join(filter(None, ("aws", place.region, place.account_id)))
        try:
            yield _Verdict("ok", thing, f"entered as {accounts.identity(place)}")
        except UpkeepError as error:
            yield _failed(thing, error)


def _users(desk: Desk, store: "Store") -> Iterator[_Verdict]:
    with store.read() as unit:
        users = unit.people.list()
    if users:
        yield _Verdict("ok", "users", f"{len(users)}")
    else:
        yield _Verdict("warn", "users", "nobody can sign in", "upkeep user add NAME --role admin")


def _key_pairs(desk: Desk, store: "Store") -> Iterator[_Verdict]:
    """Whether the API that Proton had is open to the key pairs there are, and their secrets are still theirs."""
    from upkeep import wiring
    from upkeep.flows.admit import ACCESS_KEY_PREFIX, digest

    with store.read() as unit:
        pairs = [token for token in unit.people.tokens() if token.id.startswith(ACCESS_KEY_PREFIX)]
    if not pairs:
        return
    wiring.proton_model()
    secret_of = wiring.open_key_pairs(desk.settings)
    strange = [pair for pair in pairs if digest(secret_of(pair.id)) != pair.token_hash]
    if strange:
        reason = f"{len(strange)} of {len(pairs)} were issued under another key than the present `proton.key`"
        yield _Verdict(
            "fail", "key pairs", reason, "bring that key back, or issue them anew: upkeep token create --aws"
        )
    else:
        yield _Verdict("ok", "key pairs", f"{len(pairs)}, for {desk.settings.public_url}/proton")


_LOOKS: Mapping[str, Callable[[Desk, "Store"], Iterator[_Verdict]]] = {
    "worker": _worker,
    "sources": _sources,
    "webhooks": _webhooks,
    "aws": _aws,
    "users": _users,
    "key pairs": _key_pairs,
}
