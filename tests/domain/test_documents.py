"""Documents: every value knows its line, and no text can hurt."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from upkeep.domain import documents
from upkeep.domain.documents import DocumentError, decode, dump, load, load_template, load_texts, read


def faults_of(text: str) -> list[tuple[str, int | None]]:
    return [(finding.slug, finding.line) for finding in read(text, "some.yaml")[1]]


def test_every_value_knows_the_line_of_its_key():
    document = load("a: 1\nb:\n  - x\n  - c: 2\n    d: {e: 3}\n", "some.yaml")
    assert document.value == {"a": 1, "b": ["x", {"c": 2, "d": {"e": 3}}]}
    assert document.line("a") == 1
    assert document.line("b") == 2
    assert document.line("b", 0) == 3
    assert document.line("b", 1, "d", "e") == 5
    assert document.where("b", 1, "c") == "some.yaml:4"


def test_the_line_of_something_absent_is_that_of_the_nearest_thing_above_it():
    document = load("a: 1\nb:\n  - x\n", "some.yaml")
    assert document.line("b", 7, "z") == 2
    assert document.line("a", "z") == 1
    assert document.line("z") == 1


def test_an_empty_text_says_none():
    assert load("", "some.yaml").value is None
    assert load("# nothing\n", "some.yaml").value is None


def test_json_is_read_too():
    assert load('{"a": [1, 2.5, true, null, "x"]}', "some.json").value == {"a": [1, 2.5, True, None, "x"]}


def test_a_byte_order_mark_is_skipped():
    assert load("\ufeffa: 1", "some.yaml").value == {"a": 1}
    assert decode(b"\xef\xbb\xbfa: 1", "some.yaml") == "a: 1"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("off", False),
        ("~", None),
        ("0x10", 16),
        ("010", 8),
        ("1_000", 1000),
        ("1.5", 1.5),
        ("2010-09-09", "2010-09-09"),
        ("012345678901", "012345678901"),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("!!int '3'", 3),
        ("=", "="),
        ("<<", "<<"),
        ("|\n  two\n  lines", "two\nlines"),
    ],
)
def test_scalars_are_those_of_yaml_1_1_and_dates_are_texts(text, value):
    found = load(f"a: {text}", "some.yaml").value["a"]
    assert found == value
    assert type(found) is type(value)


def test_keys_are_texts_as_written():
    assert load("80: a\non: b\nnull: c\n1.0: d\n", "some.yaml").value == {"80": "a", "on": "b", "null": "c", "1.0": "d"}


def test_texts_can_be_kept_as_they_are_written():
    assert load_texts("a: 012\nb: [yes, 1:30]\nc:\n", "some.yaml").value == {"a": "012", "b": ["yes", "1:30"], "c": ""}


def test_aliases_and_merges_repeat_what_was_anchored():
    text = "base: &base {x: 1, y: 2}\none: {<<: *base, y: 3}\nlist: [*base, *base]\n"
    value = load(text, "some.yaml").value
    assert value["one"] == {"x": 1, "y": 3}
    assert value["list"] == [{"x": 1, "y": 2}, {"x": 1, "y": 2}]


def test_of_several_merged_mappings_the_first_wins():
    text = "a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc:\n  <<: [*a, *b]\n"
    assert load(text, "some.yaml").value["c"] == {"x": 1, "y": 2}


@pytest.mark.parametrize(
    ("text", "slug", "line"),
    [
        ("a: 1\nb: 2\na: 3\n", "duplicate-key", 3),
        ("a:\n  b: {c: 1, c: 2}\n", "duplicate-key", 2),
        ('{"a": 1,\n "a": 2}', "duplicate-key", 2),
        ("80: a\n'80': b\n", "duplicate-key", 2),
        ("a: 1\n---\nb: 2\n", "several-documents", 2),
        ("a:\n  - 1\n\tb: 2\n", "yaml-tab", 3),
        ("a: [1,\nb: 2", "yaml-syntax", 2),
        ("a: b: c", "yaml-syntax", 1),
        ("a: 'x", "yaml-syntax", 1),
        ("a: 1\nb: \0", "unreadable-character", 2),
        ("a: \ud800", "unreadable-character", 1),
        ("a: !!python/object/apply:os.system [x]", "yaml-tag", 1),
        ("a: 1\nb: !Ref c", "yaml-tag", 2),
        ("a: !!binary aGk=", "yaml-tag", 1),
        ("a: !!set {x}", "yaml-tag", 1),
        ("a: *b", "unknown-anchor", 1),
        ("a: &a\n  - *a", "endless-alias", 2),
        ("? [x]\n: 1", "bad-key", 1),
        ("a: 1\n{{ b }}: 1", "bad-key", 2),
        ("a: .nan", "bad-value", 1),
        ("a: -.inf", "bad-value", 1),
        ("a: 1.0e+999", "bad-value", 1),
        ("a: !!int x", "bad-value", 1),
        ("a: " + "9" * 5000, "bad-value", 1),
        ("a: {<<: 1}", "bad-merge", 1),
        ("[" * 5000, "too-deep", 1),
        ("{a: " * 5000, "too-deep", 1),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_a_cure(text, slug, line):
    findings = read(text, "some.yaml")[1]
    assert [finding.slug for finding in findings if (finding.slug, finding.line) == (slug, line)] == [slug]
    assert all(finding.path == "some.yaml" and finding.cure for finding in findings)


def test_all_keys_given_twice_are_told_not_only_the_first():
    text = "a: 1\na: 2\nb: {c: 1}\nb: 3\n"
    assert faults_of(text) == [("duplicate-key", 2), ("duplicate-key", 4)]
    with pytest.raises(DocumentError) as caught:
        load(text, "some.yaml")
    assert caught.value.where == "some.yaml:2"
    assert "some.yaml:4" in str(caught.value)


def test_aliases_that_multiply_are_refused_before_they_cost_anything():
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 30)]
    assert faults_of("\n".join(lines)) == [("alias-bomb", 5)]


def test_aliases_cannot_hide_depth():
    lines = ["l0: &l0 [x]"] + [f"l{n}: &l{n} [[*l{n - 1}]]" for n in range(1, 60)]
    assert [slug for slug, _ in faults_of("\n".join(lines))] == ["too-deep"]


def test_a_text_that_is_too_long_is_refused():
    assert faults_of("a" * (documents.MAX_CHARACTERS + 1)) == [("too-large", None)]


def test_bytes_that_are_not_utf_8_are_told_with_their_line():
    with pytest.raises(DocumentError) as caught:
        decode(b"a: 1\nb: \xe4\n", "some.yaml")
    assert caught.value.where == "some.yaml:2"


def test_short_functions_of_a_template_become_long_ones():
    text = """
A: !Ref Network
B: !GetAtt Network.Cidr.Block
C: !GetAtt [Network, Id]
D: !Sub ["${x}", {x: !Ref Y}]
E: !If [Wanted, !Join [",", [a, !Ref b]], !Ref AWS::NoValue]
F: !Transform {Name: Include, Parameters: {Location: here}}
G: !Condition Wanted
H: !Base64
  Fn::Sub: text
I: !Select [0, !GetAZs ""]
"""
    assert load_template(text, "t.yaml").value == {
        "A": {"Ref": "Network"},
        "B": {"Fn::GetAtt": ["Network", "Cidr.Block"]},
        "C": {"Fn::GetAtt": ["Network", "Id"]},
        "D": {"Fn::Sub": ["${x}", {"x": {"Ref": "Y"}}]},
        "E": {"Fn::If": ["Wanted", {"Fn::Join": [",", ["a", {"Ref": "b"}]]}, {"Ref": "AWS::NoValue"}]},
        "F": {"Fn::Transform": {"Name": "Include", "Parameters": {"Location": "here"}}},
        "G": {"Condition": "Wanted"},
        "H": {"Fn::Base64": {"Fn::Sub": "text"}},
        "I": {"Fn::Select": [0, {"Fn::GetAZs": ""}]},
    }


def test_lines_are_known_inside_functions():
    document = load_template("A: !Join\n  - ''\n  - - x\n    - !Ref y\n", "t.yaml")
    assert document.line("A", "Fn::Join", 1, 1) == 4


@pytest.mark.parametrize("text", ["a: !Reff b", "a: !GetAtt b", "a: 1\na: 2"])
def test_a_template_is_read_as_strictly(text):
    with pytest.raises(DocumentError):
        load_template(text, "t.yaml")


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**60), 10**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufeff\u2028\u2029")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc-_.:# ", min_size=1), inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_what_is_dumped_is_read_back(value):
    assert load(dump(value), "some.yaml").value == value


@given(values)
def test_json_is_read_as_pyyaml_reads_it(value):
    text = json.dumps(value, ensure_ascii=False)
    assert load(text, "some.json").value == yaml.safe_load(text)


@given(st.text(st.sampled_from("ab:-[]{}\n \t&*!#|>'\"?,%<~0é\0")) | st.text())
def test_no_text_makes_reading_fail_in_another_way(text):
    document, faults = read(text, "some.yaml")
    assert document is not None or faults
    if document is not None and not faults:
        json.dumps(document.value, allow_nan=False)


@given(st.text(st.sampled_from("ab: -[]{}\n\"'")))
def test_what_is_accepted_is_what_pyyaml_reads(text):
    document, faults = read(text, "some.yaml")
    if document is not None and not faults:
        assert document.value == _texts_for_keys(yaml.safe_load(text))


def _texts_for_keys(value):
    if isinstance(value, dict):
        return {"" if key is None else str(key): _texts_for_keys(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_texts_for_keys(inner) for inner in value]
    return value
