"""Waiting for clients that are slow, without a thread that waits.

gunicorn's threaded worker gives a connection to a thread with the first byte of a request, and the thread waits for the
rest: as many slow clients as threads keep everybody else out. Here the loop that waits for all connections anyway also
gathers each request, and a thread gets one that is whole. What a request means is read by gunicorn's own parser alone;
the loop only asks where it ends. Where it does not tell, or a body is large, a thread reads on, but no more than a
quarter of them do so at a time. Whatever waits for a client ends.
"""

import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import BoundedSemaphore
from typing import Any

from gunicorn import util
from gunicorn.errors import ConfigError
from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker

CONNECTIONS = 512
"""At a time in each process: half of the files that one may usually have open stay for everything else."""

GATHERED = 64 << 10
"""Bytes of a request that are waited for without a thread; each connection holds at most so many."""

PATIENCE_FOR = 30
"""Seconds in which a request has to be whole, in which a thread that reads on has the rest, and in which a client takes
what is sent to it."""

SLOWEST = 32 << 10
"""Bytes a second: a thread reads on for as long as so many come."""

UNREAD = 256 << 10
"""Bytes of an answer that the kernel takes from a thread while the client reads nothing: pages, scripts and styles are
smaller. It grants what `net.core.wmem_max` allows: https://man7.org/linux/man-pages/man7/socket.7.html"""

LEAVES_WITHIN = 2
"""Seconds, and `GATHERED` the bytes, in which a client can still read its last answer before the connection is cut:
https://www.rfc-editor.org/rfc/rfc9112#section-9.6"""


class _Patience(SocketUnreader):  # type: ignore[misc]  # gunicorn has no types
    """What gunicorn's parser reads from: what was gathered, and then the socket until patience ends."""

    until = 0.0

    def chunk(self, size_hint: int | None = None) -> bytes:
        left, bound = self.until - time.monotonic(), self.sock.gettimeout()
        self.sock.settimeout(max(0.001, left if bound is None else min(left, bound)))
        try:
            piece: bytes = super().chunk(size_hint)
        except TimeoutError:
            raise NoMoreData from None
        finally:
            self.sock.settimeout(bound)
        self.until = min(self.until + len(piece) / SLOWEST, time.monotonic() + PATIENCE_FOR)
        return piece


class _Body:
    """What a body is read from. One that cannot be read ends like one whose client is gone: applications know of that,
    and nobody looks for another request behind it."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def read(self, size: int) -> bytes:
        try:
            piece: bytes = self._reader.read(size)
        except ParseException as error:
            raise NoMoreData from error
        return piece


class _Line(TConn):  # type: ignore[misc]
    """A connection, and what is there of its next request. `long` is one that a thread has to read on."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.init()
        self.parser.unreader = _Patience(self.sock)
        self.got = b""
        self.ends_at: int | None = None
        self.until = 0.0
        self.seen_off = 0
        self.long = self.seated = self.deferred = self.leaving = False

    def expect(self) -> None:
        """Begin with the next request, of which the last one may have brought something."""
        self.sock.setblocking(False)
        self.until = time.monotonic() + PATIENCE_FOR
        self.got, self.ends_at, self.long = self.parser.unreader.take_buffered(), None, False

    def read(self) -> None:
        """Read what has come. OSError, BlockingIOError among them, when there is nothing to read."""
        piece = self.sock.recv(GATHERED)
        if not piece:
            raise ConnectionError("the client is gone")
        self.got += piece

    def ready(self) -> bool:
        """Whether a thread can go on with what is there. What cannot be read is the parser's to refuse."""
        if self.ends_at is None:
            head = self.got.find(b"\r\n\r\n")
            if head < 0:
                self.long = len(self.got) >= GATHERED
                return self.long
            fields = self.got[:head].lower()
            _, declared, rest = fields.partition(b"\r\ncontent-length:")
            length = rest.partition(b"\r\n")[0].strip(b" \t") if declared else b"0"
            plain = length.isdigit() and len(length) < 16
            self.ends_at = head + 4 + (int(length) if plain else 0)
            self.long = (
                not plain
                or self.ends_at > max(GATHERED, len(self.got))
                or b"\r\ntransfer-encoding:" in fields
                or b"\r\nexpect:" in fields
            )
        return self.long or len(self.got) >= self.ends_at

    def give(self) -> None:
        """Let gunicorn's parser have it."""
        self.parser.unreader.unread(self.got)
        self.parser.unreader.until = time.monotonic() + PATIENCE_FOR
        self.got = b""

    def close(self, graceful: bool = False) -> None:
        """Close it; gracefully without waiting for the client, which is left to the loop."""
        if not graceful:
            super().close()
            return
        self.leaving = True
        self.until = time.monotonic() + LEAVES_WITHIN
        self.sock.setblocking(False)
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker, but that its threads get whole requests. A quarter of them may read on."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: set[_Line] = set()
        self._long: deque[_Line] = deque()
        self._seats = BoundedSemaphore(max(1, self.cfg.threads // 4))
        self._look_at = 0.0

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Refuse what cannot be gathered."""
        super().check_config(cfg, log)
        if cfg.is_ssl:
            raise ConfigError("requests are gathered from plain connections: let a proxy in front speak TLS")

    def init_process(self) -> None:
        """Have the connections inherit what their answers need, and begin."""
        for listener in self.sockets:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD)
        super().init_process()

    def accept(self, listener: socket.socket) -> None:
        """Take a new connection."""
        with suppress(BlockingIOError, ConnectionAbortedError):
            client, address = listener.accept()
            self.nr_conns += 1
            line = _Line(self.cfg, client, address, listener.getsockname())
            line.expect()
            self._watch(line, self._begin)

    def enqueue_req(self, conn: _Line) -> None:
        """Begin with the next request of a connection."""
        conn.expect()
        super().enqueue_req(conn)

    def handle(self, conn: _Line) -> Any:
        """In a thread: answer a request if it is there, as most are at once; else leave it to the loop."""
        conn.deferred = False
        try:
            if not conn.ready():
                conn.read()
        except BlockingIOError:
            pass
        except OSError:
            return False
        if not conn.ready() or not self._may_read_on(conn):
            conn.deferred = True
            return False
        conn.give()
        return super().handle(conn)

    def handle_request(self, req: Any, conn: _Line) -> Any:
        """Answer a request, if the client takes the answer."""
        conn.sock.settimeout(PATIENCE_FOR)
        req.body.reader = _Body(req.body.reader)
        try:
            return super().handle_request(req, conn)
        except TimeoutError:
            self.log.debug("Closing connection, as its answer is not read.")
            return False

    def finish_request(self, conn: _Line, fs: Any) -> None:
        """Go on with a connection that comes back from a thread."""
        if conn.deferred:
            self._gather(conn)
            return
        if conn.seated:
            conn.seated = False
            self._seats.release()
        super().finish_request(conn, fs)
        if conn.leaving:
            self.nr_conns += 1
            self._watch(conn, self._see_off)
        while self._long and (self._long[0] not in self._waiting or self._may_read_on(self._long[0])):
            line = self._long.popleft()
            if line in self._waiting:
                self._give(line)

    def murder_pending(self) -> None:
        """End what was waited for long enough."""
        super().murder_pending()
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + 1
        for line in [line for line in self._waiting if line.until <= now]:
            if line.leaving or not line.got:
                self._cut(line)
                continue
            self.log.warning("a request of %s is not whole after %s s", line.client[0], PATIENCE_FOR)
            with suppress(OSError):
                util.write_error(line.sock, 408, "Request Timeout", "")
            self._forget(line)
            line.close(graceful=True)
            self._watch(line, self._see_off)

    def _begin(self, line: _Line, _: object) -> None:
        """Let a thread look at what has come on a new connection."""
        self._forget(line)
        super().enqueue_req(line)

    def _gather(self, line: _Line) -> None:
        """Watch a line until a thread can go on with it."""
        if line.ready():
            self._give(line)
        else:
            self._watch(line, self._read)

    def _read(self, line: _Line, _: object) -> None:
        try:
            line.read()
        except BlockingIOError:
            return
        except OSError:
            self._cut(line)
            return
        if line.ready():
            self._give(line)

    def _give(self, line: _Line) -> None:
        """Give it to a thread, or let it wait for its turn if the thread would have to read on."""
        self._forget(line)
        if self._may_read_on(line):
            super().enqueue_req(line)
        else:
            line.until = time.monotonic() + PATIENCE_FOR
            self._waiting.add(line)
            self._long.append(line)

    def _may_read_on(self, line: _Line) -> bool:
        """Whether a thread may have it, because it has nothing to wait for or is one of the few that do."""
        if line.long and not line.seated:
            line.seated = self._seats.acquire(blocking=False)
        return line.seated or not line.long

    def _see_off(self, line: _Line, _: object) -> None:
        """Read what a client still sends until it has closed, so that its answer is not lost."""
        try:
            piece = line.sock.recv(GATHERED)
        except OSError:
            piece = b""
        line.seen_off += len(piece)
        if not piece or line.seen_off >= GATHERED:
            self._cut(line)

    def _watch(self, line: _Line, then: Callable[[_Line, object], None]) -> None:
        if line not in self._waiting:
            self._waiting.add(line)
            self.poller.register(line.sock, selectors.EVENT_READ, partial(then, line))

    def _forget(self, line: _Line) -> None:
        if line in self._waiting:
            self._waiting.remove(line)
            with suppress(KeyError):
                self.poller.unregister(line.sock)

    def _cut(self, line: _Line) -> None:
        self._forget(line)
        self.nr_conns -= 1
        line.close()
