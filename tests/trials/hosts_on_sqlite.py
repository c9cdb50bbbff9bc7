"""Two hosts on one SQLite file: the second is refused while the first lives, and let in once it was killed.

The second host is the same machine with another boot id, mounted over the kernel's for its processes alone.
"""

import os
import shutil
import time
import uuid
from pathlib import Path

from tests.trials.installation import Installation, eventually, installed
from tests.trials.trial import CannotTry, Outcome, Promise, Rounds, Trial

BOOT = "/proc/sys/kernel/random/boot_id"
REFUSED = 2


def on_another_host(folder: Path) -> tuple[str, ...]:
    """The command that runs another one as if on a host of its own."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        raise CannotTry("another host needs a mount namespace, which only root can make")
    boot = folder / "boot"
    boot.write_text(f"{uuid.uuid4()}\n")
    return ("unshare", "--mount", "sh", "-c", f'mount --bind "$0" {BOOT} && exec "$@"', str(boot))


def _refused(here: Installation, within: tuple[str, ...], *words: str) -> tuple[float, list[str]]:
    """How long a host waited until it was refused, and what is wrong with that."""
    mark, began = here.log.stat().st_size, time.monotonic()
    code = here.start(*words, within=within).wait(60)
    took = time.monotonic() - began
    wrong = [] if code == REFUSED else [f"`upkeep {' '.join(words)}` ended with {code}, not {REFUSED}"]
    for said in ("is in use by another host", "give all hosts one database of PostgreSQL"):
        if not here.logged(said, mark):
            wrong.append(f"`upkeep {' '.join(words)}` did not say: {said}")
    return took, wrong


def run(seed: int, rounds: int, folder: Path) -> Outcome:
    """So many times, a first host that is killed and a second one that takes over."""
    broken: list[str] = []
    refusals, takings = [], []
    with installed(folder / "home", "sqlite") as here:
        hosts: list[tuple[str, ...]] = [(), on_another_host(folder)]
        for number in range(rounds):
            first, second = hosts[number % 2], hosts[(number + 1) % 2]
            here.start("serve", within=first)
            takings.append(eventually("the daemon is ready", lambda: here.ask("/readyz")[0] == 200, here.last_words))
            for words in (("worker",), ("source", "list")):
                took, wrong = _refused(here, second, *words)
                refusals.append(took)
                broken += wrong
            if here.ask("/readyz")[0] != 200:
                broken.append("the first host is not ready any more after the second was refused")
            here.kill_all()
    return Outcome(
        f"{rounds} rounds, {len(refusals)} refusals",
        f"refused within {max(refusals):.0f} s, ready {max(takings):.0f} s after the other was killed",
        tuple(broken),
    )


TRIAL = Trial("hosts-on-sqlite", Promise.HOSTS, Rounds(0, 2, 6), run)
