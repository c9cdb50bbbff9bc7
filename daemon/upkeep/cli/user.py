"""`upkeep user`: who may sign in."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from upkeep.cli.acting import Desk, pass_desk
from upkeep.cli.printing import Column, Form, form_option, print_rows
from upkeep.domain.errors import CallerError

_COLUMNS = (
    Column("NAME", "name"),
    Column("ROLE", "role"),
    Column("PROVIDER", "provider"),
    Column("TEAMS", "teams"),
    Column("EMAIL", "email"),
    Column("ADDED", "created_at"),
    Column("SEEN", "seen_at"),
)

_ROLES = click.Choice(["admin", "developer", "viewer"])


def _password_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--password-file` and `--password-stdin`: where a password comes from when nobody is asked for it."""
    from_file = click.option(
        "--password-file", type=click.Path(path_type=Path, dir_okay=False), help="Read the password from a file."
    )
    from_input = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
    return from_file(from_input(command))


@click.group()
def user() -> None:
    """Users who may sign in on the pages, their roles and teams."""


@user.command("list")
@form_option
@pass_desk
def list_users(desk: Desk, form: Form) -> None:
    """List all users and their roles."""
    with desk.reading() as unit:
        rows = [
            {
                "name": each.name,
                "role": each.role.value,
                "provider": each.provider or "password",
                "teams": ", ".join(sorted(each.teams)),
                "email": each.email,
                "created_at": each.created_at,
                "seen_at": each.seen_at,
            }
            for each in unit.people.list()
        ]
    print_rows(rows, _COLUMNS, "name", form, "No users yet. Add one: upkeep user add NAME --role admin")


@user.command()
@click.argument("name")
@click.option(
    "--role",
    type=_ROLES,
    default="viewer",
    show_default=True,
    help="Admins publish versions and add users, developers update resources, viewers look.",
)
@click.option("--email", help="Their address, as their commits name it.")
@click.option("--team", "teams", multiple=True, help="A team of theirs; can be given several times.")
@_password_options
@pass_desk
def add(
    desk: Desk,
    name: str,
    role: str,
    email: str | None,
    teams: tuple[str, ...],
    password_file: Path | None,
    password_stdin: bool,
) -> None:
    """Let a person in. The password is asked for, unless a file or standard input gives it."""
    from upkeep import wiring
    from upkeep.domain.people import Role
    from upkeep.flows import admit

    password = _password(password_file, password_stdin)
    with desk.writing() as unit:
        admit.add_user(
            unit,
            wiring.open_passwords(),
            name,
            Role(role),
            password,
            email=email,
            teams=teams,
            actor=desk.actor,
            now=desk.now,
        )
    desk.say(f"{name} may sign in as {role}.")


@user.command()
@click.argument("name")
@pass_desk
def remove(desk: Desk, name: str) -> None:
    """Let a person in no longer; their sessions end at once."""
    from upkeep.flows import admit

    with desk.writing() as unit:
        admit.remove_user(unit, name, actor=desk.actor, now=desk.now)
    desk.say(f"{name} may sign in no longer.")


@user.command()
@click.argument("name")
@click.option("--role", type=_ROLES, help="Another role, from their next click on.")
@click.option("--email", help="Another address; empty for none.")
@click.option("--team", "teams", multiple=True, help="All their teams from now on; can be given several times.")
@click.option("--no-teams", is_flag=True, help="No team from now on.")
@pass_desk
def change(desk: Desk, name: str, role: str | None, email: str | None, teams: tuple[str, ...], no_teams: bool) -> None:
    """Change somebody's role, address or teams."""
    from upkeep.domain.people import Role
    from upkeep.flows import admit

    if teams and no_teams:
        raise CallerError("both teams and no teams", cure="use --team or --no-teams")
    with desk.writing() as unit:
        changed = admit.change_user(
            unit,
            name,
            role=Role(role) if role else None,
            teams=teams if teams or no_teams else None,
            email=email,
            actor=desk.actor,
            now=desk.now,
        )
    desk.say(f"{name} is {changed.role}, of {', '.join(sorted(changed.teams)) or 'no team'}.")


@user.command()
@click.argument("name")
@_password_options
@pass_desk
def password(desk: Desk, name: str, password_file: Path | None, password_stdin: bool) -> None:
    """Give somebody another password, which ends all their sessions."""
    from upkeep import wiring
    from upkeep.flows import admit

    given = _password(password_file, password_stdin)
    with desk.writing() as unit:
        admit.set_password(unit, wiring.open_passwords(), name, given, actor=desk.actor, now=desk.now)
    desk.say(f"{name} has another password, and no session any more.")


@user.command("end-sessions")
@click.argument("name")
@pass_desk
def end_sessions(desk: Desk, name: str) -> None:
    """Sign somebody out everywhere. Their tokens stay: see `upkeep token`."""
    from upkeep.flows import admit

    with desk.writing() as unit:
        ended = admit.end_sessions(unit, name, actor=desk.actor, now=desk.now)
    desk.say(f"{ended} sessions of {name} ended.")


@user.command()
@click.argument("name", required=False)
@click.option("--address", help="An address from which too many names were tried, in place of a name.")
@pass_desk
def unlock(desk: Desk, name: str | None, address: str | None) -> None:
    """Let somebody try at once who gave too many wrong passwords. Waits also end by themselves."""
    from upkeep.flows import admit

    if (name is None) == (address is None):
        raise CallerError("whose wait is to end?", cure="give a name, or --address")
    with desk.writing() as unit:
        admit.lift_waits(unit, name=name, address=address, actor=desk.actor, now=desk.now)
    desk.say(f"Nobody waits any more because of {name or address}.")


def _password(file: Path | None, stdin: bool) -> str:
    """The password without the line end that follows it. Never from the arguments, which everybody here can see."""
    if file is not None and stdin:
        raise CallerError("two places for one password", cure="use --password-file or --password-stdin")
    if file is not None:
        try:
            return _line(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise CallerError(
                f"the password cannot be read: {reason}",
                where=str(file),
                cure="name a file that holds one line of text",
            ) from error
    if stdin:
        return _line(sys.stdin.read())
    if not sys.stdin.isatty():
        raise CallerError("there is no terminal to ask for a password", cure="use --password-file or --password-stdin")
    entered: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return entered


def _line(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")
