"""Load: many connections that ask a server as fast as it answers, from one thread."""

import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from statistics import quantiles
from threading import Event, Thread


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it. `waits` are seconds from the sending of a request to the end of its answer."""

    lasted: float
    waits: list[float]
    statuses: Counter[int]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.waits) / self.lasted

    @property
    def p99(self) -> float:
        """Milliseconds that all but one in a hundred stay below."""
        return quantiles(self.waits, n=100)[98] * 1000 if len(self.waits) > 1 else 0.0


@dataclass(slots=True)
class _Line:
    """A connection, and the answer that comes; `ends_at` is its length, once known. `fresh` until it is watched."""

    port: int
    sent_at: float = 0.0
    got: bytearray = field(default_factory=bytearray)
    ends_at: int | None = None
    fresh: bool = True
    line: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.line = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        self.line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.fresh = True

    def send(self, request: bytes) -> None:
        self.got.clear()
        self.ends_at = None
        self.sent_at = time.perf_counter()
        try:
            self.line.sendall(request)
        except OSError:
            self.line.close()
            self.open()
            self.line.sendall(request)

    def status(self) -> int | None:
        """Read on; the status when the answer is whole, and -1 when it never will be."""
        try:
            piece = self.line.recv(65536)
        except OSError:
            piece = b""
        self.got += piece
        if self.ends_at is None and (head := self.got.find(b"\r\n\r\n")) >= 0:
            at = self.got.lower().find(b"content-length:", 0, head)
            self.ends_at = head + 4 + (int(self.got[at + 15 :].split(b"\r", 1)[0]) if at >= 0 else 0)
        if self.ends_at is not None and len(self.got) >= self.ends_at:
            if b"onnection: close" in self.got[: self.ends_at]:
                self.line.close()
                self.open()
            return int(self.got[9:12])
        if not piece:
            self.line.close()
            self.open()
            return -1
        return None


def drive(port: int, requests: Iterator[bytes], *, connections: int, seconds: float, patience: float = 60.0) -> Load:
    """Ask for so long, each connection anew as soon as it is answered. What is not answered within `patience` seconds
    after that is given up and not counted."""
    poll = select.epoll()
    lines: dict[int, _Line] = {}
    waits: list[float] = []
    statuses: Counter[int] = Counter()
    try:
        began = time.perf_counter()
        for _ in range(connections):
            _send(_Line(port), next(requests), lines, poll)
        until = began + seconds
        waiting = connections
        while waiting and (left := until + patience - time.perf_counter()) > 0:
            for number, _ in poll.poll(left):
                line = lines[number]
                status = line.status()
                if status is None:
                    continue
                statuses[status] += 1
                now = time.perf_counter()
                waits.append(now - line.sent_at)
                if now < until:
                    _send(line, next(requests), lines, poll)
                else:
                    waiting -= 1
        return Load(time.perf_counter() - began, waits, statuses)
    finally:
        for line in {id(line): line for line in lines.values()}.values():
            line.line.close()
        poll.close()


def _send(line: _Line, request: bytes, lines: dict[int, _Line], poll: select.epoll) -> None:
    line.send(request)
    if line.fresh:
        # A socket that was closed is watched no longer, and the new one may have its number.
        line.fresh = False
        lines[line.line.fileno()] = line
        poll.register(line.line, select.EPOLLIN)


@contextmanager
def slow(port: int, head: bytes, *, clients: int, every: float = 0.5) -> Iterator[None]:
    """So many clients that send a request's head, and then its body byte by byte, one in `every` seconds."""
    ended = Event()
    lines = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(clients)]
    for line in lines:
        line.sendall(head)

    def trickle() -> None:
        while not ended.wait(every):
            for line in lines:
                with suppress(OSError):
                    line.send(b" ", socket.MSG_DONTWAIT)

    thread = Thread(target=trickle, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        for line in lines:
            line.close()


def numbered(head: bytes, tail: bytes, name: Callable[[int], str] = "{:032x}".format) -> Iterator[bytes]:
    """One request after the other, each with another id between its head and its tail."""
    number = time.time_ns() << 20
    while True:
        number += 1
        yield head + name(number).encode() + tail
