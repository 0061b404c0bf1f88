"""A page whose network is cut says so within five seconds, on both sides of the break, and comes back by itself."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, WebSocketRoute, expect

from tests.http.browsing import CHROMIUM, Visit, join, log, new_session, visiting
from tests.http.running import GatewayThread, Web

WITHIN_MS = 5_000

pytestmark = [pytest.mark.timing, pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")]


@pytest.fixture
def visit(browser: Browser, shared_site: Web, gateway: GatewayThread) -> Iterator[Visit]:
    visit = visiting(browser, shared_site, gateway.fake.port)
    visit.expects("ERR_INTERNET_DISCONNECTED")
    yield visit
    visit.check()


def test_a_device_that_goes_offline_says_so_and_comes_back(visit: Visit, shared_site: Web) -> None:
    """The browser knows it at once. What the room has said is there, and the page is as it was."""
    page = join(visit(f"/sessions/{new_session(shared_site, 'Ada')}", who="Ada"))
    page.context.set_offline(True)
    expect(page.locator("#state-words")).to_have_text("Reconnecting…", timeout=WITHIN_MS)
    expect(page.locator("#notice")).to_be_visible(timeout=WITHIN_MS)
    page.context.set_offline(False)
    expect(page.locator("#state-words")).to_have_text("Together")
    expect(page.locator("#notice")).to_be_hidden()


def test_a_network_that_goes_silent_is_found_and_comes_back(visit: Visit, shared_site: Web) -> None:
    """Nothing is refused and nothing closed: no byte arrives any more, in either direction."""
    is_cut = False

    def connect(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        socket.on_message(lambda message: None if is_cut else server.send(message))
        server.on_message(lambda message: None if is_cut else socket.send(message))

    page = visit("/about", who="Ada")
    page.route_web_socket(re.compile("^ws:"), connect)
    page.goto(f"{visit.base_url}/sessions/{new_session(shared_site, 'Ada')}")
    join(page)
    expect(page.locator("#state-words")).to_have_text("Together")
    is_cut = True
    expect(page.locator("#state-words")).to_have_text("Reconnecting…", timeout=WITHIN_MS)
    expect(page.locator("#notice")).to_be_visible()
    is_cut = False
    expect(log(page)).to_contain_text("You are back.")
    expect(page.locator("#state-words")).to_have_text("Together")
    expect(page.locator("#notice")).to_be_hidden()
