"""The other pages in a real browser: signing in, the list, sharing, changing, deleting; by keyboard, on a phone."""

import re
from collections.abc import Iterator
from functools import partial
from typing import Final

import httpx
import pytest
from playwright.sync_api import APIResponse, Browser, Page, Route, expect

from tests.cli.running import eventually
from tests.http.browsing import CHROMIUM, Visit, invite_to, join, new_session, person, visiting
from tests.http.pages.controls import assert_named, boxes
from tests.http.running import GatewayThread, Web, running_web
from tests.http.sounds import wav
from tests.postgres_server import PostgresServer, fresh_database

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


@pytest.fixture
def site(shared_site: Web) -> Web:
    shared_site.presence.rooms.clear()
    shared_site.bus.trouble.kind = shared_site.presence.trouble.kind = ""
    shared_site.forget_everybody()
    return shared_site


@pytest.fixture
def visit(browser: Browser, site: Web, gateway: GatewayThread) -> Iterator[Visit]:
    visit = visiting(browser, site, gateway.fake.port)
    yield visit
    visit.check()


def is_focused(page: Page, role: str, name: str) -> bool:
    """Whether the keyboard is at this control."""
    control = page.get_by_role(role, name=name, exact=True)  # type: ignore[arg-type]
    return bool(control.first.evaluate("control => control === document.activeElement"))


def tab_to(page: Page, role: str, name: str) -> None:
    """Press Tab until the control has the focus; not before it can have it, which may need the page's script."""
    control = page.get_by_role(role, name=name, exact=True).first  # type: ignore[arg-type]
    expect(control).to_be_visible()
    expect(control.locator("xpath=ancestor-or-self::*[@inert]")).to_have_count(0)
    for _ in range(40):
        if is_focused(page, role, name):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab never reached {name}")


def test_a_new_musician_gets_to_a_session_by_keyboard_alone(visit: Visit, site: Web) -> None:
    """Sign in, make a session, open it, walk in, talk, leave, sign out: Tab, type and Enter are enough."""
    page, keys = visit(), visit.pages[0].keyboard
    tab_to(page, "link", "Sign in")
    keys.press("Enter")
    expect(page.get_by_label("Email")).to_be_focused()
    keys.type("ada@example.com")
    keys.press("Tab")
    keys.type("correct horse battery")
    keys.press("Enter")
    expect(page.get_by_role("heading", name="Your sessions")).to_be_visible()
    assert page.url == f"{site.url}/sessions"
    tab_to(page, "textbox", "New session name")
    keys.type("Night jam")
    keys.press("Enter")
    expect(page.get_by_role("heading", name="Night jam")).to_be_visible()
    tab_to(page, "button", "Join Room")
    keys.press("Enter")
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    keys.type("one")
    keys.press("Shift+Enter")
    keys.type("two")
    keys.press("Enter")
    expect(page.locator(".said-text")).to_have_text("one\ntwo")
    for _ in range(20):
        keys.press("Shift+Tab")
        if is_focused(page, "button", "Leave Room"):
            break
    keys.press("Enter")
    expect(page.get_by_role("button", name="Join Room")).to_be_focused()
    page.get_by_role("link", name="All sessions").focus()
    keys.press("Enter")
    expect(page.get_by_role("heading", name="Your sessions")).to_be_visible()
    page.wait_for_load_state()  # Escape is the script's
    page.locator("summary[aria-label^=Account]").focus()
    keys.press("Enter")
    keys.press("Tab")
    assert is_focused(page, "button", "Sign out")
    keys.press("Escape")
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
    keys.press("Enter")
    keys.press("Tab")
    keys.press("Enter")
    expect(page.get_by_role("link", name="Sign in").first).to_be_visible()
    page.goto(f"{site.url}/sessions")
    expect(page.get_by_role("button", name="Continue with email")).to_be_visible()


def test_making_a_session_lands_in_it_and_the_list_says_what_is_new_there(visit: Visit, site: Web) -> None:
    """The last active first, what is unread in words, and found by a part of the name, with a script or without."""
    page = visit("/sessions", who="Ada")
    expect(page.get_by_text("No sessions yet.")).to_be_visible()
    expect(page.get_by_role("search")).to_be_hidden()
    page.get_by_placeholder("New session name").fill("One")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name="One")).to_be_visible()
    one = page.url.rpartition("/")[2]
    page.go_back()
    expect(page.get_by_role("listitem").locator(".session-name")).to_have_text(["One"])
    new_session(site, "Ada", name="Two")
    returns(page)
    names, links = page.locator(".session-name"), page.get_by_role("link", name="Open session")
    expect(names).to_have_text(["Two", "One"])
    expect(links.first).to_have_accessible_description("Two")

    links.last.focus()  # before there is news: the list may be read at any time
    person(site, "Bo").post(f"/api{invite_to(site, 'Ada', one)}")
    stem = person(site, "Bo").post("/api/upload", data={"sessionId": one}, files={"file": ("bass.wav", wav(0.1))})
    peaks = "UPDATE uploads SET peaks = decode(repeat('20ff', 500), 'hex'), sample_rate = 48000, duration_seconds = 1"
    site.do(site.database.row(peaks))
    returns(page)
    expect(links.last).to_have_accessible_description("One 2 new")
    expect(names).to_have_text(["Two", "One"])  # nothing moves under the keyboard
    page.get_by_label("Search sessions").focus()
    expect(names).to_have_text(["One", "Two"])
    cover = page.get_by_role("listitem").first.locator("img")
    expect(cover).to_have_attribute("src", f"/api/upload/{stem.json()['upload']['id']}/cover")
    page.wait_for_function("picture => picture.complete && picture.naturalWidth === 96", arg=cover.element_handle())

    page.keyboard.type("tw")
    expect(names).to_have_text(["Two"])
    expect(page.locator("#news")).to_have_text("1 session.")
    assert page.url.endswith("/sessions?q=tw")
    page.reload()
    expect(names).to_have_text(["Two"])
    page.get_by_label("Search sessions").fill("three")
    expect(page.get_by_text("No session has that in its name.")).to_be_visible()
    page.get_by_role("link", name="Show all sessions").click()
    expect(names).to_have_text(["One", "Two"])
    person(site, "Ada").post(f"/api/sessions/{one}/seen")
    returns(page)
    expect(page.locator(".session-unread").first).to_be_empty()

    plain = visit("/sessions?q=ON", who="Ada", java_script_enabled=False)
    expect(plain.locator(".session-name")).to_have_text(["One"])


def returns(page: Page) -> None:
    """As if somebody came back to the page, which looks up what is new."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_what_cannot_be_made_says_why(visit: Visit) -> None:
    """The API's sentence is shown at the field, and what was typed stays."""
    page = visit("/sessions", who="Ada")
    visit.expects("400")
    page.get_by_placeholder("New session name").evaluate("field => field.removeAttribute('maxlength')")
    page.get_by_placeholder("New session name").fill("x" * 121)
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("at most 120 characters")
    expect(page.get_by_placeholder("New session name")).to_have_value("x" * 121)


def test_a_search_is_answered_whatever_is_looked_at_meanwhile(visit: Visit, site: Web) -> None:
    """What is new is looked up now and then, which takes nothing from a search; one that failed is made again."""
    for name in ("One", "Two"):
        new_session(site, "Ada", name=name)
    page = visit("/sessions", who="Ada")
    names = page.locator(".session-name")
    routes: list[Route] = []
    page.route("**/api/sessions?*q=two*", lambda route: routes.append(route))
    search = page.get_by_label("Search sessions")
    for ending in ("fails", "is answered"):
        with page.expect_request("**/api/sessions?*q=two*"):  # by the Enter, or a moment after the last letter
            search.fill("two")
            search.press("Enter")
        returns(page)
        if ending == "fails":
            visit.expects("ERR_FAILED")
            routes.pop().abort()
            expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("The studio cannot be reached.")
            expect(names).to_have_text(["Two", "One"])
        else:
            routes.pop().continue_()
    expect(names).to_have_text(["Two"])
    expect(page.locator("#news")).to_have_text("1 session.")
    assert page.url.endswith("/sessions?q=two")


def test_the_list_shows_more_when_asked(visit: Visit, site: Web) -> None:
    """Fifty at first, then the rest, in order, and the keyboard goes on where the new ones begin."""
    ada = person(site, "Ada")
    for number in range(53):
        ada.post("/api/sessions", json={"name": f"Take {number}"})
    page = visit("/sessions", who="Ada")
    lines = page.get_by_role("listitem")
    expect(lines).to_have_count(50)
    page.get_by_role("link", name="Show more").click()
    expect(lines).to_have_count(53)
    expect(page.get_by_role("link", name="Show more")).to_be_hidden()
    expect(lines.nth(50).get_by_role("link")).to_be_focused()
    assert lines.locator(".session-name").all_inner_texts() == [f"Take {number}" for number in range(52, -1, -1)]


def test_the_list_follows_what_happens(visit: Visit, site: Web) -> None:
    """Back at the page, who is in the rooms is counted anew, new sessions are there and deleted ones are gone."""
    first, second = new_session(site, "Ada", name="First"), new_session(site, "Ada", name="Second")
    page = visit("/sessions", who="Ada")
    expect(page.get_by_role("listitem")).to_have_count(2)
    ada = person(site, "Ada")
    ada.post("/api/presence", json={"roomId": first, "memberId": "m", "displayName": "Bo"})
    ada.delete(f"/api/sessions/{second}")
    new_session(site, "Bo", "Ada", name="Third")
    returns(page)
    expect(page.get_by_role("listitem").locator(".session-name")).to_have_text(["Third", "First"])
    expect(page.get_by_role("listitem").first).to_contain_text("Shared by Bo")
    expect(page.get_by_role("listitem").last).to_contain_text("1 in the room")


def test_a_list_whose_sign_in_has_ended_leads_to_a_new_one(visit: Visit) -> None:
    """With a sentence, and back to the list."""
    page = visit("/sessions", who="Ada")
    visit.expects("401")
    page.get_by_placeholder("New session name").fill("Late")
    page.context.clear_cookies()
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("alert")).to_have_text("Sign in first, and you get to the page you asked for.")
    assert page.url.endswith("callbackUrl=%2Fsessions")


def test_the_owner_renames_in_place(visit: Visit, site: Web) -> None:
    """The heading becomes a field and back; Escape changes nothing, a bad name says why."""
    page = visit(f"/sessions/{new_session(site, 'Ada')}", who="Ada")
    page.get_by_label("More").click()
    page.get_by_role("button", name="Rename").click()
    field = page.get_by_label("Session name", exact=True)
    expect(field).to_be_focused()
    expect(field).to_have_value("Night jam")
    field.fill("Nope")
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="Night jam")).to_be_focused()
    page.get_by_label("More").click()
    page.get_by_role("button", name="Rename").click()
    field.fill("Dawn jam")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Dawn jam")).to_be_visible()
    expect(page).to_have_title("Dawn jam · Omnisonic Studio")
    page.reload()
    expect(page.get_by_role("heading", name="Dawn jam")).to_be_visible()


def test_the_owner_sets_the_tempo(visit: Visit, site: Web) -> None:
    """A number is kept when the field is left; one that is no tempo is refused and put back."""
    page = visit(f"/sessions/{new_session(site, 'Ada')}", who="Ada")
    page.get_by_label("BPM").fill("98.5")
    page.get_by_label("beats a bar").fill("7")
    page.keyboard.press("Enter")
    expect(page.get_by_label("BPM")).to_have_value("98.5")
    page.get_by_label("BPM").fill("1000")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(visible=True)).to_have_text("A tempo goes from 20 to 400.")
    expect(page.get_by_label("BPM")).to_have_value("98.5")
    page.reload()
    expect(page.get_by_label("BPM")).to_have_value("98.5")
    expect(page.get_by_label("beats a bar")).to_have_value("7")
    read: list[tuple[Route, APIResponse]] = []
    page.route("**/api/sessions?id=*", lambda route: read.append((route, route.fetch())))
    returns(page)
    eventually(lambda: bool(page.evaluate("true") and read), what="the session is read")
    page.get_by_label("BPM").fill("140")
    with page.expect_response(lambda response: response.request.method == "PATCH"):
        page.keyboard.press("Enter")
    late, answer = read[0]
    with page.expect_response("**/api/sessions?id=*"):
        late.fulfill(response=answer)
    page.evaluate("new Promise(requestAnimationFrame)")
    expect(page.get_by_label("BPM")).to_have_value("140")  # what was read is older


def test_a_change_that_waits_for_another_is_made_when_the_page_is_left(visit: Visit, site: Web) -> None:
    """The first is still unanswered then; the browser sends the second all the same."""
    session = new_session(site, "Ada")
    page = visit(f"/sessions/{session}", who="Ada")
    held: list[Route] = []
    page.route(lambda url: url.endswith(f"/api/sessions/{session}"), lambda route: held.append(route), times=1)
    page.get_by_label("BPM").fill("98.5")
    page.keyboard.press("Enter")
    eventually(lambda: bool(page.title() and held), what="the tempo is asked for")
    assert held[0].request.method == "PATCH"
    page.get_by_label("beats a bar").fill("7")
    page.keyboard.press("Enter")

    def beats_per_bar() -> object:
        row = site.do(site.database.row("SELECT beats_per_bar FROM sessions WHERE id = $1", session))
        return row and row["beats_per_bar"]

    assert beats_per_bar() == 4
    page.goto(f"{site.url}/about")
    eventually(lambda: beats_per_bar() == 7, what="the metre is set")


@pytest.mark.parametrize("width", [320, 390])
def test_on_a_phone_the_owner_sets_the_tempo_in_the_menu(visit: Visit, site: Web, width: int) -> None:
    """There is no room for it beside the transport. What was typed counts, also when the menu is left by a tap."""
    session = new_session(site, "Ada")
    page = visit(f"/sessions/{session}", who="Ada", width=width, height=760, has_touch=True, is_mobile=True)
    tempo = page.get_by_label("BPM")
    expect(page.locator("#acts")).not_to_have_attribute("inert", "")
    expect(tempo).to_be_hidden()
    page.get_by_label("More").tap()
    tempo.fill("98.5")
    expect(tempo).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.get_by_label("beats a bar").tap()
    page.get_by_label("beats a bar").fill("7")
    page.locator("#timeline-scroller").tap(position={"x": width / 2, "y": 400})
    expect(tempo).to_be_hidden()
    mine = person(site, "Ada")

    def is_kept() -> bool:
        kept = mine.get("/api/sessions", params={"id": session}).json()["session"]
        return (kept["tempoBpm"], kept["beatsPerBar"]) == (98.5, 7)

    eventually(is_kept, what="both are kept")
    page.set_viewport_size({"width": 900, "height": 760})
    expect(page.get_by_role("group", name="Transport").get_by_label("BPM")).to_have_value("98.5")


def test_what_is_refused_stays_refused_when_an_earlier_change_is_answered(visit: Visit, site: Web) -> None:
    """The answer to a change that was right does not hide the sentence about one that was not."""
    page = visit(f"/sessions/{new_session(site, 'Ada')}", who="Ada")
    held: list[Route] = []
    page.route("**/api/sessions/*", lambda route: held.append(route))
    page.get_by_label("BPM").fill("98.5")
    with page.expect_request("**/api/sessions/*"):
        page.keyboard.press("Enter")
    page.get_by_label("beats a bar").fill("1000")
    page.keyboard.press("Enter")
    refused = page.get_by_role("alert").filter(visible=True)
    expect(refused).to_have_text("A bar goes from 1 to 32.")
    with page.expect_response("**/api/sessions/*"):
        held[0].continue_()
    expect(page.get_by_label("BPM")).to_have_value("98.5")
    expect(refused).to_have_text("A bar goes from 1 to 32.")


def test_an_invite_link_brings_somebody_in(visit: Visit, site: Web) -> None:
    """Made in the dialog; whoever opens it signs up on the way, sees what it offers, accepts, and is in the studio."""
    page = visit(f"/sessions/{new_session(site, 'Ada')}", who="Ada")
    page.get_by_role("button", name="Invite", exact=True).click()
    page.get_by_role("button", name="Make an invite link").click()
    expect(page.get_by_text(re.compile("Good until .*, for as many as accept it."))).to_be_visible()
    link = page.get_by_label("Invite link").input_value()
    bo = visit(link.removeprefix(site.url))
    bo.get_by_label("Email").fill("bo@example.com")
    bo.get_by_label("Password").fill("correct horse battery")
    bo.get_by_role("button", name="Continue with email").click()
    expect(bo.get_by_text("Ada invites you to this session.")).to_be_visible()
    bo.get_by_role("button", name="Accept invite").click()
    expect(bo.get_by_text("Shared by Ada")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Invite", exact=True).click()
    expect(page.get_by_role("list", name="People").get_by_role("listitem")).to_have_count(2)
    expect(page.get_by_role("list", name="People")).to_contain_text("bo@example.com")


def test_invites_are_withdrawn_by_keyboard(visit: Visit, site: Web) -> None:
    """One by one, or all; the focus goes on to what is there, and the links lead nowhere."""
    session = new_session(site, "Ada")
    links = [invite_to(site, "Ada", session) for _ in range(3)]
    page = visit(f"/sessions/{session}", who="Ada")
    page.get_by_role("button", name="Invite", exact=True).press("Enter")
    lines = page.get_by_role("list", name="Open invites").get_by_role("listitem")
    expect(lines).to_have_count(3)
    page.get_by_role("button", name="Withdraw the invite").first.press("Enter")
    expect(lines).to_have_count(2)
    expect(page.get_by_role("button", name="Withdraw the invite").first).to_be_focused()
    expect(page.get_by_text("The invite is withdrawn")).to_be_visible()
    assert [person(site, "Bo").get(f"/api{link}").status_code for link in links] == [200, 200, 404]
    page.get_by_role("button", name="Withdraw all").press("Enter")
    expect(lines).to_have_count(0)
    expect(page.get_by_role("button", name="Make an invite link")).to_be_focused()
    assert [person(site, "Bo").get(f"/api{link}").status_code for link in links] == [404, 404, 404]


def test_the_link_is_copied(visit: Visit, site: Web) -> None:
    """To the clipboard, and the button says so."""
    page = visit(f"/sessions/{new_session(site, 'Ada')}", who="Ada", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Invite", exact=True).click()
    page.get_by_role("button", name="Make an invite link").click()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.get_by_label("Invite link").input_value()


def test_the_owner_removes_somebody(visit: Visit, site: Web) -> None:
    """Asked twice, then they are gone from the list, and so are the links."""
    session = new_session(site, "Ada", "Bo", "Cy")
    page = visit(f"/sessions/{session}", who="Ada")
    page.get_by_role("button", name="Invite", exact=True).click()
    people = page.get_by_role("list", name="People").get_by_role("listitem")
    expect(people).to_have_count(3)
    page.get_by_role("button", name="Remove: Bo").click()
    expect(people).to_have_count(3)
    page.get_by_role("button", name="Remove for good: Bo").click()
    expect(people).to_have_count(2)
    expect(page.get_by_text("Bo is removed")).to_be_visible()
    assert person(site, "Bo").get(f"/sessions/{session}").status_code == 404


def test_the_owner_gives_roles_and_passes_the_session_on(visit: Visit, site: Web) -> None:
    """An invite says for whom it is, a role changes where the people are listed, and ownership takes two presses."""
    session = new_session(site, "Ada", "Bo")
    page = visit(f"/sessions/{session}", who="Ada")
    page.get_by_role("button", name="Invite", exact=True).click()
    expect(page.get_by_label("Role of Bo")).to_be_visible()  # from now on nothing moves
    page.get_by_role("radio", name="Listener").check(force=True)
    page.get_by_role("button", name="Make an invite link").click()
    expect(page.get_by_role("list", name="Open invites")).to_contain_text("for listeners")
    link = httpx.URL(page.get_by_label("Invite link").input_value()).path
    assert person(site, "Cy").post(f"/api{link}").json()["session"]["role"] == "listener"
    with page.expect_response("**/collaborators/*"):
        page.get_by_label("Role of Bo").select_option("listener")
    assert person(site, "Bo").get(f"/api/sessions?id={session}").json()["session"]["role"] == "listener"
    page.get_by_role("button", name="Make owner: Bo").click()
    page.get_by_role("button", name="Hand it over: Bo").click()
    expect(page.get_by_text("Shared by Bo")).to_be_visible()
    assert person(site, "Bo").get(f"/api/sessions?id={session}").json()["session"]["role"] == "owner"


def test_a_listener_is_offered_nothing_that_would_be_refused(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """No files, no rendering, a mix to look at; a drop is answered in words, and the page says when that is over."""
    session = new_session(site, "Ada", "Bo")
    ada, bo_id = person(site, "Ada"), person(site, "Bo").get("/api/sessions").json()["currentUserId"]
    ada.post("/api/upload", files={"file": ("lead.wav", wav(0.1))}, data={"sessionId": session})
    path = f"/api/sessions/{session}/collaborators/{bo_id}"
    assert ada.patch(path, json={"role": "listener"}).status_code == 200
    visit.expects("409")  # the waveform is not drawn yet
    page = join(visit(f"/sessions/{session}", who="Bo"))
    expect(page.get_by_text("You are a listener here: you hear, talk and download.")).to_be_visible()
    lead = page.get_by_role("listitem", name="lead.wav", exact=True)
    for control in (lead.get_by_label("Gain"), lead.get_by_role("button", name="Mute")):
        expect(control).to_be_disabled()
    for name in ("Remove", "Render mixdown"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    expect(page.get_by_test_id("upload-input")).to_be_hidden()
    page.get_by_test_id("upload-input").set_input_files(
        {"name": "b.wav", "mimeType": "audio/wav", "buffer": wav(0.1)}  # as a drop does
    )
    expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("You are a listener here.")
    page.get_by_role("button", name="Share mix").click()
    expect(page.get_by_text("There is no mixdown to share yet.")).to_be_visible()
    expect(page.get_by_role("tab", name="Mixdowns")).to_be_focused()
    page.get_by_role("tab", name="Activity").click()
    expect(page.get_by_text("made Bo a listener")).to_be_visible()
    assert ada.patch(path, json={"role": "editor"}).status_code == 200
    (event, *_) = ada.get(f"/api/sessions/{session}/activity").json()["events"]
    gateway.do(gateway.fake.tell, session, {"type": "activity.added", "payload": event})
    expect(page.get_by_text("You are an editor in this session now.")).to_be_visible()
    page.get_by_role("link", name="Show the page for it").click()
    expect(page.get_by_role("button", name="Render mixdown")).to_be_visible()


def test_the_owner_deletes_after_a_question(visit: Visit, site: Web) -> None:
    """Keeping it is one press away; deleting leads to the list, where it is gone."""
    page = visit(f"/sessions/{new_session(site, 'Ada')}", who="Ada")
    for answer in ("Keep it", "Delete session"):
        page.get_by_label("More").click()
        page.get_by_role("button", name="Delete session").click()
        dialog = page.get_by_role("dialog", name="Delete this session?")
        expect(dialog).to_be_visible()
        dialog.get_by_role("button", name=answer).click()
        expect(dialog).to_be_hidden()
    expect(page.get_by_text("No sessions yet.")).to_be_visible()


def test_a_collaborator_leaves(visit: Visit, site: Web) -> None:
    """They see who else is there but can remove nobody; leaving takes the session from their list."""
    page = visit(f"/sessions/{new_session(site, 'Ada', 'Bo')}", who="Bo")
    page.get_by_role("button", name="People").click()
    expect(page.get_by_role("list", name="People").get_by_role("listitem")).to_have_count(2)
    expect(page.get_by_role("button", name=re.compile("Remove|invite"))).to_have_count(0)
    page.keyboard.press("Escape")
    page.get_by_label("More").click()
    page.get_by_role("button", name="Leave session").click()
    page.get_by_role("dialog", name="Leave this session?").get_by_role("button", name="Leave session").click()
    expect(page.get_by_text("No sessions yet.")).to_be_visible()


def test_signing_in_by_a_provider_is_not_in_the_policy_s_way(
    browser: Browser, site: Web, postgres_process: PostgresServer
) -> None:
    """Browsers hold the page's policy against the redirect that follows its form: the provider's page is reached."""
    settings = {"GITHUB_CLIENT_ID": "x", "GITHUB_CLIENT_SECRET": "y", "GITHUB_BASE_URL": site.url}
    with fresh_database(postgres_process) as url, running_web(settings, database_url=url) as web:
        visit = visiting(browser, web)
        visit.origins = (web.url, site.url)
        visit.expects("404")
        page = visit("/signin")
        page.get_by_role("button", name="Continue with GitHub").click()
        expect(page.get_by_role("heading")).to_contain_text("nothing at this address")
        assert page.url.startswith(f"{site.url}/login/oauth/authorize?")
        visit.check()


WIDTHS: Final = (320, 390, 1280)


def assert_fits(page: Page, width: int) -> None:
    """It does not scroll sideways, and has one heading above all and one part that is the main one."""
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_role("main").count() == 1


@pytest.mark.parametrize("path", ["/", "/about", "/signin", "/signout", "/sessions", "/sessions/nope"])
def test_nothing_sticks_out_of_any_screen(visit: Visit, site: Web, path: str) -> None:
    """With the longest names there are, no page scrolls sideways. They are laid out by their styles alone."""
    new_session(site, "Ada", name="W" * 120)
    visit.expects("404")
    page = visit(path, who="" if path == "/signin" else "Ada", height=640)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 640})
        assert_fits(page, width)


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_sticks_out_of_the_studio(visit: Visit, site: Web, width: int) -> None:
    """With the longest name there is: neither the page nor an invite's link."""
    session = new_session(site, "Ada", name="W" * 120)
    page = visit(f"/sessions/{session}", who="Ada", width=width, height=640)
    assert_fits(page, width)
    if width < 900:
        page.get_by_label("More").click()
    page.get_by_role("button", name="Invite", exact=True).click()
    page.get_by_role("button", name="Make an invite link").click()
    expect(page.get_by_label("Invite link")).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("button", name="Copy")).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.querySelector('dialog[open]').scrollWidth") <= width


ASKS_ANOTHER: Final = (
    "fetch(url).catch(() => {})",
    "new Image().src = url",
    "document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href: url }))",
    "document.body.append(Object.assign(document.createElement('iframe'), { src: url }))",
    "navigator.sendBeacon(url)",
    "location = url",
)


def _complains_of(visit: Visit, origin: str) -> bool:
    visit.pages[0].context.cookies()  # while it answers, it says what else has happened
    return any(origin in complaint for complaint in visit.complaints)


def test_no_page_asks_others_unnoticed(visit: Visit, shared_web: Web) -> None:
    """Whatever a page would ask another server for: the test that has opened it fails."""
    page = visit("/about")
    for asks in ASKS_ANOTHER:
        visit.complaints.clear()
        page.evaluate(f"(url) => {{ {asks}; }}", f"{shared_web.url}/nothing")
        eventually(partial(_complains_of, visit, shared_web.url), what=asks)
    with pytest.raises(AssertionError):
        visit.check()
    visit.complaints.clear()


@pytest.mark.parametrize("path", ["/", "/about", "/signin", "/sessions", "studio"])
def test_every_control_has_a_name_and_is_large_enough(visit: Visit, site: Web, path: str) -> None:
    """What can be pressed or typed into says what it is, and is 24 px or more each way (WCAG 2.2, 2.5.8)."""
    session = new_session(site, "Ada")
    who = "" if path == "/signin" else "Ada"
    page = visit(f"/sessions/{session}" if path == "studio" else path, who=who, width=390, height=844)
    controls = page.locator("a, button, input, textarea, summary").filter(visible=True)
    assert_named(controls)
    for box in boxes(controls):
        assert box.is_in_sentence or box.shorter_px >= 24, box.html


def test_motion_stops_for_whoever_prefers_so(visit: Visit) -> None:
    """The desk's meters stand still under reduced motion, and move otherwise."""
    running = "document.getAnimations().filter(animation => animation.playState === 'running').length"
    assert visit("/", reduced_motion="reduce").evaluate(running) == 0
    assert visit("/").evaluate(running) > 0
