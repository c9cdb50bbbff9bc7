"""`upkeep migrate`: the schema of the database."""

import click

from upkeep.cli.acting import Desk, pass_desk


@click.command()
@pass_desk
def migrate(desk: Desk) -> None:
    """Bring the database's schema up to this version of upkeep. `serve`, `web` and `worker` do it by themselves."""
    from upkeep import wiring

    wiring.migrate(desk.settings)
    desk.say("The database is up to date.")
