"""Lifeline: what ties a process of the daemon to whoever started it.

A pipe whose other end closes when the parent dies, however it dies, so that no child outlives it; and the word to a
service manager that the daemon is ready.
"""

import os
import signal
import socket
import threading
from contextlib import suppress

VARIABLE = "UPKEEP_LIFELINE_FD"
"""The environment variable that names the reading end in a child."""

NOTIFIED = "NOTIFY_SOCKET"
"""The environment variable by which systemd names the socket where it wants to hear that a service is ready."""


def end_with_parent() -> None:
    """Ask this process to end, by SIGTERM, when the process that gave it a lifeline is gone. Without one, nothing."""
    number = os.environ.pop(VARIABLE, None)
    if number is not None:
        threading.Thread(target=_watch, args=(int(number),), name="lifeline", daemon=True).start()


def tell_ready() -> None:
    """Tell the service manager that started us, if it wants to hear, that we are ready. It asks once.

    https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
    """
    address = os.environ.pop(NOTIFIED, "")
    if address.startswith(("/", "@")):
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.sendto(b"READY=1", address.replace("@", "\0", 1) if address[0] == "@" else address)


def _watch(fd: int) -> None:
    while os.read(fd, 1):
        continue
    os.kill(os.getpid(), signal.SIGTERM)
