"""The timeline on every screen and for everybody: what fits, what has a name, what a listener is offered."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.http.browsing import CHROMIUM, Visit, add_files, new_session, person, sendings, stem, stems
from tests.http.pages.controls import assert_named, boxes
from tests.http.pages.timeline.stage import brought, held, studio
from tests.http.running import Web
from tests.http.sounds import wav

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


def assert_fits(page: Page, width: int) -> None:
    """The page does not scroll sideways, and every control of the timeline has a name and is large enough."""
    assert page.evaluate("document.documentElement.scrollWidth") == width
    strips = page.locator(".track-strip")
    assert strips.evaluate_all("parts => parts.every(part => part.scrollWidth <= part.clientWidth)")
    controls = page.locator("#timeline :is(a, button, input)").filter(visible=True)
    assert_named(controls)
    for box in boxes(controls):
        assert box.shorter_px >= 24, box.html


@pytest.mark.parametrize("width", [320, 1280])
def test_tracks_fit_on_every_screen(visit: Visit, site: Web, width: int) -> None:
    """With the longest names nothing sticks out, and every control has a name and is large enough (WCAG 2.2, 2.5.8)."""
    session = new_session(site, "Ada", name="W" * 120)
    for number in range(3):
        brought(site, session, f"{'W' * 110}{number}.wav")
    page = visit(studio(session), who="Ada", width=width, height=640)
    expect(page.locator('.clip[data-wave="there"]')).to_have_count(3)
    visit.expects("ERR_FAILED")
    with held(page, "**/api/upload/tus"):
        add_files(page, **{f"{'W' * 200}_wav": wav()})
        expect(sendings(page)).to_have_count(1)
        stems(page).first.get_by_role("button", name="More").click()
        page.get_by_role("button", name="Remove", exact=True).filter(visible=True).click()
        expect(page.get_by_role("button", name="Keep it").filter(visible=True)).to_be_focused()
        assert_fits(page, width)


def test_a_listener_hears_and_sees_and_moves_nothing(visit: Visit, site: Web) -> None:
    """Places in words, solo for oneself, downloads; nothing to drag, and no way to change a value."""
    session = new_session(site, "Ada", "Bo")
    brought(site, session, "vox.wav")
    bo = person(site, "Bo").get("/api/sessions").json()["currentUserId"]
    path = f"/api/sessions/{session}/collaborators/{bo}"
    assert person(site, "Ada").patch(path, json={"role": "listener"}).status_code == 200
    page = visit(studio(session), who="Bo")
    expect(page.get_by_role("img", name="vox, begins at bar 1, 2 beats")).to_be_visible()
    vox = stem(page, "vox.wav")
    for control in (vox.get_by_label("Gain"), vox.get_by_role("button", name="Mute")):
        expect(control).to_be_disabled()
    vox.get_by_role("button", name="Solo").click()
    expect(vox.get_by_role("button", name="Solo", pressed=True)).to_be_visible()
    page.reload()
    expect(vox.get_by_role("button", name="Solo", pressed=True)).to_be_visible()
    vox.get_by_role("button", name="More").click()
    inspector = page.get_by_role("dialog", name="vox")
    expect(inspector.get_by_label("Fade in")).to_be_disabled()
    expect(inspector.get_by_role("link", name="Download")).to_be_visible()
    expect(inspector.get_by_role("button", name=re.compile("Move|Remove|Record"))).to_have_count(0)
    expect(page.get_by_role("button", name="Add a marker here")).to_have_count(0)
    expect(page.locator(".clip-handle")).to_have_count(0)
