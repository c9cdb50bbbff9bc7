"""What environments, instances and pipelines have in common on the command line."""

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from upkeep.cli.acting import Desk, spec_at, spec_text, version_option, wait_option
from upkeep.cli.drift import warn_of_drift
from upkeep.cli.printing import Column, Form, print_row, print_rows
from upkeep.cli.rows import RESOURCES
from upkeep.domain.deployments import Action
from upkeep.domain.names import ResourceKey, ResourceKind, Version
from upkeep.flows.browse.facts import resource_row

if TYPE_CHECKING:
    from upkeep.domain.deployments import Deployment
    from upkeep.domain.resources import Inputs, Resource
    from upkeep.flows.ports import FleetFilter, FleetOrder, Unit

_PAGE = 200

_OUTPUTS = (Column("NAME", "name"), Column("VALUE", "value"))


def spec_option(required: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--spec FILE`."""
    return click.option(
        "--spec",
        "spec",
        type=click.Path(path_type=Path, dir_okay=False),
        required=required,
        help="The spec file.",
    )


_then_option = click.option(
    "--inputs-of-then",
    "inputs_then",
    is_flag=True,
    help="With the inputs it had when it last ran that version: the way back.",
)

recreate_option = click.option(
    "--recreate", is_flag=True, help="Delete the stack that a failed creation left behind, and create it anew."
)


@dataclass(frozen=True, slots=True)
class Order:
    """What an update is asked for with: a version, a spec file, or the inputs of then."""

    to: Version | None
    spec: Path | None
    inputs_then: bool
    recreate: bool
    wait: bool


def order_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of an update, handed to the command as one `order`."""

    @wraps(command)
    def gathered(
        *arguments: Any,
        to: Version | None,
        spec: Path | None,
        inputs_then: bool,
        recreate: bool,
        wait: bool,
        **more: Any,
    ) -> Any:
        return command(*arguments, order=Order(to, spec, inputs_then, recreate, wait), **more)

    offered: Callable[..., Any] = gathered
    for option in (wait_option, recreate_option, _then_option, spec_option(required=False), version_option):
        offered = option(offered)
    return offered


def length_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--for 7d|30d|version`."""
    text = "How long; `version` lasts until a newer one is recommended."
    lengths = click.Choice(["7d", "30d", "version"])
    return click.option("--for", "length", type=lengths, default="7d", show_default=True, help=text)(command)


def owner_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--owner TEAM` of what changes hands; None when the text is empty."""
    text = "The team or user that it belongs to from now on; an empty text for nobody."
    return click.option("--owner", required=True, metavar="TEAM", callback=_somebody, help=text)(command)


def tag_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--tag KEY=VALUE`, any number of times, parsed."""
    text = "A tag for everything its stacks make. May be given several times."
    return click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", callback=_parsed_tags, help=text)(command)


def _somebody(context: click.Context, parameter: click.Parameter, name: str) -> str | None:
    return name.strip() or None


def _parsed_tags(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    from upkeep.domain.tags import parse_tags

    return parse_tags(texts)


def all_resources(unit: "Unit", wanted: "FleetFilter", order: "FleetOrder") -> list["Resource"]:
    """Every resource of a filter, page by page."""
    found: list[Resource] = []
    cursor = None
    while True:
        page = unit.fleet.page(wanted, order, cursor, _PAGE)
        found += page.resources
        cursor = page.next
        if cursor is None:
            return found


def print_kind(desk: Desk, kind: ResourceKind, form: Form, empty: str) -> None:
    """Print all resources of a kind, by name."""
    from upkeep.flows.ports import FleetFilter, FleetOrder

    with desk.reading() as unit:
        rows = [resource_row(found) for found in all_resources(unit, FleetFilter(kind=kind), FleetOrder.NAME)]
    print_rows(rows, RESOURCES, "name", form, empty)


def print_resource(desk: Desk, key: ResourceKey, form: Form) -> None:
    """Print one resource."""
    with desk.reading() as unit:
        row = resource_row(unit.fleet.get(key))
    print_row(row, "name", form)


def print_outputs(desk: Desk, key: ResourceKey, form: Form) -> None:
    """Print the outputs of a resource; as JSON and YAML a mapping."""
    with desk.reading() as unit:
        outputs = dict(unit.fleet.get(key).outputs)
    if form in (Form.JSON, Form.YAML):
        print_row(outputs, "", form)
        return
    rows = [{"name": name, "value": value} for name, value in outputs.items()]
    print_rows(rows, _OUTPUTS, "name", form, f"{key.short} has no outputs.")


def update_resource(desk: Desk, key: ResourceKey, order: Order) -> None:
    """Update a resource to a version, the recommended one otherwise, with the inputs of a spec if there is one, or
    with those it had then."""
    from upkeep.flows import deploy

    given = None if order.spec is None else _inputs(order.spec, key, desk.settings.limits.request)
    with desk.writing() as unit:
        asked = deploy.update(
            unit,
            key,
            to=order.to,
            inputs=given,
            inputs_then=order.inputs_then,
            recreate=order.recreate,
            actor=desk.actor,
            now=desk.now,
        )
        resource = unit.fleet.get(key)
    warn_of_drift(resource)
    announce(desk, [asked], wait=order.wait)


def delete_resource(desk: Desk, key: ResourceKey, *, wait: bool) -> None:
    """Delete what was deployed for a resource, then its record."""
    from upkeep.flows import enroll

    with desk.writing() as unit:
        asked = enroll.delete_resource(unit, key, actor=desk.actor, now=desk.now)
    announce(desk, [asked], wait=wait)


def forget_resource(desk: Desk, key: ResourceKey) -> None:
    """Take a resource off the books and leave its stack."""
    from upkeep.flows import enroll

    with desk.writing() as unit:
        forgotten = enroll.forget(unit, key, actor=desk.actor, now=desk.now)
    say_forgotten(desk, [forgotten])


def give_resource(desk: Desk, key: ResourceKey, owner: str | None) -> None:
    """Make a team the owner of a resource."""
    from upkeep.flows import enroll

    with desk.writing() as unit:
        enroll.give(unit, key, owner, actor=desk.actor, now=desk.now)
    desk.say(f"{key.short}: belongs to {owner or 'nobody'}")


def snooze_resource(desk: Desk, key: ResourceKey, length: str) -> None:
    """Let a resource that is behind sleep."""
    from upkeep.domain.snoozes import Length
    from upkeep.flows import snooze

    with desk.writing() as unit:
        asleep = snooze.snooze(unit, key, Length(length), actor=desk.actor, now=desk.now)
    if asleep.until is not None:
        desk.say(f"{key.short}: snoozed until {asleep.until:%Y-%m-%d %H:%M} UTC")
    else:
        desk.say(f"{key.short}: snoozed until something newer than {asleep.version} is recommended")


def wake_resource(desk: Desk, key: ResourceKey) -> None:
    """End a snooze."""
    from upkeep.flows import snooze

    with desk.writing() as unit:
        snooze.wake(unit, key, actor=desk.actor, now=desk.now)
    desk.say(f"{key.short}: not snoozed")


def say_forgotten(desk: Desk, forgotten: Sequence["Resource"]) -> None:
    """Say what was forgotten, and which stacks go on existing."""
    for resource in forgotten:
        left = f"its stack {resource.stack} stays as it is" if resource.stack else "it had no stack"
        desk.say(f"{resource.key.short}: forgotten; {left}")


def announce(desk: Desk, asked: Sequence["Deployment"], *, wait: bool) -> None:
    """Say which deployments were asked for and which of their inputs are ignored, and follow them if wanted."""
    for deployment in asked:
        desk.say(f"{deployment.resource.short}: deployment {deployment.id}, {deployment.action}")
    for line in _ignored(desk, asked):
        click.echo(f"{click.style('warning:', fg='yellow')} {line}", err=True)
    if wait:
        desk.follow(*asked)


def _ignored(desk: Desk, asked: Sequence["Deployment"]) -> Iterator[str]:
    """The inputs that the schemas do not know: most are misspelled, and their defaults are deployed instead."""
    from upkeep.domain import schemas, specs
    from upkeep.domain.bundles import Part

    with desk.reading() as unit:
        for deployment in asked:
            template = unit.fleet.get(deployment.resource).template
            version = unit.registry.version(template, deployment.target.version)
            if version.schema is None or deployment.action is Action.DELETE:
                continue
            wanted = schemas.parse(version.schema).inputs_of(Part(deployment.resource.kind))
            for name in specs.unknown_inputs(wanted, deployment.target.inputs):
                close = difflib.get_close_matches(name, wanted.properties if wanted else (), n=1)
                advice = f"; did you mean `{close[0]}`?" if close else ""
                yield f"{deployment.resource.short}: {template} {version.version} has no input `{name}`{advice}"


def _inputs(path: Path, key: ResourceKey, at_most: int) -> "Inputs":
    """What a spec file gives for one resource."""
    from upkeep.domain import specs
    from upkeep.domain.errors import CallerError

    text = spec_text(path, at_most)
    with spec_at(path):
        if key.kind is ResourceKind.ENVIRONMENT:
            return specs.parse_environment_spec(text).inputs
        wanted = specs.parse_service_spec(text)
    if key.kind is ResourceKind.PIPELINE:
        if wanted.pipeline is None:
            raise CallerError("the spec has no `pipeline` section", where=str(path), cure="add it")
        return wanted.pipeline
    for instance in wanted.instances:
        if instance.name == key.name:
            return instance.inputs
    raise CallerError(f"the spec lists no instance `{key.name}`", where=str(path), cure="add it under `instances:`")
