"""The systemd units: as systemd reads them, and as they run under it with everything they forbid themselves."""

import os
import re
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from tests import builders
from tests.deploy.machine import SYSTEMD, eventually, machine, require_machines
from tests.deploy.ports import a_free_port, answer
from tests.deploy.shipped import DEPLOY, SECRETS, check_config, secrets_in
from tests.gitserver import GitServer
from upkeep.demo import repository

UNITS = DEPLOY / "systemd"
SERVICES = ("upkeep-serve", "upkeep-web", "upkeep-worker")
CONFIGURATION = (UNITS / "upkeep.yaml").read_text(encoding="utf-8")
PLACE = "${CREDENTIALS_DIRECTORY:-/etc/upkeep/secrets}"
UNCOMMENTED = re.sub(r"^#(?!#)", "", CONFIGURATION, flags=re.MULTILINE)
"""As it is with upkeep-web and upkeep-worker."""

WORST_EXPOSURE = 1.2
"""Of systemd's own 0 to 10. What is left is what a daemon on the network is: sockets, and the host's network."""


@pytest.fixture
def analyze(tmp_path, monkeypatch):
    """`systemd-analyze`, over our units and what systemd itself brings."""
    program = shutil.which("systemd-analyze")
    if program is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("there is no systemd-analyze: apt-get install systemd")
    units = tmp_path / "units"
    shutil.copytree(UNITS, units)
    # It wants to find what is started: any program will do.
    for unit in units.glob("*.service"):
        unit.write_text(unit.read_text().replace("/opt/upkeep/bin/upkeep", "/bin/true"))
    monkeypatch.setenv("SYSTEMD_UNIT_PATH", f"{units}:")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *arguments], cwd=units, capture_output=True, text=True, check=False)

    return run


def test_systemd_finds_nothing_wrong_with_the_units(analyze):
    done = analyze("verify", *(f"./{name}.service" for name in SERVICES))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", SERVICES)
def test_systemd_sees_little_that_a_unit_leaves_open(analyze, name):
    done = analyze("security", "--offline=yes", f"--threshold={round(WORST_EXPOSURE * 10)}", f"./{name}.service")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✗ NoNewPrivileges" not in done.stdout


@pytest.mark.parametrize("text", [CONFIGURATION, UNCOMMENTED], ids=["on SQLite", "on PostgreSQL"])
def test_the_configuration_has_no_fault(text, tmp_path):
    done = check_config(text, PLACE, tmp_path)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("name", "text"),
    [("upkeep-serve", CONFIGURATION), ("upkeep-web", UNCOMMENTED), ("upkeep-worker", UNCOMMENTED)],
)
def test_a_unit_brings_the_secrets_that_its_configuration_asks_for(name, text):
    unit = (UNITS / f"{name}.service").read_text(encoding="utf-8")
    brought = dict(re.findall(r"^LoadCredential=([\w-]+):(\S+)$", unit, re.MULTILINE))
    assert {Path(path).name: name for name, path in brought.items()} == {name: name for name in brought}
    assert brought.keys() <= SECRETS.keys()
    asked = secrets_in(text, PLACE)
    if name == "upkeep-web":
        # It reads no repository.
        asked -= {"github-token"}
    if name == "upkeep-worker":
        # Nobody's signature is asked of it.
        asked -= {"proton-key", "webhook-secrets"}
    assert brought.keys() == asked


DROP_IN = """\
# Where a test hears and sees what happens, and what differs from a real host.
[Service]
StandardOutput=append:/var/lib/upkeep/log
StandardError=append:/var/lib/upkeep/log
ExecStartPost=touch /var/lib/upkeep/started
Environment=UPKEEP_WEB__PORT={port}
Environment='UPKEEP_SOURCES=[{{name: templates, url: "{url}"}}]'
"""


def test_under_systemd_it_reads_a_repository_and_renders_with_all_that_it_forbids_itself(installed, tmp_path):
    """systemd is process 1 of a machine of its own and reads these units: seccomp, namespaces and credentials are its
    real ones. The worker's git fetches, and the templates it finds are tried in the renderer's limited processes."""
    require_machines(systemd=True)
    state, log = tmp_path / "state", tmp_path / "state" / "log"
    with GitServer(tmp_path / "remote") as server:
        server.create("templates")
        clone = repository.start(tmp_path / "clone", server.url("templates"))
        builders.write_files(clone.folder, builders.under("network-env/v1", builders.environment_files()))
        clone.commit("Begin")
        clone.push()
        port = a_free_port()
        booted = ["env", "container=upkeep-tests", "SYSTEMD_UNIT_PATH=/etc/upkeep/units", SYSTEMD, "--system"]
        booted += ["--unit=upkeep-serve.service", "--log-target=null", "--show-status=no"]
        etc = an_etc(tmp_path / "etc", DROP_IN.format(port=port, url=server.url("templates")))
        with machine(booted, upkeep=installed, folder=tmp_path, etc=etc) as running:
            # It is started once the unit has said that it is ready.
            eventually((state / "started").exists, running, log)
            assert answer(port, "/readyz") == 200
            eventually(lambda: bool(rows(state, "select 1 from versions")), running, log)
    assert rows(state, "select failure, stall_reason from sources") == [(None, None)]
    ((draft, findings),) = rows(state, "select state, findings from versions")
    assert (draft, "template-limit" in findings) == ("DRAFT", False), log.read_text()
    assert state.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_uid for path in state.rglob("*") if path.name not in ("log", "started")} != {0}


def an_etc(folder: Path, drop_in: str) -> Path:
    """What an operator puts below /etc, by deploy/README.md, and the targets that a real host has."""
    units = folder / "upkeep" / "units"
    shutil.copytree(UNITS, units)
    for target in ("sysinit", "basic", "shutdown", "network-online"):
        (units / f"{target}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    (units / "upkeep-.service.d" / "tests.conf").write_text(drop_in)
    shutil.copy(UNITS / "sysusers.conf", folder / "upkeep")
    shutil.copy(UNITS / "upkeep.yaml", folder / "upkeep")
    secrets = folder / "upkeep" / "secrets"
    secrets.mkdir(mode=0o700)
    for name, secret in SECRETS.items():
        (secrets / name).write_text(secret)
        (secrets / name).chmod(0o400)
    return folder


def rows(state: Path, query: str) -> list[tuple]:
    """What a query finds in the daemon's database, of which nothing is written."""
    connection = sqlite3.connect(f"file:{state / 'upkeep.db'}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()
