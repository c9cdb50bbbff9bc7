"""`upkeep token`: keys for programs."""

from datetime import timedelta

import click

from upkeep.cli.acting import Desk, pass_desk
from upkeep.cli.printing import Column, Form, form_option, print_rows
from upkeep.domain.people import Scope

_COLUMNS = (
    Column("ID", "id"),
    Column("USER", "user"),
    Column("LABEL", "label"),
    Column("SCOPES", "scopes"),
    Column("CREATED", "created_at"),
    Column("EXPIRES", "expires_at"),
    Column("USED", "used_at"),
)

_LONGEST_FOR = timedelta(days=3650)


@click.group()
def token() -> None:
    """Tokens that programs call the API with, each as one user."""


@token.command("list")
@click.option("--user", "name", help="Those of one user only.")
@form_option
@pass_desk
def list_tokens(desk: Desk, name: str | None, form: Form) -> None:
    """List tokens, without their secrets, which are stored nowhere."""
    with desk.reading() as unit:
        rows = [
            {
                "id": each.id,
                "user": each.user,
                "label": each.label,
                "scopes": ", ".join(sorted(each.scopes)),
                "created_at": each.created_at,
                "expires_at": each.expires_at,
                "used_at": each.used_at,
            }
            for each in unit.people.tokens(name)
        ]
    print_rows(rows, _COLUMNS, "id", form, "No tokens yet. Create one: upkeep token create LABEL --user NAME")


@token.command()
@click.argument("label")
@click.option("--user", "name", required=True, metavar="NAME", help="The user that the program acts as.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([scope.value for scope in Scope]),
    multiple=True,
    default=["read"],
    show_default=True,
    help="What it may be used for; can be given several times. Never more than its user's role.",
)
@click.option("--expires-in", "expires_for", callback=lambda _, __, text: _span(text), help="For example 90d.")
@click.option("--aws", is_flag=True, help="A key pair that AWS's clients sign with, for the API that Proton had.")
@pass_desk
def create(
    desk: Desk, label: str, name: str, scopes: tuple[str, ...], expires_for: timedelta | None, aws: bool
) -> None:
    """Create a token and print its secret, alone on standard output. It is shown this once.

    With --aws, two lines are printed that make a shell or a build use it: the access key, which is the token's id, and
    its secret.
    """
    from upkeep import wiring
    from upkeep.flows import admit

    now = desk.now
    with desk.writing() as unit:
        made, secret = admit.create_token(
            unit,
            label,
            [Scope(scope) for scope in scopes],
            user=name,
            expires_at=None if expires_for is None else now + expires_for,
            secret_of=wiring.open_key_pairs(desk.settings) if aws else None,
            actor=desk.actor,
            now=now,
        )
    click.echo(f"Token {made.id} acts as {made.user}: {', '.join(sorted(made.scopes))}. Keep what follows:", err=True)
    click.echo(f"AWS_ACCESS_KEY_ID={made.id}\nAWS_SECRET_ACCESS_KEY={secret}" if aws else secret)


@token.command()
@click.argument("token_id", metavar="ID")
@pass_desk
def revoke(desk: Desk, token_id: str) -> None:
    """End a token at once."""
    from upkeep.flows import admit

    with desk.writing() as unit:
        ended = admit.revoke_token(unit, token_id, actor=desk.actor, now=desk.now)
    desk.say(f"The token “{ended.label}” of {ended.user} is worth nothing any more.")


def _span(text: str | None) -> timedelta | None:
    from upkeep.settings import parse_duration

    if text is None:
        return None
    try:
        span = parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    if span > _LONGEST_FOR:
        raise click.BadParameter("that is longer than ten years; leave it out for a token without an end")
    return span
