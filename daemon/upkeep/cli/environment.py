"""`upkeep environment`: environments, made from environment templates."""

from pathlib import Path

import click

from upkeep.cli.acting import Desk, pass_desk, spec_at, spec_text, version_option, wait_option
from upkeep.cli.printing import Form, form_option
from upkeep.cli.resources import (
    announce,
    delete_resource,
    print_kind,
    print_outputs,
    print_resource,
    spec_option,
    update_resource,
)
from upkeep.domain.names import ResourceKind, Version, environment_key


@click.group()
def environment() -> None:
    """Environments, which service instances live in."""


@environment.command("list")
@form_option
@pass_desk
def list_environments(desk: Desk, form: Form) -> None:
    """List all environments, their versions and how far they are behind."""
    empty = "No environments yet. Create one: upkeep environment create NAME --template T --spec FILE"
    print_kind(desk, ResourceKind.ENVIRONMENT, form, empty)


@environment.command()
@click.argument("name")
@form_option
@pass_desk
def get(desk: Desk, name: str, form: Form) -> None:
    """Show one environment."""
    print_resource(desk, environment_key(name), form)


@environment.command()
@click.argument("name")
@click.option("--template", required=True, help="The environment template.")
@spec_option(required=True)
@version_option
@click.option("--owner", help="The team that hears when it is behind.")
@click.option("--account-id", help="The AWS account it lives in.")
@wait_option
@pass_desk
def create(
    desk: Desk,
    name: str,
    template: str,
    spec: Path,
    to: Version | None,
    owner: str | None,
    account_id: str | None,
    wait: bool,
) -> None:
    """Create an environment from its spec."""
    from upkeep.flows import enroll

    text = spec_text(spec)
    with spec_at(spec), desk.writing() as unit:
        asked = enroll.create_environment(
            unit,
            name,
            template,
            text,
            version=to,
            owner=owner,
            account_id=account_id,
            actor=desk.actor,
            now=desk.now,
        )
    announce(desk, [asked], wait=wait)


@environment.command()
@click.argument("name")
@version_option
@spec_option(required=False)
@wait_option
@pass_desk
def update(desk: Desk, name: str, to: Version | None, spec: Path | None, wait: bool) -> None:
    """Update to the recommended version, or to a named one."""
    update_resource(desk, environment_key(name), to, spec, wait=wait)


@environment.command()
@click.argument("name")
@wait_option
@pass_desk
def delete(desk: Desk, name: str, wait: bool) -> None:
    """Delete an environment that nothing lives in."""
    delete_resource(desk, environment_key(name), wait=wait)


@environment.command()
@click.argument("name")
@form_option
@pass_desk
def outputs(desk: Desk, name: str, form: Form) -> None:
    """Print what its stack gives back."""
    print_outputs(desk, environment_key(name), form)
