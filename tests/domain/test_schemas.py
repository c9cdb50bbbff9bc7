"""Schemas: what they accept, what is wrong with them, and which may follow another as a minor."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import ENVIRONMENT_SCHEMA, SERVICE_SCHEMA
from upkeep.domain import documents, patterns
from upkeep.domain.errors import BundleError
from upkeep.domain.findings import Severity
from upkeep.domain.inputs import ValueType, violations
from upkeep.domain.parts import Part
from upkeep.domain.schemas import Schema, compatibility, inspect, parse
from upkeep.domain.versions import TemplateKind


def a_schema(properties: dict[str, Any], required: list[str] | None = None, **types: Any) -> str:
    """A service schema with these properties, and more types by name."""
    main: dict[str, Any] = {"type": "object", "properties": properties}
    if required is not None:
        main["required"] = required
    outer = {"format": {"openapi": "3.0.0"}, "service_input_type": "Main", "types": {"Main": main, **types}}
    return documents.dump({"schema": outer})


def of(properties: dict[str, Any], required: list[str] | None = None, **types: Any) -> Schema:
    return parse(a_schema(properties, required, **types))


def slugs(text: str, severity: Severity = Severity.ERROR) -> list[str]:
    return [finding.slug for finding in inspect(text)[1] if finding.severity is severity]


# ---------------------------------------------------------------------------------------------------- reading


def test_a_service_schema_has_inputs_for_instances_and_pipeline():
    schema = parse(SERVICE_SCHEMA)
    assert schema.kind is TemplateKind.SERVICE
    port = schema.inputs_of(Part.INSTANCE).properties["port"]
    assert (port.type, port.default, port.description) == (ValueType.INTEGER, 80, "Where it listens")
    assert SERVICE_SCHEMA.splitlines()[port.line - 1].strip() == "port:"
    assert list(schema.inputs_of(Part.PIPELINE).properties) == ["command"]
    assert schema.inputs_of(Part.ENVIRONMENT) is None


def test_an_environment_schema_has_inputs_for_the_environment_only():
    schema = parse(ENVIRONMENT_SCHEMA)
    assert schema.kind is TemplateKind.ENVIRONMENT
    assert list(schema.inputs_of(Part.ENVIRONMENT).properties) == ["cidr"]
    assert schema.inputs_of(Part.INSTANCE) is None
    assert schema.inputs_of(Part.PIPELINE) is None


def test_a_schema_without_any_input_is_a_good_one():
    schema, findings = inspect(a_schema({}))
    assert schema is not None
    assert findings == ()


def test_every_keyword_is_read():
    schema = of(
        {
            "text": {"type": "string", "title": "T", "pattern": "^a", "minLength": 1, "maxLength": 3, "enum": ["ab"]},
            "number": {"type": "number", "minimum": 1, "maximum": 2.5, "multipleOf": 0.5, "nullable": True},
            "list": {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 2},
            "map": {"type": "object", "additionalProperties": {"type": "string"}},
            "closed": {"type": "object", "properties": {"x": {"type": "string"}}, "additionalProperties": False},
        },
        required=["text"],
    )
    members = schema.inputs.properties
    assert (members["text"].title, members["text"].pattern, members["text"].enum) == ("T", "^a", ("ab",))
    assert (members["text"].min_length, members["text"].max_length) == (1, 3)
    assert (members["number"].minimum, members["number"].maximum, members["number"].multiple_of) == (1, 2.5, 0.5)
    assert members["number"].nullable
    assert members["list"].items.type is ValueType.BOOLEAN
    assert (members["list"].min_items, members["list"].max_items) == (1, 2)
    assert members["map"].additional.type is ValueType.STRING
    assert members["closed"].additional is False
    assert schema.inputs.required == ("text",)


def test_references_lead_to_other_types():
    schema = of(
        {"net": {"$ref": "#/Net", "title": "Network"}, "more": {"type": "array", "items": {"$ref": "#/Net"}}},
        Net={"type": "object", "properties": {"cidr": {"type": "string"}}},
    )
    assert schema.inputs.properties["net"].title == "Network"
    assert list(schema.inputs.properties["net"].properties) == ["cidr"]
    assert list(schema.inputs.properties["more"].items.properties) == ["cidr"]


@pytest.mark.parametrize(
    ("text", "slug", "line"),
    [
        ("", "schema-form", 1),
        ("- x", "schema-form", 1),
        ("types: {}\n", "schema-form", 1),
        ("schema:\n  service_input_type: A\n  types:\n    A: {type: object}\n", "schema-format", 1),
        ("schema:\n  format: {openapi: '3.0.0'}\n  service_input_type: A\n", "schema-types", 1),
        ("schema:\n  format: {openapi: '3.0.0'}\n  types:\n    A: {type: object}\n", "schema-kind", 1),
        (
            "schema:\n  format: {openapi: '3.0.0'}\n  service_input_type: A\n  environment_input_type: A\n"
            "  types:\n    A: {type: object}\n",
            "schema-kind",
            3,
        ),
        (
            "schema:\n  format: {openapi: '3.0.0'}\n  environment_input_type: A\n  pipeline_input_type: A\n"
            "  types:\n    A: {type: object}\n",
            "schema-kind",
            4,
        ),
        (
            "schema:\n  format: {openapi: '3.0.0'}\n  service_input_type: B\n  types:\n    A: {type: object}\n",
            "schema-input-type",
            3,
        ),
        (
            "schema:\n  format: {openapi: '3.0.0'}\n  service_input_type: A\n  types:\n    A: {type: string}\n",
            "schema-input-type",
            5,
        ),
    ],
)
def test_missing_parts_are_told_with_their_line(text, slug, line):
    schema, findings = inspect(text)
    assert schema is None
    assert (slug, line) in [(finding.slug, finding.line) for finding in findings]


@pytest.mark.parametrize(
    ("declared", "slug"),
    [
        ({}, "schema-type"),
        (5, "schema-property"),
        ({"type": "strng"}, "schema-type"),
        ({"type": ["string"]}, "schema-type"),
        ({"type": "string", "pattern": "(["}, "schema-pattern"),
        ({"type": "string", "pattern": "(" * 500 + ")" * 500}, "schema-pattern"),
        ({"type": "string", "pattern": "a" * 1001}, "schema-pattern"),
        ({"type": "string", "pattern": 5}, "schema-keyword"),
        ({"type": "string", "minLength": "1"}, "schema-keyword"),
        ({"type": "string", "maxLength": -1}, "schema-keyword"),
        ({"type": "number", "minimum": "1"}, "schema-keyword"),
        ({"type": "number", "multipleOf": 0}, "schema-keyword"),
        ({"type": "number", "nullable": "yes"}, "schema-keyword"),
        ({"type": "number", "minimum": 3, "maximum": 2}, "schema-range"),
        ({"type": "string", "enum": "a"}, "schema-enum"),
        ({"type": "string", "enum": []}, "schema-enum"),
        ({"type": "string", "enum": [1, 2]}, "schema-enum"),
        ({"type": "object", "properties": {"a": {"type": "nope"}}}, "schema-type"),
        ({"type": "object", "required": "a"}, "schema-required"),
        ({"$ref": "#/Gone"}, "schema-ref"),
        ({"$ref": "Main"}, "schema-ref"),
        ({"$ref": "#/Main"}, "schema-circle"),
    ],
)
def test_what_is_wrong_with_an_input_is_told_with_its_line(declared, slug):
    text = a_schema({"fine": {"type": "string"}, "broken": declared})
    schema, findings = inspect(text)
    assert schema is None
    told = [finding for finding in findings if finding.slug == slug]
    assert told
    first = next(number for number, line in enumerate(text.splitlines(), 1) if "broken:" in line)
    assert all(finding.line >= first and finding.cure for finding in told)


@pytest.mark.parametrize(
    ("declared", "slug"),
    [
        ({"type": "string", "enum": ["a", 1]}, "schema-enum"),
        ({"type": "string", "default": 1}, "schema-default"),
        ({"type": "string", "default": None}, "schema-default"),
        ({"type": "string", "default": "c", "enum": ["a", "b"]}, "schema-default"),
        ({"type": "string", "default": "c", "pattern": "^a"}, "schema-default"),
        ({"type": "string", "default": "", "minLength": 1}, "schema-default"),
        ({"type": "integer", "default": True}, "schema-default"),
        ({"type": "integer", "default": 1.5}, "schema-default"),
        ({"type": "number", "default": 0, "minimum": 1}, "schema-default"),
        ({"type": "array", "default": ["x"], "items": {"type": "number"}}, "schema-default"),
        ({"type": "object", "required": ["b"], "properties": {"a": {"type": "string"}}}, "schema-required"),
        ({"type": "object", "required": True}, "schema-keyword"),
        ({"type": "string", "description": ["a", "b"]}, "schema-keyword"),
        ({"type": "string", "title": {"en": "a"}}, "schema-keyword"),
    ],
)
def test_what_hinders_nobody_who_gives_a_value_is_a_warning(declared, slug):
    text = a_schema({"fine": {"type": "string"}, "odd": declared})
    assert inspect(text)[0] is not None
    assert slugs(text) == []
    assert set(slugs(text, Severity.WARNING)) == {slug}


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        ({"properties": {}}, ValueType.OBJECT),
        ({"items": {"type": "string"}}, ValueType.ARRAY),
        ({"enum": ["a", "b"]}, ValueType.STRING),
        ({"default": True}, ValueType.BOOLEAN),
        ({"default": 1.5}, ValueType.NUMBER),
    ],
)
def test_a_type_that_is_evident_need_not_be_written(declared, kind):
    text = a_schema({"odd": declared})
    assert parse(text).inputs.properties["odd"].type is kind
    assert slugs(text, Severity.WARNING) == ["schema-property"]


def test_what_is_wrong_in_a_type_that_no_input_has_is_a_warning():
    unused = {"type": "object", "properties": {"x": {"type": "nope"}}}
    assert slugs(a_schema({}, Unused=unused)) == []
    assert slugs(a_schema({}, Unused=unused), Severity.WARNING) == ["schema-type"]
    assert slugs(a_schema({"a": {"$ref": "#/Used"}}, Used=unused)) == ["schema-type"]


def test_a_default_without_a_value_is_none():
    (odd,) = of({"odd": {"type": "string", "default": None}}).inputs.properties.values()
    (even,) = of({"even": {"type": "string", "default": None, "nullable": True}}).inputs.properties.values()
    assert (odd.has_default, even.has_default, even.default) == (False, True, None)


def test_an_empty_list_of_required_inputs_is_none():
    text = a_schema({"a": {"type": "string"}}).replace("      type: object", "      type: object\n      required:")
    assert "required:" in text
    assert inspect(text)[1] == ()


def test_all_faults_are_told_not_only_the_first():
    text = a_schema({"a": {"type": "x"}, "b": {"type": "string", "enum": [1]}, "c": {"$ref": "#/D"}})
    assert slugs(text) == ["schema-type", "schema-enum", "schema-ref"]
    with pytest.raises(BundleError) as caught:
        parse(text)
    assert str(caught.value).count("schema/schema.yaml:") == 3


def test_types_that_refer_to_each_other_in_a_circle_are_refused():
    text = a_schema(
        {"a": {"$ref": "#/A"}},
        A={"type": "object", "properties": {"b": {"$ref": "#/B"}}},
        B={"type": "object", "properties": {"a": {"$ref": "#/A"}}},
    )
    assert "A → B → A" in inspect(text)[1][0].message


def test_references_that_multiply_are_refused_before_they_cost_anything():
    types = {
        f"T{n}": {"type": "object", "properties": {name: {"$ref": f"#/T{n + 1}"} for name in "abcdefgh"}}
        for n in range(20)
    }
    assert slugs(a_schema({"a": {"$ref": "#/T0"}}, **types, T20={"type": "object"})) == ["schema-too-large"]


def test_a_name_of_more_than_a_hundred_characters_is_refused():
    assert slugs(a_schema({"a" * 100: {"type": "string"}})) == []
    assert slugs(a_schema({"a" * 101: {"type": "string"}})) == ["schema-name"]


@pytest.mark.parametrize(
    "declared",
    [
        {"type": "string", "format": "date"},
        {"type": "string", "minimum": 1},
        {"type": "string", "required": True},
        {"type": "string", "patern": "a"},
    ],
)
def test_a_keyword_without_effect_is_a_warning(declared):
    text = a_schema({"a": declared})
    assert slugs(text) == []
    assert slugs(text, Severity.WARNING) == ["schema-keyword"]


def test_a_misspelt_key_is_told_with_the_right_one():
    findings = inspect(ENVIRONMENT_SCHEMA.replace("environment_input_type", "environment_inputs_type"))[1]
    assert any("rename `environment_inputs_type`" in (finding.cure or "") for finding in findings)


@given(st.text(st.sampled_from("ab:{}[] \n#$/-")), st.integers(0, 400), st.integers(0, 40))
def test_no_damage_to_a_schema_makes_reading_fail_in_another_way(junk, position, removed):
    text = SERVICE_SCHEMA[:position] + junk + SERVICE_SCHEMA[position + removed :]
    schema, findings = inspect(text)
    assert (schema is None) == any(finding.severity is Severity.ERROR for finding in findings)


# ----------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("declared", "good", "bad"),
    [
        ({"type": "string"}, ["", "x"], [1, True, None, [], {}]),
        ({"type": "number"}, [0, 1.5, -3], ["1", True, None]),
        ({"type": "integer"}, [0, -3], [1.5, 1.0, "1", False]),
        ({"type": "boolean"}, [True, False], [0, 1, "true"]),
        ({"type": "array"}, [[], [1, "a"]], ["a", {}]),
        ({"type": "object"}, [{}, {"a": 1}], [[], "a"]),
        ({"type": "string", "nullable": True}, [None, "a"], [1]),
        ({"type": "string", "pattern": "b"}, ["abc"], ["ac"]),
        ({"type": "string", "pattern": "^[a-z]+$"}, ["abc"], ["abc\n", "a\nb", "ab1"]),
        ({"type": "string", "pattern": "^\\d$"}, ["1"], ["\u0661"]),
        ({"type": "string", "minLength": 1, "maxLength": 2}, ["a", "ab"], ["", "abc"]),
        ({"type": "number", "minimum": 1, "maximum": 2}, [1, 2, 1.5], [0.99, 3]),
        ({"type": "number", "multipleOf": 0.1}, [0.3, 1], [0.35]),
        ({"type": "number", "enum": [1, 2]}, [1, 2.0], [3]),
        ({"type": "boolean", "enum": [True]}, [True], [False]),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2}, [[1]], [[], [1, 2, 3], ["a"]]),
        (
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
            [{"a": 1}, {"a": 1, "b": 2}],
            [{}, {"a": "x"}],
        ),
        ({"type": "object", "additionalProperties": False}, [{}], [{"a": 1}]),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, [{"a": 1}], [{"a": "x"}]),
    ],
)
def test_values_fit_or_do_not(declared, good, bad):
    input_type = of({"a": declared}).inputs.properties["a"]
    assert [value for value in good if violations(input_type, value)] == []
    assert [value for value in bad if not violations(input_type, value)] == []


def test_a_pattern_that_never_ends_is_given_up():
    input_type = of({"a": {"type": "array", "items": {"type": "string", "pattern": "^(a|aa)+$"}}}).inputs.properties[
        "a"
    ]
    found = violations(input_type, ["a" * 60 + "b"] * 1000)
    assert ["in reasonable time" in violation.message for violation in found] == [True]


def test_a_pattern_with_a_line_feed_at_its_end_is_still_found():
    assert patterns.found("^a\n$", "a\n")
    assert not patterns.found("^a$", "a\n")


# ------------------------------------------------------------------------------------------ compatibility


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"type": "string"}, {"type": "string", "default": "x"}),
        ({"type": "string", "default": "x"}, {"type": "string", "default": "y"}),
        ({"type": "string", "enum": ["a"]}, {"type": "string", "enum": ["b", "a"]}),
        ({"type": "string", "enum": ["a"]}, {"type": "string"}),
        ({"type": "string", "pattern": "a"}, {"type": "string"}),
        ({"type": "string"}, {"type": "string", "nullable": True}),
        ({"type": "string"}, {"type": "string", "minLength": 0}),
        ({"type": "string", "maxLength": 3}, {"type": "string", "maxLength": 4}),
        ({"type": "string", "minLength": 3}, {"type": "string", "minLength": 2}),
        ({"type": "number", "minimum": 3}, {"type": "number", "minimum": 2}),
        ({"type": "number", "maximum": 3}, {"type": "number"}),
        ({"type": "number", "multipleOf": 0.4}, {"type": "number", "multipleOf": 0.2}),
        ({"type": "array", "items": {"type": "string"}}, {"type": "array"}),
        ({"type": "array", "maxItems": 1}, {"type": "array", "maxItems": 2}),
        ({"type": "object", "additionalProperties": False}, {"type": "object"}),
        (
            {"type": "object", "additionalProperties": False},
            {"type": "object", "additionalProperties": {"type": "string"}},
        ),
        ({"type": "string"}, {"type": "string", "description": "other", "title": "T", "example": "e"}),
        ({"type": "string", "enum": ["a", "b"]}, {"type": "string", "pattern": "^[a-z]$", "minLength": 1}),
        ({"type": "array"}, {"type": "array", "items": {}}),
        ({"type": "object"}, {"type": "object", "additionalProperties": {}}),
    ],
)
def test_widening_an_input_is_compatible(before, after):
    assert compatibility(of({"a": before}), of({"a": after})) == ()


@pytest.mark.parametrize(
    ("before", "after", "slug"),
    [
        ({"type": "string"}, {"type": "number"}, "incompatible-type"),
        ({"type": "integer"}, {"type": "number"}, "incompatible-type"),
        ({"type": "string", "nullable": True}, {"type": "string"}, "incompatible-narrowed"),
        ({"type": "string"}, {"type": "string", "enum": ["a"]}, "incompatible-narrowed"),
        ({"type": "string", "enum": ["a", "b"]}, {"type": "string", "enum": ["a", "c"]}, "incompatible-narrowed"),
        ({"type": "string", "enum": ["a", "b"]}, {"type": "string", "maxLength": 0}, "incompatible-narrowed"),
        ({"type": "string"}, {"type": "string", "pattern": "a"}, "incompatible-narrowed"),
        ({"type": "string", "pattern": "a"}, {"type": "string", "pattern": "b"}, "incompatible-narrowed"),
        ({"type": "string"}, {"type": "string", "minLength": 1}, "incompatible-narrowed"),
        ({"type": "string", "maxLength": 3}, {"type": "string", "maxLength": 2}, "incompatible-narrowed"),
        ({"type": "number"}, {"type": "number", "minimum": 0}, "incompatible-narrowed"),
        ({"type": "number", "maximum": 3}, {"type": "number", "maximum": 2}, "incompatible-narrowed"),
        ({"type": "number"}, {"type": "number", "multipleOf": 2}, "incompatible-narrowed"),
        ({"type": "number", "multipleOf": 2}, {"type": "number", "multipleOf": 4}, "incompatible-narrowed"),
        ({"type": "array"}, {"type": "array", "items": {"type": "string"}}, "incompatible-narrowed"),
        ({"type": "array"}, {"type": "array", "minItems": 1}, "incompatible-narrowed"),
        ({"type": "array"}, {"type": "array", "maxItems": 1}, "incompatible-narrowed"),
        (
            {"type": "array", "items": {"type": "string"}},
            {"type": "array", "items": {"type": "integer"}},
            "incompatible-type",
        ),
        ({"type": "object"}, {"type": "object", "additionalProperties": False}, "incompatible-additional"),
        ({"type": "object"}, {"type": "object", "additionalProperties": {"type": "string"}}, "incompatible-additional"),
        (
            {"type": "object", "additionalProperties": {"type": "string"}},
            {"type": "object", "additionalProperties": {"type": "integer"}},
            "incompatible-type",
        ),
        ({"type": "object", "properties": {"x": {"type": "string"}}}, {"type": "object"}, "incompatible-removed"),
        (
            {"type": "object", "properties": {"x": {"type": "string"}}},
            {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]},
            "incompatible-required",
        ),
    ],
)
def test_narrowing_an_input_is_not(before, after, slug):
    text = a_schema({"other": {"type": "string"}, "port": after})
    (finding,) = compatibility(of({"other": {"type": "string"}, "port": before}), parse(text))
    assert finding.slug == slug
    assert finding.severity is Severity.ERROR
    assert "port" in finding.message
    assert finding.path == "schema/schema.yaml"
    assert finding.line >= next(n for n, line in enumerate(text.splitlines(), 1) if "port:" in line)
    assert finding.cure.startswith("make this a new major version, or ")


def test_a_removed_input_is_incompatible_and_the_cure_names_it():
    (finding,) = compatibility(of({"port": {"type": "string"}}), of({}))
    assert finding.slug == "incompatible-removed"
    assert finding.cure == "make this a new major version, or restore input `port`"


def test_a_new_input_is_compatible_if_it_can_be_left_out():
    before = of({})
    assert compatibility(before, of({"a": {"type": "string"}})) == ()
    assert compatibility(before, of({"a": {"type": "string", "default": "x"}}, required=["a"])) == ()
    (finding,) = compatibility(before, of({"a": {"type": "string"}}, required=["a"]))
    assert finding.slug == "incompatible-required"


def test_what_was_required_may_become_optional_and_not_the_other_way_round():
    optional, required = of({"a": {"type": "string"}}), of({"a": {"type": "string"}}, required=["a"])
    assert compatibility(required, optional) == ()
    assert compatibility(required, required) == ()
    (finding,) = compatibility(optional, required)
    assert finding.slug == "incompatible-required"


def test_a_required_input_may_not_lose_its_default():
    with_default = of({"a": {"type": "string", "default": "x"}}, required=["a"])
    (finding,) = compatibility(with_default, of({"a": {"type": "string"}}, required=["a"]))
    assert finding.slug == "incompatible-required"


def test_pipeline_inputs_are_compared_too():
    (finding,) = compatibility(parse(SERVICE_SCHEMA), parse(SERVICE_SCHEMA.replace("command:", "other:")))
    assert "pipeline input `command`" in finding.message
    without = SERVICE_SCHEMA.replace('  pipeline_input_type: "Delivery"\n', "")
    (finding,) = compatibility(parse(SERVICE_SCHEMA), parse(without))
    assert "pipeline input `command` was removed" in finding.message
    assert compatibility(parse(without), parse(SERVICE_SCHEMA)) == ()


def test_a_pipeline_may_come_later_if_its_inputs_can_be_left_out():
    lines = SERVICE_SCHEMA.splitlines(keepends=True)
    without = parse("".join(line for line in lines if "pipeline_input_type" not in line))
    assert without.pipeline is None
    closed = SERVICE_SCHEMA.replace("    Delivery:\n", "    Delivery:\n      additionalProperties: false\n")
    assert parse(closed).pipeline.additional is False
    assert compatibility(without, parse(closed)) == ()
    assert [finding.slug for finding in compatibility(parse(closed), without)] == ["incompatible-removed"]


def test_a_template_cannot_change_its_kind():
    (finding,) = compatibility(parse(SERVICE_SCHEMA), parse(ENVIRONMENT_SCHEMA))
    assert finding.slug == "incompatible-kind"


# A law: what `compatibility` lets pass makes no good spec a bad one. Two declarations of one type are drawn, the
# second keeping most of the first, with several values that fit or nearly fit.

_LIMIT = st.none() | st.integers(0, 3)
_KEYWORDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "string": {
        "minLength": _LIMIT,
        "maxLength": _LIMIT,
        "enum": st.none() | st.lists(st.sampled_from(["", "a", "ab", "abc"]), min_size=1, unique=True),
        "pattern": st.sampled_from([None, "a", "b$"]),
        "nullable": st.sampled_from([None, True]),
    },
    "integer": {"minimum": _LIMIT, "maximum": _LIMIT, "multipleOf": st.none() | st.integers(1, 4)},
    "array": {"minItems": _LIMIT, "maxItems": _LIMIT, "nullable": st.sampled_from([None, True])},
    "object": {
        "required": st.lists(st.sampled_from("xy"), unique=True),
        "additionalProperties": st.sampled_from([None, True, False, {"type": "string"}, {"type": "integer"}]),
    },
}
_VALUES = {
    "string": st.none() | st.text("ab", max_size=4),
    "integer": st.integers(0, 5),
    "array": st.none() | st.lists(st.integers(0, 5) | st.text("ab", max_size=4), max_size=4),
    "object": st.dictionaries(st.sampled_from("xyz"), st.integers(0, 5) | st.text("ab", max_size=4), max_size=3),
}


@st.composite
def _declared(draw: Any, depth: int = 1) -> dict[str, Any]:
    name = draw(st.sampled_from(sorted(_KEYWORDS) if depth else ["integer", "string"]))
    found = {"type": name, **{keyword: draw(limit) for keyword, limit in _KEYWORDS[name].items()}}
    if name == "array":
        found["items"] = draw(st.none() | _declared(depth - 1))
    if name == "object":
        found["properties"] = {member: draw(_declared(depth - 1)) for member in "xy"}
    return {keyword: value for keyword, value in found.items() if value is not None}


@st.composite
def _changed(draw: Any, declared: dict[str, Any]) -> dict[str, Any]:
    """The same type with one keyword set anew, here or in a member."""
    limits = _KEYWORDS[declared["type"]]
    keyword = draw(st.sampled_from(sorted(limits)))
    changed = {**declared, keyword: draw(limits[keyword])}
    if "items" in declared and draw(st.booleans()):
        changed["items"] = draw(st.none() | _changed(declared["items"]))
    if "properties" in declared and draw(st.booleans()):
        kept = draw(st.sampled_from([("x", "y"), ("y",)]))
        changed["properties"] = {member: draw(_changed(declared["properties"][member])) for member in kept}
    return {keyword: value for keyword, value in changed.items() if value is not None}


@settings(max_examples=300)
@given(st.data())
def test_a_compatible_schema_accepts_every_value_that_was_accepted(data):
    old = data.draw(_declared())
    before, _ = inspect(a_schema({"a": old}))
    after, _ = inspect(a_schema({"a": data.draw(_changed(old))}))
    if before is None or after is None or compatibility(before, after):
        return
    for value in data.draw(st.lists(_VALUES[old["type"]], min_size=10, max_size=20)):
        if not violations(before.inputs, {"a": value}):
            assert not violations(after.inputs, {"a": value})


@given(_declared())
def test_a_schema_is_compatible_with_itself(declared):
    schema, _ = inspect(a_schema({"a": declared}))
    if schema is not None:
        assert compatibility(schema, schema) == ()
