"""The stems on every screen and by keyboard: what fits, what has a name, what comes after what."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.http.browsing import CHROMIUM, Visit, add_files, join, new_session, sendings, stem, stems
from tests.http.pages.stems.stage import brought, held, studio
from tests.http.running import Web
from tests.http.sounds import wav

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


def focus_order(page: Page) -> list[str]:
    """What the keyboard comes to in the first stem, in its order."""
    names = []
    stems(page).first.get_by_role("link", name="Download").focus()
    for _ in range(8):
        names.append(page.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.name"))
        page.keyboard.press("Tab")
    return names


def assert_fits(page: Page, width: int) -> None:
    """Nothing among the stems sticks out, and every control there has a name and is large enough."""
    assert page.evaluate("document.documentElement.scrollWidth") == width
    for part in (page.locator("#stems-part"), *stems(page).all(), *sendings(page).all()):
        assert part.evaluate("part => part.scrollWidth <= part.clientWidth")
    for control in page.locator("#stems-part :is(a, button, input)").filter(visible=True).all():
        expect(control).to_have_accessible_name(re.compile(r"\w"))
        box = control.bounding_box()
        assert box is not None
        assert box["width"] >= 24, control.get_attribute("class")
        assert box["height"] >= 24, control.get_attribute("class")


@pytest.mark.parametrize("width", [320, 375, 1000, 1280])
def test_stems_fit_on_every_screen(visit: Visit, site: Web, width: int) -> None:
    """With the longest names nothing sticks out, and every control has a name and is large enough (WCAG 2.2, 2.5.8)."""
    session = new_session(site, "Ada", name="W" * 120)
    for number in range(3):
        brought(site, session, f"{'W' * 200}{number}.wav")
    page = visit(studio(session), who="Ada", width=width, height=640)
    expect(page.locator('.wave[data-state="drawn"]')).to_have_count(3)
    visit.expects("ERR_FAILED")
    with held(page, "**/api/upload"):
        add_files(page, **{f"{'W' * 200}_wav": wav()})
        stems(page).first.get_by_role("button", name="Remove", exact=True).click()
        assert_fits(page, width)


def test_a_phone_in_the_room_turns_between_talk_and_stems(visit: Visit, site: Web) -> None:
    """One at a time; bringing files turns to the stems, where they can be seen."""
    session = new_session(site, "Ada")
    brought(site, session)
    page = join(visit(studio(session), who="Ada", width=375, height=700))
    turn = page.get_by_role("group", name="Show")
    expect(turn.get_by_role("button", name="Talk", pressed=True)).to_be_visible()
    expect(stem(page, "take.wav")).to_be_hidden()
    turn.get_by_role("button", name="Stems").click()
    expect(stem(page, "take.wav")).to_be_visible()
    expect(page.get_by_label("Message", exact=True)).to_be_hidden()
    turn.get_by_role("button", name="Talk").click()
    expect(page.get_by_label("Message", exact=True)).to_be_visible()
    add_files(page, more_wav=wav(0.2))
    expect(stem(page, "more.wav")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollHeight") <= 700


def test_the_keyboard_goes_through_a_stem_from_top_to_bottom(visit: Visit, site: Web) -> None:
    """Each control once, and each says which stem it is of."""
    session = new_session(site, "Ada")
    brought(site, session)
    page = visit(studio(session), who="Ada")
    expect(page.locator('.wave[data-state="drawn"]')).to_have_count(1)
    order = ["Download", "Remove", "Play", "Position", "Mute", "gainDb", "pan", "offsetSeconds"]
    assert focus_order(page) == order
    for name in ("Gain", "Pan", "Begins at", "Position"):
        expect(stem(page, "take.wav").get_by_label(name)).to_have_accessible_description("take.wav")
