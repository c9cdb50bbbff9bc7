"""`upkeep instance`: service instances, written SERVICE/NAME."""

from typing import TYPE_CHECKING

import click

from upkeep.cli.acting import Desk, pass_desk, wait_option
from upkeep.cli.drift import check_drift
from upkeep.cli.printing import Form, form_option
from upkeep.cli.resources import (
    Order,
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
    update_resource,
    wake_resource,
)
from upkeep.domain.errors import CallerError
from upkeep.domain.names import ResourceKind, instance_key

if TYPE_CHECKING:
    from upkeep.domain.names import ResourceKey

_NAME = click.argument("name", metavar="SERVICE/NAME")


def _key(name: str) -> "ResourceKey":
    service, slash, instance = name.partition("/")
    if not slash:
        raise CallerError(f"`{name}` is not an instance", cure="write it as SERVICE/NAME")
    return instance_key(service, instance)


@click.group()
def instance() -> None:
    """Service instances, each with a version of its own."""


@instance.command("list")
@form_option
@pass_desk
def list_instances(desk: Desk, form: Form) -> None:
    """List all instances, their versions and how far they are behind."""
    print_kind(desk, ResourceKind.INSTANCE, form, "No instances yet. They come with a service: upkeep service create")


@instance.command()
@_NAME
@form_option
@pass_desk
def get(desk: Desk, name: str, form: Form) -> None:
    """Show one instance."""
    print_resource(desk, _key(name), form)


@instance.command()
@_NAME
@order_options
@pass_desk
def update(desk: Desk, name: str, order: Order) -> None:
    """Update to the recommended version, or to a named one. The spec file is the service's."""
    update_resource(desk, _key(name), order)


@instance.command()
@_NAME
@wait_option
@pass_desk
def delete(desk: Desk, name: str, wait: bool) -> None:
    """Delete an instance; a service keeps at least one."""
    delete_resource(desk, _key(name), wait=wait)


@instance.command()
@_NAME
@click.confirmation_option(prompt="Upkeep forgets it and leaves its stack as it is. Go on?")
@pass_desk
def forget(desk: Desk, name: str) -> None:
    """Take an instance off Upkeep's books; its stack stays."""
    forget_resource(desk, _key(name))


@instance.command()
@_NAME
@wait_option
@pass_desk
def drift(desk: Desk, name: str, wait: bool) -> None:
    """Find out whether what runs is still what was deployed."""
    check_drift(desk, _key(name), wait=wait)


@instance.command()
@_NAME
@owner_option
@pass_desk
def give(desk: Desk, name: str, owner: str | None) -> None:
    """Give it to a team, which hears from then on when it is behind."""
    give_resource(desk, _key(name), owner)


@instance.command()
@_NAME
@length_option
@pass_desk
def snooze(desk: Desk, name: str, length: str) -> None:
    """Do not tell its owner for a while that it is behind. It ends by itself, at the latest with its update."""
    snooze_resource(desk, _key(name), length)


@instance.command()
@_NAME
@pass_desk
def wake(desk: Desk, name: str) -> None:
    """End its snooze."""
    wake_resource(desk, _key(name))


@instance.command()
@_NAME
@form_option
@pass_desk
def outputs(desk: Desk, name: str, form: Form) -> None:
    """Print what its stack gives back."""
    print_outputs(desk, _key(name), form)
