"""Goal 7, deployments: many stacks at once, beside a bare loop over boto3 against the same emulator."""

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from tests import builders
from tests.bench.figures import Report, Size
from tests.bench.processes import command_of, cpu, tree, upkeep
from tests.emulator.harness import ACCOUNT, KEY, REGION, SECRET, CannotRun, Emulator
from tests.flows.given import registered
from upkeep.adapters.store import SqlStore, migrate, open_store
from upkeep.domain.deployments import DeploymentStatus
from upkeep.domain.names import ResourceKey, Version, environment_key
from upkeep.domain.people import DAEMON
from upkeep.domain.versions import VersionState
from upkeep.flows import deploy
from upkeep.flows.settle import LOOK_AGAIN_AFTER

PARALLEL = 4
"""Of the worker and of the bare loop."""
NAME = "topic-env"
BODY = """\
Resources:
  Topic:
    Type: AWS::SNS::Topic
    Properties:
      TopicName: "{{{{ environment.name }}}}-{number}"
Outputs:
  Topic:
    Value: !Ref Topic
"""


def measure(size: Size, report: Report) -> None:
    """Updates of all stacks at once, ours and bare in turns."""
    with tempfile.TemporaryDirectory() as place:
        report.say("starting the emulator")
        try:
            emulator = Emulator(Path(place) / "emulator")
        except CannotRun as fault:
            report.missing(f"{size.deployments} updates in flight", str(fault))
            return
        try:
            _updates(size, report, Path(place), emulator)
        finally:
            emulator.stop()


def _updates(size: Size, report: Report, folder: Path, emulator: Emulator) -> None:
    state = folder / "daemon" / "state"
    state.mkdir(parents=True)
    url = f"sqlite:///{state / 'upkeep.db'}"
    migrate(url, state=state)
    rounds = min(size.rounds, 5)
    with closing(open_store(url, state=state)) as store:
        _register(store, size.deployments, rounds + 2)
        config = f"provisioner: cloudformation\ncloudformation: {{region: {REGION}, endpoint_url: {emulator.url!r}}}\n"
        config += f"worker: {{concurrency: {PARALLEL}}}\n"
        given = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_EC2_METADATA_DISABLED": "true"}
        took: dict[str, list[float]] = {"ours": [], "floor": []}
        used: list[float] = []
        with upkeep("serve", folder / "daemon", config, environment=given) as (_, process):
            worker = next(pid for pid in tree(process.pid) if " worker" in command_of(pid))
            idle = most = _threads(worker)
            for number in range(rounds + 1):
                report.say("creating the stacks" if number == 0 else f"round {number} of {rounds}")
                before = cpu(worker)
                lasted, busy = _ours(store, size.deployments, number + 1, worker)
                used.append((cpu(worker) - before) * 1000 / size.deployments)
                took["ours"].append(lasted)
                took["floor"].append(_floor(emulator, size.deployments, number))
                most = max(most, busy)
    what = f"{size.deployments} stacks updated at once"
    loop = f"a bare boto3 loop, {PARALLEL} threads, a look every {LOOK_AGAIN_AFTER.total_seconds():g} s"
    report.compare(what, "s", took["ours"][1:], took["floor"][1:], loop, at_most=1.2)
    report.compare(f"{size.deployments} stacks created at once", "s", took["ours"][:1], took["floor"][:1], loop)
    report.add("processor time of the worker for each update", "ms", median(used[1:]))
    report.add(f"threads of the worker with {size.deployments} in flight, more than idle", "", most - idle, at_most=28)


def _register(store: SqlStore, count: int, versions: int) -> None:
    now = datetime.now(UTC)
    with store.write() as unit:
        for number in range(versions):
            bundle = builders.a_bundle(builders.environment_files(body=BODY.format(number=number)))
            registered(unit, NAME, f"1.{number}", bundle, now, VersionState.PUBLISHED)
        for number in range(count):
            # Known to run 1.0, though no stack was made for it: the first update makes one.
            unit.fleet.add(
                builders.a_resource(
                    environment_key(f"ours-{number:03}"),
                    NAME,
                    inputs={"cidr": "10.0.0.0/16"},
                    account_id=ACCOUNT,
                    region=REGION,
                )
            )


def _ours(store: SqlStore, count: int, minor: int, worker: int) -> tuple[float, int]:
    """Seconds until all are updated, and the most threads that were seen."""
    began, most = time.monotonic(), 0
    now = datetime.now(UTC)
    with store.write() as unit:
        for number in range(count):
            key = environment_key(f"ours-{number:03}")
            deploy.update(unit, key, to=Version(1, minor), actor=DAEMON, now=now)
    # Each is asked for until it is updated, the next one only then: looking at all of them all the time took a quarter
    # of a core from what is measured.
    for number in range(count):
        while not _updated(store, environment_key(f"ours-{number:03}"), minor):
            most = max(most, _threads(worker))
            time.sleep(0.05)
    return time.monotonic() - began, most


def _updated(store: SqlStore, key: ResourceKey, minor: int) -> bool:
    with store.read() as unit:
        found = unit.fleet.get(key)
        if found.status is DeploymentStatus.FAILED:
            said = unit.deployments.get(found.last_deployment or "").message
            raise RuntimeError(f"the update of {key} failed: {said}")
    return found.version == Version(1, minor)


def _threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def _floor(emulator: Emulator, count: int, minor: int) -> float:
    """The same with boto3 alone: a change set each, executed once it is made, watched until its end."""
    client = emulator.client("cloudformation")
    kind = "CREATE" if minor == 0 else "UPDATE"
    pause = LOOK_AGAIN_AFTER.total_seconds()
    began = time.monotonic()

    def update(number: int) -> tuple[float, Any] | None:
        stack = f"bare-{number:03}"
        client.create_change_set(
            StackName=stack,
            ChangeSetName=f"change-{minor}",
            ChangeSetType=kind,
            TemplateBody=BODY.format(number=minor).replace("{{ environment.name }}", stack),
        )
        return time.monotonic() + pause, lambda: execute(stack)

    def execute(stack: str) -> tuple[float, Any] | None:
        found = client.describe_change_set(StackName=stack, ChangeSetName=f"change-{minor}")
        if found["Status"] in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
            return time.monotonic() + pause, lambda: execute(stack)
        client.execute_change_set(StackName=stack, ChangeSetName=f"change-{minor}")
        return time.monotonic() + pause, lambda: look(stack)

    def look(stack: str) -> tuple[float, Any] | None:
        status = client.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
        if status == f"{kind}_COMPLETE":
            return None
        if not status.endswith("_IN_PROGRESS"):
            raise RuntimeError(f"the bare loop's stack {stack} is {status}")
        return time.monotonic() + pause, lambda: look(stack)

    with ThreadPoolExecutor(PARALLEL) as pool:
        due: list[tuple[float, Any]] = [(0.0, lambda number=number: update(number)) for number in range(count)]
        while due:
            now = time.monotonic()
            ready = [act for at, act in due if at <= now]
            due = [(at, act) for at, act in due if at > now]
            due += [later for later in pool.map(lambda act: act(), ready) if later is not None]
            if due and not ready:
                time.sleep(max(0.0, min(at for at, _ in due) - time.monotonic()))
    return time.monotonic() - began
