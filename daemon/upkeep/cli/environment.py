"""`upkeep environment`: environments, made from environment templates."""

from pathlib import Path

import click

from upkeep.cli.acting import Desk, pass_desk, spec_at, spec_text, version_option, wait_option
from upkeep.cli.drift import check_drift
from upkeep.cli.printing import Form, form_option
from upkeep.cli.resources import (
    Order,
    announce,
    delete_resource,
    forget_resource,
    give_resource,
    length_option,
    order_options,
    owner_option,
    print_kind,
    print_outputs,
    print_resource,
    snooze_resource,
    spec_option,
    tag_option,
    update_resource,
    wake_resource,
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
@click.option("--region", default="", help="The AWS region it lives in.")
@click.option("--account-id", default="", help="The AWS account it lives in.")
@click.option("--role-arn", default="", help="The role that is assumed to reach its account.")
@click.option("--external-id", default="", help="What that role's trust policy asks for.")
@tag_option
@wait_option
@pass_desk
def create(
    desk: Desk,
    name: str,
    template: str,
    spec: Path,
    to: Version | None,
    owner: str | None,
    region: str,
    account_id: str,
    role_arn: str,
    external_id: str,
    tags: dict[str, str],
    wait: bool,
) -> None:
    """Create an environment from its spec. Its stack, and those of the instances in it, are made where it lives."""
    from upkeep.domain.resources import Placement
    from upkeep.flows import enroll

    text = spec_text(spec, desk.settings.limits.request)
    with spec_at(spec), desk.writing() as unit:
        asked = enroll.create_environment(
            unit,
            name,
            template,
            text,
            version=to,
            owner=owner,
            placement=Placement(account_id, region, role_arn, external_id),
            tags=tags,
            actor=desk.actor,
            now=desk.now,
        )
    announce(desk, [asked], wait=wait)


@environment.command()
@click.argument("name")
@order_options
@pass_desk
def update(desk: Desk, name: str, order: Order) -> None:
    """Update to the recommended version, or to a named one."""
    update_resource(desk, environment_key(name), order)


@environment.command()
@click.argument("name")
@wait_option
@pass_desk
def delete(desk: Desk, name: str, wait: bool) -> None:
    """Delete an environment that nothing lives in."""
    delete_resource(desk, environment_key(name), wait=wait)


@environment.command()
@click.argument("name")
@click.confirmation_option(prompt="Upkeep forgets it and leaves its stack as it is. Go on?")
@pass_desk
def forget(desk: Desk, name: str) -> None:
    """Take an environment off Upkeep's books; its stack stays."""
    forget_resource(desk, environment_key(name))


@environment.command()
@click.argument("name")
@wait_option
@pass_desk
def drift(desk: Desk, name: str, wait: bool) -> None:
    """Find out whether what runs is still what was deployed."""
    check_drift(desk, environment_key(name), wait=wait)


@environment.command()
@click.argument("name")
@owner_option
@pass_desk
def give(desk: Desk, name: str, owner: str | None) -> None:
    """Give it to a team, which hears from then on when it is behind."""
    give_resource(desk, environment_key(name), owner)


@environment.command()
@click.argument("name")
@length_option
@pass_desk
def snooze(desk: Desk, name: str, length: str) -> None:
    """Do not tell its owner for a while that it is behind. It ends by itself, at the latest with its update."""
    snooze_resource(desk, environment_key(name), length)


@environment.command()
@click.argument("name")
@pass_desk
def wake(desk: Desk, name: str) -> None:
    """End its snooze."""
    wake_resource(desk, environment_key(name))


@environment.command()
@click.argument("name")
@form_option
@pass_desk
def outputs(desk: Desk, name: str, form: Form) -> None:
    """Print what its stack gives back."""
    print_outputs(desk, environment_key(name), form)
