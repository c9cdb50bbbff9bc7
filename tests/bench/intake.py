"""Goal 1, intake: what a webhook costs until it is answered, and kept."""

import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from statistics import median

from tests.bench import webhooks
from tests.bench.figures import Report, Size, in_turns
from tests.bench.floors import SECRET
from tests.bench.load import Load, drive, numbered, slow
from tests.bench.processes import cpu, forget_peaks, free_port, peak, running, upkeep

CONNECTIONS = 32
SLOW_CLIENTS = 100
LARGEST = 25 * 1024 * 1024
URL = "https://github.com/acme/templates.git"
CONFIG = f"""
webhooks: {{secrets: ["{SECRET.decode()}"]}}
sources: [{{name: templates, url: "{URL}"}}]
"""


def measure(size: Size, report: Report) -> None:
    """Requests a second and waits beside the floors, then bodies and clients that are not like others."""
    with tempfile.TemporaryDirectory() as place:
        _rates(size, report, Path(place))
        _bodies(size, report, Path(place))
        _slow_clients(size, report, Path(place))


def _rates(size: Size, report: Report, folder: Path) -> None:
    body = webhooks.push(URL)
    with ExitStack() as stack:
        ports: dict[str, tuple[int, int]] = {}
        port, process = stack.enter_context(upkeep("web", folder / "ours", CONFIG))
        ports["ours"] = (port, process.pid)
        for floor in ("answering", "reading", "keeping"):
            ports[floor] = stack.enter_context(_floor(floor, folder))
        if shutil.which("webhook"):
            ports["webhook"] = stack.enter_context(_webhook(folder))
        else:
            report.missing("Debian's webhook", "the package `webhook` is not installed")
        loads: dict[str, list[Load]] = {name: [] for name in ports}
        used: dict[str, list[float]] = {name: [] for name in ports}

        def one(name: str) -> float:
            port, root = ports[name]
            before = cpu(root)
            requests = numbered(*webhooks.around(body))
            load = drive(port, requests, connections=CONNECTIONS, seconds=size.seconds)
            wrong = sum(load.statuses[status] for status in load.statuses if status not in (200, 202))
            if wrong:
                raise RuntimeError(f"{name} answered {dict(load.statuses)}")
            loads[name].append(load)
            used[name].append((cpu(root) - before) * 1000 / len(load.waits))
            return load.rate

        for name in ports:
            report.say(f"warming {name}")
            drive(ports[name][0], numbered(*webhooks.around(body)), connections=CONNECTIONS, seconds=0.5)
        kept = _kept(folder)
        report.say(f"{size.rounds} rounds of {size.seconds:g} s each for {', '.join(ports)}")
        rates = in_turns(size.rounds, {name: (lambda name=name: one(name)) for name in ports})
        answered = sum(load.statuses[202] for load in loads["ours"])
        if (rows := _kept(folder) - kept) != answered:
            raise RuntimeError(f"{answered} deliveries were answered, and {rows} are in the database")
    waits = {name: [load.p99 for load in found] for name, found in loads.items()}
    bare = "Flask + HMAC + JSON, nothing kept"
    report.compare("signed pushes of 8.8 KB, each kept", "1/s", rates["ours"], rates["reading"], bare, at_least=1.0)
    report.compare("the same, slowest of a hundred", "ms", waits["ours"], waits["reading"], bare, at_most=2.0)
    report.compare("the same, processor time of each", "ms", used["ours"], used["reading"], bare)
    others = {"answering": "Flask that only answers 202", "keeping": "Flask + one fsynced insert each"}
    others |= {"webhook": "Debian's webhook, a rule that does not match, nothing kept"}
    for name, called in others.items():
        if name in rates:
            report.compare("signed pushes of 8.8 KB, each kept", "1/s", rates["ours"], rates[name], called)


def _bodies(size: Size, report: Report, folder: Path) -> None:
    report.say("bodies of 25 MB")
    body = webhooks.push(URL, LARGEST)
    grown: dict[str, list[float]] = {"signed": [], "four": [], "unsigned": []}
    times: list[float] = []
    for number in range(max(3, size.rounds // 2)):
        with upkeep("web", folder / f"bodies-{number}", CONFIG) as (port, process):
            drive(port, numbered(*webhooks.around(webhooks.push(URL))), connections=CONNECTIONS, seconds=0.3)
            head, tail = webhooks.around(body, signed=False)
            with _peak(process.pid, grown["unsigned"]):
                before = cpu(process.pid)
                for _ in range(5):
                    _refused(port, head, tail)
                times.append((cpu(process.pid) - before) * 1000 / 5)
            for kind, clients in (("signed", 1), ("four", 4)):
                with _peak(process.pid, grown[kind]):
                    load = drive(port, numbered(*webhooks.around(body)), connections=clients, seconds=0.0)
                if set(load.statuses) != {202}:
                    raise RuntimeError(f"25 MB were answered {dict(load.statuses)}")
    report.add("memory of a signed body of 25 MB", "MB", median(grown["signed"]), at_most=150.0)
    report.add("memory of four of them at once", "MB", median(grown["four"]))
    report.add("memory of five unsigned bodies of 25 MB", "MB", median(grown["unsigned"]), at_most=5.0)
    report.add("processor time of an unsigned body of 25 MB", "ms", median(times), at_most=5.0)


def _refused(port: int, head: bytes, tail: bytes) -> None:
    """Send an unsigned body for as long as anybody reads it."""
    import socket

    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        try:
            line.sendall(head + b"1" + tail)
        except OSError:
            return
        line.recv(65536)


@contextmanager
def _peak(root: int, grown: list[float]) -> Iterator[None]:
    """Note by how many megabytes a tree's most exceeds what it had before."""
    before = peak(root, "VmRSS")
    forget_peaks(root)
    yield
    grown.append(max(0.0, peak(root) - before))


def _slow_clients(size: Size, report: Report, folder: Path) -> None:
    report.say(f"{SLOW_CLIENTS} slow clients")
    body = webhooks.push(URL)
    head, _ = webhooks.around(body)
    with upkeep("web", folder / "slow", CONFIG) as (port, _):
        rates: dict[str, list[float]] = {"alone": [], "beside": []}
        for _ in range(size.rounds):
            for kind in rates:
                with ExitStack() as stack:
                    if kind == "beside":
                        stack.enter_context(slow(port, head + b"slow\r\n\r\n", clients=SLOW_CLIENTS))
                        time.sleep(0.2)
                    requests = numbered(*webhooks.around(body))
                    load = drive(port, requests, connections=CONNECTIONS, seconds=size.seconds / 2, patience=5.0)
                    rates[kind].append(load.rate)
    what = f"signed pushes beside {SLOW_CLIENTS} clients that send a byte in half a second"
    report.compare(what, "1/s", rates["beside"], rates["alone"], "without them", at_least=0.9)


def _kept(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "ours" / "state" / "upkeep.db", timeout=30)) as connection:
        return int(connection.execute("SELECT count(*) FROM deliveries").fetchone()[0])


@contextmanager
def _floor(name: str, folder: Path) -> Iterator[tuple[int, int]]:
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", f"tests.bench.floors:{name}", "--bind", f"127.0.0.1:{port}"]
    command += ["--worker-class", "gthread", "--threads", "8", "--workers", "2", "--keep-alive", "15"]
    command += ["--no-control-socket"]
    with running(command, folder, port, environment={"FLOOR_DATABASE": str(folder / "floor.db")}) as process:
        yield port, process.pid


@contextmanager
def _webhook(folder: Path) -> Iterator[tuple[int, int]]:
    """Debian's `webhook`, with a rule that reads the signature and the branch, and matches none."""
    port = free_port()
    hooks = folder / "hooks.yaml"
    hooks.write_text(
        f"""
- id: github
  execute-command: /bin/true
  trigger-rule:
    and:
      - match: {{type: payload-hmac-sha256, secret: "{SECRET.decode()}",
                parameter: {{source: header, name: X-Hub-Signature-256}}}}
      - match: {{type: value, value: refs/heads/other, parameter: {{source: payload, name: ref}}}}
"""
    )
    command: list[str | Path] = [
        "webhook",
        "-hooks",
        hooks,
        "-ip",
        "127.0.0.1",
        "-port",
        str(port),
        "-urlprefix",
        "hooks",
    ]
    with running(command, folder, port) as process:
        yield port, process.pid
