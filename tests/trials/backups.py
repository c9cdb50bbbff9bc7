"""Backups that are taken at full load, killed, and brought back on the other kind of database.

A round runs a daemon under load, kills one `upkeep backup` at random, lets another one end, and restores it elsewhere.
What was answered before the backup began is there, and all that always holds does. Then the daemon ends, and a backup
of it at rest comes back with everything: what `upkeep export` writes is the same, byte for byte.
"""

import random
import time
from pathlib import Path

import sqlalchemy as sa

from tests import builders
from tests.histories import a_repository
from tests.trials import invariants
from tests.trials.deliveries import Load
from tests.trials.installation import Installation, eventually, installed
from tests.trials.trial import Outcome, Promise, Rounds, Trial, chance

OTHER = {"sqlite": "postgresql", "postgresql": "sqlite"}


def _deliveries(here: Installation) -> set[str]:
    engine = sa.create_engine(here.database.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        found = set(connection.execute(sa.text("SELECT id FROM deliveries")).scalars())
    engine.dispose()
    return found


def _killed(here: Installation, dice: random.Random, file: Path) -> None:
    """Start a backup and kill it."""
    process = here.start("backup", str(file))
    time.sleep(dice.uniform(0.3, 2.0))
    process.kill()
    process.wait()


def _round(dice: random.Random, folder: Path, kind: str, name: str) -> tuple[int, list[str]]:
    folder.mkdir()
    repository = folder / "templates.git"
    a_repository(repository, [builders.under("network-env/v1", builders.environment_files())])
    source = {"name": "templates", "url": str(repository), "branch": "main", "poll_every_for": "1h"}
    broken = []
    with (
        installed(folder / "here", kind, {"sources": [source]}) as here,
        installed(folder / "there", OTHER[kind], {"sources": [source]}) as there,
    ):
        here.start("serve")
        here.await_ready()
        load = Load(here.port, name, str(repository))
        try:
            eventually("a delivery was answered", lambda: bool(load.answered), here.last_words)
            _killed(here, dice, folder / "killed")
            before = set(load.answered)
            here.run("backup", str(folder / "busy"))
        finally:
            load.end()
        if (folder / "killed").exists():
            # Killed too late: what has its name is whole.
            there.run("restore", "--replace", str(folder / "killed"))
        there.run("restore", "--replace", str(folder / "busy"))
        if lost := before - _deliveries(there):
            broken.append(f"{len(lost)} of {len(before)} deliveries that were answered before are not in the backup")
        broken += [f"restored under load: {fault}" for fault in invariants.broken(there.database)]
        here.kill_all()
        here.run("backup", str(folder / "resting"))
        there.run("restore", "--replace", str(folder / "resting"))
        here.run("export", str(folder / "one.json"))
        there.run("export", str(folder / "two.json"))
        if (folder / "one.json").read_bytes() != (folder / "two.json").read_bytes():
            broken.append("an export of what was restored differs from one of what was backed up")
        if lost := set(load.answered) - _deliveries(there):
            broken.append(f"{len(lost)} answered deliveries are lost")
        return len(load.answered), broken


def run(seed: int, rounds: int, folder: Path) -> Outcome:
    """So many, from SQLite to PostgreSQL and back in turn."""
    count, broken = 0, []
    for number in range(rounds):
        kind = ("sqlite", "postgresql")[number % 2]
        answered, faults = _round(chance(seed, "backups", number), folder / str(number), kind, f"b{number}")
        count += answered
        broken += [f"round {number}, from {kind}: {fault}" for fault in faults]
    return Outcome(
        f"{rounds} times from one kind of database to the other, {count:,} deliveries",
        "each backup under load held all that was answered before it, and only whole transactions;"
        " at rest, an export of what was restored is the same byte for byte",
        tuple(broken),
    )


TRIAL = Trial("backups", Promise.UPGRADES, Rounds(0, 2, 40), run)
