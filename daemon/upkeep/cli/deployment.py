"""`upkeep deployment`: attempts to move a resource to a version and spec."""

import click

from upkeep.cli.acting import Desk, pass_desk, wait_option
from upkeep.cli.printing import Form, form_option, print_row, print_rows
from upkeep.cli.resources import announce
from upkeep.cli.rows import DEPLOYMENTS, deployment_row


@click.group()
def deployment() -> None:
    """Deployments, past and under way."""


@deployment.command("list")
@click.option("--resource", metavar="KEY", help="Only those of environment/NAME, instance/SERVICE/NAME, pipeline/NAME.")
@click.option("--status", metavar="STATUS", help="Only those in this state, for example FAILED.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many, newest first.")
@form_option
@pass_desk
def list_deployments(desk: Desk, resource: str | None, status: str | None, limit: int, form: Form) -> None:
    """List the last deployments, newest first."""
    from upkeep.domain.deployments import DeploymentStatus
    from upkeep.domain.errors import CallerError
    from upkeep.domain.names import parse_resource_key

    try:
        only = DeploymentStatus(status.upper()) if status else None
    except ValueError:
        known = ", ".join(each.value for each in DeploymentStatus)
        raise CallerError(f"`{status}` is no state of a deployment", cure=f"use one of {known}") from None
    with desk.reading() as unit:
        if resource is None:
            found = unit.deployments.recent(limit, only)
        else:
            key = unit.fleet.get(parse_resource_key(resource)).key
            found = [each for each in unit.deployments.of_resource(key, limit) if only in (None, each.status)]
    print_rows([deployment_row(each) for each in found], DEPLOYMENTS, "id", form, "No deployments.")


@deployment.command()
@click.argument("deployment_id", metavar="ID")
@form_option
@pass_desk
def get(desk: Desk, deployment_id: str, form: Form) -> None:
    """Show one deployment."""
    with desk.reading() as unit:
        row = deployment_row(unit.deployments.get(deployment_id))
    print_row(row, "id", form)


@deployment.command()
@click.argument("deployment_id", metavar="ID")
@pass_desk
def cancel(desk: Desk, deployment_id: str) -> None:
    """Cancel a deployment that has not begun yet."""
    from upkeep.flows import deploy

    with desk.writing() as unit:
        cancelled = deploy.cancel(unit, deployment_id, actor=desk.actor, now=desk.now)
    desk.say(f"{cancelled.resource.short}: deployment {cancelled.id} is cancelled.")


@deployment.command()
@click.argument("deployment_id", metavar="ID")
@wait_option
@pass_desk
def retry(desk: Desk, deployment_id: str, wait: bool) -> None:
    """Ask again for what a failed or cancelled deployment aimed at."""
    from upkeep.flows import deploy

    with desk.writing() as unit:
        asked = deploy.retry(unit, deployment_id, actor=desk.actor, now=desk.now)
    announce(desk, [asked], wait=wait)


@deployment.command()
@click.argument("deployment_id", metavar="ID")
@pass_desk
def template(desk: Desk, deployment_id: str) -> None:
    """Print the template as it was rendered for a deployment."""
    from upkeep.domain.errors import NotFound

    with desk.reading() as unit:
        found = unit.deployments.get(deployment_id)
        rendered = unit.deployments.rendered(found.id)
    if not rendered:
        raise NotFound(f"deployment {found.id} has no rendered template", cure="it was not rendered, or had nothing to")
    click.echo(rendered, nl=not rendered.endswith("\n"))
