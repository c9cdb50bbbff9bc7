"""`upkeep lag`: who is behind, and by how much."""

import click

from upkeep.cli.acting import Desk, pass_desk
from upkeep.cli.printing import Column, Form, form_option, print_row, print_rows
from upkeep.cli.resources import all_resources
from upkeep.flows.browse.facts import counters_row, resource_row

_BEHIND = 2

_COLUMNS = (
    Column("RESOURCE", "key"),
    Column("TEMPLATE", "template"),
    Column("VERSION", "version"),
    Column("LAG", "lag"),
    Column("SINCE", "behind_since"),
    Column("STATUS", "status"),
    Column("OWNER", "owner"),
)


@click.command()
@click.option("--owner", default="", help="Only resources of this owner.")
@click.option("--template", default="", help="Only resources of this template.")
@click.option("--exit-code", is_flag=True, help="Exit with 2 when anything is behind.")
@form_option
@pass_desk
@click.pass_context
def lag(context: click.Context, desk: Desk, owner: str, template: str, exit_code: bool, form: Form) -> None:
    """List the resources that are behind the recommended version, worst first, and count the fleet.

    The counters are those of the template, or of the whole fleet; an owner does not narrow them.
    """
    from upkeep.flows.ports import FleetFilter, FleetOrder

    with desk.reading() as unit:
        only = unit.registry.template(template).name if template else None
        counters = counters_row(unit.fleet.counters(only))
        wanted = FleetFilter(owner=owner, template=template, behind=True)
        rows = [resource_row(found) for found in all_resources(unit, wanted, FleetOrder.WORST)]
    if form in (Form.JSON, Form.YAML):
        print_row({"counters": counters, "behind": rows}, "", form)
    else:
        if form is not Form.NAME:
            click.echo(", ".join(f"{number} {name.replace('_', ' ')}" for name, number in counters.items()))
        print_rows(rows, _COLUMNS, "key", form, "Nothing is behind.")
    if exit_code and rows:
        context.exit(_BEHIND)
