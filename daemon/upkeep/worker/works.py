"""Works: which flow does which kind of work."""

from collections.abc import Callable, Mapping
from datetime import datetime

from upkeep.domain.notices import Routing
from upkeep.domain.work import Claim, WorkKind
from upkeep.flows.ports import Channels, Provisioner, Renderer, Repositories, Store
from upkeep.flows.preview import preview
from upkeep.flows.relay import relay
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
    *,
    routing: Routing,
    terms: Terms,
    clock: Callable[[], datetime],
) -> Mapping[WorkKind, Work]:
    """The flows of every kind of work, over these rooms."""
    return {
        WorkKind.SYNC: lambda claim: sync(store, repositories, renderer, claim, routing=routing, now=clock()),
        WorkKind.PREVIEW: lambda claim: preview(store, renderer, claim, now=clock()),
        WorkKind.DEPLOY: lambda claim: settle(
            store, renderer, provisioner, claim, routing=routing, terms=terms, now=clock()
        ),
        WorkKind.RELAY: lambda claim: relay(store, channels, claim, now=clock()),
    }
