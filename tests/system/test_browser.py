"""Two people with browsers in the real studio: from signing up to the session's end, by what they see and press."""

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, WebSocketRoute, expect

from tests.http.browsing import CHROMIUM, TIMEOUT_MS, add_files, join, log, roster, running_browser, send_message, stem
from tests.http.conftest import deadline
from tests.http.sounds import wav
from tests.system.studio import Studio, running_studio

__all__ = ["deadline"]

DEADLINE_S: Final = 240
"""Two people sign up, meet and part; that is more than a test of one page does in its time."""
BACK_MS: Final = 60_000
"""Until a part runs again that was ended, and the page tries once more: it waits up to twice as long as nobody has
answered yet, 15 s at most (omnisonic.js)."""
BLOCKED: Final = """
window.WebSocket = class extends EventTarget {
  constructor() {
    super();
    setTimeout(() => {
      this.dispatchEvent(new Event("error"));
      this.dispatchEvent(new CloseEvent("close", { code: 1006 }));
    });
  }
  send() {}
  close() {}
};
"""
"""What a network lets a page see that passes on no WebSocket."""
TRIES: Final = 5
CUT: Final = 4500
"""A close code without a meaning: the room waits for who comes back."""
PASSWORD: Final = "correct horse battery staple"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


def press(button: Locator, *, then: Locator) -> None:
    """Press `button` until `then` is there, as whoever is asked to try again does: a busy machine misses deadlines."""
    asked = button.page.get_by_text("Try again").filter(visible=True)
    for _ in range(TRIES):
        button.click()
        expect(then.or_(asked).first).to_be_visible()
        if then.is_visible():
            return
    expect(then).to_be_visible()


class Wire:
    """A page's way to the gateway, which can be cut."""

    def __init__(self) -> None:
        self.is_cut = False
        self._ends: list[WebSocketRoute] = []

    def connect(self, socket: WebSocketRoute) -> None:
        """Connect a page's new socket, unless the wire is cut."""
        if self.is_cut:
            socket.close(code=CUT, reason="")
        else:
            self._ends += [socket, socket.connect_to_server()]

    def cut(self) -> None:
        """End the connection at both ends, and let no other be made."""
        self.is_cut = True
        while self._ends:
            self._ends.pop().close(code=CUT, reason="")


@dataclass
class Visitors:
    """People, each with a browser of their own. An exception in a page is kept as a complaint."""

    browser: Browser
    url: str
    pages: list[Page] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def visit(self, path: str = "/", **profile: Any) -> Page:
        page = self.browser.new_context(**profile).new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(f"{self.url}{path}")
        self.pages.append(page)
        return page

    def signed_up(self, name: str, path: str = "/signin") -> Page:
        """Somebody new, who comes by this page and makes an account on the way."""
        page = self.visit(path)
        page.get_by_label("Email").fill(f"{name.lower()}@example.com")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Continue with email").click()
        return page

    def newcomer(self, name: str, owner: Page) -> Page:
        """Somebody more, in the room whose session's owner looks at this page."""
        owner.get_by_role("button", name="Invite", exact=True).click()
        press(owner.get_by_role("button", name="Make an invite link"), then=owner.get_by_label("Invite link"))
        link = owner.get_by_label("Invite link").input_value()
        owner.get_by_role("button", name="Close").click()
        page = self.signed_up(name, link.removeprefix(self.url))
        page.get_by_role("button", name="Accept invite").click()
        return join(page, name)

    def band(self, owner: str, other: str, session: str) -> tuple[Page, Page]:
        """Two people in the room of a session, which the one made and the other was invited to."""
        mine = self.signed_up(owner)
        expect(mine).to_have_url(f"{self.url}/sessions")
        mine.get_by_placeholder("New session name").fill(session)
        press(mine.get_by_role("button", name="Create"), then=mine.get_by_role("heading", name=session))
        mine.get_by_role("button", name="Invite", exact=True).click()
        press(mine.get_by_role("button", name="Make an invite link"), then=mine.get_by_label("Invite link"))
        link = mine.get_by_label("Invite link").input_value()
        mine.get_by_role("button", name="Close").click()
        theirs = self.signed_up(other, link.removeprefix(self.url))
        theirs.get_by_role("button", name="Accept invite").click()
        for page in (mine, theirs):
            expect(page.get_by_role("heading", name=session)).to_be_visible()
        return join(mine, owner), join(theirs, other)


@pytest.fixture(autouse=True)
def more_time(deadline: None) -> None:
    """Instead of what a test of the web has."""
    signal.alarm(DEADLINE_S)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """With rooms for those who have a ticket. Where rooms are open people meet in `test_evening`, and in mixdowns."""
    with running_studio("serve", tmp_path_factory.mktemp("browser"), ROOM_ACCESS="ticket") as studio:
        yield studio


@pytest.fixture
def visitors(browser: Browser, served: Studio) -> Iterator[Visitors]:
    visitors = Visitors(browser, f"http://localhost:{served.visitors.web_port}")
    yield visitors
    for page in visitors.pages:
        page.context.close()
    assert visitors.complaints == []


def test_two_people_meet_talk_and_part(visitors: Visitors, served: Studio) -> None:
    """Sign up, create, invite, sign up by the link, join: each sees and hears the other, and sees them go.

    Meanwhile the gateway is stopped, and started again: both pages are back by themselves.
    """
    ada, bo = visitors.band("Ada", "Bo", "Night jam")
    for page in (ada, bo):
        expect(roster(page)).to_have_count(2)
    expect(log(ada)).to_contain_text("Bo came in.")
    send_message(bo, "From the bridge?")
    expect(log(ada).get_by_role("article")).to_contain_text("From the bridge?")
    served.end("gateway", signal.SIGTERM)
    for page in (ada, bo):
        expect(log(page)).to_contain_text("You are back.", timeout=BACK_MS)
    for page in (ada, bo):
        expect(roster(page)).to_have_count(2, timeout=BACK_MS)
    send_message(ada, "Four bars in.")
    expect(log(bo).get_by_role("article").last).to_contain_text("Four bars in.")
    for page in (ada, bo):
        expect(page.locator(".pending, .unsent")).to_have_count(0)
    bo.get_by_role("link", name="Sessions").click()
    expect(bo.get_by_role("listitem").filter(has_text="Night jam")).to_contain_text("Shared by ada")
    expect(log(ada)).to_contain_text("Bo left.")
    expect(roster(ada)).to_have_count(1)


def test_where_websockets_are_blocked_people_meet_all_the_same(visitors: Visitors) -> None:
    """The page goes on over HTTP by itself: who is there, what is said both ways, and who left."""
    zed, amy = visitors.band("Zed", "Amy", "Hotel jam")
    zed.add_init_script(BLOCKED)
    zed.reload()
    join(zed, "Zed")
    expect(roster(zed)).to_have_count(2)
    send_message(zed, "From the hotel.")
    expect(amy.locator(".said-text")).to_have_text(["From the hotel."])
    send_message(amy, "We hear you.")
    expect(zed.locator(".said-text")).to_have_text(["From the hotel.", "We hear you."])
    expect(zed.locator(".pending, .unsent")).to_have_count(0)
    amy.get_by_role("link", name="Sessions").click()
    expect(log(zed)).to_contain_text("Amy left.")


def test_who_was_offline_finds_everything_in_order(visitors: Visitors) -> None:
    """For longer than the seat is kept, while two others talk: on the return all of it is there, each once.

    One of the others has come later, and has read what was said before.
    """
    wes, xia = visitors.band("Wes", "Xia", "Offline jam")
    wire = Wire()
    wes.route_web_socket(re.compile("^ws://"), wire.connect)
    wes.reload()
    join(wes, "Wes")
    send_message(xia, "Before")
    expect(wes.locator(".said-text")).to_have_text(["Before"])
    yan = visitors.newcomer("Yan", wes)
    expect(yan.locator(".said-text")).to_have_text(["Before"])
    expect(yan.locator(".said-by strong")).to_have_text(["Xia"])
    wire.cut()
    expect(wes.locator("#state-words")).to_have_text("Reconnecting…")
    said = ["Before"]
    for number in range(6):
        for page, name in ((xia, "Xia"), (yan, "Yan")):
            said.append(f"{name} {number}")
            send_message(page, said[-1])
            expect(yan.locator(".said-text").last).to_have_text(said[-1])
    expect(log(xia)).to_contain_text("Wes left.", timeout=BACK_MS)
    wire.is_cut = False
    expect(wes.locator("#state-words")).to_have_text("Together", timeout=BACK_MS)
    expect(wes.locator(".said-text")).to_have_text(said)
    send_message(wes, "I am back.")
    for page in (wes, xia, yan):
        expect(page.locator(".said-text")).to_have_text([*said, "I am back."])


def test_the_cookie_of_who_signed_out_is_dead(visitors: Visitors) -> None:
    """A copy of it opens nothing any more, and whoever was in a room by it is out of it at once."""
    eve, fay = visitors.band("Eve", "Fay", "Dusk jam")
    cookies = {cookie.get("name", ""): cookie.get("value", "") for cookie in eve.context.cookies()}
    with copied(visitors.url, cookies) as copy:
        assert copy.get("/api/sessions").status_code == 200
        tab = eve.context.new_page()
        tab.goto(f"{visitors.url}/sessions")
        tab.get_by_label("Account: eve").click()
        tab.get_by_role("button", name="Sign out").click()
        expect(tab.get_by_role("link", name="Sign in").first).to_be_visible()
        assert copy.get("/api/sessions").status_code == 401
        assert copy.get("/sessions").headers["Location"] == "/signin?callbackUrl=%2Fsessions"
    expect(eve.get_by_text("You are signed out.")).to_be_visible()
    expect(roster(fay)).to_have_count(1)


def test_whoever_is_removed_is_out_of_the_room(visitors: Visitors) -> None:
    """At once, with a sentence; the session is not there for them any more, nor is the link they came by."""
    gil, hal = visitors.band("Gil", "Hal", "Noon jam")
    address = hal.url
    gil.get_by_role("button", name="Invite", exact=True).click()
    for words in ("Remove", "Remove for good"):
        gil.get_by_role("button", name=f"{words}: hal", exact=True).click()
    expect(hal.get_by_text("This session is not shared with you any more.")).to_be_visible()
    expect(roster(gil)).to_have_count(1)
    hal.goto(address)
    expect(hal.get_by_role("heading", name="There is no such session")).to_be_visible()


def test_a_session_s_changes_and_its_end_reach_its_room(visitors: Visitors) -> None:
    """Whoever is in it reads the new name and tempo, and then that it was deleted."""
    ivy, jan = visitors.band("Ivy", "Jan", "First name")
    ivy.get_by_label("More").click()
    ivy.get_by_role("button", name="Rename").click()
    ivy.get_by_label("Session name", exact=True).fill("Second name")
    ivy.keyboard.press("Enter")
    expect(jan.get_by_role("heading", name="Second name")).to_be_visible()
    ivy.get_by_label("BPM").fill("87")
    ivy.keyboard.press("Enter")
    expect(jan.get_by_role("group", name="Tempo and metre")).to_contain_text("87")
    ivy.get_by_label("More").click()
    ivy.get_by_role("button", name="Delete session").click()
    ivy.get_by_role("dialog").get_by_role("button", name="Delete session").click()
    expect(jan.get_by_text("This session was deleted.")).to_be_visible()
    expect(ivy.get_by_text("No sessions yet.")).to_be_visible()


def test_a_large_stem_goes_on_when_the_web_is_killed(visitors: Visitors, served: Studio) -> None:
    """It is sent in pieces; with the web killed in the middle the page goes on by itself, and all of it arrives."""
    oda = visitors.signed_up("Oda")
    oda.get_by_placeholder("New session name").fill("Long jam")
    oda.get_by_role("button", name="Create").click()
    expect(oda.get_by_role("heading", name="Long jam")).to_be_visible()
    sound = wav(90.0)
    with oda.expect_response(lambda answer: answer.request.method == "PATCH" and answer.status == 204):
        add_files(oda, long_wav=sound)
    served.end("web", signal.SIGKILL)
    expect(stem(oda, "long.wav")).to_be_visible(timeout=BACK_MS)
    stem(oda, "long.wav").get_by_role("button", name="More").click()
    with oda.expect_download() as download:
        oda.get_by_role("dialog", name="long").get_by_role("link", name="Download").click()
    assert download.value.path().read_bytes() == sound


@contextmanager
def copied(url: str, cookies: dict[str, str]) -> Iterator[httpx.Client]:
    """Somebody else, with a copy of these cookies."""
    with httpx.Client(base_url=url, cookies=cookies) as client:
        yield client
