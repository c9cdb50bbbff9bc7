"""`upkeep update`: many resources of a template together."""

import click

from upkeep.cli.acting import Desk, pass_desk
from upkeep.cli.printing import Form, form_option, print_rows
from upkeep.cli.rollout import follow
from upkeep.cli.rows import MEMBERS
from upkeep.domain.rollouts import AT_ONCE, FAILURES, Turn
from upkeep.flows.browse.facts import member_row

_RECOMMENDED = "recommended"


@click.command()
@click.option("--template", required=True, help="The template whose resources are updated.")
@click.option(
    "--to",
    default=_RECOMMENDED,
    show_default=True,
    metavar="recommended|MAJOR.MINOR",
    help="Where to: the recommended minor of what each resource runs, or one version.",
)
@click.option("--majors", is_flag=True, help="Also where that leads to another major.")
@click.option("--owner", default="", help="Only resources of this owner.")
@click.option("--environment", default="", help="Only this environment and what lives in it.")
@click.option(
    "--max-parallel",
    type=click.IntRange(1, 100),
    default=AT_ONCE,
    show_default=True,
    help="How many updates are under way at the same time.",
)
@click.option(
    "--stop-after",
    type=click.IntRange(min=1),
    default=FAILURES,
    show_default=True,
    help="After how many failures no more are asked for.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be updated, what would not, and why.")
@click.option("--wait", is_flag=True, help="Follow it to its end; fail when an update fails.")
@form_option
@pass_desk
def update(
    desk: Desk,
    template: str,
    to: str,
    majors: bool,
    owner: str,
    environment: str,
    max_parallel: int,
    stop_after: int,
    dry_run: bool,
    wait: bool,
    form: Form,
) -> None:
    """Update many resources, worst first, a few at a time.

    Left out are those that are up to date, would need new input, or have a deployment under way, and those that would
    go to another major unless --majors is given.
    """
    from upkeep.domain.names import parse_version
    from upkeep.flows import rollout
    from upkeep.flows.rollout import Wish

    version = None if to == _RECOMMENDED else parse_version(to)
    if dry_run:
        with desk.reading() as unit:
            name = unit.registry.template(template).name
            found = rollout.members(unit, Wish(name, version, majors, owner, environment), actor=desk.actor)
        print_rows([member_row(member) for member in found], MEMBERS, "resource", form, "No resource fits.")
        return
    with desk.writing() as unit:
        name = unit.registry.template(template).name
        begun = rollout.start(
            unit,
            Wish(name, version, majors, owner, environment),
            max_parallel=max_parallel,
            stop_after=stop_after,
            actor=desk.actor,
            now=desk.now,
        )
    for member in begun.of(Turn.LEFT_OUT):
        desk.say(f"{member.resource.short}: left out, {member.reason}")
    desk.say(f"rollout {begun.id}: {len(begun.of(Turn.WAITING))} to update")
    if wait:
        follow(desk, begun.id)
