"""Works: which flow does which kind of work."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from upkeep.domain.names import TemplateName, Version
from upkeep.domain.notices import Routing
from upkeep.domain.people import DAEMON
from upkeep.domain.policies import Policies
from upkeep.domain.records import Records
from upkeep.domain.work import Claim, WorkKind
from upkeep.flows.drift import compare
from upkeep.flows.foresee import foresee
from upkeep.flows.plan import ask_for_draft
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
) -> Mapping[WorkKind, Work]:
    """The flows of every kind of work, over these rooms. `change_sets` says whether every preview comes with them,
    `kept_for` how long old records stay; without a time, they stay for ever."""

    def check(unit: Unit, template: TemplateName, version: Version) -> None:
        if change_sets:
            ask_for_draft(unit, template, version, DAEMON.name, clock(), only_moved=True)

    return {
        WorkKind.SYNC: lambda claim: sync(store, repositories, renderer, claim, routing=routing, now=clock()),
        WorkKind.PREVIEW: lambda claim: preview(store, renderer, claim, now=clock(), then=check),
        WorkKind.REGISTER: lambda claim: register(store, uploaded, renderer, claim, routing=routing, now=clock()),
        WorkKind.PLAN: lambda claim: foresee(store, renderer, provisioner, claim, terms=terms, now=clock()),
        WorkKind.DEPLOY: lambda claim: settle(
            store, renderer, provisioner, claim, routing=routing, terms=terms, now=clock()
        ),
        WorkKind.DRIFT: lambda claim: compare(
            store, provisioner, claim, routing=routing, now=clock(), pipelines=terms.pipelines
        ),
        WorkKind.ROLLOUT: lambda claim: advance(store, claim, routing=routing, policies=policies, now=clock()),
        WorkKind.RELAY: lambda claim: relay(store, channels, claim, now=clock()),
        WorkKind.PRUNE: lambda claim: prune(store, claim, kept_for or {}, now=clock()),
    }
