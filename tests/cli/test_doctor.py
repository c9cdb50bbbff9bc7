"""`upkeep doctor`: each mistake is really made, and is told with its cure."""

import json
import os
import shutil
import sqlite3
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from tests import builders
from tests.deploy.certificates import certify
from tests.deploy.ports import a_free_port
from tests.fakeslack import FakeSlack
from tests.gitserver import GitServer
from tests.web.test_hooks import push_payload
from upkeep import settings, wiring
from upkeep.adapters import clock
from upkeep.adapters.store import migrate
from upkeep.cli import cli
from upkeep.cli.doctor import host, outside
from upkeep.cli.doctor.verdicts import Verdict
from upkeep.demo import repository
from upkeep.domain.deliveries import parse_push
from upkeep.domain.notices import Notice
from upkeep.domain.people import DAEMON, Role
from upkeep.flows import admit, follow
from upkeep.flows.ports import Unit
from upkeep.flows.receive import Arrival, Readers, receive

ROOT_ALONE = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away or mount a disk")


@dataclass
class Installation:
    """An installation in a folder; `configuration` is the text of its file."""

    folder: Path
    configuration: str = "state: state\n"

    @property
    def file(self) -> Path:
        return self.folder / "upkeep.yaml"

    @property
    def settings(self) -> settings.Settings:
        self.file.write_text(self.configuration)
        self.file.chmod(0o600)
        return settings.load(self.file, {})

    @contextmanager
    def rows(self) -> Iterator[Unit]:
        """One writing transaction in its store."""
        with ExitStack() as stack, wiring.open_store(self.settings, stack).write() as unit:
            yield unit

    def doctor(self, code: int = 1) -> dict[str, tuple[str, str, str]]:
        """What the doctor says, by thing: level, reason and cure. The same for people and for programs."""
        if not self.file.exists():
            self.file.write_text(self.configuration)
            self.file.chmod(0o600)
        told = CliRunner().invoke(cli, ["--config", str(self.file), "doctor", "--json"])
        assert told.exit_code == code, told.output
        document = json.loads(told.stdout)
        assert document["well"] == (code == 0)
        return {each["thing"]: (each["level"], each["reason"], each["cure"]) for each in document["verdicts"]}


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with an empty database."""
    folder = tmp_path_factory.mktemp("migrated")
    migrate(f"sqlite:///{folder / 'upkeep.db'}", state=folder)
    return folder


@pytest.fixture
def installation(migrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    for name in [name for name in os.environ if name.startswith(("UPKEEP_", "AWS_")) or "proxy" in name.lower()]:
        monkeypatch.delenv(name)
    # Whoever listens on this machine is none of ours.
    monkeypatch.setenv("UPKEEP_WEB__PORT", "0")
    shutil.copytree(migrated, tmp_path / "state")
    return Installation(tmp_path)


@contextmanager
def fronted(folder: Path, answers: dict[str, tuple[int, str]]) -> Iterator[str]:
    """A proxy with TLS that gives fixed answers; gives its address. Its certificate is in `folder`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def do_GET(self) -> None:
            status, body = answers.get(self.path, (404, ""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    certify(folder, "upkeep.example.com", "127.0.0.9")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    server = ThreadingHTTPServer(("127.0.0.9", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.9:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


UPKEEP_ANSWERS = {
    "/healthz": (200, '{"status": "alive"}'),
    "/hooks/github": (401, '{"message": "the signature fits none of the secrets known here"}'),
}


def test_of_a_healthy_installation_all_is_well(installation, tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    with GitServer(tmp_path / "remote", token="s3cret") as server, FakeSlack() as slack, ExitStack() as stack:
        server.create("templates")
        token = tmp_path / "token"
        token.write_text("s3cret")
        clone = repository.start(tmp_path / "clone", server.url("templates").replace("http://", "http://x:s3cret@"))
        (clone.folder / "README.md").write_text("templates")
        clone.commit("Begin")
        clone.push()
        url = stack.enter_context(fronted(tmp_path, UPKEEP_ANSWERS))
        installation.configuration = (
            f"state: state\nweb: {{public_url: '{url}'}}\naccess: {{trusted_proxies: [127.0.0.9]}}\n"
            f"sources: [{{name: templates, url: '{server.url('templates')}', token_file: token}}]\n"
            f"webhooks: {{secrets: [of-our-own]}}\n"
            "notices: {default: a, operators: a, channels: "
            f"{{a: {{kind: slack_webhook, url: '{slack.hook_url}'}}}}}}\n"
        )
        now = clock.now()
        with installation.rows() as unit:
            follow.declare(unit, installation.settings.declared, now=now)
            source = unit.sources.get("templates")
            unit.sources.save(replace(source, synced_at=now, next_poll_at=now + timedelta(minutes=5)))
            for row in unit.work.list(9):
                claim = unit.work.claim([row.kind], now, timedelta(minutes=1))
                unit.work.done(claim)
            admit.add_user(
                unit, wiring.open_passwords(), "ada", Role.ADMIN, "a long password", email=None, actor=DAEMON, now=now
            )
            receive(unit, [Arrival("1", "push", parse_push(push_payload()), None, now)], Readers())
        told = installation.doctor(code=0)
        assert slack.posted == []
    assert {thing: said for thing, said in told.items() if said[0] != "ok"} == {}
    assert {"git", "config", "state", "renderer", "database", "worker", "users", "webhooks", "proxy"} <= told.keys()
    assert told["source templates"][1].startswith("answers; synced ")
    assert told["public address"][1] == f"{url} leads here"
    assert told["deliveries"][1] == f"they get through to {url}/hooks/github"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("git: {timeout: soon}\n", "`soon` is not a duration"),
        ("proton: {key: short}\n", "proton.key: it is shorter than 32 letters"),
        ("metrics: {token_file: lost}\n", "metrics.token: "),
        (
            "access: {github: {client_id: a, client_secret_file: lost, roles: {acme: viewer}}}\n",
            "access.github.client_secret: ",
        ),
        ("database: {url: 'mysql://db/upkeep'}\n", "the database cannot be `mysql`"),
    ],
)
def test_a_faulty_configuration_ends_it_with_2(installation, text, fault):
    installation.file.write_text(text)
    told = installation.doctor(code=2)
    level, reason, _ = told["config"]
    assert (level, fault in reason) == ("fail", True)


def test_a_secret_that_comes_from_elsewhere_does_not_stand_in_the_file(tmp_path):
    file = tmp_path / "upkeep.yaml"
    file.write_text("webhooks: {secrets: ['${OURS}']}\n")
    file.chmod(0o644)
    assert host.config(file, settings.load(file, {"OURS": "of-our-own"})).level == "ok"


def test_no_git_and_an_old_one(installation, tmp_path, monkeypatch):
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    assert installation.doctor()["git"] == ("fail", "there is no git in PATH", "install git")
    (programs / "git").write_text("#!/bin/sh\necho git version 2.17.1\n")
    (programs / "git").chmod(0o755)
    assert host.git() == Verdict("fail", "git", "2.17.1 is too old", "install git 2.31 or newer")


def test_a_state_folder_that_cannot_be_made(installation):
    installation.file.write_text("state: /proc/upkeep\n")
    level, reason, _ = installation.doctor()["state"]
    assert (level, "/proc/upkeep cannot be made" in reason) == ("fail", True)


@ROOT_ALONE
def test_files_that_a_command_left_behind_as_another_user(installation):
    os.chown(installation.folder / "state" / "upkeep.db", 65534, 65534)
    level, reason, cure = installation.doctor()["state"]
    assert level == "fail"
    assert reason.startswith(f"upkeep.db in {installation.folder / 'state'} belongs to another user than the folder")
    assert cure.startswith("chown -R root ")


@ROOT_ALONE
def test_root_is_told_to_become_the_user_before_anything_is_left_behind(installation):
    state = installation.folder / "state"
    os.chown(state, 65534, 65534)
    told = installation.doctor()
    assert told["state"][0] == "fail"
    assert told["state"][2].endswith("sudo -u nobody upkeep doctor")
    assert "database" not in told


@ROOT_ALONE
def test_a_disk_that_is_nearly_full(installation, tmp_path):
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare here")
    script = 'mount -t tmpfs -o size=4m tmpfs "$1/state" && exec "$2" -P -m upkeep --config "$1/upkeep.yaml" doctor'
    installation.file.write_text(installation.configuration)
    told = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", tmp_path, sys.executable], capture_output=True, text=True
    )
    assert told.returncode == 1
    assert f"[fail] disk: only 4 MB are free on the disk of {tmp_path}/state\n       fix: make room" in told.stdout


def test_a_database_on_a_disk_of_a_network(installation, tmp_path):
    if shutil.which("unshare") is None or os.geteuid() != 0:
        pytest.skip("only root can say here that a disk is another one")
    device = (tmp_path / "state").stat().st_dev
    mounts = tmp_path / "mounts"
    mounts.write_text(f"22 21 {os.major(device)}:{os.minor(device)} / /srv rw shared:3 - nfs4 filer:/srv rw\n")
    script = 'mount --bind "$1/mounts" "/proc/$$/mountinfo" && exec "$2" -P -m upkeep --config "$1/upkeep.yaml" doctor'
    installation.file.write_text(installation.configuration)
    told = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", tmp_path, sys.executable], capture_output=True, text=True
    )
    assert told.returncode == 1
    assert (
        f"[fail] state: {tmp_path}/state/upkeep.db: the database lies on nfs4, a file system of a network"
        in told.stdout
    )
    assert "fix: put `state` on a disk of this host, or use PostgreSQL" in told.stdout


def test_templates_that_cannot_be_rendered(installation, monkeypatch):
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    level, reason, cure = installation.doctor()["renderer"]
    assert (level, reason) == ("fail", "a template worker could not be started")
    assert cure.startswith("let the service start processes that limit themselves")


def test_a_database_that_does_not_answer(installation):
    installation.file.write_text(f"state: state\ndatabase: {{url: 'postgresql://127.0.0.1:{a_free_port()}/upkeep'}}\n")
    level, reason, cure = installation.doctor()["database"]
    assert (level, reason.startswith("upkeep on 127.0.0.1: ")) == ("fail", True)
    assert reason.endswith(" failed: Connection refused: the connection to the database broke")
    assert cure.startswith("look at the database server")


def test_a_database_of_another_version(installation):

    with sqlite3.connect(installation.folder / "state" / "upkeep.db") as connection:
        connection.execute("update alembic_version set version_num = '0001'")
    connection.close()
    level, _, cure = installation.doctor()["database"]
    assert (level, cure) == ("fail", "upkeep migrate")


def test_clocks_that_differ(installation, databases, monkeypatch):
    with databases.migrated("postgresql") as url:
        installation.file.write_text(f"state: state\ndatabase: {{url: '{url}'}}\n")
        installation.file.chmod(0o600)
        monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) + timedelta(minutes=5))
        level, reason, cure = installation.doctor()["clock"]
    assert (level, reason.split(" 300 ")[0]) == ("fail", "its clock and that of this host are")
    assert cure.startswith("let NTP set the clocks")


def test_sources_that_no_worker_asks_for(installation):
    with installation.rows() as unit:
        long_ago = clock.now() - timedelta(minutes=5)
        unit.sources.add(builders.a_source(synced_at=long_ago, next_poll_at=long_ago))
    assert installation.doctor()["worker"][1] == "none runs: nobody has asked for a sync of templates in time"


def test_a_bucket_that_is_not_there(installation, emulator):
    installation.file.write_text(
        "state: state\nprovisioner: cloudformation\ncloudformation: {region: eu-west-1, template_bucket: lost, "
        f"endpoint_url: '{emulator.url}'}}\n"
    )
    level, reason, cure = installation.doctor()["bucket lost"]
    assert (level, "does not exist" in reason) == ("fail", True)
    assert cure == "make the bucket, or correct `cloudformation.template_bucket`"
    emulator.client("s3").create_bucket(Bucket="lost", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    assert installation.doctor(code=0)["bucket lost"][0] == "ok"


# ------------------------------------------------------------------------------------ many mistakes, all told at once


@pytest.fixture(scope="module")
def neglected(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str, str]]:
    """What the doctor says of an installation in which much was left undone."""
    folder = tmp_path_factory.mktemp("neglected")
    shutil.copytree(migrated, folder / "state")
    installation = Installation(folder)
    with GitServer(folder / "remote", token="s3cret") as server, FakeSlack() as slack:
        server.create("templates")
        channel = f"{{kind: slack_webhook, url: '{slack.url}/services/T0/B0/revoked'}}"
        installation.configuration += (
            f"web: {{port: 0}}\nnotices: {{default: alerts, operators: alerts, channels: {{alerts: {channel}}}}}\n"
        )
        long_ago = clock.now() - timedelta(hours=1)
        with installation.rows() as unit:
            unit.sources.add(builders.a_source("closed", url=server.url("templates")))
            unit.sources.add(builders.a_source("gone", url=f"http://127.0.0.1:{a_free_port()}/templates.git"))
            unit.outbox.owe(Notice("a", "alerts", "Something to be told"), long_ago)
        installation.file.chmod(0o644)
        return installation.doctor()


@pytest.mark.parametrize(
    "text",
    [
        "webhooks: {secrets: [planted]}",
        "database: {url: 'postgresql://me:planted@db/upkeep'}",
        "metrics: {token: planted}",
        "tracing: {endpoint: 'http://me:planted@collector:4318'}",
        "proton: {key: planted}",
    ],
)
def test_whatever_secret_stands_in_a_configuration_it_is_one(tmp_path, text):
    file = tmp_path / "upkeep.yaml"
    file.write_text(text)
    chosen = settings.load(file, {})
    for mode, level in ((0o644, "fail"), (0o640, "ok")):
        file.chmod(mode)
        assert host.config(file, chosen).level == level


def test_a_configuration_that_everybody_can_read_with_a_secret_in_it(neglected):
    level, reason, cure = neglected["config file"]
    assert (level, reason.endswith("/upkeep.yaml holds a secret, and everybody on this host can read it")) == (
        "fail",
        True,
    )
    assert cure.startswith("chmod 640 ")


def test_work_that_no_worker_does(neglected):
    level, reason, cure = neglected["worker"]
    assert (level, reason) == ("fail", "1 works wait for one")
    assert "upkeep worker" in cure


def test_a_repository_that_does_not_let_us_in(neglected):
    level, _, cure = neglected["source closed"]
    assert (level, cure) == ("fail", "check the source's credential and that it may read the repository")


def test_a_repository_that_does_not_answer(neglected):
    level, reason, cure = neglected["source gone"]
    assert (level, bool(reason)) == ("fail", True)
    assert cure.startswith("try git ls-remote from this host")


def test_an_address_of_slack_that_was_revoked(neglected):
    level, reason, cure = neglected["channel alerts"]
    assert (level, reason) == ("fail", "Slack refuses messages to this channel: `no_service`")
    assert cure == "create the incoming webhook again and configure its new address"


def test_notices_that_nobody_gets(neglected):
    level, reason, cure = neglected["notices alerts"]
    assert (level, reason.endswith("Z: nobody sends it")) == ("fail", True)
    assert "upkeep notify test alerts" in cure


def test_no_secret_for_webhooks(neglected):
    level, reason, cure = neglected["webhooks"]
    assert (level, reason.startswith("no secret is set")) == ("warn", True)
    assert "webhooks.secrets_file" in cure


def test_an_address_that_github_cannot_reach(neglected):
    level, reason, cure = neglected["public address"]
    assert (level, cure) == ("warn", "set `web.public_url`")
    assert "not by GitHub" in reason


def test_nobody_who_could_come_in(neglected):
    assert neglected["users"] == ("warn", "nobody can sign in", "upkeep user add NAME --role admin")


# -------------------------------------------------------------------------------- the public address and what is there


def address(configuration: str) -> dict[str, list[tuple[str, str, str]]]:
    """What the doctor says of the public address and the proxy behind it."""
    checked = settings.read(configuration, "upkeep.yaml", folder=Path(), environ={})
    told: dict[str, list[tuple[str, str, str]]] = {}
    for each in (*outside.public_address(checked), *outside.proxy(checked)):
        told.setdefault(each.thing, []).append((each.level, each.reason, each.cure))
    return told


def test_an_address_where_somebody_else_answers(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    with fronted(tmp_path, {"/healthz": (200, '{"status": "a shop"}')}) as url:
        ((level, reason, cure),) = address(f"web: {{public_url: '{url}'}}")["public address"]
    assert (level, reason) == ("fail", f"at {url} somebody else answers: HTTP 200 for /healthz")
    assert "`web.public_url`" in cure


def test_an_address_where_nobody_answers(tmp_path):
    url = f"https://127.0.0.9:{a_free_port()}"
    ((level, reason, cure),) = address(f"web: {{public_url: '{url}'}}")["public address"]
    assert (level, reason.startswith(f"{url} does not answer as Upkeep: ")) == ("fail", True)
    assert "is Upkeep running?" in cure


@pytest.mark.parametrize(
    ("answer", "fault", "cure"),
    [
        ((401, '{"message": "the delivery is not signed"}'), "the header X-Hub-Signature-256 is lost", "hand on"),
        ((413, "<h1>Request Entity Too Large</h1>"), "takes no delivery of 2 MB", "bodies of 25 MB"),
        ((302, ""), "answers them with HTTP 302", "without a sign-in"),
        ((401, "who are you?"), "answers them with HTTP 401", "without a sign-in"),
    ],
)
def test_a_proxy_that_keeps_deliveries_from_us(tmp_path, monkeypatch, answer, fault, cure):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    with fronted(tmp_path, {**UPKEEP_ANSWERS, "/hooks/github": answer}) as url:
        ((level, reason, said),) = address(f"web: {{public_url: '{url}'}}")["deliveries"]
    assert (level, fault in reason, cure in said) == ("fail", True, True), reason


def test_a_port_that_somebody_else_has(tmp_path):
    with FakeSlack() as slack:
        ((level, reason, cure),) = address(f"web: {{port: {urlsplit(slack.url).port}}}")["web server"]
    assert (level, reason.startswith(f"at {slack.url} somebody else answers: HTTP ")) == ("fail", True)
    assert "`web.port`" in cure


def test_a_web_server_that_does_not_run():
    ((level, reason, cure),) = address(f"web: {{port: {a_free_port()}}}")["web server"]
    assert (level, "nobody answers" in reason, cure) == ("warn", True, "start one: upkeep serve, or upkeep web")


def test_a_certificate_that_nobody_trusts(tmp_path):
    with fronted(tmp_path, UPKEEP_ANSWERS) as url:
        ((level, reason, _),) = address(f"web: {{public_url: '{url}'}}")["public address"]
    assert (level, "self-signed certificate" in reason) == ("fail", True)


def test_what_is_not_meant_for_everybody(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    with fronted(tmp_path, {**UPKEEP_ANSWERS, "/readyz": (200, "{}")}) as url:
        ((level, reason, cure),) = address(f"web: {{public_url: '{url}'}}")["public address"]
    assert (level, reason) == ("warn", f"everybody can read {url}/readyz")
    assert "404" in cure


def test_a_proxy_that_is_not_believed(tmp_path):
    ((level, reason, cure),) = address(f"web: {{public_url: 'https://127.0.0.9:{a_free_port()}'}}")["proxy"]
    assert (level, reason.startswith("https needs a proxy in front, and none is trusted")) == ("fail", True)
    assert "access.trusted_proxies" in cure


def test_passwords_that_go_over_the_wire_in_the_clear():
    url = f"http://127.0.0.9:{a_free_port()}"
    (level, reason, cure), _ = address(f"web: {{public_url: '{url}'}}")["public address"]
    assert (level, reason.startswith(f"{url} is not https")) == ("warn", True)
    assert "a proxy with TLS" in cure
