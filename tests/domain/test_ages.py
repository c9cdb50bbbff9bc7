from datetime import UTC, datetime, timedelta

import pytest

from upkeep.domain.ages import age, working_days

FRIDAY = datetime(2026, 2, 27, 18, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("later", "days"),
    [
        (timedelta(0), 0),
        (timedelta(hours=1), 0),
        (timedelta(days=1), 0),
        (timedelta(days=2), 0),
        (timedelta(days=3), 1),
        (timedelta(days=7), 5),
        (timedelta(days=10), 6),
        (timedelta(days=365), 261 - 1),
        (timedelta(days=-3), 0),
    ],
)
def test_weekends_do_not_count(later, days):
    assert working_days(FRIDAY, FRIDAY + later) == days


def test_working_days_agree_with_counting_them_one_by_one():
    for start in range(7):
        since = FRIDAY + timedelta(days=start)
        for span in range(40):
            counted = sum((since + timedelta(days=n)).weekday() < 5 for n in range(1, span + 1))
            assert working_days(since, since + timedelta(days=span)) == counted


@pytest.mark.parametrize(
    ("later", "words"),
    [
        (timedelta(seconds=-5), "less than a minute"),
        (timedelta(seconds=59), "less than a minute"),
        (timedelta(minutes=2), "2 min"),
        (timedelta(minutes=59, seconds=59), "59 min"),
        (timedelta(hours=3), "3 h"),
        (timedelta(days=2), "less than a working day"),
        (timedelta(days=3), "1 working day"),
        (timedelta(days=12), "8 working days"),
    ],
)
def test_an_age_is_said_in_the_largest_unit_that_fits(later, words):
    assert age(FRIDAY, FRIDAY + later) == words
