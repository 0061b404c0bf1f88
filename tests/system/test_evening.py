"""A full evening of a band at the real studio, which is killed twice meanwhile: nothing that was made is lost."""

import io
import re
import signal
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
import soundfile  # type: ignore[import-untyped]
from playwright.sync_api import Locator, Page, expect

from omnisonic.operations.embedded import PortReservation
from tests.cli.running import children
from tests.http.browsing import CHROMIUM, at_least, join, log, open_panel, running_browser, send_message
from tests.http.conftest import deadline
from tests.http.pages.mixdowns.stage import newest, render, status
from tests.processes import send_signal
from tests.system.studio import Studio, all_gone, running_studio
from tests.system.test_browser import Visitors, press

__all__ = ["deadline"]

DEADLINE_S: Final = 480
"""It takes 40 s where nothing else runs; what is over by then does not hang."""
LATE_MS: Final = 120_000
"""For what waits for a studio that starts again, and for pages that try to reach it less and less often."""
PORTS: Final = range(30_000, 32_000)
"""Below those of outgoing connections, and beside those of the embedded servers: while the studio is dead, nobody else
gets its ports."""
PHONE: Final[dict[str, Any]] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
SAID: Final = "Ready when you are."
TRACK: Final = "Recording 1"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


class Night:
    """A `serve` that can die as when the power fails, and start again: in the same folder, at the same ports."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = {name: str(PortReservation(PORTS, instead=name).port) for name in ("WEB_PORT", "GATEWAY_PORT")}
        self._stack = ExitStack()
        self.url = f"http://localhost:{self._ports['WEB_PORT']}"
        self._studio = self._started()

    def _started(self) -> Studio:
        return self._stack.enter_context(running_studio("serve", self._folder, **self._ports))

    def die(self) -> None:
        """SIGKILL to every process of it, the one first that would start others again."""
        pids = self._studio.processes()
        pids += [child for pid in pids[1:] for child in children(pid)]
        for pid in pids:
            send_signal(pid, signal.SIGKILL)
        all_gone(pids)
        self._stack.close()

    def start(self) -> None:
        self._studio = self._started()

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(autouse=True)
def more_time(deadline: None) -> None:
    """Instead of what a test of the web has."""
    signal.alarm(DEADLINE_S)


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    night = Night(tmp_path)
    yield night
    night.close()


@pytest.fixture
def visitors(night: Night) -> Iterator[Visitors]:
    with running_browser() as browser:
        visitors = Visitors(browser, night.url)
        yield visitors
        for page in visitors.pages:
            page.context.close()
        assert visitors.complaints == []


def strip(page: Page) -> Locator:
    """Where one records."""
    return page.get_by_role("region", name="Record", exact=True)


def arm(page: Page) -> None:
    """Open the microphone. Nobody needs to hear a bar before."""
    page.locator("#record").click()
    strip(page).get_by_role("button", name="Use the microphone").click()
    strip(page).get_by_label("Count in one bar").uncheck()


def record(page: Page, seconds: int) -> None:
    """Until it is so long."""
    page.locator("#record").click()
    expect(strip(page).get_by_label("Length")).to_have_text(at_least(seconds))


def is_saved(page: Page, name: str) -> None:
    expect(strip(page).get_by_role("status").first).to_contain_text(f"Saved: {name},", timeout=LATE_MS)


def track(page: Page) -> Locator:
    return page.get_by_role("list", name="Tracks").get_by_role("listitem").filter(has_text=TRACK)


def clip(page: Page) -> Locator:
    return track(page).locator(".clip")


def begins(page: Page, place: str) -> None:
    words = re.compile(rf"^{TRACK}, begins at {re.escape(place)},")
    expect(clip(page)).to_have_attribute("aria-valuetext", words)


def thread(page: Page, text: str) -> Locator:
    """A comment, where the panel shows them."""
    return page.get_by_role("list", name="Comments").get_by_role("listitem").filter(has_text=text)


def connection(words: str, *pages: Page) -> None:
    """Until each page says that of its connection."""
    for page in pages:
        expect(page.locator("#state-words")).to_have_text(words, timeout=LATE_MS)


def record_two_takes(ada: Page, bo: Page, night: Night) -> None:
    """The studio dies in the middle of the first. Who plays goes on, and it is saved once there is a studio again."""
    arm(ada)
    record(ada, 1)
    expect(log(bo)).to_contain_text("Ada is recording.")
    night.die()
    connection("Reconnecting…", ada, bo)
    expect(strip(ada).get_by_label("Length")).to_have_text(at_least(3))
    ada.locator("#record").click()
    night.start()
    is_saved(ada, TRACK)
    connection("Together", ada, bo)
    expect(track(bo)).to_have_count(1)
    strip(ada).get_by_label("Into").select_option(f"New take of {TRACK}")
    record(ada, 1)
    ada.locator("#record").click()
    is_saved(ada, f"{TRACK} take 2")
    expect(track(bo)).to_contain_text("take 2 of 2")


def decide(ada: Page, bo: Page) -> None:
    """Bo chooses a take and comments on a place. Ada moves the clip, which Bo undoes; then she moves it less."""
    track(bo).get_by_role("button", name="More").click()
    bo.get_by_role("dialog", name=TRACK).get_by_role("radio", name="Take 1").check()
    bo.keyboard.press("Escape")
    expect(track(ada)).to_contain_text("take 1 of 2")

    open_panel(bo, "Comments")
    for key in ("Home", "Shift+ArrowRight"):
        bo.get_by_role("slider", name="Song position").press(key)
    bo.get_by_label("Comment", exact=True).fill("Too loud here")
    bo.get_by_role("button", name="Comment", exact=True).click()
    open_panel(ada, "Comments")
    expect(thread(ada, "Too loud here").get_by_role("button", name="bar 2.1")).to_be_visible()

    begins(bo, "bar 1")
    clip(ada).press("Shift+ArrowRight")
    begins(bo, "bar 2")
    open_panel(bo, "Activity")
    happened = bo.get_by_role("list", name="Activity").get_by_role("listitem")
    happened.filter(has_text=f"ada moved {TRACK} from 0 s to 2 s").get_by_role("button", name="Undo").click()
    begins(ada, "bar 1")
    expect(happened.nth(1)).to_contain_text("Undone by bo")
    clip(ada).press("ArrowRight")
    begins(bo, "bar 1.2")


def mix_and_share(ada: Page, bo: Page) -> str:
    """Where whoever has the link hears the mixdown."""
    render(ada).click()
    expect(status(bo)).to_have_text("Status: completed", timeout=LATE_MS)
    ada.get_by_role("button", name="Share mix").click()
    sharing = ada.get_by_role("dialog", name="Share")
    link = sharing.get_by_label("Link", exact=True)
    press(sharing.get_by_role("button", name="Make a link"), then=link)
    url = link.input_value()
    ada.keyboard.press("Escape")
    return url


def ask_for_stems(ada: Page, bo: Page, night: Night) -> None:
    """The studio dies with them on their way, and makes them when it is back."""
    bo.get_by_label("Format").select_option("stems")
    render(bo).click()
    expect(bo.get_by_text("Export queued")).to_be_visible()
    night.die()
    connection("Reconnecting…", ada, bo)
    night.start()
    connection("Together", ada, bo)
    for page in (ada, bo):
        expect(status(page)).to_have_text("Status: completed", timeout=LATE_MS)


def listen(phone: Page) -> None:
    """Somebody at home hears it without an account, and writes a comment."""
    phone.get_by_role("button", name="Play").tap()
    expect(phone.get_by_role("slider", name="Position")).to_have_attribute("aria-valuetext", re.compile("^0:0[1-9] of"))
    phone.get_by_label("Your name").fill("Cy")
    phone.get_by_label("Comment", exact=True).fill("Goosebumps")
    phone.get_by_role("button", name="Send").click()
    assert phone.context.cookies() == []


def check_all_is_there(page: Page) -> None:
    """As whoever comes back the next day finds it: talk, takes and place, comments, mixdown and stems, and the link."""
    page.reload()
    join(page, "Bo")
    expect(page.locator(".said-text")).to_have_text([SAID])
    expect(track(page)).to_have_count(1)
    expect(track(page)).to_contain_text("take 1 of 2")
    begins(page, "bar 1.2")
    open_panel(page, "Comments")
    for text in ("Too loud here", "Goosebumps"):
        expect(thread(page, text)).to_be_visible()
    open_panel(page, "Mixdowns")
    with page.expect_download() as download:
        newest(page).get_by_role("link", name="Download").click()
    check_stems(download.value.path())
    page.get_by_role("button", name="Share mix").click()
    expect(page.get_by_role("dialog", name="Share").get_by_role("listitem")).to_contain_text("played once")


def check_stems(path: Path) -> None:
    """An archive of the one track, from the first bar to its end, with a project for either kind of program."""
    with zipfile.ZipFile(path) as stems:
        (sound,) = [name for name in stems.namelist() if name.endswith(".wav")]
        assert {".dawproject", ".rpp"} <= {Path(name).suffix for name in stems.namelist()}
        assert soundfile.info(io.BytesIO(stems.read(sound))).duration > 2


def test_a_full_evening_of_a_band(visitors: Visitors, night: Night) -> None:
    """Sign up, invite, meet, talk, record, choose, comment, move, undo, mix, share, and be heard on a phone."""
    ada, bo = visitors.band("Ada", "Bo", "Late song")
    send_message(bo, SAID)
    expect(ada.locator(".said-text")).to_have_text([SAID])
    record_two_takes(ada, bo, night)
    decide(ada, bo)
    link = mix_and_share(ada, bo)
    ask_for_stems(ada, bo, night)
    listen(visitors.visit(link.removeprefix(night.url), **PHONE))
    expect(thread(ada, "Goosebumps")).to_contain_text("Guest")
    check_all_is_there(bo)
