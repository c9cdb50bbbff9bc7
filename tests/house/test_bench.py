"""What the bench makes of its figures; the figures themselves are no test."""

import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from xml.etree import ElementTree

from tests.bench import documents
from tests.bench.__main__ import PARTS
from tests.bench.figures import Report, as_json, from_json, in_turns
from tests.bench.processes import HIDDEN

DOCUMENT = """# Performance

<!-- measured: table -->
what an earlier run has said
<!-- end -->
Prose stays.
<!-- measured: push -->
<!-- end -->
"""


def measured() -> Report:
    report = Report("2 Push to draft")
    report.compare("a push", "ms", [30.0, 90.0, 33.0], [20.0, 30.0, 30.0], "git | alone", at_most=1.5)
    report.compare("pushes", "1/s", [50.0], [100.0], "bare", at_least=1.0)
    report.add("memory", "MB", 180.0, at_most=200.0)
    report.missing("a peer", "it is not installed")
    report.draw("push", "Pushes & more", "templates", "ms", [10, 100], {"ours": [3.0, 4.5], "git": [2.0, None]})
    return report


def test_a_ratio_is_the_median_of_the_rounds_own_ratios_and_met_is_told_by_its_bound() -> None:
    slower, fewer, small, missing = measured().rows
    assert (slower.ours, slower.floor, slower.ratio, slower.met) == (33.0, 30.0, 1.5, True)
    assert (fewer.ratio, fewer.met) == (0.5, False)
    assert (small.ratio, small.met) == (None, True)
    assert (missing.ours, missing.met) == (None, None)


def test_rounds_take_turns() -> None:
    asked: list[str] = []

    def note(name: str) -> float:
        asked.append(name)
        return 0.0

    in_turns(2, {"ours": lambda: note("ours"), "floor": lambda: note("floor")})
    assert asked == ["ours", "floor", "floor", "ours"]


def test_figures_survive_being_kept_as_json() -> None:
    report = measured()
    assert from_json(as_json(report.rows, report.curves)) == (report.rows, report.curves)


def test_the_document_gets_table_and_curves_between_its_marks_and_keeps_the_rest(tmp_path: Path) -> None:
    report = measured()
    document = tmp_path / "performance.md"
    document.write_text(DOCUMENT)
    documents.write({"size": "usual", "machine": "one core"}, report.rows, report.curves, document)
    written = document.read_text()
    assert "| 2 Push to draft | memory | 180 MB |  |  |  | ≤ 200 MB | yes |" in written
    assert "git \\| alone" in written
    assert "not measured: it is not installed" in written
    assert "an earlier run" not in written
    assert "Prose stays." in written
    assert "![Pushes & more](performance/push.svg)" in written
    assert ElementTree.parse(tmp_path / "performance" / "push.svg").getroot().tag.endswith("svg")
    documents.write({"size": "usual", "machine": "one core"}, report.rows, report.curves, document)
    assert document.read_text() == written


def test_the_document_has_a_place_for_every_curve_and_every_part_a_module() -> None:
    text = documents.DOCUMENT.read_text()
    for name in ("machine", "table", "push", "polling", "replay", "fleet"):
        assert f"<!-- measured: {name} -->" in text
    for part in PARTS:
        assert (Path(documents.__file__).parent / f"{part}.py").exists()


def test_what_is_hidden_from_the_daemon_is_nothing_that_installing_it_brings() -> None:
    brought, asked = set[str](), ["upkeep"]
    while asked:
        name = asked.pop()
        if name not in brought:
            brought.add(name)
            # Requirements of other systems are not installed here.
            with suppress(PackageNotFoundError):
                needed = [need for need in requires(name) or [] if "extra ==" not in need]
                asked += [re.split(r"[^\w.-]", need)[0].lower() for need in needed]
    hidden = {path.stem for path in HIDDEN.glob("*.py")}
    assert "structlog" in brought
    assert hidden
    assert not hidden & brought
