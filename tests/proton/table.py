"""The table of all operations in docs/proton.md: `python -m tests.proton.table` writes it anew."""

from tests.environments import ROOT
from upkeep.adapters import servicemodel
from upkeep.web.proton.operations import OPERATIONS, REFUSED
from upkeep.web.proton.protocol import WRITES

PAGE = ROOT / "docs" / "proton.md"
_MARK = "<!-- This table is made from the service model and the code by `python -m tests.proton.table`. -->\n"


def table() -> str:
    """One row for each operation of the model."""
    rows = ["| operation | here |", "|---|---|"]
    for operation in sorted(servicemodel.load().operations):
        if operation in OPERATIONS:
            said = "works, and changes things" if operation in WRITES else "works"
        else:
            said = f"refused: {REFUSED[operation]}"
        rows.append(f"| `{operation}` | {said} |")
    works = f"{len(OPERATIONS)} of {len(OPERATIONS) + len(REFUSED)} operations work."
    return f"\n{works}\n\n" + "\n".join(rows) + "\n"


def page() -> str:
    """The page with the table as it should be."""
    before, mark, _ = PAGE.read_text(encoding="utf-8").partition(_MARK)
    assert mark, f"{PAGE} has lost the mark of its table"
    return before + mark + table()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
