"""A real worker, killed at ten chosen points of one update, each time for good; the next one goes on."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests import builders
from tests.emulator.harness import REGION, Emulator
from tests.flows import given
from upkeep import settings, wiring
from upkeep.domain.deployments import Deployment, DeploymentStatus
from upkeep.domain.names import TemplateName, Version, environment_key
from upkeep.domain.notices import Routing
from upkeep.domain.versions import VersionState
from upkeep.flows import deploy, enroll, review
from upkeep.flows.ports import Unit

ENV, TEST = builders.ENVIRONMENT_TEMPLATE, environment_key("test")
WITH_QUEUE = builders.ENVIRONMENT_BODY.replace("Outputs:", "  Queue:\n    Type: AWS::SQS::Queue\nOutputs:")
SOON = 60.0

POINTS = [
    (when, call)
    for call in ("DescribeStacks", "CreateChangeSet", "DescribeChangeSet", "ExecuteChangeSet", "DescribeStackEvents")
    for when in ("before", "after")
]
"""Before what the worker asks reaches AWS, and after AWS did it but before the worker hears of it."""


class Gate(ThreadingHTTPServer):
    """Stands between the worker and the emulator, and kills the worker at the next of the points it was given."""

    def __init__(self, emulator: Emulator) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.emulator = emulator
        self.points: list[tuple[str, str]] = []
        self.worker: subprocess.Popen[bytes] | None = None

    def reached(self, when: str, call: str) -> bool:
        if not self.points or self.points[0] != (when, call) or self.worker is None:
            return False
        self.points.pop(0)
        os.kill(self.worker.pid, signal.SIGKILL)
        self.worker = None
        return True


class Passing(BaseHTTPRequestHandler):
    server: Gate

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        call = parse_qs(body.decode()).get("Action", [""])[0]
        if self.server.reached("before", call):
            return
        passed = urllib.request.Request(f"{self.server.emulator.url}{self.path}", body, dict(self.headers))
        try:
            with urllib.request.urlopen(passed, timeout=30) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        if self.server.reached("after", call):
            return
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


class House:
    """A configuration whose stacks are made through the gate."""

    def __init__(self, folder: Path, gate: Gate) -> None:
        self.gate = gate
        self.state = folder / "state"
        self.configuration = folder / "upkeep.yaml"
        self.configuration.write_text(
            "state: state\nprovisioner: cloudformation\n"
            f"cloudformation: {{region: {REGION}, endpoint_url: 'http://127.0.0.1:{gate.server_port}'}}\n"
        )
        self.log = folder / "worker.log"
        wiring.migrate(settings.load(self.configuration, {}))

    @contextmanager
    def unit(self) -> Iterator[Unit]:
        with ExitStack() as stack, wiring.open_store(settings.load(self.configuration, {}), stack).write() as unit:
            yield unit

    @contextmanager
    def worker(self) -> Iterator["subprocess.Popen[bytes]"]:
        """A worker process; what a dead one had claimed is free at once."""
        with sqlite3.connect(self.state / "upkeep.db") as connection:
            connection.execute("UPDATE work SET due_at = '2000-01-01 00:00:00.000000'")
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "upkeep", "--config", str(self.configuration), "worker"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.gate.worker = process
        try:
            yield process
        finally:
            self.gate.worker = None
            process.kill()
            process.wait()

    def ended(self, asked: Deployment) -> Deployment:
        until = time.monotonic() + SOON
        while time.monotonic() < until:
            with self.unit() as unit:
                found = unit.deployments.get(asked.id)
            if not found.status.under_way or found.stall is not None:
                return found
            time.sleep(0.1)
        pytest.fail(f"the deployment did not end: {self.log.read_text()}")


@pytest.fixture
def house(tmp_path: Path, emulator: Emulator) -> Iterator[House]:
    with Gate(emulator) as gate:
        serving = Thread(target=gate.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        yield House(tmp_path, gate)
        gate.shutdown()
        serving.join()


def published(unit: Unit, number: str, body: str) -> None:
    bundle = builders.a_bundle(builders.environment_files(body=body))
    given.registered(unit, ENV, number, bundle, datetime.now(UTC), VersionState.DRAFT)
    version = Version(*map(int, number.split(".")))
    review.publish(
        unit,
        TemplateName(ENV),
        version,
        seen_tree=None,
        note=None,
        routing=Routing(),
        actor=builders.ADMIN,
        now=datetime.now(UTC),
    )


def test_an_update_survives_ten_killed_workers_and_changes_its_stack_once(house: House, emulator: Emulator) -> None:
    with house.unit() as unit:
        published(unit, "1.0", builders.ENVIRONMENT_BODY)
        created = enroll.create_environment(
            unit, "test", ENV, builders.ENVIRONMENT_SPEC, actor=builders.ADMIN, now=datetime.now(UTC)
        )
    with house.worker():
        assert house.ended(created).status is DeploymentStatus.SUCCEEDED
    with house.unit() as unit:
        published(unit, "1.1", WITH_QUEUE)
        asked = deploy.update(unit, TEST, actor=builders.ADMIN, now=datetime.now(UTC))
    house.gate.points = list(POINTS)
    killed = 0
    while house.gate.points:
        with house.worker() as process:
            assert process.wait(SOON) == -signal.SIGKILL, house.log.read_text()
        killed += 1
    with house.worker():
        ended = house.ended(asked)
    assert killed == len(POINTS) == 10
    assert (ended.status, ended.message) == (DeploymentStatus.SUCCEEDED, None)
    with house.unit() as unit:
        resource = unit.fleet.get(TEST)
        told = unit.deployments.stack_events(asked.id, 1000)
        proposal = unit.deployments.proposal(asked.id)
        settled = [entry for entry in unit.journal.entries(100, kind="deployment_settled")]
    assert str(resource.version) == "1.1"
    assert proposal is not None and [change.logical_id for change in proposal.changes if change.action == "Add"] == [
        "Queue"
    ]
    assert len(settled) == 2
    assert [event.status.endswith("_COMPLETE") for event in told if event.logical_id == "Queue"][-1:] == [True]
    cloud = emulator.client("cloudformation")
    events = cloud.describe_stack_events(StackName=resource.stack)["StackEvents"]
    begun = [
        event
        for event in events
        if event["ResourceStatus"] == "UPDATE_IN_PROGRESS" and event["PhysicalResourceId"] == resource.stack
    ]
    assert len(begun) == 1
    assert len(emulator.client("sqs").list_queues().get("QueueUrls", [])) == 1
