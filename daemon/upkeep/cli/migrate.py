"""`upkeep migrate`: the schema of the database."""

import click

from upkeep.cli.acting import Desk, pass_desk


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; exit with 2 when there is something to change.")
@pass_desk
def migrate(desk: Desk, check: bool) -> None:
    """Bring the database's schema up to this version of upkeep. `serve`, `web` and `worker` do it by themselves.

    Of several that start at once, one migrates and the others wait. It is done whole or not at all.
    """
    from upkeep import wiring

    (wiring.require_migrated if check else wiring.migrate)(desk.settings)
    desk.say("The database is up to date.")
