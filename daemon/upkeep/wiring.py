"""Wiring: the only place that chooses implementations and puts the rooms together.

What is opened here is closed by the ExitStack of whoever asked. Rooms are imported where they are chosen, because the
command line opens few of them and should start at once.
"""

import importlib
import logging
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from importlib.metadata import version
from ipaddress import ip_network
from pathlib import Path
from typing import IO, TYPE_CHECKING

from upkeep import watch
from upkeep.adapters import clock, scratch
from upkeep.adapters.secrets import GivenSecret, KeptSecrets
from upkeep.domain.bundles import Bundle
from upkeep.domain.errors import CallerError, Conflict, SettingsError, StalledError
from upkeep.domain.gauges import Gauges, Scrapers
from upkeep.domain.names import SourceName
from upkeep.flows import follow, relay
from upkeep.flows.admit import Passwords, Spans
from upkeep.flows.ports import Provisioner, Renderer, Secrets, Store, Uploaded
from upkeep.flows.settle import Terms
from upkeep.settings import ConsoleNotices, GitHub, KeptText, Limits, Settings, SlackBot, SlackWebhook

if TYPE_CHECKING:
    from flask import Flask

    from upkeep.adapters.backups import Backup
    from upkeep.adapters.channels import Channel, NamedChannels
    from upkeep.adapters.cloudformation import Accounts
    from upkeep.adapters.git import GitRepositories
    from upkeep.adapters.metrics import Metrics
    from upkeep.adapters.servicemodel import ServiceModel
    from upkeep.adapters.store import Waits
    from upkeep.web.metrics import MetricsPage
    from upkeep.web.proton.protocol import ProtonDoor
    from upkeep.web.rooms import Bounds, Entrance
    from upkeep.worker.loop import Worker
    from upkeep.worker.schedule import Schedule


def database_url(settings: Settings) -> str:
    """Where the rows are: the configured address, or a file in the state folder."""
    kept = settings.database.kept
    return f"sqlite:///{settings.state / 'upkeep.db'}" if kept is None else _revealed(kept, "database.url")


def migrate(settings: Settings) -> None:
    """Bring the database's schema up to what this program expects, making the database when there is none."""
    from upkeep.adapters import store

    make_state(settings)
    store.migrate(database_url(settings), state=settings.state, waits=_waits(settings))


def require_migrated(settings: Settings) -> None:
    """SettingsError, saying what to do, unless the database has the schema that this program expects."""
    from upkeep.adapters import store

    store.require_migrated(database_url(settings))


def _waits(settings: Settings) -> "Waits":
    from upkeep.adapters.store import Waits

    chosen = settings.database.migration
    return Waits(chosen.wait, chosen.lock_timeout, chosen.statement_timeout)


def back_up(settings: Settings, path: Path) -> "Backup":
    """Write a backup of everything. Nobody has to pause for it."""
    from upkeep.adapters import backups, store

    with store.contents_of(database_url(settings)) as found:
        return backups.write(
            path,
            settings.state,
            found.lines,
            found.revision,
            lambda: found.counts.rows,
            program=version("upkeep"),
            now=clock.now(),
        )


def restore(settings: Settings, path: Path, *, replace: bool) -> "Backup":
    """Make the database and the state folder what they were when a backup was written; and if it was written by an
    older program, what this one makes of them."""
    from upkeep.adapters import backups, store

    with backups.opened(path) as (backup, archive), backups.rows_of(archive) as lines:
        make_state(settings)
        if not replace:
            backups.require_free(backup, settings.state)
        store.rebuild(
            database_url(settings),
            lines,
            str(path),
            waits=_waits(settings),
            replace=replace,
            then=lambda: backups.unpack(backup, archive, settings.state),
        )
        return backup


def export(settings: Settings, output: IO[bytes] | Path, *, as_yaml: bool = False) -> int:
    """Write everything but what lets people in as lines of JSON, or as a list in YAML; a file is there whole or not at
    all. Returns how many rows these were."""
    from upkeep.adapters import backups, store

    # Older tables wanted a password of everybody, and nobody could import what has none.
    require_migrated(settings)
    with store.contents_of(database_url(settings), store.WITHOUT_CREDENTIALS) as found, ExitStack() as stack:
        file = stack.enter_context(backups.written_whole(output)) if isinstance(output, Path) else output
        before = store.ITEM if as_yaml else b""
        file.writelines(before + line for line in found.lines)
        file.flush()
    return found.counts.total


def import_lines(settings: Settings, lines: Iterable[bytes], name: str) -> int:
    """Take an export into an empty database, all of it or nothing; returns how many rows it holds."""
    from upkeep.adapters import store

    make_state(settings)
    return store.rebuild(database_url(settings), lines, name, waits=_waits(settings), edited=True).total


def require_named(settings: Settings) -> None:
    """SettingsError with every fault of what the configuration names and a web server cannot start without: secrets
    that stand elsewhere, and what sends traces."""
    faults: list[str] = []
    for look in (database_url, webhook_secrets, _scrapers, _master, _github_secret, require_tracing):
        try:
            look(settings)
        except SettingsError as error:
            faults += error.faults
    if faults:
        raise SettingsError(faults)


def prepare(settings: Settings) -> None:
    """What a daemon does before it serves: check what it cannot do without, migrate, follow the declared sources,
    and try the channels again that failed.

    Several processes may do it at once.
    """
    from upkeep.chronicle import ChronicledStore

    if doubt := doubt_of_database(settings):
        logging.getLogger("upkeep.store").warning("%s", doubt)
    _scrapers(settings)
    require_tracing(settings)
    migrate(settings)
    with ExitStack() as stack:
        store = ChronicledStore(open_store(settings, stack))
        follow_declared(store, settings)
        with store.write() as unit:
            relay.resume(unit, now=store.now())


def doubt_of_database(settings: Settings) -> StalledError | None:
    """Why the database may come to harm where it stands; None when it will not. SettingsError when its address names
    none."""
    from upkeep.adapters.store import doubt

    return doubt(database_url(settings))


def anybody_may_sign_in(settings: Settings) -> bool:
    """Whether there is any user yet."""
    with ExitStack() as stack, open_store(settings, stack).read() as unit:
        return bool(unit.people.list())


def open_store(settings: Settings, stack: ExitStack, *, prepared: bool = False) -> Store:
    """The store of this configuration; SettingsError when it was never migrated, unless that is known to be so."""
    from upkeep.adapters import store

    opened = store.open_store(database_url(settings), state=settings.state, prepared=prepared)
    stack.callback(opened.close)
    return opened


def follow_declared(store: Store, settings: Settings) -> None:
    """Make the sources of the configuration followed as it says."""
    try:
        _declare(store, settings)
    except Conflict:
        # Another process that starts beside this one may have added them meanwhile. A true conflict comes again.
        _declare(store, settings)
    store.ring()


def _declare(store: Store, settings: Settings) -> None:
    with store.write() as unit:
        follow.declare(unit, settings.declared, at_most=settings.limits.sources, now=store.now())


def open_renderer(settings: Settings, stack: ExitStack) -> Renderer:
    """Jinja behind the configured limits."""
    from upkeep.adapters.jinja import JinjaRenderer

    limits = settings.rendering
    return stack.enter_context(
        JinjaRenderer(
            time_for=limits.time,
            memory_bytes=limits.memory,
            output_bytes=limits.output,
            workers=limits.at_once,
        )
    )


def open_repositories(settings: Settings) -> "GitRepositories":
    """Mirrors in the state folder."""
    from upkeep.adapters.git import GitRepositories

    chosen = settings.git
    return GitRepositories(
        settings.state / "git",
        KeptSecrets(),
        timeout_for=chosen.timeout,
        allow_local=chosen.allow_local,
        limits=settings.limits.of_flows.bundle,
        memory_bytes=chosen.memory,
        fetch_bytes=chosen.fetch,
        known_hosts=chosen.known_hosts_file,
    )


def tidy_mirrors(store: Store, repositories: "GitRepositories") -> None:
    """Delete the mirrors of sources that are followed no longer, and pack the others."""
    with store.read() as unit:
        followed = {source.name for source in unit.sources.list()}
    for mirror in repositories.folder.glob("*.git"):
        if mirror.stem not in followed:
            repositories.discard(SourceName(mirror.stem))
    repositories.tidy()


def open_provisioner(settings: Settings, store: Store) -> Provisioner:
    """The provisioner the configuration names. SettingsError when it is the local one and other hosts on the store have
    another folder for it."""
    if settings.provisioner == "cloudformation":
        from upkeep.adapters.cloudformation import CloudFormationProvisioner

        return CloudFormationProvisioner(
            open_accounts(settings), template_bucket=settings.cloudformation.template_bucket
        )

    from upkeep.adapters.local import MARK, LocalProvisioner

    provisioner = LocalProvisioner(settings.stacks)
    if not database_url(settings).startswith("sqlite"):
        mark = provisioner.mark()
        with store.write() as unit:
            known = unit.people.secret("local", mark)
        if mark != known:
            raise SettingsError(
                [
                    f"local.folder: {settings.stacks} is not the folder that the stacks of this database stand in"
                    f" (share that one between all hosts; if it is lost, write {known.decode()} into"
                    f" {settings.stacks / MARK} and deploy again)"
                ]
            )
    return provisioner


def open_accounts(settings: Settings) -> "Accounts":
    """The accounts of AWS, as this process's credentials reach them."""
    from upkeep.adapters.cloudformation import Accounts

    return Accounts(region=settings.cloudformation.region, endpoint_url=settings.cloudformation.endpoint_url)


def open_uploads(settings: Settings) -> Uploaded:
    """Bundles in S3, read with this process's credentials."""

    def uploaded(bucket: str, key: str) -> Bundle:
        from upkeep.adapters.archives import read_archive
        from upkeep.adapters.cloudformation.objects import read_object

        return read_archive(read_object(accounts(), bucket, key, limits.bytes), limits)

    accounts = cache(lambda: open_accounts(settings))
    limits = settings.limits.of_flows.bundle
    return uploaded


def terms(settings: Settings) -> Terms:
    """What holds for all deployments of this configuration."""
    chosen = settings.cloudformation
    return Terms(chosen.pipelines.placement, chosen.tags)


def open_channels(settings: Settings) -> "NamedChannels":
    """The configured channels. Their secrets are read when something is sent."""
    from upkeep.adapters.channels import NamedChannels

    return NamedChannels({name: _channel(channel, settings) for name, channel in settings.notices.channels.items()})


def _channel(channel: ConsoleNotices | SlackWebhook | SlackBot, settings: Settings) -> "Channel":
    match channel:
        case SlackWebhook():
            from upkeep.adapters.slack import SlackWebhookChannel

            return SlackWebhookChannel(channel.kept.credential, _secrets_of(channel.kept), settings.public_url)
        case SlackBot():
            from upkeep.adapters.slack import SlackBotChannel

            return SlackBotChannel(
                channel.kept.credential, channel.channel, _secrets_of(channel.kept), settings.public_url
            )
        case ConsoleNotices():
            from upkeep.adapters.console import ConsoleChannel

            return ConsoleChannel(sys.stdout, settings.public_url)


@cache
def open_passwords() -> Passwords:
    """How passwords are hashed. Made once in a process and shared with those it forks, because it hashes one itself."""
    from upkeep.adapters.passwords import Argon2Passwords

    return Argon2Passwords()


def signing_key(settings: Settings) -> bytes:
    """What the web application signs with. Read once, by whoever forks the processes that serve."""
    from upkeep.web.app import signing_key

    with ExitStack() as stack:
        return signing_key(open_store(settings, stack))


def open_web(settings: Settings, stack: ExitStack, place: str = "web", key: bytes | None = None) -> "Flask":
    """The web application. Made in the process that serves it, after the fork; `place` is its own among those that
    serve together. With the key nothing is asked of the database, so that one that is away keeps no process from taking
    the place of one that has died: whoever forks them has prepared it."""
    from upkeep.chronicle import ChronicledStore
    from upkeep.web.app import create_app
    from upkeep.web.rooms import Headers, Rooms

    access = settings.access
    metrics = _counting(settings, stack, place)
    _trace(settings, stack)
    store = ChronicledStore(open_store(settings, stack, prepared=True))
    return create_app(
        Rooms(
            store=store,
            renderer=open_renderer(settings, stack),
            passwords=open_passwords(),
            secrets=KeptSecrets(),
            routing=settings.notices.routing,
            clock=store.now,
            webhook_secrets=webhook_secrets(settings),
            public_url=settings.public_url,
            proton=open_proton(settings),
            rules=access.rules,
            spans=Spans(access.session_for, access.idle_for),
            passwords_open=access.passwords,
            trusted_proxies=tuple(ip_network(network) for network in access.trusted_proxies),
            github=None if access.github is None else _github(access.github),
            proxy=None
            if access.proxy is None
            else Headers(
                access.proxy.user_header,
                access.proxy.email_header,
                access.proxy.groups_header,
                access.proxy.roles,
                access.proxy.otherwise,
            ),
            metrics=None if metrics is None else _metrics_page(settings, metrics, store),
            bounds=bounds(settings.limits),
        ),
        key,
    )


METRICS_FOLDER_VARIABLE = "UPKEEP_METRICS_FOLDER"
"""The environment variable that names the folder in which the processes that serve together keep their metrics."""


def metrics_folder(settings: Settings, stack: ExitStack) -> Path | None:
    """A fresh folder for the metrics of processes that serve together, or the one that `upkeep serve` has made for
    them; None when nobody may read any."""
    if not settings.metrics.readable:
        return None
    given = os.environ.get(METRICS_FOLDER_VARIABLE)
    return Path(given) if given else stack.enter_context(scratch.fresh("upkeep-metrics"))


def share_metrics(settings: Settings, stack: ExitStack) -> None:
    """In the process that forks those who serve: let them count together. None of them has begun yet."""
    folder = metrics_folder(settings, stack)
    if folder is not None:
        os.environ[METRICS_FOLDER_VARIABLE] = str(folder)
        _metrics_into(folder)
        from upkeep.adapters import metrics

        metrics.forget_all(folder)


def forget_place(settings: Settings, place: str) -> None:
    """Take back what a process that has ended said of its present."""
    if settings.metrics.readable:
        from upkeep.adapters import metrics

        metrics.forget_place(place)


def _counting(settings: Settings, stack: ExitStack, place: str) -> "Metrics | None":
    """Count in this process from now on, if anybody may read it."""
    if not settings.metrics.readable:
        return None
    folder = os.environ.get(METRICS_FOLDER_VARIABLE)
    _metrics_into(Path(folder) if folder else None)
    from upkeep.adapters.metrics import Metrics, count_as

    if folder:
        stack.enter_context(scratch.using(Path(folder)))
        count_as(place)
    metrics = Metrics()
    stack.enter_context(watch.watching(metrics))
    return metrics


def require_tracing(settings: Settings) -> None:
    """SettingsError when traces are wanted and what sends them is not installed."""
    if settings.tracing.endpoint:
        try:
            importlib.import_module("upkeep.adapters.tracing")
        except ModuleNotFoundError as missing:
            fault = "tracing.endpoint: OpenTelemetry is not installed (pip install 'upkeep[tracing]')"
            raise SettingsError([fault]) from missing


def _trace(settings: Settings, stack: ExitStack) -> None:
    """Trace in this process from now on, if there is somebody to send to."""
    if settings.tracing.endpoint:
        from upkeep.adapters.tracing import tracing

        traces = stack.enter_context(tracing(settings.tracing.endpoint, _version()))
        stack.enter_context(watch.watching(traces, minute=True))


def _metrics_into(folder: Path | None) -> None:
    # The client reads it when it is imported, and somebody else's folder in the environment is none of ours.
    if folder is None:
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    else:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def _scrapers(settings: Settings) -> Scrapers:
    chosen = settings.metrics
    networks = tuple(ip_network(network) for network in chosen.networks)
    token = None if chosen.kept is None else _revealed(chosen.kept, "metrics.token").strip()
    if token == "":
        raise SettingsError(["metrics.token: it is empty (write a long random text there)"])
    return Scrapers(networks, token)


def _metrics_page(settings: Settings, metrics: "Metrics", store: Store) -> "MetricsPage":
    from upkeep.adapters.metrics import CONTENT_TYPE, Build, Readings
    from upkeep.adapters.store.tables import REVISION
    from upkeep.web.metrics import MetricsPage

    def read(moment: datetime) -> Gauges:
        with store.read() as unit:
            return unit.gauges.read(moment)

    kind = database_url(settings).partition(":")[0].partition("+")[0]
    readings = Readings(Build(_version(), REVISION, kind), read, store.now)
    return MetricsPage(_scrapers(settings), lambda: metrics.page(readings), CONTENT_TYPE)


def _version() -> str:
    from importlib.metadata import version

    return version("upkeep")


def serve_metrics(settings: Settings, metrics: "Metrics", stack: ExitStack) -> str | None:
    """Answer readers of a worker that runs by itself at its own address, and say which that is; None when the web
    server tells of it, or no address is wanted. CallerError when it cannot be had."""
    chosen = settings.metrics
    if chosen.worker_port is None or METRICS_FOLDER_VARIABLE in os.environ:
        return None
    from upkeep.adapters.metrics import listen

    try:
        server = listen(chosen.worker_host, chosen.worker_port, _scrapers(settings), metrics.page)
    except OSError as error:
        raise CallerError(
            f"cannot listen on {chosen.worker_host}:{chosen.worker_port}: {error.strerror or error}",
            cure="end what listens there, or give each worker of this host a `metrics: worker_port` of its own",
        ) from error
    stack.callback(server.shutdown)
    return f"http://{chosen.worker_host}:{server.server_address[1]}/metrics"


def bounds(limits: Limits) -> "Bounds":
    """The limits of requests, counted anew."""
    from upkeep.web.rooms import Bounds
    from upkeep.web.throttle import Throttle

    return Bounds(
        request=limits.request,
        delivery=limits.delivery,
        requests=Throttle(limits.requests_per_minute),
        deliveries=Throttle(limits.deliveries_per_minute),
        sources=limits.sources,
        exported_rows=limits.exported_rows,
    )


def open_proton(settings: Settings) -> "ProtonDoor":
    """The API that Proton had; closed, with the reason, when the SDK has no model of it."""
    from upkeep.web.proton.arns import Names
    from upkeep.web.proton.protocol import CLOSED, ProtonDoor

    try:
        model = proton_model()
    except StalledError as missing:
        return replace(CLOSED, closed=str(missing))
    chosen = settings.proton
    names = Names(chosen.region or settings.cloudformation.region or "us-east-1", chosen.account_id)
    role = settings.cloudformation.pipelines.role_arn
    return ProtonDoor(model, open_key_pairs(settings), names, chosen.host, pipeline_role=role)


@cache
def proton_model() -> "ServiceModel":
    """The service model of Proton, read once in a process and shared with those it forks. StalledError when there is
    none."""
    from upkeep.adapters import servicemodel

    return servicemodel.load()


def open_key_pairs(settings: Settings) -> Callable[[str], str]:
    """How the secret of a key pair is found from its access key."""
    from upkeep.adapters.keypairs import DerivedSecrets, kept_master

    master = _master(settings)
    if master is None:
        make_state(settings)
        return DerivedSecrets(kept_master(settings.state / "proton.key"))
    return DerivedSecrets(master.encode())


def _master(settings: Settings) -> str | None:
    """The key that the configuration gives for key pairs; None when it gives none."""
    from upkeep.adapters.keypairs import SHORTEST_MASTER

    kept = settings.proton.kept
    if kept is None:
        return None
    master = _revealed(kept, "proton.key")
    if len(master) < SHORTEST_MASTER:
        fault = f"proton.key: it is shorter than {SHORTEST_MASTER} letters (make one with `openssl rand -hex 32`)"
        raise SettingsError([fault])
    return master


def _github_secret(settings: Settings) -> str:
    chosen = settings.access.github
    return "" if chosen is None else _revealed(chosen.kept, "access.github.client_secret")


def _github(chosen: GitHub) -> "Entrance":
    from upkeep.adapters.github import GitHubSignIn
    from upkeep.web.rooms import Entrance

    organisations = frozenset(group.partition("/")[0] for group in chosen.roles)
    provider = GitHubSignIn(
        chosen.client_id, chosen.kept.credential, _secrets_of(chosen.kept), organisations, chosen.url
    )
    return Entrance(provider, chosen.roles)


@dataclass(frozen=True, slots=True)
class Crew:
    """What a worker process runs."""

    worker: "Worker"
    schedule: "Schedule"
    metrics: str | None
    """The address where the worker tells its own metrics, if it does."""


def open_worker(settings: Settings, stack: ExitStack) -> Crew:
    """The worker and its schedule, ready to start."""
    from upkeep.chronicle import ChronicledStore
    from upkeep.worker.loop import Worker
    from upkeep.worker.schedule import Schedule
    from upkeep.worker.works import works

    metrics = _counting(settings, stack, "worker")
    _trace(settings, stack)
    store = ChronicledStore(open_store(settings, stack))
    repositories = open_repositories(settings)
    schedule = Schedule(
        store,
        clock=store.now,
        tidy=lambda: tidy_mirrors(store, repositories),
        drift_every_for=settings.drift.every_for,
        policies=settings.updates.as_policies,
    )
    worker = Worker(
        store,
        works(
            store,
            repositories,
            open_renderer(settings, stack),
            open_provisioner(settings, store),
            open_channels(settings),
            open_uploads(settings),
            routing=settings.notices.routing,
            terms=terms(settings),
            policies=settings.updates.as_policies,
            clock=store.now,
            change_sets=settings.previews.change_sets == "always",
            kept_for=settings.retention.spans,
            limits=settings.limits.of_flows,
        ),
        clock=store.now,
        lease_for=settings.worker.lease,
        concurrency=settings.worker.concurrency,
        at_once=settings.worker.at_once,
        errands=schedule.errands,
        on_setback=schedule.realign,
    )
    return Crew(worker, schedule, None if metrics is None else serve_metrics(settings, metrics, stack))


def webhook_secrets(settings: Settings) -> tuple[str, ...]:
    """All secrets that may sign a webhook of any source. SettingsError when a named place holds none."""
    webhooks = settings.webhooks
    found = [secret.get_secret_value() for secret in webhooks.secrets]
    for key, kept in (
        ("webhooks.secrets_file", KeptText(file=webhooks.secrets_file)),
        ("webhooks.secrets_env", KeptText(env=webhooks.secrets_env)),
    ):
        if kept.file or kept.env:
            found += [line.strip() for line in _revealed(kept, key).splitlines() if line.strip()]
    return tuple(found)


def _secrets_of(kept: KeptText) -> Secrets:
    return KeptSecrets() if kept.value is None else GivenSecret(kept.value.get_secret_value())


def _revealed(kept: KeptText, setting: str) -> str:
    """A secret that the process cannot start without."""
    try:
        return _secrets_of(kept).reveal(kept.credential) or ""
    except StalledError as error:
        raise SettingsError([f"{setting}: {error}"]) from error


def make_state(settings: Settings) -> None:
    """Make the state folder; SettingsError when that is not possible."""
    try:
        settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        fault = f"state: {settings.state} cannot be made: {error.strerror} (choose a folder Upkeep may write in)"
        raise SettingsError([fault]) from error
