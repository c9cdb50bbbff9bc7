"""Register: templates come into being by a person's word, before or without a repository."""

from datetime import datetime

from upkeep.domain import events
from upkeep.domain.names import TemplateName
from upkeep.domain.people import Act, Actor, require
from upkeep.domain.versions import Template, TemplateKind
from upkeep.flows.ports import Unit


def add_template(unit: Unit, name: TemplateName, kind: TemplateKind, *, actor: Actor, now: datetime) -> Template:
    """Make a template without versions. The source that has a folder of its name takes it as its own."""
    require(actor, Act.REVIEW)
    made = Template(name, kind, None, "", now)
    unit.registry.add_template(made)
    unit.journal.record(events.TemplateAdded(f"template/{name}", kind), actor, now)
    return made
