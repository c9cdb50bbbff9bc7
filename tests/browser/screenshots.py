"""The pictures of the README, taken from the running demonstration: `make screenshots`, or
`python -m tests.browser.screenshots [FOLDER]`."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page

from tests.browser.window import DESK, PHONE, Windows, chromium, sign_in
from tests.stories.telling import telling
from upkeep.demo.edits import ENVIRONMENT_TEMPLATE, FLOW_LOGS, SERVICE_TEMPLATE
from upkeep.demo.story import resource_path, review_path
from upkeep.domain.people import Role

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
LARGEST = 150_000
"""Bytes of a picture: whoever clones the repository pays for all of them, for good."""

TEST = resource_path("environment/test")


def main(folder: Path) -> None:
    """Tell the story as far as each page has something to show, and look at it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as stage, telling(Path(stage)) as told, chromium() as browser:
        story = told.story
        story.first_half()
        windows = Windows(browser, told.stage.daemon.address)
        admin = told.stage.people[Role.ADMIN]
        page = windows.open("/sign-in")
        sign_in(page, admin.name, admin.password)

        _look(page, review_path(SERVICE_TEMPLATE), "review", folder)
        story.publish(FLOW_LOGS, shows=("AWS::EC2::FlowLog",))
        _look(page, "/", "fleet", folder)
        _look(page, "/", "fleet-dark", folder, dark=True)
        _look(page, "/", "fleet-phone", folder, size=PHONE)
        _look(page, f"/templates/{ENVIRONMENT_TEMPLATE}", "template", folder)
        _look(page, f"{TEST}/update", "update", folder)
        page.get_by_role("button", name="Update to recommended version").last.click()
        page.get_by_role("heading", level=1).get_by_text("succeeded").wait_for()
        _look(page, page.url, "deployment", folder)
        _look(page, page.url, "deployment-dark", folder, dark=True)
        assert windows.complaints == [], windows.complaints
        windows.close()


def _look(page: Page, path: str, name: str, folder: Path, *, dark: bool = False, size: tuple[int, int] = DESK) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
    page.goto(path)
    picture = folder / f"{name}.png"
    page.screenshot(path=picture)
    taken = picture.stat().st_size
    print(f"{picture} {taken // 1000} kB")
    if taken > LARGEST:
        raise SystemExit(f"{picture} is larger than {LARGEST // 1000} kB: show less")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
