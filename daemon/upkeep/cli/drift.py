"""What environments, instances and pipelines have in common about drift on the command line."""

import time
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from upkeep.cli.acting import Desk
from upkeep.domain.changesets import DriftState
from upkeep.domain.errors import CallerError
from upkeep.domain.names import ResourceKey

if TYPE_CHECKING:
    from upkeep.domain.resources import Resource

_LOOK_EVERY = timedelta(milliseconds=200)
_HINT_AFTER = timedelta(seconds=15)


def check_drift(desk: Desk, key: ResourceKey, *, wait: bool) -> None:
    """Ask for a comparison of what runs with what was deployed and, if wanted, print what it found. CallerError when
    it could not be compared."""
    from upkeep.flows import drift

    with desk.writing() as unit:
        before = drift.ask(unit, key, actor=desk.actor, now=desk.now)
    if not wait:
        desk.say(f"{key.short}: asked for a comparison with what was deployed; see `upkeep {key.kind} get`")
        return
    after = _compared(desk, before)
    assert after.drift is not None
    match after.drift.state:
        case DriftState.FAILED:
            raise CallerError(
                f"{key.short} could not be compared with what was deployed: {after.drift.reason}",
                cure="put that right, then ask again",
            )
        case DriftState.DRIFTED:
            desk.say(f"{key.short}: {differences(after)}")
        case _:
            desk.say(f"{key.short}: it is what was deployed")


def warn_of_drift(resource: "Resource") -> None:
    """Say on standard error that an update meets what others changed."""
    if resource.drifted:
        said = f"warning: {resource.key.short} {differences(resource)}; the update may undo that, or fail on it"
        click.echo(said, err=True)


def differences(resource: "Resource") -> str:
    """How a resource has drifted, in a line."""
    assert resource.drift is not None
    found = ", ".join(resource.drift.resources) or resource.drift.reason
    return f"has drifted: {found}" if found else "has drifted"


def _compared(desk: Desk, before: "Resource") -> "Resource":
    since = time.monotonic()
    while True:
        with desk.reading() as unit:
            found = unit.fleet.get(before.key)
        if found.drift is not None and found.drift_checked_at != before.drift_checked_at:
            return found
        if time.monotonic() - since > _HINT_AFTER.total_seconds():
            since = time.monotonic()
            desk.say("it is not compared yet; does a worker run, and no deployment? (upkeep doctor)")
        time.sleep(_LOOK_EVERY.total_seconds())
