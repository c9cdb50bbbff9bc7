"""The two main stories by keyboard alone: Tab, Space, Enter and letters, and at each stop one sees where one is."""

import pytest

from tests.browser.house import NEEDED, SCHEMA
from upkeep.domain.names import TemplateName, environment_key, parse_version
from upkeep.domain.people import Role

STOPS = 80
"""Tabs after which a thing counts as out of reach."""

HERE = """() => {
  const stop = document.activeElement;
  const label = stop.labels?.[0] ?? stop;
  return (stop.getAttribute("aria-label") || label.innerText || stop.value || "").trim().replace(/\\s+/g, " ");
}"""

SEEN = """() => {
  const stop = document.activeElement, style = getComputedStyle(stop), box = stop.getBoundingClientRect();
  const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  const inside = box.bottom > 0 && box.top < innerHeight && box.width > 0;
  return (ring || style.boxShadow !== "none") && inside;
}"""


def tab_to(page, label: str) -> None:
    """Tab until the focus is on what begins with a label, and look at every stop whether it can be seen."""
    passed = []
    for _ in range(STOPS):
        page.keyboard.press("Tab")
        stop = page.evaluate(HERE)
        assert page.evaluate(SEEN), f"the focus on {stop!r} cannot be seen"
        if stop.startswith(label):
            return
        passed.append(stop)
    pytest.fail(f"{label!r} was not reached, only {passed}")


def test_a_draft_is_reviewed_and_published_with_the_keyboard_alone(house, person):
    template = house.behind("keys")
    page = person(Role.ADMIN, f"/templates/{template}")
    tab_to(page, "Skip to the content")
    page.keyboard.press("Enter")
    tab_to(page, "Review 1.1")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=f"Review {template} 1.1").wait_for()
    tab_to(page, "Note to the owners")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("Flow logs, by hand")
    tab_to(page, "Publish 1.1")
    page.keyboard.press("Enter")
    page.get_by_text(f"{template} 1.1 is published").wait_for()
    with house.store.read() as unit:
        assert unit.registry.version(TemplateName(template), parse_version("1.1")).note == "Flow logs, by hand"


def test_an_update_is_made_with_the_keyboard_alone(house, person):
    template = house.behind("touch", schema=SCHEMA + NEEDED, draft="2.0")
    house.publish(template, "2.0")
    page = person(Role.DEVELOPER, "/environments/touch")
    tab_to(page, "Update to recommended version")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Update touch").wait_for()
    tab_to(page, "Days to keep logs")
    page.keyboard.type("14")
    tab_to(page, "1 input as before")
    page.keyboard.press("Space")
    tab_to(page, "cidr")
    tab_to(page, "Update to recommended version")
    page.keyboard.press("Space")
    page.get_by_role("heading", level=1).get_by_text("succeeded").wait_for()
    with house.store.read() as unit:
        resource = unit.fleet.get(environment_key("touch"))
    assert (str(resource.version), resource.inputs["retention"]) == ("2.0", 14)
