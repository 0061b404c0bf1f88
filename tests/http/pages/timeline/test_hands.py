"""The timeline under the hand: it scrolls where a clip is dragged to its edge, and two fingers zoom it."""

import pytest
from playwright.sync_api import Page, expect

from tests.cli.running import eventually
from tests.http.browsing import CHROMIUM, Visit, new_session, person
from tests.http.pages.timeline.stage import brought, list_stems, studio
from tests.http.running import Web
from tests.http.sounds import wav

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

SCALE = "Number(document.querySelector('.timeline-inner').style.getPropertyValue('--scale'))"
SCROLLED = "document.getElementById('timeline-scroller').scrollLeft"


def with_vox(visit: Visit, site: Web, **context: object) -> tuple[Page, str]:
    """The page of a session with one clip, and the session."""
    session = new_session(site, "Ada")
    brought(site, session, "vox.wav", content=wav(8.0))
    page = visit(studio(session), who="Ada", **context)  # type: ignore[arg-type]
    expect(page.locator('.clip[data-wave="there"]')).to_have_count(1)
    return page, session


def test_the_song_scrolls_under_a_clip_that_is_held_at_its_edge(visit: Visit, site: Web) -> None:
    """As long as it is held there, to the right and back; it lies where it was let go."""
    page, session = with_vox(visit, site)
    lanes = page.locator("#timeline-scroller").bounding_box()
    box = page.get_by_role("slider", name="Place of vox").bounding_box()
    assert lanes is not None
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.6
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(lanes["x"] + lanes["width"] - 4, y)
    eventually(lambda: page.evaluate(SCROLLED) > 400, what="it scrolls")
    page.mouse.move(x, y)
    scrolled = page.evaluate(SCROLLED)
    page.mouse.up()
    offset_s = scrolled / page.evaluate(SCALE)
    assert offset_s > 2
    eventually(lambda: abs(list_stems(site, session)[0]["offsetSeconds"] - offset_s) < 0.5, what="it lies there")
    assert page.evaluate(SCROLLED) == scrolled


def test_two_fingers_zoom_and_one_scrolls(visit: Visit, site: Web) -> None:
    """What is between the fingers stays there; the page itself is not zoomed."""
    page, _ = with_vox(visit, site, width=390, height=844, has_touch=True, is_mobile=True)
    expect(page.get_by_text("Choose a file", exact=True)).to_be_visible()
    expect(page.get_by_text("Drop a stem here")).to_be_hidden()
    touch = page.context.new_cdp_session(page)
    before = page.evaluate(SCALE)

    def fingers(kind: str, *places: float) -> None:
        points = [{"x": x, "y": 300, "id": finger} for finger, x in enumerate(places)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    fingers("touchStart", 230, 290)
    for step in range(1, 6):
        fingers("touchMove", 230 - 12 * step, 290 + 12 * step)
    fingers("touchEnd")
    zoomed = page.evaluate(SCALE)
    assert zoomed == pytest.approx(3 * before, rel=0.05)
    assert page.evaluate("visualViewport.scale") == 1
    # It was at 128 px of the lanes, three times as far from their beginning as before.
    assert page.evaluate(SCROLLED) == pytest.approx(2 * 128, abs=20)
    fingers("touchStart", 300)
    for step in range(1, 6):
        fingers("touchMove", 300 - 20 * step)
    fingers("touchEnd")
    eventually(lambda: page.evaluate(SCROLLED) > 300, what="one finger scrolls")
    assert page.evaluate(SCALE) == zoomed


@pytest.mark.parametrize("width", [390, 1280])
def test_which_take_is_heard_is_never_cut_off(visit: Visit, site: Web, width: int) -> None:
    """However long the track's name is; where there is no room for words, in figures."""
    session = new_session(site, "Ada")
    first = brought(site, session, f"{'Long ' * 12}vox.wav")
    brought(site, session, "again.wav")
    again = list_stems(site, session)[0]["id"]
    assert person(site, "Ada").patch(f"/api/upload/{again}", json={"takeOf": first}).status_code == 200
    page = visit(studio(session), who="Ada", width=width, height=800)
    ending = page.locator(".track-ending")
    expect(ending).to_have_text("take 1 of 2")
    strip = page.locator(".track-name")
    expect(strip).to_be_visible()
    inside = "part => { const box = part.getBoundingClientRect(), name = part.parentElement.getBoundingClientRect();"
    inside += " return box.width > 10 && box.right <= name.right + 0.5 && part.scrollWidth <= part.clientWidth + 1; }"
    assert ending.evaluate(inside)
