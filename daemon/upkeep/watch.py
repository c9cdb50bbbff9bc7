"""Watch: what the daemon is doing, told to whoever counts, times or traces it, and to every line logged meanwhile.

A room tells of a stretch (a request, a piece of work, a git command) while it lasts, and of what happened. Who watches
is chosen at start; where nobody does, telling costs next to nothing. No room learns anything from it.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

_log = logging.getLogger(__name__)
_Told = TypeVar("_Told")

OK, FAILED = "ok", "failed"


@dataclass(slots=True, eq=False)
class Stretch:
    """Something that takes time: of a `kind`, and within it of one of a bounded number of names.

    `about` are the ids of what it deals with (`source`, `deployment`, …): they stand in the lines of the log and on
    spans, never in labels. `outcome` is one of few words, FAILED when it ends with an error; who knows better says so
    before it ends. `seconds` is how long it took, once it has ended. `within` is the stretch around it.
    """

    kind: str
    name: str
    about: dict[str, str] = field(default_factory=dict)
    outcome: str = OK
    error: BaseException | None = None
    seconds: float = 0.0
    within: "Stretch | None" = None


class Watcher(Protocol):
    """Somebody who counts, times or traces."""

    def begun(self, stretch: Stretch) -> Callable[[], None] | None:
        """A stretch begins, in this thread; what is returned is called when it has ended. May add to `about`."""

    def happened(self, what: str, name: str, seconds: float | None) -> None:
        """Something of a kind happened, under one of a bounded number of names; perhaps it had taken so long."""


_watchers: list[Watcher] = []
_minute: list[Watcher] = []
_current: ContextVar[Stretch | None] = ContextVar("upkeep_stretch", default=None)


@contextmanager
def watching(watcher: Watcher, *, minute: bool = False) -> Iterator[None]:
    """Let somebody watch while the block lasts. To be begun before what is watched is opened: single statements are
    told only if somebody looks at what is `minute`."""
    _watchers.append(watcher)
    if minute:
        _minute.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)
        if minute:
            _minute.remove(watcher)


def minutely() -> bool:
    """Whether somebody looks at what is too small and too frequent to be told to everybody."""
    return bool(_minute)


def happened(what: str, name: str, seconds: float | None = None) -> None:
    """Tell that something happened: an `event` of the journal, a `delivery`, a `deployment` that took so long."""
    for watcher in _watchers:
        _tell(watcher.happened, what, name, seconds)


@contextmanager
def stretch(kind: str, name: str, about: Mapping[str, str] | None = None) -> Iterator[Stretch]:
    """A stretch that lasts as long as the block."""
    here = Stretch(kind, name, dict(about or {}), within=_current.get())
    _current.set(here)
    endings = [_tell(watcher.begun, here) for watcher in _watchers]
    began = time.monotonic()
    try:
        yield here
    except BaseException as error:
        here.error = error
        if here.outcome == OK:
            here.outcome = FAILED
        raise
    finally:
        here.seconds = time.monotonic() - began
        for ending in reversed(endings):
            if ending is not None:
                _tell(ending)
        _current.set(here.within)


def _tell(tell: Callable[..., _Told], *what: object) -> _Told | None:
    """What a watcher answers. One that fails, as on a full disk, stops nobody's work."""
    try:
        return tell(*what)
    except Exception:
        _log.exception("what was done was not counted or traced")
        return None


def about(**ids: str | None) -> None:
    """Say of the stretch that lasts now what it deals with, as soon as that is known. Ids that are None say nothing."""
    here = _current.get()
    if here is not None:
        here.about.update({name: value for name, value in ids.items() if value is not None})


def known() -> dict[str, str]:
    """The ids of what this thread deals with now: of the stretch that lasts, and of those around it."""
    found: dict[str, str] = {}
    here = _current.get()
    while here is not None:
        found = here.about | found
        here = here.within
    return found
