"""What the page plays is what the mixdown renders."""

import json
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pytest
from playwright.sync_api import Browser

from tests.http.browsing import CHROMIUM
from tests.http.pages.sound.random_sessions import random_session, session_of
from tests.http.pages.sound.stage import Stage, open_stage

SESSIONS: Final = 20
IN_TIME_MS: Final = 10
CLOSE_DB: Final = -70.0
"""Better than the promised -60: what is left is the rounding of 24 bits and of floats."""
COMPARE: Final = """async ([tracks, positionFrame, frames]) => {
    const { render } = await import("/static/sound/render.js");
    const decoder = new OfflineAudioContext(2, 1, 48000);
    const bytes = async (path) => (await fetch(path)).arrayBuffer();
    for (const track of tracks) {
        const numbers = [...Array(track.segments.count).keys()];
        const decode = async (number) => decoder.decodeAudioData(await bytes(`/segments/${track.id}/${number}`));
        track.buffers = await Promise.all(numbers.map(decode));
    }
    const heard = await render(tracks, frames, { positionFrame });
    const wanted = new Float32Array(await bytes("/mixdown"));
    let [worst, highest] = [0, 0];
    for (const side of [0, 1]) {
        for (const [frame, sample] of heard.getChannelData(side).entries()) {
            worst = Math.max(worst, Math.abs(sample - wanted[2 * frame + side]));
            highest = Math.max(highest, Math.abs(sample));
        }
    }
    return { worst, highest };
}"""

PLAYER: Final = """async (tracks) => {
    const { Player } = await import("/static/sound/player.js");
    window.player = new Player();
    window.told = [];
    for (const type of ["state", "problem"]) {
        player.addEventListener(type, ({ detail }) => told.push(detail.state ?? `${detail.uploadId} ${detail.code}`));
    }
    player.setTracks(tracks);
    document.querySelector("button").onclick = () => player.start({ position_s: 9.5 });
    window.heard = (id) => player.levelOf(id).peak > -60;
}"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


@pytest.fixture
def stage(browser: Browser) -> Iterator[Stage]:
    with open_stage(browser) as stage:
        yield stage


def test_what_is_played_is_what_the_mixdown_renders(stage: Stage) -> None:
    """Twenty sessions by chance: formats, rates, places, trims, fades, takes, gains, pans, seams, and the limiter."""
    apart = {}
    for seed in range(SESSIONS):
        session = random_session(seed)
        stage.files = {f"/segments/{name}": data for name, data in session.segments.items()}
        begin = int(np.flatnonzero(session.mixdown.any(axis=1))[0])
        wanted = session.mixdown[begin:].astype("<f4")
        stage.files["/mixdown"] = wanted.tobytes()
        found: dict[str, Any] = stage.page.evaluate(COMPARE, [session.tracks, begin, len(wanted)])
        assert 0.001 < found["highest"] < 0.9
        apart[seed] = round(20 * float(np.log10(found["worst"] / found["highest"])), 1)
    assert max(apart.values()) < CLOSE_DB, json.dumps(apart)


def test_a_session_is_played_in_time_whatever_becomes_of_one_stem(stage: Stage) -> None:
    """From the press on: one stem comes late and falls in, one is broken; places, loops, mute; and the end of it."""
    page = stage.page
    tracks = stage.put(session_of(good=11.0, late=11.0, broken=11.0))
    stage.files["/api/upload/broken/segments/0"] = stage.files["/api/upload/broken/segments/1"] = b"no sound"
    stage.refusals["/api/upload/late/segments/0"] = [(409, "segments_pending")] * 100
    page.evaluate(PLAYER, tracks)
    page.get_by_role("button").click()
    page.wait_for_function("heard('good')", polling=10)
    found = page.evaluate("[heard('late'), heard('broken'), player.lateTrackIds.includes('late')]")
    assert found == [False, False, True]
    stage.refusals.clear()
    page.wait_for_function("heard('late')", polling=50)
    page.wait_for_function("told.includes('broken undecodable')", polling=50)
    assert page.evaluate("player.state") == "playing"
    assert abs(page.evaluate("player.error_ms")) < IN_TIME_MS
    # In the past: where it is by now.
    page.evaluate("window.begun = performance.now() - 2000; player.start({ position_s: 1, atPerformance_ms: begun })")
    page.wait_for_function("player.position_s < 9", polling=10)
    assert abs(page.evaluate("1000 * (player.position_s - 1) - (performance.now() - begun)")) < IN_TIME_MS
    page.evaluate("player.setLoop({ begin_s: 2, end_s: player.position_s + 0.3 })")
    page.wait_for_function("player.position_s < 2.5 && heard('good')", polling=10)
    assert abs(page.evaluate("player.error_ms")) < IN_TIME_MS
    tracks[0]["muted"] = True
    page.evaluate("(tracks) => player.setTracks(tracks)", tracks)
    page.wait_for_function("!heard('good') && heard('late')", polling=10)
    page.evaluate("player.setLoop(null), player.start({ position_s: 10.8 })")
    page.wait_for_function("player.state === 'ended'", polling=50)
    page.evaluate("player.stop()")
    page.wait_for_function("player.masterLevel().peak === -Infinity", polling=50)
    assert page.evaluate("[player.position_s, player.state]") == [None, "stopped"]
    states = [line for line in page.evaluate("told") if " " not in line]
    assert states[:2] == ["starting", "playing"]


def test_who_is_signed_out_hears_nothing_more_and_is_told(stage: Stage) -> None:
    """Whatever plays stops."""
    page = stage.page
    tracks = stage.put(session_of(good=11.0))
    stage.refusals["/api/upload/good/segments/1"] = [(401, "not_signed_in")]
    page.evaluate(PLAYER, tracks)
    page.get_by_role("button").click()
    page.wait_for_function("told.includes('null not_signed_in')", polling=20)
    assert page.evaluate("player.state") == "stopped"
