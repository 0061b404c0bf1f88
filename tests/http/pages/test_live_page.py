"""The studio in a real browser, against a fake gateway: come in, see each other, talk, lose the connection, leave."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, expect

from tests.cli.running import eventually
from tests.http.browsing import (
    CHROMIUM,
    Visit,
    join,
    log,
    new_session,
    open_panel,
    person,
    roster,
    send_message,
    stems,
    visiting,
)
from tests.http.running import GatewayThread, Web, running_web
from tests.postgres_server import PostgresServer, fresh_database

ALONE = "Nobody else is here yet. Send them the link."
LOOKS = "document.dispatchEvent(new Event('visibilitychange'))"
"""Somebody comes back to the page, which looks at the session then, as it does now and then."""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


@pytest.fixture
def site(shared_site: Web) -> Web:
    return shared_site


@pytest.fixture
def visit(browser: Browser, site: Web, gateway: GatewayThread) -> Iterator[Visit]:
    gateway.fake.refusal, gateway.fake.is_mute = "", False
    visit = visiting(browser, site, gateway.fake.port)
    yield visit
    visit.check()


def test_two_visitors_meet_talk_and_part(visit: Visit, site: Web) -> None:
    """Each sees the other come, hears what they say under their name, and sees them go."""
    path = f"/sessions/{new_session(site, 'Ada', 'Bo')}"
    ada, bo = join(visit(path, who="Ada")), join(visit(path, who="Bo"))
    expect(log(ada)).to_contain_text("Bo came in.")
    for page in (ada, bo):
        expect(roster(page)).to_have_count(2)
    send_message(bo, "From the bridge?")
    expect(log(ada).get_by_role("article")).to_contain_text("Bo")
    expect(log(ada).get_by_role("article")).to_contain_text("From the bridge?")
    expect(log(bo).get_by_role("article")).to_have_count(1)
    expect(bo.locator(".pending")).to_have_count(0)
    bo.get_by_role("button", name="Leave Room").click()
    expect(log(ada)).to_contain_text("Bo left.")
    expect(roster(ada)).to_have_count(1)
    expect(bo.get_by_role("button", name="Join Room")).to_be_focused()


def test_whoever_is_alone_is_told_to_send_the_link(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """The owner is led to an invite, others can copy the page's address; with company the advice is gone."""
    session = new_session(site, "Ada", "Bo")
    ada = join(visit(f"/sessions/{session}", who="Ada"))
    expect(ada.get_by_text(ALONE)).to_be_visible()
    ada.get_by_role("button", name="Invite somebody").click()
    expect(ada.get_by_role("dialog", name="People in this session")).to_be_visible()
    ada.keyboard.press("Escape")
    gateway.do(gateway.fake.put, session, "Cy")
    expect(ada.get_by_text(ALONE)).to_be_hidden()
    ada.get_by_role("button", name="Leave Room").click()
    gateway.do(gateway.fake.close, session, 1001)
    bo = join(visit(f"/sessions/{session}", who="Bo"))
    expect(bo.get_by_role("button", name="Copy link")).to_be_visible()


def test_the_door_says_who_is_in_there(visit: Visit, site: Web) -> None:
    """Whoever looks at a session sees who is in its room, before they come in, also when somebody comes meanwhile."""
    session = new_session(site, "Ada", "Bo", "Cy")
    page = visit(f"/sessions/{session}", who="Ada")
    expect(page.get_by_text("Nobody is in the room yet. Be the first.")).to_be_visible()
    for name in ("Bo", "Cy"):
        body = {"roomId": session, "memberId": name, "displayName": name}
        assert person(site, name).post("/api/presence", json=body).status_code == 200
    page.reload()
    expect(page.get_by_text("2 people are in the room.")).to_be_visible()
    expect(roster(page)).to_have_text(["BBo", "CCy"])


def test_the_page_shows_who_is_waited_for(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """A member whose connection broke stays in the list, marked; nothing is said in the talk about a moment's break."""
    session = new_session(site, "Ada")
    ada = join(visit(f"/sessions/{session}", who="Ada"))
    bo = {"memberId": "bo", "displayName": "Bo", "status": "active", "connected": True}
    gateway.do(gateway.fake.tell, session, {"type": "presence.join", "payload": bo})
    about = roster(ada).filter(has_text="Bo").locator(".member-about")
    expect(about).to_be_empty()
    gateway.do(gateway.fake.tell, session, {"type": "presence.update", "payload": {**bo, "connected": False}})
    expect(about).to_have_text("reconnecting")
    gateway.do(gateway.fake.tell, session, {"type": "presence.update", "payload": bo})
    expect(about).to_be_empty()
    expect(log(ada).get_by_text("Bo")).to_have_count(1)


def test_the_page_shows_whose_a_member_is(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """Where the name that they have chosen is not their account's: in the list, in what is told, and from outside."""
    session = new_session(site, "Ada", "Bo")
    ada = join(visit(f"/sessions/{session}", who="Ada"))
    members = [
        {"memberId": "m1", "displayName": "Cleo", "status": "active", "account": {"id": "1", "name": "Bo"}},
        {"memberId": "m2", "displayName": "Dee", "status": "away", "account": {"id": "2", "name": "dee"}},
        {"memberId": "m3", "displayName": "Eve", "status": "active"},
    ]
    for member in members:
        gateway.do(gateway.fake.tell, session, {"type": "presence.join", "payload": member})
    expect(roster(ada).filter(has_text="Cleo")).to_contain_text("signed in as Bo")
    expect(roster(ada).filter(has_text="Dee").locator(".member-about")).to_have_text("away")
    expect(roster(ada).filter(has_text="Eve").locator(".member-about")).to_be_empty()
    expect(log(ada)).to_contain_text("Cleo came in, signed in as Bo.")
    expect(log(ada)).to_contain_text("Eve came in.")
    body = {"roomId": session, "memberId": "recorder", "displayName": "Ada"}
    assert person(site, "Bo").post("/api/presence", json=body).status_code == 200
    outside = visit(f"/sessions/{session}", who="Ada")
    expect(roster(outside).filter(has_text="Ada")).to_contain_text("signed in as Bo")


def test_a_lost_connection_comes_back_by_itself(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """After 1001 it waits as long as the reason says, and then the roster is the room's again."""
    session = new_session(site, "Ada")
    page = join(visit(f"/sessions/{session}", who="Ada"))
    gateway.do(gateway.fake.put, session, "Ghost")
    expect(roster(page)).to_have_count(2)
    gateway.do(gateway.fake.close, session, 1001, json.dumps({"reconnectMs": 60_000}))
    expect(page.locator("#notice")).to_have_text(
        re.compile(r"^\s*The studio is restarting. Trying again in (60|5\d) s.")
    )
    page.get_by_label("Message", exact=True).fill("kept")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Message", exact=True)).to_have_value("kept")
    page.get_by_role("button", name="Try now").click()
    expect(log(page)).to_contain_text("You are back.")
    expect(roster(page)).to_have_count(1)
    gateway.do(gateway.fake.close, session, 1001, json.dumps({"reconnectMs": 1}))
    expect(log(page).get_by_text("You are back.")).to_have_count(2)


def test_every_attempt_has_a_ticket_of_its_own(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """The fake gateway lets no ticket in twice: coming back three times takes four, none of them in an address."""
    session = new_session(site, "Ada")
    page = visit(f"/sessions/{session}", who="Ada")
    addresses: list[str] = []
    page.on("websocket", lambda socket: addresses.append(socket.url))
    before = len(gateway.fake.tickets)
    join(page)
    for time in range(1, 4):
        gateway.do(gateway.fake.close, session, 1001, json.dumps({"reconnectMs": 1}))
        expect(log(page).get_by_text("You are back.")).to_have_count(time)
    assert len(gateway.fake.tickets) == before + 4
    assert len(addresses) == 4
    assert not any("ticket" in address for address in addresses)


def test_without_advice_it_backs_off(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """Any other close is tried again within a second, the first time."""
    session = new_session(site, "Ada")
    page = visit("/", who="Ada")
    page.clock.install()
    page.goto(f"{site.url}/sessions/{session}")
    join(page)
    page.clock.pause_at(datetime.now(UTC) + timedelta(seconds=1))
    gateway.do(gateway.fake.close, session, 4008)
    expect(page.locator("#state-words")).to_have_text("Reconnecting…")
    page.clock.run_for(1_000)
    expect(log(page).get_by_text("You are back.")).to_be_visible()


def test_a_gateway_that_is_not_there_is_tried_again(browser: Browser, postgres_process: PostgresServer) -> None:
    """The page says so, keeps trying, by an event stream as well, and lets the visitor give up."""
    with fresh_database(postgres_process) as url, running_web(database_url=url, gateway_port=9) as web:
        visit = visiting(browser, web)
        visit.expects("ERR_UNSAFE_PORT|ERR_CONNECTION_REFUSED|WebSocket connection|status of 503")
        page = visit(f"/sessions/{new_session(web, 'Ada')}", who="Ada")
        page.get_by_role("button", name="Join Room").click()
        expect(page.locator("#notice")).to_contain_text("The studio cannot be reached.")
        expect(page.locator("#state-words")).to_have_text("Reconnecting…")
        page.get_by_role("button", name="Leave Room").click()
        expect(page.get_by_role("button", name="Join Room")).to_be_visible()
        visit.check()


@pytest.mark.parametrize(("code", "words"), [(4001, "another tab"), (4003, "removed"), (4004, "closed")])
def test_some_endings_are_final(visit: Visit, site: Web, gateway: GatewayThread, code: int, words: str) -> None:
    """Replaced, kicked or closed: it says so and stays out, until asked to join again."""
    session = new_session(site, "Ada")
    page = join(visit(f"/sessions/{session}", who="Ada"))
    gateway.do(gateway.fake.close, session, code, json.dumps({"reconnectMs": 1}))
    expect(page.locator("#notice")).to_contain_text(words)
    expect(page.locator("#state-words")).to_have_text("Disconnected")
    eventually(lambda: not gateway.fake.rooms[session], what="the page has left")
    page.get_by_role("button", name="Join again").click()
    expect(page.locator("#state-words")).to_have_text("Together")


def test_whoever_is_removed_learns_that_it_is_shared_no_more(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """The gateway says 4003, the session is not found any more, and the page leads back to the list."""
    session = new_session(site, "Ada", "Bo")
    bo = join(visit(f"/sessions/{session}", who="Bo"))
    visit.expects("404")
    bo_id = person(site, "Bo").get("/api/sessions").json()["currentUserId"]
    assert person(site, "Ada").delete(f"/api/sessions/{session}/collaborators/{bo_id}").status_code == 200
    gateway.do(gateway.fake.close, session, 4003)
    expect(bo.get_by_text("This session is not shared with you any more.")).to_be_visible()
    expect(bo.get_by_role("button", name="Join Room")).to_be_hidden()
    bo.get_by_role("link", name="Your sessions").click()
    expect(bo.get_by_role("heading", name="Your sessions")).to_be_visible()


def test_whoever_is_signed_out_elsewhere_is_led_to_sign_in_again(
    visit: Visit, site: Web, gateway: GatewayThread
) -> None:
    """No ticket without a sign-in: instead of trying for ever the page says so, and leads back here afterwards.

    What was seen there is told no more.
    """
    session = new_session(site, "Ada")
    page = join(visit(f"/sessions/{session}", who="Ada"))
    visit.expects("401")
    page.context.clear_cookies()
    gateway.do(gateway.fake.close, session, 1001, json.dumps({"reconnectMs": 1}))
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    told: list[str] = []
    page.on("request", lambda request: told.append(request.url) if request.url.endswith("/seen") else None)
    page.get_by_role("link", name="Sign in again").click()
    expect(page.get_by_role("button", name="Continue with email")).to_be_visible()
    assert told == []
    assert page.url.endswith(f"/signin?callbackUrl=%2Fsessions%2F{session}")


def test_a_deleted_session_says_so_in_its_room(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """Told by the room, before the connection is closed; also where the panel is folded, as it stays elsewhere.

    What is looked up afterwards gives no other reason.
    """
    session = new_session(site, "Ada", "Bo")
    bo = join(visit(f"/sessions/{session}", who="Bo"))
    bo.get_by_role("button", name="Panel", exact=True).click()
    expect(log(bo)).to_be_hidden()
    assert person(site, "Ada").delete(f"/api/sessions/{session}").status_code == 200
    gateway.do(gateway.fake.tell, session, {"type": "session.deleted", "payload": {"sessionId": session}})
    expect(bo.get_by_text("This session was deleted.")).to_be_visible()
    expect(bo.get_by_role("link", name="Your sessions")).to_be_focused()
    assert bo.evaluate("localStorage.getItem('omnisonic.panel')") == "folded"
    visit.expects("404")  # that it was seen is told whenever the page is turned to
    bo.evaluate(LOOKS)
    bo.evaluate("fetch('/about')")
    expect(bo.get_by_text("This session was deleted.")).to_be_visible()
    eventually(lambda: not gateway.fake.rooms[session], what="the page has left")


def test_a_renamed_session_is_renamed_for_all(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """The name and the tempo follow what the room is told; outside of it, and on coming in, they are looked up."""
    session = new_session(site, "Ada", "Bo")
    bo, ada = visit(f"/sessions/{session}", who="Bo"), person(site, "Ada")
    tempo = bo.locator("#tempo")
    bo_id = person(site, "Bo").get("/api/sessions").json()["currentUserId"]
    role = f"/api/sessions/{session}/collaborators/{bo_id}"
    assert ada.patch(f"/api/sessions/{session}", json={"tempoBpm": 100}).status_code == 200
    assert ada.patch(role, json={"role": "listener"}).status_code == 200
    bo.evaluate(LOOKS)
    expect(tempo).to_have_text("100")
    expect(bo.get_by_text("You are a listener in this session now.")).to_be_visible()
    assert ada.patch(role, json={"role": "editor"}).status_code == 200
    assert ada.patch(f"/api/sessions/{session}", json={"tempoBpm": 90}).status_code == 200
    join(bo)
    expect(tempo).to_have_text("90")
    expect(bo.get_by_text("You are a listener in this session now.")).to_be_hidden()
    change = {"name": "Dawn jam", "tempoBpm": 98.5, "beatsPerBar": 7}
    assert ada.patch(f"/api/sessions/{session}", json=change).status_code == 200
    payload = {"id": session, **change}
    gateway.do(gateway.fake.tell, session, {"type": "session.updated", "payload": payload, "from": None})
    expect(bo.get_by_role("heading", name="Dawn jam")).to_be_visible()
    expect(bo.get_by_role("group", name="Tempo and metre")).to_have_text(
        re.compile(r"98\.5\s*BPM\s*7\s*/4\s*beats a bar")
    )
    open_panel(bo, "Activity")  # what Ada has done may be counted as new in the title
    expect(bo).to_have_title("Dawn jam · Omnisonic Studio")


def test_what_nobody_in_the_room_said_is_not_put_in_a_mouth(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """A message from outside is shown as an event."""
    session = new_session(site, "Ada")
    page = join(visit(f"/sessions/{session}", who="Ada"))
    gateway.do(gateway.fake.tell, session, {"type": "chat", "payload": {"text": "Take 3 is up."}, "from": None})
    expect(log(page).locator(".event").last).to_have_text("Take 3 is up.")
    expect(log(page).get_by_role("article")).to_have_count(0)


def test_what_a_member_says_is_no_news_of_the_studio(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """Whatever type a message has: when a member has sent it, it changes nothing but the talk."""
    session = new_session(site, "Ada", "Bo")
    page = join(visit(f"/sessions/{session}", who="Ada"))
    gateway.do(gateway.fake.put, session, "Bo")
    author = {"id": "id-Cy", "name": "Cy"}
    upload = {"id": "one", "sessionId": session, "userId": "id-Cy", "mimeType": "audio/wav", "takeOf": "one"}
    for type_, payload in [
        ("upload.x", upload),
        ("comment.x", {"id": "two", "author": author, "text": "Out of tune.", "atBeat": 4, "parentId": None}),
        ("marker.x", {"id": "three", "name": "Nowhere", "atBeat": 4, "endBeat": None}),
        ("session.x", None),
    ]:
        gateway.do(gateway.fake.relay, session, "id-Bo", type_, payload)
    gateway.do(gateway.fake.say, session, "id-Bo", "Hear me?")
    expect(log(page).get_by_role("article")).to_contain_text("Hear me?")
    expect(stems(page)).to_have_count(0)
    expect(page.get_by_text("Nowhere")).to_have_count(0)
    expect(log(page)).not_to_contain_text("wrote a comment")


def test_whoever_has_loaded_the_page_again_leaves_no_ghost(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """The room has kept their seat, and so where they were and what they recorded: both are over."""
    session = new_session(site, "Ada")
    page = visit(f"/sessions/{session}", who="Ada")
    me = str(page.locator("#main").get_attribute("data-person"))
    recording: dict[str, object] = {
        "id": "one",
        "trackId": None,
        "name": "Take",
        "atSeconds": 0,
        "seconds": 1,
        "peaks": [],
    }
    for key, value in [("place", {"playing": True}), ("recording", recording)]:
        gateway.do(gateway.fake.share, session, me, f"{key}.{me}", value)
    join(page)
    eventually(lambda: not len(gateway.fake.states[session]), what="the room has neither")


def test_whoever_leaves_takes_along_what_is_theirs(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """Where somebody listens alone is in the room as long as they are."""
    session = new_session(site, "Ada")
    page = join(visit(f"/sessions/{session}", who="Ada"))
    page.locator("#company > summary").click()
    page.get_by_role("button", name="Listen alone").click()
    eventually(lambda: len(gateway.fake.states[session]) == 1, what="the room knows the place")
    page.get_by_role("button", name="Leave Room").click()
    eventually(lambda: not len(gateway.fake.states[session]), what="the room knows it no more")


def test_sound_that_could_not_be_loaded_is_loaded_by_the_next_press(visit: Visit, site: Web) -> None:
    """A connection that fails while the page is loaded does not leave it silent."""
    visit.expects("ERR_FAILED")
    page = visit(f"/sessions/{new_session(site, 'Ada')}", who="Ada")
    player = "**/sound/player.js"
    page.route(player, lambda route: route.abort())
    page.reload()
    expect(page.get_by_text("The sound could not be loaded.")).to_be_visible()
    page.unroute(player)
    transport = page.get_by_role("group", name="Transport")
    transport.get_by_role("button", name="Click", exact=True).click()
    transport.get_by_role("button", name="Play", exact=True).click()
    expect(page.locator("#transport")).to_have_attribute("data-player", re.compile("playing|ended"))


def test_whoever_is_turned_away_is_told_why_at_the_door(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """The gateway's sentence appears in the form, and nothing is tried again."""
    page = visit(f"/sessions/{new_session(site, 'Ada')}", who="Ada")
    gateway.fake.refusal = "This room is full."
    page.get_by_role("button", name="Join Room").click()
    expect(page.get_by_role("alert").filter(visible=True)).to_have_text("This room is full.")
    expect(page.get_by_role("button", name="Join Room")).to_be_visible()


def test_a_name_is_needed_and_remembered(visit: Visit, site: Web) -> None:
    """Without one the page says so and puts the cursor there; the one that was used last is offered again."""
    page = visit(f"/sessions/{new_session(site, 'Ada')}", who="Ada")
    expect(page.get_by_label("Shown as")).to_have_value("Ada")
    page.get_by_label("Shown as").fill(" ")
    page.get_by_role("button", name="Join Room").click()
    expect(page.get_by_role("alert").filter(visible=True)).to_have_text("Type the name that the others see.")
    expect(page.get_by_label("Shown as")).to_be_focused()
    join(page, "Countess")
    expect(roster(page)).to_contain_text("Countess")
    page.reload()
    expect(page.get_by_label("Shown as")).to_have_value("Countess")


def test_markup_stays_text(visit: Visit, site: Web) -> None:
    """Names and messages that look like HTML are shown as they were typed, and run nothing."""
    evil = "<img src=x onerror=alert(1)>"
    path = f"/sessions/{new_session(site, 'Ada', 'Bo', name=evil)}"
    ada = join(visit(path, who="Ada"))
    bo = join(visit(path, who="Bo"), evil)
    send_message(bo, f"{evil}</p><script>alert(2)</script>")
    expect(ada.get_by_role("heading", name=evil)).to_be_visible()
    expect(log(ada)).to_contain_text(f"{evil} came in.")
    expect(log(ada).get_by_role("article")).to_contain_text("<script>alert(2)</script>")
    expect(log(ada).locator(".said-text")).to_have_attribute("dir", "auto")
    expect(roster(ada).last).to_contain_text(evil)
    assert ada.locator("body img, body script").count() == 0


def test_a_message_that_was_refused_can_be_sent_again(visit: Visit, site: Web) -> None:
    """It is shown at once, then marked with the gateway's sentence. It stays also for who leaves and comes back."""
    page = join(visit(f"/sessions/{new_session(site, 'Ada')}", who="Ada"))
    send_message(page, "forbidden")
    expect(page.locator(".unsent")).to_contain_text("Not sent. Slow down a little.")
    page.get_by_role("button", name="Send again").click()
    expect(page.locator(".unsent")).to_have_count(1)
    expect(log(page).get_by_role("article")).to_have_count(1)
    page.get_by_role("button", name="Leave Room").click()
    join(page)
    expect(log(page).get_by_role("article")).to_have_count(1)
    page.get_by_role("button", name="Send again").click()
    expect(page.locator(".unsent")).to_contain_text("Not sent. Slow down a little.")


def test_a_message_on_its_way_when_somebody_is_taken_out_is_marked(
    visit: Visit, site: Web, gateway: GatewayThread
) -> None:
    """Nothing is sent again by itself then: it says so instead of pretending, and sending again works."""
    session = new_session(site, "Ada")
    page = join(visit(f"/sessions/{session}", who="Ada"))
    gateway.fake.is_mute = True
    send_message(page, "hello?")
    expect(page.locator(".pending")).to_have_count(1)
    gateway.do(gateway.fake.close, session, 4001, "replaced")
    expect(page.locator(".unsent")).to_contain_text("The connection was lost.")
    gateway.fake.is_mute = False
    page.get_by_role("button", name="Join again").click()
    expect(page.locator("#state-words")).to_have_text("Together")
    page.get_by_role("button", name="Send again").click()
    expect(page.locator(".unsent, .pending")).to_have_count(0)
    gateway.fake.is_mute = True
    send_message(page, "bye?")
    page.get_by_role("button", name="Leave Room").click()
    expect(page.locator(".unsent")).to_contain_text("The connection was lost.")


def test_a_room_that_moves_goes_on(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """Nobody is disconnected. Who came and went is told, and what was not answered arrives."""
    session = new_session(site, "Ada")
    page = join(visit(f"/sessions/{session}", who="Ada"))
    for name in ("Bo", "Cy"):
        gateway.do(gateway.fake.put, session, name)
    expect(roster(page)).to_have_count(3)
    gateway.fake.is_mute = True
    send_message(page, "Take 3?")
    expect(page.locator(".pending")).to_have_count(1)
    gateway.fake.is_mute = False
    gateway.do(gateway.fake.move, session, "Di")
    expect(page.locator(".unsent, .pending")).to_have_count(0)
    for words in ("Bo left.", "Cy left.", "Di came in."):
        expect(log(page)).to_contain_text(words)
    expect(log(page)).not_to_contain_text("You are back.")
    expect(log(page).get_by_role("article")).to_have_count(1)
    expect(roster(page)).to_have_count(2)
    expect(page.locator("#state-words")).to_have_text("Together")


def test_a_room_that_is_degraded_says_so_calmly(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """In the place of the connection's state, and in the talk; until it is restored, or the room has moved."""
    session = new_session(site, "Ada")
    page = join(visit(f"/sessions/{session}", who="Ada"))
    state = page.locator("#state-words")
    gateway.do(gateway.fake.tell, session, {"type": "room.degraded", "payload": None})
    expect(state).to_have_text("Not everyone can be heard")
    expect(log(page)).to_contain_text("Some people in this room cannot be heard right now.")
    expect(page.locator("#state")).to_have_attribute("data-state", "connected")
    gateway.do(gateway.fake.tell, session, {"type": "room.restored", "payload": None})
    expect(state).to_have_text("Together")
    gateway.do(gateway.fake.tell, session, {"type": "room.degraded", "payload": None})
    expect(state).to_have_text("Not everyone can be heard")
    gateway.do(gateway.fake.move, session)
    expect(state).to_have_text("Together")


def test_whoever_looks_elsewhere_is_away(visit: Visit, site: Web) -> None:
    """When the page is hidden the room is told, and when it is back too."""
    path = f"/sessions/{new_session(site, 'Ada', 'Bo')}"
    ada, bo = join(visit(path, who="Ada")), join(visit(path, who="Bo"))
    hide = """hidden => {
        const value = hidden ? "hidden" : "visible";
        Object.defineProperty(document, "visibilityState", { value, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    bo.evaluate(hide, True)
    expect(roster(ada).last).to_contain_text("away")
    bo.evaluate(hide, False)
    expect(roster(ada).last).not_to_contain_text("away")


def test_how_exactly_the_servers_clock_is_known_is_shown(visit: Visit, site: Web) -> None:
    """Half of a heartbeat's round trip, in milliseconds."""
    page = join(visit(f"/sessions/{new_session(site, 'Ada')}", who="Ada"))
    expect(page.locator("#latency")).to_have_text(re.compile(r"^· ±\d+ ms$"))


@pytest.mark.parametrize("width", [360, 1280])
def test_thirty_members_with_long_names_fit(visit: Visit, site: Web, gateway: GatewayThread, width: int) -> None:
    """Nothing sticks out of the screen, and the controls stay on it."""
    session = new_session(site, "Ada", name="W" * 120)
    page = join(visit(f"/sessions/{session}", who="Ada", width=width, height=640), "W" * 64)
    for number in range(29):
        name, status = f"Bartholomew-Featherstonehaugh {number}", "away" if number % 3 else "active"
        gateway.do(gateway.fake.put, session, name, status)
    send_message(open_panel(page), "W" * 400)
    expect(page.locator("#count")).to_have_text("30")
    expect(roster(page)).to_have_count(30)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("document.documentElement.scrollHeight") <= 640
    # On a phone the invitation is in a menu.
    for button in ("Send", "Leave Room", "Invite")[: 3 if width > 900 else 2]:
        expect(page.get_by_role("button", name=button, exact=True)).to_be_in_viewport(ratio=1)


def test_the_same_member_has_the_same_colour_on_every_screen(visit: Visit, site: Web) -> None:
    """Colours come from the person's id, not from who looks; the menus drawn by the server have the same one."""
    path = f"/sessions/{new_session(site, 'Ada', 'Bo')}"
    ada, bo = join(visit(path, who="Ada")), join(visit(path, who="Bo"))
    expect(roster(bo)).to_have_count(2)
    mine, theirs = (page.locator("#roster .avatar", has_text="A").get_attribute("class") for page in (ada, bo))
    assert mine == theirs == ada.locator("#stack .avatar", has_text="A").get_attribute("class")
    assert f'<span class="{mine}" aria-hidden="true">A</span>' in person(site, "Ada").get("/sessions").text
