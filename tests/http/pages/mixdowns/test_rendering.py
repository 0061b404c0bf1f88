"""Asking for a mixdown in a real browser: pressed, queued, followed until it is made; and what is in its way."""

import pytest
from playwright.sync_api import Page, Route, expect

from tests.cli.running import eventually
from tests.http.browsing import CHROMIUM, Visit, join, new_session
from tests.http.pages.mixdowns.stage import (
    SOUND,
    beat,
    fact,
    finished,
    list_mixdowns,
    mixdowns,
    newest,
    note,
    publish_export,
    publish_progress,
    render,
    request_mixdown,
    status,
    studio,
    taken,
)
from tests.http.pages.timeline.stage import pass_on
from tests.http.running import GatewayThread, Web

MINUS = "\N{MINUS SIGN}"
QUEUED = "Export queued"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


def wait_until_usable(page: Page) -> None:
    """A key does not wait until the form can be used, as a click does."""
    expect(page.locator("#render[inert]")).to_have_count(0)


def test_a_mixdown_is_asked_for_and_followed_until_it_can_be_taken_home(
    visit: Visit, site: Web, gateway: GatewayThread
) -> None:
    """In the room: queued, how far it is, and at last what was measured, and the file."""
    session = new_session(site, "Ada")
    page = join(visit(studio(session), who="Ada"))
    expect(page.get_by_text("None yet. A mixdown is all stems in one file")).to_be_visible()
    render(page).click()
    expect(page.get_by_text(QUEUED)).to_be_visible()
    expect(status(page)).to_have_text("Status: pending, waiting for its turn")
    job = taken(site)
    publish_progress(site, gateway, job, 42)
    expect(status(page)).to_have_text("Status: processing, 42 %")
    expect(newest(page).get_by_role("progressbar", name="Rendered")).to_have_attribute("value", "42")
    publish_export(gateway, finished(site, job))
    expect(status(page)).to_have_text("Status: completed")
    expect(newest(page).get_by_role("progressbar")).to_have_count(0)
    facts = {"Length": "0:12", "Loudness": f"{MINUS}14.2 LUFS", "Peak": f"{MINUS}1.0 dBFS", "Size": "2.2 MB"}
    for name, words in facts.items():
        expect(fact(newest(page), name)).to_have_text(words)
    with page.expect_download() as download:
        newest(page).get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "Night jam.wav"
    assert download.value.path().read_bytes() == SOUND
    expect(mixdowns(page)).to_have_count(1)


def test_outside_the_room_the_page_looks_itself(visit: Visit, site: Web) -> None:
    """Nobody tells it anything: it asks again and again while one is in the making, and knows when it is made."""
    session = new_session(site, "Ada")
    page = visit(studio(session), who="Ada")
    render(page).click()
    expect(page.get_by_text(QUEUED)).to_be_visible()
    job = taken(site, 7)
    expect(status(page)).to_have_text("Status: processing, 7 %")
    beat(site, job, 93)
    expect(status(page)).to_have_text("Status: processing, 93 %")
    finished(site, job)
    expect(status(page)).to_have_text("Status: completed")


@pytest.mark.parametrize("format_", ["wav", "flac", "mp3"])
def test_the_format_is_chosen(visit: Visit, site: Web, format_: str) -> None:
    """WAV is what is chosen already."""
    session = new_session(site, "Ada")
    page = visit(studio(session), who="Ada")
    choice = page.get_by_label("Format")
    expect(choice).to_have_value("wav")
    choice.select_option(format_)
    wait_until_usable(page)
    render(page).press("Enter")
    expect(newest(page)).to_contain_text(format_.upper())
    assert [export["format"] for export in list_mixdowns(site, session)] == [format_]


def test_whoever_presses_twice_asks_once(visit: Visit, site: Web) -> None:
    """Until the studio has answered, pressing again asks for nothing; the keyboard stays on the button."""
    session = new_session(site, "Ada")
    page = visit(studio(session), who="Ada")
    late: list[Route] = []
    page.route(
        "**/api/export", lambda route: late.append(route) if route.request.method == "POST" else route.fallback()
    )
    wait_until_usable(page)
    for _ in range(3):
        render(page).press("Enter")
    expect(render(page)).to_have_attribute("aria-disabled", "true")
    eventually(lambda: len(late) == 1, what="it is asked for")
    late[0].continue_()
    expect(page.get_by_text(QUEUED)).to_be_visible()
    expect(render(page)).to_be_focused()
    assert len(list_mixdowns(site, session)) == len(late) == 1


def test_the_news_may_be_faster_than_the_answer(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """The room tells of it, and that it is made, before the answer is there: it is shown once, and stays made."""
    session = new_session(site, "Ada")
    page = join(visit(studio(session), who="Ada"))

    def answer_late(route: Route) -> None:
        if route.request.method != "POST":
            route.fallback()
            return
        answer = route.fetch()
        publish_export(gateway, finished(site))
        expect(status(page)).to_have_text("Status: completed")
        route.fulfill(response=answer)

    page.route("**/api/export", answer_late)
    render(page).click()
    expect(page.get_by_text(QUEUED)).to_be_visible()
    expect(status(page)).to_have_text("Status: completed")
    expect(mixdowns(page)).to_have_count(1)


def test_too_many_at_once_are_refused_with_a_sentence(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """The studio's own; when one of them is over it goes, and there is room for another."""
    session = new_session(site, "Ada")
    for _ in range(2):
        request_mixdown(site, session)
    page = join(visit(studio(session), who="Ada"))
    visit.expects("429")
    render(page).click()
    refused = page.get_by_role("alert").filter(visible=True)
    expect(refused).to_have_text("This session has 2 mixdowns in the making already. Wait until one is finished.")
    expect(note(page)).to_be_empty()
    publish_export(gateway, finished(site))
    expect(refused).to_have_count(0)
    render(page).click()
    expect(page.get_by_text(QUEUED)).to_be_visible()
    expect(mixdowns(page)).to_have_count(3)


def test_what_cannot_be_asked_for_now_can_be_asked_for_again(visit: Visit, site: Web) -> None:
    """The reason is said; the next press works, and takes the reason away."""
    session = new_session(site, "Ada")
    page = visit(studio(session), who="Ada")
    visit.expects("503")
    refusal = {"error": "That does not work right now.", "code": "unavailable"}
    page.route("**/api/export", lambda route: route.fulfill(status=503, json=refusal))
    render(page).click()
    refused = page.get_by_role("alert").filter(visible=True)
    expect(refused).to_have_text("That does not work right now.")
    page.unroute("**/api/export")
    render(page).click()
    expect(page.get_by_text(QUEUED)).to_be_visible()
    expect(refused).to_have_count(0)


def test_the_note_goes_when_nothing_is_queued_any_more(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """It is there as long as it is true, and at least long enough to be read."""
    session = new_session(site, "Ada")
    page = join(visit(studio(session), who="Ada"))
    page.clock.install()
    render(page).click()
    expect(note(page)).to_have_text(QUEUED)
    publish_export(gateway, finished(site))
    expect(status(page)).to_have_text("Status: completed")
    expect(note(page)).to_have_text(QUEUED)
    page.clock.fast_forward(5_000)
    expect(note(page)).to_be_empty()


def test_a_room_is_told_who_has_asked(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """A line in the talk of the others; whoever asked sees it once, however often they are told."""
    session = new_session(site, "Ada", "Bo")
    ada, bo = join(visit(studio(session), who="Ada")), join(visit(studio(session), who="Bo"))
    render(bo).click()
    expect(mixdowns(bo)).to_have_count(1)
    pass_on(site, gateway, "export.progress")
    expect(mixdowns(ada)).to_have_count(1)
    expect(ada.get_by_text("Bo asked for a mixdown.")).to_have_count(1)
    expect(mixdowns(bo)).to_have_count(1)
    expect(bo.get_by_text("asked for a mixdown")).to_have_count(0)
