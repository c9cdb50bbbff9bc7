"""Specs: reading them, keeping what is stored, and merging what is given with a schema's defaults."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import ENVIRONMENT_SPEC, SERVICE_SPEC
from upkeep.domain.errors import CallerError
from upkeep.domain.parts import Part
from upkeep.domain.schemas import InputType, parse
from upkeep.domain.specs import (
    CURRENT_VALUE,
    InstanceSpec,
    keep_current,
    merge,
    parse_environment_spec,
    parse_service_spec,
    unknown_inputs,
    with_instance,
    written_environment_spec,
    written_service_spec,
)

SCHEMA = """\
schema:
  format: {openapi: "3.0.0"}
  service_input_type: Web
  types:
    Web:
      type: object
      required: [image]
      properties:
        port: {type: number, default: 80, minimum: 1, maximum: 65535}
        image: {type: string, minLength: 1}
        size: {type: string, enum: [small, large], default: small}
        note: {type: string}
        host: {type: string, pattern: "^[a-z.]+$"}
        labels:
          type: object
          properties:
            team: {type: string, default: none}
            tier: {type: string}
        ports: {type: array, items: {type: integer}}
"""


@pytest.fixture(scope="module")
def web() -> InputType:
    found = parse(SCHEMA).inputs_of(Part.INSTANCE)
    assert found is not None
    return found


# ---------------------------------------------------------------------------------------------------- reading


def test_an_environment_spec_gives_inputs():
    assert parse_environment_spec(ENVIRONMENT_SPEC).inputs == {"cidr": "10.1.0.0/16"}


@pytest.mark.parametrize("text", ["proton: EnvironmentSpec", "proton: EnvironmentSpec\nspec:\n"])
def test_an_environment_may_ask_for_nothing(text):
    assert parse_environment_spec(text).inputs == {}


def test_a_service_spec_gives_inputs_of_its_pipeline_and_instances():
    spec = parse_service_spec(SERVICE_SPEC)
    assert spec.pipeline == {"command": "make check"}
    assert spec.instances == (InstanceSpec("test", "test", {"port": 8080}),)


def test_a_service_without_pipeline_section_and_instances_without_inputs_are_fine():
    spec = parse_service_spec("proton: ServiceSpec\ninstances:\n  - {name: a, environment: e}\n")
    assert spec.pipeline is None
    assert spec.instances == (InstanceSpec("a", "e", {}),)


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        ("", "f:1", "this is no spec"),
        ("- a", "f:1", "this is no spec"),
        ("instances: []", "f:1", "`proton` is missing"),
        ("a: 1\nproton: EnvironmentSpec", "f:2", "`ServiceSpec` was expected"),
        ("proton: ServiceSpec\ninstances: []", "f:2", "no list of instances"),
        ("proton: ServiceSpec\ninstances: {}", "f:2", "no list of instances"),
        ("proton: ServiceSpec\ninstances:\n  - x", "f:3", "`instances[0]` is no mapping"),
        ("proton: ServiceSpec\ninstances:\n  - name: a", "f:3", "`instances[0].environment` is missing"),
        ("proton: ServiceSpec\ninstances:\n  - environment: a", "f:3", "`instances[0].name` is missing"),
        ("proton: ServiceSpec\ninstances:\n  - {environment: e,\n     name: a b}", "f:4", "is not a name"),
        ("proton: ServiceSpec\ninstances:\n  - {name: 1, environment: e}", "f:3", "not a text"),
        ("proton: ServiceSpec\ninstances:\n  - {name: a, environment: e, spec: 3}", "f:3", "no mapping of inputs"),
        ("proton: ServiceSpec\ninstances:\n  - {name: a, environment: e, port: 3}", "f:3", "instances[0].port"),
        ("proton: ServiceSpec\npipeline: x\ninstances:\n  - {name: a, environment: e}", "f:2", "`pipeline` is no"),
        ("proton: ServiceSpec\ninstance: []\ninstances:\n  - {name: a, environment: e}", "f:2", "`instance` is not"),
        (
            "proton: ServiceSpec\ninstances:\n  - {name: a, environment: e}\n  - {name: a, environment: f}",
            "f:4",
            "two instances are called `a`",
        ),
        ("proton: ServiceSpec\nproton: ServiceSpec", "f:2", "given in line 1 already"),
        ("proton: ServiceSpec\n\tinstances: []", "f:2", "tab"),
    ],
)
def test_what_is_wrong_with_a_service_spec_is_told_with_its_line(text, where, said):
    with pytest.raises(CallerError) as caught:
        parse_service_spec(text, "f")
    assert caught.value.where == where
    assert said in caught.value.message
    assert caught.value.cure


def test_a_spec_of_the_other_kind_is_refused():
    with pytest.raises(CallerError, match="`EnvironmentSpec` was expected"):
        parse_environment_spec(SERVICE_SPEC)


def test_all_faults_of_a_spec_are_told_with_their_lines():
    text = "proton: ServiceSpec\ninstances:\n  - name: a b\n    environment: e\n  - name: c\n"
    with pytest.raises(CallerError) as caught:
        parse_service_spec(text, "f")
    assert [line.split(": ")[0] for line in str(caught.value).splitlines()] == ["f:3", "f:5"]


@given(st.text(st.sampled_from("ab:-[]{} \n'")), st.integers(0, 120))
def test_no_damage_to_a_spec_makes_reading_fail_in_another_way(junk, position):
    try:
        parse_service_spec(SERVICE_SPEC[:position] + junk + SERVICE_SPEC[position:])
    except CallerError as refusal:
        assert refusal.message


# ---------------------------------------------------------------------------------------------------- merging


def test_inputs_are_merged_in_the_order_of_the_schema(web):
    merged = merge(web, {"image": "nginx", "host": "a.b", "port": 8080})
    assert list(merged.items()) == [("port", 8080), ("image", "nginx"), ("size", "small"), ("host", "a.b")]


def test_optional_inputs_without_default_stay_out(web):
    assert "note" not in merge(web, {"image": "x"})


def test_numbers_stay_what_they_were_given_as(web):
    assert repr(merge(web, {"image": "x"})["port"]) == "80"
    assert repr(merge(web, {"image": "x", "port": 81})["port"]) == "81"
    assert repr(merge(web, {"image": "x", "port": 81.5})["port"]) == "81.5"


def test_members_of_a_mapping_get_their_defaults_too(web):
    assert merge(web, {"image": "x", "labels": {"tier": "web"}})["labels"] == {"team": "none", "tier": "web"}
    assert "labels" not in merge(web, {"image": "x"})


def test_inputs_the_schema_does_not_know_are_ignored_and_named(web):
    given_inputs = {"image": "x", "colour": "blue"}
    assert "colour" not in merge(web, given_inputs)
    assert unknown_inputs(web, given_inputs) == ("colour",)


def test_a_schema_that_allows_nothing_else_refuses_unknown_inputs():
    closed = parse(SCHEMA.replace("required: [image]", "additionalProperties: false")).inputs_of(Part.INSTANCE)
    with pytest.raises(CallerError, match="`colour` is not known"):
        merge(closed, {"colour": "blue"})


def test_a_part_without_inputs_takes_none():
    assert merge(None, {"a": 1}) == {}
    assert unknown_inputs(None, {"a": 1}) == ("a",)


def test_every_input_that_does_not_fit_is_named_in_one_refusal(web):
    with pytest.raises(CallerError) as caught:
        merge(web, {"port": 70000, "size": "huge", "host": "A", "labels": {"team": 1}, "ports": [1, "x"], "note": None})
    text = str(caught.value)
    for place in ("`port`", "`image`", "`size`", "`host`", "`labels.team`", "`ports[1]`", "`note`"):
        assert place in text
    assert len(text.splitlines()) == 7


def test_a_refusal_says_where_in_the_file_the_input_stands(web):
    text = """\
proton: ServiceSpec
instances:
  - name: a
    environment: e
    spec:
      image: nginx
      port: 70000
"""
    (instance,) = parse_service_spec(text, "svc.yaml").instances
    with pytest.raises(CallerError) as caught:
        merge(web, instance.inputs, instance.place)
    assert caught.value.where == "svc.yaml:7"
    assert "`instances[0].spec.port` is 70000, more than 65535" in caught.value.message


def test_a_missing_input_is_told_at_the_section_it_is_missing_from(web):
    text = "proton: ServiceSpec\ninstances:\n  - name: a\n    environment: e\n    spec:\n      port: 80\n"
    (instance,) = parse_service_spec(text, "svc.yaml").instances
    with pytest.raises(CallerError) as caught:
        merge(web, instance.inputs, instance.place)
    assert (caught.value.where, caught.value.message) == ("svc.yaml:5", "`instances[0].spec.image` is missing")


# ---------------------------------------------------------------------------------------------- current values


def test_a_current_value_is_taken_from_what_is_stored():
    stored = {"a": 1, "b": {"c": "x", "d": 2}, "e": [1, 2]}
    wanted = {"a": CURRENT_VALUE, "b": {"c": CURRENT_VALUE}, "e": [CURRENT_VALUE, 3], "f": "new"}
    assert keep_current(wanted, stored) == {"a": 1, "b": {"c": "x"}, "e": [1, 3], "f": "new"}


def test_where_nothing_is_stored_the_default_stays_the_current_value(web):
    assert keep_current({"port": CURRENT_VALUE}, {}) == {}
    assert merge(web, {**keep_current({"port": CURRENT_VALUE}, {}), "image": "x"})["port"] == 80


def test_an_item_of_a_list_without_current_value_is_refused():
    with pytest.raises(CallerError, match="item 1"):
        keep_current({"a": [1, CURRENT_VALUE]}, {"a": [1]})


def test_a_current_value_nobody_replaced_is_never_rendered(web):
    with pytest.raises(CallerError, match="keeps its current value") as caught:
        merge(web, {"image": CURRENT_VALUE, "port": CURRENT_VALUE, "labels": {"team": CURRENT_VALUE}})
    assert len(str(caught.value).splitlines()) == 3


names = st.sampled_from("abc")
scalars = st.integers() | st.text(max_size=3)
inputs = st.dictionaries(names, st.recursive(scalars, lambda inner: st.dictionaries(names, inner, max_size=2)))


@given(inputs)
def test_what_is_given_in_full_needs_nothing_stored(given_inputs: dict[str, Any]):
    assert keep_current(given_inputs, {}) == given_inputs


@given(inputs)
def test_keeping_everything_changes_nothing(stored: dict[str, Any]):
    assert keep_current(dict.fromkeys(stored, CURRENT_VALUE), stored) == stored


@given(st.fixed_dictionaries({"image": st.text(min_size=1)}, optional={"port": st.integers(1, 65535), "zz": scalars}))
def test_merging_what_was_merged_changes_nothing(given_inputs: dict[str, Any]):
    web = parse(SCHEMA).inputs_of(Part.INSTANCE)
    merged = merge(web, given_inputs)
    assert merge(web, merged) == merged
    assert list(merge(web, merged)) == list(merged)


# --------------------------------------------------------------------------------------------------- writing

AWKWARD = {
    "port": 80,
    "ratio": 1e22,
    "text": "yes",
    "date": "2026-01-01",
    "lines": "a\n b\n",
    "none": None,
    "list": [{}, []],
}


def test_a_spec_that_was_written_is_read_as_the_same():
    assert parse_environment_spec(written_environment_spec(AWKWARD)).inputs == AWKWARD
    assert parse_environment_spec(written_environment_spec({})).inputs == {}
    instances = (InstanceSpec("a", "test", AWKWARD), InstanceSpec("b", "test", {}))
    for pipeline in (None, {}, AWKWARD):
        found = parse_service_spec(written_service_spec(pipeline, instances))
        assert (found.pipeline, found.instances) == (pipeline, instances)


SHOP = """\
# Who to ask: shop
proton: ServiceSpec
pipeline: {command: make}
instances:
  - name: a  # the first
    environment: test
    spec: {port: 80}
"""


@pytest.mark.parametrize("text", [SHOP, SHOP.replace("\n  ", "\n"), SHOP.replace("\n  ", "\n    "), SHOP.rstrip()])
def test_an_instance_is_added_below_the_others_and_comments_stay(text):
    longer = with_instance(text, InstanceSpec("b", "live", AWKWARD))
    assert longer.startswith(text.rstrip())
    found = parse_service_spec(longer)
    assert found.pipeline == {"command": "make"}
    assert found.instances == (InstanceSpec("a", "test", {"port": 80}), InstanceSpec("b", "live", AWKWARD))


@pytest.mark.parametrize(
    "text",
    [
        "proton: ServiceSpec\ninstances: [{name: a, environment: test, spec: {port: 80}}]\npipeline: {command: make}\n",
        SHOP.replace("pipeline: {command: make}\n", "") + "pipeline: {command: make}\n",
    ],
)
def test_where_nothing_can_be_added_below_the_spec_is_written_anew(text):
    found = parse_service_spec(with_instance(text, InstanceSpec("b", "live", {})))
    assert found.pipeline == {"command": "make"}
    assert [instance.name for instance in found.instances] == ["a", "b"]


def test_an_instance_takes_the_place_of_one_of_its_name():
    found = parse_service_spec(with_instance(SHOP, InstanceSpec("a", "live", {})))
    assert found.instances == (InstanceSpec("a", "live", {}),)
