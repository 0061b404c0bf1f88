"""The stems of a session in a real browser: heard, mixed, removed; the same for everybody in the room."""

import pytest
from playwright.sync_api import Page, expect

from tests.cli.running import eventually
from tests.http.browsing import CHROMIUM, Visit, add_files, join, log, new_session, person, sendings, stem
from tests.http.pages.stems.stage import brought, held, list_stems, pass_on, studio
from tests.http.running import GatewayThread, Web
from tests.http.sounds import png, wav

MINUS = "\N{MINUS SIGN}"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


def played_s(page: Page) -> float:
    """Where the only stem's sound is."""
    return float(page.evaluate("document.querySelector('audio').currentTime"))


def test_a_stem_plays(visit: Visit, site: Web) -> None:
    """Pressed, its time moves and the button pauses; the waveform is a slider for the keyboard; at its end it stops."""
    session = new_session(site, "Ada")
    brought(site, session, content=wav(2.0))
    page = visit(studio(session), who="Ada")
    take = stem(page, "take.wav")
    take.get_by_role("button", name="Play").click()
    eventually(lambda: played_s(page) > 0.2, what="its time moves")
    take.get_by_role("button", name="Pause").click()
    expect(take.get_by_role("button", name="Play")).to_be_visible()
    paused_s = played_s(page)
    place = take.get_by_role("slider", name="Position")
    place.press("End")
    expect(place).to_have_attribute("aria-valuetext", "0:02 of 0:02")
    assert played_s(page) > paused_s
    place.press("Home")
    expect(place).to_have_attribute("aria-valuetext", "0:00 of 0:02")
    place.evaluate("field => { field.value = 1.7; field.dispatchEvent(new Event('input')); }")
    take.get_by_role("button", name="Play").click()
    expect(take.get_by_role("button", name="Pause")).to_be_visible()
    expect(take.get_by_role("button", name="Play")).to_be_visible()
    expect(place).to_have_attribute("aria-valuetext", "0:00 of 0:02")


def test_a_stem_in_which_something_is_missing_says_so(visit: Visit, site: Web) -> None:
    """On its line, in a sentence; the others say nothing."""
    session = new_session(site, "Ada")
    brought(site, session, "whole.wav")
    missing = "This file was cut off: 2.0 of 4.0 seconds are there."
    brought(site, session, warning=missing)
    page = visit(studio(session), who="Ada")
    expect(stem(page, "take.wav").get_by_text(missing)).to_be_visible()
    expect(stem(page, "whole.wav").locator(".warning")).to_be_hidden()


def test_what_is_mixed_is_kept_and_heard_by_all(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """Gain, pan, mute and begin, by keyboard: shown at once, kept, and the same for whoever is in the room."""
    session = new_session(site, "Ada", "Bo")
    brought(site, session)
    ada, bo = visit(studio(session), who="Ada"), join(visit(studio(session), who="Bo"))
    take = stem(ada, "take.wav")
    take.get_by_label("Gain").press("ArrowLeft")
    expect(take.get_by_text(f"{MINUS}0.5 dB")).to_be_visible()
    take.get_by_label("Pan").press("Home")
    expect(take.get_by_text("100 % left")).to_be_visible()
    take.get_by_role("button", name="Mute").press("Enter")
    expect(take.get_by_role("button", name="Mute", pressed=True)).to_be_visible()
    take.get_by_label("Begins at").fill("12.5")
    take.get_by_label("Begins at").press("Enter")
    wanted = {"gainDb": -0.5, "pan": -1, "muted": True, "offsetSeconds": 12.5}
    eventually(lambda: list_stems(site, session)[0] | wanted == list_stems(site, session)[0], what="the mix is kept")
    pass_on(site, gateway, "upload.changed")
    expect(stem(bo, "take.wav").get_by_label("Gain")).to_have_value("-0.5")
    expect(stem(bo, "take.wav").get_by_label("Pan")).to_have_attribute("aria-valuetext", "100 % left")
    expect(stem(bo, "take.wav").get_by_role("button", name="Mute", pressed=True)).to_be_visible()
    expect(stem(bo, "take.wav").get_by_label("Begins at")).to_have_value("12.5")


def test_a_change_that_is_refused_is_put_back(visit: Visit, site: Web) -> None:
    """With the reason; and what is no place in the session is not even asked for."""
    session = new_session(site, "Ada")
    upload = brought(site, session)
    page = visit(studio(session), who="Ada")
    visit.expects("503")
    refusal = {"error": "That does not work right now.", "code": "unavailable"}
    page.route(f"**/api/upload/{upload}", lambda route: route.fulfill(status=503, json=refusal))
    take = stem(page, "take.wav")
    take.get_by_label("Gain").press("ArrowLeft")
    expect(take.get_by_role("alert")).to_have_text("That does not work right now.")
    expect(take.get_by_label("Gain")).to_have_value("0")
    take.get_by_label("Begins at").fill("-3")
    take.get_by_label("Begins at").press("Enter")
    expect(take.get_by_role("alert")).to_have_text("A stem begins 0 to 3600 seconds into the session.")
    expect(take.get_by_label("Begins at")).to_have_value("0")


def test_removing_asks_first(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """Kept by Escape, gone by a second press, also for the others; whoever may not remove it is not offered to."""
    session = new_session(site, "Ada", "Bo")
    brought(site, session)
    ada, bo = visit(studio(session), who="Ada"), join(visit(studio(session), who="Bo"))
    expect(stem(bo, "take.wav").get_by_role("button", name="Remove")).to_have_count(0)
    remove = stem(ada, "take.wav").get_by_role("button", name="Remove", exact=True)
    remove.click()
    expect(stem(ada, "take.wav").get_by_role("button", name="Keep it")).to_be_focused()
    ada.keyboard.press("Escape")
    expect(remove).to_be_focused()
    remove.click()
    stem(ada, "take.wav").get_by_role("button", name="Remove it").click()
    expect(ada.get_by_text("take.wav")).to_have_count(0)
    expect(ada.get_by_text("Nothing to play along to yet.")).to_be_visible()
    expect(stem(bo, "take.wav")).to_be_visible()
    pass_on(site, gateway, "upload.removed")
    expect(bo.get_by_text("take.wav")).to_have_count(0)
    assert list_stems(site, session) == []


def test_the_room_is_told_of_what_others_bring(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """A line in the talk, a stem in the list; whoever brought it sees it once, however often they are told."""
    session = new_session(site, "Ada", "Bo")
    ada, bo = join(visit(studio(session), who="Ada")), join(visit(studio(session), who="Bo"))
    expect(log(ada)).to_contain_text("Bo came in.")
    add_files(bo, vox_wav=wav())
    expect(stem(bo, "vox.wav")).to_be_visible()
    pass_on(site, gateway, "upload.added")
    expect(stem(ada, "vox.wav")).to_be_visible()
    expect(log(ada)).to_contain_text("Bo added a file.")
    expect(log(bo)).not_to_contain_text("added a file.")
    for page in (ada, bo):
        expect(page.get_by_text("vox.wav")).to_have_count(1)
    expect(stem(ada, "vox.wav").get_by_role("button", name="Remove")).to_be_visible()


def test_what_was_missed_is_there_after_coming_back(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """Brought and removed while nobody told the page: the list is asked for again with each new connection."""
    session = new_session(site, "Ada", "Bo")
    gone = brought(site, session, "old.wav")
    page = join(visit(studio(session), who="Bo"))
    expect(stem(page, "old.wav")).to_be_visible()
    brought(site, session, "new.wav")
    person(site, "Ada").delete(f"/api/upload/{gone}")
    gateway.do(gateway.fake.close, session, 1001)
    expect(log(page)).to_contain_text("You are back.")
    expect(stem(page, "new.wav")).to_be_visible()
    expect(stem(page, "old.wav")).to_have_count(0)


def test_a_picture_has_no_faders(visit: Visit, site: Web) -> None:
    """It can be downloaded and removed; there is nothing to hear in it."""
    session = new_session(site, "Ada")
    brought(site, session, "cover.png", content=png())
    page = visit(studio(session), who="Ada")
    expect(stem(page, "cover.png").get_by_text("picture ·")).to_be_visible()
    expect(stem(page, "cover.png").get_by_role("slider")).to_have_count(0)
    expect(stem(page, "cover.png").get_by_role("button", name="Play")).to_have_count(0)
    with page.expect_download() as download:
        stem(page, "cover.png").get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "cover.png"
    assert download.value.path().read_bytes() == png()


def test_a_name_like_markup_is_a_name(visit: Visit, site: Web) -> None:
    """It is shown as it is, and runs nothing."""
    session = new_session(site, "Ada")
    name = "<img src=x onerror=alert(1)>.wav"
    brought(site, session, name)
    page = visit(studio(session), who="Ada")
    expect(page.get_by_text(name, exact=True)).to_be_visible()


def test_a_session_that_is_deleted_takes_its_stems_along(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """Nothing is left to play, and nothing more is sent."""
    session = new_session(site, "Ada", "Bo")
    brought(site, session)
    page = join(visit(studio(session), who="Bo"))
    with held(page, "**/api/upload"):
        add_files(page, late_wav=wav())
        expect(sendings(page)).to_have_count(1)
        gateway.do(gateway.fake.tell, session, {"type": "session.deleted", "payload": {"sessionId": session}})
        expect(page.get_by_text("This session was deleted.")).to_be_visible()
        for name in ("take.wav", "late.wav"):
            expect(page.get_by_text(name)).to_have_count(0)
