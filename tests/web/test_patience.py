"""Clients that are slow, and what they cost others: a real gunicorn with four threads, and more such clients."""

import hashlib
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from select import select

import pytest

from tests.web.echoing import PATIENCE_FOR
from tests.web.served import ask, serving
from upkeep.web.patience import GATHERED

MANY = 12
"""Clients, three times as many as threads."""

SERVED = ("tests.web.echoing:app", ["--config", "python:tests.web.echoing"], {})
HEAD = b"POST /said HTTP/1.1\r\nHost: here\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[int, int]]:
    """Its port, and the process that answers."""
    with serving(*SERVED) as (port, master):
        yield port, int(Path(f"/proc/{master.pid}/task/{master.pid}/children").read_text().split()[0])


@pytest.fixture
def port(server: tuple[int, int]) -> int:
    return server[0]


@contextmanager
def lines(port: int, count: int = MANY) -> Iterator[list[socket.socket]]:
    """So many connections."""
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20)) for _ in range(count)]


def answer(line: socket.socket, *, until: bytes = b"") -> bytes:
    """What comes until the server closes, or until it has said this."""
    got = b""
    while piece := line.recv(65536):
        got += piece
        if until and until in got:
            break
    return got


def said(body: bytes, path: str = "/said") -> bytes:
    """What the application says of a body."""
    return f"{path} {len(body)} {hashlib.sha256(body).hexdigest()[:8]}".encode()


def assert_others_are_answered(port: int) -> None:
    """Within half the time after which slow clients are given up."""
    began = time.monotonic()
    for _ in range(3):
        assert ask(port, "POST", "/", b"quick")[1] == said(b"quick", "/")
    assert time.monotonic() - began < PATIENCE_FOR / 2


BODY = b"what is there to say"
LONG = bytes(range(256)) * 1024
DECLARED = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY)
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
ONE_AND_MORE = b"GET /first HTTP/1.1\r\nHost: here\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "rest", "expected"),
    [
        (b"", DECLARED + BODY, said(BODY)),
        (HEAD, b"\r\n", said(b"")),
        (DECLARED, BODY, said(BODY)),
        (DECLARED + BODY[:-1], BODY[-1:], said(BODY)),
        (HEAD + b"Content-Length: %020d\r\n\r\n" % len(BODY), BODY, said(BODY)),
        (CHUNKED, b"14\r\n%b\r\n0\r\n\r\n" % BODY, said(BODY)),
        (HEAD + b"Content-Length: %d\r\n\r\n" % len(LONG) + LONG[:90_000], LONG[90_000:], said(LONG)),
        (ONE_AND_MORE + DECLARED[:40], DECLARED[40:] + BODY, said(BODY)),
    ],
    ids=[
        "nothing",
        "half a head",
        "no body",
        "most of a body",
        "a length of many digits",
        "a chunked head",
        "some of a long body",
        "one and a half",
    ],
)
def test_others_are_answered_beside_many_that_have_sent(port, sent, rest, expected):
    with lines(port) as slow:
        for line in slow:
            line.sendall(sent)
        assert_others_are_answered(port)
        for line in slow[:1]:
            line.sendall(rest)
            assert expected in answer(line, until=expected)


def test_a_request_that_comes_byte_by_byte_is_read_as_it_was_sent(port):
    with lines(port, 1) as (line,):
        for byte in DECLARED + BODY:
            line.sendall(bytes([byte]))
        assert said(BODY) in answer(line, until=said(BODY))


def test_requests_that_come_together_are_answered_one_after_the_other_on_one_connection(port):
    with lines(port, 1) as (line,):
        line.sendall(ONE_AND_MORE * 2 + DECLARED + BODY)
        got = answer(line, until=said(BODY))
    assert got.count(said(b"", "/first")) == 2


def test_a_client_that_asks_whether_to_go_on_is_told_to(port):
    with lines(port, 1) as (line,):
        line.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        assert answer(line, until=b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.sendall(BODY)
        assert said(BODY) in answer(line, until=said(BODY))


def test_large_bodies_take_turns_and_are_all_answered(port):
    with lines(port) as many:
        for line in many:
            line.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(LONG))
        for line in many:
            line.sendall(LONG)
        for line in many:
            assert said(LONG) in answer(line, until=said(LONG))


def test_a_large_body_may_take_longer_as_long_as_enough_of_it_comes(port):
    began = time.monotonic()
    with lines(port, 1) as (line,):
        line.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(LONG))
        for piece in range(0, len(LONG), len(LONG) // 10):
            line.sendall(LONG[piece : piece + len(LONG) // 10])
            early, _, _ = select([line], [], [], PATIENCE_FOR / 8)
            assert not early or piece + len(LONG) // 10 >= len(LONG)
        assert said(LONG) in answer(line, until=said(LONG))
    assert time.monotonic() - began > PATIENCE_FOR


def test_who_does_not_finish_a_request_is_told_and_cut_off(port):
    with lines(port, 3) as (head, body, long):
        head.sendall(HEAD)
        body.sendall(DECLARED + BODY[:-1])
        long.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(LONG) + LONG[:-1])
        assert answer(head).startswith(b"HTTP/1.1 408 ")
        assert answer(body).startswith(b"HTTP/1.1 408 ")
        assert said(b"cut off") in answer(long)


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 1\r\nTransfer-Encoding: chunked",
        b"Content-Length: 1\r\nContent-Length: 1",
        b"Content-Length: 1, 1",
        b"Content-Length: +1",
        b"Content-Length:\r\n 1",
        b"Content-Length : 1",
        b"Transfer-Encoding: \x0bchunked",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: chunked\nContent-Length: 1",
    ],
)
def test_what_is_framed_twice_or_oddly_is_refused(port, fields):
    with lines(port, 1) as (line,):
        line.sendall(HEAD + fields + b"\r\n\r\n0\r\n\r\n" + ONE_AND_MORE)
        got = answer(line)
    assert got.startswith(b"HTTP/1.1 400 ") and got.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("path", ["/said", "/?unread"])
@pytest.mark.parametrize(
    "chunks", [b"no size\r\n", b"1\r\nabc\r\n", b"1;\na\r\na\r\n", b"0\r\nContent-Length: 5\r\n\r\n"]
)
def test_what_is_no_body_is_cut_off_and_nothing_behind_it_is_taken_for_a_request(port, path, chunks):
    with lines(port, 1) as (line,):
        line.sendall(CHUNKED.replace(b"/said", path.encode()) + chunks + ONE_AND_MORE)
        got = answer(line)
    assert got.count(b"HTTP/1.1 ") == 1
    assert (said(b"cut off") if path == "/said" else said(b"", "/")) in got


def test_what_never_was_a_request_is_closed_without_a_word(port):
    with lines(port, 1) as (line,):
        assert answer(line) == b""


def test_a_head_that_is_too_large_is_refused(port):
    with lines(port, 2) as (whole, endless):
        whole.sendall(HEAD + b"X: " + b"x" * GATHERED + b"\r\n\r\n")
        assert answer(whole).startswith(b"HTTP/1.1 431 ")
        endless.sendall(HEAD + (b"X: " + b"x" * 8000 + b"\r\n") * 110)
        assert answer(endless).startswith(b"HTTP/1.1 431 ")


def test_clients_that_vanish_leave_nothing(server):
    port, pid = server
    files = Path(f"/proc/{pid}/fd")
    before = len(list(files.iterdir()))
    for sent in (b"", HEAD, DECLARED + BODY[:-1], CHUNKED, DECLARED + BODY):
        with lines(port) as many:
            for line in many:
                line.sendall(sent)
    until = time.monotonic() + 3 * PATIENCE_FOR
    while len(list(files.iterdir())) > before:
        assert time.monotonic() < until, [*files.iterdir()]
        assert ask(port, "GET", "/")[0] == 200


def test_clients_that_stay_after_their_last_answer_keep_nobody_waiting(port):
    with lines(port) as staying:
        for line in staying:
            line.sendall(b"GET / HTTP/1.0\r\n\r\n")
        for line in staying:
            assert said(b"", "/") in answer(line)
        assert_others_are_answered(port)


def test_clients_that_do_not_read_their_answers_keep_nobody_waiting_for_long(port):
    with lines(port, 4) as deaf:
        for line in deaf:
            line.sendall(b"GET /?50000000 HTTP/1.1\r\nHost: here\r\n\r\n")
        until = time.monotonic() + 5 * PATIENCE_FOR
        while True:
            assert time.monotonic() < until
            if ask(port, "GET", "/")[1] == said(b"", "/"):
                break


def test_what_has_begun_when_the_server_ends_is_answered_and_what_does_not_go_on_is_left():
    with (
        serving(*SERVED) as (port, master),
        lines(port, 3) as (silent, slow, quick),
    ):
        slow.sendall(DECLARED)
        quick.sendall(DECLARED)
        assert ask(port, "GET", "/")[0] == 200
        began = time.monotonic()
        master.terminate()
        quick.sendall(BODY)
        assert said(BODY) in answer(quick)
        assert master.wait(20) == 0
        assert time.monotonic() - began < 8
        assert answer(silent) == answer(slow) == b""
