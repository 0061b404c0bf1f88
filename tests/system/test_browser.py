"""Two real browsers' pages in one room of the real studio: they meet, talk, part, and survive the gateway."""

import signal
from collections.abc import Callable, Iterator
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.system.studio import Studio, running_studio
from tests.web.conftest import deadline
from tests.web.test_page import ARGUMENTS, CHROMIUM, TIMEOUT_MS, join, log, roster, say

__all__ = ["deadline"]

BACK_MS: Final = 15_000
"""A killed gateway is back after two seconds, and a page has tried again a few seconds later."""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

Visit = Callable[[], Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with running_studio("serve", tmp_path_factory.mktemp("browser")) as studio:
        yield studio


@pytest.fixture
def visit(browser: Browser, served: Studio) -> Iterator[Visit]:
    """Opens the studio's page in a new browser profile. An exception in the page fails the test."""
    complaints: list[str] = []
    pages: list[Page] = []

    def open_page() -> Page:
        page = browser.new_context().new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"http://localhost:{served.visitors.web_port}/")
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.context.close()
    assert not complaints


def test_two_pages_meet_talk_and_part(visit: Visit) -> None:
    """Each sees the other come, hears what the other says, and sees them go."""
    ada, bo = join(visit(), "Ada", "meet"), join(visit(), "Bo", "meet")
    for page in (ada, bo):
        expect(roster(page)).to_have_count(2)
    expect(log(ada)).to_contain_text("Bo came in.")
    say(bo, "From the bridge?")
    expect(log(ada).get_by_role("article")).to_contain_text("From the bridge?")
    say(ada, "Four bars in.")
    expect(log(bo).get_by_role("article").last).to_contain_text("Four bars in.")
    expect(bo.locator(".pending, .unsent")).to_have_count(0)
    bo.get_by_role("button", name="Leave Room").click()
    expect(log(ada)).to_contain_text("Bo left.")
    expect(roster(ada)).to_have_count(1)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_both_come_back_by_themselves_when_the_gateway_ends(visit: Visit, served: Studio, how: signal.Signals) -> None:
    """Killed or stopped, it is started again; both pages are back in the room, see each other, and can talk."""
    room = f"back-{how.name}"
    ada, bo = join(visit(), "Ada", room), join(visit(), "Bo", room)
    expect(roster(ada)).to_have_count(2)
    served.end("gateway", how)
    for page in (ada, bo):
        expect(log(page)).to_contain_text("You are back.", timeout=BACK_MS)
    for page in (ada, bo):
        expect(roster(page)).to_have_count(2, timeout=BACK_MS)
    say(bo, "Where were we?")
    expect(log(ada).get_by_role("article").last).to_contain_text("Where were we?")
