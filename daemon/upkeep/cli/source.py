"""`upkeep source`: the repositories that templates are read from."""

from pathlib import Path

import click

from upkeep.cli.acting import Desk, pass_desk
from upkeep.cli.printing import Form, form_option, print_row, print_rows
from upkeep.cli.rows import DELIVERIES, SOURCES
from upkeep.flows.browse.facts import delivery_row, source_row

_FILE = click.Path(path_type=Path, dir_okay=False, resolve_path=True)


@click.group()
def source() -> None:
    """Repositories that templates are read from."""


@source.command("list")
@form_option
@pass_desk
def list_sources(desk: Desk, form: Form) -> None:
    """List all sources and how far they have been read."""
    with desk.reading() as unit:
        rows = [source_row(found) for found in unit.sources.list()]
    print_rows(rows, SOURCES, "name", form, "No sources yet. Add one: upkeep source add NAME URL")


@source.command()
@click.argument("name")
@form_option
@pass_desk
def get(desk: Desk, name: str, form: Form) -> None:
    """Show one source."""
    with desk.reading() as unit:
        found = unit.sources.get(name)
    row = source_row(found)
    if form in (Form.TABLE, Form.WIDE):
        row["findings"] = [str(finding) for finding in found.findings]
    print_row(row, "name", form)


@source.command()
@click.argument("name")
@click.argument("url")
@click.option("--branch", default="main", show_default=True, help="The branch that is read.")
@click.option("--subdirectory", default="", help="Read only what is below this folder.")
@click.option("--token-file", type=_FILE, help="A file that holds the token for an https address.")
@click.option("--token-env", metavar="VARIABLE", help="An environment variable of the daemon that holds the token.")
@click.option("--ssh-key-file", type=_FILE, help="The private key for an ssh address.")
@click.option("--webhook-secret-file", type=_FILE, help="A file that holds a webhook secret for this source alone.")
@click.option("--webhook-secret-env", metavar="VARIABLE", help="The same in an environment variable of the daemon.")
@click.option(
    "--drafts",
    type=click.Choice(["per_commit", "per_push"]),
    default="per_commit",
    show_default=True,
    help="Make a draft of every commit that changes a version folder, or of the last one of a push.",
)
@click.option("--poll-every", default="5m", show_default=True, metavar="DURATION", help="How often to ask by itself.")
@pass_desk
def add(desk: Desk, /, name: str, url: str, poll_every: str, **options: str | Path | None) -> None:
    """Follow a repository. Its templates are registered at the next sync, which is asked for at once."""
    from dataclasses import replace

    from upkeep import settings
    from upkeep.domain.addresses import check_address
    from upkeep.domain.sources import Origin
    from upkeep.flows import follow

    declared = settings.declare_source(name=name, url=url, poll_every_for=poll_every, **options)
    check_address(declared.url, allow_local=desk.settings.git.allow_local)
    with desk.writing() as unit:
        added = replace(declared, origin=Origin.ADDED)
        follow.add(unit, added, at_most=desk.settings.limits.sources, actor=desk.actor, now=desk.now)
    desk.say(f"Source {name} is followed; its first sync is asked for.")


@source.command()
@click.argument("name")
@pass_desk
def remove(desk: Desk, name: str) -> None:
    """Follow a repository no longer. Its templates and their versions stay."""
    from upkeep.flows import follow

    with desk.writing() as unit:
        follow.remove(unit, name, actor=desk.actor, now=desk.now)
    desk.say(f"Source {name} is followed no longer. Its templates stay as they are.")


@source.command()
@click.argument("name")
@pass_desk
def sync(desk: Desk, name: str) -> None:
    """Ask for a sync now. A stalled source is resumed by it."""
    from upkeep.flows import follow

    with desk.writing() as unit:
        follow.ask(unit, name, actor=desk.actor, now=desk.now)
    desk.say(f"A sync of {name} is asked for.")


@source.command()
@click.argument("name", required=False)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many, newest first.")
@form_option
@pass_desk
def deliveries(desk: Desk, name: str | None, limit: int, form: Form) -> None:
    """List the last webhook deliveries, of one source or of all, with their outcome."""
    with desk.reading() as unit:
        only = unit.sources.get(name).name if name is not None else None
        rows = [delivery_row(found) for found in unit.deliveries.recent(limit, only)]
    print_rows(rows, DELIVERIES, "id", form, "No webhook has come yet.")
