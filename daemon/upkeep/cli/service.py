"""`upkeep service`: services, which group instances and a pipeline."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from upkeep.cli.acting import Desk, pass_desk, spec_at, spec_text, version_option, wait_option
from upkeep.cli.printing import Form, form_option, print_row, print_rows
from upkeep.cli.resources import announce, owner_option, say_forgotten, spec_option, tag_option
from upkeep.cli.rows import SERVICES
from upkeep.domain.names import ResourceKind, Version
from upkeep.flows.browse.facts import resource_row, service_row

if TYPE_CHECKING:
    from upkeep.domain.deployments import Deployment
    from upkeep.domain.resources import Service
    from upkeep.flows.ports import Unit


@click.group()
def service() -> None:
    """Services: instances and a pipeline, from one template and one spec."""


@service.command("list")
@form_option
@pass_desk
def list_services(desk: Desk, form: Form) -> None:
    """List all services."""
    with desk.reading() as unit:
        rows = [_row(unit, found) for found in unit.fleet.services()]
    empty = "No services yet. Create one: upkeep service create NAME --template T --spec FILE"
    print_rows(rows, SERVICES, "name", form, empty)


@service.command()
@click.argument("name")
@form_option
@pass_desk
def get(desk: Desk, name: str, form: Form) -> None:
    """Show one service, its parts and its spec."""
    with desk.reading() as unit:
        row = _row(unit, unit.fleet.service(name))
        parts = [resource_row(found) for found in unit.fleet.of_service(row["name"])]
    if form in (Form.JSON, Form.YAML):
        row["resources"] = parts
    else:
        row["resources"] = [f"{part['key']} {part['version'] or '-'}, {part['lag']}" for part in parts]
    print_row(row, "name", form)


_repository_id = click.option("--repository-id", help="The application's repository, as owner/name.")
_repository_branch = click.option("--repository-branch", help="The branch of the application's repository.")
_connection_arn = click.option("--repository-connection-arn", help="The connection to the application's repository.")


@service.command()
@click.argument("name")
@click.option("--template", required=True, help="The service template.")
@spec_option(required=True)
@version_option
@click.option("--owner", help="The team that hears when parts of it are behind.")
@_repository_id
@_repository_branch
@_connection_arn
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
    repository_id: str | None,
    repository_branch: str | None,
    repository_connection_arn: str | None,
    tags: dict[str, str],
    wait: bool,
) -> None:
    """Create a service with the instances its spec lists, and its pipeline if the template has one."""
    from upkeep.domain.resources import Repository
    from upkeep.flows import enroll

    text = spec_text(spec, desk.settings.limits.request)
    with spec_at(spec), desk.writing() as unit:
        asked = enroll.create_service(
            unit,
            name,
            template,
            text,
            version=to,
            owner=owner,
            repository=Repository(repository_branch or "", repository_id or "", repository_connection_arn or ""),
            tags=tags,
            actor=desk.actor,
            now=desk.now,
        )
    announce(desk, asked, wait=wait)


@service.command()
@click.argument("name")
@spec_option(required=False)
@_repository_id
@_repository_branch
@_connection_arn
@wait_option
@pass_desk
def update(
    desk: Desk,
    name: str,
    spec: Path | None,
    repository_id: str | None,
    repository_branch: str | None,
    repository_connection_arn: str | None,
    wait: bool,
) -> None:
    """Bring a service to the instances its spec lists, or name another repository for it.

    What stays is not deployed by this, but one by one: see `upkeep instance` and `upkeep pipeline`.
    """
    from dataclasses import replace

    from upkeep.flows import enroll

    given = {
        "repository_id": repository_id,
        "branch_name": repository_branch,
        "repository_connection_arn": repository_connection_arn,
    }
    changed = {part: text for part, text in given.items() if text is not None}
    if spec is None and not changed:
        raise click.UsageError("give --spec, a --repository option, or both")
    asked: Sequence[Deployment] = ()
    with spec_at(spec) if spec else nullcontext(), desk.writing() as unit:
        if changed:
            repository = replace(unit.fleet.service(name).repository, **changed)
            enroll.change_repository(unit, name, repository, actor=desk.actor, now=desk.now)
        if spec is not None:
            asked = enroll.update_service(
                unit, name, spec_text(spec, desk.settings.limits.request), actor=desk.actor, now=desk.now
            )
    if changed:
        desk.say(f"{name}: its parts see the repository at their next deployment.")
    if spec is not None:
        announce(desk, asked, wait=wait)


@service.command()
@click.argument("name")
@owner_option
@pass_desk
def give(desk: Desk, name: str, owner: str | None) -> None:
    """Give it to a team, with all its parts that belonged to the same owner."""
    from upkeep.flows import enroll

    with desk.writing() as unit:
        given = enroll.give_service(unit, name, owner, actor=desk.actor, now=desk.now)
    for subject in (name, *(resource.key.short for resource in given)):
        desk.say(f"{subject}: belongs to {owner or 'nobody'}")


@service.command()
@click.argument("name")
@wait_option
@pass_desk
def delete(desk: Desk, name: str, wait: bool) -> None:
    """Delete a service with its instances and its pipeline."""
    from upkeep.flows import enroll

    with desk.writing() as unit:
        asked = enroll.delete_service(unit, name, actor=desk.actor, now=desk.now)
    announce(desk, asked, wait=wait)


@service.command()
@click.argument("name")
@click.confirmation_option(prompt="Upkeep forgets all its parts and leaves their stacks as they are. Go on?")
@pass_desk
def forget(desk: Desk, name: str) -> None:
    """Take a service off Upkeep's books; its stacks stay."""
    from upkeep.flows import enroll

    with desk.writing() as unit:
        forgotten = enroll.forget_service(unit, name, actor=desk.actor, now=desk.now)
    say_forgotten(desk, forgotten)


def _row(unit: "Unit", found: "Service") -> dict[str, Any]:
    parts = unit.fleet.of_service(found.name)
    instances = [str(part.key.name) for part in parts if part.key.kind is ResourceKind.INSTANCE]
    return service_row(found, instances, any(part.key.kind is ResourceKind.PIPELINE for part in parts))
