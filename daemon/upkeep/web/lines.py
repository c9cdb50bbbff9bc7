"""Lines: resources as their tables say them.

Pages have hundreds of lines. What a line says is put together here, in words, tones and addresses, for a template to
set one after the other: a macro, a filter and an address built anew for each cell cost more than reading its row.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from flask import Flask
from markupsafe import Markup

from upkeep.domain.changesets import Proposal, Risk
from upkeep.domain.lag import Standing
from upkeep.domain.people import Act, Actor, may
from upkeep.flows.browse.fleet import FleetRow, how_far
from upkeep.web import identity, wording
from upkeep.web.rooms import rooms

_REPLACING = (Risk.REPLACES, Risk.MAY_REPLACE)


class Line(NamedTuple):
    """A line of a table of resources. What it does not say is empty: texts, addresses and markup alike.

    `status` has a `tone`, as `if_updated` has; `replaced` is the worst that an update would replace, `more` how many
    others it would. `deployment` is the last one's address where that is of interest, and `look` the words for why.
    """

    key: str
    short: str
    kind: str
    url: str
    template: str
    template_url: str
    version: str
    due: str
    how_far: str
    status: str
    tone: str
    snoozed: Markup | None
    if_updated: str
    if_updated_tone: str
    replaced: str
    more: int
    owner: str
    behind_for: Markup | None
    deployment: str
    look: str
    diff: str
    update: str


def install(app: Flask) -> None:
    """Give the templates their lines."""
    app.add_template_global(lines_of, "lines_of")


def lines_of(rows: Iterable[FleetRow]) -> Iterator[Line]:
    """The rows as the one who looks sees them now."""
    actor, now = identity.actor(), rooms().clock()
    return (_line(row, actor, now) for row in rows)


def _line(row: FleetRow, actor: Actor, now: datetime) -> Line:
    resource, lag, last = row.resource, row.resource.lag, row.resource.last_deployment
    key, under_way, failed = resource.key, resource.status.under_way, resource.status.failed
    status, tone = _status(row)
    if_updated, if_updated_tone, replaced, more = _if_updated(row.outlook) if row.outlook else ("", "", "", 0)
    if resource.due is not None and row.outlook is None:
        if_updated = Risk.NOT_CHECKED
    settled = resource.due is not None and not (under_way and last)
    look = ""
    if last and under_way:
        look = "See what to do" if resource.stalled else "Deployment"
    elif last and failed:
        look = "See why"
    return Line(
        key=str(key),
        short=key.short,
        kind=key.kind,
        url=wording.resource_url(key),
        template=resource.template,
        template_url=wording.path_to("registry.template", resource.template),
        version=str(resource.version or ""),
        due=str(resource.due or "") if resource.version else "",
        how_far=how_far(lag),
        status=status,
        tone=tone,
        snoozed=wording.asleep(resource) if resource.snooze else None,
        if_updated=if_updated,
        if_updated_tone=if_updated_tone,
        replaced=replaced,
        more=more,
        owner=resource.owner or "",
        behind_for=wording.behind_for(lag.since, now) if lag.behind and lag.since else None,
        deployment=wording.path_to("deployments.deployment", last) if last and look else "",
        look=look,
        diff=wording.resource_url(key, "diff") if settled else "",
        update=wording.resource_url(key, "update") if settled and may(actor, Act.UPDATE, resource.owner) else "",
    )


def _if_updated(outlook: Proposal) -> tuple[str, str, str, int]:
    """The risk with its tone, what is replaced first, and how many more may be."""
    risk = outlook.risk
    replaced = [change.logical_id for change in outlook.worst_first if change.risk in _REPLACING]
    return risk, wording.tone(risk), replaced[0] if replaced else "", len(replaced) - 1


def _status(row: FleetRow) -> tuple[str, str]:
    resource = row.resource
    if resource.stalled:
        return "waits for a person", "bad"
    if resource.status.under_way or resource.status.failed or resource.version is None:
        return wording.status(resource.status), "wait" if resource.status.under_way else wording.tone(resource.status)
    if resource.lag.behind:
        return "behind", "wait"
    return "ahead" if resource.lag.standing is Standing.AHEAD else "up to date", "good"
