"""Where trials are held: finds them, runs them one after the other, and keeps what came of each."""

import importlib
import os
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.trials.trial import CannotTry, Outcome, Promise, Trial

HERE = Path(__file__).parent
_FRAME = {"__init__", "__main__", "hall", "trial", "report"}


@dataclass(frozen=True, slots=True)
class Held:
    """A trial that was held. `kept` is None when it could not be held here."""

    name: str
    promise: str
    rounds: int
    cases: str
    seen: str
    kept: bool | None
    seed: int
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return asdict(self)


def trials() -> Sequence[Trial]:
    """Every trial of this folder, in the order of the promises."""
    found: list[Trial] = []
    for path in sorted(HERE.glob("*.py")):
        if path.stem not in _FRAME and not path.stem.startswith("test_"):
            module = importlib.import_module(f"tests.trials.{path.stem}")
            found += [value for value in vars(module).values() if isinstance(value, Trial) and value not in found]
    order = list(Promise)
    return sorted(found, key=lambda trial: (order.index(trial.promise), trial.name))


def hold(trial: Trial, seed: int, rounds: int, *, say: Callable[[str], None] = print) -> Held:
    """Hold one trial in a folder of its own, which is kept when the promise was broken."""
    say(f"{trial.name}: {rounds} {'round' if rounds == 1 else 'rounds'}, seed {seed}")
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix=f"upkeep-trial-{trial.name}-"))
    kept: bool | None
    try:
        outcome = trial.run(seed, rounds, folder)
        kept = outcome.kept
    except (CannotTry, pytest.skip.Exception) as missing:
        outcome, kept = Outcome("none", f"not tried: {missing}"), None
    except Exception as fault:
        traceback.print_exc()
        outcome = Outcome("not all", f"{type(fault).__name__}: {fault}", (str(fault),))
        kept = False
    took = time.monotonic() - began
    for line in outcome.broken:
        say(f"  broken: {line}")
    if kept is False:
        say(f"  again: python -m tests.trials --seed {seed} --rounds {rounds} {trial.name}")
        say(f"  what it left is in {folder}")
    else:
        _remove(folder)
    seen = outcome.seen if outcome.kept else "; ".join([outcome.seen, *outcome.broken[:3]])
    say(f"  {'kept' if kept else 'not tried' if kept is None else 'BROKEN'} in {took:.1f} s: {outcome.cases}; {seen}")
    return Held(trial.name, trial.promise.value, rounds, outcome.cases, seen, kept, seed, round(took, 1))


@contextmanager
def own_world() -> Iterator[None]:
    """Neither the home nor the git configuration of whoever starts the trials matters, nor their own settings."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="upkeep-trials-home-") as home:
        for name in [name for name in os.environ if name.startswith(("GIT_", "XDG_", "UPKEEP_", "AWS_"))]:
            if name not in ("UPKEEP_TEST_POSTGRES", "UPKEEP_CACHE"):
                del os.environ[name]
        os.environ.update(HOME=home, GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM="1", GIT_TERMINAL_PROMPT="0")
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def _remove(folder: Path) -> None:
    # Not by shutil: a trial may have taken rights away, and a test of read-only folders must not fail in its tidying.
    for path, folders, files in os.walk(folder, topdown=False):
        for name in files:
            (Path(path) / name).unlink(missing_ok=True)
        for name in folders:
            inner = Path(path) / name
            inner.unlink() if inner.is_symlink() else inner.rmdir()
    folder.rmdir()
