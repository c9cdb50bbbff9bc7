"""Every page, whatever it shows: readable by everybody, usable without scripts, and to itself."""

from functools import cache
from importlib.resources import files
from urllib.parse import urlsplit

import pytest

from tests.browser.window import DESK, PHONE
from tests.web import test_access
from tests.web.furnished import DONE, FAILED, PAUSED, WAITING
from tests.web.test_access import ADMINS_LOOK, LOOKS, OPEN
from upkeep.domain.people import Role

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
"""Tags of axe's rules: https://github.com/dequelabs/axe-core/blob/develop/doc/API.md#axe-core-tags"""

FILES = (".raw", ".rendered_file", ".changes", ".as_csv", ".as_json")
"""How the endpoints of what is downloaded end."""

STATES = (
    "/?search=nothing-fits-this",
    "/?status=behind",
    f"/deployments/{FAILED}",
    f"/deployments/{WAITING}",
    f"/rollouts/{PAUSED}",
    "/rollouts/new?key=environment/test",
    "/sources/gone",
    "/environments/production",
    "/environments/empty",
    "/environments/test/update?to=1.2",
    "/templates/network-env/1.3",
    "/no-such-page",
)
"""What a page of the list shows as well, when there is nothing, an error, or something to wait for."""

LISTED = LOOKS | ADMINS_LOOK

PAGES = [path for (_, endpoint), path in LISTED.items() if not endpoint.endswith(FILES)] + [*STATES]

SIZES = {"desk": DESK, "phone": PHONE}


def test_every_page_is_looked_at():
    """What `test_access` shows to be all routes."""
    tables = [table for table in vars(test_access).values() if isinstance(table, dict)]
    routes = {key[:2] for table in tables for key in table if isinstance(key, tuple) and key[0] == "GET"}
    assert routes - {key[:2] for key in OPEN} == LISTED.keys()


@cache
def axe() -> str:
    return (files("axe_playwright_python") / "axe.min.js").read_text()


def faults(page) -> list[str]:
    """What axe finds on a page, in a line each."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(axe())
    found = page.evaluate(
        "rules => axe.run({runOnly: {type: 'tag', values: rules}, resultTypes: ['violations']})", RULES
    )
    return [
        f"{fault['id']}: {fault['help']}: {node['html'][:200]}"
        for fault in found["violations"]
        for node in fault["nodes"]
    ]


def overflow(page) -> int:
    """By how many pixels the page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_no_fault_that_axe_knows(gallery, views, path):
    page = views.open(path, known=gallery.known[Role.ADMIN])
    assert urlsplit(page.url).path == urlsplit(path).path
    found = {}
    for name, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found[name, scheme] = faults(page)
        assert overflow(page) <= 0, name
    assert not any(found.values()), "\n".join(sorted({line for lines in found.values() for line in lines}))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_door_has_no_fault_that_axe_knows(views, scheme, size):
    page = views.open("/sign-in?next=/activity", dark=scheme == "dark", size=SIZES[size])
    page.get_by_role("button", name="Sign in").wait_for()
    assert faults(page) == []
    assert overflow(page) <= 0


def test_axe_finds_what_is_wrong(gallery, views):
    page = views.open("/activity", known=gallery.known[Role.VIEWER])
    page.evaluate("document.querySelector('main').insertAdjacentHTML('beforeend', '<input type=text>')")
    assert [fault.partition(":")[0] for fault in faults(page)] == ["label"]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_shows_without_scripts_what_it_shows_with_them(gallery, views, path):
    with_scripts = views.open(path, known=gallery.known[Role.ADMIN])
    without = views.open(path, known=gallery.known[Role.ADMIN], script=False)
    assert without.get_by_role("heading").all_inner_texts() == with_scripts.get_by_role("heading").all_inner_texts()
    assert without.get_by_role("button").count() == with_scripts.get_by_role("button").count()
    assert without.get_by_role("row").count() == with_scripts.get_by_role("row").count()


def test_a_deployment_that_is_done_has_no_step_to_come(gallery, views):
    page = views.open(f"/deployments/{DONE}", known=gallery.known[Role.VIEWER])
    assert page.get_by_text("to come").count() == 0


def test_what_says_it_is_a_button_answers_to_the_space_bar(gallery, views):
    page = views.open("/", known=gallery.known[Role.ADMIN])
    page.get_by_role("button", name="Update test to recommended version").focus()
    page.keyboard.press("Space")
    page.wait_for_url("**/environments/test/update")
