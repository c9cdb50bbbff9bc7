"""What the audit of dependencies makes of what it is told."""

from tests.audit import read


def package(name, *vulns, skip=None):
    return {"name": name, "skip_reason": skip} if skip else {"name": name, "version": "1.0", "vulns": list(vulns)}


def test_a_hole_is_named_with_what_mends_it():
    verdict = read({"dependencies": [package("a"), package("b", {"id": "PYSEC-1", "fix_versions": ["1.1"]})]})
    assert verdict.holes == ("b 1.0: PYSEC-1, mended in 1.1",)
    assert verdict.lines == ["VULNERABLE: b 1.0: PYSEC-1, mended in 1.1", "audited: 2 packages, 1 known holes"]


def test_what_was_not_looked_up_is_never_taken_for_good():
    verdict = read({"dependencies": [package("a", skip="not found on PyPI"), package("b", skip="not found on PyPI")]})
    assert (verdict.audited, verdict.holes) == (0, ())
    assert verdict.lines[0] == "NOT AUDITED: 2 packages (a, b): not found on PyPI"
