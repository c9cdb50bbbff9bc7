from tests import builders
from upkeep.domain.schemachanges import InputChange, input_changes
from upkeep.domain.schemas import parse


def schema(members: str, required: str = ""):
    head = builders.ENVIRONMENT_SCHEMA.partition("        cidr:")[0]
    return parse(head + members + (f"      required: [{required}]\n" if required else ""))


CIDR = "        cidr:\n          type: string\n"
DAYS = "        days:\n          type: integer\n"


def test_equal_schemas_say_nothing():
    assert input_changes(schema(CIDR), schema(CIDR)) == ()
    assert input_changes(None, None) == ()


def test_what_is_new_and_what_is_gone_is_named_and_what_has_to_be_given_comes_first():
    after = schema(CIDR + DAYS + "        name:\n          type: string\n          default: web\n", "days")
    assert input_changes(schema(CIDR), after) == (
        InputChange("days", "added", ("an integer, to be given by everybody",), breaking=True),
        InputChange("name", "added", ('a string, "web" unless given',)),
    )
    assert input_changes(after, schema(CIDR))[0] == InputChange("days", "removed", (), breaking=True)
    assert input_changes(None, schema(CIDR)) == (InputChange("cidr", "added", ("a string, may be left out",)),)


def test_each_thing_that_changed_of_an_input_is_said():
    before = schema(DAYS + "          minimum: 1\n          default: 3\n")
    after = schema(DAYS + "          minimum: 2\n          maximum: 9\n          description: how long\n", "days")
    (change,) = input_changes(before, after)
    assert change.breaking
    assert change.words == (
        "has to be given now",
        "has no default any more, it was 3",
        "has `minimum` 2 now, it was 1",
        "has `maximum` 9 now",
        "is described in other words",
    )
    (back,) = input_changes(after, before)
    assert not back.breaking
    assert back.words[:3] == ("may be left out now", "has the default 3 now", "has `minimum` 1 now, it was 2")
    (retyped,) = input_changes(schema(CIDR), schema(CIDR.replace("string", "number")))
    assert (retyped.words, retyped.breaking) == (("is number now, it was string",), True)


def test_members_of_objects_are_named_with_dots():
    inner = (
        "        net:\n          type: object\n          properties:\n            size:\n              type: string\n"
    )
    added = inner + "            zone:\n              type: string\n"
    assert [change.name for change in input_changes(schema(inner), schema(added))] == ["net.zone"]
