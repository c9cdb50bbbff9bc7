"""The time that hosts on one database go by, however their own clocks are set."""

import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from upkeep.adapters.store import SqlStore, open_store
from upkeep.domain.work import WorkKind

LEASE = timedelta(minutes=1)

ANOTHER_HOST = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from upkeep.adapters.store import open_store
from upkeep.domain.work import WorkKind

store = open_store(sys.argv[1], state=Path(sys.argv[2]))
with store.write() as unit:
    claim = unit.work.claim([WorkKind.SYNC], store.now(), timedelta(minutes=1))
print(datetime.now(UTC).isoformat(), store.now().isoformat(), claim)
store.close()
"""


@pytest.fixture
def shared_url(databases):
    """A migrated database that hosts can share."""
    with databases.migrated("postgresql") as url:
        yield url


def on_a_host_whose_clock_is_off(by: str, url: str, state: Path) -> tuple[datetime, datetime, str]:
    """What that host's own clock says, what it goes by, and what it claims."""
    faketime = shutil.which("faketime")
    if faketime is None:
        pytest.skip("there is no faketime: apt-get install faketime")
    ran = subprocess.run(
        [faketime, "-f", by, sys.executable, "-c", ANOTHER_HOST, url, str(state)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    own, shared, claim = ran.stdout.strip().split(" ", 2)
    return datetime.fromisoformat(own), datetime.fromisoformat(shared), claim


@pytest.mark.parametrize(("by", "off"), [("+90s", timedelta(seconds=90)), ("-90s", timedelta(seconds=-90))])
def test_a_host_whose_clock_is_off_goes_by_that_of_the_database_and_takes_no_lease_before_its_time(
    by: str, off: timedelta, shared_url: str, tmp_path: Path
) -> None:
    store = open_store(shared_url, state=tmp_path)
    with store.write() as unit:
        unit.work.ask(WorkKind.SYNC, "a", store.now())
        assert unit.work.claim([WorkKind.SYNC], store.now(), LEASE) is not None
    store.close()
    slack = timedelta(seconds=1)
    before = datetime.now(UTC) - slack
    own, shared, claim = on_a_host_whose_clock_is_off(by, shared_url, tmp_path)
    after = datetime.now(UTC) + slack
    assert before + off <= own <= after + off
    assert before <= shared <= after
    assert claim == "None"


def test_between_two_looks_the_time_goes_on(any_store: SqlStore) -> None:
    first = any_store.now()
    while (second := any_store.now()) == first:
        continue
    assert first < second < first + timedelta(seconds=5)
