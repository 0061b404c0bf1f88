"""Recording over a song, in a real browser whose microphone beeps: a take lands where it was played, and survives."""

import io
from typing import Any, Final

import pytest
import soundfile
from playwright.sync_api import Page, expect

from tests.cli.running import eventually
from tests.http.browsing import CHROMIUM, Visit, new_session, person
from tests.http.pages.stems.stage import list_stems, studio
from tests.http.running import Web

STAGE: Final = """async ({ sessionId, memberId }) => {
    const base = document.querySelector("script[src$='studio.js']").src;
    const { Recording } = await import(new URL("panels/recording.js", base));
    const { offerUnfinished } = await import(new URL("panels/unfinished.js", base));
    const host = document.createElement("div");
    document.getElementById("main").prepend(host);
    let context = null;
    let ahead_s = null;
    const conductor = Object.assign(new EventTarget(), {
        isPlaying: false,
        loop: null,
        position: () => ({ seconds: 4 }),
        play: ({ countInBars }) => {
            conductor.isPlaying = true;
            ahead_s = 4 - (context.currentTime + 0.2 + 0.5 * countInBars);
        },
        stop: () => [conductor.isPlaying, ahead_s] = [false, null],
    });
    const player = {
        openContext: async () => {
            context ??= new AudioContext({ sampleRate: 48000 });
            await context.resume();
            return context;
        },
        positionAt: (time_s) => (ahead_s === null ? null : time_s + ahead_s),
    };
    const song = Object.assign(new EventTarget(), { tracks: [], put: (upload) => (window.landed = upload) });
    const page = { sessionId, memberId, rights: { mayChange: true }, song, conductor, player, timeline: null, host };
    window.shared = [];
    const share = (key, value) => window.shared.push([key, value]);
    window.recording = new Recording({ ...page, share, lost: () => false });
    await offerUnfinished({ host, sessionId, memberId, put: song.put, lost: () => false });
}"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


def staged(page: Page, session: str, member: str) -> Page:
    """The page, with what records on it."""
    page.evaluate(STAGE, {"sessionId": session, "memberId": member})
    return page


def strip(page: Page) -> Any:
    return page.get_by_role("region", name="Record", exact=True)


def record(page: Page, seconds: float) -> None:
    """Press Record, and wait until so much is recorded."""
    strip(page).get_by_role("button", name="Record", exact=True).click()
    expect(strip(page).get_by_role("status").first).to_have_text("Recording")
    page.wait_for_function(
        "(seconds) => window.shared.some(([, value]) => value?.seconds >= seconds)", arg=seconds, timeout=20_000
    )


def test_a_take_lands_where_it_was_played_and_one_that_was_cut_off_can_be_kept(visit: Visit, site: Web) -> None:
    """The browser asks after the page has said why; the tab goes in the middle of the second take."""
    session = new_session(site, "Ada")
    ada = str(person(site, "Ada").get("/api/auth/session").json()["user"]["id"])
    page = staged(visit(studio(session), who="Ada"), session, ada)
    page.evaluate("recording.toggle()")
    expect(strip(page)).to_contain_text("the browser asks whether the studio may use your microphone")
    strip(page).get_by_role("button", name="Use the microphone").click()
    expect(strip(page).get_by_role("status").first).to_have_text("Ready. Press Record, or the key R.")
    record(page, 1)
    page.evaluate("recording.toggle()")
    expect(strip(page).get_by_role("status").first).to_contain_text("Saved: Recording 1")
    (take,) = list_stems(site, session)
    assert take["offsetSeconds"] == 4
    answer = person(site, "Ada").get(f"/api/upload/{take['id']}/content")
    sound, rate = soundfile.read(io.BytesIO(answer.content))
    seconds = page.evaluate("landed") and len(sound) / rate
    told = page.evaluate("window.shared")
    assert told[-1] == [f"recording.{ada}", None]
    assert 1 <= told[-2][1]["seconds"] <= seconds < 6
    assert abs(sound).max() > 0.01  # it beeps
    assert soundfile.info(io.BytesIO(answer.content)).subtype == "PCM_24"

    record(page, 3)
    page.close(run_before_unload=False)
    again = visit.reopened(page, studio(session))
    staged(again, session, ada)
    offer = again.get_by_role("region", name="Unfinished recording")
    expect(offer).to_contain_text("A recording of 0:02 was not finished: Recording 1.")
    offer.get_by_role("button", name="Keep it").click()
    expect(offer).to_contain_text("Saved: Recording 1.")
    eventually(lambda: len(list_stems(site, session)) == 2, what="it has landed")
    assert list_stems(site, session)[0]["fileSize"] == 44 + 2 * 48_000 * 3
    assert again.evaluate("localStorage.getItem('omnisonic.recordings')") is None
