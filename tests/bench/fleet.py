"""Goal 6, fleet: what a page costs that shows the worst of many resources, as these become more."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from tests.bench import multitudes, pages
from tests.bench.figures import Report, Size, in_turns
from upkeep.adapters.store import open_store

PAGES = ("/", "/?kind=environment", "/environments", "/deployments")
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
        for store in stores:
            store.close()


def _timed(act: Callable[[], object]) -> float:
    """Seconds of this thread's own processor time, which a crowded machine stretches less than the wall's."""
    began = time.thread_time()
    act()
    return time.thread_time() - began
