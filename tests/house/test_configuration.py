"""The shipped configuration file says what the code does: every setting, no other, and its default."""

import dataclasses
import re
import typing
from collections.abc import Iterator
from typing import Any

import pytest

from tests.house.rooms import ROOT
from upkeep import settings
from upkeep.domain import answers, documents, guesses, tallies
from upkeep.domain.errors import SettingsError
from upkeep.domain.records import Records

FILE = ROOT / "config" / "upkeep.yaml"
_COMMENTED = re.compile(r"^#(?!#)", re.MULTILINE)


def names_of(section: Any) -> Iterator[str]:
    """All names of settings at or below a section."""
    if dataclasses.is_dataclass(section):
        hints = typing.get_type_hints(section)
        for each in dataclasses.fields(section):
            yield each.name
            yield from names_of(hints[each.name])
    for argument in typing.get_args(section):
        yield from names_of(argument)


def uncommented() -> str:
    """The file with everything in force: what a reader would get by removing each single `#`."""
    text = _COMMENTED.sub("", FILE.read_text(encoding="utf-8"))
    return re.sub(r": (\[\]|\{\})$", ":", text, flags=re.MULTILINE)


def test_the_shipped_file_holds_the_defaults_of_the_code() -> None:
    shipped = settings.load(FILE, {})
    assert shipped == settings.read("", "no file", folder=FILE.parent, environ={})


def test_every_setting_is_documented() -> None:
    text = uncommented()
    missing = [
        name for name in set(names_of(settings.Settings)) if not re.search(rf"^[ -]*{name}:", text, re.MULTILINE)
    ]
    assert not missing, f"config/upkeep.yaml says nothing of {sorted(missing)}"


def test_the_file_names_no_setting_that_is_unknown() -> None:
    environ = {
        name: f"https://{name}"
        for name in ("WEBHOOK_SECRET", "SLACK_WEBHOOK", "SLACK_TOKEN", "GITHUB_SECRET", "PROTON_KEY", "METRICS_TOKEN")
    }
    with pytest.raises(SettingsError) as caught:
        settings.read(uncommented(), "upkeep.yaml", folder=FILE.parent, environ=environ)
    # The alternatives of one secret stand together in the file, which is the only fault a reader would make.
    assert [fault for fault in caught.value.faults if "given together" not in fault] == []


def test_every_setting_in_force_has_a_comment_above_its_section() -> None:
    document = documents.load(FILE.read_text(encoding="utf-8"), "upkeep.yaml")
    lines = FILE.read_text(encoding="utf-8").splitlines()
    for name, value in document.value.items():
        above = lines[document.line(name) - 2]
        below = lines[document.line(name)]
        assert "##" in above or "##" in below, f"{name} ({value}) is not explained"


def test_the_table_of_what_goes_says_what_the_settings_say() -> None:
    text = (ROOT / "docs" / "keeping.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", text, re.MULTILINE))
    spans = settings.Retention().spans
    assert told == {
        records.value: settings.write_duration(spans[records]) if records in spans else "null" for records in Records
    }
    fixed = f"kept answers {answers.KEPT_FOR.days} day, wrong passwords {guesses.COUNTED_FOR.days} day, "
    assert fixed in text.replace("\n", " ")
    assert f"points of the charts {tallies.KEPT_FOR.days} days (one a day after {tallies.FINE_FOR.days} days)" in text
