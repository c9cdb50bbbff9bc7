"""The page of limits says what the code does: every limit, its setting, its default."""

import dataclasses
import importlib
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.house.rooms import ROOT
from upkeep import settings, wiring
from upkeep.domain.errors import SettingsError

PAGE = ROOT / "docs" / "limits.md"
SECTIONS = ("limits", "rendering", "git", "worker")
NO_LIMIT = ("git.allow_local", "git.known_hosts_file", "worker.lease")
"""Settings of those sections that bound nothing."""


def rows(heading: str) -> Iterator[list[str]]:
    """The cells of the table below a heading."""
    section = PAGE.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    for line in section.splitlines():
        if line.startswith("| `") or (line.startswith("| ") and ":" in line and "|---" not in line):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def defaults() -> dict[str, Any]:
    """Every setting by its dotted name, as people write it."""
    found: dict[str, Any] = {}

    def collect(tree: dict[str, Any], above: str) -> None:
        for name, value in tree.items():
            if isinstance(value, dict) and value:
                collect(value, f"{above}{name}.")
            else:
                found[f"{above}{name}"] = value

    collect(settings.shown(settings.Settings()), "")
    return found


def test_every_limit_stands_on_the_page_with_its_default() -> None:
    told = {name.strip("`"): default for name, default, *_ in rows("Settings")}
    known = {name: str(value) for name, value in defaults().items()}
    assert {name: known.get(name) for name in told} == told
    wanted = {name for name in known if name.partition(".")[0] in SECTIONS and name not in NO_LIMIT}
    assert wanted - set(told) == set()


def test_the_fixed_limits_on_the_page_are_those_of_the_code() -> None:
    listed = list(rows("Fixed limits"))
    assert len(listed) > 10
    for _, value, place, *_ in listed:
        module, _, name = place.strip("`").partition(":")
        assert str(getattr(importlib.import_module(module), name)) == value, place


def test_what_a_limit_is_set_to_reaches_those_who_hold_it(tmp_path: Path) -> None:
    text = """
        limits: {request: 20KB, delivery: 30KB, requests_per_minute: 7, deliveries_per_minute: 8, bundle: 1MB,
          bundle_file: 2KB, bundle_files: 3, findings: 4, commits: 5, sources: 6, exported_rows: 9}
        git: {timeout: 7s, memory: 100MB, fetch: 2MB, known_hosts_file: known}
        worker: {concurrency: 3, at_once: {sync: 1}}
        """
    chosen = settings.read(text, "upkeep.yaml", folder=tmp_path, environ={})
    bounds = wiring.bounds(chosen.limits)
    assert (bounds.request, bounds.delivery, bounds.sources, bounds.exported_rows) == (20 << 10, 30 << 10, 6, 9)
    assert (bounds.requests.per_minute, bounds.deliveries.per_minute) == (7, 8)
    flows = chosen.limits.of_flows
    assert dataclasses.astuple(flows) == ((1 << 20, 3, 2 << 10), 4, 5, 6)
    repositories = wiring.open_repositories(chosen)
    assert (repositories.limits, repositories.timeout_for) == (flows.bundle, timedelta(seconds=7))
    assert (repositories.memory_bytes, repositories.fetch_bytes) == (100 << 20, 2 << 20)
    assert repositories.known_hosts == tmp_path / "known"
    assert {str(kind): places for kind, places in chosen.worker.at_once.items()} == {"sync": 1}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("limits: {request: 1KB}", "`limits.request` is too small"),
        ("limits: {bundle: huge}", "`huge` is not a size"),
        ("limits: {findings: 0}", "`limits.findings` is too small"),
        ("limits: {requests_per_minute: many}", "`limits.requests_per_minute` is not a whole number"),
        ("limits: {requests: 1}", "unknown setting `limits.requests`"),
        ("worker: {at_once: {sync: 0}}", "`worker.at_once.sync` is too small"),
        ("worker: {at_once: {mowing: 1}}", "cannot be `mowing`"),
        ("git: {memory: 1MB}", "`git.memory` is too small"),
        ("rendering: {at_once: 100}", "`rendering.at_once` is too large"),
        (
            "limits: {sources: 1}\nsources: [{name: a, url: 'https://h/a'}, {name: b, url: 'https://h/b'}]",
            "2 sources are named, more than `limits.sources` allows",
        ),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused_with_its_name(text: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=re.escape(fault)):
        settings.read(text, "upkeep.yaml", folder=tmp_path, environ={})
