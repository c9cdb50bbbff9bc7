"""Tally: write down how the resources of each template stand, so that their lag can be shown over time."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from upkeep.domain.names import TemplateName
from upkeep.domain.resources import Counters
from upkeep.domain.tallies import FINE_FOR, KEPT_FOR, WHOLE_FLEET, Tally, span_of
from upkeep.flows.ports import Unit


def tally(unit: Unit, template: TemplateName, now: datetime) -> None:
    """Write down how one template stands, after what is recommended has moved, and the whole fleet with it."""
    unit.tallies.keep(Tally(template, span_of(now), unit.fleet.counters(template)))
    known = dict(unit.tallies.last())
    before = known.pop(WHOLE_FLEET, None)
    # Once every template is written down, their sum is the whole, and nothing has to be counted for it.
    whole = unit.fleet.counters() if before is None else _sum(tally.counters for tally in known.values())
    unit.tallies.keep(Tally(WHOLE_FLEET, span_of(now), whole))


def changed(unit: Unit, now: datetime) -> tuple[Tally, ...]:
    """The tallies of templates, and of the whole fleet, that stand otherwise than was written down last."""
    present = unit.fleet.counters_of()
    known = unit.tallies.last()
    # What has no resources any more is written down once more, as nothing.
    gone = {template: Counters() for template in known.keys() - present.keys() - {WHOLE_FLEET}}
    # The whole comes last, as where one template is written down, so that neither waits for the other.
    found = {**gone, **present, WHOLE_FLEET: _sum(present.values())}
    return tuple(
        Tally(template, span_of(now), counters)
        for template, counters in found.items()
        if template not in known or known[template].counters != counters
    )


def write_down(unit: Unit, now: datetime) -> int:
    """Keep what has changed; returns how many tallies these are."""
    found = changed(unit, now)
    unit.tallies.keep(*found)
    return len(found)


def thin(unit: Unit, now: datetime) -> int:
    """Let go of old tallies that nobody can see in a chart any more; returns how many these were."""
    return unit.tallies.thin(now - FINE_FOR, now - KEPT_FOR)


def _sum(counted: Iterable[Counters]) -> Counters:
    total = Counters()
    for counters in counted:
        total = replace(
            total,
            total=total.total + counters.total,
            up_to_date=total.up_to_date + counters.up_to_date,
            behind_minor=total.behind_minor + counters.behind_minor,
            behind_major=total.behind_major + counters.behind_major,
            failed=total.failed + counters.failed,
            ahead=total.ahead + counters.ahead,
            undeployed=total.undeployed + counters.undeployed,
        )
    return total
