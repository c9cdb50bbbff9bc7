"""The application behind a real gunicorn, over real HTTP on loopback."""

import json
import socket
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener

import pytest

from tests.builders import a_source
from tests.web.page import Page
from tests.web.served import ask, served
from tests.web.test_hooks import push_payload, signature
from upkeep.adapters.clock import now as now_utc
from upkeep.adapters.store import migrate, open_store
from upkeep.domain.people import DAEMON, Role
from upkeep.flows import admit, follow
from upkeep.web.rooms import Bounds


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    state = tmp_path_factory.mktemp("state")
    url = f"sqlite:///{state / 'upkeep.db'}"
    migrate(url, state=state)
    return url, state


@pytest.fixture
def kept(database):
    store = open_store(database[0], state=database[1])
    yield store
    store.close()


@pytest.fixture(scope="module")
def port(database):
    with served(*database) as (number, _):
        yield number


def delivery(body: bytes, id: str) -> dict[str, str]:
    return {
        "X-GitHub-Delivery": id,
        "X-GitHub-Event": "push",
        "X-Hub-Signature-256": signature(body),
        "Content-Type": "application/json",
    }


def test_an_answered_delivery_is_in_the_database(port, kept, now):
    with kept.write() as unit:
        follow.add(unit, a_source(), actor=DAEMON, now=now)
    body = json.dumps(push_payload()).encode()
    status, answer = ask(port, "POST", "/hooks/github", body, delivery(body, "over-http"))
    assert (status, json.loads(answer)["sources"]) == (202, ["templates"])
    with kept.read() as unit:
        assert unit.deliveries.find("over-http") is not None


def test_a_delivery_without_a_declared_length_is_read(port, kept):
    body = json.dumps(push_payload()).encode()
    headers = delivery(body, "chunked") | {"Transfer-Encoding": "chunked"}
    status, _ = ask(port, "POST", "/hooks/github", iter([body[:10], body[10:]]), headers, chunked=True)
    assert status == 202
    with kept.read() as unit:
        assert unit.deliveries.find("chunked") is not None


def test_a_length_beyond_25_mb_is_refused_before_a_byte_of_it_is_sent(port):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        head = f"POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: {Bounds().delivery + 1}\r\n"
        connection.sendall(f"{head}X-Hub-Signature-256: sha256={'0' * 64}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_body_without_an_end_is_refused_once_it_is_beyond_25_mb(port):
    piece = b"x" * (1 << 20)
    sent = 0
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        head = "POST /hooks/github HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        connection.sendall(f"{head}X-Hub-Signature-256: sha256={'0' * 64}\r\n\r\n".encode())
        while sent <= Bounds().delivery:
            connection.sendall(b"100000\r\n" + piece + b"\r\n")
            sent += len(piece)
        answer = connection.recv(100)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_both_workers_know_a_session_one_of_them_opened(port, kept, passwords):
    with kept.write() as unit:
        admit.add_user(unit, passwords, "dana", Role.VIEWER, "correct horse", email=None, actor=DAEMON, now=now_utc())
    address = f"http://127.0.0.1:{port}"
    browser = build_opener(ProxyHandler({}), HTTPCookieProcessor())
    page = Page(browser.open(f"{address}/sign-in", timeout=20).read().decode())
    fields = page.form("Sign in").fields | {"name": "dana", "password": "correct horse"}
    browser.open(f"{address}/sign-in", urlencode(fields).encode(), timeout=20)
    for _ in range(8):
        assert "Signed in as dana" in browser.open(f"{address}/", timeout=20).read().decode()
