"""One format for everybody who logs, and no secret in it."""

import io
import json
import logging
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests import builders
from tests.deploy.ports import a_free_port
from upkeep import logs, watch
from upkeep.adapters.store import SqlStore
from upkeep.chronicle import ChronicledStore
from upkeep.domain.people import DAEMON
from upkeep.flows import follow


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What is logged, as JSON lines."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    yield stream
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(written: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_we_and_libraries_write_the_same_lines(written: io.StringIO) -> None:
    with watch.stretch("work", "sync", {"source": "templates"}):
        structlog.get_logger().info("ours", number=1)
        logging.getLogger("library").warning("theirs %s", 2)
    ours, theirs = lines(written)
    assert (ours["event"], ours["number"], ours["level"], ours["source"]) == ("ours", 1, "info", "templates")
    assert (theirs["event"], theirs["logger"], theirs["level"]) == ("theirs 2", "library", "warning")
    assert theirs["source"] == "templates"
    assert ours.keys() - {"number"} <= theirs.keys()


def test_what_is_below_the_level_or_only_of_use_to_a_librarys_author_is_left_out(written: io.StringIO) -> None:
    structlog.get_logger().debug("details")
    logging.getLogger("apscheduler.scheduler").info("Added job")
    assert lines(written) == []


def test_a_trace_stays_in_its_line(written: io.StringIO) -> None:
    try:
        raise ZeroDivisionError("oh")
    except ZeroDivisionError:
        structlog.get_logger().exception("failed")
    [line] = lines(written)
    assert "ZeroDivisionError: oh" in line["exception"]


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://upkeep:hidden@db/upkeep does not answer",
        "https://x:hidden@github.com/a/b.git",
        "POST https://hooks.slack.com/services/T0/B0/hidden failed",
        "xoxb-1-hidden is revoked",
        "ghp_hiddenhiddenhiddenhidden",
        "glpat-hiddenhiddenhiddenhidden",
        "upkeep_hiddenhiddenhiddenhidden",
    ],
)
def test_a_secret_in_a_text_is_replaced(written: io.StringIO, text: str) -> None:
    structlog.get_logger().warning(text, reason=text)
    logging.getLogger("library").warning(text)
    assert "hidden" not in written.getvalue()
    assert len(lines(written)) == 2


@pytest.mark.parametrize("form", ["json", "console"])
def test_nobody_forges_a_line_or_moves_the_cursor_with_a_text_of_theirs(written: io.StringIO, form: str) -> None:
    logs.configure("info", form, written)
    forged = "/\n2026-01-01 [info] signed_in actor=root\r\x1b[2J\x9b2J\u2028\u202e"
    logging.getLogger("upkeep.web").warning("GET %s", forged)
    structlog.get_logger().info("pushed", ref=forged)
    try:
        raise ValueError(forged)
    except ValueError:
        structlog.get_logger().exception("failed")
    shown = written.getvalue()
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]", shown)
    assert not re.search("^2026-01-01", shown, re.MULTILINE)
    if form == "json":
        assert [line["event"] for line in lines(written)] == [f"GET {forged}", "pushed", "failed"]
        assert lines(written)[1]["ref"] == forged


def test_hiding_secrets_takes_no_longer_for_a_text_that_was_made_to_be_hard(written: io.StringIO) -> None:
    began = time.process_time()
    logging.getLogger("upkeep.web").warning("GET %s", "a" * 200_000)
    assert time.process_time() - began < 2


def test_a_value_whose_name_says_secret_is_replaced(written: io.StringIO) -> None:
    structlog.get_logger().info("x", password="hidden", api_key="hidden", inner={"token": "hidden"})
    assert "hidden" not in written.getvalue()


def test_what_the_library_of_aws_says_of_credentials_is_never_written(written: io.StringIO) -> None:
    logs.configure("debug", "json", written)
    logging.getLogger("botocore.of_parsers").debug("Response body: <SecretAccessKey>hidden</SecretAccessKey>")
    logging.getLogger("botocore.of_credentials").info("Found credentials: hidden")
    logging.getLogger("botocore.of_endpoints").warning("shown")
    assert [line["event"] for line in lines(written)] == ["shown"]


def test_what_the_journal_records_is_logged_once_it_is_committed(
    written: io.StringIO, store: SqlStore, now: datetime
) -> None:
    chronicled = ChronicledStore(store)
    with pytest.raises(RuntimeError), chronicled.write() as unit:
        follow.add(unit, builders.a_source(), actor=DAEMON, now=now)
        raise RuntimeError("killed")
    assert lines(written) == []
    with chronicled.write() as unit:
        follow.add(unit, builders.a_source(), actor=DAEMON, now=now)
    [line] = lines(written)
    assert (line["event"], line["subject"], line["actor"]) == ("source_added", "source/templates", "upkeep")


ENDED = """
import threading, warnings
from upkeep import logs

logs.configure("info", "json")
warnings.warn("an old name is used")
thread = threading.Thread(target=lambda: 1 / 0, name="mine")
thread.start()
thread.join()


class Careless:
    def __del__(self):
        raise OSError("nobody hears of it")


Careless()
raise LookupError("ghp_hiddenhiddenhiddenhidden is gone")
"""


def test_what_ends_a_thread_or_the_program_is_a_line_like_all_others() -> None:
    ended = subprocess.run([sys.executable, "-c", ENDED], capture_output=True, text=True, check=False)
    warned, thread, ignored, program = (json.loads(line) for line in ended.stderr.splitlines())
    assert (warned["level"], warned["logger"]) == ("warning", "py.warnings")
    assert (thread["level"], thread["event"]) == ("critical", "the thread mine was ended by a bug")
    assert "ZeroDivisionError" in thread["exception"]
    assert (ignored["level"], "Careless.__del__" in ignored["event"]) == ("error", True)
    assert "OSError: nobody hears of it" in ignored["exception"]
    assert program["level"] == "critical"
    assert "LookupError: ******** is gone" in program["exception"]


def test_a_worker_that_cannot_start_says_so_in_a_line_like_all_others(tmp_path: Path) -> None:
    url = f"postgresql://127.0.0.1:{a_free_port()}/upkeep"
    (tmp_path / "upkeep.yaml").write_text(f"state: state\ndatabase: {{url: '{url}'}}\n")
    command = [sys.executable, "-P", "-m", "upkeep", "worker"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    [line] = [json.loads(line) for line in ended.stderr.splitlines()]
    assert (line["level"], line["event"]) == ("error", "the worker cannot start")
    assert "Connection refused" in line["reason"]


def test_a_line_says_what_lasts_around_it_and_no_more_afterwards(written: io.StringIO) -> None:
    log = structlog.get_logger()
    with watch.stretch("work", "sync", {"work": "sync", "source": "templates"}):
        watch.about(delivery="d1", version=None)
        with pytest.raises(ZeroDivisionError), watch.stretch("git", "fetch"):
            logging.getLogger("library").warning("inner")
            raise ZeroDivisionError
        log.info("outer", source="another")
    log.info("later")
    inner, outer, later = lines(written)
    assert (inner["source"], inner["delivery"]) == ("templates", "d1")
    assert "version" not in inner
    assert (outer["source"], outer["work"]) == ("another", "sync")
    assert not later.keys() & {"work", "source", "delivery"}


class Failing:
    """Somebody who watches, and has nowhere to write."""

    def begun(self, stretch: watch.Stretch) -> Callable[[], None]:
        return self._fail

    def happened(self, what: str, name: str, seconds: float | None) -> None:
        self._fail()

    def _fail(self) -> None:
        raise OSError("no space left on device")


def test_who_watches_and_fails_stops_nobody_s_work(written: io.StringIO) -> None:
    done = []
    with watch.watching(Failing()):
        watch.happened("event", "version_published")
        with watch.stretch("work", "sync", {"source": "templates"}):
            done.append("sync")
    assert done == ["sync"]
    assert ["no space left" in line["exception"] for line in lines(written)] == [True, True]
    assert not watch.known()
