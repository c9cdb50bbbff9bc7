"""Loop: claims work that is due and has it done, a bounded number of each kind at a time, until told to stop."""

import random
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from threading import Event, Lock, Thread

import structlog

from upkeep import watch
from upkeep.domain.errors import LostLease, TransientError, UpkeepError
from upkeep.domain.work import Claim, WorkKind
from upkeep.flows.ports import Store, Unit
from upkeep.worker import setback
from upkeep.worker.works import Work, about

IDLE_AT_MOST = timedelta(seconds=30)
"""The longest sleep without looking at the rows, should a ring get lost."""

FULL_AT_MOST = timedelta(seconds=1)
"""The longest sleep while a kind of work has no free place."""

FIRST_RETRY_AFTER = timedelta(seconds=1)
LONGEST_RETRY_AFTER = timedelta(minutes=10)
"""What may work later is tried again after a second, then two, four …, up to this."""

FIRST_BUG_RETRY_AFTER = timedelta(minutes=1)
BUG_ATTEMPTS_AT_MOST = 5
"""After a bug, work is tried again in 1, 4, 16 and 64 minutes, and then set aside."""

SET_ASIDE_FOR = timedelta(days=3650)
"""Work that only a person can help stays in its row, with its failure, until somebody asks for it again."""

_log = structlog.get_logger(__name__)


class Worker:
    """One worker of possibly several on the same store.

    `concurrency` is how many works of each kind run at a time, unless `at_once` says another number for a kind: each
    has its own places, so that slow syncs never hold up a deployment or a notice. Of `errands`, the last one is run in
    the transaction of the next claim, which may find what it asks for. `on_setback` is called when the clock was set
    back, `chance` gives numbers from 0 to 1 for jitter.
    """

    def __init__(
        self,
        store: Store,
        works: Mapping[WorkKind, Work],
        *,
        clock: Callable[[], datetime],
        lease_for: timedelta,
        concurrency: int,
        at_once: Mapping[WorkKind, int] | None = None,
        errands: deque[Callable[[Unit], None]] | None = None,
        on_setback: Callable[[], None] = lambda: None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._works = works
        self._clock = clock
        self._lease_for = lease_for
        self._places = {kind: (at_once or {}).get(kind, concurrency) for kind in works}
        self._errands = deque() if errands is None else errands
        self._on_setback = on_setback
        self._chance = chance
        self._stopping = Event()
        self._lock = Lock()
        self._held: dict[Claim, Future[None]] = {}
        self._outages = 0

    def run(self, *, finish_within: timedelta = timedelta(seconds=5)) -> bool:
        """Work until `stop` is called, from another thread; returns whether all that was begun has ended.

        What has not ended within `finish_within` after the stop is given back for other workers; its threads cannot
        write any more once one of them claims it.
        """
        pool = ThreadPoolExecutor(sum(self._places.values()), thread_name_prefix="work")
        renewer = Thread(target=self._renew, name="leases", daemon=True)
        renewer.start()
        seen: tuple[datetime, float] | None = None
        while not self._stopping.is_set():
            try:
                seen = self._watch_clock(seen)
                self._claim_or_sleep(pool)
            except Exception as failure:
                self._wait_out(failure)
            else:
                self._answered()
        return self._finish(pool, finish_within)

    def stop(self) -> None:
        """Let `run` end. Not for signal handlers, which may have interrupted the store."""
        self._stopping.set()
        self._ring()

    def _claim_or_sleep(self, pool: ThreadPoolExecutor) -> None:
        with self._lock:
            running = Counter(claim.kind for claim in self._held)
        free = [kind for kind in self._works if running[kind] < self._places[kind]]
        now = self._clock()
        errand = self._errands.pop() if self._errands else None
        due_at = self._next_due_at(free) if errand is None else now
        claim = None
        if due_at is not None and due_at <= now:
            # What a failure of the power undoes of this is due again.
            with self._store.write(durable=False) as unit:
                if errand is not None:
                    errand(unit)
                claim = unit.work.claim(free, now, self._lease_for)
        if claim is not None:
            with self._lock:
                self._held[claim] = pool.submit(self._do, claim)
            return
        longest = IDLE_AT_MOST if len(free) == len(self._works) else FULL_AT_MOST
        if due_at is not None and due_at > now:
            longest = min(longest, due_at - now)
        elif due_at is not None:
            longest = FULL_AT_MOST
        self._store.wait(at_most=longest)

    def _next_due_at(self, kinds: Sequence[WorkKind]) -> datetime | None:
        with self._store.read() as unit:
            return unit.work.next_due_at(kinds)

    def _do(self, claim: Claim) -> None:
        with watch.stretch("work", claim.kind.value, {"work": claim.kind.value} | about(claim)) as working:
            began = time.monotonic()
            try:
                self._works[claim.kind](claim)
            except LostLease:
                working.outcome = "lost"
                _log.info("left to the worker that has claimed it meanwhile")
            except Exception as failure:
                working.error = failure
                working.outcome = self._put_off(claim, failure)
            else:
                _log.debug("worked", cause=claim.cause, seconds=round(time.monotonic() - began, 3))
            finally:
                with self._lock:
                    self._held.pop(claim, None)
                self._ring()

    def _put_off(self, claim: Claim, failure: Exception) -> str:
        """Write the failure on the work's row, and when to try again; returns the outcome in one word."""
        outcome = "set_aside"
        if isinstance(failure, TransientError):
            outcome = "retried"
            doubled = FIRST_RETRY_AFTER * 2 ** min(max(claim.attempts - 1, 0), 16)
            wait_for = failure.retry_after or min(doubled, LONGEST_RETRY_AFTER) * (0.8 + 0.4 * self._chance())
            _log.warning("failed, is tried again", reason=str(failure), again_in=round(wait_for.total_seconds(), 1))
        elif isinstance(failure, UpkeepError):
            wait_for = SET_ASIDE_FOR
            _log.error("failed, is set aside until somebody asks again", reason=str(failure))
        elif claim.attempts < BUG_ATTEMPTS_AT_MOST:
            outcome = "bug"
            wait_for = FIRST_BUG_RETRY_AFTER * 4 ** max(claim.attempts - 1, 0)
            _log.critical("failed by a bug", exc_info=failure, again_in=round(wait_for.total_seconds(), 1))
        else:
            wait_for = SET_ASIDE_FOR
            _log.critical("failed by a bug too often, is set aside until somebody asks again", exc_info=failure)
        # What a bug says can quote anything, also a secret: pages show its name, and the log its trace.
        what = str(failure) if isinstance(failure, UpkeepError) else f"bug: {type(failure).__name__}, see the log"
        try:
            with self._store.write() as unit:
                unit.work.retry(claim, self._clock() + wait_for, what)
        except LostLease:
            _log.info("left to the worker that has claimed it meanwhile")
        except UpkeepError as outage:
            _log.warning(
                "the failure could not be written down; the work is due when its lease ends", reason=str(outage)
            )
        return outcome

    def _renew(self) -> None:
        """Prolong all leases held, every third of a lease, until the worker stops."""
        while not self._stopping.wait(self._lease_for.total_seconds() / 3):
            with self._lock:
                held = list(self._held)
            if not held:
                continue
            try:
                with self._store.write(durable=False) as unit:
                    until = self._clock() + self._lease_for
                    lost = [claim for claim in held if not unit.work.renew(claim, until)]
            except Exception as failure:
                _log.warning("leases could not be renewed", reason=str(failure), held=len(held))
                continue
            for claim in lost:
                _log.info("a lease was lost", work=claim.kind.value, subject=claim.subject)

    def _watch_clock(self, seen: tuple[datetime, float] | None) -> tuple[datetime, float]:
        """Notice, at the start and between two looks, that the clock was set back."""
        now, elapsed = self._clock(), time.monotonic()
        set_back = seen is not None and now - seen[0] < timedelta(seconds=elapsed - seen[1]) - setback.TOLERANCE
        if seen is None or set_back:
            with self._store.write() as unit:
                found = setback.recover(unit, now)
            if found:
                _log.warning("the clock was set back; what was put off until then is due now", found=found)
            if set_back:
                self._on_setback()
        return now, elapsed

    def _wait_out(self, failure: Exception) -> None:
        """The rows cannot be read: say so once, and try again ever more slowly."""
        self._outages += 1
        if self._outages == 1:
            trace = None if isinstance(failure, UpkeepError) else failure
            _log.error("no work can be claimed", reason=str(failure), exc_info=trace)
        self._stopping.wait(min(2 ** min(self._outages - 1, 5), 30) * (0.8 + 0.4 * self._chance()))

    def _answered(self) -> None:
        if self._outages:
            _log.info("work can be claimed again", failures=self._outages)
            self._outages = 0

    def _ring(self) -> None:
        try:
            self._store.ring()
        except UpkeepError as failure:
            _log.debug("nobody could be woken", reason=str(failure))

    def _finish(self, pool: ThreadPoolExecutor, within: timedelta) -> bool:
        with self._lock:
            begun = list(self._held.values())
        wait(begun, timeout=within.total_seconds())
        pool.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            left = list(self._held)
        for claim in left:
            try:
                with self._store.write() as unit:
                    unit.work.retry(claim, self._clock(), "its worker was stopped")
            except UpkeepError as failure:
                _log.warning("a lease could not be given back and will run out", reason=str(failure))
        return not left
