"""The pages that lead to what is shipped."""

import re

import pytest

from tests.deploy.shipped import DEPLOY
from tests.environments import ROOT

LEFT_OUT = ("README.md", ".gitignore")
SHIPPED = [each for each in sorted(DEPLOY.rglob("*")) if each.is_file() and each.name not in LEFT_OUT]


@pytest.mark.parametrize("page", ["deploy/README.md", "docs/aws.md", "README.md"])
def test_a_page_leads_to_files_that_are_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    linked = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if not link.startswith("http")]
    assert [link for link in linked if not (ROOT / page).parent.joinpath(link).exists()] == []


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.relative_to(DEPLOY).as_posix())
def test_every_file_that_is_shipped_says_why_and_is_small(path):
    text = path.read_text(encoding="utf-8")
    # A dashboard is drawn by Grafana, and every rule for Prometheus has a case in which it fires.
    assert len(text.splitlines()) <= 150 or path.parent.name == "monitoring"
    if path.suffix != ".json":
        assert "#" in text or "<!--" in text
