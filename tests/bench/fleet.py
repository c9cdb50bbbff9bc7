"""Goal 6, fleet: what a page costs that shows the worst of many resources, as these become more."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from flask.testing import FlaskClient

from tests.bench import multitudes, pages
from tests.bench.figures import Report, Size, in_turns
from tests.multitude import BUSY
from upkeep.adapters.store import SqlStore, open_store

PAGES = ("/", "/?kind=environment", "/environments", "/deployments")
ASKED_OF = ("/", "/?status=behind&kind=instance", f"/?template={BUSY}", f"/templates/{BUSY}")
LOOKS = 5
"""Of each page in a round, of which the median counts."""


def measure(size: Size, report: Report) -> None:
    """Each page over each fleet, in turns."""
    with tempfile.TemporaryDirectory() as place:
        clients, stores = {}, []
        for resources in size.resources:
            report.say(f"filling a database with {resources:,} resources")
            state = Path(place) / str(resources)
            store = open_store(multitudes.database(state, resources), state=state)
            stores.append(store)
            clients[resources] = pages.visitor(store, state, resources, multitudes.TEMPLATES)
        report.say(f"{size.rounds} rounds of {len(PAGES)} pages")

        def look(resources: int, page: str) -> float:
            client = clients[resources]
            return median(_timed(lambda: client.get(page)) for _ in range(LOOKS)) * 1000

        for client in clients.values():
            for page in PAGES:
                if (status := client.get(page).status_code) != 200:
                    raise RuntimeError(f"{page} answered {status}")
        kinds = [(resources, page) for resources in clients for page in PAGES]
        took = in_turns(
            size.rounds,
            {f"{resources} {page}": (lambda r=resources, p=page: look(r, p)) for resources, page in kinds},
        )
        least, most = size.resources[0], size.resources[-1]
        for page in PAGES:
            report.compare(
                f"the page {page} at {most:,} resources",
                "ms",
                took[f"{most} {page}"],
                took[f"{least} {page}"],
                f"at {least:,}",
                at_most=1.5,
            )
        series = {page: [median(took[f"{resources} {page}"]) for resources in size.resources] for page in PAGES}
        report.draw("fleet", "What a page costs", "resources", "ms of processor time", size.resources, series)
        report.say("what the largest fleet's pages cost beside /healthz and their SQL")
        _beside_healthz(report, stores[-1], clients[most])
        for store in stores:
            store.close()


def _beside_healthz(report: Report, store: SqlStore, client: FlaskClient) -> None:
    health, found = pages.costs(store, client, {page: page for page in ASKED_OF})
    for cost in found:
        allowed = 3 * (health + cost.sql)
        report.add(
            f"the page {cost.name}",
            "ms",
            cost.whole * 1000,
            allowed * 1000,
            "3 x (/healthz + its SQL)",
            cost.whole / allowed,
            at_most=1.0,
        )
        report.add(
            f"the page {cost.name} less its SQL",
            "ms",
            cost.ours * 1000,
            cost.bare * 1000,
            "a bare Flask page of as many rows and bytes",
            cost.ours / cost.bare,
        )
        report.add(
            f"the page {cost.name} less its SQL",
            "ms",
            cost.ours * 1000,
            health * 1000,
            "/healthz",
            cost.ours / health,
        )


def _timed(act: Callable[[], object]) -> float:
    """Seconds of this thread's own processor time, which a crowded machine stretches less than the wall's."""
    began = time.thread_time()
    act()
    return time.thread_time() - began
