"""The page on security claims nothing that no test shows, and our own code is excused from no rule without a reason."""

import re
import tomllib

from tests.house.rooms import ROOT

PAGE = ROOT / "docs" / "security.md"
_EXCEPTION = re.compile(r"# noqa: [A-Z0-9, ]*\bS\d{3}\b(?P<why>.*)")


def test_every_test_that_the_page_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE.read_text(encoding="utf-8"))
    assert len(named) > 60
    missing = [
        f"{file}::{name}" for file, name in named if f"def {name}(" not in (ROOT / file).read_text(encoding="utf-8")
    ]
    assert missing == []


def test_every_claim_names_a_test() -> None:
    entrances = PAGE.read_text(encoding="utf-8").partition("## Entrances")[2].partition("\n## ")[0]
    claims = [line for line in entrances.splitlines() if line.startswith("| ") and not line.startswith("| what could")]
    assert len(claims) > 40
    assert [claim for claim in claims if "`tests/" not in claim] == []


def test_every_exception_from_a_security_rule_says_why() -> None:
    unexplained = [
        f"{file.relative_to(ROOT)}:{number}"
        for file in (ROOT / "daemon").rglob("*.py")
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if (found := _EXCEPTION.search(line)) and not re.search(r"\(.{8,}\)", found["why"])
    ]
    assert unexplained == []
    rules = tomllib.loads((ROOT / "ruff.toml").read_text(encoding="utf-8"))["lint"]
    assert "S" in rules["select"]
    assert {rule for rule in rules["ignore"] if rule.startswith("S")} == {"S101"}
    assert all(not path.startswith("daemon") for path in rules["per-file-ignores"])
