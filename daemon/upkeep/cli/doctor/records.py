"""Records: what the rows of the store tell of the worker, the sources, the webhooks, and who may come in."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from upkeep.cli.acting import Desk
from upkeep.cli.doctor.verdicts import FAIL, OK, WARN, Verdict, failed
from upkeep.domain.errors import UpkeepError
from upkeep.domain.sources import CredentialKind, Source
from upkeep.domain.work import WorkKind

if TYPE_CHECKING:
    from upkeep.flows.ports import Repositories, Store

_OVERDUE_AFTER = timedelta(minutes=1)
_STUCK_AFTER = timedelta(minutes=15)
_CLOCKS_APART = timedelta(seconds=30)
"""More than what a slow answer explains. Upkeep itself goes by the database's clock, but AWS refuses what is signed by
a clock that is minutes off, and the log has its times from this host's."""

_ROWS_SEARCHED = 1000
_ASKED_AT_ONCE = 8
_ASKED_AT_MOST = 100
_REPOSITORY_ANSWERS_WITHIN = timedelta(seconds=20)


def database(desk: Desk, store: "Store") -> Iterator[Verdict]:
    """That it answers and can be written to is known already; whether its clock is ours is not."""
    from upkeep.adapters import clock

    with store.read():
        # Whoever has talked to it knows its time.
        apart = abs(store.now() - clock.now())
    if apart > _CLOCKS_APART:
        reason = f"its clock and that of this host are {round(apart.total_seconds())} seconds apart"
        yield Verdict(FAIL, "clock", reason, "let NTP set the clocks of all hosts (timedatectl set-ntp true)")
    yield Verdict(OK, "database", "it answers and can be written to")


def worker(desk: Desk, store: "Store") -> Iterator[Verdict]:
    """Whether somebody does the work. What nobody has claimed though it is due, and sources that nobody asks for a sync
    though it is their time, say that nobody does."""
    now = desk.now
    with store.read() as unit:
        rows = unit.work.list(_ROWS_SEARCHED)
        forgotten = unit.sources.due(now - _OVERDUE_AFTER, 1)
    free = [row for row in rows if row.leased_until is None or row.leased_until <= now]
    overdue = [row for row in free if row.due_at < now - _OVERDUE_AFTER]
    cure = "start one: upkeep serve, or upkeep worker (systemctl start upkeep-worker)"
    if overdue:
        yield Verdict(FAIL, "worker", f"{len(overdue)} works wait for one", cure)
    elif forgotten:
        yield Verdict(FAIL, "worker", f"none runs: nobody has asked for a sync of {forgotten[0].name} in time", cure)
    else:
        yield Verdict(OK, "worker", "no work is overdue")
    for row in rows:
        if row.failure and row.kind is not WorkKind.RELAY:
            yield Verdict(WARN, f"{row.kind} {row.subject}", f"failed {row.attempts} times: {row.failure}")


def notices(desk: Desk, store: "Store") -> Iterator[Verdict]:
    """Whether notices have been owed for long."""
    channels = desk.settings.notices.channels
    with store.read() as unit:
        oldest = {name: next(iter(unit.outbox.unsent(name, 1)), None) for name in channels}
        relays = {name: unit.work.find(WorkKind.RELAY, name) for name in channels}
    for name, owed in oldest.items():
        if owed is None or owed.owed_at > desk.now - _STUCK_AFTER:
            continue
        relay = relays[name]
        why = owed.failure or (relay.failure if relay else None) or "nobody sends it"
        reason = f"a notice has waited since {owed.owed_at:%Y-%m-%d %H:%M}Z: {why}"
        yield Verdict(FAIL, f"notices {name}", reason, f"mend the channel, try upkeep notify test {name}, and restart")


def sources(desk: Desk, store: "Store") -> Iterator[Verdict]:
    """Whether each repository answers, asked now, with the credentials as they are now; and how it went so far."""
    from upkeep import wiring

    with store.read() as unit:
        known = unit.sources.list()
    if not known:
        yield Verdict(WARN, "sources", "there are none", "upkeep source add NAME URL")
    patient = replace(desk.settings.git, timeout=min(desk.settings.git.timeout, _REPOSITORY_ANSWERS_WITHIN))
    repositories = wiring.open_repositories(replace(desk.settings, git=patient))
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        for verdicts in pool.map(lambda source: _source(source, repositories), known[:_ASKED_AT_MOST]):
            yield from verdicts
    if len(known) > _ASKED_AT_MOST:
        reason = f"{len(known) - _ASKED_AT_MOST} more are not asked"
        yield Verdict(WARN, "sources", reason, "see the page Sources, or upkeep source list")


def _source(source: Source, repositories: "Repositories") -> list[Verdict]:
    thing = f"source {source.name}"
    if source.stall is not None:
        cure = f"{source.stall.cure}; upkeep source sync {source.name}"
        return [Verdict(FAIL, thing, source.stall.reason, cure)]
    try:
        repositories.head(source)
    except UpkeepError as error:
        verdict = failed(thing, error)
        return [verdict if verdict.cure else replace(verdict, cure=_way_to(source.url))]
    if source.failures:
        return [Verdict(WARN, thing, f"answers, but failed {source.failures} times in a row: {source.failure}")]
    if source.synced_at is None:
        return [Verdict(WARN, thing, "answers, but is not synced yet", f"upkeep source sync {source.name}")]
    return [Verdict(OK, thing, f"answers; synced {source.synced_at:%Y-%m-%d %H:%M}Z")]


def _way_to(url: str) -> str:
    """What to do about a repository that does not answer and is tried again."""
    if not url.startswith("http") and shutil.which("ssh") is None:
        return "install an ssh client (openssh-client)"
    return "try git ls-remote from this host: its name, a proxy or a firewall may stand between; or correct its address"


def webhooks(desk: Desk, store: "Store") -> Iterator[Verdict]:
    """Whether webhooks are accepted, and come."""
    from upkeep import wiring
    from upkeep.adapters.secrets import KeptSecrets

    with store.read() as unit:
        own = [source for source in unit.sources.list() if source.webhook_secret.kind is not CredentialKind.NONE]
        last = next(iter(unit.deliveries.recent(1)), None)
    for source in own:
        try:
            KeptSecrets().reveal(source.webhook_secret)
        except UpkeepError as error:
            yield failed(f"webhooks of {source.name}", error)
    if not wiring.webhook_secrets(desk.settings) and not own:
        yield Verdict(
            WARN,
            "webhooks",
            "no secret is set, so that every webhook is refused; sources are only polled",
            "set `webhooks.secrets_file` and give GitHub the same secret",
        )
    elif last is None:
        yield Verdict(
            WARN,
            "webhooks",
            "none has come yet, or none was signed with a secret that is known here",
            f"let GitHub post to {desk.settings.public_url}/hooks/github, and see its list of recent deliveries",
        )
    else:
        yield Verdict(OK, "webhooks", f"the last came {last.received_at:%Y-%m-%d %H:%M}Z and was {last.status}")


def users(desk: Desk, store: "Store") -> Iterator[Verdict]:
    """Whether anybody can come in."""
    access = desk.settings.access
    with store.read() as unit:
        known = unit.people.list()
    if known:
        yield Verdict(OK, "users", f"{len(known)}")
    elif access.github or access.proxy:
        yield Verdict(OK, "users", "none yet; who comes from GitHub or the proxy is made at first sight")
    else:
        yield Verdict(WARN, "users", "nobody can sign in", "upkeep user add NAME --role admin")


def key_pairs(desk: Desk, store: "Store") -> Iterator[Verdict]:
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
        yield Verdict(FAIL, "key pairs", reason, "bring that key back, or issue them anew: upkeep token create --aws")
    else:
        yield Verdict(OK, "key pairs", f"{len(pairs)}, for {desk.settings.public_url}/proton")
