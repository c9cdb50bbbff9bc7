"""Logs: one format for us, gunicorn and every library; one JSON object a line, or coloured lines on a terminal.

What a line is about (`delivery`, `source`, `resource`, …) is said to `upkeep.watch` where it is known and stands in
every line written meanwhile.
"""

import io
import logging
import logging.config
import re
import sys
import threading
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any, TextIO

import structlog
from structlog.types import EventDict, Processor

from upkeep import watch
from upkeep.domain.terminals import harmless, one_line

_SECRET_NAME = re.compile(r"secret|password|token|authorization|cookie|signature|api_?key", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"(?P<scheme>\b[a-z][a-z0-9+.\-]{0,20}://[^\s/:@]{0,200}:)[^\s/@]+(?=@)"
    r"|(?P<slack>hooks\.slack\.com/(?:services|workflows|triggers)/)[^\s\"']+"
    r"|\bxox[a-z]-[0-9A-Za-z\-]+"
    r"|\b(?:upkeep_|glpat-)[0-9A-Za-z_\-]{20,}"
    r"|\bgh[pousr]_[0-9A-Za-z]{16,}|\bgithub_pat_[0-9A-Za-z_]{16,}",
    re.IGNORECASE,
)
_HIDDEN = "********"
_log = logging.getLogger(__name__)

_QUIET = ("apscheduler", "alembic", "git", "sqlalchemy", "urllib3", "slack_sdk")
"""Libraries that say at INFO what only their authors want to know."""

_SILENT = ("boto3", "botocore")
"""Libraries that write what they send and get at DEBUG, credentials among it: only their warnings are ever shown."""


def configure(level: str, form: str, stream: TextIO | None = None) -> None:
    """Send everything that is logged in this process to a stream, stderr unless one is given.

    `level` is the least one shown; `form` is `json`, `console`, or `auto`: console on a terminal, else json.
    """
    out = stream or sys.stderr
    readable = for_people(form, out)
    shared: list[Processor] = [
        _name_what_it_is_about,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=not readable),
    ]
    last: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, _hide_secrets]
    if readable:
        last.append(_in_one_line)
        last.append(structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=_indented))
    else:
        last[1:1] = [structlog.processors.format_exc_info]
        last.append(structlog.processors.JSONRenderer(ensure_ascii=False))
        # JSON escapes most of what acts on a terminal, and this the rest.
        last.append(lambda logger, method, line: harmless(str(line)))
    handler = _Written(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=[*shared, _name_logger], processors=last)
    )
    if stream is None:
        _take_what_nobody_catches()
    # No line says them, and they are found out for each: https://docs.python.org/3/howto/logging.html#optimization
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(
            max(logging.WARNING, root.level) if root.level > logging.DEBUG else logging.NOTSET
        )
    for name in _SILENT:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


class _Written(logging.StreamHandler[TextIO]):
    """Puts a line together before it waits for its turn to write: that takes longer than writing it."""

    def handle(self, record: logging.LogRecord) -> bool:
        try:
            line = self.format(record) + self.terminator
            self.acquire()
            try:
                self.stream.write(line)
                self.flush()
            finally:
                self.release()
        except Exception:
            self.handleError(record)
        return True


def for_people(form: str, out: TextIO) -> bool:
    """Whether lines of this form are written for people where they go."""
    return form == "console" or (form == "auto" and out.isatty())


def _take_what_nobody_catches() -> None:
    """Let the errors that end a program or a thread, or that nobody could be told of, be lines like all others."""

    def ended(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            _log.critical("ended by a bug", exc_info=(kind, error, trace))

    def ended_thread(what: threading.ExceptHookArgs) -> None:
        name = what.thread.name if what.thread is not None else "unknown"
        if what.exc_value is not None and not issubclass(what.exc_type, SystemExit):
            trace = (what.exc_type, what.exc_value, what.exc_traceback)
            _log.critical("the thread %s was ended by a bug", name, exc_info=trace)

    def ignored(what: "sys.UnraisableHookArgs") -> None:
        if what.exc_value is not None:
            trace = (what.exc_type, what.exc_value, what.exc_traceback)
            _log.error("%s %r", what.err_msg or "Exception ignored in", what.object, exc_info=trace)

    sys.excepthook = ended
    threading.excepthook = ended_thread
    sys.unraisablehook = ignored


def _name_what_it_is_about(logger: Any, method: str, event: EventDict) -> EventDict:
    """The ids that are known here; what the line itself says stands."""
    return {**watch.known(), **event}


def _name_logger(logger: Any, method: str, event: EventDict) -> EventDict:
    """Say which library speaks; our own lines need no name."""
    record = event.get("_record")
    if record is not None:
        event["logger"] = record.name
    return event


def _in_one_line(logger: Any, method: str, event: EventDict) -> EventDict:
    """Nobody who has a text of theirs logged shall forge a line or move the cursor with it."""
    return {name: one_line(value) if isinstance(value, str) else value for name, value in event.items()}


def _indented(stream: TextIO, exc_info: Any) -> None:
    """A trace, apart from other lines: an error can quote whatever somebody sent."""
    trace = io.StringIO()
    structlog.dev.plain_traceback(trace, exc_info)
    stream.write("".join(f"    | {harmless(line)}\n" for line in hidden(trace.getvalue()).rstrip("\n").split("\n")))


def _hide_secrets(logger: Any, method: str, event: EventDict) -> EventDict:
    """The last guard: a secret that reached a line by mistake does not leave in it."""
    return _without_secrets(event)


def _without_secrets(event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if _SECRET_NAME.search(name) and value:
            event[name] = _HIDDEN
        elif isinstance(value, str):
            event[name] = hidden(value)
        elif isinstance(value, dict):
            event[name] = _without_secrets(dict(value))
    return event


def hidden(text: str) -> str:
    """The text without passwords in addresses, Slack addresses, and tokens of Slack and GitHub."""
    return _SECRET_TEXT.sub(lambda found: (found["scheme"] or found["slack"] or "") + _HIDDEN, text)
