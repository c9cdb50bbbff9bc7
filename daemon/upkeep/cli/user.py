"""`upkeep user`: who may sign in."""

import sys
from pathlib import Path

import click

from upkeep.cli.acting import Desk, pass_desk
from upkeep.cli.printing import Column, Form, form_option, print_rows
from upkeep.domain.errors import CallerError

_COLUMNS = (
    Column("NAME", "name"),
    Column("ROLE", "role"),
    Column("EMAIL", "email"),
    Column("ADDED", "created_at"),
)


@click.group()
def user() -> None:
    """Users who may sign in on the pages."""


@user.command("list")
@form_option
@pass_desk
def list_users(desk: Desk, form: Form) -> None:
    """List all users and their roles."""
    with desk.reading() as unit:
        rows = [
            {"name": each.name, "role": each.role.value, "email": each.email, "created_at": each.created_at}
            for each in unit.people.list()
        ]
    print_rows(rows, _COLUMNS, "name", form, "No users yet. Add one: upkeep user add NAME --role admin")


@user.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(["admin", "developer", "viewer"]),
    default="viewer",
    show_default=True,
    help="Admins publish versions and add users, developers update resources, viewers look.",
)
@click.option("--email", help="Their address, as their commits name it.")
@click.option("--password-file", type=click.Path(path_type=Path, dir_okay=False), help="Read the password from a file.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@pass_desk
def add(desk: Desk, name: str, role: str, email: str | None, password_file: Path | None, password_stdin: bool) -> None:
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
