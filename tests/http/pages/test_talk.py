"""The talk in a real browser: kept, there after a reload and for newcomers, whole after an outage, older above."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
import trio
from playwright.sync_api import Browser, Page, Route, expect

from omnisonic.studio.messages import MessageToKeep
from omnisonic.studio.messages.message_store import PostgresMessages
from tests.cli.running import eventually
from tests.http.api.test_sessions_sharing import user_id
from tests.http.browsing import CHROMIUM, Visit, join, log, new_session, person, send_message, visiting
from tests.http.running import GatewayThread, Web

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

AN_HOUR_AGO: Final = datetime.now(UTC) - timedelta(hours=1)
LEAVING: Final = "dispatchEvent(new Event('beforeunload', { cancelable: true }))"
"""Whether the page may be left without a question."""
LOOKS: Final = """async ([module, session]) => {
  const { Talk } = await import(module);
  const [box, composer] = ["div", "form"].map((name) => document.body.appendChild(document.createElement(name)));
  composer.append(document.createElement("textarea"));
  window.counts = [];
  window.talk = new Talk(session, box, composer, {
    me: () => ({ memberId: "ada", name: "Ada" }),
    isConnected: () => false,
    showWords: (element, text) => element.append(text),
    caughtUp: (count) => window.counts.push(count),
  });
  window.talk.look();
  while (!box.querySelector(".said")) await new Promise((resolve) => setTimeout(resolve, 10));
}"""
"""Makes another talk, which counts what it was not told of, and looks once."""
HEARS: Final = """(lines) => {
  for (const [index, line] of lines.entries()) {
    const offset = index + 1;
    window.talk.heard("bo", "Bo", line, `first ${offset}`, { epoch: "first", offset });
  }
}"""
"""Has the talk hear these, the first ones of an epoch."""
SOON: Final = json.dumps({"reconnectMs": 1})


@pytest.fixture
def site(shared_site: Web) -> Web:
    return shared_site


@pytest.fixture
def visit(browser: Browser, site: Web, gateway: GatewayThread) -> Iterator[Visit]:
    fake = gateway.fake
    fake.refusal, fake.is_mute, fake.has_gap, fake.commits, fake.epoch = "", False, False, None, "first"
    fake.catches_up = fake.opens = None
    visit = visiting(browser, site, fake.port)
    yield visit
    visit.check()


def keep(
    web: Web,
    room: str,
    *texts: str,
    sender: str = "bo",
    name: str = "Bo",
    epoch: str = "first",
    at: int = 1,
    message_id: str | None = None,
) -> None:
    """Write down what somebody said in the room, from this place in its order on."""
    messages = [
        MessageToKeep(
            room,
            epoch,
            place,
            sender,
            json.dumps(message_id or f"{epoch} {place}"),
            None,
            name,
            "chat",
            json.dumps({"text": text}),
            AN_HOUR_AGO + timedelta(seconds=place),
        )
        for place, text in enumerate(texts, at)
    ]
    assert None not in web.do(PostgresMessages(web.database).keep(messages))


def texts(page: Page) -> list[str]:
    """What is shown as said, oldest first."""
    return log(page).locator(".said-text").all_text_contents()


def shows(page: Page, *expected: str) -> None:
    expect(log(page).locator(".said-text")).to_have_text(list(expected))


def cut_off(gateway: GatewayThread, session: str) -> None:
    """End the connections of the room, as a restart of the gateway does."""
    gateway.do(gateway.fake.close, session, 1001, SOON)


@contextmanager
def away(gateway: GatewayThread, session: str) -> Iterator[None]:
    """End the connections of the room; nobody is let in again before the block ends."""
    gateway.fake.opens = opens = trio.Event()
    cut_off(gateway, session)
    yield
    gateway.fake.opens = None
    gateway.do(_set, opens)


def make_talk(page: Page, session: str) -> None:
    """Another talk of the session in the page, as `window.talk`."""
    module = page.locator("script[src*='/studio.js']").get_attribute("src")
    assert module is not None
    page.evaluate(LOOKS, [module.replace("studio.js", "panels/talk.js"), session])


def let_through(page: Page, held: list[Route]) -> None:
    for route in held:
        route.continue_()
    page.context.unroute("**/messages?*")


def is_back(page: Page) -> None:
    expect(log(page).get_by_text("You are back.").last).to_be_visible()
    expect(page.locator("#state-words")).to_have_text("Together")


def test_what_was_said_is_there_for_whoever_comes_in(visit: Visit, site: Web) -> None:
    """In order, under the names of then, also of who left the studio; a reload shows it again."""
    session = new_session(site, "Ada")
    keep(site, session, "Take 3?", "From the bridge")
    keep(site, session, "Yes", sender="cy", name="Cy", at=3)
    page = visit(f"/sessions/{session}", who="Ada")
    for _ in range(2):
        join(page)
        shows(page, "Take 3?", "From the bridge", "Yes")
        names = log(page).locator("article:not(.goes-on) .said-by strong")
        expect(names).to_have_text(["Bo", "Cy"])
        first = log(page).locator("time").first.get_attribute("datetime")
        assert first is not None
        assert abs(datetime.fromisoformat(first) - AN_HOUR_AGO) < timedelta(seconds=2)
        expect(log(page).get_by_role("button", name="Show earlier messages")).to_be_hidden()
        page.reload()


def test_what_is_said_is_sent_to_be_kept_and_waits_for_it(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """It is shown at once and pending until it is kept; after a while that is said in words."""
    session = new_session(site, "Ada")
    page = join(visit(f"/sessions/{session}", who="Ada"))
    gateway.fake.commits = trio.Event()
    send_message(page, "Hello")
    shows(page, "Hello")
    expect(page.locator(".pending")).to_have_count(1)
    expect(page.locator(".on-its-way")).to_have_text("Sending…")
    assert not page.evaluate(LEAVING), "whoever leaves the page is asked"
    gateway.do(_set, gateway.fake.commits)
    expect(page.locator(".pending, .on-its-way")).to_have_count(0)
    assert page.evaluate(LEAVING)


def test_what_did_not_arrive_is_sent_again_by_itself(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """Once the connection is back, in order, under the same id: the others hear each once."""
    path = f"/sessions/{(session := new_session(site, 'Ada', 'Bo'))}"
    ada, bo = join(visit(path, who="Ada")), join(visit(path, who="Bo"))
    gateway.fake.is_mute = True
    for text in ("One", "Two"):
        send_message(ada, text)
    expect(ada.locator(".pending")).to_have_count(2)
    with away(gateway, session):
        expect(ada.locator(".on-its-way").last).to_have_text("Waiting for the connection…")
        gateway.fake.is_mute = False
    is_back(ada)
    expect(ada.locator(".pending, .unsent")).to_have_count(0)
    shows(ada, "One", "Two")
    shows(bo, "One", "Two")


def test_a_lost_acknowledgement_says_nothing_twice(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """The message had arrived: sent again with its id, it is settled, for the others and here."""
    path = f"/sessions/{(session := new_session(site, 'Ada', 'Bo'))}"
    ada, bo = join(visit(path, who="Ada")), join(visit(path, who="Bo"))
    gateway.fake.commits = trio.Event()
    send_message(ada, "Once")
    shows(bo, "Once")
    with away(gateway, session):
        gateway.fake.commits = None
    is_back(ada)
    expect(ada.locator(".pending")).to_have_count(0)
    shows(ada, "Once")
    shows(bo, "Once")


def test_what_had_arrived_is_not_called_unsent(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """Only the answer was lost, with the connection: it is among what was kept."""
    session = new_session(site, "Ada")
    page = join(visit(f"/sessions/{session}", who="Ada"))
    gateway.fake.commits = trio.Event()
    send_message(page, "Once")
    eventually(lambda: bool(gateway.fake.said.get(session)), what="it has arrived")
    gateway.do(gateway.fake.close, session, 4001)
    expect(page.locator(".unsent")).to_contain_text("The connection was lost.")
    gateway.fake.commits = None
    [mine] = gateway.fake.said[session]
    keep(site, session, "Once", sender=mine["from"], name="Ada", at=mine["offset"], message_id=mine["id"])
    page.get_by_role("button", name="Leave Room").click()
    join(page)
    expect(page.locator(".unsent, .pending")).to_have_count(0)
    shows(page, "Once")


def test_what_was_missed_appears_in_order_once(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """The page says what it has received last; what comes again by the web is not shown twice."""
    session = new_session(site, "Ada")
    page = join(visit(f"/sessions/{session}", who="Ada"))
    gateway.do(gateway.fake.say, session, "bo", "Before", "first 1")
    shows(page, "Before")
    with away(gateway, session):
        expect(page.locator("#state-words")).to_have_text("Reconnecting…")
        for number in (2, 3):
            gateway.do(gateway.fake.say, session, "bo", f"Missed {number}", f"first {number}")
        keep(site, session, "Before", "Missed 2", "Missed 3")
    is_back(page)
    shows(page, "Before", "Missed 2", "Missed 3")
    gateway.do(gateway.fake.say, session, "bo", "After")
    shows(page, "Before", "Missed 2", "Missed 3", "After")


def test_whoever_joins_again_goes_on_where_they_were(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """After an end that was final for the connection, too: what was said meanwhile comes from the room."""
    session = new_session(site, "Ada")
    page = join(visit(f"/sessions/{session}", who="Ada"))
    gateway.do(gateway.fake.say, session, "bo", "Before")
    shows(page, "Before")
    gateway.do(gateway.fake.close, session, 4001)
    expect(page.locator("#state-words")).to_have_text("Disconnected")
    gateway.do(gateway.fake.say, session, "bo", "Missed")
    page.get_by_role("button", name="Join again").click()
    shows(page, "Before", "Missed")


def test_a_gap_is_said_and_filled_with_what_was_kept(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """More than a page of it, between what was heard before and what is heard now."""
    session = new_session(site, "Ada")
    page = join(visit(f"/sessions/{session}", who="Ada"))
    gateway.do(gateway.fake.say, session, "bo", "Before", "first 1")
    shows(page, "Before")
    gateway.fake.has_gap, gateway.fake.epoch = True, "second"
    missed = [f"Missed {number}" for number in range(120)]
    keep(site, session, "Before", *missed)
    cut_off(gateway, session)
    is_back(page)
    shows(page, "Before", *missed)
    expect(log(page).get_by_text("You were away. What was said meanwhile is shown")).to_have_count(1)
    gateway.do(gateway.fake.say, session, "bo", "After", "second 2")
    expect(log(page).locator(".said-text").last).to_have_text("After")


@pytest.mark.parametrize("has_gap", [False, True])
def test_a_room_that_is_slower_than_the_web_changes_no_order(
    visit: Visit, site: Web, gateway: GatewayThread, *, has_gap: bool
) -> None:
    """The newest page may come before the room says what was missed, or that there is a gap."""
    session = new_session(site, "Ada")
    page = join(visit(f"/sessions/{session}", who="Ada"))
    gateway.do(gateway.fake.say, session, "bo", "Before", "first 1")
    shows(page, "Before")
    gateway.fake.has_gap, gateway.fake.catches_up = has_gap, trio.Event()
    missed = [f"Missed {number}" for number in range(120)]
    with away(gateway, session):
        expect(page.locator("#state-words")).to_have_text("Reconnecting…")
        for number, text in enumerate(missed, 2):
            gateway.do(gateway.fake.say, session, "bo", text, f"first {number}")
        keep(site, session, "Before", *missed)
    is_back(page)
    shows(page, "Before", *missed[-50:])
    gateway.do(_set, gateway.fake.catches_up)
    if has_gap:
        shows(page, "Before", *missed)
    expect(log(page).locator(".said-text").last).to_have_text(missed[-1])


@pytest.mark.parametrize("is_read_before", [True, False], ids=["read_before", "read_after"])
def test_a_first_page_that_is_newer_than_what_was_heard_is_in_order(
    visit: Visit, site: Web, gateway: GatewayThread, is_read_before: bool
) -> None:
    """Before or after the outage that the room tells of; the page does not hold what was heard before it."""
    session = new_session(site, "Ada")
    first = visit("/", who="Ada")
    held: list[Route] = []
    first.context.route("**/messages?*", lambda route: held.append(route))
    page = join(visit.reopened(first, f"/sessions/{session}"))
    gateway.do(gateway.fake.say, session, "bo", "Before", "first 1")
    shows(page, "Before")
    gateway.fake.has_gap, gateway.fake.catches_up = True, trio.Event()
    missed = [f"Missed {number}" for number in range(120)]
    keep(site, session, "Before", *missed)
    if is_read_before:
        let_through(page, held)
        shows(page, "Before", *missed[-50:])
    cut_off(gateway, session)
    is_back(page)
    if not is_read_before:
        let_through(page, held)
    shows(page, "Before", *missed[-50:])
    gateway.do(_set, gateway.fake.catches_up)
    shows(page, "Before", *missed)


def test_what_one_has_said_oneself_stays_before_what_was_missed(
    visit: Visit, site: Web, gateway: GatewayThread
) -> None:
    """Also where nobody else had said anything, and a room is slow to tell of the gap."""
    session = new_session(site, "Ada")
    page = join(visit(f"/sessions/{session}", who="Ada"))
    send_message(page, "Mine")
    expect(log(page).locator(".pending")).to_have_count(0)
    shows(page, "Mine")
    gateway.fake.has_gap, gateway.fake.catches_up = True, trio.Event()
    missed = [f"Missed {number}" for number in range(120)]
    [mine] = gateway.fake.said[session]
    keep(site, session, "Mine", sender=mine["from"], name="Ada", at=mine["offset"])
    keep(site, session, *missed, at=mine["offset"] + 1)
    cut_off(gateway, session)
    is_back(page)
    shows(page, "Mine", *missed[-50:])
    gateway.do(_set, gateway.fake.catches_up)
    shows(page, "Mine", *missed)


def test_a_gap_that_is_told_after_a_second_outage_is_filled_whole(
    visit: Visit, site: Web, gateway: GatewayThread
) -> None:
    """Also where the web has brought the newest page before, which comes after the gap."""
    session = new_session(site, "Ada")
    page = join(visit(f"/sessions/{session}", who="Ada"))
    gateway.do(gateway.fake.say, session, "bo", "Before", "first 1")
    shows(page, "Before")
    gateway.fake.has_gap, gateway.fake.catches_up = True, trio.Event()
    missed = [f"Missed {number}" for number in range(120)]
    keep(site, session, "Before", *missed)
    for times in (1, 2):
        cut_off(gateway, session)
        expect(log(page).get_by_text("You are back.")).to_have_count(times)
        shows(page, "Before", *missed[-50:])
    gateway.do(_set, gateway.fake.catches_up)
    shows(page, "Before", *missed)


def test_a_gap_that_cannot_be_filled_is_shown_as_one(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """While the web does not answer, it says that something is missing; trying again fills it."""
    session = new_session(site, "Ada")
    page = join(visit(f"/sessions/{session}", who="Ada"))
    gateway.do(gateway.fake.say, session, "bo", "Before", "first 1")
    shows(page, "Before")
    gateway.fake.has_gap = True
    visit.expects("503")
    page.route("**/messages?*", lambda route: route.fulfill(status=503, json={"error": "No.", "code": "unavailable"}))
    cut_off(gateway, session)
    is_back(page)
    expect(log(page).get_by_text("Some of what was said while you were away is missing here.")).to_be_visible()
    again = log(page).get_by_role("button", name="Try again")
    expect(again).to_be_visible()
    keep(site, session, "Before", "Missed")  # not before, or what is read on joining could bring it
    shows(page, "Before")
    page.unroute("**/messages?*")
    again.click()
    shows(page, "Before", "Missed")
    expect(log(page).get_by_text("is missing here")).to_have_count(0)


def test_a_message_that_was_relayed_twice_is_shown_once(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """After a crash a sender sends again what was not acknowledged, into a new epoch: sender and id are the same."""
    session = new_session(site, "Ada")
    page = join(visit(f"/sessions/{session}", who="Ada"))
    gateway.do(gateway.fake.say, session, "bo", "Once", "x")
    gateway.fake.epoch = "second"
    cut_off(gateway, session)
    is_back(page)
    gateway.do(gateway.fake.say, session, "bo", "Once", "x")
    gateway.do(gateway.fake.say, session, "bo", "Another", "x")
    shows(page, "Once", "Another")


def test_earlier_messages_come_when_somebody_scrolls_up(visit: Visit, site: Web) -> None:
    """Page by page, to the first one; what is being read stays where it is, and the keyboard is enough."""
    session = new_session(site, "Ada")
    said = [f"Line {number}" for number in range(1, 131)]
    keep(site, session, *said)
    page = join(visit(f"/sessions/{session}", who="Ada", reduced_motion="reduce"))
    shows(page, *said[-50:])
    box = log(page)
    assert box.evaluate("box => box.scrollHeight - box.scrollTop - box.clientHeight") < 50, "the newest is seen"
    read = box.get_by_role("article").filter(has_text="Line 85")
    place = "line => line.getBoundingClientRect().top"
    before = read.evaluate(f"line => {{ line.parentElement.scrollTop = 100; return ({place})(line); }}")
    shows(page, *said[-100:])
    assert read.evaluate(place) == pytest.approx(before, abs=1)
    box.focus()
    page.keyboard.press("Home")
    shows(page, *said)
    expect(box.get_by_role("button", name="Show earlier messages")).to_be_hidden()
    page.keyboard.press("Home")
    expect(box.get_by_text("Line 1", exact=True)).to_be_in_viewport()


def test_what_is_said_while_somebody_reads_above_does_not_move_them(
    visit: Visit, site: Web, gateway: GatewayThread
) -> None:
    """New lines come in below; only a reader at the end goes along."""
    session = new_session(site, "Ada")
    keep(site, session, *(f"Line {number}" for number in range(1, 51)), epoch="earlier")
    page = join(visit(f"/sessions/{session}", who="Ada"))
    expect(log(page).locator(".said-text")).to_have_count(50)
    log(page).evaluate("box => { box.scrollTop = 300; }")
    gateway.do(gateway.fake.say, session, "bo", "New", "new")
    expect(log(page).locator(".said-text")).to_have_count(51)
    assert log(page).evaluate("box => box.scrollTop") == 300
    log(page).evaluate("box => { box.scrollTop = box.scrollHeight; }")
    gateway.do(gateway.fake.say, session, "bo", "Newer", "newer")
    expect(log(page).get_by_text("Newer")).to_be_in_viewport()


def test_the_newest_line_stays_in_view_when_the_log_becomes_smaller(
    visit: Visit, site: Web, gateway: GatewayThread
) -> None:
    """A notice comes above it, a line says that it waits: whoever is at the end stays there."""
    session = new_session(site, "Ada")
    keep(site, session, *(f"Line {number}" for number in range(1, 51)), epoch="earlier")
    page = join(visit(f"/sessions/{session}", who="Ada"))
    expect(log(page).locator(".said-text")).to_have_count(50)
    gateway.fake.is_mute = True
    send_message(page, "The last")
    with away(gateway, session):
        expect(page.locator(".on-its-way")).to_have_text("Waiting for the connection…")
        expect(page.locator(".on-its-way")).to_be_in_viewport(ratio=1)
        gateway.fake.is_mute = False
    is_back(page)
    expect(log(page).get_by_text("You are back.")).to_be_in_viewport(ratio=1)


def test_without_the_web_the_room_is_there_and_earlier_messages_later(visit: Visit, site: Web) -> None:
    """A button says that there is something to show; pressing it shows it above what was said since."""
    session = new_session(site, "Ada")
    keep(site, session, "Earlier")
    first = visit("/", who="Ada")
    visit.expects("503")
    refused = {"error": "No.", "code": "unavailable"}
    first.context.route("**/messages?*", lambda route: route.fulfill(status=503, json=refused))
    page = join(visit.reopened(first, f"/sessions/{session}"))
    send_message(page, "Now")
    expect(page.locator(".pending")).to_have_count(0)
    page.context.unroute("**/messages?*")
    log(page).get_by_role("button", name="Show earlier messages").click()
    shows(page, "Earlier", "Now")


def test_messages_of_other_types_are_not_talk(visit: Visit, site: Web) -> None:
    """Programs keep what they like; what is no text is not shown."""
    session = new_session(site, "Ada")
    odd = MessageToKeep(session, "first", 1, "bot", "1", None, "Bot", "cue", '{"text": "no"}', AN_HOUR_AGO)
    web_messages = PostgresMessages(site.database)
    site.do(
        web_messages.keep([odd, odd._replace(type="chat", payload="[1]"), odd._replace(type="chat", payload="null")])
    )
    keep(site, session, "Yes", at=2)
    page = join(visit(f"/sessions/{session}", who="Ada"))
    shows(page, "Yes")


def test_ones_own_messages_are_ones_own_after_a_reload(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """What an earlier page sent is not sent again, and a new message has an id that no earlier one had."""
    session = new_session(site, "Ada")
    me = user_id(person(site, "Ada"))
    page = join(visit(f"/sessions/{session}", who="Ada"))
    send_message(page, "First")
    expect(page.locator(".pending")).to_have_count(0)
    page.reload()
    join(page)
    send_message(page, "Second")
    expect(page.locator(".pending")).to_have_count(0)
    eventually(lambda: len([key for key in gateway.fake.accepted if key[0] == me]) >= 2, what="two messages")
    assert [each["payload"]["text"] for each in gateway.fake.said[session]] == ["First", "Second"]


def test_a_long_evening_leaves_the_newest_lines(visit: Visit, site: Web) -> None:
    """What was cut comes when somebody asks for it, and so does what was missing in it. A later gap is a gap again."""
    session = new_session(site, "Ada")
    lines = [f"Line {number}" for number in range(1, 2101)]
    keep(site, session, lines[0])
    page = visit(f"/sessions/{session}", who="Ada")
    make_talk(page, session)
    box = page.locator("body > div").last
    visit.expects("503")
    page.route("**/messages?*", lambda route: route.fulfill(status=503, json={"error": "No.", "code": "unavailable"}))
    page.evaluate("talk.connected(); talk.missed()")
    expect(box.get_by_role("button", name="Try again")).to_be_visible()
    keep(site, session, *lines[1:], at=2)
    page.evaluate(HEARS, lines)
    said = box.locator(".said-text")
    assert said.all_text_contents() == lines[101:]
    assert box.locator(":scope > *").count() == 2000, "with the button"
    expect(box.get_by_text("is missing here")).to_have_count(0)
    page.unroute("**/messages?*")
    earlier = box.get_by_role("button", name="Show earlier messages")
    for first in ("Line 101", "Line 51"):
        earlier.click()
        expect(said.first).to_have_text(first)
    assert said.all_text_contents() == lines[50:]
    page.evaluate("talk.connected(); talk.missed()")
    expect(box.locator(":scope > *").last).to_have_text(re.compile("^You were away"))


async def _set(event: trio.Event) -> None:
    event.set()


def test_the_talk_is_read_from_outside_the_room(visit: Visit, site: Web) -> None:
    """What was kept, older talk on scrolling up, and what is said meanwhile; one says something only inside."""
    session = new_session(site, "Ada", "Bo")
    keep(site, session, *(f"Take {number}" for number in range(60)))
    page = visit(f"/sessions/{session}", who="Ada")
    expect(log(page).locator(".said-text").last).to_have_text("Take 59")
    expect(page.get_by_label("Message", exact=True)).to_be_hidden()
    log(page).evaluate("box => box.scrollTo(0, 0)")
    expect(log(page).locator(".said-text")).to_have_count(60)
    keep(site, session, "Anybody there?", at=100)
    expect(log(page).locator(".said-text").last).to_have_text("Anybody there?")
    join(page)
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    expect(log(page).locator(".said-text").last).to_have_text("Anybody there?")
    page.get_by_role("button", name="Leave Room").click()
    expect(page.get_by_label("Message", exact=True)).to_be_hidden()
    expect(log(page).locator(".said-text").last).to_be_visible()


def test_what_the_room_did_not_tell_of_is_counted(visit: Visit, site: Web) -> None:
    """Read from the web after an outage, or from outside: all that is new, but for one's own."""
    session = new_session(site, "Ada")
    keep(site, session, "Before")
    page = visit(f"/sessions/{session}", who="Ada")
    make_talk(page, session)
    keep(site, session, "One", "Two", at=2)
    keep(site, session, "Mine", sender="ada", name="Ada", at=4)
    page.evaluate("window.talk.look()")
    eventually(lambda: page.evaluate("window.counts") == [2], what="two are counted")
