"""`upkeep export` and `upkeep import`: what is known, as text."""

import sys
from pathlib import Path
from typing import BinaryIO

import click

from upkeep.cli.acting import Desk, pass_desk


@click.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), default="-")
@click.option("-o", "--output", "form", type=click.Choice(["json", "yaml"]), default="json", show_default=True)
@pass_desk
def export(desk: Desk, file: Path, form: str) -> None:
    """Write everything but what lets people in, to FILE or to the standard output: as JSON, one object a line, or as a
    YAML list of the same.

    No passwords, sessions, tokens or keys are in it; sources name where their credentials stand. docs/keeping.md
    describes the form.
    """
    from upkeep import wiring

    output = sys.stdout.buffer if str(file) == "-" else file
    written = wiring.export(desk.settings, output, as_yaml=form == "yaml")
    click.echo(f"{written} rows were written.", err=True)


@click.command("import")
@click.argument("file", type=click.File("rb"))
@pass_desk
def import_(desk: Desk, file: BinaryIO) -> None:
    """Take what `upkeep export` wrote into an empty database, all of it or nothing.

    Its people have no passwords yet: `upkeep user password` gives them one.
    """
    from upkeep import wiring

    taken = wiring.import_lines(desk.settings, file, file.name)
    desk.say(f"{taken} rows were taken over.")
