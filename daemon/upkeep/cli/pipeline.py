"""`upkeep pipeline`: the pipelines of services, named like their service."""

import click

from upkeep.cli.acting import Desk, pass_desk, wait_option
from upkeep.cli.drift import check_drift
from upkeep.cli.printing import Form, form_option
from upkeep.cli.resources import (
    Order,
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
from upkeep.domain.names import ResourceKind, pipeline_key


@click.group()
def pipeline() -> None:
    """Pipelines of services, each with a version of its own."""


@pipeline.command("list")
@form_option
@pass_desk
def list_pipelines(desk: Desk, form: Form) -> None:
    """List all pipelines, their versions and how far they are behind."""
    print_kind(desk, ResourceKind.PIPELINE, form, "No pipelines yet. They come with a service: upkeep service create")


@pipeline.command()
@click.argument("service")
@form_option
@pass_desk
def get(desk: Desk, service: str, form: Form) -> None:
    """Show the pipeline of a service."""
    print_resource(desk, pipeline_key(service), form)


@pipeline.command()
@click.argument("service")
@order_options
@pass_desk
def update(desk: Desk, service: str, order: Order) -> None:
    """Update to the recommended version, or to a named one. The spec file is the service's."""
    update_resource(desk, pipeline_key(service), order)


@pipeline.command()
@click.argument("service")
@wait_option
@pass_desk
def drift(desk: Desk, service: str, wait: bool) -> None:
    """Find out whether what runs is still what was deployed."""
    check_drift(desk, pipeline_key(service), wait=wait)


@pipeline.command()
@click.argument("service")
@owner_option
@pass_desk
def give(desk: Desk, service: str, owner: str | None) -> None:
    """Give it to a team, which hears from then on when it is behind."""
    give_resource(desk, pipeline_key(service), owner)


@pipeline.command()
@click.argument("service")
@length_option
@pass_desk
def snooze(desk: Desk, service: str, length: str) -> None:
    """Do not tell its owner for a while that it is behind. It ends by itself, at the latest with its update."""
    snooze_resource(desk, pipeline_key(service), length)


@pipeline.command()
@click.argument("service")
@pass_desk
def wake(desk: Desk, service: str) -> None:
    """End its snooze."""
    wake_resource(desk, pipeline_key(service))


@pipeline.command()
@click.argument("service")
@form_option
@pass_desk
def outputs(desk: Desk, service: str, form: Form) -> None:
    """Print what its stack gives back."""
    print_outputs(desk, pipeline_key(service), form)
