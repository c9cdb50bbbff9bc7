"""The OpenAPI document, and a program that reads it and tries everything that it allows and forbids."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.web.api.conftest import a_token
from tests.web.furnished import furnish, people
from tests.web.served import served
from upkeep.adapters.clock import now as now_utc
from upkeep.adapters.store import migrate, open_store
from upkeep.domain import errors as error
from upkeep.web.api.document import document
from upkeep.web.api.operations import OPERATIONS
from upkeep.web.api.problems import MEANINGS

HERE = Path(__file__).parent
EXAMPLES = os.environ.get("UPKEEP_API_EXAMPLES", "2")
"""How many requests are made up for each operation in each way."""

SEED = os.environ.get("UPKEEP_API_SEED", "20261126")


@pytest.fixture
def port(tmp_path):
    url = f"sqlite:///{tmp_path / 'upkeep.db'}"
    migrate(url, state=tmp_path)
    store = open_store(url, state=tmp_path)
    furnish(store, now_utc())
    with store.write() as unit:
        people(unit)
        unit.people.add_token(a_token("admin", "upkeep_fuzz", now_utc()))
    store.close()
    with served(url, tmp_path) as (number, _):
        yield number


def test_every_operation_stands_in_the_document():
    listed = {(method.upper(), path) for path, methods in document()["paths"].items() for method in methods}
    assert listed == {(operation.method, operation.path) for operation in OPERATIONS}
    names = [operation.id for operation in OPERATIONS]
    assert len(names) == len(set(names))


@pytest.mark.timeout(1800)
def test_a_fuzzer_that_reads_the_document_finds_nothing(port, tmp_path):
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml")]
    command += ["run", f"http://127.0.0.1:{port}/api/v1/openapi.json", "--header", "Authorization: Bearer upkeep_fuzz"]
    command += ["--checks", "all", "--max-examples", EXAMPLES, "--seed", SEED, "--workers", "2", "--no-color"]
    command += ["--warnings", "off", "--continue-on-failure"]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.web.api.schemathesis_checks"}
    done = subprocess.run(command, cwd=HERE.parents[2], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"seed {SEED}\n{done.stdout[-20_000:]}\n{done.stderr[-2000:]}"


def test_the_page_of_the_api_has_every_operation_and_every_slug(visit):
    page = visit("viewer").page("/api")
    for operation in OPERATIONS:
        assert f"{operation.method} {operation.path}" in page.text
    families = [error.UpkeepError, *(each for each in vars(error).values() if isinstance(each, type))]
    slugs = {family.slug for family in families if issubclass(family, error.UpkeepError)}
    assert slugs - {"lost-lease", "settings"} <= MEANINGS.keys()


def test_the_document_tells_what_stands_below_the_members():
    schemas = document()["components"]["schemas"]
    assert schemas["Token"]["properties"]["used_at"]["description"] == "Within a minute."
    assert schemas["Member"]["properties"]["from"]["anyOf"] == [{"type": "string"}, {"type": "null"}]
