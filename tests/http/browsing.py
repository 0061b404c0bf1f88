"""People with browsers: each has a profile of their own, signed in or not, and whatever a page complains of is kept."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import httpx
from playwright.sync_api import Browser, BrowserContext, Error, FilePayload, Locator, Page, expect, sync_playwright

from tests.http.running import Web

BROWSERS: Final = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The first is the same engine without a window around each page: pages open in less than half of the time."""
CHROMIUM: Final = next(filter(None, map(shutil.which, BROWSERS)), None)
ARGUMENTS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A microphone that beeps, and whoever is asked for it says yes.
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
TIMEOUT_MS: Final = 60_000
"""For all that a page shows or does sooner or later. What is promised to be quicker says so where it is waited for."""

NOWHERE: Final = ("about", "blob", "data")
"""Pages that are on no host."""

expect.set_options(timeout=TIMEOUT_MS)
Scheme = Literal["dark", "light"]


@contextmanager
def running_browser() -> Iterator[Browser]:
    """A headless Chromium until the block ends."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Visit:
    """Opens pages, each in a new profile. A page that complains, or asks others for something, fails `check`.

    The policy of a page keeps it from asking others, and the browser complains of the attempt. Where a page leads to is
    no matter of that policy: it may be one of the `origins`. What `expects` names is no complaint.
    """

    browser: Browser
    base_url: str
    origins: tuple[str, ...]
    sign_up: Callable[[str], httpx.Client]
    pages: list[Page] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def __call__(self, path: str = "/", *, who: str = "", width: int = 1280, height: int = 800, **context: Any) -> Page:
        """The page at `path`, as `who` sees it: a name, or nothing for a stranger."""
        profile = self.browser.new_context(viewport={"width": width, "height": height}, **context)
        if who:
            give_cookies(profile, self.sign_up(who), self.base_url)
        return self._open(profile, path)

    def reopened(self, page: Page, path: str) -> Page:
        """The page at `path`, in the profile of another page, which may be closed or have crashed."""
        return self._open(page.context, path)

    def _open(self, profile: BrowserContext, path: str) -> Page:
        page = profile.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("console", lambda line: self._said(line.type, line.text, line.location["url"]))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("framenavigated", lambda frame: self._went(frame.url))
        page.goto(f"{self.base_url}{path}")
        self.pages.append(page)
        return page

    def expects(self, pattern: str) -> None:
        """What a page says in its console about this is as it should be."""
        self.expected.append(pattern)

    def check(self) -> None:
        for page in self.pages:
            page.context.close()
        unexpected = [line for line in self.complaints if not any(re.search(known, line) for known in self.expected)]
        assert unexpected == [], unexpected

    def _said(self, kind: str, text: str, url: str) -> None:
        if kind == "error":
            self.complaints.append(f"{text} {url}")

    def _went(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in NOWHERE and f"{parts.scheme}://{parts.netloc}" not in self.origins:
            self.complaints.append(url)


def crash(page: Page) -> None:
    """End the page's process. No code in the page is told of it, as it may be when a page is closed."""
    with page.expect_event("crash"), suppress(Error):
        page.goto("chrome://crash")


def give_cookies(profile: BrowserContext, client: httpx.Client, url: str) -> None:
    """Let a browser have the cookies of whoever this client is."""
    cookies = [{"name": cookie.name, "value": cookie.value or "", "url": url} for cookie in client.cookies.jar]
    profile.add_cookies(cookies)  # type: ignore[arg-type]


def visiting(browser: Browser, web: Web, gateway_port: int = 9) -> Visit:
    """Visits to `web`, whose gateway is at that port."""

    def sign_up(name: str) -> httpx.Client:
        return person(web, name)

    return Visit(browser, web.url, (web.url, f"ws://127.0.0.1:{gateway_port}"), sign_up)


def person(web: Web, name: str) -> httpx.Client:
    """A client of whoever is called that."""
    return web.sign_up(f"{name.lower().replace(' ', '.')}@example.com", name=name)


def new_session(web: Web, owner: str, *others: str, name: str = "Night jam") -> str:
    """The id of a new session, shared with `others`."""
    mine = person(web, owner)
    session_id = str(mine.post("/api/sessions", json={"name": name}).json()["session"]["id"])
    for other in others:
        assert person(web, other).post(f"/api{invite_to(web, owner, session_id)}").status_code == 200
    return session_id


def invite_to(web: Web, owner: str, session_id: str) -> str:
    """The path of a new invite's link."""
    answer = person(web, owner).post(f"/api/sessions/{session_id}/invites", json={})
    return httpx.URL(answer.json()["url"]).path


def join(page: Page, shown_as: str = "") -> Page:
    """Walk into the room of the studio that the page shows."""
    if shown_as:
        page.get_by_label("Shown as").fill(shown_as)
    page.get_by_role("button", name="Join Room").click()
    expect(page.get_by_text("You came in.")).to_be_attached()
    return page


def open_panel(page: Page, tab: str = "Talk") -> Page:
    """Turn the panel to this tab: on a phone, it is closed at first."""
    if not page.locator("#tabs").is_visible():
        page.locator("#panel-open").click()
    page.get_by_role("tab", name=tab).click()
    return page


def send_message(page: Page, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_role("button", name="Send", exact=True).click()


def roster(page: Page) -> Locator:
    """Who is here: a list that the avatars in the bar open."""
    return page.locator("#roster > li")


def log(page: Page) -> Locator:
    """The talk, also while another tab is shown."""
    return page.get_by_role("log", name="What was said", include_hidden=True)


def add_files(page: Page, **files: bytes) -> None:
    """Choose these files in the studio; a name's last `_` stands for its dot."""
    chosen: list[FilePayload] = [
        {"name": ".".join(name.rsplit("_", 1)), "mimeType": "application/octet-stream", "buffer": content}
        for name, content in files.items()
    ]
    page.get_by_test_id("upload-input").set_input_files(chosen)


def stems(page: Page) -> Locator:
    return page.get_by_role("list", name="Tracks").get_by_role("listitem")


def stem(page: Page, name: str) -> Locator:
    """The stem with that file name."""
    return page.get_by_role("listitem", name=name, exact=True)


def at_least(seconds: int) -> re.Pattern[str]:
    """A length of time as pages show it, of so many seconds (under ten) or more: a busy browser skips some."""
    return re.compile(rf"^(0:(0[{seconds}-9]|[1-5][0-9])|[1-9][0-9]*:[0-9]{{2}})$")


def sendings(page: Page) -> Locator:
    """The files on their way."""
    return page.get_by_role("list", name="On their way").get_by_role("listitem")
