"""One update, from the push to the notice, as those see it who watch a real daemon: log, metrics, traces."""

import json
import os
import signal
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.collector import Collector
from tests.stories.telling import children, telling
from upkeep.demo.edits import ENVIRONMENT_TEMPLATE, FLOW_LOGS
from upkeep.demo.expect import eventually
from upkeep.domain.people import Role

TOKEN = "a-long-random-text-of-this-test"
LEVELS = {"debug", "info", "warning", "error", "critical"}

Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of the story: by those who read the log, who scraped before and after a process was killed, and by
    the collector of traces."""

    log: tuple[str, ...]
    before: Mapping[str, float]
    after: Mapping[str, float]
    collector: Collector

    @property
    def lines(self) -> list[Line]:
        return [json.loads(line) for line in self.log]

    def line(self, event: str, **facts: str) -> Line:
        """The one line that says this."""
        found = [line for line in self.lines if line["event"] == event and facts.items() <= line.items()]
        assert found, f"no line says {event} {facts}"
        return found[-1]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    with Collector() as collector, telling(tmp_path_factory.mktemp("seen")) as told:
        configuration = told.stage.folder / "upkeep.yaml"
        settings = json.loads(configuration.read_text())
        settings |= {"metrics": {"token": TOKEN}, "tracing": {"endpoint": collector.url}, "log": {"level": "debug"}}
        configuration.write_text(json.dumps(settings, indent=2))
        daemon, story = told.stage.daemon, told.story
        story.open_house()
        story.await_version(ENVIRONMENT_TEMPLATE, "1.0", "draft")
        daemon.run("version", "publish", ENVIRONMENT_TEMPLATE, "1.0")
        spec = str(told.stage.specs / "test.yaml")
        made = ("--template", ENVIRONMENT_TEMPLATE, "--spec", spec, "--owner", "platform", "--wait")
        daemon.run("environment", "create", "test", *made)
        story.push_change(FLOW_LOGS)
        story.publish(FLOW_LOGS, shows=("AWS::EC2::FlowLog",))
        story.update_in_browser("environment/test", Role.ADMIN)
        before = scraped(daemon.address)
        kill_one_of_the_web(daemon.process.pid if daemon.process else 0)
        after = eventually("another process to answer", lambda: scraped(daemon.address), lambda found: found != before)
        daemon.stop()
        log = tuple(daemon.log.read_text().splitlines())
        yield Seen(log, before, after, collector)


def scraped(address: str) -> dict[str, float]:
    asked = urllib.request.Request(f"{address}/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(asked, timeout=20) as answer:
        text = answer.read().decode()
    return {
        sample.name + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def kill_one_of_the_web(serve: int) -> None:
    """Kill a process that serves, for good, and wait until it is gone."""
    masters = [pid for pid in children(serve) if children(pid)]
    killed = children(masters[0])[0]
    os.kill(killed, signal.SIGKILL)
    eventually("its end", lambda: killed in children(masters[0]), lambda there: not there)


def test_every_line_is_an_object_with_the_same_first_facts(seen: Seen) -> None:
    for line in seen.lines:
        assert {"event", "level", "timestamp"} <= line.keys(), line
        assert line["level"] in LEVELS
    assert {"gunicorn.access", "gunicorn.error"} <= {line.get("logger") for line in seen.lines}
    assert TOKEN not in "\n".join(seen.log)


def test_a_push_can_be_followed_by_its_delivery(seen: Seen) -> None:
    taken = [line for line in seen.lines if line.get("path") == "/hooks/github"]
    delivery = taken[-1]["delivery"]
    assert taken[-1].keys() >= {"request_id", "trace", "status", "method", "milliseconds"}
    registered = seen.line("version_registered", version="1.1", delivery=delivery)
    assert registered["source"] == "templates"
    assert registered["template"] == ENVIRONMENT_TEMPLATE
    assert registered["work"] == "sync"
    assert seen.line("worked", work="sync", delivery=delivery)["source"] == "templates"


def test_lines_of_each_step_say_what_they_are_about(seen: Seen) -> None:
    assert seen.line("worked", work="preview")["version"] in ("1.0", "1.1")
    published = seen.line("version_published", version="1.1")
    assert (published["template"], published["actor"], published["via"]) == (ENVIRONMENT_TEMPLATE, "admin", "web")
    assert published["request_id"]
    asked = seen.line("deployment_asked", resource="environment/test")
    settled = seen.line("deployment_settled", deployment=asked["deployment"])
    assert (settled["resource"], settled["version"], settled["status"]) == ("environment/test", "1.1", "SUCCEEDED")
    assert settled["took"] >= 0
    worked = seen.line("worked", work="deploy", deployment=asked["deployment"])
    assert (worked["resource"], worked["version"]) == ("environment/test", "1.1")
    assert seen.line("worked", work="relay")["channel"] == "console"


def test_the_metrics_tell_of_web_and_worker_together(seen: Seen) -> None:
    before = seen.before
    count = "upkeep_http_request_duration_seconds_count"
    assert before[f"{count} method=POST route=/hooks/github status=202"] == 1
    assert before["upkeep_deliveries_total outcome=received"] == 1
    assert before["upkeep_events_total kind=version_registered"] == 3
    assert before["upkeep_events_total kind=version_published"] == 1
    assert before["upkeep_deployment_duration_seconds_count status=SUCCEEDED"] == 2
    assert before["upkeep_work_duration_seconds_count kind=sync outcome=ok"] >= 2
    assert before["upkeep_git_command_duration_seconds_count command=fetch outcome=ok"] >= 1
    assert before["upkeep_render_duration_seconds_count outcome=ok what=render"] >= 1
    assert before["upkeep_notice_duration_seconds_count channel=console outcome=ok"] >= 1
    assert before["upkeep_resources standing=up_to_date"] == 1
    assert before["upkeep_drafts"] == 1


def test_a_killed_process_leaves_its_counts_and_takes_its_present_with_it(seen: Seen) -> None:
    hooks = "upkeep_http_request_duration_seconds_count method=POST route=/hooks/github status=202"
    assert seen.after[hooks] == seen.before[hooks]
    assert seen.after["upkeep_http_requests_in_progress"] == 1


def test_a_request_and_a_piece_of_work_are_traces_of_what_was_done_for_them(seen: Seen) -> None:
    collector = seen.collector
    assert not collector.complaints
    assert {span.service for span in collector.spans} == {"upkeep"}
    (taken,) = collector.named("POST /hooks/github")
    assert (taken.kind, taken.attributes["http.response.status_code"], taken.parent) == (2, 202, "")
    assert "sql INSERT" in collector.below(taken)
    line = next(line for line in seen.lines if line.get("trace") == taken.trace)
    assert line["delivery"] == taken.attributes["upkeep.delivery"]
    synced = next(
        span for span in collector.named("work sync") if span.attributes.get("upkeep.delivery") == line["delivery"]
    )
    assert {"git fetch", "render check"} <= collector.below(synced)
    assert "version_registered" in synced.events
    deployed = next(span for span in collector.named("work deploy") if "deployment_settled" in span.events)
    assert deployed.attributes["upkeep.resource"] == "environment/test"
    assert "notice console" in {name for span in collector.named("work relay") for name in collector.below(span)}
    assert not [
        span for span in collector.spans if span.parent == "" and not span.name.startswith(("work ", "GET ", "POST "))
    ]


def test_statements_are_traced_without_their_values(seen: Seen) -> None:
    texts = [span.attributes["db.query.text"] for span in seen.collector.spans if span.name.startswith("sql ")]
    assert texts
    assert not [text for text in texts if "environment/test" in text or TOKEN in text]
