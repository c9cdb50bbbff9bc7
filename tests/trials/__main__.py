"""`python -m tests.trials`: try the promises, print one table, and end with 1 when one of them is broken."""

import argparse
import secrets
import signal
import sys
from pathlib import Path

from tests.trials import report
from tests.trials.hall import Held, hold, own_world, trials
from tests.trials.trial import Size

OUTPUT = Path(__file__).parents[2] / ".cache" / "trials.json"


def main() -> int:
    """Hold the trials that are asked for."""
    # What is told to end gives back what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    known = {trial.name: trial for trial in trials()}
    asked = _asked(sorted(known))
    if asked.list:
        for trial in known.values():
            print(f"{trial.name:24} {trial.promise}")
        return 0
    seed = secrets.randbelow(10**9) if asked.seed is None else asked.seed
    held: list[Held] = []
    with own_world():
        try:
            for trial in known.values():
                rounds = asked.rounds or trial.rounds.at(asked.size)
                if rounds and (not asked.names or trial.name in asked.names):
                    held.append(hold(trial, seed, rounds))
                    sys.stdout.flush()
        except KeyboardInterrupt:
            print("interrupted; what was held until then:")
    print(f"\n{report.table(held)}\n")
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(report.as_json(held, asked.size) + "\n")
    print(f"{sum(one.seconds for one in held):.0f} s in all; the same as JSON: {asked.json}")
    if asked.write:
        report.write(held, asked.size)
    return 0 if held and all(one.kept for one in held) else 1


def _asked(names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.trials", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"trials to hold, all without one: {', '.join(names)}")
    parser.add_argument("--size", type=Size, choices=list(Size), default=Size.SHORT, help="how much to try")
    parser.add_argument("--rounds", type=int, help="how many rounds of each, instead of what the size says")
    parser.add_argument("--seed", type=int, help="what chance is drawn from; any without it")
    parser.add_argument("--json", type=Path, default=OUTPUT, help="where to write the table for programs")
    parser.add_argument("--write", action="store_true", help="write the table into docs/reliability.md")
    parser.add_argument("--list", action="store_true", help="list the trials")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(names):
        parser.error(f"there is no trial {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return asked


if __name__ == "__main__":
    sys.exit(main())
