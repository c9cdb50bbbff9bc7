from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from upkeep.domain.lag import PublishedVersion, Standing, measure
from upkeep.domain.names import Version

START = datetime(2026, 1, 1, tzinfo=UTC)


def published(*texts: str) -> list[PublishedVersion]:
    """Versions published one day after the other, in the order given."""
    return [
        PublishedVersion(Version(*map(int, text.split("."))), START + timedelta(days=day))
        for day, text in enumerate(texts)
    ]


def test_the_recommended_version_is_up_to_date():
    lag = measure(Version(1, 2), Version(1, 2), Version(1, 2), published("1.0", "1.1", "1.2"))
    assert (lag.standing, lag.minors, lag.majors, lag.since) == (Standing.UP_TO_DATE, 0, 0, None)


def test_minors_are_counted_in_published_versions_and_dated_by_the_first_missed():
    lag = measure(Version(1, 0), Version(1, 5), Version(1, 5), published("1.0", "1.3", "1.5"))
    assert (lag.standing, lag.minors, lag.majors) == (Standing.BEHIND_MINOR, 2, 0)
    assert lag.since == START + timedelta(days=1)


def test_a_newer_major_counts_beside_the_minors_of_the_running_one():
    lag = measure(Version(1, 0), Version(3, 0), Version(1, 1), published("1.0", "2.0", "1.1", "2.1", "3.0"))
    assert (lag.standing, lag.minors, lag.majors) == (Standing.BEHIND_MAJOR, 1, 2)
    assert lag.since == START + timedelta(days=1)


def test_a_minor_above_the_recommended_one_is_not_missed():
    lag = measure(Version(1, 0), Version(1, 1), Version(1, 1), published("1.0", "1.1", "1.2"))
    assert lag.minors == 1


def test_a_version_newer_than_the_recommended_is_ahead_and_not_behind():
    lag = measure(Version(1, 5), Version(1, 4), Version(1, 4), published("1.4", "1.5"))
    assert lag.standing is Standing.AHEAD
    assert not lag.behind


def test_nothing_recommended_means_nothing_is_behind():
    assert measure(Version(1, 5), None, None, []).standing is Standing.UP_TO_DATE


versions = st.builds(Version, st.integers(1, 3), st.integers(0, 4))


@given(st.sets(versions, min_size=1), versions)
def test_what_is_behind_has_a_date_and_what_is_not_has_none(offered, running):
    entries = [PublishedVersion(version, START + timedelta(days=i)) for i, version in enumerate(sorted(offered))]
    own = [version for version in offered if version.major == running.major]
    lag = measure(running, max(offered), max(own, default=None), entries)
    assert (lag.since is not None) == lag.behind
    assert lag.behind == (running < max(offered))
