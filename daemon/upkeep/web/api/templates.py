"""Templates: named families of versions."""

from datetime import datetime

from pydantic import BaseModel, Field

from upkeep.domain.names import TemplateName
from upkeep.domain.people import Act
from upkeep.domain.versions import Template as TemplateRecord
from upkeep.domain.versions import TemplateKind
from upkeep.flows import review
from upkeep.flows.browse import facts
from upkeep.flows.ports import Unit
from upkeep.web.api.lists import DEFAULT, MOST, Listed, by_name, page
from upkeep.web.api.operations import Call, Noun
from upkeep.web.api.words import ANSWER, QUERY, Name, Whole

noun = Noun("templates", "Named families of versions.")


class Template(BaseModel):
    """A template, what waits for a decision, and how its resources stand."""

    model_config = ANSWER

    name: str
    kind: TemplateKind
    recommended: str | None
    """The version that new resources take."""
    pinned: bool
    """Whether an admin chose it against the rule "highest published"."""
    drafts: list[str]
    """Versions that wait for a review, newest first."""
    resources: int
    behind: int
    source: str | None
    path: str
    created_at: datetime


class TemplatesQuery(BaseModel):
    """Which page."""

    model_config = QUERY

    source: Name | None = None
    limit: Whole = Field(DEFAULT, ge=1, le=MOST)
    cursor: str | None = None


@noun.get("/templates")
def list_templates(call: Call, query: TemplatesQuery) -> Listed[Template]:
    """List templates by name."""
    source = call.unit.sources.get(query.source).name if query.source is not None else None
    found = call.unit.registry.templates(source)
    shown, behind = by_name(found, lambda each: each.name, query.limit, query.cursor)
    return page((_told(call.unit, each) for each in shown), behind)


@noun.get("/templates/{template}")
def get_template(call: Call, template: Name) -> Template:
    """Show a template."""
    return _told(call.unit, call.unit.registry.template(template))


@noun.delete("/templates/{template}", Act.REVIEW)
def delete_template(call: Call, template: Name) -> None:
    """Delete a template that has no versions left."""
    review.delete_template(call.unit, TemplateName(template), actor=call.actor, now=call.now)


def _told(unit: Unit, template: TemplateRecord) -> Template:
    drafts = sorted((draft.version for draft in unit.registry.drafts(template.name)), reverse=True)
    row = facts.template_row(template, [str(draft) for draft in drafts], unit.fleet.counters(template.name))
    return Template.model_validate(row)
