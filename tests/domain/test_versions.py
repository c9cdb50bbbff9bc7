import pytest
from hypothesis import given
from hypothesis import strategies as st

from upkeep.domain.errors import CallerError
from upkeep.domain.names import Version, parse_major_folder, parse_resource_key, parse_template_name, parse_version
from upkeep.domain.versions import recommended_after_loss, recommended_after_publish

versions = st.builds(Version, st.integers(1, 4), st.integers(0, 9))


def test_publishing_the_highest_version_recommends_it():
    assert recommended_after_publish([Version(1, 0), Version(1, 1)], Version(1, 1), Version(1, 0)) == Version(1, 1)


def test_publishing_below_the_highest_moves_nothing():
    offered = [Version(1, 4), Version(1, 5), Version(2, 0)]
    assert recommended_after_publish(offered, Version(1, 5), Version(2, 0)) == Version(2, 0)
    assert recommended_after_publish(offered, Version(1, 5), Version(1, 4)) == Version(1, 4)


def test_losing_the_recommended_version_falls_back_to_the_one_below():
    assert recommended_after_loss([Version(1, 3), Version(1, 4), Version(1, 6)], Version(1, 5)) == Version(1, 4)


def test_losing_the_lowest_recommends_the_next_above():
    assert recommended_after_loss([Version(1, 3), Version(1, 4)], Version(1, 2)) == Version(1, 3)


@given(st.sets(versions), versions)
def test_a_recommended_version_is_always_one_that_is_offered(offered, lost):
    successor = recommended_after_loss(offered, lost)
    remaining = offered - {lost}
    assert successor in remaining if remaining else successor is None


@given(versions)
def test_a_version_reads_back_as_it_was_written(version):
    assert parse_version(str(version)) == version


@pytest.mark.parametrize(
    "text", ["", "1", "1.", ".1", "v1.0", "1.0.0", "01.0", "1.00", "1.-1", "1.0\n", "1.9999999999"]
)
def test_what_is_no_version_is_refused(text):
    with pytest.raises(CallerError, match="is not a version"):
        parse_version(text)


@pytest.mark.parametrize(
    ("folder", "major", "usual"), [("v1", 1, True), ("1", 1, False), ("v12", 12, True), ("v0", 0, True)]
)
def test_version_folders_name_their_major(folder, major, usual):
    found = parse_major_folder(folder)
    assert found is not None
    assert (found.major, found.usual) == (major, usual)


@pytest.mark.parametrize("folder", ["v", "V1", "v01", "v1.0", "version1", "latest", "v-1", ""])
def test_other_folders_name_none(folder):
    assert parse_major_folder(folder) is None


@pytest.mark.parametrize("text", ["", "-a", "_a", "a b", "a/b", "a" * 101, "ä", "a\n"])
def test_what_breaks_the_resource_name_rule_is_refused(text):
    with pytest.raises(CallerError):
        parse_template_name(text)


@pytest.mark.parametrize("text", ["environment/test", "instance/checkout/prod", "pipeline/checkout"])
def test_a_resource_key_reads_back_as_it_was_written(text):
    assert str(parse_resource_key(text)) == text


@pytest.mark.parametrize(
    "text", ["", "environment", "environment/a/b", "instance/a", "service/a", "pipeline/a/b", "environment/"]
)
def test_what_is_no_resource_key_is_refused(text):
    with pytest.raises(CallerError):
        parse_resource_key(text)
