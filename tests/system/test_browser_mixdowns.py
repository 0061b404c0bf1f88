"""From an upload to a mixdown taken home, in browsers at the real studio: every sample of it is what theory says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, expect

from omnisonic.studio.mixdown import RATE_HZ
from tests.cli.running import eventually
from tests.http.browsing import CHROMIUM, add_files, log, open_panel, running_browser, stem
from tests.http.conftest import deadline
from tests.http.pages.mixdowns.stage import fact, is_received, mixdowns, newest, render, status
from tests.studio.mixdown.sounds import Sound, file_of, sine
from tests.system.studio import Studio, running_studio
from tests.system.test_browser import Visitors, more_time

__all__ = ["deadline", "more_time"]

UPLOADED_HZ: Final = 44_100
TONE_HZ: Final = 997.0
TONE_DB: Final = -6.0
TURNED_DOWN_DB: Final = -0.5
"""One step of the fader."""
LASTS_S: Final = 3.0
BEGINS_S: Final = 0.5
EDGE_S: Final = 0.01
"""Where it begins and ends a resampler rings."""
MADE_MS: Final = 60_000

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with running_studio("serve", tmp_path_factory.mktemp("mixdowns")) as studio:
        yield studio


@pytest.fixture
def visitors(browser: Browser, served: Studio) -> Iterator[Visitors]:
    visitors = Visitors(browser, f"http://localhost:{served.visitors.web_port}")
    yield visitors
    for page in visitors.pages:
        page.context.close()
    assert visitors.complaints == []


def tone() -> bytes:
    """A steady tone in stereo, as a 24-bit WAV at another rate than the mix has."""
    return file_of(sine(TONE_HZ, LASTS_S, rate=UPLOADED_HZ, level_db=TONE_DB, channels=2), UPLOADED_HZ).read()


def fitted(side: Sound) -> tuple[float, float]:
    """The amplitude of a tone of `TONE_HZ` in one channel, and all that is not that tone (root mean square)."""
    phases = 2 * np.pi * TONE_HZ * np.arange(len(side)) / RATE_HZ
    waves = np.column_stack([np.sin(phases), np.cos(phases)])
    parts, *_ = np.linalg.lstsq(waves, side, rcond=None)
    return float(np.hypot(*parts)), float(np.sqrt(np.mean((side - waves @ parts) ** 2)))


def taken_home(page: Page) -> Path:
    """The file of the newest, as the browser has saved it."""
    with page.expect_download() as download:
        newest(page).get_by_role("link", name="Download").click()
    return download.value.path()


def decibels(factor: float) -> float:
    return float(20 * np.log10(factor))


def test_what_is_uploaded_is_mixed_and_taken_home(visitors: Visitors) -> None:
    """A tone, turned down and put later in the page: queued, made, heard, downloaded, and each sample is right."""
    ada, bo = visitors.band("Ada", "Bo", "Tone jam")
    add_files(ada, tone_wav=tone())
    take = stem(ada, "tone.wav")
    take.get_by_label("Gain").press("ArrowLeft")
    for page in (ada, bo):
        stem(page, "tone.wav").get_by_role("button", name="More").click()
    ada.get_by_label("Begins at", exact=True).fill(str(BEGINS_S))
    with ada.expect_response(lambda answer: answer.request.method == "PATCH" and answer.ok):
        ada.get_by_label("Begins at", exact=True).press("Enter")
    expect(bo.get_by_label("Begins at", exact=True)).to_have_value(str(BEGINS_S))
    for page in (ada, bo):
        page.keyboard.press("Escape")
        open_panel(page, "Mixdowns")
    render(ada).click()
    expect(ada.get_by_text("Export queued")).to_be_visible()
    for page in (ada, bo):
        expect(status(page)).to_have_text("Status: completed", timeout=MADE_MS)
    expect(log(bo)).to_contain_text("Ada asked for a mixdown.")
    expect(fact(newest(bo), "Length")).to_have_text("0:03")
    newest(bo).get_by_role("button", name="Play").click()
    eventually(lambda: is_received(newest(bo).locator("audio")), what="its time moves")
    path = taken_home(ada)
    about = soundfile.info(path)
    assert (about.format, about.subtype, about.samplerate, about.channels) == ("WAV", "PCM_24", RATE_HZ, 2)
    sound = np.asarray(soundfile.read(path)[0], np.float64)
    assert len(sound) == round((BEGINS_S + LASTS_S) * RATE_HZ)
    begin, edge = round(BEGINS_S * RATE_HZ), round(EDGE_S * RATE_HZ)
    for side in sound.T:
        assert abs(side[: begin - edge]).max() < 1e-6
        amplitude, rest = fitted(side[begin + edge : -edge])
        assert abs(decibels(amplitude) - TONE_DB - TURNED_DOWN_DB) < 0.01
        assert decibels(rest / amplitude) < -90.0
    peak = f"\N{MINUS SIGN}{abs(decibels(abs(sound).max())):.1f} dBFS"
    expect(fact(newest(ada), "Peak")).to_have_text(peak)


def test_without_a_stem_it_is_a_click(visitors: Visitors) -> None:
    """Eight bars at the session's tempo, also as MP3; outside the room; and whoever comes later finds it."""
    cy = visitors.signed_up("Cy")
    cy.get_by_placeholder("New session name").fill("Click jam")
    cy.get_by_role("button", name="Create").click()
    cy.get_by_label("BPM").fill("240")
    with cy.expect_response(lambda answer: answer.request.method == "PATCH" and answer.ok):
        cy.keyboard.press("Enter")
    open_panel(cy, "Mixdowns")
    cy.get_by_label("Format").select_option("mp3")
    render(cy).click()
    expect(status(cy)).to_have_text("Status: completed", timeout=MADE_MS)
    expect(fact(newest(cy), "Length")).to_have_text("0:08")
    sound, _ = soundfile.read(taken_home(cy))
    assert abs(sound).max() > 0.1
    cy.reload()
    open_panel(cy, "Mixdowns")
    expect(mixdowns(cy)).to_have_count(1)
    expect(newest(cy)).to_contain_text("MP3")
    newest(cy).get_by_role("button", name="Remove", exact=True).click()
    newest(cy).get_by_role("button", name="Remove it").click()
    expect(mixdowns(cy)).to_have_count(0)
