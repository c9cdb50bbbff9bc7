from dataclasses import fields, replace
from typing import Any, get_args

import pytest

from tests.builders import a_bundle
from upkeep.domain import events
from upkeep.domain.events import JournalEntry
from upkeep.domain.lag import Lag, Standing
from upkeep.domain.people import Via
from upkeep.flows.browse.activity import KINDS, sentence
from upkeep.flows.browse.differences import differences, text_difference
from upkeep.flows.browse.fleet import how_far


@pytest.mark.parametrize(
    ("lag", "words"),
    [
        (Lag(Standing.UP_TO_DATE), "up to date"),
        (Lag(Standing.BEHIND_MINOR, minors=3), "3 behind"),
        (Lag(Standing.BEHIND_MAJOR, minors=1, majors=2), "2 majors and 1 minor behind"),
        (Lag(Standing.BEHIND_MAJOR, majors=1), "1 major behind"),
        (Lag(Standing.AHEAD), "ahead of the recommended version"),
    ],
)
def test_a_lag_is_said_in_a_few_words(lag, words):
    assert how_far(lag) == words


def a_fact(kind: Any, missing: bool) -> Any:
    """A value for a field of an event: a number, a text, or nothing where nothing is allowed."""
    allowed = get_args(kind) or (kind,)
    if missing and type(None) in allowed:
        return None
    return 2 if int in allowed else "x"


@pytest.mark.parametrize("missing", [False, True])
def test_every_event_has_a_sentence_of_its_own(now, missing):
    kinds = set()
    for event in get_args(events.Event):
        facts = {f.name: a_fact(f.type, missing) for f in fields(event) if f.name != "subject"}
        kind = events.kind_of(event(subject="environment/test", **facts))
        said = sentence(JournalEntry(1, now, kind, "environment/test", "ada", Via.WEB, facts))
        assert "None" not in said
        assert not said.startswith(kind.replace("_", " ") + ":"), f"{kind} has no sentence"
        kinds.add(kind)
    assert kinds == set(KINDS)


def test_an_event_of_a_later_release_is_still_said(now):
    entry = JournalEntry(1, now, "moon_landed", "template/vpc", "ada", Via.WEB, {})
    assert sentence(entry) == "moon landed: vpc"


def test_files_that_differ_are_told_apart():
    before = a_bundle({"same": "1\n", "changed": "a\nb\n", "gone": "x\n", "binary": b"\xff\x00"})
    after = a_bundle({"same": "1\n", "changed": "a\nc\n", "come": "y\n", "binary": b"\xff\x01"})
    found = {file.path: file for file in differences(before, after)}
    assert {path: str(file.change) for path, file in found.items()} == {
        "binary": "changed",
        "changed": "changed",
        "come": "added",
        "gone": "removed",
    }
    assert "-b\n+c" in found["changed"].diff
    assert found["come"].diff.startswith("--- /dev/null\n+++ come\n")
    assert found["gone"].diff.startswith("--- gone\n+++ /dev/null\n")
    assert found["binary"].silent == "it is not text"


def test_a_mode_that_changed_is_said():
    before = a_bundle({"run": "x"})
    after = replace(before, files=(replace(before.files[0], mode="100755"),))
    (found,) = differences(before, after)
    assert found.silent == "only its mode changed, from 100644 to 100755"


def test_equal_texts_have_no_difference():
    assert text_difference("schema", "a", "a") is None
    assert text_difference("schema", None, "a").change == "added"
