"""The bench: `python -m tests.bench [--size tiny|usual|full] [PART ...]`, or `make bench`.

Every part runs in a process of its own, and whatever it leaves behind is ended. A part that fails is a row of the
table like any other, and makes the exit status 1; a goal that is missed does not, because the table says it.
"""

import argparse
import importlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.bench import documents, multitudes
from tests.bench.figures import SIZES, Curve, Report, Row, as_json, from_json
from tests.bench.processes import ROOT, adopt_orphans, end_all

PARTS = {
    "intake": "1 Intake",
    "push": "2 Push to draft",
    "polling": "3 Polling",
    "replay": "4 Replay",
    "rendering": "5 Rendering",
    "fleet": "6 Fleet",
    "deployments": "7 Deployments",
    "small": "8 Small",
    "peers": "Peers",
}

LONGEST = {"tiny": 300, "usual": 600, "full": 3600}
"""Seconds after which a part is ended."""


def main() -> None:
    """Measure what is asked for, print it, and keep it."""
    asking = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure Upkeep beside its floors.")
    asking.add_argument("parts", nargs="*", choices=[[], *PARTS], help="all, if none is named")
    asking.add_argument("--size", default="usual", choices=SIZES)
    asking.add_argument("--write", action="store_true", help="write docs/performance.json and the document it is for")
    asking.add_argument("--alone", metavar="FILE", help=argparse.SUPPRESS)
    asked = asking.parse_args()
    parts = asked.parts or list(PARTS)
    if asked.alone:
        _alone(parts[0], asked.size, Path(asked.alone))
        return
    adopt_orphans()
    # Ends what was started, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    rows: list[Row] = []
    curves: list[Curve] = []
    failed = False
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="upkeep-bench-") as folder:
        for number, part in enumerate(parts, 1):
            print(f"[{number}/{len(parts)}] {PARTS[part]}", file=sys.stderr, flush=True)
            found, drawn, well = _measured(part, asked.size, Path(folder))
            rows += found
            curves += drawn
            failed = failed or not well
            print(documents.table(found), flush=True)
    print(f"\nAll of it, in {time.monotonic() - began:.0f} s:\n\n{documents.table(rows)}")
    facts = {"size": asked.size, "machine": _machine(), "seconds": round(time.monotonic() - began)}
    kept = {**facts, **as_json(rows, curves)}
    if asked.write:
        documents.write(kept, rows, curves)
    place = ROOT / "build" / "bench.json"
    place.parent.mkdir(exist_ok=True)
    place.write_text(json.dumps(kept, indent=1) + "\n")
    print(f"\nWritten to {place.relative_to(ROOT)}", file=sys.stderr)
    sys.exit(failed)


def _measured(part: str, size: str, folder: Path) -> tuple[list[Row], list[Curve], bool]:
    """The figures of a part, as far as it came, and whether it came to its end."""
    place = folder / f"{part}.json"
    command = [sys.executable, "-m", "tests.bench", part, "--size", size, "--alone", str(place)]
    environment = {**os.environ, "TMPDIR": str(folder), multitudes.FOLDER_VARIABLE: str(folder)}
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, env=environment)
    try:
        process.wait(LONGEST[size])
        why = "" if process.returncode == 0 else f"it ended with {process.returncode}"
    except subprocess.TimeoutExpired:
        why = f"it was ended after {LONGEST[size]} s"
    finally:
        end_all(os.getpid())
    kept = json.loads(place.read_text()) if place.exists() else {"rows": [], "curves": [], "failed": why}
    rows, curves = from_json(kept)
    why = why or kept["failed"]
    if why:
        rows.append(Row(PARTS[part], "the rest of this part", missing=f"failed: {why}"))
    return rows, curves, not why


def _alone(part: str, size: str, place: Path) -> None:
    """Measure one part, in this process, and write what was found even if it fails."""

    def say(text: str) -> None:
        print(f"      {text}", file=sys.stderr, flush=True)
        keep("it did not come to its end")

    def keep(failed: str) -> None:
        place.write_text(json.dumps({**as_json(report.rows, report.curves), "failed": failed}))

    report = Report(PARTS[part], say)
    try:
        importlib.import_module(f"tests.bench.{part}").measure(SIZES[size], report)
        keep("")
    except Exception as failure:
        traceback.print_exc()
        keep(f"{type(failure).__name__}: {failure}"[:300])


def _machine() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return f"{os.cpu_count()} of {model}, Python {platform.python_version()}, Linux {platform.release().split('-')[0]}"


if __name__ == "__main__":
    main()
