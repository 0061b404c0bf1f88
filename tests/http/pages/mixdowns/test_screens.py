"""The mixdowns on every screen and by keyboard: what fits, what has a name, what comes after what, what jumps."""

import pytest
from playwright.sync_api import Page, expect

from tests.http import making
from tests.http.browsing import CHROMIUM, Visit, join, new_session, open_panel
from tests.http.pages.controls import assert_named, boxes
from tests.http.pages.mixdowns.stage import (
    finished,
    make_mixdown,
    mixdowns,
    newest,
    note,
    render,
    request_mixdown,
    status,
    studio,
    taken,
)
from tests.http.running import Web

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


def tall_px(page: Page, selector: str) -> int:
    """How tall that is."""
    return int(page.locator(selector).first.evaluate("part => part.offsetHeight"))


NAME = "(at => at.ariaLabel ?? at.labels?.[0]?.textContent ?? at.textContent)(document.activeElement)"
"""What the keyboard is at."""


def assert_fits(page: Page, width: int) -> None:
    """Nothing among the mixdowns sticks out, and every control there has a name and is large enough."""
    assert page.evaluate("document.documentElement.scrollWidth") == width
    for parts in (page.locator("#panel-mixdowns"), mixdowns(page)):
        assert parts.evaluate_all("parts => parts.every(part => part.scrollWidth <= part.clientWidth)")
    controls = page.locator("#panel-mixdowns :is(a, button, input, select)").filter(visible=True)
    assert_named(controls)
    for box in boxes(controls):
        assert box.shorter_px >= 24, box.html
        assert box.x >= 0, box.html
        assert box.x + box.width <= width, box.html


@pytest.mark.parametrize("width", [320, 375, 1000, 1280])
def test_mixdowns_fit_on_every_screen(visit: Visit, site: Web, width: int) -> None:
    """With the longest names and sentences, in each state, newest and older, also while one asks whether to go."""
    session = new_session(site, "Ada", name="W" * 120)
    for _ in range(2):
        make_mixdown(site, session)
    request_mixdown(site, session)
    making.fail(site, f"There is no sound in {'W' * 200}.wav. Remove it, then render again.")
    page = visit(studio(session), who="Ada", width=width, height=640)
    expect(status(page)).to_have_text("Status: failed")
    assert_fits(page, width)
    mixdowns(page).last.get_by_role("button", name="Remove", exact=True).click()
    assert_fits(page, width)
    for _ in range(2):
        render(page).click()
        expect(note(page)).to_have_text("Export queued")
        taken(site, 100)
    expect(mixdowns(page)).to_have_count(5)
    expect(status(page)).to_have_text("Status: processing, 100 %")
    assert_fits(page, width)
    mixdowns(page).last.get_by_role("button", name="Keep it").click()
    mixdowns(page).last.get_by_role("button", name="Play").click()
    expect(mixdowns(page).last.get_by_role("slider", name="Position")).to_be_visible()
    assert_fits(page, width)


@pytest.mark.parametrize("width", [375, 1280])
def test_nothing_jumps_while_one_is_made(visit: Visit, site: Web, width: int) -> None:
    """The newest is as tall when it is asked for as when it is made, and so is what it is asked for with."""
    session = new_session(site, "Ada")
    page = visit(studio(session), who="Ada", width=width, height=900, reduced_motion="reduce")
    form_px = tall_px(page, "#render")
    render(page).click()
    expect(note(page)).to_have_text("Export queued")
    assert tall_px(page, "#render") == form_px
    mixdown_px = tall_px(page, ".mixdown")
    job = taken(site, 42)
    expect(status(page)).to_have_text("Status: processing, 42 %")
    assert tall_px(page, ".mixdown") == mixdown_px
    finished(site, job)
    expect(status(page)).to_have_text("Status: completed")
    assert tall_px(page, ".mixdown") == mixdown_px


def test_a_phone_in_the_room_has_them_in_the_panel(visit: Visit, site: Web) -> None:
    """Behind a button, reached by scrolling the panel alone."""
    session = new_session(site, "Ada")
    make_mixdown(site, session)
    page = join(visit(f"/sessions/{session}", who="Ada", width=375, height=700))
    expect(render(page)).to_be_hidden()
    open_panel(page, "Mixdowns")
    render(page).click()
    expect(note(page)).to_have_text("Export queued")
    mixdowns(page).last.get_by_role("button", name="Play").scroll_into_view_if_needed()
    expect(mixdowns(page).last.get_by_role("button", name="Play")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollHeight") <= 700


def test_the_keyboard_goes_through_them_from_top_to_bottom(visit: Visit, site: Web) -> None:
    """The choice, the button, and of each mixdown each control once, which says whose it is."""
    session = new_session(site, "Ada")
    for _ in range(2):
        make_mixdown(site, session)
    page = visit(studio(session), who="Ada")
    expect(mixdowns(page)).to_have_count(2)
    page.get_by_label("Format").focus()
    names = []
    for _ in range(13):
        names.append(page.evaluate(NAME))
        page.keyboard.press("Tab")
    own, acts = ["Download", "Remove"], ["Share", "Compare"]
    assert names == ["Format", "Render mixdown", *own, "Play", "Position", *acts, *own, "Play", *acts]
    for control in newest(page).locator("a, button, input").filter(visible=True).all():
        expect(control).to_have_accessible_description("Night jam.wav")


def test_nothing_moves_for_whoever_prefers_so(visit: Visit, site: Web) -> None:
    """One in the making does not blink or slide under reduced motion."""
    session = new_session(site, "Ada")
    request_mixdown(site, session)
    page = visit(studio(session), who="Ada", reduced_motion="reduce")
    expect(status(page)).to_be_visible()
    assert page.evaluate("document.getAnimations().length") == 0


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_only_what_is_live_is_amber(visit: Visit, site: Web, scheme: str) -> None:
    """The lamp is lit while one is rendered, and dark while it waits and when it is made."""
    session = new_session(site, "Ada")
    request_mixdown(site, session)
    page = visit(studio(session), who="Ada", color_scheme=scheme, reduced_motion="reduce")
    live = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--live')")
    probe = "(lamp) => getComputedStyle(lamp).backgroundColor"
    amber = {"#f0a13a": "rgb(240, 161, 58)", "#c47710": "rgb(196, 119, 16)"}[live]
    lamp = newest(page).locator(".led")
    assert lamp.evaluate(probe) != amber
    job = taken(site, 10)
    expect(status(page)).to_have_text("Status: processing, 10 %")
    assert lamp.evaluate(probe) == amber
    finished(site, job)
    expect(status(page)).to_have_text("Status: completed")
    assert lamp.evaluate(probe) != amber
