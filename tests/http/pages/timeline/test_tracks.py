"""The tracks of a session in a real browser: moved, mixed, named, ordered, removed; the same for all in the room."""

import re

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from omnisonic.studio.segments.segment_queue import SegmentQueue
from omnisonic.studio.segments.segment_worker import SegmentWorker
from tests.cli.running import eventually
from tests.http.browsing import CHROMIUM, Visit, add_files, join, log, new_session, person, sendings, stem, stems
from tests.http.pages.timeline.stage import brought, held, list_stems, pass_on, studio
from tests.http.running import GatewayThread, Web
from tests.http.sounds import png, wav
from tests.studio.segments.bench import DirectCutting

MINUS = "\N{MINUS SIGN}"
UNREACHABLE = "The studio cannot be reached. Check your connection and try again."

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


def clip(page: Page, name: str) -> Locator:
    """The clip of that track, for whoever may move it."""
    return page.get_by_role("slider", name=f"Place of {name}", exact=True)


def kept(site: Web, session: str, upload: str, **values: object) -> None:
    """Wait until the studio has these values of the upload."""

    def has_them() -> bool:
        (there,) = (each for each in list_stems(site, session) if each["id"] == upload)
        return all(there[name] == value for name, value in values.items())

    eventually(has_them, what=f"{values} is kept")


def drag(page: Page, what: Locator, by_px: float, *, alt: bool = False, at: float = 0.5) -> None:
    """Take it at that share of its width, and move the hand."""
    box = what.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] * at, box["y"] + box["height"] * 0.6
    page.mouse.move(x, y)
    page.mouse.down()
    if alt:
        page.keyboard.down("Alt")
    page.mouse.move(x + by_px / 2, y)
    page.mouse.move(x + by_px, y)
    page.mouse.up()
    if alt:
        page.keyboard.up("Alt")


def test_a_clip_is_moved_trimmed_and_put_back(visit: Visit, site: Web) -> None:
    """By hand it snaps to beats, with Alt it is free; keys nudge it; edges trim; Ctrl-Z undoes what I did last."""
    session = new_session(site, "Ada")
    upload = brought(site, session, "vox.wav", content=wav(8.0))
    page = visit(studio(session), who="Ada")
    vox = clip(page, "vox")
    expect(vox).to_have_attribute("aria-valuetext", "vox, begins at bar 1, 4 bars")
    expect(vox).to_have_attribute("data-wave", "there")
    box = vox.bounding_box()
    assert box is not None
    beat_px = box["width"] / 16
    drag(page, vox, 2.2 * beat_px)
    expect(page.get_by_role("status").filter(has_text="vox, begins at bar 1.3, 4 bars.")).to_have_count(1)
    kept(site, session, upload, offsetSeconds=1)
    drag(page, vox, 0.3 * beat_px, alt=True)
    expect(vox).to_have_attribute("aria-valuetext", re.compile(r"begins at bar 1\.3 and 1\d\d ms"))
    vox.focus()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowLeft")
    expect(vox).to_have_attribute("aria-valuetext", re.compile(r"begins at bar 2\.2 and 1\d\d ms"))
    drag(page, vox, -4.1 * beat_px, at=0.995)
    expect(vox).to_have_attribute("aria-valuetext", re.compile(r"begins at bar 2\.2 .*, (3|\d\.?\d*)"))
    eventually(lambda: list_stems(site, session)[0]["trimEndSeconds"] > 1.5, what="it is trimmed")
    page.keyboard.press("Control+z")
    expect(page.get_by_role("status").filter(has_text="Undone: ")).to_have_count(1)
    kept(site, session, upload, trimEndSeconds=0)


def test_what_is_mixed_is_kept_and_heard_by_all(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """Gain, mute, name and place, in strip and inspector: shown at once, kept, and the same for all in the room."""
    session = new_session(site, "Ada", "Bo")
    upload, begins_s = brought(site, session), 8.0037215
    assert person(site, "Ada").patch(f"/api/upload/{upload}", json={"offsetSeconds": begins_s}).status_code == 200
    ada, bo = visit(studio(session), who="Ada"), join(visit(studio(session), who="Bo"))
    take = stem(ada, "take.wav")
    take.get_by_label("Gain").press("ArrowLeft")
    expect(take.get_by_label("Gain")).to_have_attribute("aria-valuetext", f"{MINUS}0.5 dB")
    take.get_by_role("button", name="Mute").press("Enter")
    expect(take.get_by_role("button", name="Mute", pressed=True)).to_be_visible()
    take.get_by_role("button", name="More").click()
    inspector = ada.get_by_role("dialog", name="take")
    for name, shown in (("Begins at bar", "5.1.01"), ("Begins at", "8.004")):
        expect(inspector.get_by_label(name, exact=True)).to_have_value(shown)
        inspector.get_by_label(name, exact=True).press("Enter")
    inspector.get_by_label("Pan").press("Home")
    expect(inspector.get_by_text("100 % left")).to_be_visible()
    kept(site, session, upload, pan=-1, offsetSeconds=begins_s)  # what nobody has typed is not rounded
    inspector.get_by_label("Begins at bar").fill("7.2")
    inspector.get_by_label("Begins at bar").press("Enter")
    inspector.get_by_label("Fade in").fill("0.25")
    inspector.get_by_label("Fade in").press("Enter")
    inspector.get_by_label("Name").fill("Lead vox")
    inspector.get_by_label("Name").press("Enter")
    wanted = {
        "gainDb": -0.5,
        "pan": -1,
        "muted": True,
        "offsetSeconds": 12.5,
        "fadeInSeconds": 0.25,
        "name": "Lead vox",
    }
    kept(site, session, upload, **wanted)
    expect(ada.get_by_text("take.wav")).to_have_count(1)
    ada.keyboard.press("Escape")
    expect(stem(ada, "Lead vox").get_by_role("button", name="More")).to_be_focused()
    pass_on(site, gateway, "upload.changed")
    expect(stem(bo, "Lead vox").get_by_label("Gain")).to_have_value("-0.5")
    expect(stem(bo, "Lead vox").get_by_role("button", name="Mute", pressed=True)).to_be_visible()
    expect(clip(bo, "Lead vox")).to_have_attribute("aria-valuetext", "Lead vox, begins at bar 7.2, 2 beats")
    expect(bo.get_by_text("take.wav")).to_have_count(1)
    fader = stem(bo, "Lead vox").get_by_label("Gain")
    box = fader.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    bo.mouse.click(x, y)
    set_to = fader.input_value()
    kept(site, session, upload, gainDb=float(set_to))
    bo.mouse.down()
    bo.mouse.move(x + box["width"] / 4, y)
    expect(fader).not_to_have_value(set_to)
    bo.mouse.move(x, y)
    expect(fader).to_have_value(set_to)
    bo.mouse.up()  # away and back: nothing is meant, and nothing is held
    assert person(site, "Ada").patch(f"/api/upload/{upload}", json={"gainDb": 3}).status_code == 200
    pass_on(site, gateway, "upload.changed")
    expect(fader).to_have_value("3")


def test_a_change_that_is_refused_is_put_back(visit: Visit, site: Web) -> None:
    """With the reason; and what is no place in the session is not even asked for."""
    session = new_session(site, "Ada")
    missing = "This file was cut off: 2.0 of 4.0 seconds are there."
    upload = brought(site, session, warning=missing)
    page = visit(studio(session), who="Ada")
    visit.expects("503")
    refusal = {"error": "That does not work right now.", "code": "unavailable"}
    page.route(f"**/api/upload/{upload}", lambda route: route.fulfill(status=503, json=refusal))
    take = stem(page, "take.wav")
    expect(take.get_by_text(missing)).to_be_visible()
    take.get_by_label("Gain").press("ArrowLeft")
    expect(take.get_by_role("alert")).to_have_text("That does not work right now.")
    expect(take.get_by_label("Gain")).to_have_value("0")
    take.get_by_role("button", name="More").click()
    inspector = page.get_by_role("dialog", name="take")
    inspector.get_by_label("Begins at", exact=True).fill("-3")
    inspector.get_by_label("Begins at", exact=True).press("Enter")
    expect(inspector.get_by_role("alert")).to_have_text("A stem begins 0 to 3600 seconds into the session.")
    expect(inspector.get_by_label("Begins at", exact=True)).to_have_value("0")


def test_a_track_whose_sound_does_not_come_says_so_until_it_does(visit: Visit, site: Web) -> None:
    """On its row, calmly: it is nothing that somebody has done. Play pulses while there is nothing at all to hear."""
    session = new_session(site, "Ada")
    brought(site, session, "vox.wav", content=wav(60.0))
    page = visit(studio(session), who="Ada")
    visit.expects("503")
    refusal = {"error": "That does not work right now.", "code": "unavailable"}
    segments = "**/api/upload/*/segments/*"
    page.route(segments, lambda route: route.fulfill(status=503, json=refusal))
    worker = SegmentWorker(SegmentQueue(site.database), site.stores.storage, DirectCutting)
    while site.do(worker.make_next()):
        pass  # those of other tests come first
    page.get_by_role("button", name="Play", exact=True).click()
    vox = stem(page, "vox.wav")
    expect(vox.get_by_role("status")).to_have_text("You do not hear all of it. That does not work right now.")
    expect(vox.get_by_role("alert")).to_have_count(0)
    expect(page.locator("#play")).to_have_css("animation-name", "wait")
    page.unroute(segments)
    expect(vox.get_by_role("status")).to_have_count(0)
    expect(page.locator("#play")).to_have_css("animation-name", "none")


def test_takes_order_markers_and_comments(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """One take of a track is heard; tracks change places; what is named and said at a place stands in the ruler."""
    session = new_session(site, "Ada", "Bo")
    first, drums = brought(site, session, "vox.wav"), brought(site, session, "drums.wav")
    second = brought(site, session, "vox two.wav")
    ada = person(site, "Ada")
    assert ada.patch(f"/api/upload/{second}", json={"takeOf": first}).status_code == 200
    page = visit(studio(session), who="Ada")
    expect(stems(page)).to_have_count(2)
    vox = page.get_by_role("listitem").filter(has_text="take 1 of 2")
    vox.get_by_role("button", name="More").click()
    page.get_by_role("dialog", name="vox").get_by_role("radio", name="Take 2").check()
    kept(site, session, second, chosen=True)
    kept(site, session, first, chosen=False)
    expect(stems(page).first).to_contain_text("take 2 of 2")
    expect(page.get_by_text("vox two.wav")).to_have_count(1)
    page.keyboard.press("Escape")
    stem(page, "drums.wav").get_by_role("button", name="Mute").press("Alt+ArrowUp")
    expect(stems(page).first).to_contain_text("drums.wav")
    expect(stem(page, "drums.wav").get_by_role("button", name="Mute")).to_be_focused()
    eventually(lambda: in_order(site, session)[0] == drums, what="the order is kept")
    page.get_by_role("button", name="To the start").focus()
    page.keyboard.press("m")
    form = page.get_by_role("dialog", name="New marker at bar 1")
    form.get_by_label("Name").fill("Chorus")
    form.get_by_label("Ends at bar").fill("9")
    page.keyboard.press("Enter")
    chorus = page.get_by_role("button", name="Chorus, section from bar 1 to 9")
    expect(chorus).to_be_visible()
    chorus.press("Shift+ArrowRight")
    expect(page.get_by_role("button", name="Chorus, section from bar 2 to 10")).to_be_focused()
    markers = f"/api/sessions/{session}/markers"
    eventually(lambda: ada.get(markers).json()["markers"][0]["endBeat"] == 36, what="the section is moved")
    page.get_by_role("button", name=re.compile("^Chorus")).press("F2")
    (marker,) = ada.get(markers).json()["markers"]
    assert ada.patch(f"{markers}/{marker['id']}", json={"endBeat": 44}).status_code == 200
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # which looks at the song
    expect(page.get_by_role("button", name="Chorus, section from bar 2 to 12")).to_be_visible()
    page.get_by_role("dialog", name="Marker at bar 2").get_by_label("Name").fill("Refrain")
    page.keyboard.press("Enter")
    refrain = page.get_by_role("button", name="Refrain, section from bar 2 to 12")
    expect(refrain).to_be_visible()  # its end is where somebody else has put it meanwhile
    refrain.press("Delete")
    expect(refrain).to_have_count(0)


def test_what_is_written_at_a_place_is_sent_once(visit: Visit, site: Web) -> None:
    """However often Enter is pressed; the answer closes nothing that was opened since, and says what was done."""
    session = new_session(site, "Ada")
    page = visit(studio(session), who="Ada")
    routes: list[Route] = []
    page.route("**/comments", lambda route: routes.append(route))
    form = page.locator(".place-form")
    text = form.get_by_label("Comment")
    page.get_by_role("button", name="Comment here").click()
    text.fill("Too loud here")
    with page.expect_request("**/comments"):
        for _ in range(2):
            text.press("Control+Enter")
    page.get_by_role("button", name="Comment here").click()
    text.fill("And too late")
    with page.expect_request("**/comments"):
        text.press("Control+Enter")
    expect(form).to_be_visible()
    first, second = routes
    first.continue_()
    expect(page.get_by_role("button", name="Comment by Ada at bar 1: Too loud here")).to_be_visible()
    expect(text).to_have_value("And too late")
    expect(form).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    visit.expects("ERR_FAILED")
    second.abort()
    expect(page.locator("#stems-problem")).to_have_text(UNREACHABLE)
    page.keyboard.press("m")
    form.get_by_label("Name").fill("Bridge")
    page.keyboard.press("Enter")
    page.get_by_role("button", name=re.compile("^Bridge")).press("F2")
    form.get_by_role("button", name="Remove").click()
    expect(page.locator("#stems-news")).to_have_text("The marker is removed.")
    expect(form).to_be_hidden()


def in_order(site: Web, session: str) -> list[str]:
    """The ids of what is heard, from top to bottom."""
    tracks = [upload for upload in list_stems(site, session) if upload["chosen"]]
    return [upload["id"] for upload in sorted(tracks, key=lambda upload: upload["position"])]


def test_removing_asks_first(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """Kept by Escape, gone by a second press, also for the others; whoever may not remove it is not offered to."""
    visit.expects("404")  # what Bo's page may ask about it before it is told
    session = new_session(site, "Ada", "Bo")
    brought(site, session)
    bass = brought(site, session, "bass.wav")
    ada, bo = visit(studio(session), who="Ada"), join(visit(studio(session), who="Bo"))
    for page in (ada, bo):
        stem(page, "take.wav").get_by_role("button", name="More").click()
        expect(page.get_by_role("dialog", name="take")).to_be_visible()
    expect(bo.get_by_role("button", name="Remove", exact=True)).to_have_count(0)
    remove = ada.get_by_role("dialog", name="take").get_by_role("button", name="Remove", exact=True)
    remove.click()
    expect(ada.get_by_role("button", name="Keep it").filter(visible=True)).to_be_focused()
    ada.keyboard.press("Escape")
    expect(remove).to_be_focused()
    remove.click()
    sure = ada.get_by_role("button", name="Remove it").filter(visible=True)
    stem(ada, "bass.wav").get_by_role("button", name="More").click()  # which nobody has asked to remove
    of_bass = ada.get_by_role("dialog", name="bass")
    expect(of_bass).to_be_visible()
    expect(sure).to_have_count(0)
    stem(ada, "take.wav").get_by_role("button", name="More").click()
    remove.click()
    sure.click()
    expect(ada.get_by_text("take.wav")).to_have_count(0)
    expect(stem(bo, "take.wav")).to_be_visible()
    stem(ada, "bass.wav").get_by_role("button", name="More").click()
    expect(of_bass).to_be_visible()
    expect(sure).to_have_count(0)
    of_bass.get_by_label("Gain").fill("-3")
    of_bass.get_by_label("Gain").press("Enter")
    kept(site, session, bass, gainDb=-3)
    pass_on(site, gateway, "upload.removed")
    expect(bo.get_by_text("take.wav")).to_have_count(0)
    of_bass.get_by_role("button", name="Remove", exact=True).click()
    sure.click()
    expect(ada.get_by_text("Nothing to play along to yet.")).to_be_visible()
    assert list_stems(site, session) == []


def test_the_room_is_told_of_what_others_bring(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """A line in the talk, a track; whoever brought it sees it once; what was missed is there after coming back."""
    visit.expects("404")  # what is being asked about a file when it goes
    session = new_session(site, "Ada", "Bo", "Cy")
    gone = brought(site, session, "old.wav")
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
    brought(site, session, "bass.wav", who="Cy")  # who is not in the room
    pass_on(site, gateway, "upload.added")
    expect(log(ada)).to_contain_text("Cy added a file.")
    brought(site, session, "new.wav")
    visit.expects("404")  # nobody tells the pages, and they may ask for more of it
    person(site, "Ada").delete(f"/api/upload/{gone}")
    gateway.do(gateway.fake.close, session, 1001)
    expect(log(bo)).to_contain_text("You are back.")
    expect(stem(bo, "new.wav")).to_be_visible()
    expect(stem(bo, "old.wav")).to_have_count(0)


def test_a_picture_and_a_name_like_markup_are_what_they_are(visit: Visit, site: Web) -> None:
    """A picture can be downloaded and removed, and has no place among the tracks; a name is shown as it is."""
    session = new_session(site, "Ada")
    name = "<img src=x onerror=alert(1)>.wav"
    brought(site, session, name)
    brought(site, session, "cover.png", content=png())
    page = visit(studio(session), who="Ada")
    expect(stem(page, name)).to_be_visible()
    expect(stem(page, "cover.png").get_by_text("picture ·")).to_be_visible()
    expect(stem(page, "cover.png").get_by_role("slider")).to_have_count(0)
    with page.expect_download() as download:
        stem(page, "cover.png").get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "cover.png"
    assert download.value.path().read_bytes() == png()


def test_a_session_that_is_deleted_takes_its_tracks_along(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """Nothing is left to play, and nothing more is sent."""
    session = new_session(site, "Ada", "Bo")
    brought(site, session)
    page = join(visit(studio(session), who="Bo"))
    with held(page, "**/api/upload/tus"):
        add_files(page, late_wav=wav())
        expect(sendings(page)).to_have_count(1)
        gateway.do(gateway.fake.tell, session, {"type": "session.deleted", "payload": {"sessionId": session}})
        expect(page.get_by_text("This session was deleted.")).to_be_visible()
        for name in ("take.wav", "late.wav"):
            expect(page.get_by_text(name)).to_have_count(0)
