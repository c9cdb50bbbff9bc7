"""Lag: who is behind, and by how much."""

from pydantic import BaseModel, Field

from upkeep.flows.browse import facts
from upkeep.flows.ports import FleetFilter, FleetOrder
from upkeep.web.api.lists import DEFAULT, MOST, Listed
from upkeep.web.api.operations import Call, Noun
from upkeep.web.api.resources import Counters, Resource, fleet_page
from upkeep.web.api.words import ANSWER, QUERY, Name, Owner, Whole

noun = Noun("lag", "How far resources are behind the recommended version.")


class Lag(BaseModel):
    """Who is behind."""

    model_config = ANSWER

    counters: Counters
    """Of the template, or of the whole fleet; an owner does not narrow them."""
    behind: Listed[Resource]
    """Worst first."""


class LagQuery(BaseModel):
    """Whose lag."""

    model_config = QUERY

    template: Name | None = None
    owner: Owner | None = None
    limit: Whole = Field(DEFAULT, ge=1, le=MOST)
    cursor: str | None = None


@noun.get("/lag")
def get_lag(call: Call, query: LagQuery) -> Lag:
    """List what is behind the recommended version, worst first, and count the fleet."""
    template = call.unit.registry.template(query.template).name if query.template is not None else None
    wanted = FleetFilter(owner=query.owner or "", template=template or "", behind=True)
    return Lag(
        counters=Counters.model_validate(facts.counters_row(call.unit.fleet.counters(template))),
        behind=fleet_page(call, wanted, FleetOrder.WORST, query.limit, query.cursor),
    )
