"""Traces by OpenTelemetry, sent by OTLP over HTTP: the only module that knows its SDK, imported when it is wanted.

What is not said here stands in the SDK's own variables, such as OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER and
OTEL_RESOURCE_ATTRIBUTES: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

from upkeep.watch import OK, Stretch

_KINDS = {"request": SpanKind.SERVER, "work": SpanKind.CONSUMER, "aws": SpanKind.CLIENT, "notice": SpanKind.CLIENT}
_ROOTS = ("request", "work")
"""What begins a trace. Else, what is done for nobody in particular, such as looking for work, would fill it."""

_UNTOLD = frozenset({"GET /healthz", "GET /readyz", "GET /metrics", "GET /static/<path:filename>"})

_PATIENCE = 2.0
"""Seconds for which an end waits until the last spans are taken."""


class Traces:
    """Implements `upkeep.watch.Watcher`."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def begun(self, stretch: Stretch) -> Callable[[], None] | None:
        """See `upkeep.watch.Watcher`. The trace's id stands in the lines of the log as `trace`."""
        if stretch.within is None and (stretch.kind not in _ROOTS or stretch.name in _UNTOLD):
            return None
        if stretch.within is not None and not trace.get_current_span().get_span_context().is_valid:
            return None
        span = self._tracer.start_span(_called(stretch), kind=_KINDS.get(stretch.kind, SpanKind.INTERNAL))
        token = context.attach(trace.set_span_in_context(span))
        if stretch.within is None:
            stretch.about["trace"] = trace.format_trace_id(span.get_span_context().trace_id)

        def ended() -> None:
            span.set_attributes({f"upkeep.{name}": value for name, value in stretch.about.items() if name != "trace"})
            span.set_attributes(_conventional(stretch))
            if stretch.error is not None or stretch.outcome[:1] == "5":
                # Without its words: who reads traces need not be who reads logs.
                kind = type(stretch.error).__name__ if stretch.error is not None else stretch.outcome
                span.set_attribute("error.type", kind)
                span.set_status(Status(StatusCode.ERROR))
            span.end()
            context.detach(token)

        return ended

    def happened(self, what: str, name: str, seconds: float | None) -> None:
        """See `upkeep.watch.Watcher`."""
        if what == "event":
            trace.get_current_span().add_event(name)


def _called(stretch: Stretch) -> str:
    if stretch.kind == "request":
        return stretch.name
    return f"{stretch.kind} {stretch.name.split(None, 1)[0]}"


def _conventional(stretch: Stretch) -> dict[str, str | int]:
    """Attributes by the names that are usual: https://opentelemetry.io/docs/specs/semconv/."""
    if stretch.kind == "request":
        method, _, route = stretch.name.partition(" ")
        status = {"http.response.status_code": int(stretch.outcome)} if stretch.outcome.isdigit() else {}
        return {"http.request.method": method, "http.route": route, **status}
    if stretch.kind == "sql":
        return {"db.query.text": stretch.name}
    return {"upkeep.outcome": stretch.outcome} if stretch.outcome != OK else {}


@contextmanager
def tracing(endpoint: str, version: str) -> Iterator[Traces]:
    """Traces to the collector at an address, until the block ends. To be begun in the process that traces: the thread
    that sends does not survive a fork."""
    named = {"service.name": "upkeep", "service.version": version, "host.name": socket.gethostname()}
    # What the environment says of this process goes before what we would say.
    resource = Resource.create(named).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", timeout=_PATIENCE)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield Traces(provider.get_tracer("upkeep", version))
    finally:
        # The SDK waits for each batch that is left, and longer than whoever ends us: a collector may hang.
        ending = threading.Thread(target=provider.shutdown, name="last spans", daemon=True)
        ending.start()
        ending.join(_PATIENCE)
