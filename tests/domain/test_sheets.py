import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upkeep.domain.differences import CONTEXT, difference, lines_of, read_hunks
from upkeep.domain.sheets import Fold, Row, Wish, file_sheet, sheet, unseen

TEXTS = st.lists(st.sampled_from(["", "a", "b", "  c: 1", "  c: 2", "-d", "+e", "x y z", "x y q"]), max_size=40)


def text(line):
    return "".join(piece.text for piece in line.pieces)


def both(before, after):
    return difference("".join(f"{line}\n" for line in before), "".join(f"{line}\n" for line in after)).blocks


def sides(rows, before):
    """What the rows say of either side, by line number; what is folded is taken from the text before."""
    old, new = {}, {}
    for row in rows:
        if isinstance(row, Fold):
            for offset in range(row.lines):
                old[row.old_at + offset] = new[row.new_at + offset] = before[row.old_at + offset - 1]
            continue
        if row.old:
            old[row.old.number] = text(row.old)
        if row.new:
            new[row.new.number] = text(row.new)
    return [[side[number] for number in sorted(side)] for side in (old, new)], [sorted(old), sorted(new)]


@given(TEXTS, TEXTS, st.booleans(), st.booleans(), st.sampled_from(["", "c", "X Y", "nothing"]))
@settings(max_examples=400, deadline=None)
def test_folded_or_not_and_on_one_side_or_two_everything_is_there_under_its_number(
    before, after, split, everything, find
):
    blocks = both(before, after)
    found = sheet(blocks, Wish(split=split, everything=everything, find=find))
    if before == after:
        assert found.rows == ()
        return
    assert sides(found.rows, before) == (
        [before, after],
        [list(range(1, len(before) + 1)), list(range(1, len(after) + 1))],
    )
    assert found.added - found.removed == len(after) - len(before)
    assert found.folded == sum(row.lines for row in found.rows if isinstance(row, Fold))
    assert not (everything and found.folded)


@given(TEXTS, TEXTS, st.booleans(), st.integers(1, 7))
@settings(max_examples=300, deadline=None)
def test_what_is_shown_in_steps_is_the_same_as_all_at_once(before, after, split, step):
    blocks = both(before, after)
    whole = sheet(blocks, Wish(split=split, everything=True, find="c"))
    shown, start = [], 0
    while start < whole.total:
        part = sheet(blocks, Wish(split=split, everything=True, find="c", start=start, rows=step))
        assert (part.start, part.total, part.step) == (start, whole.total, step)
        shown += part.rows
        start = part.end
    assert tuple(shown) == whole.rows


@given(TEXTS, TEXTS)
@settings(max_examples=200, deadline=None)
def test_what_is_looked_for_is_counted_and_never_folded(before, after):
    found = sheet(both(before, after), Wish(find="C: "))
    hits = [row for row in found.rows if isinstance(row, Row) and row.hit]
    assert [row.hit for row in hits] == list(range(1, len(found.hits) + 1))
    if before != after:
        expected = sum("c: " in line for line in after) + sum(
            "c: " in text(row.old) for row in found.rows if isinstance(row, Row) and row.kind == "del"
        )
        assert len(hits) == expected
    assert all(any(piece.hit for line in (row.old, row.new) if line for piece in line.pieces) for row in hits)


def test_what_stayed_is_folded_and_says_which_lines_it_hides():
    before = [f"line {number}" for number in range(1, 101)]
    after = [*before[:49], "line fifty", *before[50:]]
    rows = sheet(both(before, after), Wish()).rows
    assert rows[0] == Fold(1, 1, 49 - CONTEXT)
    assert rows[-1] == Fold(51 + CONTEXT, 51 + CONTEXT, 100 - 50 - CONTEXT)
    assert [row.kind for row in rows[1:-1]] == ["same"] * 3 + ["del", "add"] + ["same"] * 3


def test_words_that_changed_are_marked_on_both_sides_and_alike_lines_stand_together():
    before, after = ["  Size: small", "  Name: web"], ["  Zone: a", "  Size: large", "  Name: web"]
    rows = sheet(both(before, after), Wish(split=True)).rows
    assert [row.kind for row in rows] == ["add", "pair", "same"]
    pair = rows[1]
    assert [piece.text for piece in pair.old.pieces if piece.word] == ["small"]
    assert [piece.text for piece in pair.new.pieces if piece.word] == ["large"]
    unified = sheet(both(before, after), Wish()).rows
    assert [
        piece.text for row in unified for line in (row.old, row.new) if line for piece in line.pieces if piece.word
    ] == [
        "small",
        "large",
    ]


def test_lines_without_likeness_are_not_marked_word_by_word():
    rows = sheet(both(["alpha: 1"], ["something entirely different"]), Wish(split=True)).rows
    assert [row.kind for row in rows] == ["del", "add"]
    assert not any(piece.word for row in rows for line in (row.old, row.new) if line for piece in line.pieces)


@pytest.mark.parametrize(
    ("sign", "name"),
    [
        ("\u202e", "right-to-left override"),
        ("\u2066", "left-to-right isolate"),
        ("\u200b", "zero width space"),
        ("\ufeff", "zero width no-break space"),
        ("\0", "a control character"),
        ("\x1b", "a control character"),
        ("\r", "a control character"),
        ("\u2028", "line separator"),
        ("\u00a0", "no-break space"),
        ("\u3164", "hangul filler"),
        ("\U000e0041", "tag latin capital letter a"),
        ("\ufe0f", "variation selector-16"),
    ],
)
def test_what_nobody_can_see_is_named(sign, name):
    (row,) = file_sheet([f"access{sign}level"], Wish()).rows
    (odd,) = [piece for piece in row.new.pieces if piece.odd]
    assert (odd.text, odd.odd) == (f"U+{ord(sign):04X}", name)
    assert text(row.new).startswith("access")
    assert text(row.new).endswith("level")


@given(st.text())
def test_no_unseen_character_reaches_a_page(written):
    for row in file_sheet(lines_of(written), Wish()).rows:
        assert not any(unseen(sign) for sign in text(row.new))


def test_a_long_line_is_cut_and_says_by_how_much_and_comes_longer_when_asked():
    blocks = both(["a" * 5_000], ["b" * 5_000])
    short, longer = sheet(blocks, Wish(widest=500)), sheet(blocks, Wish(widest=20_000))
    assert short.cut
    assert [row.old.cut for row in short.rows if row.old] == [4_500]
    assert not longer.cut
    assert len(text(longer.rows[0].old)) == 5_000


def test_a_gap_between_hunks_is_told_and_not_made_up():
    before = "".join(f"{number}\n" for number in range(1, 61))
    after = before.replace("10\n", "ten\n").replace("50\n", "fifty\n")
    rows = sheet(read_hunks(difference(before, after).hunks), Wish(everything=True)).rows
    assert [row for row in rows if isinstance(row, Fold)] == [Fold(14, 14, 33, kept=False)]


def test_the_lines_around_a_number_are_found():
    lines = [f"line {number}" for number in range(1, 3_001)]
    found = file_sheet(lines, Wish(line=2_500, rows=1_000))
    assert (found.start, found.end, found.total) == (2_000, 3_000, 3_000)
    assert file_sheet(lines, Wish(line=9_999)).start == 0
    assert file_sheet(lines, Wish(start=9_999)).start == 2_000
    assert file_sheet([], Wish(start=5)).rows == ()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["x " * 150] * 2_000, ["y " * 150] * 2_000),
        (
            [f"{number} " + "a b " * 70 for number in range(3_000)],
            [f"{number} " + "a c " * 70 for number in range(3_000)],
        ),
        (["a" * 1_000_000], ["b" * 1_000_000]),
        (["a\u200b" * 10_000], ["a" * 10_000]),
        ([f"{n}" for n in range(20_000)], [f"{n}!" for n in range(20_000)]),
    ],
)
def test_no_sheet_takes_long(before, after):
    blocks = both(before, after)
    for split in (False, True):
        began = time.process_time()
        sheet(blocks, Wish(split=split, everything=True, find="a", widest=20_000))
        assert time.process_time() - began < 4
