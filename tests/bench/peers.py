"""Peers: what others take that install from the registries, each for the part of the work that it does."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median

from tests.bench import multitudes, webhooks
from tests.bench.figures import Report, Size, in_turns
from tests.bench.intake import CONFIG, URL
from tests.bench.load import Load, drive, numbered
from tests.bench.processes import cpu, free_port, running, upkeep
from tests.environments import CannotRun, bin_of
from upkeep.adapters.store import open_store
from upkeep.flows.ports import FleetFilter, FleetOrder

BUILDBOT = ("buildbot==4.3.0", "buildbot-www==4.3.0")
COPIER = ("copier==9.19.1",)
CRUFT = ("cruft==2.16.0", "setuptools==80.9.0")
PROJECTS = 3
"""Projects that are asked one by one whether they are behind; a thousand take so many times longer."""

_MASTER = """
from buildbot.plugins import schedulers, util, worker
c = BuildmasterConfig = {{}}
c["workers"] = [worker.Worker("nobody", "x")]
c["protocols"] = {{"pb": {{"port": "tcp:0:interface=127.0.0.1"}}}}
c["builders"] = [util.BuilderConfig(name="build", workernames=["nobody"], factory=util.BuildFactory())]
c["schedulers"] = [schedulers.SingleBranchScheduler(
    name="main", change_filter=util.ChangeFilter(branch="main"), treeStableTimer=None, builderNames=["build"])]
c["www"] = {{"port": "tcp:{port}:interface=127.0.0.1", "change_hook_dialects": {{"github": {{"strict": False}}}}}}
c["db"] = {{"db_url": "sqlite:///state.sqlite"}}
c["buildbotNetUsageData"] = None
c["buildbotURL"] = "http://127.0.0.1:{port}/"
"""


def measure(size: Size, report: Report) -> None:
    """Each peer by itself: one that cannot be had does not keep the others from being measured."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        what = {"Buildbot's GitHub hook": _buildbot, "which of 1,000 are behind": _behind}
        faults = []
        for called, act in what.items():
            try:
                act(size, report, folder)
            except CannotRun as fault:
                report.missing(called, str(fault)[:200])
            except Exception as fault:
                report.missing(called, f"{type(fault).__name__}: {fault}"[:200])
                faults.append(fault)
        if faults:
            raise ExceptionGroup("some peers could not be measured", faults)


def _buildbot(size: Size, report: Report, folder: Path) -> None:
    report.say("installing Buildbot")
    bins = bin_of("buildbot", *BUILDBOT)
    home, port = folder / "buildbot", free_port()
    _run(bins / "buildbot", "create-master", "--quiet", str(home))
    (home / "master.cfg").write_text(_MASTER.format(port=port))
    command: list[str | Path] = [bins / "buildbot", "start", "--nodaemon", home]
    body = webhooks.push(URL)
    report.say("webhooks to Buildbot and to Upkeep")
    with (
        running(command, folder, port, path="/") as theirs,
        upkeep("web", folder / "ours", CONFIG) as (ours_at, ours),
    ):
        used: dict[str, list[float]] = {"ours": [], "theirs": []}

        def once(kind: str, at: int, root: int, path: str) -> float:
            before = cpu(root)
            load: Load = drive(at, numbered(*webhooks.around(body, path=path)), connections=4, seconds=size.seconds)
            if not set(load.statuses) <= {200, 202}:
                raise RuntimeError(f"{kind} answered {dict(load.statuses)}")
            used[kind].append((cpu(root) - before) * 1000 / len(load.waits))
            return load.rate

        kinds: dict[str, Callable[[], float]] = {
            "ours": lambda: once("ours", ours_at, ours.pid, "/hooks/github"),
            "theirs": lambda: once("theirs", port, theirs.pid, "/change_hook/github"),
        }
        for act in kinds.values():
            act()
        used = {"ours": [], "theirs": []}
        rates = in_turns(size.rounds, kinds)
    name = "Buildbot, one scheduler"
    report.compare("signed pushes of 8.8 KB, four at a time", "1/s", rates["ours"], rates["theirs"], name)
    report.compare("the same, processor time of each", "ms", used["ours"], used["theirs"], name)


def _behind(size: Size, report: Report, folder: Path) -> None:
    report.say("a database with 1,000 resources")
    state = folder / "fleet"
    store = open_store(multitudes.database(state, 1000), state=state)
    found: dict[str, list[float]] = {}

    def ours() -> float:
        began = time.perf_counter()
        with store.read() as unit:
            unit.fleet.page(FleetFilter(behind=True), FleetOrder.WORST, None, 1000)
        return (time.perf_counter() - began) * 1000

    with closing(store):
        found["ours"] = [ours() for _ in range(size.rounds + 1)][1:]
    for called, packages, act in (("copier", COPIER, _copier), ("cruft", CRUFT, _cruft)):
        report.say(f"installing {called}")
        try:
            taken = act(bin_of(called, *packages), folder / called, min(size.rounds, 5), report)
        except CannotRun as fault:
            report.missing(f"which of 1,000 are behind, {called}", str(fault)[:200])
            continue
        name = f"{called}, asked a thousand times ({PROJECTS} measured)"
        theirs = [each * 1000 * 1000 for each in taken]
        report.compare("which of 1,000 are behind", "ms", found["ours"][: len(theirs)], theirs, name)


def _template(folder: Path, files: dict[str, str]) -> Path:
    """A repository with a template in two versions."""
    place = folder / "template"
    for number in (1, 2):
        for path, text in files.items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_text(f"{text}\n" + ("" if path.endswith(("json", "yml")) else f"# {number}\n"))
        if number == 1:
            _run("git", "init", "--quiet", "--initial-branch=main", str(place))
        _run("git", "-C", str(place), "add", ".")
        _run("git", "-C", str(place), "commit", "--quiet", "-m", f"Version {number}")
        _run("git", "-C", str(place), "tag", f"v{number}.0.0")
    return place


def _copier(bins: Path, folder: Path, rounds: int, report: Report) -> list[float]:
    template = _template(
        folder,
        {
            "copier.yml": "name: x",
            "body.yaml.jinja": "{{ name }}",
            "{{ _copier_conf.answers_file }}.jinja": "{{ _copier_answers|to_nice_yaml }}",
        },
    )
    project = folder / "project"
    _run(bins / "copier", "copy", "--quiet", "--defaults", "--vcs-ref=v1.0.0", f"git+file://{template}", project)
    report.say("asking copier")
    return _asked(rounds, lambda: _run(bins / "copier", "check-update", str(project), may_fail=True))


def _cruft(bins: Path, folder: Path, rounds: int, report: Report) -> list[float]:
    template = _template(folder, {"cookiecutter.json": '{"name": "x"}', "{{cookiecutter.name}}/body.yaml": "body"})
    given = ("--checkout", "v1.0.0", "--no-input", "--output-dir", str(folder))
    _run(bins / "cruft", "create", f"file://{template}", *given)
    report.say("asking cruft")
    return _asked(
        rounds,
        lambda: _run(
            bins / "cruft", "check", "--project-dir", str(folder / "x"), "--checkout", "v2.0.0", may_fail=True
        ),
    )


def _asked(rounds: int, ask: Callable[[], None]) -> list[float]:
    """Seconds that one question takes, in each round."""
    ask()
    taken = []
    for _ in range(rounds):
        each = []
        for _ in range(PROJECTS):
            began = time.perf_counter()
            ask()
            each.append(time.perf_counter() - began)
        taken.append(median(each))
    return taken


def _run(*command: object, may_fail: bool = False) -> None:
    person = {f"GIT_{who}_{what}": "x@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [*map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **person, **quiet},
    )
    if (done.returncode and not may_fail) or "Traceback" in done.stderr:
        raise CannotRun(f"{' '.join(map(str, command[:2]))}: {(done.stderr or done.stdout).strip()[-300:]}")
