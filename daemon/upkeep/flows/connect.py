"""Connect: say from which repository a template is read, one template at a time, as Proton did.

A source reads all templates below its folder, so templates of one repository, branch and folder share one.
"""

import re
from dataclasses import replace
from datetime import datetime

from upkeep.domain import events
from upkeep.domain.addresses import check_address, check_branch, check_subdirectory
from upkeep.domain.errors import Conflict, NotFound
from upkeep.domain.limits import LIMITS
from upkeep.domain.names import SourceName, TemplateName
from upkeep.domain.people import Act, Actor, require
from upkeep.domain.sources import Origin, Source
from upkeep.flows import follow
from upkeep.flows.ports import Unit


def connect(
    unit: Unit,
    template: TemplateName,
    url: str,
    branch: str,
    subdirectory: str,
    *,
    at_most: int = LIMITS.sources,
    actor: Actor,
    now: datetime,
) -> Source:
    """Read a template from a branch and folder of a repository from now on, by the source that reads them already or by
    a new one. The source it was read by before is followed no longer when nothing else is read by it."""
    require(actor, Act.FOLLOW)
    found = unit.registry.template(template)
    check_address(url, allow_local=False)
    check_branch(branch)
    check_subdirectory(subdirectory)
    known = unit.sources.list()
    place = (url, branch, subdirectory)
    source = next((one for one in known if (one.url, one.branch, one.subdirectory) == place), None)
    if source is None:
        name = _free_name(url, {one.name for one in known})
        source = follow.add(unit, Source(name, url, branch, subdirectory), at_most=at_most, actor=actor, now=now)
    else:
        follow.ask(unit, source.name, actor=actor, now=now)
    before = found.source
    unit.registry.save_template(replace(found, source=source.name))
    unit.journal.record(events.TemplateConnected(f"template/{template}", source.name), actor, now)
    if before is not None and before != source.name:
        _leave(unit, before, actor, now)
    return source


def disconnect(unit: Unit, template: TemplateName, *, actor: Actor, now: datetime) -> Source:
    """Read a template no longer: its source is followed no longer. Refused while other templates are read by it."""
    require(actor, Act.FOLLOW)
    found = unit.registry.template(template)
    if found.source is None:
        raise NotFound(f"{template} is read from no repository", cure="there is nothing to disconnect")
    others = [each.name for each in unit.registry.templates(found.source) if each.name != template]
    if others:
        raise Conflict(
            f"source `{found.source}` reads {', '.join(others[:3])} as well, and goes on reading what is there",
            cure=f"take the folder out of the branch, or remove the source with `upkeep source remove {found.source}`",
        )
    source = unit.sources.get(found.source)
    follow.remove(unit, source.name, actor=actor, now=now)
    return source


def _leave(unit: Unit, name: SourceName, actor: Actor, now: datetime) -> None:
    source = unit.sources.get(name)
    if source.origin is Origin.ADDED and not unit.registry.templates(name):
        follow.remove(unit, name, actor=actor, now=now)


def _free_name(url: str, taken: set[SourceName]) -> SourceName:
    """A name like `owner-name`, with a number behind it when there is such a source."""
    steps = re.split(r"[/:]", url.removesuffix(".git"))[-2:]
    plain = re.sub(r"[^0-9A-Za-z]+", "-", "-".join(steps)).strip("-")[:90] or "repository"
    name, number = SourceName(plain), 1
    while name in taken:
        number += 1
        name = SourceName(f"{plain}-{number}")
    return name
