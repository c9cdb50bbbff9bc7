"""What is told to Prometheus, and to whom."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.builders import a_source
from tests.web.test_hooks import signature
from upkeep import watch
from upkeep.adapters.metrics import CONTENT_TYPE, KEPT_FOR, Build, Metrics, Readings, listen
from upkeep.chronicle import ChronicledStore
from upkeep.domain.errors import TransientError
from upkeep.domain.gauges import Backlog, Gauges, Scrapers
from upkeep.domain.people import DAEMON
from upkeep.domain.resources import Counters
from upkeep.flows import follow
from upkeep.web.app import create_app
from upkeep.web.metrics import MetricsPage

NOTHING = Gauges(
    resources=Counters(0, 0, 0, 0, 0),
    behind={},
    drafts=Backlog(0),
    work={},
    outbox={},
    deployments=Backlog(0),
    stalled_deployments=Backlog(0),
    sources=0,
    stalled_sources=0,
    failing_sources=0,
    heard_at=None,
)


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    counting = Metrics()
    with watch.watching(counting):
        yield counting


@pytest.fixture
def served(rooms, metrics):
    """The application with metrics that everybody may read who comes from this host."""

    def read(now):
        with rooms.store.read() as unit:
            return unit.gauges.read(now)

    readings = Readings(Build("1", "2", "sqlite"), read, rooms.clock)
    page = MetricsPage(Scrapers((ip_network("127.0.0.0/8"),)), lambda: metrics.page(readings), CONTENT_TYPE)
    return create_app(replace(rooms, store=ChronicledStore(rooms.store), metrics=page))


def samples(text: str) -> dict[str, float]:
    """Every sample by its name and labels, written as in PromQL."""
    return {
        sample.name + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(served) -> dict[str, float]:
    answer = served.test_client().get("/metrics")
    assert (answer.status_code, answer.content_type) == (200, CONTENT_TYPE)
    return samples(answer.text)


@pytest.mark.parametrize(
    ("address", "authorization", "admitted"),
    [
        ("10.1.2.3", "", True),
        ("::ffff:10.1.2.3", "", True),
        ("192.0.2.1", "", False),
        ("192.0.2.1", "Bearer right", True),
        ("192.0.2.1", "Bearer wrong", False),
        ("192.0.2.1", "Bearer ", False),
        ("192.0.2.1", "Bearer \udcff", False),
        ("", "", False),
    ],
)
def test_networks_and_the_token_admit_readers(address, authorization, admitted):
    scrapers = Scrapers((ip_network("10.0.0.0/8"),), "right")
    assert scrapers.admit(address, authorization) is admitted
    assert "right" not in repr(scrapers)


def test_without_readers_nobody_is_admitted():
    assert not Scrapers().admit("127.0.0.1", "Bearer ")


def test_a_stranger_is_refused_and_told_what_to_do(served):
    answer = served.test_client().get(
        "/metrics", environ_base={"REMOTE_ADDR": "192.0.2.1"}, headers={"Accept": "application/json"}
    )
    assert answer.status_code == 403
    assert "metrics: networks" in answer.json["cure"]


def test_requests_are_counted_by_their_route_and_never_by_what_stands_in_it(served):
    client = served.test_client()
    for name in ("one", "two"):
        client.get(f"/templates/{name}")
    client.get("/nowhere")
    client.open("/healthz", method="BREW")
    found = scraped(served)
    count = "upkeep_http_request_duration_seconds_count"
    assert found[f"{count} method=GET route=/templates/<name> status=303"] == 2
    assert found[f"{count} method=GET route=none status=404"] == 1
    assert found[f"{count} method=other route=none status=405"] == 1
    assert found["upkeep_http_requests_in_progress"] == 1
    assert not [name for name in found if "nowhere" in name or "BREW" in name]


@pytest.mark.usefixtures("furnished")
def test_deliveries_events_and_rows_are_told(served, clock):
    client = served.test_client()
    body = b"{}"
    headers = {"X-GitHub-Delivery": "d1", "X-GitHub-Event": "ping", "Content-Type": "application/json"}
    client.post("/hooks/github", data=body, headers=headers | {"X-Hub-Signature-256": signature(body)})
    client.post("/hooks/github", data=body, headers=headers | {"X-Hub-Signature-256": f"sha256={'0' * 64}"})
    clock.advance(timedelta(hours=1))
    found = scraped(served)
    assert found["upkeep_deliveries_total outcome=ignored"] == 1
    assert found["upkeep_deliveries_total outcome=refused"] == 1
    assert found["upkeep_build_info database=sqlite schema=2 version=1"] == 1
    assert found["upkeep_database_up"] == 1
    assert found["upkeep_resources_behind kind=environment"] > 0
    assert found["upkeep_drafts"] > 0
    assert found["upkeep_drafts_oldest_age_seconds"] >= 3600
    assert found["upkeep_deployments_in_progress"] > 0


def test_events_of_the_journal_are_counted_once_they_are_committed(served, metrics, now):
    store = served.extensions["upkeep"].store
    with pytest.raises(RuntimeError), store.write() as unit:
        follow.add(unit, a_source(), actor=DAEMON, now=now)
        raise RuntimeError("killed")
    assert "upkeep_events_total kind=source_added" not in scraped(served)
    with store.write() as unit:
        follow.add(unit, a_source(), actor=DAEMON, now=now)
    assert scraped(served)["upkeep_events_total kind=source_added"] == 1


def test_rows_that_cannot_be_read_leave_the_counters_and_say_so(rooms, metrics):
    def read(now):
        raise TransientError("the database is away")

    page = metrics.page(Readings(Build("1", "2", "sqlite"), read, rooms.clock))
    found = samples(page.decode())
    assert found["upkeep_database_up"] == 0
    assert "upkeep_drafts" not in found


def test_a_database_that_kept_us_waiting_is_told_of_as_soon_as_it_answers(metrics, clock, monkeypatch):
    seconds = [100.0]
    monkeypatch.setattr("upkeep.adapters.metrics.time", SimpleNamespace(monotonic=lambda: seconds[0]))
    answers = iter((TransientError("the database is away"), NOTHING, NOTHING))

    def read(now):
        seconds[0] += 20
        match next(answers):
            case TransientError() as failure:
                raise failure
            case gauges:
                return gauges

    readings = Readings(Build("1", "2", "postgresql"), read, clock)

    def up_after(wait: float) -> float:
        seconds[0] += wait
        return samples(metrics.page(readings).decode())["upkeep_database_up"]

    assert [up_after(0), up_after(KEPT_FOR - 1), up_after(1)] == [0, 0, 1]
    # What takes long to read, in turn, is not read again soon.
    asked = seconds[0]
    assert (up_after(300), seconds[0]) == (1, asked + 300)


def test_a_reader_that_cannot_be_answered_is_a_line_of_the_log(capfd, caplog):
    caplog.set_level("DEBUG", "upkeep.adapters.metrics")

    def page() -> bytes:
        raise RuntimeError("a bug")

    server = listen("127.0.0.1", 0, Scrapers((ip_network("127.0.0.0/8"),)), page)
    try:
        with socket.create_connection(server.server_address[:2]) as reader:
            reader.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert reader.recv(9) == b""
    finally:
        server.shutdown()
        server.server_close()
    (told,) = [line for line in caplog.records if line.message == "a reader was not answered"]
    assert (told.levelname, "a bug" in told.exc_text) == ("ERROR", True)
    assert capfd.readouterr().err == ""
