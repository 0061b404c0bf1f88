"""What the page plays is what the mixdown renders."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Route

from omnisonic.http.core.static_files import STATIC_DIR
from tests.http.browsing import CHROMIUM
from tests.http.pages.sound.random_sessions import random_session

SESSIONS: Final = 20
SITE: Final = "http://studio.test"
CLOSE_DB: Final = -75.0
"""Better than the promised -60: what is left is the rounding of 24 bits and of floats."""
COMPARE: Final = """async ([tracks, frames]) => {
    const { render } = await import("/static/sound/render.js");
    const decoder = new OfflineAudioContext(2, 1, 48000);
    const bytes = async (path) => (await fetch(path)).arrayBuffer();
    for (const track of tracks) {
        const numbers = [...Array(track.segments.count).keys()];
        const decode = async (number) => decoder.decodeAudioData(await bytes(`/segments/${track.id}/${number}`));
        track.buffers = await Promise.all(numbers.map(decode));
    }
    const heard = await render(tracks, frames);
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

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


class Stage:
    """A page without a studio: the static files, and what is put into `files`."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.files = dict[str, bytes]()
        page.route(re.compile(f"^{SITE}/"), self._answer)
        page.goto(f"{SITE}/")

    def _answer(self, route: Route) -> None:
        path = route.request.url.removeprefix(SITE).partition("?")[0]
        if path.startswith("/static/"):
            route.fulfill(
                body=(STATIC_DIR / path.removeprefix("/static/")).read_bytes(), content_type="text/javascript"
            )
        else:
            route.fulfill(body=self.files.get(path, b"<!doctype html><button>Play</button>"), content_type="text/html")


@pytest.fixture
def stage(browser: Browser) -> Iterator[Stage]:
    page = browser.new_page()
    yield Stage(page)
    page.close()


def test_what_is_played_is_what_the_mixdown_renders(stage: Stage) -> None:
    """Twenty sessions by chance: formats, rates, places, gains, pans, muted stems, seams between segments."""
    apart = {}
    for seed in range(SESSIONS):
        session = random_session(seed)
        stage.files = {f"/segments/{name}": data for name, data in session.segments.items()}
        stage.files["/mixdown"] = session.mixdown.astype("<f4").tobytes()
        found: dict[str, Any] = stage.page.evaluate(COMPARE, [session.tracks, len(session.mixdown)])
        assert 0.001 < found["highest"] < 0.8
        apart[seed] = round(20 * float(np.log10(found["worst"] / found["highest"])), 1)
    assert max(apart.values()) < CLOSE_DB, json.dumps(apart)
