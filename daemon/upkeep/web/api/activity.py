"""Activity: the audit trail."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from upkeep.domain.people import Via
from upkeep.flows.browse import facts
from upkeep.flows.browse.activity import sentence
from upkeep.web.api.lists import DEFAULT, MOST, Listed, cut, page, place_of
from upkeep.web.api.operations import Call, Noun
from upkeep.web.api.words import ANSWER, QUERY, Whole

noun = Noun("activity", "Who did what, through which door. It only grows.")


class Entry(BaseModel):
    """Something that happened."""

    model_config = ANSWER

    id: int
    at: datetime
    kind: str
    """What happened, such as `version_published`."""
    subject: str
    """What it happened to, such as `template/network-env`."""
    actor: str
    via: Via
    sentence: str
    """What happened in words, going on after the name of the actor."""
    facts: dict[str, Any]
    """Everything else that is known of it."""


class ActivityQuery(BaseModel):
    """Which entries."""

    model_config = QUERY

    subject: str | None = Field(None, max_length=300)
    kind: str | None = Field(None, max_length=100)
    actor: str | None = Field(None, max_length=100)
    limit: Whole = Field(DEFAULT, ge=1, le=MOST)
    cursor: str | None = None


@noun.get("/activity")
def list_activity(call: Call, query: ActivityQuery) -> Listed[Entry]:
    """List what happened, newest first."""
    place = place_of(query.cursor)
    before = int(place) if place is not None else None
    found = call.unit.journal.entries(query.limit + 1, before, query.subject, query.kind, query.actor)
    shown, behind = cut(found, query.limit, lambda each: str(each.id))
    return page((Entry.model_validate(facts.journal_row(each, sentence(each))) for each in shown), behind)
