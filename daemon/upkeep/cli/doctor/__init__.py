"""`upkeep doctor`: what is wrong with an installation, and how to mend it."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from upkeep.cli.acting import Desk, pass_desk
from upkeep.cli.doctor.verdicts import FAIL, OK, WARN, Verdict, failed, tried
from upkeep.domain.errors import SettingsError, UpkeepError

if TYPE_CHECKING:
    from upkeep.flows.ports import Store
    from upkeep.settings import Settings

_COLOURS = {OK: "green", WARN: "yellow", FAIL: "red"}
_FAULTY_CONFIGURATION = 2


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one document for programs.")
@pass_desk
def doctor(desk: Desk, as_json: bool) -> None:
    """Look for the mistakes that installations have, and say how to mend them.

    Looks at the configuration, the host, the database, the worker, sources, webhooks, the proxy in front, AWS and
    Slack, as whoever calls it: call it as the user that Upkeep runs as. It changes nothing of yours, and tells nobody.

    Exit codes: 0 nothing fails (there may be warnings), 1 something does, 2 the configuration is faulty.
    """
    verdicts = []
    with ExitStack() as stack:
        for verdict in _verdicts(desk, stack):
            verdicts.append(verdict)
            if not as_json:
                _print(verdict)
    fails = [verdict for verdict in verdicts if verdict.level == FAIL]
    if as_json:
        document = {"well": not fails, "verdicts": [asdict(verdict) for verdict in verdicts]}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    if fails:
        raise click.exceptions.Exit(_FAULTY_CONFIGURATION if any(each.thing == "config" for each in fails) else 1)


def _print(verdict: Verdict) -> None:
    click.echo(f"[{click.style(verdict.level, fg=_COLOURS[verdict.level])}] {verdict.thing}: {verdict.reason}")
    if verdict.cure:
        click.echo(f"       fix: {verdict.cure}")


def _verdicts(desk: Desk, stack: ExitStack) -> Iterator[Verdict]:
    """Each as soon as it is known. What others stand on comes first, and where that fails, they are not looked at."""
    from upkeep import wiring
    from upkeep.cli.doctor import host, outside, records

    yield host.git()
    try:
        settings = desk.settings
        wiring.doubt_of_database(settings)
    except SettingsError as error:
        for fault in error.faults:
            yield Verdict(FAIL, "config", fault)
        return
    file, missing = host.config(desk.config_path, settings), tuple(_missing(settings))
    if not missing or file.level != OK:
        yield file
    yield from missing
    foreign = host.somebody_elses(settings.state)
    if foreign is not None:
        # Going on would leave files of ours where the daemon cannot write them: the very mistake.
        yield foreign
        return
    yield from host.state(settings)
    yield host.renderer(settings, stack)
    yield from outside.public_address(settings)
    yield from outside.proxy(settings)
    yield from outside.channels(settings)
    try:
        store = _store(settings, stack)
    except SettingsError as error:
        for fault in error.faults:
            yield Verdict(FAIL, "database", fault, "upkeep migrate" if "upkeep migrate" in fault else "")
        return
    except UpkeepError as error:
        yield failed("database", error)
        return
    yield from tried("database", records.database(desk, store))
    yield from tried("worker", records.worker(desk, store))
    yield from tried("notices", records.notices(desk, store))
    yield from tried("sources", records.sources(desk, store))
    yield from tried("webhooks", records.webhooks(desk, store))
    yield from tried("aws", outside.aws(settings, store))
    yield from tried("users", records.users(desk, store))
    yield from tried("key pairs", records.key_pairs(desk, store))


def _missing(settings: "Settings") -> Iterator[Verdict]:
    """What the configuration names and is not there."""
    from upkeep import wiring

    try:
        wiring.require_named(settings)
    except SettingsError as error:
        for fault in error.faults:
            yield Verdict(FAIL, "config", fault)


def _store(settings: "Settings", stack: ExitStack) -> "Store":
    from upkeep import wiring

    store = wiring.open_store(settings, stack)
    store.check()
    return store
