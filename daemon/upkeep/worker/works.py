"""Works: which flow does which kind of work."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from upkeep import watch
from upkeep.domain.errors import NotFound
from upkeep.domain.limits import LIMITS, Limits
from upkeep.domain.names import SourceName, TemplateName, Version
from upkeep.domain.notices import Routing
from upkeep.domain.people import DAEMON
from upkeep.domain.policies import Policies
from upkeep.domain.records import Records
from upkeep.domain.sources import Cause
from upkeep.domain.work import Claim, WorkKind
from upkeep.flows.drift import compare
from upkeep.flows.foresee import foresee
from upkeep.flows.plan import ask_for_draft
from upkeep.flows.poll import poll
from upkeep.flows.ports import Channels, Provisioner, Renderer, Repositories, Store, Unit, Uploaded
from upkeep.flows.preview import preview
from upkeep.flows.prune import prune
from upkeep.flows.register import register
from upkeep.flows.relay import relay
from upkeep.flows.rollout import advance
from upkeep.flows.settle import Terms, settle
from upkeep.flows.sync import sync

Work = Callable[[Claim], None]
"""Does one piece of work under its claim. It ends or puts off the work itself; errors say what else to do."""


_DELIVERIES_NAMED = 10
"""So many of the deliveries that asked for a sync stand in its lines."""

_CALLED = {
    WorkKind.POLL: "sources",
    WorkKind.SYNC: "source",
    WorkKind.PLAN: "plan",
    WorkKind.DEPLOY: "deployment",
    WorkKind.RELAY: "channel",
    WorkKind.ROLLOUT: "rollout",
    WorkKind.DRIFT: "resource",
    WorkKind.PRUNE: "what",
}


def about(claim: Claim) -> dict[str, str]:
    """What a piece of work deals with, by the keys that lines of the log have for it."""
    if claim.kind in (WorkKind.PREVIEW, WorkKind.REGISTER):
        template, _, version = claim.subject.partition("@")
        return {"template": template, "version": version}
    return {_CALLED.get(claim.kind, "subject"): claim.subject}


def works(
    store: Store,
    repositories: Repositories,
    renderer: Renderer,
    provisioner: Provisioner,
    channels: Channels,
    uploaded: Uploaded,
    *,
    routing: Routing,
    terms: Terms,
    policies: Policies,
    clock: Callable[[], datetime],
    change_sets: bool = False,
    kept_for: Mapping[Records, timedelta] | None = None,
    limits: Limits = LIMITS,
) -> Mapping[WorkKind, Work]:
    """The flows of every kind of work, over these rooms. `change_sets` says whether every preview comes with them,
    `kept_for` how long old records stay; without a time, they stay for ever."""

    def check(unit: Unit, template: TemplateName, version: Version) -> None:
        if change_sets:
            ask_for_draft(unit, template, version, DAEMON.name, clock(), only_moved=True)

    def sync_source(claim: Claim) -> None:
        if claim.cause == Cause.WEBHOOK:
            with store.read() as unit:
                waiting = unit.deliveries.open(SourceName(claim.subject), clock())
            watch.about(delivery=" ".join(delivery.id for delivery in waiting[:_DELIVERIES_NAMED]) or None)
        sync(store, repositories, renderer, claim, routing=routing, limits=limits, now=clock())

    def deploy(claim: Claim) -> None:
        with store.read() as unit, suppress(NotFound):
            asked = unit.deployments.get(claim.subject)
            watch.about(resource=str(asked.resource), version=str(asked.target.version))
        settle(store, renderer, provisioner, claim, routing=routing, terms=terms, now=clock())

    def plan(claim: Claim) -> None:
        with store.read() as unit:
            asked = unit.plans.find(claim.subject)
        if asked is not None:
            watch.about(resource=str(asked.resource), version=str(asked.version))
        foresee(store, renderer, provisioner, claim, terms=terms, now=clock())

    return {
        WorkKind.POLL: lambda claim: poll(store, repositories, claim, now=clock()),
        WorkKind.SYNC: sync_source,
        WorkKind.PREVIEW: lambda claim: preview(store, renderer, claim, now=clock(), then=check),
        WorkKind.REGISTER: lambda claim: register(
            store, uploaded, renderer, claim, routing=routing, limits=limits, now=clock()
        ),
        WorkKind.PLAN: plan,
        WorkKind.DEPLOY: deploy,
        WorkKind.DRIFT: lambda claim: compare(
            store, provisioner, claim, routing=routing, now=clock(), pipelines=terms.pipelines
        ),
        WorkKind.ROLLOUT: lambda claim: advance(store, claim, routing=routing, policies=policies, now=clock()),
        WorkKind.RELAY: lambda claim: relay(store, channels, claim, now=clock()),
        WorkKind.PRUNE: lambda claim: prune(store, claim, kept_for or {}, now=clock()),
    }
