"""`upkeep check-config`: the configuration, checked and shown."""

import click

from upkeep.cli.acting import Desk, pass_desk
from upkeep.cli.printing import Form, print_row


@click.command("check-config")
@click.option("-o", "--output", "form", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
@pass_desk
def check_config(desk: Desk, form: str) -> None:
    """List every fault of the configuration and exit with 2, or print what is in force, without its secrets."""
    from upkeep import settings, wiring

    checked = desk.settings
    wiring.require_named(checked)
    wiring.doubt_of_database(checked)
    if desk.config_path is None:
        click.echo("# no configuration file; these are the defaults", err=True)
    else:
        click.echo(f"# {desk.config_path}", err=True)
    print_row(settings.shown(checked), "", Form(form))
