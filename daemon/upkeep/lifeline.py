"""Lifeline: what a process of the daemon does first. It ends with its parent, and leaves nothing of its memory behind.

The lifeline is a pipe whose other end closes when the parent dies, however it dies, so that no child outlives it.
"""

import os
import resource
import signal
import threading

VARIABLE = "UPKEEP_LIFELINE_FD"
"""The environment variable that names the reading end in a child."""


def dump_nothing() -> None:
    """Write no core dump when this process or a child of it dies: its memory holds secrets."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def end_with_parent() -> None:
    """Ask this process to end, by SIGTERM, when the process that gave it a lifeline is gone. Without one, nothing."""
    number = os.environ.pop(VARIABLE, None)
    if number is not None:
        threading.Thread(target=_watch, args=(int(number),), name="lifeline", daemon=True).start()


def _watch(fd: int) -> None:
    while os.read(fd, 1):
        continue
    os.kill(os.getpid(), signal.SIGTERM)
