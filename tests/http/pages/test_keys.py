"""The keys of the studio: which work where, and what is a control's own."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.http.browsing import CHROMIUM, Visit, new_session, open_panel, stem, visiting
from tests.http.pages.timeline.stage import brought
from tests.http.running import GatewayThread, Web

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


@pytest.fixture
def visit(browser: Browser, shared_site: Web, gateway: GatewayThread) -> Iterator[Visit]:
    visit = visiting(browser, shared_site, gateway.fake.port)
    visit.expects("409")  # who asks for a waveform too early
    yield visit
    visit.check()


def test_keys_work_beside_a_box_that_is_ticked_and_a_fader(visit: Visit, shared_site: Web) -> None:
    """Letters do, since nobody types there. Space and the arrows are the control's own. In a text all are text."""
    session = new_session(shared_site, "Ada")
    brought(shared_site, session)
    page = visit(f"/sessions/{session}", who="Ada")
    loop = page.get_by_role("button", name="Loop", exact=True)
    open_panel(page, "Comments")
    box = page.locator("#comment-form:not([inert]) #comment-pinned")
    box.focus()
    page.keyboard.press("l")
    expect(loop).to_have_attribute("aria-pressed", "true")
    page.keyboard.press(" ")
    expect(box).not_to_be_checked()
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    fader = page.get_by_label("Gain", exact=True).first
    fader.focus()
    page.keyboard.press("l")
    expect(loop).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("ArrowLeft")
    expect(fader).to_have_value("-0.5")
    expect(page.locator("#position-bar")).to_have_text("1.1")
    page.get_by_label("Comment", exact=True).focus()
    page.keyboard.press("l")
    expect(page.get_by_label("Comment", exact=True)).to_have_value("l")
    expect(loop).to_have_attribute("aria-pressed", "false")


def test_m_and_s_are_the_track_s_that_has_the_focus(visit: Visit, shared_site: Web) -> None:
    """On its clip and on its buttons they press mute and solo. Elsewhere M is a marker, and S nothing."""
    session = new_session(shared_site, "Ada")
    brought(shared_site, session, "vox.wav")
    brought(shared_site, session, "drums.wav")
    page = visit(f"/sessions/{session}", who="Ada")
    vox, drums = stem(page, "vox.wav"), stem(page, "drums.wav")
    marker = page.get_by_role("dialog", name="New marker at bar 1")
    page.get_by_role("slider", name="Place of vox", exact=True).focus()
    page.keyboard.press("m")
    expect(vox.get_by_role("button", name="Mute", pressed=True)).to_be_visible()
    page.keyboard.press("s")
    expect(vox.get_by_role("button", name="Solo, for me alone", pressed=True)).to_be_visible()
    vox.get_by_role("button", name="More").focus()
    page.keyboard.press("m")
    page.keyboard.press("s")
    expect(vox.get_by_role("button", pressed=True)).to_have_count(0)
    expect(drums.get_by_role("button", pressed=True)).to_have_count(0)
    expect(marker).to_have_count(0)
    page.get_by_role("button", name="To the start").focus()
    page.keyboard.press("s")
    page.keyboard.press("m")
    expect(marker).to_be_visible()
    expect(vox.get_by_role("button", pressed=True)).to_have_count(0)
