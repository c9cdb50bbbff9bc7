"""A network of hosts in namespaces of their own, out of reach of the machine's, whose cables can be pulled.

Each host is a network namespace held by a process that ends with whoever made it, and with it goes all of its network.
Only root may make them, on Linux; elsewhere trials that need them are not held.
"""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from tests.trials.trial import CannotTry

_CLONE_NEWNET = 0x40000000
_HOLD = "echo; read -r _"


class Host:
    """One host of a network. `address` is where the others reach it."""

    def __init__(self, name: str, address: str) -> None:
        self.name, self.address = name, address
        self.holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", _HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.holder.stdout is not None
        if not self.holder.stdout.readline():
            self.end()
            raise CannotTry("network namespaces cannot be made here, though root may elsewhere")

    @contextmanager
    def inside(self) -> Iterator[None]:
        """What this thread connects, listens to or starts meanwhile is on the host."""
        outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(f"/proc/{self.holder.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(there)
            try:
                yield
            finally:
                _enter(outside)
        finally:
            os.close(there)
            os.close(outside)

    def ip(self, *words: str) -> None:
        """Run `ip WORDS` there."""
        with self.inside():
            subprocess.run(["ip", *words], check=True, capture_output=True)

    def end(self) -> None:
        """Let go of it; its network ends when nobody is on it any more."""
        assert self.holder.stdin is not None
        self.holder.stdin.close()
        self.holder.wait()


class Network:
    """Hosts on one switch; a context manager that leaves nothing."""

    def __init__(self, names: Sequence[str]) -> None:
        if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "unshare"))):
            raise CannotTry("hosts in network namespaces need root, iproute2 and util-linux")
        self._switch = Host("switch", "")
        self.hosts: dict[str, Host] = {}
        try:
            self._switch.ip("link", "add", "switch", "type", "bridge")
            self._switch.ip("link", "set", "switch", "up")
            for number, name in enumerate(names, 1):
                self.hosts[name] = self._connected(name, number)
        except subprocess.CalledProcessError as refused:
            self.end()
            raise CannotTry(f"hosts cannot be connected here: {refused.stderr.decode().strip()}") from refused

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    def pull(self, host: Host) -> None:
        """Take its cable out: the host sees that its link is down."""
        host.ip("link", "set", "cable", "down")

    def lose(self, host: Host) -> None:
        """Let everything from it and to it be lost on the way, and nobody be told."""
        self._switch.ip("link", "set", host.name, "nomaster")

    def mend(self, host: Host) -> None:
        """Undo both."""
        host.ip("link", "set", "cable", "up")
        self._switch.ip("link", "set", host.name, "master", "switch")

    def end(self) -> None:
        """End all hosts."""
        for host in (*self.hosts.values(), self._switch):
            host.end()

    def _connected(self, name: str, number: int) -> Host:
        host = Host(name, f"10.99.7.{number}")
        peer = ("peer", "name", "cable", "netns", str(host.holder.pid))
        self._switch.ip("link", "add", name, "type", "veth", *peer)
        self._switch.ip("link", "set", name, "master", "switch", "up")
        host.ip("address", "add", f"{host.address}/24", "dev", "cable")
        host.ip("link", "set", "cable", "up")
        host.ip("link", "set", "lo", "up")
        return host


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "setns")
