"""The page for people who come from Proton says what the code does."""

from tests.proton.table import PAGE, page
from upkeep import settings
from upkeep.web.proton.repeats import TOKENS_LAST_FOR


def test_the_table_of_operations_is_what_the_code_does() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m tests.proton.table`"


def test_the_figures_on_the_page_are_those_of_the_code() -> None:
    said = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert f"{settings.Limits().requests_per_minute:,} calls a minute" in said
    assert (TOKENS_LAST_FOR.total_seconds(), "good for eight hours" in said) == (8 * 3600, True)
