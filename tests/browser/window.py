"""A real browser: what people have before them, and what must never happen in it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

try:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response, sync_playwright
except ModuleNotFoundError:
    if os.environ.get("CI"):
        raise
    pytest.skip("there is no Playwright: pip install --editable '.[test]'", allow_module_level=True)

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The first is the same engine without the parts that only a person with a screen needs; it takes half the time."""
DESK, PHONE = (1280, 900), (390, 844)
PATIENCE = 30_000
"""Milliseconds that anything may take on a slow and busy machine."""

POLICY = "default-src 'none'"


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, without a window. Where there is none, a test is skipped, unless it runs for CI."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        reason = f"there is no Chromium: none of {', '.join(NAMES)} is on the PATH (Debian: apt install chromium)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found,
            # A container lets nobody make namespaces, and root gets no sandbox at all.
            chromium_sandbox=False,
            args=["--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
        )
        yield browser
        browser.close()


@dataclass
class Windows:
    """Opens windows onto one address. `complaints` collects what a careful page never causes: an error in the console,
    something the content security policy had to stop, a request for another host, a page without a strict policy."""

    browser: Browser
    address: str
    complaints: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def open(self, path: str | None = None, *, script: bool = True, dark: bool = False, size: tuple[int, int] = DESK,
             known: dict | None = None) -> Page:  # fmt: skip
        """A window of its own, with nobody signed in unless it is `known` by the cookies of another one."""
        context = self.browser.new_context(
            base_url=self.address,
            java_script_enabled=script,
            color_scheme="dark" if dark else "light",
            viewport={"width": size[0], "height": size[1]},
            storage_state=known,
            timezone_id="Europe/Vienna",
            # Colours that are on their way from light to dark are neither.
            reduced_motion="reduce",
        )
        context.set_default_timeout(PATIENCE)
        context.on("console", self._said)
        context.on("weberror", lambda error: self.complaints.append(f"{error.page.url}: {error.error}"))
        context.on("request", self._asked)
        context.on("response", self._answered)
        self.contexts.append(context)
        page = context.new_page()
        if path is not None:
            page.goto(path)
        return page

    def close(self) -> None:
        """Close all windows."""
        for context in self.contexts:
            context.close()
        self.contexts.clear()

    def _said(self, message: ConsoleMessage) -> None:
        # What an answer's status was is the test's to judge, and that a daemon is away as well.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.complaints.append(f"{message.page.url if message.page else self.address}: {message.text}")

    def _asked(self, request: Request) -> None:
        asked = urlsplit(request.url)
        if asked.scheme not in ("data", "blob") and asked.netloc != urlsplit(self.address).netloc:
            self.complaints.append(f"{request.frame.url}: asked for {request.url}")

    def _answered(self, response: Response) -> None:
        kind = response.request.resource_type
        policy = response.headers.get("content-security-policy", "")
        if kind == "document" and response.status != 303 and (POLICY not in policy or "unsafe" in policy):
            self.complaints.append(f"{response.url}: its policy is {policy!r}")
        if kind not in ("document", "fetch") and response.status >= 400:
            self.complaints.append(f"{response.url}: answered {response.status}")


def sign_in(page: Page, name: str, password: str) -> None:
    """Sign in as a person does, at the form that is shown."""
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").wait_for()
