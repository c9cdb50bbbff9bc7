"""What the trials came to, for people: one table on the terminal, and one in docs/reliability.md."""

import json
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.trials.hall import Held
from tests.trials.trial import Size

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN = "<!-- What stands from here to the end of the table is written by `make trials WRITE=1`. -->"
END = "<!-- The end of the table. -->"

_COLUMNS = ("promise", "trial", "rounds and cases", "what was seen", "kept", "seed", "s")


def table(held: Sequence[Held]) -> str:
    """The table for a terminal, with long words broken within their columns."""
    widths = (34, 20, 24, 50, 6, 10, 7)
    lines = [_line(_COLUMNS, widths), _line(["-" * width for width in widths], widths)]
    for one in held:
        cells = [textwrap.wrap(cell, width) or [""] for cell, width in zip(_cells(one), widths, strict=True)]
        height = max(map(len, cells))
        lines += [_line([cell[row] if row < len(cell) else "" for cell in cells], widths) for row in range(height)]
    return "\n".join(lines)


def as_json(held: Sequence[Held], size: Size) -> str:
    """The same for programs."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return json.dumps({"at": at, "size": size, "trials": [one.as_json() for one in held]}, indent=2, ensure_ascii=False)


def write(held: Sequence[Held], size: Size) -> None:
    """Put the table into docs/reliability.md in place of the one that stands there."""
    text = DOCUMENT.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{DOCUMENT} has lost the marks between which the table stands: {BEGIN} and {END}")
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{markdown(held, size)}\n\n{END}{after}")


def markdown(held: Sequence[Held], size: Size) -> str:
    """The table for the document."""
    seconds = sum(one.seconds for one in held)
    rows = ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
    rows += ["| " + " | ".join(cell.replace("|", "\\|") for cell in _cells(one)) + " |" for one in held]
    at = datetime.now(UTC).date().isoformat()
    return f"Size {size}, {at}, {seconds / 60:.0f} minutes in all.\n\n" + "\n".join(rows)


def _cells(one: Held) -> Sequence[str]:
    kept = {True: "yes", False: "NO", None: "untried"}[one.kept]
    return (one.promise, one.name, one.cases, one.seen, kept, str(one.seed), f"{one.seconds:.1f}")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
