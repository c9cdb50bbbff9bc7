"""Lines: resources as their tables say them.

Pages have hundreds of lines. What a line says is put together here, in words, tones and addresses, for a template to
set one after the other: a macro, a filter and an address built anew for each cell cost more than reading its row.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from flask import Flask
from markupsafe import Markup

from upkeep.domain.ages import age
from upkeep.domain.changesets import Proposal, Risk
from upkeep.domain.lag import Standing
from upkeep.domain.people import Act, may
from upkeep.domain.resources import Listed
from upkeep.flows.browse.fleet import FleetRow, how_far
from upkeep.web import identity, wording
from upkeep.web.rooms import rooms

_REPLACING = (Risk.REPLACES, Risk.MAY_REPLACE)


class Seen(NamedTuple):
    """A row as somebody sees it at some time: all that its line depends on. `lasts` says for how long it is behind."""

    row: FleetRow
    lasts: str
    asleep: bool
    may_update: bool


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
    app.add_template_global(seen_now, "seen_now")
    app.add_template_global(line_of, "line_of")


def seen_now(rows: Iterable[FleetRow]) -> Iterator[Seen]:
    """The rows as the one who looks sees them now."""
    actor, now = identity.actor(), rooms().clock()
    for row in rows:
        resource, since = row.resource, row.resource.lag.since
        yield Seen(
            row=row,
            lasts=age(since, now) if since is not None else "",
            asleep=resource.snooze is not None and resource.asleep(now),
            may_update=may(actor, Act.UPDATE, resource.owner),
        )


def line_of(seen: Seen) -> Line:
    """What a table says of a row."""
    row, lasts, asleep, may_update = seen
    resource, lag, last = row.resource, row.resource.lag, row.resource.last_deployment
    key, under_way, failed = resource.key, resource.status.under_way, resource.status.failed
    status, tone = _status(resource)
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
        due=str(resource.due or ""),
        how_far=how_far(lag),
        status=status,
        tone=tone,
        snoozed=wording.snoozed(resource.snooze) if resource.snooze and asleep else None,
        if_updated=if_updated,
        if_updated_tone=if_updated_tone,
        replaced=replaced,
        more=more,
        owner=resource.owner or "",
        behind_for=wording.behind_for(lag.since, lasts) if lag.behind and lag.since else None,
        deployment=wording.path_to("deployments.deployment", last) if last and look else "",
        look=look,
        diff=wording.resource_url(key, "diff") if settled else "",
        update=wording.resource_url(key, "update") if settled and may_update else "",
    )


def _if_updated(outlook: Proposal) -> tuple[str, str, str, int]:
    """The risk with its tone, what is replaced first, and how many more may be."""
    risk = outlook.risk
    replaced = [change.logical_id for change in outlook.worst_first if change.risk in _REPLACING]
    return risk, wording.tone(risk), replaced[0] if replaced else "", len(replaced) - 1


def _status(resource: Listed) -> tuple[str, str]:
    if resource.stalled:
        return "waits for a person", "bad"
    if resource.status.under_way or resource.status.failed or resource.version is None:
        return wording.status(resource.status), "wait" if resource.status.under_way else wording.tone(resource.status)
    if resource.lag.behind:
        return "behind", "wait"
    return "ahead" if resource.lag.standing is Standing.AHEAD else "up to date", "good"
