"""Lifeline: a pipe whose other end closes when the parent dies, however it dies, so that no child outlives it."""

import os
import signal
import threading

VARIABLE = "UPKEEP_LIFELINE_FD"
"""The environment variable that names the reading end in a child."""


def end_with_parent() -> None:
    """Ask this process to end, by SIGTERM, when the process that gave it a lifeline is gone. Without one, nothing."""
    number = os.environ.pop(VARIABLE, None)
    if number is not None:
        threading.Thread(target=_watch, args=(int(number),), name="lifeline", daemon=True).start()


def _watch(fd: int) -> None:
    while os.read(fd, 1):
        continue
    os.kill(os.getpid(), signal.SIGTERM)
