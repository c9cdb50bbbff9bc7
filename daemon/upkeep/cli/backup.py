"""`upkeep backup` and `upkeep restore`: an installation in one file, and back."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from upkeep.cli.acting import Desk, pass_desk

if TYPE_CHECKING:
    from upkeep.adapters.backups import Backup

_UNITS = ("bytes", "KB", "MB", "GB", "TB")

file_argument = click.argument("file", type=click.Path(path_type=Path))


@click.command()
@file_argument
@pass_desk
def backup(desk: Desk, file: Path) -> None:
    """Write everything there is into FILE, while the daemon goes on: the database, and of the state folder what is no
    cache. Whoever can read FILE can act as you: keep it where you keep secrets.

    FILE is written whole or not at all, checked, and replaces nothing. The configuration is not in it.
    """
    from upkeep import wiring

    made = wiring.back_up(desk.settings, file)
    desk.say(f"{file}: {_size(file.stat().st_size)}, {_told(made)}, read again and found whole.")


@click.command()
@file_argument
@click.option("--replace", is_flag=True, help="Give up what the database and the state folder hold now.")
@pass_desk
def restore(desk: Desk, file: Path, replace: bool) -> None:
    """Make an empty installation the one that FILE was written from, on SQLite or PostgreSQL, whichever it was.

    End the daemon first. All of it is restored or nothing; backups of older programs are brought up to this one.
    """
    from upkeep import wiring

    found = wiring.restore(desk.settings, file, replace=replace)
    desk.say(f"Restored what was there at {found.made_at:%Y-%m-%d %H:%M:%S} UTC: {_told(found)}.")


def _told(found: "Backup") -> str:
    tables = sum(1 for count in found.rows.values() if count)
    return f"{sum(found.rows.values())} rows of {tables} tables and {len(found.files)} files"


def _size(count: float) -> str:
    unit = 0
    while count >= 1024 and unit < len(_UNITS) - 1:
        count, unit = count / 1024, unit + 1
    return f"{count:.0f} {_UNITS[unit]}" if unit == 0 else f"{count:.1f} {_UNITS[unit]}"
