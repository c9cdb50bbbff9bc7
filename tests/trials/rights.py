"""Everything that can be asked, by everybody who can ask: the lists in which a new route fails until it stands there.

The lists are those of the tests of the web, the API and Proton's API, which this runs and counts. Whoever works at the
command line of the host acts as an admin: they can read the configuration and reach the database, so there is nothing
left to refuse them.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.trials.trial import Outcome, Promise, Rounds, Trial
from tests.web import test_access as pages
from tests.web.api import test_access as api
from upkeep.domain.people import Scope

ROOT = Path(__file__).parents[2]
LISTS = ["tests/web/test_access.py", "tests/web/api/test_access.py"]
BESIDE = [
    "tests/web/test_ownership.py",
    "tests/proton/test_signature.py",
    "tests/proton/test_requests.py",
    "tests/flows/test_admit.py",
]


def run(seed: int, rounds: int, folder: Path) -> Outcome:
    """The lists of pages and API in one round; ownership, Proton's API and signing in with a second. Nothing here is
    left to chance."""
    rooms = LISTS + (BESIDE if rounds > 1 else [])
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", f"--basetemp={folder}/tests"]
    done = subprocess.run([*command, *rooms], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    counts = {word: int(count) for count, word in re.findall(r"(\d+) (passed|failed|error|skipped)", done.stdout)}
    routes = len(pages.OPEN) + len(pages.LOOKS) + len(pages.ADMINS_LOOK) + len(pages.ACTS)
    operations = len(api.LOOKS) + len(api.ACTS)
    visitors, holders = len(pages.ROLES) + 1, len(api.ROLES) * (len(Scope) + 1) + 2
    broken = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if done.returncode and not broken:
        broken = [done.stdout[-500:] + done.stderr[-500:]]
    return Outcome(
        f"{routes} routes by {visitors} visitors, {operations} operations by {holders} holders of tokens or none",
        f"{routes * visitors + operations * holders:,} pairs, each answered as the lists say;"
        f" {counts.get('passed', 0)} tests passed",
        tuple(broken),
    )


TRIAL = Trial("rights", Promise.RIGHTS, Rounds(0, 1, 2), run)
