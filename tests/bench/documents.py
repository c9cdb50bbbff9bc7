"""Documents: the figures as one table, as drawings, and within docs/performance.md."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from tests.bench.figures import Curve, Row
from tests.bench.processes import ROOT

DOCUMENT = ROOT / "docs" / "performance.md"
"""Beside it stand the figures, under its name, and the drawings, in a folder of its name."""

_COLUMNS = ("part", "what", "ours", "floor", "against", "ratio", "goal", "met")
_BETWEEN = re.compile(r"(<!-- measured: (\w+) -->\n).*?(<!-- end -->)", re.S)


def figure(number: float | None) -> str:
    """A number with three digits that count."""
    if number is None:
        return ""
    if number == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(number))))
    return f"{number:,.{digits}f}"


def cells(row: Row) -> tuple[str, ...]:
    """What the table says of a row."""
    if row.missing:
        return (row.part, row.what, "", "", f"not measured: {row.missing}", "", "", "")
    goal = "" if row.bound is None else f"{'≥' if row.least else '≤'} {row.bound:g}"
    if goal and row.ratio is None:
        goal = f"{goal} {row.unit}"
    met = {True: "yes", False: "NO", None: ""}[row.met]
    measured = tuple(f"{figure(number)} {row.unit}" if number is not None else "" for number in (row.ours, row.floor))
    return (row.part, row.what, *measured, row.against, figure(row.ratio), goal, met)


def table(rows: Sequence[Row]) -> str:
    """The table for a terminal."""
    lines = [_COLUMNS, *map(cells, rows)]
    widths = [max(len(line[number]) for line in lines) for number in range(len(_COLUMNS))]
    ruler = tuple("-" * width for width in widths)
    right = {"ours", "floor", "ratio"}
    return "\n".join(
        "  ".join(
            cell.rjust(width) if name in right else cell.ljust(width)
            for cell, width, name in zip(line, widths, _COLUMNS, strict=True)
        ).rstrip()
        for line in (lines[0], ruler, *lines[1:])
    )


def as_markdown(rows: Sequence[Row]) -> str:
    """The table for a document."""
    lines = [_COLUMNS, tuple("---:" if name in ("ours", "floor", "ratio") else "---" for name in _COLUMNS)]
    lines += [tuple(cell.replace("|", "\\|") for cell in cells(row)) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(kept: Mapping[str, Any], rows: Sequence[Row], curves: Sequence[Curve], document: Path = DOCUMENT) -> None:
    """Write the figures as JSON, draw the curves, and put both into the document, between its marks."""
    document.with_suffix(".json").write_text(json.dumps(kept, indent=1) + "\n")
    drawings = document.with_suffix("")
    drawings.mkdir(exist_ok=True)
    for curve in curves:
        (drawings / f"{curve.name}.svg").write_text(drawing(curve))
    sections = {"table": as_markdown(rows), "machine": f"`make bench` at size `{kept['size']}`: {kept['machine']}."}
    sections |= {curve.name: _shown(curve) for curve in curves}

    def filled(found: re.Match[str]) -> str:
        return f"{found[1]}{sections[found[2]]}\n{found[3]}" if found[2] in sections else found[0]

    document.write_text(_BETWEEN.sub(filled, document.read_text()))


def _shown(curve: Curve) -> str:
    head = ["", *(f"{at:,.0f}" for at in curve.at)]
    lines = [head, ["---", *("---:" for _ in curve.at)]]
    lines += [[name, *map(figure, series)] for name, series in curve.series.items()]
    rows = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"![{curve.title}](performance/{curve.name}.svg)\n\n{curve.unit}, by {curve.along}:\n\n{rows}"


_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 640, 300, 56, 40, 44
_RIGHT = 190
_INKS = (("#0072b2", "#56b4e9"), ("#d55e00", "#e69f00"), ("#00795c", "#3fd0a4"), ("#a3487f", "#e7a5cc"))
"""For light and for dark: https://jfly.uni-koeln.de/color/."""
_DASHES = ("", "7 4", "2 4", "9 3 2 3")


def drawing(curve: Curve) -> str:
    """A curve as SVG, both axes logarithmic, right on light and on dark pages."""
    points = {
        name: [(at, number) for at, number in zip(curve.at, series, strict=True) if number]
        for name, series in curve.series.items()
    }
    numbers = [number for series in points.values() for _, number in series] or [1.0]
    bottom, top = math.floor(math.log10(min(numbers))), math.ceil(math.log10(max(numbers)) + 1e-9)
    left, right = math.log10(curve.at[0]), max(math.log10(curve.at[-1]), math.log10(curve.at[0]) + 1)

    def x(at: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (math.log10(at) - left) / (right - left)

    def y(number: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (math.log10(number) - bottom) / max(top - bottom, 1)

    drawn = []
    for power in range(bottom, top + 1):
        drawn.append(f'<path class="grid" d="M{_LEFT} {y(10**power):.1f}H{_WIDTH - _RIGHT}"/>')
        drawn.append(f'<text x="{_LEFT - 6}" y="{y(10**power) + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    for at in curve.at:
        drawn.append(f'<text x="{x(at):.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{at:,.0f}</text>')
    names = sorted(points, key=lambda name: -points[name][-1][1] if points[name] else 0.0)
    taken = -1e9
    for name in names:
        number = list(points).index(name)
        if not points[name]:
            continue
        line = " ".join(f"{x(at):.1f},{y(found):.1f}" for at, found in points[name])
        drawn.append(f'<polyline class="s{number}" points="{line}"/>')
        drawn += [
            f'<circle class="s{number}" cx="{x(at):.1f}" cy="{y(found):.1f}" r="3"/>' for at, found in points[name]
        ]
        taken = max(taken + 15, y(points[name][-1][1]) + 4)
        drawn.append(
            f'<text class="n{number}" x="{x(points[name][-1][0]) + 9:.1f}" y="{taken:.1f}">{escape(name)}</text>'
        )
    inks = [
        "text{font:12px system-ui,sans-serif;fill:#444}.grid{stroke:#ccc;fill:none}polyline{fill:none;stroke-width:2}"
    ]
    dark = ["text{fill:#bbb}.grid{stroke:#444}"]
    for number, ((light, night), dash) in enumerate(zip(_INKS, _DASHES, strict=True)):
        for rules, ink in ((inks, light), (dark, night)):
            rules.append(f"polyline.s{number}{{stroke:{ink}}}circle.s{number},.n{number}{{fill:{ink}}}")
        inks.append(f"polyline.s{number}{{stroke-dasharray:{dash or 'none'}}}")
    middle = (_WIDTH - _RIGHT + _LEFT) / 2
    style = "".join(inks) + "@media(prefers-color-scheme:dark){" + "".join(dark) + "}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">'
        f"<title>{escape(curve.title)}</title><style>{style}</style>"
        f'<text x="{_LEFT}" y="18">{escape(curve.title)} ({escape(curve.unit)})</text>'
        f'<text x="{middle:.0f}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(curve.along)}</text>'
        f"{''.join(drawn)}</svg>\n"
    )
