"""What is said of the metrics, and what is made of them, against what a scrape really gives."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.house.rooms import ROOT
from upkeep import watch
from upkeep.adapters.metrics import Build, Metrics, Readings
from upkeep.domain.documents import load
from upkeep.domain.gauges import Backlog, Gauges, WorkState
from upkeep.domain.names import ResourceKind
from upkeep.domain.resources import Counters
from upkeep.domain.work import WorkKind

FOLDER = ROOT / "deploy" / "monitoring"
GUIDE = (ROOT / "docs" / "observing.md").read_text(encoding="utf-8")
ALERTS = FOLDER / "alerts.yaml"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAMED = re.compile(r"\bupkeep_[a-z_]+\b")


@pytest.fixture(scope="module")
def scrape() -> dict[str, tuple[str, frozenset[str], str]]:
    """Every metric there is, once something of everything has happened: its type, labels and meaning."""
    metrics = Metrics()
    waiting = Backlog(1, NOW)
    gauges = Gauges(
        resources=Counters(1, 1, 0, 0, 0),
        behind={ResourceKind.ENVIRONMENT: waiting},
        drafts=waiting,
        work={(WorkKind.SYNC, WorkState.DUE): waiting},
        outbox={"console": waiting},
        deployments=waiting,
        stalled_deployments=waiting,
        sources=1,
        stalled_sources=0,
        failing_sources=0,
        heard_at=NOW,
    )
    with watch.watching(metrics):
        for kind in ("work", "git", "render", "aws", "notice"):
            with watch.stretch(kind, "something"):
                pass
        with watch.stretch("request", "GET /"):
            pass
        watch.happened("event", "version_published")
        watch.happened("delivery", "received")
        watch.happened("deployment", "SUCCEEDED", 1)
    page = metrics.page(Readings(Build("1", "1", "sqlite"), lambda _: gauges, lambda: NOW)).decode()
    found = {}
    for family in text_string_to_metric_families(page):
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        name = f"{family.name}_total" if family.type == "counter" else family.name
        if not name.endswith("_created"):
            found[name] = (family.type, frozenset(labels), family.documentation)
    return found


def promql() -> Iterator[str]:
    """Every expression of the rules and of the dashboard, without Grafana's variables."""
    for group in load(ALERTS.read_text(encoding="utf-8"), str(ALERTS)).value["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    for target in drawn():
        yield target["expr"].replace("$__rate_interval", "5m").replace("$job", "upkeep")


def drawn() -> list[dict[str, Any]]:
    """What the panels and annotations of the dashboard ask for."""
    dashboard = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
    panels = [target for panel in dashboard["panels"] for target in panel.get("targets", ())]
    return [*panels, *dashboard["annotations"]["list"]]


def test_the_guide_has_every_metric_as_it_is(scrape):
    rows = re.findall(r"^\| `(upkeep_[a-z_]+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|$", GUIDE, re.MULTILINE)
    told = {
        name: (kind, frozenset(re.findall(r"`(\w+)`", labels)), meaning.strip()) for name, kind, labels, meaning in rows
    }
    assert told == scrape


def test_rules_and_dashboard_name_only_what_there_is(scrape):
    parts = {
        f"{name}{part}"
        for name, (kind, _, _) in scrape.items()
        if kind == "histogram"
        for part in ("_bucket", "_count", "_sum")
    }
    named = {name for expression in promql() for name in NAMED.findall(expression)}
    assert named - scrape.keys() - parts == set()
    of = {
        f"{name}{part}": labels for name, (_, labels, _) in scrape.items() for part in ("", "_bucket", "_count", "_sum")
    }
    for expression in promql():
        for name, selector in re.findall(r"(upkeep_[a-z_]+)\{([^}]*)\}", expression):
            assert set(re.findall(r"(\w+)(?:=~|!=|!~|=)\"", selector)) <= of[name] | {"job"}, expression
        there = {"job", "le"}.union(*(of[name] for name in NAMED.findall(expression)))
        for grouped in re.findall(r"\b(?:by|without|on) \(([^)]*)\)", expression):
            assert set(grouped.split(", ")) <= there, expression


def test_what_is_written_beside_a_line_of_the_dashboard_is_known_of_it():
    for target in drawn():
        written = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
        assert written <= set(re.split(r"[ ,]+", " ".join(re.findall(r"\bby \(([^)]*)\)", target["expr"]))))


def test_every_metric_is_drawn_or_alerted_of(scrape):
    everything = " ".join(promql()) + (FOLDER / "dashboard.json").read_text(encoding="utf-8")
    assert [name for name in scrape if name not in everything] == []


def test_every_rule_says_what_to_do_is_tried_and_stands_in_the_guide():
    tried = (FOLDER / "alerts.test.yaml").read_text(encoding="utf-8")
    for rule in load(ALERTS.read_text(encoding="utf-8"), str(ALERTS)).value["groups"][0]["rules"]:
        name = rule["alert"]
        assert rule["annotations"].keys() == {"summary", "runbook"}
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert 'alertstate="firing", job="upkeep"' in tried
        assert re.search(rf'labels: .ALERTS\{{alertname="{name}"', tried), f"{name} never fires in its test"
        assert f"| `{name}` |" in GUIDE, f"docs/observing.md says nothing of {name}"


def test_prometheus_takes_the_rules_and_they_fire_when_they_should(tmp_path: Path):
    promtool = shutil.which("promtool")
    if promtool is None:
        missing = "promtool is not here (on Debian: apt install prometheus)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    drawn = tmp_path / "drawn.yaml"
    rules = [{"record": f"drawn:{number}", "expr": text} for number, text in enumerate(promql())]
    drawn.write_text(json.dumps({"groups": [{"name": "drawn", "rules": rules}]}))
    for arguments in (
        ["check", "rules", str(ALERTS), str(drawn)],
        ["test", "rules", str(FOLDER / "alerts.test.yaml")],
        ["check", "config", "--syntax-only", str(FOLDER / "prometheus.yaml")],
    ):
        ran = subprocess.run([promtool, *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_guide_has_every_key_that_lines_are_bound_to():
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "daemon").rglob("*.py"))
    keys = {"event", "level", "timestamp", "logger", "exception", "work"}
    keys |= {key for block in re.findall(r"watch\.about\((.*?)\)", code) for key in re.findall(r"(\w+)=", block)}
    keys |= {"request_id", "trace", "delivery", "source", "template", "plan", "deployment", "channel", "rollout"}
    assert [key for key in sorted(keys) if not re.search(rf"^\| `{key}`", GUIDE, re.MULTILINE)] == []
