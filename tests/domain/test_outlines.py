from hypothesis import given, settings
from hypothesis import strategies as st

from upkeep.domain.differences import difference
from upkeep.domain.outlines import REMARKS, section_changes, sections_of

BEFORE = """\
AWSTemplateFormatVersion: "2010-09-09"
Parameters:
  Size:
    Type: String
Resources:
  # the network
  Network:
    Type: AWS::EC2::VPC
    Properties:
      CidrBlock: 10.0.0.0/16
      Tags:
        - Key: name
          Value: one
  Topic:
    Metadata:
      x:
        Type: not this
    Type: AWS::SNS::Topic
Outputs:
  Id:
    Value: !Ref Network
"""


def changes(before, after):
    return section_changes(difference(before, after).blocks)


def told(found):
    return [(change.name, change.type, change.change, change.paths) for change in found]


def test_a_template_is_divided_into_its_logical_resources_and_its_other_sections():
    found = sections_of(BEFORE.splitlines())
    assert [(section.name, section.resource, section.type, section.at) for section in found] == [
        ("AWSTemplateFormatVersion", False, "", 1),
        ("Parameters", False, "", 2),
        ("Resources", False, "", 5),
        ("Network", True, "AWS::EC2::VPC", 7),
        ("Topic", True, "AWS::SNS::Topic", 14),
        ("Outputs", False, "", 19),
    ]


def test_each_change_is_told_of_its_own_resource_with_the_property_that_differs():
    after = (
        BEFORE.replace("10.0.0.0/16", "10.1.0.0/16")
        .replace("Value: one", "Value: two")
        .replace("  Topic:", "  Alarm:\n    Type: AWS::CloudWatch::Alarm\n  Topic:")
        .replace("    Value: !Ref Network", "    Value: !GetAtt Network.VpcId")
    )
    assert told(changes(BEFORE, after)) == [
        ("Network", "AWS::EC2::VPC", "changed", ("Properties.CidrBlock", "Properties.Tags.Value")),
        ("Alarm", "AWS::CloudWatch::Alarm", "added", ()),
        ("Outputs", "", "changed", ("Id.Value",)),
    ]


def test_a_comment_behind_a_resource_does_not_make_it_a_changed_one():
    before = "Resources:\n  A:\n    Type: X\n    Properties:\n      Size: 1\n\n  # B comes here.\n"
    after = before.replace("  # B comes here.\n", "  B:\n    Type: Y\n")
    assert told(changes(before, after)) == [("B", "Y", "added", ()), ("A", "X", REMARKS, ())]


def test_a_line_of_a_text_is_no_comment_whatever_it_begins_with():
    before = "Resources:\n  A:\n    Type: X\n    Properties:\n      UserData: |\n        #!/bin/sh\n        # start\n"
    found = told(changes(before, before.replace("        # start\n", "")))
    assert found == [("A", "X", "changed", ("Properties.UserData",))]


def test_a_resource_that_only_moved_did_not_change():
    start, end = BEFORE.index("  Network:"), BEFORE.index("  Topic:")
    stop = BEFORE.index("Outputs:")
    moved = BEFORE[:start] + BEFORE[end:stop] + BEFORE[start:end] + BEFORE[stop:]
    assert told(changes(BEFORE, moved)) == []


def test_a_removed_resource_keeps_the_numbers_it_had():
    start, end = BEFORE.index("  Topic:"), BEFORE.index("Outputs:")
    (change,) = changes(BEFORE, BEFORE[:start] + BEFORE[end:])
    assert (change.name, change.change) == ("Topic", "removed")
    (block,) = change.blocks
    assert (block.old_at, len(block.old), block.new) == (14, 5, ())


def test_json_over_many_lines_is_divided_too():
    before = '{\n  "Resources": {\n    "Topic": {\n      "Type": "AWS::SNS::Topic"\n    }\n  }\n}\n'
    after = before.replace('"AWS::SNS::Topic"', '"AWS::SQS::Queue"')
    assert told(changes(before, after)) == [("Topic", "AWS::SQS::Queue", "changed", ("Type",))]


def test_what_cannot_be_divided_is_left_whole():
    for before, after in (
        ("{{ broken", "{{ mended"),
        ('{"Resources": {}}', '{"Resources": {"A": 1}}'),
        ("Resources:\n  A: 1\n  A: 2\n", "Resources:\n  A: 3\n  A: 2\n"),
    ):
        (change,) = changes(before, after)
        assert (change.name, change.change, change.paths) == ("", "changed", ())
        assert change.blocks == difference(before, after).blocks


LINES = st.lists(
    st.sampled_from(
        ["Resources:", "Outputs:", "  A:", "  B:", "    Type: X::Y::Z", "    k: 1", "    k: 2", "", "# c", "}", "\t"]
    ),
    max_size=30,
)


@given(LINES, LINES)
@settings(max_examples=400, deadline=None)
def test_every_line_is_in_one_section_and_every_change_in_one_of_them(before, after):
    for lines in (before, after):
        assert [line for section in sections_of(lines) for line in section.lines] == lines
        at = 1
        for section in sections_of(lines):
            assert section.at == at
            at += len(section.lines)
    blocks = difference("".join(f"{line}\n" for line in before), "".join(f"{line}\n" for line in after)).blocks
    for change in section_changes(blocks):
        for block in change.blocks:
            assert list(block.old) == before[block.old_at - 1 : block.old_at - 1 + len(block.old)]
            assert list(block.new) == after[block.new_at - 1 : block.new_at - 1 + len(block.new)]
