"""What can be pressed or typed into on a page: whether each has a name, and where it is.

All are asked about at once. One after the other they take longer than to open the page, three questions for each; and a
page that is still loading shows others a moment later.
"""

import re
from dataclasses import dataclass
from functools import reduce
from typing import Final

from playwright.sync_api import Locator, expect

WORD: Final = re.compile(r"\w")
ROLES: Final = (
    "button",
    "checkbox",
    "combobox",
    "link",
    "radio",
    "searchbox",
    "slider",
    "spinbutton",
    "switch",
    "tab",
    "textbox",
)
MEASURED: Final = """(controls) => controls.map((control) => {
  const { x, y, width, height } = control.getBoundingClientRect();
  const is_in_sentence = control.matches("p a:not(.button, .aside), .skip");
  return { x, y, width, height, html: control.outerHTML, is_in_sentence };
})"""


@dataclass(frozen=True)
class Box:
    """Where a control is, in pixels; `html` is how it is written. Links `is_in_sentence` are as large as its words."""

    x: float
    y: float
    width: float
    height: float
    html: str
    is_in_sentence: bool

    @property
    def shorter_px(self) -> float:
        return min(self.width, self.height)


def assert_named(controls: Locator, name: re.Pattern[str] = WORD) -> None:
    """There are some of these, and each has such a name."""
    page = controls.page
    with_name = (page.get_by_role(role, name=name) for role in ROLES)
    controls.and_(reduce(Locator.or_, with_name)).evaluate_all("(named) => { window.named = new Set(named); }")
    unsure = "(all) => all.flatMap((control, place) => (window.named.has(control) ? [] : [place]))"
    assert controls.count() > 0
    for place in controls.evaluate_all(unsure):  # no role, as a password has none, or no name
        expect(controls.nth(place)).to_have_accessible_name(name)


def boxes(controls: Locator) -> list[Box]:
    """Where these are."""
    return [Box(**measured) for measured in controls.evaluate_all(MEASURED)]
