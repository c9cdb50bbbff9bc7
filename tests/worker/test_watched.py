"""What a worker that runs by itself tells of its work, and to whom."""

import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest

from upkeep import settings, watch, wiring
from upkeep.domain.errors import CallerError, SettingsError
from upkeep.domain.names import SourceName
from upkeep.domain.work import Claim, WorkKind
from upkeep.worker.works import about

TOKEN = "a-long-random-text"


def configured(folder: Path, port: int) -> settings.Settings:
    text = f"metrics: {{token: {TOKEN}, worker_port: {port}}}"
    chosen = settings.read(text, "upkeep.yaml", folder=folder, environ={})
    wiring.migrate(chosen)
    return chosen


def status(address: str, authorization: str = "") -> tuple[int, str]:
    asked = urllib.request.Request(address, headers={"Authorization": authorization} if authorization else {})
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, ""


def test_it_answers_at_its_own_address_and_readers_only(tmp_path, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "/nowhere")
    with ExitStack() as stack:
        crew = wiring.open_worker(configured(tmp_path, 0), stack)
        assert crew.metrics is not None
        with watch.stretch("work", "sync"):
            pass
        assert status(crew.metrics)[0] == 403
        assert status(crew.metrics.replace("/metrics", "/"), f"Bearer {TOKEN}")[0] == 404
        code, text = status(crew.metrics, f"Bearer {TOKEN}")
        assert code == 200
        assert 'upkeep_work_duration_seconds_count{kind="sync",outcome="ok"} 1.0' in text
        with ExitStack() as another, pytest.raises(CallerError, match="cannot listen on"):
            port = int(crew.metrics.split(":")[2].partition("/")[0])
            wiring.open_worker(configured(tmp_path, port), another)


@pytest.mark.parametrize("kind", WorkKind)
def test_every_kind_of_work_says_what_it_is_about(kind):
    subject = "network-env@1.3" if kind in (WorkKind.PREVIEW, WorkKind.REGISTER) else SourceName("templates")
    found = about(Claim(kind, subject, 1, 1, leased_until=None))
    assert set(found.values()) in ({"templates"}, {"network-env", "1.3"})


def test_traces_without_what_sends_them_are_refused_at_the_start(tmp_path, monkeypatch):
    monkeypatch.delitem(wiring.sys.modules, "upkeep.adapters.tracing", raising=False)
    monkeypatch.setitem(wiring.sys.modules, "opentelemetry", None)
    chosen = settings.read("tracing: {endpoint: 'http://127.0.0.1:9'}", "x", folder=tmp_path, environ={})
    with pytest.raises(SettingsError, match=r"pip install 'upkeep\[tracing\]'"):
        wiring.prepare(chosen)
    assert not (tmp_path / "upkeep-state").exists()


def test_a_token_that_stands_nowhere_is_told_at_the_start(tmp_path):
    chosen = settings.read("metrics: {token_file: missing}", "x", folder=tmp_path, environ={})
    with pytest.raises(SettingsError, match=r"metrics\.token: .*missing"):
        wiring.prepare(chosen)
    (tmp_path / "missing").write_text("\n")
    with pytest.raises(SettingsError, match="metrics"):
        wiring.prepare(chosen)
