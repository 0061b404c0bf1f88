"""A mixdown on the phone of somebody without an account: heard, commented on, taken home, and gone (SPEC 6)."""

import re
from typing import Final

import pytest
from playwright.sync_api import Page, Route, expect

from tests.http import making
from tests.http.api.test_shares import make_preview, shared
from tests.http.browsing import CHROMIUM, Visit, new_session, person
from tests.http.running import Web
from tests.http.sounds import wav

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

MOST_BYTES: Final = 60_000


def place_s(page: Page) -> float:
    """Where it plays."""
    return float(page.get_by_role("slider", name="Position").input_value())


def test_a_phone_without_an_account_plays_comments_and_downloads(visit: Visit, shared_web: Web) -> None:
    """Until the link is revoked. Nothing sticks out at 320 px, the page is small, and keeps no cookie."""
    session = new_session(shared_web, "Ada", name="W" * 40)
    ada = person(shared_web, "Ada")
    path, link = shared(shared_web, ada, session, wav(making.LENGTH_S), download=True)
    make_preview(shared_web)
    place = link["url"].removeprefix(shared_web.url)
    page = visit(place, width=320, height=640, has_touch=True)
    expect(page.get_by_role("heading", level=1)).to_have_text("W" * 40)
    expect(page.locator("#wave-all")).to_have_attribute("d", re.compile("v"))
    expect(page.get_by_text("None yet.")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    loaded = "performance.getEntriesByType('resource').reduce((sum, each) => sum + each.decodedBodySize, 0)"
    assert 10_000 < page.evaluate(loaded) < MOST_BYTES

    page.get_by_role("button", name="Play").tap()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page.get_by_role("slider", name="Position")).to_have_attribute("aria-valuetext", re.compile("0:01 of"))
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    assert place_s(page) == 0
    page.locator("#wave").click(position={"x": 210, "y": 40})
    expect(page.locator("#pinned-time")).to_have_text("0:09")

    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert").filter(has_text="Write your name")).to_be_visible()
    page.get_by_label("Your name").fill("Ada")
    field = page.get_by_label("Comment", exact=True)
    field.fill("More bass, please.\n<b>Now</b>")
    sent: list[Route] = []
    page.route("**/comments", lambda route: sent.append(route))
    page.get_by_role("button", name="Send").click()
    field.fill("And less drums.")
    for route in sent:
        route.continue_()
    page.unroute("**/comments")
    expect(page.get_by_text("Your comment is there.")).to_have_count(1)
    expect(field).to_have_value("And less drums.")
    field.clear()
    comment = page.get_by_role("list", name="Comments").get_by_role("listitem")
    expect(comment).to_contain_text("Ada Guest")
    expect(comment).to_contain_text("<b>Now</b>")
    expect(page.locator(".pin")).to_have_count(1)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="15 s, back").click()
    comment.get_by_role("button", name="Go to 0:09").click()
    assert place_s(page) >= 9
    with page.expect_download() as download:
        page.get_by_role("link", name="Download WAV").click()
    assert download.value.suggested_filename == f"{'W' * 40}.wav"
    assert page.context.cookies() == []
    assert ada.get(path).json()["shares"][0]["plays"] == 1
    (seen,) = ada.get(f"/api/sessions/{session}/comments").json()["comments"]
    assert (seen["guest"], seen["author"]["id"]) == (True, None)

    still = visit(place, width=320, height=640, java_script_enabled=False)
    expect(still.locator("audio[controls]")).to_be_visible()
    expect(still.get_by_label("Comment", exact=True)).to_be_hidden()
    assert ada.delete(f"{path}/{link['id']}").status_code == 200
    visit.expects("410")
    page.reload()
    expect(page.get_by_text("does not play any more")).to_be_visible()
    assert "W" * 40 not in page.content()
