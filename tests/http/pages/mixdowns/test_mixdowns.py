"""The mixdowns of a session in a real browser: met half-way, heard, failed; the same for everybody."""

import pytest
from playwright.sync_api import Locator, expect

from tests.cli.running import eventually
from tests.http import making
from tests.http.browsing import CHROMIUM, Visit, join, log, new_session, person
from tests.http.pages.mixdowns.stage import (
    beat,
    fact,
    finished,
    hold_list,
    is_received,
    list_mixdowns,
    make_mixdown,
    mixdowns,
    newest,
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

NO_SOUND = "There is no sound in \N{LEFT DOUBLE QUOTATION MARK}notes.txt\N{RIGHT DOUBLE QUOTATION MARK}."

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


def announced(mixdown: Locator) -> Locator:
    """What was said last to whoever does not see the page."""
    return mixdown.page.locator("#mixdowns-news")


@pytest.mark.parametrize("is_in_the_room", [False, True])
def test_whoever_comes_in_the_middle_sees_how_far_it_is(
    visit: Visit, site: Web, gateway: GatewayThread, is_in_the_room: bool
) -> None:
    """At once, in the room and outside of it; and then how it goes on."""
    session = new_session(site, "Ada", "Bo")
    request_mixdown(site, session)
    job = taken(site, 42)
    page = visit(studio(session), who="Bo")
    expect(status(page)).to_have_text("Status: processing, 42 %")
    if is_in_the_room:
        join(page)
        hold_list(page)
        publish_export(gateway, job.export, progress=77)
    else:
        beat(site, job, 77)
    expect(status(page)).to_have_text("Status: processing, 77 %")
    expect(newest(page).get_by_role("progressbar")).to_have_attribute("value", "77")


def test_a_mixdown_in_which_something_is_missing_says_so(visit: Visit, site: Web) -> None:
    """On its line, in a sentence that names the file; the others say nothing."""
    session = new_session(site, "Ada")
    make_mixdown(site, session)
    request_mixdown(site, session)
    missing = "bass.wav was cut off: 2.0 of 4.0 seconds are there."
    making.make(site, warning=missing)
    page = visit(studio(session), who="Ada")
    expect(newest(page).get_by_text(missing)).to_be_visible()
    expect(mixdowns(page).last.locator(".warning")).to_be_hidden()


def test_what_was_missed_is_there_after_coming_back(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """Asked for, made and removed while nobody told the page: the list is read with each new connection."""
    session = new_session(site, "Ada", "Bo")
    old = make_mixdown(site, session, format_="flac")
    page = join(visit(studio(session), who="Bo"))
    expect(status(page)).to_have_text("Status: completed")
    person(site, "Ada").delete(f"/api/export/{old}")
    make_mixdown(site, session, format_="mp3")
    gateway.do(gateway.fake.close, session, 1001)
    expect(log(page)).to_contain_text("You are back.")
    expect(mixdowns(page)).to_have_count(1)
    expect(newest(page)).to_contain_text("MP3")


def test_only_steps_are_announced(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """That it is begun and that it is ready, but no percents; and nothing of what was there already."""
    session = new_session(site, "Ada")
    make_mixdown(site, session)
    page = join(visit(studio(session), who="Ada"))
    expect(status(page)).to_have_text("Status: completed")
    expect(announced(newest(page))).to_be_empty()
    render(page).click()
    expect(mixdowns(page)).to_have_count(2)
    job = taken(site)
    publish_progress(site, gateway, job, 1)
    expect(announced(newest(page))).to_have_text("The mixdown is being rendered.")
    page.evaluate("""() => {
        window.said = [];
        const live = [...document.querySelectorAll("[role=status], [role=alert], [aria-live]")];
        const watch = new MutationObserver((changes) => window.said.push(...changes));
        for (const each of live) watch.observe(each, { childList: true, characterData: true, subtree: true });
    }""")
    for progress in (20, 50, 80):
        publish_progress(site, gateway, job, progress)
    expect(status(page)).to_have_text("Status: processing, 80 %")
    assert page.evaluate("said.length") == 0
    publish_export(gateway, finished(site, job))
    expect(announced(newest(page))).to_have_text("The mixdown is ready.")


def test_what_is_late_changes_nothing(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """News of a mixdown on its way, heard after it was made, does not take it back; what is removed stays removed."""
    session = new_session(site, "Ada")
    request_mixdown(site, session)
    job = taken(site)
    page = join(visit(studio(session), who="Ada"))
    publish_export(gateway, finished(site, job))
    expect(status(page)).to_have_text("Status: completed")
    with page.expect_response("**/api/export?*"):
        publish_export(gateway, job.export, progress=99)
    expect(status(page)).to_have_text("Status: completed")
    person(site, "Ada").delete(f"/api/export/{job.export.id}")
    pass_on(site, gateway, "export.removed")
    expect(mixdowns(page)).to_have_count(0)
    with page.expect_response("**/api/export?*"):
        publish_export(gateway, job.export, progress=100)
    expect(mixdowns(page)).to_have_count(0)


def test_one_that_is_tried_again_says_so(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """A worker has died: it waits for its turn once more, from the beginning."""
    session = new_session(site, "Ada")
    request_mixdown(site, session)
    job = taken(site, 60)
    page = join(visit(studio(session), who="Ada"))
    expect(status(page)).to_have_text("Status: processing, 60 %")
    hold_list(page)
    publish_export(gateway, job.export, status="pending", progress=0)
    expect(status(page)).to_have_text("Status: pending, waiting for its turn")
    publish_export(gateway, job.export, progress=5)
    expect(status(page)).to_have_text("Status: processing, 5 %")


def test_one_that_has_failed_says_why_and_can_be_rendered_again(
    visit: Visit, site: Web, gateway: GatewayThread
) -> None:
    """In the same format; the keyboard goes to the button that does so, and the old one stays with its sentence."""
    session = new_session(site, "Ada")
    request_mixdown(site, session, format_="mp3")
    page = join(visit(studio(session), who="Ada"))
    expect(status(page)).to_have_text("Status: pending, waiting for its turn")
    publish_export(gateway, making.fail(site, NO_SOUND))
    expect(status(page)).to_have_text("Status: failed")
    expect(newest(page).get_by_text(NO_SOUND)).to_be_visible()
    expect(announced(newest(page))).to_have_text("The mixdown has failed.")
    expect(newest(page).get_by_role("button", name="Play")).to_have_count(0)
    expect(newest(page).get_by_role("link", name="Download")).to_have_count(0)
    newest(page).get_by_role("button", name="Render again").click()
    expect(status(page)).to_have_text("Status: pending, waiting for its turn")
    expect(render(page)).to_be_focused()
    assert [export["format"] for export in list_mixdowns(site, session)] == ["mp3"] * 2
    expect(mixdowns(page).last.get_by_text(NO_SOUND)).to_be_visible()
    expect(mixdowns(page).last.get_by_text("Failed")).to_be_visible()
    expect(page.get_by_role("button", name="Render again")).to_have_count(0)


def test_what_is_too_quiet_to_be_measured_says_so(visit: Visit, site: Web) -> None:
    """Silence has no loudness and no peak."""
    session = new_session(site, "Ada")
    make_mixdown(site, session)
    page = visit(studio(session), who="Ada")
    silence = {"loudnessLufs": None, "peakDbfs": None}

    def silent(exports: list[dict[str, object]]) -> dict[str, object]:
        return {"exports": [export | silence for export in exports]}

    page.route("**/api/export?*", lambda route: route.fulfill(json=silent(route.fetch().json()["exports"])))
    page.reload()
    for name in ("Loudness", "Peak"):
        expect(fact(newest(page), name)).to_have_text("Silent")


def test_the_newest_is_large_and_the_oldest_are_shown_when_asked_for(visit: Visit, site: Web) -> None:
    """One line of status; five at first, then all, and the keyboard goes on where the others begin."""
    session = new_session(site, "Ada")
    formats = ["wav", "flac", "mp3", "wav", "flac", "mp3", "flac"]
    for format_ in formats:
        make_mixdown(site, session, format_=format_)
    page = visit(studio(session), who="Ada")
    expect(status(page)).to_have_count(1)
    expect(mixdowns(page)).to_have_count(5)
    page.get_by_role("button", name="Show all 7").click()
    expect(mixdowns(page)).to_have_count(7)
    expect(mixdowns(page).nth(5).get_by_role("link", name="Download")).to_be_focused()
    shown = mixdowns(page).locator(".mixdown-format").all_inner_texts()
    assert shown == [format_.upper() for format_ in reversed(formats)]
    expect(page.get_by_role("button", name="Show all")).to_have_count(0)


def test_a_mixdown_is_heard_alone(visit: Visit, site: Web) -> None:
    """It silences the song and the other mixdowns, and is silenced by them."""
    session = new_session(site, "Ada")
    for _ in range(2):
        make_mixdown(site, session)
    page = visit(studio(session), who="Ada")
    song, first, second = page.get_by_role("group", name="Transport"), mixdowns(page).first, mixdowns(page).last
    song.get_by_role("button", name="Play").click()
    expect(song.get_by_role("button", name="Pause")).to_be_visible()
    for playing in (first, second):
        playing.get_by_role("button", name="Play").click()
        eventually(lambda playing=playing: is_received(playing.locator("audio")), what="it is heard")  # type: ignore[misc]
        expect(page.get_by_role("button", name="Pause")).to_have_count(1)
        expect(playing.get_by_role("button", name="Pause")).to_be_visible()
    song.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Pause")).to_have_count(1)


def test_a_place_in_it_is_chosen(visit: Visit, site: Web) -> None:
    """By keyboard, before it plays; there it begins."""
    session = new_session(site, "Ada")
    make_mixdown(site, session)
    page = visit(studio(session), who="Ada")
    place = newest(page).get_by_role("slider", name="Position")
    place.press("End")
    expect(place).to_have_attribute("aria-valuetext", "0:12 of 0:12")
    place.press("Home")
    expect(place).to_have_attribute("aria-valuetext", "0:00 of 0:12")
    place.evaluate("field => { field.value = 11.5; field.dispatchEvent(new Event('input')); }")
    newest(page).get_by_role("button", name="Play").click()
    expect(newest(page).get_by_role("button", name="Pause")).to_be_visible()
    expect(newest(page).get_by_role("button", name="Play")).to_be_visible()


def test_a_name_like_markup_is_a_name(visit: Visit, site: Web) -> None:
    """It is shown as it is, as far as a file can be called that, and runs nothing."""
    session = new_session(site, "Ada", name="<img src=x onerror=alert(1)>")
    make_mixdown(site, session)
    page = visit(studio(session), who="Ada")
    name = list_mixdowns(site, session)[0]["fileName"]
    expect(page.get_by_text(name, exact=True)).to_be_visible()
    assert "onerror=alert(1)" in name


def test_whoever_is_signed_out_is_led_to_sign_in_again(visit: Visit, site: Web) -> None:
    """Pressing the button does not work any more: the page says so, and its mixdowns are gone."""
    session = new_session(site, "Ada")
    make_mixdown(site, session)
    page = visit(studio(session), who="Ada")
    expect(mixdowns(page)).to_have_count(1)
    visit.expects("401")
    page.context.clear_cookies()
    render(page).click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    expect(render(page)).to_be_hidden()


def test_a_session_that_is_deleted_takes_its_mixdowns_along(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """Nothing is left to play or to ask for, and nothing more is heard of."""
    session = new_session(site, "Ada", "Bo")
    request_mixdown(site, session)
    page = join(visit(studio(session), who="Bo"))
    expect(status(page)).to_be_visible()
    gateway.do(gateway.fake.tell, session, {"type": "session.deleted", "payload": {"sessionId": session}})
    expect(page.get_by_text("This session was deleted.")).to_be_visible()
    expect(status(page)).to_have_count(0)
    expect(render(page)).to_be_hidden()
