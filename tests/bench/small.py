"""Goal 8, small: what the daemon takes while nothing happens, with a large fleet in its database."""

import tempfile
import time
from pathlib import Path
from statistics import median

from tests.bench import multitudes
from tests.bench.figures import Report, Size
from tests.bench.processes import command_of, cpu, megabytes, upkeep

SETTLES_FOR = 5.0
"""Seconds in which a daemon that has just started comes to rest."""


def measure(size: Size, report: Report) -> None:
    """Start the daemon several times, over a fleet and over nothing, and let it be idle."""
    resources = min(size.resources[-1], 100_000)
    filled = f"1,000 sources and {resources:,} resources"
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        report.say(f"filling a database with {filled}")
        multitudes.database(folder / "filled" / "state", resources)
        starts: dict[str, list[float]] = {"empty": [], "filled": []}
        used: dict[str, list[float]] = {"empty": [], "filled": []}
        for number in range(max(3, size.rounds)):
            report.say(f"start {number + 1}")
            for kind, found in starts.items():
                began = time.monotonic()
                with upkeep("serve", folder / kind, "") as (_, process):
                    found.append(time.monotonic() - began)
                    used[kind].append(cpu(process.pid))
        report.say(f"idle for {size.idle_for:g} s")
        with upkeep("serve", folder / "filled", "") as (_, process):
            time.sleep(SETTLES_FOR)
            before, began = cpu(process.pid), time.monotonic()
            time.sleep(size.idle_for)
            share = (cpu(process.pid) - before) / (time.monotonic() - began) * 100
            held = [(_called(pid), amount) for pid, amount in sorted(megabytes(process.pid).items())]
    report.add(
        f"memory of the idle daemon, all processes (PSS), {filled}",
        "MB",
        sum(amount for _, amount in held),
        at_most=200.0,
    )
    for name, amount in held:
        report.add(f"of it {name}", "MB", amount)
    report.add(f"processor time of the idle daemon, {filled}", "% of a core", share, at_most=1.0)
    report.add(f"from its start to an answer of /readyz, {filled}", "s", median(starts["filled"]), at_most=3.0)
    report.add("the same, processor time of all processes", "s", median(used["filled"]))
    report.add("from its start to an answer of /readyz, nothing in its database", "s", median(starts["empty"]))


def _called(pid: int) -> str:
    words = command_of(pid).split()
    return next((word for word in ("serve", "worker", "gunicorn") if word in words), " ".join(words[:4]))
