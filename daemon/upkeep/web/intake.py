"""Intake: deliveries that come at the same time are written down together, because a commit is what costs."""

import threading
from dataclasses import dataclass, field

from upkeep.domain.deliveries import Delivery
from upkeep.flows.ports import Store
from upkeep.flows.receive import Arrival, Readers, WaitOf, receive

TOGETHER_AT_MOST = 100
"""Deliveries of one transaction."""


@dataclass(slots=True)
class _Place:
    """A delivery that waits to be written down, and the thread that waits with it."""

    arrival: Arrival
    woken: threading.Event = field(default_factory=threading.Event)
    written: Delivery | None = None
    fault: Exception | None = None


class Intake:
    """Writes deliveries down, each before `receive` returns. One of the threads that wait writes for all who came until
    it had its turn to write; who comes later waits for the next transaction, which one of these begins."""

    def __init__(self, store: Store, wait_of: WaitOf) -> None:
        self._store = store
        self._wait_of = wait_of
        self._readers = Readers()
        self._lock = threading.Lock()
        self._waiting: list[_Place] = []
        self._writing = False

    def receive(self, arrival: Arrival) -> Delivery:
        """What became of a delivery, once it is kept. Raises what the store raises."""
        place = _Place(arrival)
        with self._lock:
            self._waiting.append(place)
            leads = not self._writing
            self._writing = True
        if not leads:
            place.woken.wait()
        if place.written is None and place.fault is None:
            self._lead()
        if place.fault is not None:
            raise place.fault
        assert place.written is not None
        return place.written

    def _lead(self) -> None:
        """Write down what waits, then wake those it belongs to, and the first of those who came meanwhile."""
        together = self._those_who_wait()
        try:
            with self._store.write() as unit:
                # Once more, because the turn to write may have been waited for.
                together = self._those_who_wait()
                written = receive(unit, [place.arrival for place in together], self._readers, self._wait_of)
            for place, delivery in zip(together, written, strict=True):
                place.written = delivery
        except Exception as fault:
            for place in together:
                place.fault = fault
        finally:
            with self._lock:
                del self._waiting[: len(together)]
                following = self._waiting[:1]
                self._writing = bool(following)
            for place in (*together, *following):
                place.woken.set()

    def _those_who_wait(self) -> list[_Place]:
        with self._lock:
            return self._waiting[:TOGETHER_AT_MOST]
