"""`upkeep deployment`: attempts to move a resource to a version and spec."""

import click

from upkeep.cli.acting import Desk, pass_desk, wait_option
from upkeep.cli.printing import Form, form_option, print_row, print_rows
from upkeep.cli.resources import announce, recreate_option
from upkeep.cli.rows import DEPLOYMENTS, STACK_EVENTS
from upkeep.domain.changesets import worst_first
from upkeep.domain.deployments import DeploymentStatus
from upkeep.flows.browse.facts import change_row, deployment_row, stack_event_row

_EVENTS = 1000
"""Stack events shown with a deployment; `upkeep deployment logs` shows more."""


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
    """Show one deployment with what it changes in its stack, and what the stack told last."""
    with desk.reading() as unit:
        found = unit.deployments.get(deployment_id)
        row = deployment_row(found)
        proposal = unit.deployments.proposal(found.id)
        events = unit.deployments.stack_events(found.id, _EVENTS)
    changes = [change_row(change) for change in worst_first(proposal.changes)] if proposal else []
    if form in (Form.JSON, Form.YAML):
        row |= {"changes": changes, "events": [stack_event_row(event) for event in events]}
    else:
        row["changes"] = [f"{c['risk']}: {c['action']} {c['resource']} ({c['type']})" for c in changes]
        row["events"] = [f"{e.at:%H:%M:%S} {e.logical_id} {e.status} {e.reason or ''}".rstrip() for e in events]
    print_row(row, "id", form)


@deployment.command()
@click.argument("deployment_id", metavar="ID")
@click.option("--limit", type=click.IntRange(1, 10_000), default=1000, show_default=True, help="How many of the last.")
@form_option
@pass_desk
def logs(desk: Desk, deployment_id: str, limit: int, form: Form) -> None:
    """Print what the stack told during a deployment, oldest first."""
    with desk.reading() as unit:
        found = unit.deployments.get(deployment_id)
        rows = [stack_event_row(event) for event in unit.deployments.stack_events(found.id, limit)]
    print_rows(rows, STACK_EVENTS, "id", form, "The stack told nothing.")


@deployment.command()
@click.argument("deployment_id", metavar="ID")
@wait_option
@pass_desk
def cancel(desk: Desk, deployment_id: str, wait: bool) -> None:
    """Cancel a deployment: before its change set is executed, and an update also while it runs."""
    from upkeep.flows import deploy

    with desk.writing() as unit:
        cancelled = deploy.cancel(unit, deployment_id, actor=desk.actor, now=desk.now)
    state = "being cancelled" if cancelled.status.under_way else "cancelled"
    desk.say(f"{cancelled.resource.short}: deployment {cancelled.id} is {state}.")
    if wait and cancelled.status.under_way:
        desk.follow(cancelled, wanted=DeploymentStatus.CANCELLED)


@deployment.command()
@click.argument("deployment_id", metavar="ID")
@recreate_option
@wait_option
@pass_desk
def retry(desk: Desk, deployment_id: str, recreate: bool, wait: bool) -> None:
    """Ask again for what a failed or cancelled deployment aimed at, or let one go on that waits for a person."""
    from upkeep.flows import deploy

    with desk.writing() as unit:
        asked = deploy.retry(unit, deployment_id, recreate=recreate, actor=desk.actor, now=desk.now)
    announce(desk, [asked], wait=wait)


@deployment.command("continue")
@click.argument("deployment_id", metavar="ID")
@wait_option
@pass_desk
def continue_rollback(desk: Desk, deployment_id: str, wait: bool) -> None:
    """Let a stack whose rollback failed try it again, once you put right what stood in its way."""
    from upkeep.flows import deploy

    with desk.writing() as unit:
        going = deploy.continue_rollback(unit, deployment_id, actor=desk.actor, now=desk.now)
    announce(desk, [going], wait=wait)


@deployment.command()
@click.argument("deployment_id", metavar="ID")
@pass_desk
def template(desk: Desk, deployment_id: str) -> None:
    """Print the template as it was rendered for a deployment."""
    from upkeep.flows.browse import deployments as browse

    with desk.reading() as unit:
        _, rendered = browse.template_of(unit, deployment_id)
    click.echo(rendered, nl=not rendered.endswith("\n"))
