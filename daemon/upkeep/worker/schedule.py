"""Schedule: what the clock asks for. The only place that knows APScheduler.

What is due stands in the database; the schedule only looks at it regularly, in memory and in every worker. Whoever
finds something does it in a transaction that nobody else is in at the time, so that the next finds it done.
"""

import random
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from upkeep.domain.errors import UpkeepError
from upkeep.domain.policies import Policies
from upkeep.flows import drift, follow, prune, rollout, tally
from upkeep.flows.ports import Store, Unit

POLL_EVERY = timedelta(seconds=5)
"""How often sources are looked through for those whose time has come."""

COMPARE_EVERY = timedelta(minutes=1)
"""How often resources are looked through for those that have to be compared again."""

UPDATE_EVERY = timedelta(seconds=30)
"""How often it is looked whether updates may begin by themselves."""

TALLY_EVERY = timedelta(minutes=1)
"""How often it is written down how the fleet stands."""

WAKE_EVERY = timedelta(minutes=1)
"""How often snoozes are ended whose time is over."""

PRUNE_EVERY = timedelta(hours=1)
"""How often it is looked whether somebody is to let go of old records."""

_log = structlog.get_logger(__name__)


class Schedule:
    """The ticks of one worker. `tidy` is done once a night; every resource is compared for drift every
    `drift_every_for`, if that is given; what `policies` allow to be updated by itself is looked for."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], datetime],
        tidy: Callable[[], None],
        drift_every_for: timedelta | None = None,
        policies: Policies | None = None,
    ) -> None:
        self.errands: deque[Callable[[Unit], None]] = deque(maxlen=1)
        """What the worker is to do in the transaction of its next claim, because it asks for what is then claimed."""
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._triggers: dict[str, BaseTrigger] = {
            "poll": IntervalTrigger(seconds=int(POLL_EVERY.total_seconds()), timezone=UTC),
            "tidy": CronTrigger(hour=3, jitter=3600, timezone=UTC),
        }
        look = _safely(lambda: look_for_polls(store, self.errands, clock()))
        self._scheduler.add_job(look, self._triggers["poll"], id="poll")
        self._scheduler.add_job(_safely(tidy), self._triggers["tidy"], id="tidy")
        for name, job, every_for in (
            ("tally", look_at_the_fleet, TALLY_EVERY),
            ("wake", wake, WAKE_EVERY),
            ("prune", look_after_records, PRUNE_EVERY),
        ):
            self._triggers[name] = IntervalTrigger(seconds=int(every_for.total_seconds()), timezone=UTC)
            tick = partial(_at, clock, job, store)
            self._scheduler.add_job(_safely(tick), self._triggers[name], id=name)
        if drift_every_for is not None:
            self._triggers["drift"] = IntervalTrigger(seconds=int(COMPARE_EVERY.total_seconds()), timezone=UTC)
            look = _safely(lambda: look_for_drift(store, drift_every_for, clock()))
            self._scheduler.add_job(look, self._triggers["drift"], id="drift")
        if policies is not None and policies.automatic:
            self._triggers["updates"] = IntervalTrigger(seconds=int(UPDATE_EVERY.total_seconds()), timezone=UTC)
            begin = _safely(lambda: look_for_updates(store, policies, clock()))
            self._scheduler.add_job(begin, self._triggers["updates"], id="updates")

    def start(self) -> None:
        """Begin to tick, in threads of its own."""
        self._scheduler.start()

    def realign(self) -> None:
        """Reckon all next ticks again from the present: the clock was set, and they may lie far ahead."""
        for name, trigger in self._triggers.items():
            self._scheduler.reschedule_job(name, trigger=_begun_anew(trigger))

    def stop(self) -> None:
        """Tick no more; what is being done is not waited for."""
        self._scheduler.shutdown(wait=False)


def look_for_polls(store: Store, errands: deque[Callable[[Unit], None]], now: datetime) -> None:
    """Have polls asked for of the sources whose time has come, when there are any, and by who then claims one."""
    with store.read() as unit:
        if not unit.sources.due(now, 1):
            return
    jitter = random.random()  # noqa: S311  (spreads load, guards nothing)
    errands.append(partial(_unless_done, "poll", lambda unit: follow.poll(unit, jitter=jitter, now=now)))
    store.ring()


def look_at_the_fleet(store: Store, now: datetime) -> None:
    """Write down how the fleet stands. Writes only when something has changed, or is old enough to go."""
    with store.read() as unit:
        if not unit.fleet.scattered() and not tally.changed(unit, now):
            return

    def write(unit: Unit) -> None:
        unit.fleet.gather()
        tally.write_down(unit, now)
        tally.thin(unit, now)

    _alone(store, "tally", write)


def wake(store: Store, now: datetime) -> None:
    """End the snoozes whose time is over. Writes only when there are any."""
    with store.read() as unit:
        if not unit.fleet.overslept(now):
            return
    _alone(store, "wake", lambda unit: unit.fleet.wake(now))


def look_after_records(store: Store, now: datetime) -> None:
    """Have old records pruned, unless that is written down already; it comes again by itself."""

    def ask(unit: Unit) -> None:
        if not prune.asked(unit):
            prune.ask(unit, now)

    with store.read() as unit:
        if prune.asked(unit):
            return
    _alone(store, "prune", ask)


def look_for_drift(store: Store, every_for: timedelta, now: datetime) -> None:
    """Ask for a comparison of the resources whose time has come. Writes only when there are any."""
    with store.read() as unit:
        if not unit.fleet.uncompared(now - every_for, 1):
            return
    _alone(store, "drift", lambda unit: drift.poll(unit, every_for, now=now))
    store.ring()


def look_for_updates(store: Store, policies: Policies, now: datetime) -> None:
    """Start the automatic rollouts that may begin now. Writes only when there are any."""
    with store.read() as unit:
        if not rollout.due(unit, policies, now=now):
            return
    _alone(store, "updates", lambda unit: rollout.follow_policies(unit, policies, now=now))
    store.ring()


def _alone(store: Store, errand: str, do: Callable[[Unit], object]) -> None:
    with store.write() as unit:
        _unless_done(errand, do, unit)


def _unless_done(errand: str, do: Callable[[Unit], object], unit: Unit) -> None:
    if unit.work.alone(errand):
        do(unit)


def _begun_anew(trigger: BaseTrigger) -> BaseTrigger:
    """An interval counts from when it was made, and by a clock that was set back that may be days ahead."""
    if isinstance(trigger, IntervalTrigger):
        return IntervalTrigger(seconds=int(trigger.interval.total_seconds()), timezone=UTC)
    return trigger


def _at(clock: Callable[[], datetime], job: Callable[[Store, datetime], None], store: Store) -> None:
    job(store, clock())


def _safely(job: Callable[[], None]) -> Callable[[], None]:
    """A tick that fails is logged and comes again; the loop says when the database is away."""

    def run() -> None:
        try:
            job()
        except UpkeepError as failure:
            _log.info("a tick failed and comes again", reason=str(failure))
        except Exception as failure:
            _log.critical("a tick failed by a bug", exc_info=failure)

    return run
