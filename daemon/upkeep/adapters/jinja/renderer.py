"""The renderer as the rest of the house sees it: it keeps worker processes, and replaces those that overrun."""

import fcntl
import hashlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from upkeep import watch
from upkeep.adapters.jinja.frames import JSON, PIECE, READY, TEXT, Frames, framed
from upkeep.domain.errors import BundleError, CallerError, TransientError, UpkeepError
from upkeep.domain.findings import Finding, Severity, error
from upkeep.domain.parts import Part

if TYPE_CHECKING:
    # The worker imports this package too, and should start without a YAML parser.
    from upkeep.domain.bundles import TemplateFile
    from upkeep.flows.ports import Rendered, Rendering

_START_FOR = timedelta(seconds=30)
"""How long a worker may take to start, on a machine that has much else to do."""

_SEND_TEXT = {"send": "text"}
"""What a worker answers that does not know the template by its digest, or not any more."""


class _Gone(Exception):
    """The worker did not answer. `returncode` as of `subprocess`; None when it was stopped for taking too long."""

    def __init__(self, returncode: int | None) -> None:
        super().__init__(returncode)
        self.returncode = returncode


class JinjaRenderer:
    """Checks and renders templates in worker processes, started when first needed and one for each concurrent caller.

    `time_for` bounds the processor time of one render, `memory_bytes` a worker's address space, `output_bytes` the
    rendered text in UTF-8. Implements the `Renderer` port; safe to share between threads.
    """

    def __init__(
        self,
        *,
        time_for: timedelta = timedelta(seconds=3),
        memory_bytes: int = 512 * 1024 * 1024,
        output_bytes: int = 2 * 1024 * 1024,
        workers: int = 2,
    ) -> None:
        self._time_for = time_for
        self._memory_bytes = memory_bytes
        self._output_bytes = output_bytes
        self._places = threading.BoundedSemaphore(workers)
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers that are idle. A later call starts new ones."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.stop()

    def check(
        self, template: "TemplateFile", part: Part, declared: Mapping[Part, Collection[str]] | None = None
    ) -> Sequence[Finding]:
        """What is wrong with a template before any value is known.

        `declared` are the inputs of each part's schema type, as far as known. A template that breaks a limit while
        it is read has that as its finding.
        """
        question = {
            "ask": "check",
            "path": template.path,
            "text": template.text,
            "part": part.value,
            "declared": {name.value: sorted(inputs) for name, inputs in (declared or {}).items()},
        }
        try:
            answer = self._ask(template, question)
            if "limit" in answer:
                raise self._broken(template, answer)
        except BundleError as fault:
            return (error("template-limit", fault.message, template.path, cure=fault.cure),)
        return tuple(Finding(**{**row, "severity": Severity(row["severity"])}) for row in answer["findings"])

    def render(self, template: "TemplateFile", namespace: Mapping[str, Any]) -> str:
        """The text of a template with the values of its namespace.

        Raises BundleError naming file, line and cause when the template fails or breaks a limit, CallerError for
        values that JSON has no word for, and TransientError when no worker got to do it.
        """
        answer = self._ask(template, _to_render(template, namespace))
        if isinstance(answer, str):
            return answer
        raise self._broken(template, answer)

    def render_each(self, asked: "Sequence[Rendering]") -> "Sequence[Rendered]":
        """As `render`, for several: a text or an error for each. They are asked together, which saves the way to the
        worker and back; each is rendered within limits of its own, and fails alone."""
        done = self._ask_together(asked)
        for template, namespace in asked[len(done) :]:
            try:
                done.append(self.render(template, namespace))
            except (BundleError, CallerError) as fault:
                done.append(fault)
        return done

    def _ask_together(self, asked: "Sequence[Rendering]") -> "list[Rendered]":
        """What became of the first of them, up to one that has to be asked for by itself."""
        done: list[Rendered] = []
        try:
            questions = b"".join(framed(_encoded(_to_render(*each))) for each in asked)
        except CallerError:
            return done
        with self._places:
            worker = self._hire()
            if len(questions) > worker.room:
                # To write it would take until the worker has read, which may wait for its answers to be read.
                self._keep(worker)
                return done
            known = True
            try:
                worker.tell(questions)
                for template, _ in asked:
                    with watch.stretch("render", "render"):
                        answer = worker.hear()
                    # What follows is heard all the same, so that the worker can be asked again.
                    known = known and answer != _SEND_TEXT
                    if known and isinstance(answer, str):
                        done.append(answer)
                    elif known and ("message" in answer or answer.get("limit") == "output"):
                        done.append(self._broken(template, answer))
                    elif known:
                        worker.stop()
                        return done
            except _Gone as gone:
                if gone.returncode is None:
                    raise self._overrun(template, gone) from gone
                return [*done, self._too_slow(template)] if gone.returncode == -signal.SIGPROF else done
            except BaseException:
                worker.stop()
                raise
            self._keep(worker)
        return done

    def _ask(self, template: "TemplateFile", question: Mapping[str, Any]) -> Any:
        with watch.stretch("render", question["ask"]), self._places:
            worker = self._hire()
            used = worker.answers > 0
            try:
                answer = self._answer(worker, template, question)
            except _Gone as gone:
                if not used or gone.returncode in (None, -signal.SIGPROF):
                    raise self._overrun(template, gone) from gone
            else:
                if not used or answer != {"limit": "memory"}:
                    return answer
            # What a used worker died of, or what filled its memory, may have been another template's doing.
            try:
                return self._answer(self._new_worker(), template, question)
            except _Gone as gone:
                raise self._overrun(template, gone) from gone

    def _answer(self, worker: "_Worker", template: "TemplateFile", question: Mapping[str, Any]) -> Any:
        """Ask a worker, and keep it for the next caller unless it ran into a limit."""
        try:
            answer = worker.ask(_encoded(question))
            if answer == _SEND_TEXT:
                answer = worker.ask(_encoded({**question, "text": template.text}))
        except BaseException:
            worker.stop()
            raise
        if isinstance(answer, dict) and "bug" in answer:
            worker.stop()
            raise RuntimeError(f"a template worker failed:\n{answer['bug']}")
        if isinstance(answer, dict) and answer.get("limit") in ("memory", "recursion"):
            worker.stop()
        else:
            self._keep(worker)
        return answer

    def _keep(self, worker: "_Worker") -> None:
        with self._lock:
            self._idle.append(worker)

    def _hire(self) -> "_Worker":
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._new_worker()

    def _new_worker(self) -> "_Worker":
        return _Worker(self._time_for, self._memory_bytes, self._output_bytes)

    def _broken(self, template: "TemplateFile", answer: Mapping[str, Any]) -> BundleError:
        limit = answer.get("limit")
        line = answer.get("line")
        where = template.path if line is None else f"{template.path}:{line}"
        if limit == "memory":
            message = f"rendering this template takes more than {self._memory_bytes // (1024 * 1024)} MB of memory"
            return BundleError(
                message,
                where=where,
                cure="look for texts or lists that grow with each repetition, or raise `rendering.memory`",
            )
        if limit == "output":
            message = f"the rendered template is longer than {self._output_bytes:,} bytes"
            return BundleError(
                message, where=where, cure="look for a loop that writes too much, or raise `rendering.output`"
            )
        if limit == "recursion":
            message = "this template is nested too deeply, or a macro calls itself without end"
            return BundleError(message, where=where, cure="nest fewer blocks, brackets and calls")
        return BundleError(str(answer["message"]), where=where, cure=answer.get("cure"))

    def _overrun(self, template: "TemplateFile", gone: _Gone) -> UpkeepError:
        if gone.returncode is None:
            # Templates cannot sleep: one that used up neither its time nor its memory was not given the processor.
            return TransientError("rendering this template was not given enough processor time", where=template.path)
        if gone.returncode == -signal.SIGPROF:
            return self._too_slow(template)
        return BundleError(f"rendering this template ended its worker ({gone.returncode})", where=template.path)

    def _too_slow(self, template: "TemplateFile") -> BundleError:
        message = f"rendering this template takes more than {self._time_for.total_seconds():g} s of processor time"
        return BundleError(
            message, where=template.path, cure="look for loops within loops and huge numbers, or raise `rendering.time`"
        )


def _to_render(template: "TemplateFile", namespace: Mapping[str, Any]) -> Mapping[str, Any]:
    digest = hashlib.sha256(template.text.encode("utf-8", "surrogatepass")).hexdigest()
    return {"ask": "render", "digest": digest, "namespace": namespace}


def _encoded(question: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(question, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as fault:
        raise CallerError(f"the inputs hold a value that cannot be written as JSON: {fault}") from fault


def _started(*limits: str) -> subprocess.Popen[bytes]:
    """The process, in a session of its own so that a Ctrl-C at the terminal is its parent's to answer."""
    path = os.pathsep.join(place for place in sys.path if place)
    try:
        return subprocess.Popen(  # noqa: S603  (our own module)
            [sys.executable, "-P", "-m", "upkeep.adapters.jinja.worker", *limits],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            env={"PYTHONPATH": path, "PYTHONUTF8": "1", "MALLOC_ARENA_MAX": "1"},
            start_new_session=True,
        )
    except OSError as fault:
        raise TransientError(f"a template worker could not be started: {fault.strerror}") from fault


class _Worker:
    """One worker process and its pipes. Used by one caller at a time."""

    def __init__(self, time_for: timedelta, memory_bytes: int, output_bytes: int) -> None:
        # Waiting for the processor counts here too, so there is more of it than the worker may use.
        self._answer_for = 3 * time_for + timedelta(seconds=1)
        self.answers = 0
        self._process = _started(str(memory_bytes), str(time_for.total_seconds()), str(output_bytes))
        assert self._process.stdin is not None and self._process.stdout is not None
        self._questions = self._process.stdin.fileno()
        self._answers = self._process.stdout.fileno()
        self.room = fcntl.fcntl(self._questions, fcntl.F_GETPIPE_SZ)
        self._frames = Frames()
        self._poll = select.poll()
        self._poll.register(self._answers, select.POLLIN)
        try:
            started = self._receive(_START_FOR)
        except _Gone as gone:
            raise TransientError("a template worker could not be started") from gone
        assert started == READY

    def ask(self, question: bytes) -> Any:
        """The answer: a text, or what the JSON says. Raises _Gone when there is none."""
        self.tell(framed(question))
        return self.hear()

    def tell(self, questions: bytes) -> None:
        """Ask one or more questions, as frames. Raises _Gone when nobody is there to take them."""
        try:
            left = memoryview(questions)
            while left:
                left = left[os.write(self._questions, left) :]
        except BrokenPipeError:
            raise self._gone(self._process.wait()) from None

    def hear(self) -> Any:
        """The answer to the first question that has none yet. Raises _Gone when there is none."""
        answer = self._receive(self._answer_for)
        self.answers += 1
        if answer[:1] == TEXT:
            return answer[1:].decode()
        assert answer[:1] == JSON
        return json.loads(answer[1:])

    def stop(self) -> None:
        """Kill the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _receive(self, within: timedelta) -> bytes:
        end = time.monotonic() + within.total_seconds()
        try:
            while (body := self._frames.take()) is None:
                if not self._poll.poll(max(0.0, end - time.monotonic()) * 1000):
                    self.stop()
                    raise self._gone(None)
                piece = os.read(self._answers, PIECE)
                if not piece:
                    self._process.wait()
                    raise self._gone(self._process.returncode)
                self._frames.add(piece)
        except ValueError:
            self.stop()
            raise self._gone(0) from None
        return body

    def _gone(self, returncode: int | None) -> _Gone:
        self.stop()
        return _Gone(returncode)
