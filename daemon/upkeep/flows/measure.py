"""Measure: write on every resource how far it is behind, whenever what is recommended moves."""

from upkeep.domain import lag
from upkeep.domain.lag import Lag
from upkeep.domain.names import TemplateName, Version
from upkeep.flows.ports import Unit


def measure(unit: Unit, template: TemplateName) -> int:
    """Measure all resources of a template, one rule for each version they run; returns how many are behind.

    What slept for a version that is not the newest offered any more is woken."""
    behind = 0
    for running in unit.fleet.running_versions(template):
        measured = lag_of(unit, template, running)
        due = offered_to(unit, template, running.major)
        if due is not None:
            unit.fleet.end_snoozes(template, running, due)
        count = unit.fleet.set_lag(template, running, measured)
        behind += count if measured.behind else 0
    return behind


def lag_of(unit: Unit, template: TemplateName, running: Version) -> Lag:
    """The lag of any resource of the template that runs this version."""
    recommended = unit.registry.template(template).recommended
    major = unit.registry.find_major(template, running.major)
    major_recommended = (
        Version(running.major, major.recommended_minor)
        if major is not None and major.recommended_minor is not None
        else None
    )
    return lag.measure(running, recommended, major_recommended, unit.registry.published(template))


def offered_to(unit: Unit, template: TemplateName, major: int) -> Version | None:
    """The version that what runs this major of the template should take."""
    own = unit.registry.find_major(template, major)
    recommended = unit.registry.template(template).recommended
    return lag.offered(major, recommended, own.recommended_minor if own is not None else None)
