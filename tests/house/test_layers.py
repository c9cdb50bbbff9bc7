import re
import subprocess
import sys
from collections import defaultdict
from configparser import ConfigParser
from functools import cache
from importlib.metadata import packages_distributions

import pytest

from tests.house.rooms import ROOT, imports, modules

DOORS = {
    "alembic": ["upkeep.adapters.store"],
    "apscheduler": ["upkeep.worker.schedule"],
    "argon2": ["upkeep.adapters.passwords"],
    "authlib": ["upkeep.adapters.github"],
    "boto3": ["upkeep.adapters.cloudformation"],
    "botocore": ["upkeep.adapters.cloudformation", "upkeep.adapters.servicemodel"],
    "click": ["upkeep.cli"],
    "flask": ["upkeep.web"],
    "flask_wtf": ["upkeep.web"],
    "git": ["upkeep.adapters.git"],
    "gunicorn": ["upkeep.web.patience", "upkeep.wsgi"],
    "jinja2": ["upkeep.adapters.jinja"],
    "markupsafe": ["upkeep.web"],
    "opentelemetry": ["upkeep.adapters.tracing"],
    "prometheus_client": ["upkeep.adapters.metrics"],
    "psycopg": ["upkeep.adapters.store"],
    # Settings and requests are both read from outside, and every fault in them is told at once.
    "pydantic": ["upkeep.settings", "upkeep.web.api", "upkeep.web.payloads"],
    "pydantic_core": ["upkeep.settings"],
    "regex": ["upkeep.domain.patterns"],
    "requests": ["upkeep.adapters.github"],
    "slack_sdk": ["upkeep.adapters.slack"],
    "sqlalchemy": ["upkeep.adapters.store"],
    "structlog": ["upkeep.chronicle", "upkeep.cli", "upkeep.logs", "upkeep.worker", "upkeep.wsgi"],
    "werkzeug": ["upkeep.web"],
    "yaml": ["upkeep.domain.documents"],
}
"""The only rooms that may import each third-party package."""


@cache
def entered() -> dict[str, set[str]]:
    """Which of our modules import which third-party package."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, module in modules().items():
        for imported in imports(module):
            package = imported.partition(".")[0]
            if package != "upkeep" and package not in sys.stdlib_module_names:
                found[package].add(name)
    return found


def inside(module: str, rooms: list[str]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def test_the_import_contracts_hold():
    # In a process of its own: it configures logging for itself and silences every logger there was.
    command = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    ran = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_third_party_package_has_a_door():
    unlisted = {package: sorted(names) for package, names in entered().items() if package not in DOORS}
    assert unlisted == {}


@pytest.mark.parametrize("package", DOORS)
def test_a_package_is_imported_through_its_door_and_nowhere_else(package):
    names = entered()[package]
    assert names, f"nothing imports {package} any more: take it off the list and out of setup.cfg"
    assert sorted(name for name in names if not inside(name, DOORS[package])) == []


LOADED = """
import sys
from contextlib import ExitStack
from pathlib import Path
from upkeep import wiring
from upkeep.settings import read

settings = read("provisioner: cloudformation", "upkeep.yaml", folder=Path(sys.argv[1]), environ={})
wiring.prepare(settings)
with ExitStack() as stack:
    getattr(wiring, sys.argv[2])(settings, stack)
    print("boto3" in sys.modules, "botocore.client" in sys.modules, "botocore.model" in sys.modules)
"""


@pytest.mark.parametrize(
    ("process", "loaded"),
    [
        # The web reads the service model of Proton, 6 MB that all its processes share, and nothing that makes a call.
        ("open_web", "False False True"),
        ("open_worker", "True True True"),
    ],
)
def test_the_worker_alone_loads_what_calls_aws(process, loaded, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LOADED, tmp_path, process], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == loaded, done.stderr


def test_everything_that_is_installed_for_the_daemon_is_imported():
    settings = ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    required = {re.split(r"[\s\[<>=]", line)[0] for line in settings["options"]["install_requires"].split("\n") if line}
    used = {
        re.sub(r"[-_.]+", "-", distribution).lower()
        for package, distributions in packages_distributions().items()
        if package in entered()
        for distribution in distributions
    }
    assert required - used == set()
