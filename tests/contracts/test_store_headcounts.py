"""Counters that are kept are those that counting would give, whatever happens and whoever else writes."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import sqlalchemy as sa

from tests.builders import a_resource
from tests.trials.invariants import HEADCOUNTS
from upkeep.adapters.store import SqlStore, tables
from upkeep.domain.deployments import DeploymentStatus
from upkeep.domain.lag import Lag, Standing
from upkeep.domain.names import TemplateName, Version, environment_key
from upkeep.domain.resources import Counters
from upkeep.flows.ports import FleetFilter, FleetOrder, Unit

TEMPLATES = ("one", "two")
STEPS, WRITERS = 40, 3


def test_kept_counters_are_the_counted_ones_after_any_history(any_store: SqlStore) -> None:
    dice = random.Random(4)
    for _ in range(STEPS):
        with any_store.write() as unit:
            measure(unit, dice)
            for _ in range(4):
                step(unit, dice, 0)
        with any_store.read() as unit:
            require_true(unit)


def test_kept_counters_are_the_counted_ones_whoever_writes_at_the_same_time(any_store: SqlStore) -> None:
    def write(number: int) -> None:
        dice = random.Random(number)
        for _ in range(STEPS):
            with any_store.write() as unit:
                step(unit, dice, number) if number else measure(unit, dice)

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, range(WRITERS)))
    with any_store.read() as unit:
        require_true(unit)
    with any_store.write() as unit:
        unit.fleet.gather()
    with any_store.read() as unit:
        require_true(unit)
        assert not unit.fleet.scattered()
        places = unit._transaction.connection.execute(sa.select(tables.headcounts)).all()
        assert len(places) == len({place[1:-1] for place in places}) and all(place.resources > 0 for place in places)


def measure(unit: Unit, dice: random.Random) -> None:
    """What concerns many resources at once, and is done by one at a time."""
    if dice.random() < 0.2:
        unit.fleet.gather()
    else:
        unit.fleet.set_lag(TemplateName(dice.choice(TEMPLATES)), Version(1, dice.randrange(3)), a_lag(dice))


def step(unit: Unit, dice: random.Random, writer: int) -> None:
    """Something that can happen to one of a writer's own resources."""
    key, version = environment_key(f"environment-{writer}-{dice.randrange(12)}"), Version(1, dice.randrange(3))
    found = unit.fleet.find(key)
    if found is None:
        unit.fleet.add(a_resource(key, dice.choice(TEMPLATES), str(version), lag=a_lag(dice)))
        return
    match dice.randrange(5):
        case 0:
            unit.fleet.remove(key)
        case 1:
            unit.fleet.save(replace(found, status=DeploymentStatus.FAILED))
        case 2:
            unit.fleet.save(replace(found, owner="somebody"))
        case _:
            unit.fleet.save(replace(found, version=version, lag=a_lag(dice), status=DeploymentStatus.SUCCEEDED))


def a_lag(dice: random.Random) -> Lag:
    standing = dice.choice(list(Standing))
    return Lag(standing, minors=int(standing is Standing.BEHIND_MINOR), majors=int(standing is Standing.BEHIND_MAJOR))


def require_true(unit: Unit) -> None:
    assert unit._transaction.connection.execute(sa.text(HEADCOUNTS)).all() == []
    everything = unit.fleet.page(FleetFilter(), FleetOrder.NAME, None, 1000).resources
    assert unit.fleet.counters() == counted(everything)
    by_template = {name: [each for each in everything if each.template == name] for name in TEMPLATES}
    assert unit.fleet.counters_of() == {name: counted(some) for name, some in by_template.items() if some}
    for name, some in by_template.items():
        assert unit.fleet.counters(name) == counted(some)
        running = Counter(each.version for each in some)
        assert list(unit.fleet.running_versions(TemplateName(name))) == sorted(running)
        assert unit.registry.in_use(TemplateName(name)) == running


def counted(resources: list) -> Counters:
    standings = Counter(each.lag.standing for each in resources)
    return Counters(
        total=len(resources),
        failed=sum(each.status.failed for each in resources),
        **{standing.value: standings[standing] for standing in Standing},
    )
