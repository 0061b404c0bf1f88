"""The page in a real browser, against a fake gateway: come in, see each other, talk, lose the connection, leave."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from typing import Final

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.web.running import GatewayThread, Web, running_gateway, running_web

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TIMEOUT_MS: Final = 10_000
ALONE: Final = "Nobody else is here yet. Send them the link."

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

Visit = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayThread]:
    with running_gateway() as running:
        yield running


@pytest.fixture(scope="module")
def site(gateway: GatewayThread) -> Iterator[Web]:
    with running_web(gateway_port=gateway.fake.port) as running:
        yield running


@pytest.fixture
def visit(browser: Browser, site: Web, gateway: GatewayThread) -> Iterator[Visit]:
    """Opens the page in a new browser profile. Whatever the page complains of, or asks of others, fails the test."""
    gateway.fake.refusal, gateway.fake.is_mute = "", False
    complaints: list[str] = []
    pages: list[Page] = []
    ours = (site.url, f"ws://127.0.0.1:{gateway.fake.port}/")

    def open_page(path: str = "/", *, width: int = 1280, height: int = 800) -> Page:
        page = browser.new_context(viewport={"width": width, "height": height}).new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith(ours) else complaints.append(request.url))
        page.goto(f"{site.url}{path}")
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.context.close()
    assert not complaints


def join(page: Page, name: str, room: str) -> Page:
    page.get_by_label("Your name").fill(name)
    page.get_by_label("Room", exact=True).fill(room)
    page.get_by_role("button", name="Join Room").click()
    expect(page.get_by_text("You came in.")).to_be_visible()
    return page


def say(page: Page, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_role("button", name="Send", exact=True).click()


def roster(page: Page) -> Locator:
    return page.get_by_role("list", name="Who is here").get_by_role("listitem")


def log(page: Page) -> Locator:
    return page.get_by_role("log", name="What was said")


def test_two_visitors_meet_talk_and_part(visit: Visit) -> None:
    """Each sees the other come, hears what they say under their name, and sees them go."""
    ada = join(visit(), "Ada", "meet")
    bo = join(visit(), "Bo", "meet")
    expect(log(ada)).to_contain_text("Bo came in.")
    for page in (ada, bo):
        expect(roster(page)).to_have_count(2)
    say(bo, "From the bridge?")
    expect(log(ada).get_by_role("article")).to_contain_text("Bo")
    expect(log(ada).get_by_role("article")).to_contain_text("From the bridge?")
    expect(log(bo).get_by_role("article")).to_have_count(1)
    expect(bo.locator(".pending")).to_have_count(0)
    bo.get_by_role("button", name="Leave Room").click()
    expect(log(ada)).to_contain_text("Bo left.")
    expect(roster(ada)).to_have_count(1)
    expect(bo.get_by_role("button", name="Join Room")).to_be_visible()


def test_whoever_is_alone_is_told_to_send_the_link(visit: Visit) -> None:
    """The link leads into the same room, and with company the advice is gone."""
    ada = join(visit(), "Ada", "a room & more")
    expect(ada.get_by_text(ALONE)).to_be_visible()
    expect(ada.get_by_role("button", name="Copy link")).to_have_count(1)
    link = ada.locator("#link").inner_text()
    assert link.endswith("/?room=a%20room%20%26%20more")
    assert ada.url == link
    bo = visit(link[link.index("/?") :])
    expect(bo.get_by_label("Room", exact=True)).to_have_value("a room & more")
    join(bo, "Bo", "a room & more")
    expect(ada.get_by_text(ALONE)).to_be_hidden()


def test_the_door_says_who_is_in_there(visit: Visit, site: Web) -> None:
    """Typing a room shows who is in it already, before anyone comes in."""
    for name in ("Ada", "Bo", "Cy", "Di", "Ed"):
        site.client.post("/api/presence", json={"roomId": "peek", "memberId": name, "displayName": name})
    page = visit("/?room=peek")
    expect(page.get_by_text("Ada, Bo, Cy, and 2 others are in there now.")).to_be_visible()
    expect(page.locator(".strip.live")).to_have_count(5)
    page.get_by_label("Room", exact=True).fill("elsewhere")
    expect(page.get_by_text("Whoever types it is in.")).to_be_visible()


def test_a_lost_connection_comes_back_by_itself(visit: Visit, gateway: GatewayThread) -> None:
    """After 1001 it waits as long as the reason says, and then the roster is the room's again."""
    page = join(visit(), "Ada", "lost")
    gateway.do(gateway.fake.put, "lost", "Ghost")
    expect(roster(page)).to_have_count(2)
    gateway.do(gateway.fake.close, "lost", 1001, json.dumps({"reconnectMs": 600_000}))
    expect(page.locator("#notice")).to_have_text(re.compile(r"^\s*The studio is restarting. Trying again in \d{3} s."))
    page.get_by_label("Message", exact=True).fill("kept")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Message", exact=True)).to_have_value("kept")
    page.get_by_role("button", name="Try now").click()
    expect(log(page)).to_contain_text("You are back.")
    expect(roster(page)).to_have_count(1)
    gateway.do(gateway.fake.close, "lost", 1001, json.dumps({"reconnectMs": 1}))
    expect(log(page).get_by_text("You are back.")).to_have_count(2)


def test_without_advice_it_backs_off(visit: Visit, gateway: GatewayThread) -> None:
    """Any other close is tried again within a second, the first time."""
    page = join(visit(), "Ada", "backoff")
    gateway.do(gateway.fake.close, "backoff", 4008)
    expect(log(page).get_by_text("You are back.")).to_be_visible(timeout=2_000)


def test_a_gateway_that_is_not_there_is_tried_again(browser: Browser) -> None:
    """The page says so, keeps trying, and lets the visitor give up."""
    with running_web(gateway_port=9) as web, browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{web.url}/?room=nobody")
        page.get_by_label("Your name").fill("Ada")
        page.get_by_role("button", name="Join Room").click()
        expect(page.locator("#notice")).to_contain_text("The studio cannot be reached.")
        expect(page.locator("#state-words")).to_have_text("Reconnecting…")
        page.get_by_role("button", name="Leave Room").click()
        expect(page.get_by_role("button", name="Join Room")).to_be_visible()


@pytest.mark.parametrize(("code", "words"), [(4001, "another tab"), (4003, "removed"), (4004, "closed")])
def test_some_endings_are_final(visit: Visit, gateway: GatewayThread, code: int, words: str) -> None:
    """Replaced, kicked or closed: it says so and stays out, until asked to join again."""
    room = f"ended-{code}"
    page = join(visit(), "Ada", room)
    gateway.do(gateway.fake.close, room, code, json.dumps({"reconnectMs": 1}))
    expect(page.locator("#notice")).to_contain_text(words)
    expect(page.locator("#state-words")).to_have_text("Disconnected")
    assert not gateway.fake.rooms[room]
    page.get_by_role("button", name="Join again").click()
    expect(page.locator("#state-words")).to_have_text("Connected")


def test_whoever_is_turned_away_is_told_why_at_the_door(visit: Visit, gateway: GatewayThread) -> None:
    """The gateway's sentence appears under the form, and nothing is tried again."""
    gateway.fake.refusal = "This room is full."
    page = visit()
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("Room", exact=True).fill("full")
    page.get_by_role("button", name="Join Room").click()
    expect(page.get_by_role("alert")).to_have_text("This room is full.")


def test_a_form_that_is_not_filled_in_says_what_is_missing(visit: Visit) -> None:
    """And puts the cursor there."""
    page = visit()
    page.get_by_role("button", name="Join Room").click()
    expect(page.get_by_role("alert")).to_have_text("Type your name and a room.")
    expect(page.get_by_label("Your name")).to_be_focused()


def test_markup_stays_text(visit: Visit) -> None:
    """A name and a message that look like HTML are shown as they were typed, and run nothing."""
    evil = "<img src=x onerror=alert(1)>"
    ada = join(visit(), "Ada", evil)
    bo = join(visit(), evil, evil)
    say(bo, f"{evil}</p><script>alert(2)</script>")
    expect(log(ada)).to_contain_text(f"{evil} came in.")
    expect(log(ada).get_by_role("article")).to_contain_text("<script>alert(2)</script>")
    expect(roster(ada).last).to_contain_text(evil)
    assert ada.locator("#room img, #room script").count() == 0


def test_a_message_that_was_refused_can_be_sent_again(visit: Visit) -> None:
    """It is shown at once, then marked with the gateway's sentence."""
    page = join(visit(), "Ada", "refused")
    say(page, "forbidden")
    expect(page.locator(".unsent")).to_contain_text("Not sent. Slow down a little.")
    page.get_by_role("button", name="Send again").click()
    expect(page.locator(".unsent")).to_have_count(1)
    expect(log(page).get_by_role("article")).to_have_count(1)


def test_a_message_on_its_way_when_the_connection_goes_is_marked(visit: Visit, gateway: GatewayThread) -> None:
    """Unacknowledged is not sent: it says so instead of pretending, and sending again works."""
    page = join(visit(), "Ada", "limbo")
    gateway.fake.is_mute = True
    say(page, "hello?")
    expect(page.locator(".pending")).to_have_count(1)
    gateway.do(gateway.fake.close, "limbo", 1001, json.dumps({"reconnectMs": 1}))
    expect(page.locator(".unsent")).to_contain_text("The connection was lost.")
    gateway.fake.is_mute = False
    expect(page.locator("#state-words")).to_have_text("Connected")
    page.get_by_role("button", name="Send again").click()
    expect(page.locator(".unsent, .pending")).to_have_count(0)


def test_it_works_with_the_keyboard_alone(visit: Visit) -> None:
    """Tab, type and Enter lead into the room, to a message, and out again."""
    page = visit()
    keys = page.keyboard
    expect(page.get_by_label("Your name")).to_be_focused()
    keys.type("Ada")
    keys.press("Tab")
    keys.type("keys")
    keys.press("Enter")
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    keys.type("one")
    keys.press("Shift+Enter")
    keys.type("two")
    keys.press("Enter")
    expect(log(page).locator(".said-text")).to_have_text("one\ntwo")
    for _ in range(10):
        keys.press("Shift+Tab")
        if page.get_by_role("button", name="Leave Room").evaluate("button => button === document.activeElement"):
            break
    keys.press("Enter")
    expect(page.get_by_label("Room", exact=True)).to_be_focused()


def test_whoever_looks_elsewhere_is_away(visit: Visit) -> None:
    """When the page is hidden the room is told, and when it is back too."""
    ada, bo = join(visit(), "Ada", "away"), join(visit(), "Bo", "away")
    hide = """hidden => {
        const value = hidden ? "hidden" : "visible";
        Object.defineProperty(document, "visibilityState", { value, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    bo.evaluate(hide, True)
    expect(roster(ada).last).to_contain_text("away")
    bo.evaluate(hide, False)
    expect(roster(ada).last).not_to_contain_text("away")


def test_the_round_trip_is_shown(visit: Visit) -> None:
    """The heartbeat's echo, in milliseconds."""
    expect(join(visit(), "Ada", "beat").locator("#latency")).to_have_text(re.compile(r"^\d+ ms$"))


@pytest.mark.parametrize("width", [360, 1280])
def test_thirty_members_with_long_names_fit(visit: Visit, gateway: GatewayThread, width: int) -> None:
    """Nothing sticks out of the screen, and the controls stay on it."""
    room = f"crowd-{width}"
    page = join(visit(width=width, height=640), "W" * 64, room)
    for number in range(29):
        gateway.do(
            gateway.fake.put, room, f"Bartholomew-Featherstonehaugh {number}", "away" if number % 3 else "active"
        )
    say(page, "W" * 400)
    expect(page.locator("#count")).to_have_text("30")
    expect(roster(page)).to_have_count(30)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("document.documentElement.scrollHeight") <= 640
    for button in ("Send", "Leave Room", "Copy link"):
        expect(page.get_by_role("button", name=button, exact=True)).to_be_in_viewport(ratio=1)


def test_the_same_member_has_the_same_colour_on_every_screen(visit: Visit) -> None:
    """Colours come from the member's id, not from who looks."""
    ada, bo = join(visit(), "Ada", "colour"), join(visit(), "Bo", "colour")
    expect(roster(bo)).to_have_count(2)
    mine, theirs = (page.locator("#roster .avatar", has_text="A").get_attribute("class") for page in (ada, bo))
    assert mine == theirs
