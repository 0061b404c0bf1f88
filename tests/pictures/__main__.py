"""Make the documents' pictures in a folder: studio.png, studio-phone.png and studio.mp4, 20 s of the page at work.

usage: bin/pictures [FOLDER]
"""

import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, expect

from tests.cli.running import running
from tests.http.browsing import log, running_browser, send_message
from tests.pictures.band import OTHERS, OWNER, Band, gather
from tests.pictures.screen import recorded
from tests.system.studio import SETTINGS, Served

PHONE: Final = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
WIDTH: Final = 1280
HEIGHT: Final = 720
"""Of the recording."""


def go(page: Page, place: str) -> None:
    """Press a place that was named in the talk."""
    log(page).get_by_role("button", name=place, exact=True).click()


def play_chorus(page: Page) -> None:
    """Go where the last message says, and play."""
    go(page, "bar 13")
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()


def talk(mine: Page, bo: Page, cy: Page) -> None:
    """What the band has said so far."""
    send_message(cy, "The pickup at bar 11.3 drags a little.")
    send_message(bo, "Better? The second take has the nicer ending.")
    send_message(mine, "Yes. From the chorus, all together: bar 13")


def listen_alone(page: Page) -> None:
    """Play another place, for oneself."""
    page.get_by_title("Who is here").click()
    page.get_by_role("button", name="Listen alone").click()
    page.keyboard.press("Escape")
    go(page, "bar 11.3")
    page.get_by_role("button", name="Play", exact=True).click()


def take_picture(path: Path, mine: Page, shown: Page) -> None:
    """Of the page that is `shown`, while the song plays."""
    play_chorus(mine)
    mine.wait_for_timeout(4000)
    mine.mouse.move(640, 790)
    shown.screenshot(path=path)
    mine.get_by_role("button", name="Pause", exact=True).click()


def record_page(folder: Path, mine: Page, bo: Page, band: Band) -> None:
    """20 seconds: play, somebody mixes, a comment comes, a jump to a place that was named."""
    mine.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    mine.get_by_role("button", name="To the start").click()
    with recorded(mine) as screen:

        def wait_until(second: float) -> None:
            mine.wait_for_timeout(max(1.0, 1000 * (screen.begun_s + second - time.time())))

        wait_until(0.5)
        mine.get_by_role("button", name="Play", exact=True).click()
        wait_until(3)
        band.mix("Bo", "Rhodes", gainDb=-5)
        wait_until(4.5)
        send_message(bo, "Rhodes up a little. Listen at bar 17")
        wait_until(7)
        go(mine, "bar 17")
        wait_until(10)
        band.mix("Cy", "Backing vox", muted=False)
        wait_until(12)
        mine.get_by_role("tab", name="Comments").click()
        wait_until(13.5)
        band.comment("Cy", "This is the one.", atBeat=72)
        wait_until(16)
        mine.get_by_role("tab", name="Activity").click()
        wait_until(19)
        mine.get_by_role("button", name="Pause", exact=True).click()
        wait_until(20)
    screen.write(folder / "studio.mp4")


def main(folder: Path) -> None:
    """Make all of them."""
    # So that the studio ends as well.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        tempfile.TemporaryDirectory() as temporary,
        running("serve", OMNISONIC_DATA_DIR=temporary, **SETTINGS) as command,
        running_browser() as browser,
    ):
        studio = Served(command, Path(temporary))
        band = gather(f"http://127.0.0.1:{studio.visitors.web_port}", Path(temporary))
        mine = band.open_page(browser, OWNER)
        bo = band.open_page(browser, OTHERS[0])
        cy = band.open_page(browser, OTHERS[1])
        talk(mine, bo, cy)
        listen_alone(cy)
        take_picture(folder / "studio.png", mine, mine)
        record_page(folder, mine, bo, band)
        mine.get_by_role("tab", name="Talk").click()
        bo.context.close()
        take_picture(folder / "studio-phone.png", mine, band.open_page(browser, OTHERS[0], **PHONE))
    for path in sorted(folder.glob("studio*.[pm][np][g4]")):
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
