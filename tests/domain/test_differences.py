import re
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upkeep.domain.differences import LONGEST, difference, read_hunks

LINES = st.lists(st.sampled_from(["", "a", "b", "  c", "-d", "+e", "@@ f"]), max_size=40)
HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@")


def applied(before, hunks):
    """What a unified diff makes of the lines it was taken from."""
    done, after = 0, []
    for line in hunks.removesuffix("\n").split("\n") if hunks else []:
        if found := HUNK.fullmatch(line):
            start = int(found[1]) - (found[2] != "0")
            after += before[done:start]
            done = start
        elif line.startswith("+"):
            after.append(line[1:])
        else:
            assert before[done] == line[1:]
            after += [line[1:]] if line.startswith(" ") else []
            done += 1
    return after + before[done:]


@given(LINES, LINES)
@settings(max_examples=300, deadline=None)
def test_applied_to_what_was_it_gives_what_is(before, after):
    hunks = difference("".join(f"{line}\n" for line in before), "".join(f"{line}\n" for line in after)).hunks
    assert applied(before, hunks) == after
    assert (hunks == "") == (before == after)


def test_equal_texts_do_not_differ_and_a_last_newline_does_not_count():
    assert difference("a\nb\n", "a\nb").unified("x", "y") == ""
    assert difference("", "").changed == ()


def test_a_diff_names_its_sides_and_shows_three_lines_around_a_change():
    before = "".join(f"{number}\n" for number in range(1, 21))
    found = difference(before, before.replace("10\n", "ten\n"))
    assert found.unified("template 1.2", "template 1.3").splitlines() == [
        "--- template 1.2",
        "+++ template 1.3",
        "@@ -7,7 +7,7 @@",
        " 7",
        " 8",
        " 9",
        "-10",
        "+ten",
        " 11",
        " 12",
        " 13",
    ]
    assert found.changed == ("-10", "+ten")


def test_the_same_change_in_another_place_has_the_same_changed_lines():
    one, other = difference("a\nb\n", "a\nnew\nb\n"), difference("x\ny\nz\n", "x\ny\nnew\nz\n")
    assert one.changed == other.changed
    assert one.hunks != other.hunks


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x\n" * 100_000, "x\ny\n" * 50_000),
        ("".join(f"{n % 7}\n" for n in range(60_000)), "".join(f"{n % 5}\n" for n in range(60_000))),
        ("".join(f"{n % 700}\n" for n in range(60_000)), "".join(f"{n * 7 % 701}\n" for n in range(60_000))),
        ("".join(f"{n}\n" for n in range(60_000)), "".join(f"{n}!\n" for n in range(60_000))),
        ("a" * 2_000_000, "b" * 2_000_000),
    ],
)
def test_no_two_texts_take_long_or_make_a_long_diff(before, after):
    began = time.process_time()
    found = difference(before, after)
    assert time.process_time() - began < 5
    assert 0 < len(found.hunks) < LONGEST + 100
    assert "more lines are not shown" in found.hunks


@given(LINES, LINES)
@settings(max_examples=300, deadline=None)
def test_blocks_follow_one_another_and_together_are_both_texts(before, after):
    blocks = difference("".join(f"{line}\n" for line in before), "".join(f"{line}\n" for line in after)).blocks
    if before == after:
        assert blocks == ()
        return
    assert [line for block in blocks for line in block.old] == before
    assert [line for block in blocks for line in block.new] == after
    old_at = new_at = 1
    for block in blocks:
        assert (block.old_at, block.new_at) == (old_at, new_at)
        old_at, new_at = old_at + len(block.old), new_at + len(block.new)
    assert all(one.same != other.same for one, other in pairwise(blocks))


@given(LINES, LINES)
@settings(max_examples=300, deadline=None)
def test_a_whole_diff_brings_its_blocks_back(before, after):
    found = difference("".join(f"{line}\n" for line in before), "".join(f"{line}\n" for line in after))
    assert read_hunks(found.whole) == found.blocks


def test_a_diff_with_gaps_is_read_with_its_header_and_its_numbers():
    before = "".join(f"{number}\n" for number in range(1, 41))
    after = before.replace("10\n", "ten\n").replace("30\n", "").replace("40\n", "40\n41\n")
    blocks = read_hunks(difference(before, after).unified("template 1.2", "template 1.3"))
    changed = [block for block in blocks if not block.same]
    assert [(block.old_at, block.new_at, block.old, block.new) for block in changed] == [
        (10, 10, ("10",), ("ten",)),
        (30, 30, ("30",), ()),
        (41, 40, (), ("41",)),
    ]


def test_a_diff_that_was_cut_off_is_read_as_far_as_it_goes():
    cut = difference("a" * 10 + "\n", "b\n" * LONGEST).hunks
    (block,) = read_hunks(cut)
    assert block.old == ("a" * 10,)
    assert 60_000 < len(block.new) < LONGEST
