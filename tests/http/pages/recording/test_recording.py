"""Recording over a song, in a real browser whose microphone beeps: a take lands where it was played, and survives."""

import io
import re
import time
from typing import Final

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from playwright.sync_api import Locator, Page, Route, expect

from omnisonic.studio.segments.segment_queue import SegmentQueue
from omnisonic.studio.segments.segment_worker import SegmentWorker
from tests.cli.running import eventually
from tests.http.browsing import CHROMIUM, Visit, at_least, crash, new_session, person
from tests.http.pages.timeline.stage import brought, list_stems, studio
from tests.http.running import Web
from tests.studio.mixdown.sounds import Sound, file_of, noise
from tests.studio.segments.bench import DirectCutting

RATE_HZ: Final = 48_000
FRAME_BYTES: Final = 3
PLACED_S: Final = 0.003
"""How far from what was heard a take may lie, once the round trip was measured."""
LOOPBACK: Final = """() => {
    const { connect } = AudioNode.prototype;
    let cable = null;
    AudioNode.prototype.connect = function (to, ...more) {
        if (to === this.context.destination) {
            cable ??= new DelayNode(this.context, { delayTime: 0.08 });
            connect.call(this, cable);
        }
        return connect.call(this, to, ...more);
    };
    window.plug = () => (navigator.mediaDevices.getUserMedia = async () => {
        const end = cable.context.createMediaStreamDestination();
        connect.call(cable, end);
        return end.stream;
    });
}"""
"""A cable from what the page plays to its microphone, 80 ms long, once it is plugged in."""

BAND: Final = noise(4.0, channels=1, level=0.2)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


def strip(page: Page) -> Locator:
    return page.get_by_role("region", name="Record", exact=True)


def status(page: Page) -> Locator:
    return strip(page).get_by_role("status").first


STOPS_IN_THE_THIRD_PASS: Final = """
new MutationObserver((_, observer) => {
  if (!document.body.innerText.includes("Recording, take 3")) return;
  const growing = document.querySelector(".clip");
  if (!(growing?.style.getPropertyValue("--length") > 0)) return;
  observer.disconnect();
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "r", bubbles: true }));
}).observe(document.body, { subtree: true, childList: true, characterData: true, attributeFilter: ["style"] });
"""
"""Press R when half a second of the third pass is drawn, however late this program would be.

Of a pass that is shorter than a tenth of a second, nothing is said.
"""

NOTES_LENGTHS: Final = """
window.lengths = {};
const strip = document.querySelector(".recording");
new MutationObserver(() => {
  lengths[strip.querySelector("[role=status]").textContent] ??= strip.querySelector("[aria-label=Length]").textContent;
}).observe(strip, { subtree: true, childList: true, characterData: true });
"""
"""Note which length is shown with each new word about the recording, however short that is."""


def record(page: Page, seconds: int) -> None:
    """Press R, and wait until the recording is so long."""
    page.keyboard.press("r")
    expect(status(page)).to_have_text("Recording")
    expect(strip(page).get_by_label("Length")).to_have_text(at_least(seconds))


def test_the_strip_does_not_come_before_its_stylesheet(visit: Visit, site: Web) -> None:
    """What is pressed there would move under the hand. When it cannot be loaded that is said, and R tries again."""
    page = visit(studio(new_session(site, "Ada")), who="Ada")
    visit.expects("ERR_FAILED")
    held: list[Route] = []
    page.route("**/recording.css", lambda route: held.append(route))
    for ending in ("fails", "is answered"):
        with page.expect_request("**/recording.css"):
            page.keyboard.press("r")
        page.evaluate("new Promise(requestAnimationFrame)")
        expect(strip(page)).to_have_count(0)
        if ending == "fails":
            held.pop().abort()
            expect(page.get_by_text("This part of the page could not be loaded.")).to_be_visible()
        else:
            held.pop().continue_()
    expect(strip(page).get_by_role("button", name="Use the microphone")).to_be_visible()
    assert page.evaluate("[...document.styleSheets].some(({ href }) => href.endsWith('/recording.css'))")


def test_a_take_lands_where_it_was_played_and_one_that_was_cut_off_can_be_kept(visit: Visit, site: Web) -> None:
    """The browser asks after the page has said why. The tab goes in the middle of the second take."""
    session = new_session(site, "Ada")
    band = brought(site, session, "band.wav", content=file_of(BAND, subtype="PCM_16").read())
    site.do(SegmentWorker(SegmentQueue(site.database), site.stores.storage, DirectCutting).make_next())
    page = visit(studio(session), who="Ada")
    page.evaluate(LOOPBACK)
    page.keyboard.press("r")
    expect(strip(page)).to_contain_text("the browser asks whether the studio may use your microphone")
    strip(page).get_by_role("button", name="Use the microphone").click()
    expect(status(page)).to_have_text("Ready. Press Record, or the key R.")
    began_s = time.monotonic()
    record(page, 2)
    page.keyboard.press("r")
    expect(status(page)).to_contain_text("Saved: Recording 2")
    passed_s = time.monotonic() - began_s
    (take,) = [upload for upload in list_stems(site, session) if upload["id"] != band]
    assert (take["name"], take["offsetSeconds"], take["takeOf"]) == ("Recording 2", 0, take["id"])
    content = person(site, "Ada").get(f"/api/upload/{take['id']}/content").content
    sound, rate = soundfile.read(io.BytesIO(content))
    assert (rate, soundfile.info(io.BytesIO(content)).subtype) == (RATE_HZ, "PCM_24")
    assert 2 <= len(sound) / rate < passed_s
    assert abs(sound).max() > 0.01  # it beeps

    # The next one is another take of it, over the song again, which the tab does not live to see.
    page.evaluate("plug()")
    strip(page).get_by_text("Microphone and timing").click()
    strip(page).get_by_label("Microphone").select_option(index=1)
    expect(status(page)).to_contain_text("Ready")
    strip(page).get_by_role("button", name="Measure").click()
    expect(strip(page)).to_contain_text("measured on this device")
    strip(page).get_by_label("Into").select_option("New take of Recording 2")
    strip(page).get_by_label("Count in one bar").uncheck()
    page.get_by_role("button", name="To the start").click()
    page.evaluate(NOTES_LENGTHS)
    strip(page).get_by_role("button", name="Record", exact=True).click()
    expect(strip(page).get_by_label("Length")).to_have_text(at_least(3))
    assert page.evaluate("lengths['Starting…']") == "0:00"  # not that of the take before
    crash(page)
    offer = visit.reopened(page, studio(session)).get_by_role("region", name="Unfinished recording")
    expect(offer).to_contain_text(re.compile("A recording of 0:[0-9]{2} was not finished: Recording 2 take 2."))
    kept_s = int(offer.inner_text().partition("0:")[2][:2])
    assert kept_s >= 2
    assert kept_s % 2 == 0  # whole pieces; a slow machine may have kept more of them before the tab was gone
    offer.get_by_role("button", name="Keep it").click()
    expect(offer).to_contain_text("Saved: Recording 2 take 2.")
    eventually(lambda: len(list_stems(site, session)) == 3, what="it has landed")
    rest = list_stems(site, session)[0]
    assert rest["fileSize"] == 44 + kept_s * RATE_HZ * FRAME_BYTES
    assert (rest["takeOf"], rest["chosen"], rest["offsetSeconds"]) == (take["id"], True, 0)
    content = person(site, "Ada").get(f"/api/upload/{rest['id']}/content").content
    assert abs(lag_s(np.asarray(soundfile.read(io.BytesIO(content))[0], np.float64))) < PLACED_S
    assert visit.pages[-1].evaluate("localStorage.getItem('omnisonic.recordings')") is None


def test_each_pass_of_a_loop_is_a_take_as_long_as_the_loop(visit: Visit, site: Web) -> None:
    """To the sample. A short rest of a pass is dropped, the newest take is heard, and what was cut off can be kept."""
    session = new_session(site, "Ada")
    tempo = 229.9
    assert person(site, "Ada").patch(f"/api/sessions/{session}", json={"tempoBpm": tempo}).status_code == 200
    loop_frames = int(16 * 60 / tempo * RATE_HZ + 0.5)
    assert loop_frames % 2 == 1  # a chunk of RIFF then has a byte that is no sound
    page = visit(studio(session), who="Ada")
    page.keyboard.press("l")
    page.keyboard.press("r")
    strip(page).get_by_role("button", name="Use the microphone").click()
    expect(status(page)).to_have_text("Ready. Press Record, or the key R.")
    expect(strip(page)).to_contain_text("The loop is on: each pass becomes a take.")
    strip(page).get_by_label("Count in one bar").uncheck()
    page.evaluate(STOPS_IN_THE_THIRD_PASS)
    page.keyboard.press("r")
    expect(status(page)).to_have_text(
        "Saved: 2 takes. Recording 1 take 2 is heard. The last pass was shorter than two seconds. It is not kept."
    )
    newest, oldest = list_stems(site, session)
    assert {newest["takeOf"], oldest["takeOf"]} == {oldest["id"]}
    assert [(take["fileName"], take["offsetSeconds"], take["chosen"]) for take in (newest, oldest)] == [
        ("Recording 1 take 2.wav", 0, True),
        ("Recording 1.wav", 0, False),
    ]
    assert [frames_of(site, take["id"]) for take in (newest, oldest)] == [loop_frames, loop_frames]

    # Undo takes back which one is heard.
    page.keyboard.press("Control+z")
    eventually(lambda: [take["chosen"] for take in list_stems(site, session)] == [False, True], what="the undo")

    # The tab goes in the third pass of the next recording: all of it is offered at once, and kept in its order.
    page.get_by_role("button", name="To the start").click()
    strip(page).get_by_role("button", name="Record", exact=True).click()
    expect(status(page)).to_have_text(re.compile("^Recording, take [3-9]$"))
    expect(strip(page).get_by_label("Length")).to_have_text(at_least(3))
    crash(page)
    offer = visit.reopened(page, studio(session)).get_by_role("region", name="Unfinished recording")
    expect(offer).to_contain_text(
        re.compile(r"A recording of ([3-9]) takes \(0:\d\d\) was not finished: Recording 2 to Recording 2 take \1\.")
    )
    offer.get_by_role("button", name="Keep it").click()
    expect(offer).to_contain_text(re.compile(r"Saved: Recording 2 to Recording 2 take [3-9]\."))
    *earlier, first = takes = list_stems(site, session)[:-2]
    assert len(earlier) >= 2  # a slow machine may have begun more passes before the tab was gone
    assert {take["takeOf"] for take in takes} == {first["id"]}
    assert [take["chosen"] for take in takes] == [True] + [False] * len(earlier)
    last, *whole = [frames_of(site, take["id"]) for take in takes]
    assert whole == [loop_frames] * len(earlier)
    assert last in {2 * RATE_HZ, 4 * RATE_HZ, loop_frames}


def frames_of(site: Web, upload: str) -> int:
    """How many frames its file has."""
    content = person(site, "Ada").get(f"/api/upload/{upload}/content").content
    return int(soundfile.info(io.BytesIO(content)).frames)


def lag_s(heard: Sound) -> float:
    """How much later the band is in `heard` than in its own file, in seconds."""
    whole = np.zeros(2 ** int(np.ceil(np.log2(2 * len(BAND)))))
    spectra = [np.fft.rfft(np.concatenate([sound, whole[len(sound) :]])) for sound in (heard, BAND[:, 0])]
    matches = np.fft.irfft(spectra[0] * np.conj(spectra[1]))
    best = int(np.argmax(np.abs(matches)))
    return (best if best < len(whole) / 2 else best - len(whole)) / RATE_HZ
