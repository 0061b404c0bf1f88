"""`@omnisonic/client` in Chromium: the example's chat on a gateway that is killed, and pages of other origins."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.cli.running import Command, running
from tests.client_js.programs import FOLDER
from tests.http.browsing import CHROMIUM, TIMEOUT_MS, running_browser
from tests.ports import unused_port

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

BACK_MS: Final = 40_000
"""A gateway starts, and pages wait up to twice as long as it was away."""


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files, and writes no log."""

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the parent's name
        pass


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The origin of a web that serves this folder, which is nobody's that the studio knows."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def start_gateway(origin: str, port: int) -> Any:
    """`omnisonic gateway` on this port, which lets pages of this origin in."""
    return running("gateway", GATEWAY_PORT=str(port), ALLOWED_ORIGINS=origin)


def ready(gateway: Command) -> Command:
    gateway.printed(r"^ws://127\.0\.0\.1:\d+$")
    return gateway


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium."""
    with running_browser() as browser:
        yield browser


def open_chat(browser: Browser, origin: str, port: int) -> Page:
    """The example's page, with a profile of its own."""
    page = browser.new_context().new_page()
    page.set_default_timeout(TIMEOUT_MS)
    page.goto(f"{origin}/example.html?gateway=ws://127.0.0.1:{port}")
    expect(members(page)).not_to_be_empty()
    return page


def members(page: Page) -> Locator:
    return page.locator("#members")


def said(page: Page, text: str) -> Locator:
    """The line in which somebody else, whose name is known, says this."""
    return (
        page.get_by_role("listitem").filter(has_text=text).filter(has_not_text="You:").filter(has_not_text="undefined")
    )


def say(page: Page, text: str) -> None:
    page.get_by_label("Message").fill(text)
    page.get_by_role("button", name="Send").click()


def test_two_browsers_talk_while_one_is_reloaded_and_the_gateway_is_killed(browser: Browser) -> None:
    """Nobody comes twice, and what is sent while nobody answers arrives once."""
    port = unused_port()
    with serving(FOLDER) as origin:
        with start_gateway(origin, port) as first:
            ready(first)
            ada, bo = open_chat(browser, origin, port), open_chat(browser, origin, port)
            expect(members(ada)).to_contain_text(",")
            before = members(ada).text_content()
            say(ada, "Hello, band.")
            expect(said(bo, "Hello, band.")).to_be_visible()
            bo.reload()
            expect(members(bo)).to_contain_text(",")
            say(bo, "I am back.")
            expect(said(ada, "I am back.")).to_be_visible()
            expect(members(ada)).to_have_text(before or "")
            first.kill()
            say(ada, "Is anybody there?")
        with start_gateway(origin, port) as second:
            ready(second)
            expect(said(bo, "Is anybody there?")).to_have_count(1, timeout=BACK_MS)
            say(bo, "Always.")
            expect(said(ada, "Always.")).to_have_count(1, timeout=BACK_MS)
            expect(ada.get_by_text("Not sent")).to_have_count(0)
            for page in (ada, bo):
                page.context.close()


def test_a_page_of_an_origin_that_is_not_allowed_is_told_that_it_cannot_get_in(browser: Browser) -> None:
    """The browser does not say why, so the code is that of a gateway that is not there."""
    port = unused_port()
    with serving(FOLDER) as origin, start_gateway("http://127.0.0.1:1", port) as gateway:
        ready(gateway)
        page = browser.new_context().new_page()
        page.goto(f"{origin}/README.md")
        program = """async ([module, url]) => {
            const { connect, EntryRefused } = await import(module);
            const problem = await connect(url, { room: "lobby" }).catch((error) => error);
            return [problem instanceof EntryRefused, problem.code, problem.retryAfterMs];
        }"""
        told = page.evaluate(program, [f"{origin}/omnisonic.js", f"ws://127.0.0.1:{port}"])
        assert told == [True, "unreachable", 0]
        page.context.close()
