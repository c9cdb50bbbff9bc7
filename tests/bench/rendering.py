"""Goal 5, rendering: templates in bulk and behind guards, beside a bare loop over a compiled template."""

import difflib
import tempfile
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from threading import Event, Thread
from typing import Any

import jinja2
import yaml

from tests import builders
from tests.bench import webhooks
from tests.bench.figures import Report, Size, in_turns
from tests.bench.floors import SECRET
from tests.bench.load import drive, numbered
from tests.bench.processes import upkeep
from tests.bench.repositories import BODY, Remote, files
from tests.flows.given import registered, running
from upkeep.adapters.jinja import JinjaRenderer
from upkeep.adapters.store import SqlStore, migrate, open_store
from upkeep.domain import documents
from upkeep.domain.bundles import TemplateFile
from upkeep.domain.differences import difference
from upkeep.domain.names import Version, environment_key
from upkeep.domain.namespaces import EnvironmentFacts, environment_namespace
from upkeep.domain.versions import VersionState
from upkeep.domain.work import WorkKind
from upkeep.flows.preview import preview, subject_of

NAME = "network-env"
ALARM = """\
  Alarm:
    Type: AWS::CloudWatch::Alarm
    Properties:
      AlarmName: {{ environment.name }}-cpu
"""


def measure(size: Size, report: Report) -> None:
    """A loop beside a loop, a preview beside a loop, and others beside a preview."""
    _in_bulk(size, report)
    with tempfile.TemporaryDirectory() as place:
        store = _fleet(Path(place), size.rendered)
        _previewed(size, report, store)
        store.close()
    with tempfile.TemporaryDirectory() as place:
        _beside(size, report, Path(place))


def _bodies() -> tuple[str, str]:
    before = files()[BODY]
    return before, before.replace("Resources:\n", f"Resources:\n{ALARM}", 1)


def _inputs(number: int) -> dict[str, Any]:
    """Inputs of the demonstration's environment template."""
    return {"vpc_cidr": f"10.{number % 250}.0.0/16"}


def _in_bulk(size: Size, report: Report) -> None:
    report.say(f"{size.rendered:,} renders")
    texts = _bodies()
    templates = [TemplateFile("infrastructure/cloudformation.yaml", text) for text in texts]
    defaults = _defaults()
    namespaces = [
        environment_namespace(EnvironmentFacts(f"env-{number:04}", None, {**defaults, **_inputs(number)}))
        for number in range(size.rendered)
    ]
    compiled = [_environment().from_string(text) for text in texts]
    loader = _loader()
    with JinjaRenderer() as renderer:

        def ours() -> float:
            began = time.perf_counter()
            for namespace in namespaces:
                before, after = renderer.render_each([(template, namespace) for template in templates])
                documents.load_template(after, "template")
                difference(before, after).hunks  # noqa: B018
            return (time.perf_counter() - began) * 1000 / size.rendered

        def floor() -> float:
            began = time.perf_counter()
            for namespace in namespaces:
                before, after = (template.render(namespace) for template in compiled)
                yaml.load(after, loader)
                "".join(difflib.unified_diff(before.splitlines(True), after.splitlines(True)))
            return (time.perf_counter() - began) * 1000 / size.rendered

        def only() -> float:
            began = time.perf_counter()
            for namespace in namespaces:
                renderer.render(templates[0], namespace)
            return (time.perf_counter() - began) * 1000 / size.rendered

        def bare() -> float:
            began = time.perf_counter()
            for namespace in namespaces:
                compiled[0].render(namespace)
            return (time.perf_counter() - began) * 1000 / size.rendered

        ours()
        floor()
        took = in_turns(size.rounds, {"ours": ours, "floor": floor, "only": only, "bare": bare})
    loop = "a bare loop: compiled Jinja, PyYAML's C loader, difflib"
    report.compare("two renders, a parse and a difference", "ms", took["ours"], took["floor"], loop, at_most=1.3)
    report.compare("one render behind all guards", "ms", took["only"], took["bare"], "compiled Jinja without guards")


def _environment() -> jinja2.Environment:
    return jinja2.Environment(undefined=jinja2.StrictUndefined)


def _loader() -> type[yaml.CSafeLoader]:
    class Loader(yaml.CSafeLoader):
        """PyYAML's own, that takes CloudFormation's short forms for what they are written on."""

    def plain(loader: Any, suffix: str, node: Any) -> Any:
        if isinstance(node, yaml.MappingNode):
            return loader.construct_mapping(node, deep=True)
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return node.value

    Loader.add_multi_constructor("!", plain)
    return Loader


def _defaults() -> dict[str, Any]:
    schema = yaml.safe_load(files()["schema/schema.yaml"])["schema"]
    types = schema["types"][schema["environment_input_type"]]["properties"]
    return {name: known["default"] for name, known in types.items() if "default" in known}


def _fleet(state: Path, resources: int) -> SqlStore:
    """A store with so many environments on 1.0, and 1.1 drafted."""
    state.mkdir(parents=True, exist_ok=True)
    url, now = f"sqlite:///{state / 'upkeep.db'}", datetime.now(UTC)
    migrate(url, state=state)
    store = open_store(url, state=state)
    before, after = _bodies()
    with store.write() as unit:
        registered(unit, NAME, "1.0", builders.a_bundle({**files(), BODY: before}), now, VersionState.PUBLISHED)
        registered(unit, NAME, "1.1", builders.a_bundle({**files(), BODY: after}), now)
        for number in range(resources):
            running(unit, environment_key(f"env-{number:04}"), NAME, "1.0", inputs=_inputs(number))
    return store


def _previewed(size: Size, report: Report, store: SqlStore) -> None:
    report.say(f"previews of {size.rendered:,} resources")
    texts = [TemplateFile(BODY, text) for text in _bodies()]
    defaults = _defaults()
    with JinjaRenderer() as renderer:

        def ours() -> float:
            now = datetime.now(UTC)
            with store.write() as unit:
                unit.work.ask(WorkKind.PREVIEW, subject_of(NAME, Version(1, 1)), now)
                claim = unit.work.claim([WorkKind.PREVIEW], now, timedelta(minutes=10))
            assert claim is not None
            began = time.perf_counter()
            preview(store, renderer, claim, now=now)
            return (time.perf_counter() - began) * 1000

        def floor() -> float:
            began = time.perf_counter()
            for number in range(size.rendered):
                facts = EnvironmentFacts(f"env-{number:04}", None, {**defaults, **_inputs(number)})
                before, after = renderer.render_each([(text, environment_namespace(facts)) for text in texts])
                difference(before, after).hunks  # noqa: B018
            return (time.perf_counter() - began) * 1000

        ours()
        took = in_turns(size.rounds, {"ours": ours, "floor": floor})
    what = f"a draft previewed in {size.rendered:,} resources"
    loop = "its renders and differences alone, one after the other"
    report.compare(what, "ms", took["ours"], took["floor"], loop, at_most=1.3)


def _beside(size: Size, report: Report, folder: Path) -> None:
    """What a webhook waits while drafts are previewed one after the other."""
    report.say("webhooks beside previews")
    remote = Remote(folder / "remote.git")
    remote.fill(1)
    state = folder / "daemon" / "state"
    store = _fleet(state, size.rendered)
    config = f'webhooks: {{secrets: ["{SECRET.decode()}"]}}\ngit: {{allow_local: true}}\n'
    config += f'sources: [{{name: busy, url: "{remote.url}"}}]\n'
    waits: dict[str, list[float]] = {"alone": [], "beside": []}
    with upkeep("serve", folder / "daemon", config) as (port, _):
        requests = numbered(*webhooks.around(webhooks.push("https://github.com/acme/other.git")))
        for _ in range(size.rounds):
            for kind, found in waits.items():
                ended = Event()
                thread = Thread(target=partial(_keep_previewing, store, ended), daemon=True)
                if kind == "beside":
                    thread.start()
                    time.sleep(0.3)
                load = drive(port, requests, connections=1, seconds=size.seconds / 2)
                found.append(median(load.waits) * 1000)
                ended.set()
                if kind == "beside":
                    thread.join()
    store.close()
    report.compare("a webhook beside previews", "ms", waits["beside"], waits["alone"], "without previews", at_most=2.0)


def _keep_previewing(store: SqlStore, ended: Event) -> None:
    subject = subject_of(NAME, Version(1, 1))
    while not ended.wait(0.05):
        with store.read() as unit:
            waiting = unit.work.find(WorkKind.PREVIEW, subject)
        if waiting is None:
            with store.write() as unit:
                unit.work.ask(WorkKind.PREVIEW, subject, datetime.now(UTC))
