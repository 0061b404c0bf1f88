"""The states of the pages that somebody may look at, one after the other: for what is to hold in all of them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from playwright.sync_api import Page, expect

from tests.http.api.test_shares import make_preview, shared
from tests.http.browsing import (
    Visit,
    at_least,
    invite_to,
    join,
    log,
    new_session,
    open_panel,
    person,
    send_message,
    stems,
)
from tests.http.making import LENGTH_S
from tests.http.pages.timeline.stage import brought
from tests.http.running import GatewayThread, Web
from tests.http.sounds import wav

Size = tuple[int, int]
"""Width and height, in pixels."""

LONG_NAME = "Harbour lights, the long version with the second chorus"


@dataclass(frozen=True)
class Band:
    """Ada owns the session, Bo edits it, Cy listens; `link` leads to its shared mixdown, `ended` no more."""

    session: str
    link: str
    ended: str


def seat_band(site: Web) -> Band:
    """A session in which something of everything has happened."""
    session = new_session(site, "Ada", "Bo", "Cy", name=LONG_NAME)
    ada, bo = person(site, "Ada"), person(site, "Bo")
    cy = person(site, "Cy").get("/api/sessions").json()["currentUserId"]
    assert ada.patch(f"/api/sessions/{session}/collaborators/{cy}", json={"role": "listener"}).status_code == 200
    drums = brought(site, session, "drums.wav", content=wav(16))
    brought(site, session, "Lead vox.wav", who="Bo", content=wav(3), warning="The end of this file is missing.")
    retake = brought(site, session, "Drums again.wav", content=wav(12))
    mix = {"gainDb": -6, "offsetSeconds": 2}
    for upload, change in ((drums, mix), (retake, {"takeOf": drums}), (drums, {"chosen": True})):
        assert ada.patch(f"/api/upload/{upload}", json=change).status_code == 200
    for marker in ({"name": "Verse", "atBeat": 0, "endBeat": 16}, {"name": "Solo", "atBeat": 24}):
        assert ada.post(f"/api/sessions/{session}/markers", json=marker).status_code == 201
    text = "The snare is late at bar 3, listen at 0:07."
    about = {"text": text, "atBeat": 8}
    comment = bo.post(f"/api/sessions/{session}/comments", json=about).json()["comment"]["id"]
    reply = {"text": "Moved it.", "parentId": comment}
    assert ada.post(f"/api/sessions/{session}/comments", json=reply).status_code == 201
    path, share = shared(site, ada, session, wav(LENGTH_S), download=True)
    ended = ada.post(path, json={}).json()
    assert ada.delete(f"{path}/{ended['id']}").status_code == 200
    shared(site, ada, session, wav(LENGTH_S))
    while make_preview(site):
        pass
    return Band(session, *(link["url"].removeprefix(site.url) for link in (share, ended)))


def plain_pages(visit: Visit, site: Web, band: Band, size: Size) -> Iterator[tuple[str, Page]]:
    """Pages without a room: signed out, the list, an invite, a shared mixdown, and one that is shared no more."""
    visit.expects("404|410")
    width, height = size
    page = visit("/", width=width, height=height)
    yield "start", page
    for path in ("/about", "/signin", "/signin?error=CredentialsSignin", "/nothing/here"):
        page.goto(f"{visit.base_url}{path}")
        yield path, page
    page.goto(f"{visit.base_url}{band.link}")
    expect(page.locator("#wave-all")).to_have_attribute("d", re.compile("v"))
    yield "listen", page
    page.locator("#wave").click(position={"x": 150, "y": 40})
    page.get_by_label("Your name").fill("Eve")
    page.get_by_label("Comment", exact=True).fill("More bass, please.")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("list", name="Comments").get_by_role("listitem")).to_have_count(1)
    yield "listen, with a comment", page
    page.goto(f"{visit.base_url}{band.ended}")
    yield "a share link that has ended", page
    page = visit("/sessions", who="Ada", width=width, height=height)
    expect(page.get_by_role("link", name="Open session").first).to_be_visible()
    yield "sessions", page
    page = visit("/sessions", who="Fay", width=width, height=height)
    yield "no sessions", page
    page.goto(f"{visit.base_url}{invite_to(site, 'Ada', band.session)}")
    yield "invite", page


def studio_states(
    visit: Visit, site: Web, gateway: GatewayThread, band: Band, size: Size
) -> Iterator[tuple[str, Page]]:
    """The studio: empty, with tracks, in its room, with everything open that opens, and without its room."""
    width, height = size
    page = visit(f"/sessions/{new_session(site, 'Ada')}", who="Ada", width=width, height=height)
    expect(page.get_by_text("Nothing to play along to yet.")).to_be_visible()
    yield "empty", page
    page = visit(f"/sessions/{band.session}", who="Ada", width=width, height=height)
    expect(page.locator('.clip[data-wave="there"]')).to_have_count(2)
    yield "tracks, outside the room", page
    open_panel(page, "Talk")
    join(page)
    send_message(page, "From bar 3?")
    expect(log(page).get_by_role("article")).to_have_count(1)
    yield "talk", page
    open_panel(page, "Comments")
    expect(page.locator("#comments").get_by_text("The snare is late")).to_be_visible()
    yield "comments", page
    open_panel(page, "Activity")
    expect(page.get_by_role("list", name="Activity").get_by_role("listitem").first).to_be_visible()
    yield "activity", page
    open_panel(page, "Mixdowns")
    mixdowns = page.get_by_role("list", name="Mixdowns").get_by_role("listitem")
    expect(mixdowns).to_have_count(2)
    yield "mixdowns", page
    for place in (0, 1):
        mixdowns.nth(place).get_by_role("button", name="Compare").click()
    compare = page.get_by_role("region", name="Compare two mixdowns")
    compare.get_by_role("button", name="Play").click()
    expect(compare.get_by_role("button", name="Pause")).to_be_visible()
    yield "comparing", page
    compare.get_by_role("button", name="Close the comparison").click()
    mixdowns.first.get_by_role("button", name="Share").click()
    expect(page.get_by_role("dialog").filter(visible=True)).to_contain_text("link")
    yield "share", page
    page.keyboard.press("Escape")
    close = page.get_by_role("button", name="Close the panel")
    if close.is_visible():  # it covers the song, on a phone
        close.click()
    stems(page).first.get_by_role("button", name="More").click()
    expect(page.get_by_role("dialog", name="drums")).to_be_visible()
    yield "inspector", page
    page.get_by_role("dialog", name="drums").get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Comment here").click()
    expect(page.locator(".place-form")).to_be_visible()
    yield "a comment at a place", page
    page.locator(".place-form").get_by_role("button", name="Cancel").click()
    for item, what in (("Keyboard shortcuts", "#keys"), ("Rename", "#rename"), ("Delete session", "dialog[open]")):
        if not page.locator("#more").is_visible():  # a phone on its side has the song alone
            break
        page.locator("#more > summary").click()
        if what == "#keys":
            yield "menu", page
        page.get_by_role("button", name=item, exact=True).click()
        expect(page.locator(what)).to_be_visible()
        yield item, page
        page.keyboard.press("Escape")
    page.evaluate("document.getElementById('people-open').click()")  # on a phone it is in the menu
    expect(page.get_by_role("dialog", name="People in this session").get_by_text("Bo", exact=True)).to_be_visible()
    page.get_by_role("button", name="Make an invite link").click()
    expect(page.get_by_label("Invite link")).to_be_visible()
    yield "people", page
    page.keyboard.press("Escape")
    page.locator("#company > summary").click()
    yield "who is here", page
    page.keyboard.press("Escape")
    page.keyboard.press("r")
    strip = page.get_by_role("region", name="Record", exact=True)
    strip.get_by_role("button", name="Use the microphone").click()
    expect(strip.get_by_role("status").first).to_have_text("Ready. Press Record, or the key R.")
    strip.get_by_text("Microphone and timing").click()
    yield "ready to record", page
    strip.get_by_label("Count in one bar").uncheck()
    strip.get_by_role("button", name="Record", exact=True).click()
    expect(strip.get_by_label("Length")).to_have_text(at_least(1))
    yield "recording", page
    strip.get_by_role("button", name="Stop").click()
    expect(strip.get_by_role("status").first).to_contain_text("Saved")
    strip.get_by_role("button", name="Close").click()
    gateway.do(gateway.fake.close, band.session, 1001, json.dumps({"reconnectMs": 600_000}))
    expect(page.locator("#notice")).to_contain_text("The studio is restarting.")
    yield "reconnecting", page
    page = visit(f"/sessions/{band.session}", who="Cy", width=width, height=height)
    expect(page.locator('.clip[data-wave="there"]')).to_have_count(2)
    yield "listener", page
