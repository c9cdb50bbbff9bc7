"""Forms: what is asked for, and what comes back."""

import json
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from upkeep.domain.errors import CallerError
from upkeep.domain.forms import Form, Widget, document, filled_in, make
from upkeep.domain.inputs import NOTHING, InputType, ValueType, same
from upkeep.domain.patterns import browsers_agree
from upkeep.domain.patterns import found as matches

TEXT, WHOLE = InputType(ValueType.STRING), InputType(ValueType.INTEGER)
RULE = InputType(
    ValueType.OBJECT, properties={"port": WHOLE, "note": InputType(ValueType.STRING, default="-")}, required=("port",)
)
RICH = InputType(
    ValueType.OBJECT,
    properties={
        "text": InputType(ValueType.STRING, default="plain", min_length=2),
        "whole": InputType(ValueType.INTEGER, minimum=1),
        "number": InputType(ValueType.NUMBER, default=1.5),
        "flag": InputType(ValueType.BOOLEAN, default=True),
        "maybe": InputType(ValueType.BOOLEAN),
        "choice": InputType(ValueType.INTEGER, enum=(1, 2)),
        "odd": InputType(ValueType.STRING, enum=("", "1"), nullable=True),
        "null": InputType(ValueType.STRING, nullable=True),
        "zones": InputType(ValueType.ARRAY, items=TEXT),
        "rules": InputType(ValueType.ARRAY, items=RULE),
        "seeded": InputType(ValueType.ARRAY, items=TEXT, default=["a", "b"]),
        "box": InputType(ValueType.OBJECT, properties={"size": WHOLE, "lid": TEXT}, required=("size",)),
        "free": InputType(ValueType.OBJECT, additional=True),
        'hostile."<~%>\n': TEXT,
    },
    required=("whole",),
)


def sent(form: Form) -> dict[str, str]:
    """What a browser sends of a form that nobody touched: line ends as it writes them, names as they are."""
    texts: dict[str, str] = {}
    for each in form.walk():
        if each.kind.nullable:
            texts[f"{each.name}~null"] = "true" if each.null else "false"
        if each.widget is Widget.LIST:
            texts[f"{each.name}~items"] = " ".join(str(item.key) for item in each.members)
        elif each.widget is not Widget.GROUP:
            text = each.text
            if each.widget in (Widget.TEXT, Widget.NUMBER):
                assert "\n" not in text, "a one-line field would lose it"
            texts[each.name] = text.replace("\n", "\r\n")
    return texts


def again(kind: InputType, inputs: dict[str, Any], changed: dict[str, str] | None = None, change: str = "") -> Form:
    return make(kind, inputs, typed=sent(make(kind, inputs)) | (changed or {}), change=change)


def given_by(kind: InputType, inputs: dict[str, Any], changed: dict[str, str] | None = None) -> dict[str, Any]:
    filled = filled_in(again(kind, inputs, changed))
    assert filled.faults == {}
    return filled.inputs


def named(form: Form, name: str):
    return next(each for each in form.walk() if each.name == name)


# ------------------------------------------------------------------------------------------------------- the law

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def kinds(depth: int = 2) -> st.SearchStrategy[InputType]:
    leaf = st.builds(
        InputType,
        st.sampled_from([ValueType.STRING, ValueType.INTEGER, ValueType.NUMBER, ValueType.BOOLEAN]),
        nullable=st.booleans(),
        default=st.just(NOTHING) | SCALARS,
        enum=st.none() | st.lists(SCALARS, min_size=1, max_size=3).map(tuple),
    )
    if depth == 0:
        return leaf
    inner = kinds(depth - 1)
    lists = st.builds(
        InputType,
        st.just(ValueType.ARRAY),
        items=st.none() | inner,
        nullable=st.booleans(),
        default=st.just(NOTHING) | st.lists(SCALARS, max_size=2),
    )
    return leaf | lists | objects(inner)


def objects(inner: st.SearchStrategy[InputType]) -> st.SearchStrategy[InputType]:
    def built(properties: dict[str, InputType], nullable: bool, default: Any, additional: Any, ask: bool) -> InputType:
        return InputType(
            ValueType.OBJECT,
            properties=properties,
            nullable=nullable,
            default=default,
            additional=additional,
            required=tuple(properties)[:1] if ask else (),
        )

    return st.builds(
        built,
        st.dictionaries(st.text(max_size=5), inner, max_size=4),
        st.booleans(),
        st.just(NOTHING) | st.dictionaries(st.text(max_size=3), SCALARS, max_size=2),
        st.booleans() | inner,
        st.booleans(),
    )


def fitting(kind: InputType) -> st.SearchStrategy[Any]:
    """Values that mostly fit, because those are what people have."""
    if kind.enum is not None:
        return st.sampled_from(kind.enum) | VALUES
    match kind.type:
        case ValueType.STRING:
            return st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
        case ValueType.INTEGER:
            return st.integers()
        case ValueType.NUMBER:
            return st.integers() | st.floats(allow_nan=False, allow_infinity=False)
        case ValueType.BOOLEAN:
            return st.booleans()
        case ValueType.ARRAY:
            return st.lists(fitting(kind.items), max_size=3) if kind.items else st.lists(VALUES, max_size=2)
    members = {name: fitting(member) for name, member in kind.properties.items()}
    needed = {name: members.pop(name) for name in kind.required}
    return st.fixed_dictionaries(needed, optional=members)


@st.composite
def forms(draw: st.DrawFn) -> tuple[InputType, dict[str, Any]]:
    kind = draw(objects(kinds()))
    inputs = draw(fitting(kind))
    return kind, inputs | draw(st.dictionaries(st.text(max_size=4), VALUES, max_size=2))


def exactly(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


RETURNED = InputType(ValueType.OBJECT, properties={"end": InputType(ValueType.STRING, enum=("0\r", "1"))})


@settings(max_examples=400, deadline=None)
@given(forms())
@example((RETURNED, {"end": "0\r"}))
def test_a_form_that_is_sent_as_it_came_gives_what_was_given(case):
    kind, inputs = case
    assert exactly(filled_in(again(kind, inputs)).inputs, inputs)


@settings(max_examples=200, deadline=None)
@given(forms())
def test_names_and_ids_are_never_shared_and_hold_nothing_that_a_browser_would_change(case):
    names = [each.name for each in make(*case).walk()]
    ids = [each.id for each in make(*case).walk()]
    assert len(set(names)) == len(names) == len(set(ids))
    assert all(name.isascii() and name.isprintable() and not set(name) & set(" \"'<>&\r\n") for name in names)


@settings(max_examples=200, deadline=None)
@example({"\x85": "a\u2028b"})
@given(VALUES)
def test_a_document_is_read_as_what_was_written(value):
    kind = InputType(ValueType.OBJECT, properties={"free": InputType(ValueType.ARRAY)})
    form = make(kind, {}, typed={"input.free": document(value).replace("\n", "\r\n")})
    assert same(filled_in(form).inputs.get("free"), value)


# ------------------------------------------------------------------------------------------------ what is typed


def test_what_is_typed_becomes_what_the_schema_asks_for():
    typed = {
        "input.text": "ab",
        "input.whole": "7",
        "input.number": "2.50",
        "input.flag": "false",
        "input.maybe": "false",
        "input.choice": "2",
        "input.odd": '""',
        "input.null~null": "true",
        "input.free": "a: [1, 2.0]",
    }
    found = given_by(RICH, {}, typed)
    assert found == {
        "text": "ab", "whole": 7, "number": 2.5, "flag": False, "maybe": False, "choice": 2, "odd": "", "null": None,
        "free": {"a": [1, 2.0]},
    }  # fmt: skip
    assert isinstance(given_by(RICH, {}, {"input.whole": "7", "input.number": "2"})["number"], int)
    assert given_by(RICH, {}, {"input.whole": "7.0"})["whole"] == 7


def test_what_cannot_be_followed_is_said_at_its_field():
    typed = {
        "input.text": "a",
        "input.whole": "0",
        "input.box.lid": "x",
        "input.rules~items": "0",
        "input.rules.0.port": "80",
        "input.zones~items": "0 1",
        "input.zones.0": "a",
    }
    assert filled_in(again(RICH, {}, typed)).faults == {
        "input.zones.1": "this item is empty: give it a value, or remove it"
    }
    typed["input.zones.1"] = "b"
    faults = filled_in(again(RICH, {}, typed)).faults
    assert faults == {
        "input.text": "this has 1 characters, fewer than 2: give at least 2",
        "input.whole": "this is 0, less than 1: give at least 1",
        "input.box.size": "this is missing: give it a value",
    }


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("whole", "", "this input is needed"),
        ("whole", "7.5", "this is not a whole number"),
        ("whole", "1_0", "this is not a number"),
        ("whole", "٣", "this is not a number"),
        ("whole", "9" * 500, "this is not a number"),
        ("number", "inf", "this is not a number"),
        ("number", "nan", "this is not a number"),
        ("number", "1e999", "this is not a number"),
        ("choice", "3", "this is not one of the choices"),
        ("free", "{", "this is neither JSON nor YAML"),
        ("free", "[" * 5000, "this is neither JSON nor YAML"),
        ("free", '{"a": 1, "a": 2}', "this is neither JSON nor YAML"),
    ],
)
def test_what_cannot_be_read_is_said_at_its_field(name, text, sentence):
    faults = filled_in(again(RICH, {}, {"input.whole": "3"} | {f"input.{name}": text})).faults
    assert list(faults) == [f"input.{name}"]
    assert faults[f"input.{name}"].startswith(sentence)


def test_an_emptied_field_goes_back_to_its_default_and_an_emptied_list_is_empty():
    inputs = {"whole": 1, "text": "mine", "zones": ["a"], "odd": "1", "null": None}
    typed = {"input.text": "", "input.zones~items": "", "input.odd": "", "input.null~null": "false"}
    assert given_by(RICH, inputs, typed) == {"whole": 1, "zones": []}


def test_items_come_and_go_and_each_keeps_what_it_was():
    inputs = {"whole": 1, "rules": [{"port": 1, "more": True}, {"port": 2}, {"port": 3}]}
    form = again(RICH, inputs, change="remove:input.rules.1")
    assert [item.name for item in named(form, "input.rules").members] == ["input.rules.0", "input.rules.2"]
    assert filled_in(form).inputs["rules"] == [{"port": 1, "more": True}, {"port": 3}]
    kept = sent(form)
    form = make(RICH, inputs, typed=kept, change="add:input.rules")
    assert [item.key for item in named(form, "input.rules").members] == [0, 2, 3]
    grown = make(RICH, inputs, typed=sent(form) | {"input.rules.3.port": "4", "input.text": "kept"})
    assert filled_in(grown).inputs["rules"] == [{"port": 1, "more": True}, {"port": 3}, {"port": 4}]
    assert filled_in(grown).inputs["text"] == "kept"


def test_the_last_item_that_went_does_not_come_back_with_the_next():
    form = again(RICH, {"whole": 1, "zones": ["a", "b"]}, change="remove:input.zones.1")
    form = make(RICH, {"whole": 1, "zones": ["a", "b"]}, typed=sent(form), change="add:input.zones")
    assert [(item.key, item.text) for item in named(form, "input.zones").members] == [(0, "a"), (2, "")]


def test_a_default_list_is_shown_and_counts_only_once_it_was_changed():
    form = make(RICH, {"whole": 1})
    assert [item.text for item in named(form, "input.seeded").members] == ["a", "b"]
    assert "seeded" not in given_by(RICH, {"whole": 1})
    assert given_by(RICH, {"whole": 1}, {"input.seeded.1": "c"})["seeded"] == ["a", "c"]


def test_what_does_not_fit_its_type_is_shown_as_a_document_and_stays_until_it_is_mended():
    form = make(RICH, {"whole": "seven"})
    assert (named(form, "input.whole").widget, named(form, "input.whole").text) == (Widget.DOCUMENT, '"seven"')
    assert filled_in(form).faults == {
        "input.whole": 'this is "seven", not a whole number: write a whole number without quotes'
    }
    assert given_by(RICH, {"whole": "seven"}, {"input.whole": "7"}) == {"whole": 7}


# ------------------------------------------------------------------------------------------------------- bounds


def test_a_schema_of_ten_thousand_inputs_is_one_document_and_costs_little():
    kind = InputType(ValueType.OBJECT, properties={f"p{n}": TEXT for n in range(10_000)})
    inputs = {f"p{n}": "x" for n in range(10_000)}
    since = time.monotonic()
    form = again(kind, inputs)
    assert [each.widget for each in form.walk()] == [Widget.DOCUMENT]
    assert filled_in(form).inputs == inputs
    changed = filled_in(again(kind, {"p1": "x"}, {"input": "p2: y"}))
    assert changed.inputs == {"p2": "y"}
    assert time.monotonic() - since < 20


def test_what_nests_too_deep_or_too_wide_is_a_document():
    deep = TEXT
    for _ in range(6):
        deep = InputType(ValueType.OBJECT, properties={"in": deep})
    wide = InputType(ValueType.OBJECT, properties={f"p{n}": TEXT for n in range(1000)})
    kind = InputType(ValueType.OBJECT, properties={"deep": deep, "wide": wide, "list": RICH.properties["zones"]})
    form = make(kind, {"list": ["x"] * 5000})
    assert [each.widget for each in form.walk()] == [
        Widget.GROUP, Widget.GROUP, Widget.GROUP, Widget.DOCUMENT, Widget.DOCUMENT, Widget.DOCUMENT
    ]  # fmt: skip
    assert exactly(filled_in(again(kind, {"list": ["x"] * 5000})).inputs, {"list": ["x"] * 5000})


def test_more_fields_than_any_form_has_are_refused():
    with pytest.raises(CallerError, match="more than 3000 fields"):
        make(RICH, {}, typed={"input.rules~items": " ".join(map(str, range(9000)))})


@pytest.mark.parametrize("numbers", ["0 0 1", "1 0 x -1 1e9 99999999999", ""])
def test_item_numbers_that_nobody_sent_by_a_button_do_no_harm(numbers):
    form = make(RICH, {"zones": ["a"]}, typed={"input.zones~items": numbers})
    assert {item.key for item in named(form, "input.zones").members} <= {0, 1}


# ----------------------------------------------------------------------------------------------- what browsers do


@pytest.mark.parametrize(
    ("pattern", "given_to_browsers"),
    [
        ("^[a-z][a-z0-9]*$", True),
        (r"^\d{1,3}\.\d+$", True),
        ("^(dev|prod)$", True),
        ("^(a|b|c){2,}x?$", True),
        ("dev", False),
        ("^a|b$", False),
        ("^(a)|(b)$", False),
        ("^(?i)a$", False),
        (r"^a\$", False),
        ("^[a-z-]$", False),
        (r"^[\s]$", False),
        ("^[[:alpha:]]$", False),
        ("^(a+)+$", True),
    ],
)
def test_a_pattern_is_left_to_the_server_unless_browsers_agree(pattern, given_to_browsers):
    assert browsers_agree(pattern) is given_to_browsers


def test_numbers_step_as_browsers_count_them():
    def step(**limits: Any) -> str:
        return (
            make(InputType(ValueType.OBJECT, properties={"n": InputType(ValueType.INTEGER, **limits)}), {})
            .fields[0]
            .step
        )

    assert (step(), step(minimum=3), step(multiple_of=5)) == ("1", "1", "5")
    assert (step(multiple_of=5, minimum=10), step(multiple_of=5, minimum=3)) == ("5", "1")
    assert step(minimum=0.5) == "any"
    assert matches("^a$", "a")
