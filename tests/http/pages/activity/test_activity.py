"""Who did what, on the page of a session: read, kept up to date by the room, and undone, by everybody who may."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.cli.running import eventually
from tests.http.browsing import CHROMIUM, Visit, join, log, new_session, open_panel, person, stem, stems
from tests.http.pages.controls import assert_named, boxes
from tests.http.pages.timeline.stage import brought, held, list_stems, pass_on, studio
from tests.http.running import GatewayThread, Web

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


def tab(page: Page) -> Locator:
    return page.get_by_role("tab", name="Activity")


def activity(page: Page) -> Locator:
    """What the page says has happened, newest first."""
    return page.get_by_role("list", name="Activity").get_by_role("listitem")


def opened(page: Page) -> Page:
    """The same page, turned to its activity."""
    open_panel(page, "Activity")
    expect(tab(page)).to_have_attribute("aria-selected", "true")
    return page


def undo(item: Locator) -> Locator:
    return item.get_by_role("button", name="Undo")


def mix(site: Web, who: str, upload: str, **change: float | bool) -> None:
    """`who` mixes, beside the pages."""
    assert person(site, who).patch(f"/api/upload/{upload}", json=change).status_code == 200


def test_another_persons_fader_is_undone(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """Bo moves a fader; Ada sees it in her activity while she looks, and undoes it; on Bo's page the fader is back."""
    session = new_session(site, "Ada", "Bo")
    brought(site, session)
    ada, bo = opened(join(visit(studio(session), who="Ada"))), opened(join(visit(studio(session), who="Bo")))
    expect(activity(ada)).to_have_count(2)
    gain = stem(bo, "take.wav").get_by_label("Gain")
    gain.press("ArrowLeft")
    gain.press("ArrowLeft")
    eventually(lambda: [kept["gainDb"] for kept in list_stems(site, session)] == [-1], what="it is moved")
    expect(gain).to_have_value("-1")
    pass_on(site, gateway, "upload.changed")
    pass_on(site, gateway, "activity.added")
    moved = activity(ada).first
    expect(moved).to_contain_text("Bo moved the gain of take from 0 dB to \N{MINUS SIGN}1 dB")
    expect(activity(ada)).to_have_count(3)
    expect(stem(ada, "take.wav").get_by_label("Gain")).to_have_value("-1")
    undo(moved).click()
    expect(activity(ada)).to_have_count(4)
    expect(activity(ada).first).to_contain_text("Ada moved the gain of take back from \N{MINUS SIGN}1 dB to 0 dB")
    expect(undo(activity(ada).first)).to_be_focused()
    expect(activity(ada).nth(1)).to_contain_text("Undone by Ada")
    expect(undo(activity(ada).nth(1))).to_have_count(0)
    pass_on(site, gateway, "upload.changed")
    pass_on(site, gateway, "activity.added")
    for page in (ada, bo):
        expect(stem(page, "take.wav").get_by_label("Gain")).to_have_value("0")
        expect(activity(page).nth(1)).to_contain_text("Undone by Ada")
        expect(undo(activity(page).nth(1))).to_have_count(0)
        expect(undo(activity(page).first)).to_be_visible()
    assert [kept["gainDb"] for kept in list_stems(site, session)] == [0]


def test_a_line_of_the_talk_undoes_what_it_says(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """Changes that the studio has made one are one, from the first value to the last; a later one is another."""
    session = new_session(site, "Ada", "Bo")
    take = brought(site, session)
    page = join(visit(studio(session), who="Ada"))
    line = log(page).locator(".act")
    for gain_db in (-1, -3):
        mix(site, "Bo", take, gainDb=gain_db)
        pass_on(site, gateway, "activity.added")
    expect(line).to_have_text("Bo moved the gain of take from 0 dB to \N{MINUS SIGN}3 dB · Undo")
    site.do(site.database.row("UPDATE activity SET at = at - interval '40 s' WHERE session_id = $1", session))
    mix(site, "Bo", take, gainDb=-6)
    pass_on(site, gateway, "activity.added")
    expect(line).to_have_text("Bo moved the gain of take from \N{MINUS SIGN}3 dB to \N{MINUS SIGN}6 dB · Undo")
    undo(line).click()
    expect(line).to_contain_text("· Undone")
    assert [kept["gainDb"] for kept in list_stems(site, session)] == [-3]


def test_a_removed_stem_is_brought_back(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """By whoever may remove it; another is not offered to. It is in its place again, for all."""
    visit.expects("404")  # what is being asked about it when it goes
    session = new_session(site, "Ada", "Bo")
    brought(site, session)
    ada, bo = opened(join(visit(studio(session), who="Ada"))), opened(join(visit(studio(session), who="Bo")))
    stem(ada, "take.wav").get_by_role("button", name="More").click()
    ada.get_by_role("dialog", name="take").get_by_role("button", name="Remove", exact=True).click()
    ada.get_by_role("button", name="Remove it").filter(visible=True).click()
    expect(stems(ada)).to_have_count(0)
    pass_on(site, gateway, "upload.removed")
    pass_on(site, gateway, "activity.added")
    for page in (ada, bo):
        expect(activity(page).first).to_contain_text("Ada removed take")
        expect(stems(page)).to_have_count(0)
    expect(undo(activity(bo).first)).to_have_count(0)
    undo(activity(ada).first).click()
    expect(activity(ada).first).to_contain_text("Ada brought take back")
    pass_on(site, gateway, "upload.added")
    pass_on(site, gateway, "activity.added")
    for page in (ada, bo):
        expect(stem(page, "take.wav")).to_be_visible()
        expect(activity(page).first).to_contain_text("Ada brought take back")


def test_name_and_tempo_are_undone_by_the_owner(visit: Visit, site: Web) -> None:
    """Others see what happened, without an undo."""
    session = new_session(site, "Ada", "Bo")
    ada = opened(visit(studio(session), who="Ada"))
    expect(activity(ada)).to_have_count(1)
    owner = person(site, "Ada")
    for change in ({"name": "Late jam"}, {"tempoBpm": 97.5}, {"beatsPerBar": 3}):
        assert owner.patch(f"/api/sessions/{session}", json=change).status_code == 200
    open_panel(ada)
    opened(ada)
    expect(activity(ada).nth(0)).to_contain_text("Ada set the metre from 4 beats a bar to 3 beats a bar")
    expect(activity(ada).nth(1)).to_contain_text("Ada set the tempo from 120 BPM to 97.5 BPM")
    expect(activity(ada).nth(2)).to_contain_text("Ada renamed the session from “Night jam” to “Late jam”")
    bo = opened(visit(studio(session), who="Bo"))
    expect(activity(bo)).to_have_count(4)
    expect(undo(activity(bo))).to_have_count(0)
    undo(activity(ada).nth(2)).click()
    expect(activity(ada).first).to_contain_text("Ada renamed the session back from “Late jam” to “Night jam”")
    # Outside of the room nobody tells the page: it looks by itself.
    expect(ada.get_by_role("heading", name="Night jam")).to_be_visible()
    assert owner.get("/api/sessions", params={"id": session}).json()["session"]["name"] == "Night jam"


def test_what_was_changed_meanwhile_says_so(visit: Visit, site: Web) -> None:
    """The sentence stays to be read; what can be undone now is what the studio says."""
    session = new_session(site, "Ada", "Bo")
    take = brought(site, session)
    mix(site, "Bo", take, gainDb=-6)
    page = opened(visit(studio(session), who="Ada"))
    moved = activity(page).first
    expect(moved).to_contain_text("Bo moved the gain")
    mix(site, "Ada", take, gainDb=-3)
    visit.expects("409")
    undo(moved).click()
    expect(activity(page).first).to_contain_text(
        "Ada moved the gain of take from \N{MINUS SIGN}6 dB to \N{MINUS SIGN}3 dB"
    )
    expect(activity(page).nth(1).get_by_role("alert")).to_have_text("Ada has changed it since.")
    expect(undo(activity(page).nth(1))).to_have_count(0)


def test_unseen_it_counts_and_names_nothing(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """What is on the page is named once; what others do is counted, what one does oneself is not.

    It is counted from the last time that the session was seen: Bo joined it meanwhile.
    """
    session = new_session(site, "Ada", "Bo")
    take = brought(site, session)
    page = join(visit(studio(session), who="Ada"))
    expect(page.get_by_text("take.wav")).to_have_count(1)
    for who, change in (("Bo", {"gainDb": -6}), ("Bo", {"gainDb": -7}), ("Ada", {"pan": 1}), ("Bo", {"muted": True})):
        mix(site, who, take, **change)
        pass_on(site, gateway, "activity.added")
    expect(tab(page)).to_have_accessible_name("Activity, 3 new")
    expect(page).to_have_title("(3) Night jam · Omnisonic Studio")
    expect(page.get_by_text("take.wav")).to_have_count(1)
    opened(page)
    expect(activity(page)).to_have_count(5)
    expect(tab(page)).to_have_accessible_name("Activity")
    expect(page).to_have_title("Night jam · Omnisonic Studio")


def test_older_events_are_shown_on_demand(visit: Visit, site: Web) -> None:
    """Page by page, until there are no more, and they stay when the list is read anew."""
    session = new_session(site, "Ada", "Bo")
    for number in range(70):
        changed = person(site, "Ada").patch(f"/api/sessions/{session}", json={"tempoBpm": 100 + number})
        assert changed.status_code == 200
        site.do(site.database.row("UPDATE activity SET at = at - interval '1 hour' WHERE session_id = $1", session))
    page = opened(visit(studio(session), who="Bo"))
    older = page.get_by_role("button", name="Show older")
    expect(activity(page)).to_have_count(30)
    older.click()
    expect(activity(page)).to_have_count(60)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    older.click()
    expect(activity(page)).to_have_count(71)
    expect(older).to_have_count(0)
    expect(activity(page).last).to_contain_text("Bo joined the session")


def test_nothing_has_happened_yet(visit: Visit, site: Web) -> None:
    """Said in words."""
    page = opened(visit(studio(new_session(site, "Ada")), who="Ada"))
    expect(page.get_by_text("Nothing has happened yet. Here you see who did what, and can undo it.")).to_be_visible()


def test_what_cannot_be_read_says_so_and_is_read_again(visit: Visit, site: Web) -> None:
    """The next time it can be, the sentence goes."""
    session = new_session(site, "Ada", "Bo")
    page = visit(studio(session), who="Ada")
    visit.expects("503")
    refusal = {"error": "That does not work right now.", "code": "unavailable"}
    page.route("**/activity?*", lambda route: route.fulfill(status=503, json=refusal))
    opened(page)
    problem = page.locator("#activity-problem")
    expect(problem).to_have_text("That does not work right now.")
    page.unroute("**/activity?*")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(activity(page)).to_have_count(1)
    expect(problem).to_be_hidden()


def test_a_name_like_markup_is_a_name(visit: Visit, site: Web) -> None:
    """It is shown as it is, and runs nothing."""
    session = new_session(site, "Ada", "Bo", name="<img src=x onerror=alert(1)>")
    name = "<b onclick=alert(1)>.wav"
    take = brought(site, session, name)
    mix(site, "Bo", take, muted=True)
    page = opened(visit(studio(session), who="Ada"))
    expect(activity(page).first).to_contain_text("Bo muted <b onclick=alert(1)>")


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_it_fits_on_every_screen(visit: Visit, site: Web, width: int) -> None:
    """With the longest names; every control has a name, says what it undoes, and is large enough."""
    session = new_session(site, "Ada", "W" * 60, name="W" * 120)
    take = brought(site, session, f"{'W' * 200}.wav")
    mix(site, "W" * 60, take, gainDb=-6, pan=-0.5, muted=True, offsetSeconds=12.5)
    page = opened(visit(studio(session), who="Ada", width=width, height=700))
    expect(activity(page)).to_have_count(6)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    for parts in (page.locator("#panel-activity"), activity(page)):
        assert parts.evaluate_all("parts => parts.every(part => part.scrollWidth <= part.clientWidth)")
    controls = page.locator("#panel-activity button").filter(visible=True)
    assert_named(controls, re.compile("Activity|Undo"))
    for control in boxes(controls):
        assert round(control.shorter_px, 1) >= 44, control.html
    expect(undo(activity(page).first)).to_have_accessible_description(re.compile("^W+ moved W+ from 0 s to 12.5 s$"))
    place, words = (
        page.locator(f".activity-item {part}").first.bounding_box() for part in (".avatar", ".activity-words")
    )
    assert place is not None
    assert words is not None
    assert place["x"] + place["width"] <= words["x"]
    assert words["width"] > 120


def test_by_keyboard_alone(visit: Visit, site: Web) -> None:
    """Turned to, gone through and undone; the keyboard is at the undo of the undo then."""
    session = new_session(site, "Ada", "Bo")
    take = brought(site, session)
    mix(site, "Bo", take, gainDb=-6)
    page = visit(studio(session), who="Ada")
    page.get_by_role("tab", name="Talk").focus()
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    expect(activity(page)).to_have_count(3)
    # The button beside the tabs, and the list, which scrolls.
    for _ in range(2):
        page.keyboard.press("Tab")
    expect(undo(activity(page).first)).to_be_focused()
    page.keyboard.press("Enter")
    expect(activity(page)).to_have_count(4)
    expect(undo(activity(page).first)).to_be_focused()
    page.keyboard.press("Enter")
    expect(activity(page)).to_have_count(5)
    expect(activity(page).first).to_contain_text("Ada moved the gain of take back from 0 dB to \N{MINUS SIGN}6 dB")


def test_a_restored_file_is_not_told_as_a_new_one(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """Nobody has added it: it is back."""
    visit.expects("404")  # what is being asked about it while it is gone
    session = new_session(site, "Ada", "Bo")
    take = brought(site, session, who="Bo")
    site.do(site.database.row("UPDATE uploads SET created_at = now() - interval '1 hour' WHERE id = $1", take))
    page = join(visit(studio(session), who="Ada"))
    person(site, "Ada").delete(f"/api/upload/{take}")
    assert person(site, "Ada").post(f"/api/upload/{take}/restore").status_code == 200
    pass_on(site, gateway, "upload.added")
    expect(log(page)).to_contain_text("A removed file is back.")
    expect(log(page)).not_to_contain_text("added a file")


def test_the_tab_says_that_it_is_read(visit: Visit, site: Web) -> None:
    """Until the studio has answered; then what has happened is there, and nothing is said of reading."""
    session = new_session(site, "Ada")
    page = visit(studio(session), who="Ada")
    with held(page, re.compile("/activity[?]limit"), "GET"):
        opened(page)
        expect(page.get_by_text("Reading what has happened…")).to_be_visible()
        expect(page.get_by_text("Nothing has happened yet.")).to_be_hidden()
    visit.expects("ERR_FAILED")
    expect(page.get_by_text("Reading what has happened…")).to_be_hidden()
