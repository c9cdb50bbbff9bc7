"""What pages that follow something cost: `python -m tests.bench.followers`. Prints one table, and the same as JSON.

A real gunicorn (2 processes of 8 threads) serves a furnished store. Each figure is the median of several rounds, and
rounds of what is compared take turns, so that a noisy machine is as noisy for all of them.
"""

import asyncio
import http.client
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from tests import builders
from tests.web import furnished
from tests.web.page import Page
from tests.web.served import served
from upkeep.adapters.clock import now
from upkeep.adapters.passwords import Argon2Passwords
from upkeep.adapters.store import migrate, open_store
from upkeep.domain.people import Role

ROUNDS = 5
REQUESTS = 25
FOLLOWERS = 200
WATCHED_FOR = 5.0
PASSWORD = "correct horse battery"
PATH = f"/deployments/{furnished.WAITING}"


def ask(port: int, path: str, cookie: str = "", tag: str = "") -> tuple[int, http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Cookie": cookie} | ({"If-None-Match": tag} if tag else {})
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer, body


def signed_in(port: int) -> str:
    _, answer, body = ask(port, "/sign-in")
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    fields = Page(body.decode()).forms[0].fields | {"name": "viewer", "password": PASSWORD}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    form = "&".join(f"{name}={value.replace(' ', '+').replace('/', '%2F')}" for name, value in fields.items())
    headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/sign-in", form, headers)
    answer = connection.getresponse()
    assert answer.status == 303, answer.read()
    return answer.headers["Set-Cookie"].partition(";")[0]


def each(request: Callable[[], object]) -> float:
    """Milliseconds of one request, the median of a round of them one after the other."""
    taken = []
    for _ in range(REQUESTS):
        before = time.perf_counter()
        request()
        taken.append(time.perf_counter() - before)
    return statistics.median(taken) * 1000


def cpu(port: int) -> float:
    """Seconds of processor time of all gunicorn processes that we started."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            command = (stat.parent / "cmdline").read_bytes()
            if b"tests.web.serving" in command and _ours(int(stat.parent.name)):
                fields = stat.read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        except OSError:
            continue
    return ticks / os.sysconf("SC_CLK_TCK")


def _ours(pid: int) -> bool:
    while pid > 1:
        if pid == os.getpid():
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return False


@contextmanager
def followers(port: int, cookie: str, tag: str, every: float) -> Iterator[list[int]]:
    """So many open pages, each asking for news at its own moment, over connections of their own."""
    request = f"GET {PATH} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nIf-None-Match: {tag}\r\nConnection: close\r\n\r\n"
    statuses: list[int] = []
    stopped = False

    async def follow(number: int) -> None:
        await asyncio.sleep(every * number / FOLLOWERS)
        while not stopped:
            begun = time.monotonic()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request.encode())
            statuses.append(int((await reader.read()).split(b" ", 2)[1]))
            writer.close()
            await asyncio.sleep(max(0.0, every - (time.monotonic() - begun)))

    async def all_of_them() -> None:
        await asyncio.gather(*(follow(number) for number in range(FOLLOWERS)))

    thread = Thread(target=lambda: asyncio.run(all_of_them()))
    thread.start()
    try:
        yield statuses
    finally:
        stopped = True
        thread.join()


def measure(port: int) -> dict[str, float]:
    cookie = signed_in(port)
    tag = ask(port, PATH, cookie)[1].headers["ETag"]
    assert ask(port, PATH, cookie, tag)[0] == 304
    kinds = {
        "healthz": lambda: ask(port, "/healthz"),
        "page": lambda: ask(port, PATH, cookie),
        "no news": lambda: ask(port, PATH, cookie, tag),
    }
    rounds = [{name: each(request) for name, request in kinds.items()} for _ in range(ROUNDS)]
    found = {f"{name}, ms": statistics.median(each[name] for each in rounds) for name in kinds}
    for every in (2.0, 8.0):
        alone, beside, shares, rates = [], [], [], []
        for _ in range(ROUNDS):
            alone.append(each(kinds["page"]))
            tag = ask(port, PATH, cookie)[1].headers["ETag"]
            with followers(port, cookie, tag, every) as statuses:
                time.sleep(every)
                done, used, begun = len(statuses), cpu(port), time.monotonic()
                time.sleep(WATCHED_FOR)
                lasted = time.monotonic() - begun
                shares.append((cpu(port) - used) / lasted)
                rates.append((len(statuses) - done) / lasted)
                beside.append(each(kinds["page"]))
        found |= {
            f"requests/s, every {every:.0f} s": statistics.median(rates),
            f"share of a core, every {every:.0f} s": statistics.median(shares),
            f"page beside them / alone, every {every:.0f} s": statistics.median(
                one / other for one, other in zip(beside, alone, strict=True)
            ),
        }
    found["no news / page"] = found["no news, ms"] / found["page, ms"]
    found["no news / healthz"] = found["no news, ms"] / found["healthz, ms"]
    return {name: round(figure, 3) for name, figure in found.items()}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        url = f"sqlite:///{state / 'upkeep.db'}"
        migrate(url, state=state)
        store = open_store(url, state=state)
        furnished.furnish(store, now())
        with store.write() as unit:
            unit.people.add(builders.a_user("viewer", Role.VIEWER, Argon2Passwords().hash(PASSWORD)))
        with served(url, state, threads=8) as (port, _):
            found = measure(port)
        store.close()
    for name, figure in found.items():
        print(f"{name:45} {figure:8.3f}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
