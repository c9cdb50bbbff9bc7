"""The process that renders: it knows templates and values, and may do nothing but compute.

Started by the renderer as `python -m upkeep.adapters.jinja.worker`, it answers one question after the other over its
standard streams, each within limits of its own. It ends when its standard input does, that is with the process that
started it.
"""

import codecs
import gc
import hashlib
import html
import json
import os
import pprint
import resource
import signal
import sys
import textwrap
import traceback
from collections import OrderedDict
from dataclasses import asdict
from types import TracebackType
from typing import Any

import jinja2.constants
import jinja2.debug
from jinja2 import Template, TemplateNotFound, TemplateSyntaxError

from upkeep.adapters.jinja.checking import check
from upkeep.adapters.jinja.frames import JSON, PIECE, READY, TEXT, Frames, framed
from upkeep.adapters.jinja.sandbox import MissingName, Sandbox, TooLong
from upkeep.domain.parts import Part

_LOADED_LATE = (html, pprint, textwrap, jinja2.constants, jinja2.debug, codecs.lookup("unicode_escape"))
"""What Jinja imports only when it needs it. It is imported here, because no file can be opened later."""

_CACHED_CHARACTERS = 4_000_000
"""Compiled templates are kept for this many characters of source, so that they stay within the memory limit."""


_GARBAGE_AFTER = 50_000
"""So many objects more than before, and those in circles are looked for. A template makes thousands in none."""


class Cache:
    """Compiled templates by the digest of their text, those used last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[Template, int]] = OrderedDict()
        self._characters = 0

    def find(self, digest: str) -> Template | None:
        kept = self._kept.get(digest)
        if kept is None:
            return None
        self._kept.move_to_end(digest)
        return kept[0]

    def keep(self, digest: str, template: Template, characters: int) -> None:
        self._kept[digest] = (template, characters)
        self._characters += characters
        while self._characters > _CACHED_CHARACTERS and len(self._kept) > 1:
            self._characters -= self._kept.popitem(last=False)[1][1]


def main(memory_bytes: int, seconds: float, output_bytes: int) -> None:
    """Answer questions until there are no more."""
    sandbox, cache, frames = Sandbox(output_bytes), Cache(), Frames()
    gc.freeze()
    gc.set_threshold(_GARBAGE_AFTER)
    _confine(memory_bytes)
    _write(READY)
    while (question := _read(frames)) is not None:
        # The default reaction to SIGPROF is death: nothing a template does can delay it.
        signal.setitimer(signal.ITIMER_PROF, seconds)
        answer = _answer(sandbox, cache, question)
        signal.setitimer(signal.ITIMER_PROF, 0)
        _write(answer)


def _confine(memory_bytes: int) -> None:
    """Limit memory, and give up every right to open or write a file: the pipes are open already."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF})
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE):
        resource.setrlimit(limit, (0, 0))


def _read(frames: Frames) -> bytes | None:
    while (question := frames.take()) is None:
        piece = os.read(0, PIECE)
        if not piece:
            return None
        frames.add(piece)
    return question


def _write(body: bytes) -> None:
    left = memoryview(framed(body))
    while left:
        left = left[os.write(1, left) :]


def _answer(sandbox: Sandbox, cache: Cache, question: bytes) -> bytes:
    asked = json.loads(question)
    try:
        if asked["ask"] == "check":
            part = Part(asked["part"])
            declared = {Part(name): inputs for name, inputs in asked["declared"].items()}
            findings = check(sandbox, asked["path"], asked["text"], part, declared)
            return JSON + json.dumps({"findings": [asdict(finding) for finding in findings]}).encode()
        return _rendered(sandbox, cache, asked)
    except MemoryError:
        return JSON + json.dumps({"limit": "memory"}).encode()
    except RecursionError:
        return JSON + json.dumps({"limit": "recursion"}).encode()
    except Exception:
        return JSON + json.dumps({"bug": traceback.format_exc()}).encode()


def _rendered(sandbox: Sandbox, cache: Cache, asked: dict[str, Any]) -> bytes:
    template = cache.find(asked["digest"])
    if template is None and "text" not in asked:
        return JSON + b'{"send": "text"}'
    line: int | None = None
    try:
        if template is None:
            text = asked["text"]
            template = sandbox.from_string(text)
            cache.keep(hashlib.sha256(text.encode()).hexdigest(), template, len(text))
        return TEXT + sandbox.run(template, asked["namespace"]).encode()
    except (MemoryError, RecursionError):
        raise
    except TooLong as error:
        fault: dict[str, Any] = {"limit": "output"}
        line = error.line
    except MissingName as error:
        message, cure = error.name.explain(asked["namespace"])
        fault = {"message": message, "cure": cure}
        line = _line_of(template, error.__traceback__)
    except TemplateNotFound as error:
        fault = {"message": f"`{error.name}` is another file, and a template stands alone"}
        line = _line_of(template, error.__traceback__)
    except TemplateSyntaxError as error:
        fault, line = {"message": error.message or "Jinja cannot read this"}, error.lineno
    except Exception as error:
        # Whatever else comes out of a template is the template's doing: a division by zero, a wrong type.
        fault = {"message": _sentence(error)}
        line = _line_of(template, error.__traceback__)
    return JSON + json.dumps({**fault, "line": line}).encode()


def _sentence(error: Exception) -> str:
    text = str(error)[:500]
    return text if type(error).__module__.startswith("jinja2") and text else f"{type(error).__name__}: {text}"


def _line_of(template: Template | None, trace: TracebackType | None) -> int | None:
    """The template's line that was at work, from the innermost frame of its compiled code."""
    line = None
    while template is not None and trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":  # Jinja's name for what came from no file
            line = template.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return line


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
