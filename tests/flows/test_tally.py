"""How the fleet stood, hour by hour."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from tests import builders
from upkeep.domain.lag import Lag, Standing
from upkeep.domain.names import TemplateName
from upkeep.domain.resources import Counters
from upkeep.domain.tallies import WHOLE_FLEET, Tally
from upkeep.flows import tally
from upkeep.flows.browse import trends
from upkeep.worker import schedule

ENV = TemplateName(builders.ENVIRONMENT_TEMPLATE)
BEHIND = Lag(Standing.BEHIND_MINOR, 1)


@pytest.fixture
def kept(any_store, now):
    with any_store.write() as unit:
        unit.fleet.add(builders.an_environment("one", lag=BEHIND))
        unit.fleet.add(builders.an_environment("two", lag=Lag(Standing.UP_TO_DATE)))
    schedule.look_at_the_fleet(any_store, now)
    return any_store


def test_what_stands_otherwise_is_written_down_once(kept, now):
    with kept.read() as unit:
        assert tally.changed(unit, now) == ()
        found = unit.tallies.last()
    standing = Counters(total=2, up_to_date=1, behind_minor=1)
    assert found == {name: Tally(name, now, standing) for name in (ENV, WHOLE_FLEET)}


def test_an_hour_keeps_its_last_word(kept, now):
    with kept.write() as unit:
        unit.fleet.save(replace(unit.fleet.get(builders.an_environment("two").key), lag=BEHIND))
    schedule.look_at_the_fleet(kept, now + timedelta(minutes=59))
    with kept.write() as unit:
        unit.fleet.remove(builders.an_environment("two").key)
    schedule.look_at_the_fleet(kept, now + timedelta(minutes=60))
    with kept.read() as unit:
        series = unit.tallies.of(ENV, now - timedelta(days=1))
        assert unit.tallies.worst(5) == series[-1:]
    assert [(found.at - now, found.counters.behind_minor) for found in series] == [
        (timedelta(), 2),
        (timedelta(hours=1), 1),
    ]


def test_what_has_no_resources_any_more_is_written_down_as_nothing(kept, now):
    with kept.write() as unit:
        for name in ("one", "two"):
            unit.fleet.remove(builders.an_environment(name).key)
    schedule.look_at_the_fleet(kept, now)
    schedule.look_at_the_fleet(kept, now)
    with kept.read() as unit:
        assert {found.counters.total for found in unit.tallies.last().values()} == {0}


def test_many_templates_are_written_down_by_as_few_statements_as_one(kept, now):
    said = []
    with kept.write() as unit:
        for number in range(20):
            unit.fleet.add(replace(builders.an_environment(f"e{number}"), template=TemplateName(f"env-{number}")))
        sa.event.listen(kept._database.engine, "before_cursor_execute", lambda *told: said.append(told[2]))
        assert tally.write_down(unit, now) == 21
        assert tally.changed(unit, now) == ()
    assert len([statement for statement in said if not statement.startswith("SELECT")]) == 2


def test_old_tallies_are_thinned_to_one_a_day_and_the_last_stays(any_store, now):
    with any_store.write() as unit:
        for hours in range(72, 0, -1):
            unit.tallies.keep(Tally(ENV, now - timedelta(hours=hours), Counters(total=hours, up_to_date=hours)))
        assert unit.tallies.thin(now - timedelta(days=2), now - timedelta(days=400)) == 22
        left = unit.tallies.of(ENV, now - timedelta(days=30))
        assert [found.counters.total for found in left[:3]] == [61, 49, 48]
        unit.tallies.thin(now, now)
        assert [found.counters.total for found in unit.tallies.of(ENV, now - timedelta(days=30))] == [1]


def test_a_history_begins_with_what_stood_before_it(any_store, now):
    with any_store.write() as unit:
        unit.tallies.keep(Tally(ENV, now - timedelta(days=200), Counters(total=3, up_to_date=3)))
        unit.tallies.keep(Tally(ENV, now - timedelta(days=2), Counters(total=4, up_to_date=4)))
    with any_store.read() as unit:
        past = trends.history(unit, ENV, now)
    assert past.since == now - trends.SHOWN_FOR
    assert [found.counters.total for found in past.tallies] == [3, 4]
