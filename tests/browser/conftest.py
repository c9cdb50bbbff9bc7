"""Windows of a real Chromium onto two kinds of Upkeep: the real daemon, and pages with something of everything."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.web import furnished
from tests.web.served import served
from upkeep.adapters.clock import now as now_utc
from upkeep.adapters.passwords import Argon2Passwords
from upkeep.adapters.store import SqlStore, migrate, open_store
from upkeep.domain.people import Role

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.browser.house import House
    from tests.browser.window import Windows

PASSWORD = "correct horse battery"


@pytest.fixture(scope="session")
def chromium() -> "Iterator[Browser]":
    from tests.browser import window

    with window.chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def house(chromium: "Browser", tmp_path_factory: pytest.TempPathFactory) -> "Iterator[House]":
    """The real daemon. Tests that use it stand in `stories`, which one process tells, so that it starts once."""
    from tests.browser.house import house

    with house(tmp_path_factory.mktemp("house")) as opened:
        yield opened


@dataclass(frozen=True)
class Gallery:
    """Pages with something of everything on them, served without a worker, so that nothing moves by itself."""

    address: str
    store: SqlStore
    known: dict[Role, Any]


@pytest.fixture(scope="session")
def gallery(chromium: "Browser", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    """Furnished pages, and what the browsers of people who have signed in remember."""
    from tests.browser.window import Windows, sign_in

    state = tmp_path_factory.mktemp("gallery")
    url = f"sqlite:///{state / 'upkeep.db'}"
    migrate(url, state=state)
    store = open_store(url, state=state)
    furnished.furnish(store, now_utc())
    hashed = Argon2Passwords().hash(PASSWORD)
    with store.write() as unit:
        furnished.people(unit)
        for role in Role:
            known_as = unit.people.find(str(role))
            assert known_as is not None
            unit.people.save(replace(known_as, password_hash=hashed))
    with served(url, state) as (port, _):
        address = f"http://127.0.0.1:{port}"
        known = {}
        windows = Windows(chromium, address)
        for role in Role:
            page = windows.open("/sign-in")
            sign_in(page, str(role), PASSWORD)
            known[role] = page.context.storage_state()
        windows.close()
        yield Gallery(address, store, known)
    store.close()


@pytest.fixture
def windows(chromium: "Browser", house: "House") -> "Iterator[Windows]":
    """Windows onto the daemon, in which nothing may go wrong."""
    yield from _windows(chromium, house.address)


@pytest.fixture
def views(chromium: "Browser", gallery: Gallery) -> "Iterator[Windows]":
    """Windows onto the gallery, in which nothing may go wrong."""
    yield from _windows(chromium, gallery.address)


@pytest.fixture
def person(windows: "Windows", house: "House"):
    """`person(Role.ADMIN)` signs somebody in, in a window of their own."""
    from tests.browser.window import sign_in

    def signed_in(role: Role, path: str = "/", **how: Any) -> "Page":
        page = windows.open(path, **how)
        sign_in(page, role.value, house.password(role))
        return page

    return signed_in


def _windows(browser: "Browser", address: str) -> "Iterator[Windows]":
    from tests.browser.window import Windows

    opened = Windows(browser, address)
    yield opened
    opened.close()
    assert opened.complaints == []
