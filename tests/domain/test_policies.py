from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upkeep.domain.policies import MANUAL, WEEK, Day, Policies, Policy, UpdateMode, Window, allowed_at

AUTO = UpdateMode.MINOR_AUTOMATICALLY
BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
MINUTE = timedelta(minutes=1)


def window(opens, closes, *days, zone=BERLIN):
    return Window(frozenset(days or WEEK), time.fromisoformat(opens), time.fromisoformat(closes), zone)


def allowed(at, *windows):
    return allowed_at(Policy(AUTO, windows=windows), datetime.fromisoformat(at))


@pytest.mark.parametrize(
    ("at", "open_then"),
    [
        ("2026-03-02T07:59:59+00:00", False),
        ("2026-03-02T08:00:00+00:00", True),  # Monday, nine in Berlin
        ("2026-03-02T13:59:59+00:00", True),
        ("2026-03-02T14:00:00+00:00", False),
        ("2026-03-06T10:00:00+00:00", False),  # Friday
        ("2026-07-06T07:00:00+00:00", True),  # In summer nine comes earlier
        ("2026-07-06T13:00:00+00:00", False),
    ],
)
def test_a_window_is_open_on_its_days_and_hours_of_its_own_clocks(at, open_then):
    assert allowed(at, window("09:00", "15:00", Day.MONDAY, Day.TUESDAY)) is open_then


@pytest.mark.parametrize(
    ("at", "open_then"),
    [
        ("2026-03-06T22:00:00+01:00", True),  # Friday
        ("2026-03-07T03:59:00+01:00", True),
        ("2026-03-07T04:00:00+01:00", False),
        ("2026-03-07T22:30:00+01:00", False),
        ("2026-03-06T03:00:00+01:00", False),
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_it_opens(at, open_then):
    assert allowed(at, window("22:00", "04:00", Day.FRIDAY)) is open_then


def test_a_window_that_closes_when_it_opens_lasts_a_day():
    whole = window("06:00", "06:00", Day.SATURDAY)
    assert allowed("2026-03-07T06:00:00+01:00", whole)
    assert allowed("2026-03-08T05:59:00+01:00", whole)
    assert not allowed("2026-03-08T06:00:00+01:00", whole)


def test_an_hour_that_the_clocks_skip_never_comes():
    # On 29 March 2026 two o'clock in Berlin is three o'clock.
    at, end = datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 3, 29, 12, tzinfo=UTC)
    night = Policy(AUTO, windows=(window("02:00", "03:00"),))
    while at < end:
        assert not allowed_at(night, at)
        at += MINUTE


def test_an_hour_that_the_clocks_repeat_counts_twice():
    # On 1 November 2026 one o'clock in New York comes twice.
    at, minutes = datetime(2026, 11, 1, 4, tzinfo=UTC), 0
    night = Policy(AUTO, windows=(window("01:00", "02:00", zone=NEW_YORK),))
    for _ in range(240):
        minutes += allowed_at(night, at)
        at += MINUTE
    assert minutes == 120


def test_without_windows_any_time_will_do_and_by_hand_none():
    assert allowed("2026-03-02T03:00:00+00:00")
    assert not allowed_at(MANUAL, datetime(2026, 3, 2, tzinfo=UTC))
    assert not allowed_at(
        Policy(UpdateMode.MANUAL, windows=(window("00:00", "00:00"),)), datetime(2026, 3, 2, tzinfo=UTC)
    )


hours = st.times().map(lambda at: at.replace(second=0, microsecond=0, tzinfo=None))
zones = st.sampled_from([BERLIN, NEW_YORK, ZoneInfo("UTC"), ZoneInfo("Asia/Kolkata"), ZoneInfo("Australia/Lord_Howe")])
BOUNDS = datetime(2020, 1, 1), datetime(2030, 1, 1)  # noqa: DTZ001  (Hypothesis wants them naive)
moments = st.datetimes(*BOUNDS, timezones=st.just(UTC))


@given(hours, hours, st.sets(st.sampled_from(Day), min_size=1), zones, moments)
def test_a_window_and_the_one_that_lasts_from_its_end_to_its_beginning_share_the_week(opens, closes, days, zone, now):
    here = Window(frozenset(WEEK), opens, closes, zone)
    rest = Window(frozenset(WEEK), closes, opens, zone)
    if opens != closes:
        assert here.open_at(now) is not rest.open_at(now)
    some, others = Window(frozenset(days), opens, closes, zone), frozenset(WEEK) - days
    assert here.open_at(now) is (some.open_at(now) or Window(others, opens, closes, zone).open_at(now))


@given(moments, hours, hours, zones)
def test_what_time_zone_the_present_is_told_in_changes_nothing(now, opens, closes, zone):
    policy = Policy(AUTO, windows=(Window(frozenset(WEEK), opens, closes, zone),))
    assert allowed_at(policy, now) is allowed_at(policy, now.astimezone(NEW_YORK))


def test_the_first_policy_that_fits_holds():
    tests = Policy(AUTO, environments=("test", "test-*"))
    shop = Policy(AUTO, owners=("shop",), stage=1)
    policies = Policies((Policy(UpdateMode.MANUAL, environments=("test-frozen",)), tests, shop))
    assert policies.automatic
    assert policies.of("test-frozen", "shop").update is UpdateMode.MANUAL
    assert policies.of("test-7", None) is tests
    assert policies.of("live", "shop") is shop
    assert policies.of("live", None) is MANUAL
    assert not Policies().automatic
