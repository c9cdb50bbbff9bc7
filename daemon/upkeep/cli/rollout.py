"""`upkeep rollout`: updates of many resources together, past and under way."""

import time
from collections.abc import Callable

import click

from upkeep.cli.acting import Desk, pass_desk
from upkeep.cli.printing import Form, form_option, print_row, print_rows
from upkeep.cli.rows import ROLLOUTS
from upkeep.domain.errors import CallerError
from upkeep.domain.rollouts import Rollout, RolloutStatus, Turn
from upkeep.flows.browse.facts import member_row, rollout_row

_LOOK_EVERY = 0.2


@click.group()
def rollout() -> None:
    """Updates of many resources together; `upkeep update` starts one."""


@rollout.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many, newest first.")
@form_option
@pass_desk
def list_rollouts(desk: Desk, limit: int, form: Form) -> None:
    """List the last rollouts, newest first."""
    with desk.reading() as unit:
        found = unit.rollouts.recent(limit)
    print_rows([rollout_row(each) for each in found], ROLLOUTS, "id", form, "No rollouts.")


@rollout.command()
@click.argument("rollout_id", metavar="ID")
@form_option
@pass_desk
def get(desk: Desk, rollout_id: str, form: Form) -> None:
    """Show one rollout with all its resources."""
    with desk.reading() as unit:
        found = unit.rollouts.get(rollout_id)
    row = rollout_row(found)
    members = [member_row(member) for member in found.members]
    if form in (Form.JSON, Form.YAML):
        row |= {"members": members}
    else:
        row["members"] = [
            f"{m['resource']}: {m['from'] or '-'} → {m['to'] or '-'}, {m['turn']}"
            + (f": {m['reason']}" if m["reason"] else "")
            for m in members
        ]
    print_row(row, "id", form)


@rollout.command()
@click.argument("rollout_id", metavar="ID")
@pass_desk
def pause(desk: Desk, rollout_id: str) -> None:
    """Ask for no more updates until it is resumed. What is under way goes on."""
    from upkeep.flows import rollout as flow

    with desk.writing() as unit:
        flow.pause(unit, rollout_id, actor=desk.actor, now=desk.now)
    desk.say(f"rollout {rollout_id} is paused")


@rollout.command()
@click.argument("rollout_id", metavar="ID")
@click.option("--wait", is_flag=True, help="Follow it to its end; fail when an update fails.")
@pass_desk
def resume(desk: Desk, rollout_id: str, wait: bool) -> None:
    """Let a paused rollout go on with the rest. What failed so far does not stop it again."""
    from upkeep.flows import rollout as flow

    with desk.writing() as unit:
        flow.resume(unit, rollout_id, actor=desk.actor, now=desk.now)
    desk.say(f"rollout {rollout_id} goes on")
    if wait:
        follow(desk, rollout_id)


@rollout.command()
@click.argument("rollout_id", metavar="ID")
@pass_desk
def stop(desk: Desk, rollout_id: str) -> None:
    """End a rollout: no more updates are asked for. What is under way goes on."""
    from upkeep.flows import rollout as flow

    routing = desk.settings.notices.routing
    with desk.writing() as unit:
        flow.stop(unit, rollout_id, routing=routing, actor=desk.actor, now=desk.now)
    desk.say(f"rollout {rollout_id} is stopped")


def follow(desk: Desk, rollout_id: str) -> None:
    """Follow a rollout until nothing of it is under way and no more is asked for, one line for each change.
    CallerError unless it completed and no update failed."""
    said: dict[str, str] = {}
    while True:
        with desk.reading() as unit:
            found = unit.rollouts.get(rollout_id)
        _say_changes(found, said, desk.say)
        if not found.watched:
            break
        time.sleep(_LOOK_EVERY)
    failed = [f"{member.resource.short}: {member.reason}" for member in found.of(Turn.FAILED)]
    if found.status is not RolloutStatus.COMPLETED or failed:
        lines = [f"rollout {found.id} is {found.status}: {found.message or 'updates failed'}", *failed]
        raise CallerError("\n".join(lines), cure=f"see `upkeep rollout get {found.id}`")


def _say_changes(found: Rollout, said: dict[str, str], say: Callable[[str], None]) -> None:
    for member in found.members:
        turn = member.turn if member.reason is None else f"{member.turn}: {member.reason}"
        if member.turn not in (Turn.WAITING, Turn.LEFT_OUT) and said.get(str(member.resource)) != turn:
            said[str(member.resource)] = turn
            say(f"{member.resource.short}: {turn}")
