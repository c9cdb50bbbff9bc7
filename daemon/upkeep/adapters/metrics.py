"""Metrics, as Prometheus reads them: the only module that knows its client.

In several processes that serve as one (`upkeep serve`, `upkeep web`) each writes its own numbers into files of one
folder, and whichever is asked adds them up: https://prometheus.github.io/client_python/multiprocess/. The folder must
be named in the environment before this module is imported. The files are named by the place that a process has, and
not by its number as the client would: who takes the place of one that has died counts on in its files, so that a place
has no more of them however often that happens. What rows can tell is read from them when somebody asks, so that no
process has to remember it.
"""

import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from upkeep.domain.deliveries import DeliveryStatus
from upkeep.domain.errors import UpkeepError
from upkeep.domain.gauges import Backlog, Gauges, Scrapers
from upkeep.domain.work import WorkKind
from upkeep.watch import Stretch

logger = logging.getLogger(__name__)

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE: str = CONTENT_TYPE_PLAIN_0_0_4

KEPT_FOR = 5.0
"""Seconds for which numbers from rows are told again without reading; longer where reading takes long."""

_SHARE = 0.05
"""The share of the time that reading rows may take at most, however often somebody asks."""

_QUICK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_SLOW = (0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0)
_LONG = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)


class Metrics:
    """Implements `upkeep.watch.Watcher`. Labels are of short lists only: routes, kinds, outcomes, channels."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._events = Counter("upkeep_events_total", "Events in the journal.", ["kind"], registry=registry)
        self._deliveries = Counter(
            "upkeep_deliveries_total", "Webhook deliveries, by what became of them.", ["outcome"], registry=registry
        )
        self._in_progress = Gauge(
            "upkeep_http_requests_in_progress",
            "Requests that are being answered.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._deployment = Histogram(
            "upkeep_deployment_duration_seconds",
            "From the asking for a deployment to its end.",
            ["status"],
            buckets=_LONG,
            registry=registry,
        )
        self._timed = {
            "request": _timed(registry, "http_request", "Requests that were answered.", "route", _QUICK),
            "work": _timed(registry, "work", "Pieces of work of the worker, by kind.", "kind", _SLOW),
            "git": _timed(registry, "git_command", "Commands of git.", "command", _SLOW),
            "render": _timed(registry, "render", "Templates that were checked or rendered.", "what", _QUICK),
            "aws": _timed(registry, "aws_call", "Calls of AWS.", "operation", _QUICK),
            "notice": _timed(registry, "notice", "Notices given to a channel.", "channel", _QUICK),
        }
        # There from the start: of what appears with its first count, no increase is seen.
        for outcome in (*DeliveryStatus, "refused"):
            self._deliveries.labels(outcome)
        for kind in WorkKind:
            self._timed["work"].labels(kind, "bug")

    def begun(self, stretch: Stretch) -> Callable[[], None] | None:
        """See `upkeep.watch.Watcher`."""
        histogram = self._timed.get(stretch.kind)
        if histogram is None:
            return None
        request = stretch.kind == "request"
        if request:
            self._in_progress.inc()

        def ended() -> None:
            if request:
                self._in_progress.dec()
                method, _, route = stretch.name.partition(" ")
                histogram.labels(route, method, stretch.outcome).observe(stretch.seconds)
            else:
                histogram.labels(stretch.name, stretch.outcome).observe(stretch.seconds)

        return ended

    def happened(self, what: str, name: str, seconds: float | None) -> None:
        """See `upkeep.watch.Watcher`."""
        if what == "event":
            self._events.labels(name).inc()
        elif what == "delivery":
            self._deliveries.labels(name).inc()
        elif what == "deployment" and seconds is not None:
            self._deployment.labels(name).observe(seconds)

    def page(self, readings: "Readings | None" = None) -> bytes:
        """Everything, as text: of all processes that share a folder, else of this one; and what rows say, if given."""
        registry = CollectorRegistry()
        if FOLDER_VARIABLE in os.environ:
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        else:
            registry.register(self._registry)
        if readings is not None:
            registry.register(readings)
        return generate_latest(registry)


def _timed(registry: CollectorRegistry, what: str, told: str, label: str, buckets: tuple[float, ...]) -> Histogram:
    labels = ["route", "method", "status"] if label == "route" else [label, "outcome"]
    return Histogram(f"upkeep_{what}_duration_seconds", told, labels, buckets=buckets, registry=registry)


@dataclass(frozen=True, slots=True)
class Build:
    """What runs here: the version of the program and of its tables, and the kind of its database."""

    version: str
    schema: str
    database: str


class Readings(Collector):
    """Numbers from rows, read when somebody asks and told again for a while."""

    def __init__(self, build: Build, read: Callable[[datetime], Gauges], clock: Callable[[], datetime]) -> None:
        self._build = build
        self._read = read
        self._clock = clock
        self._lock = threading.Lock()
        self._until = 0.0
        self._last: Gauges | None = None

    def collect(self) -> Iterator[Metric]:
        """See `prometheus_client.registry.Collector`."""
        build = {"version": self._build.version, "schema": self._build.schema, "database": self._build.database}
        yield _gauge("upkeep_build_info", "What runs here; always 1.", {tuple(build.items()): 1})
        gauges = self._fresh()
        yield _gauge("upkeep_database_up", "Whether rows could be read, 1 or 0.", {(): int(gauges is not None)})
        if gauges is not None:
            yield from _told(gauges, self._clock())

    def _fresh(self) -> Gauges | None:
        with self._lock:
            began = time.monotonic()
            if began >= self._until:
                try:
                    self._last = self._read(self._clock())
                except UpkeepError as failure:
                    logger.warning("the metrics come without numbers from rows: %s", failure)
                    self._last = None
                    # It was waited for, not read: that it answers again shall be told soon.
                    self._until = time.monotonic() + KEPT_FOR
                else:
                    took = time.monotonic() - began
                    self._until = began + max(KEPT_FOR, took / _SHARE)
            return self._last


Labels = tuple[tuple[str, str], ...]


def _gauge(name: str, told: str, values: Mapping[Labels, float]) -> Metric:
    family = GaugeMetricFamily(name, told)
    for labels, value in values.items():
        family.add_sample(name, dict(labels), value)
    return family


def _told(gauges: Gauges, now: datetime) -> Iterator[Metric]:
    def age(backlog: Backlog) -> float:
        return 0.0 if backlog.since is None else max(0.0, (now - backlog.since).total_seconds())

    counted = gauges.resources
    standings = ("undeployed", "up_to_date", "behind_minor", "behind_major", "ahead")
    yield _gauge(
        "upkeep_resources",
        "Resources, by where they stand towards the recommended version.",
        {(("standing", name),): getattr(counted, name) for name in standings},
    )
    yield _gauge("upkeep_resources_failed", "Resources whose last deployment failed.", {(): counted.failed})
    behind: dict[Labels, Backlog] = {(("kind", kind.value),): found for kind, found in gauges.behind.items()}
    yield _gauge("upkeep_resources_behind", "Resources that are behind.", _counts(behind))
    yield _gauge(
        "upkeep_resources_behind_oldest_age_seconds",
        "For how long the resource that fell behind first has been.",
        {labels: age(found) for labels, found in behind.items()},
    )
    yield _gauge("upkeep_drafts", "Versions that wait for a review.", {(): gauges.drafts.count})
    yield _gauge("upkeep_drafts_oldest_age_seconds", "The age of the oldest of them.", {(): age(gauges.drafts)})
    work: dict[Labels, Backlog] = {
        (("kind", kind.value), ("state", state.value)): found for (kind, state), found in gauges.work.items()
    }
    yield _gauge(
        "upkeep_work",
        "Pieces of work: due now, running, due later, or set aside until a person asks for them again.",
        _counts(work),
    )
    yield _gauge(
        "upkeep_work_due_oldest_age_seconds",
        "For how long the work of a kind that waits longest has been due.",
        {(labels[0],): age(found) for labels, found in work.items() if labels[1] == ("state", "due")},
    )
    outbox: dict[Labels, Backlog] = {(("channel", channel),): found for channel, found in gauges.outbox.items()}
    yield _gauge("upkeep_notices_owed", "Notices that a channel was not given yet.", _counts(outbox))
    yield _gauge(
        "upkeep_notices_owed_oldest_age_seconds",
        "The age of the oldest of them.",
        {labels: age(found) for labels, found in outbox.items()},
    )
    yield _gauge("upkeep_deployments_in_progress", "Deployments under way.", {(): gauges.deployments.count})
    yield _gauge(
        "upkeep_deployments_in_progress_oldest_age_seconds",
        "For how long the oldest of them has been asked for.",
        {(): age(gauges.deployments)},
    )
    yield _gauge(
        "upkeep_deployments_stalled", "Deployments that wait for a person.", {(): gauges.stalled_deployments.count}
    )
    yield _gauge("upkeep_sources", "Sources that are followed.", {(): gauges.sources})
    yield _gauge("upkeep_sources_stalled", "Sources that wait for a person.", {(): gauges.stalled_sources})
    yield _gauge("upkeep_sources_failing", "Sources that fail and are tried again.", {(): gauges.failing_sources})
    yield _gauge(
        "upkeep_sources_oldest_check_age_seconds",
        "Since when the source heard from longest ago has been silent, without those that are stalled or failing.",
        {(): age(Backlog(0, gauges.heard_at))},
    )


def _counts(backlogs: Mapping[Labels, Backlog]) -> Mapping[Labels, float]:
    return {labels: backlog.count for labels, backlog in backlogs.items()}


def count_as(place: str) -> None:
    """Let this process count in the files of a place that no other one has. To be called before it begins to."""
    values.ValueClass = values.MultiProcessValue(lambda: place)  # type: ignore[no-untyped-call]


def forget_place(place: str) -> None:
    """Take back what a process that has ended said of its present; what it counted stays."""
    mark_process_dead(place)  # type: ignore[no-untyped-call]


def forget_all(folder: Path) -> None:
    """The same of every process that said something in the folder: none of those that serve now has begun yet."""
    for said in folder.glob("gauge_live*.db"):
        with suppress(FileNotFoundError):
            said.unlink()


def listen(host: str, port: int, scrapers: Scrapers, page: Callable[[], bytes]) -> ThreadingHTTPServer:
    """Answer scrapers with the page, in threads of this process, until the server is shut down. OSError when the
    address cannot be had."""

    class Answer(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(404)
            elif not scrapers.admit(self.client_address[0], self.headers.get("Authorization", "")):
                self.send_error(403)
            else:
                body = page()
                self.send_response(200)
                self.send_header("Content-Type", CONTENT_TYPE)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, form: str, *values: object) -> None:
            logger.debug(form, *values)

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            # The library's own prints a trace of many lines.
            gone = isinstance(sys.exception(), ConnectionError | TimeoutError)
            logger.log(logging.DEBUG if gone else logging.ERROR, "a reader was not answered", exc_info=True)

    server = Server((host, port), Answer)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
