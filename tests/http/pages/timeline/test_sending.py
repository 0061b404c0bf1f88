"""Files on their way into the session, in a real browser: chosen or dropped, refused, cut off, cancelled."""

import hashlib
import re
from pathlib import Path

import pytest
from playwright.sync_api import APIResponse, Page, Route, expect

from tests.cli.running import eventually
from tests.http.browsing import CHROMIUM, Visit, add_files, join, new_session, sendings, stem, stems
from tests.http.pages.timeline.stage import held, list_stems, listened, studio
from tests.http.running import GatewayThread, Web
from tests.http.sounds import wav

CREATION = "**/api/upload/tus"
RESUMABLE = re.compile("/api/upload/tus/")
DROP = """([name, bytes, clientX, clientY]) => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([Uint8Array.from(bytes)], name));
    const fire = (type) => document.body.dispatchEvent(
        new DragEvent(type, { dataTransfer, clientX, clientY, bubbles: true, cancelable: true }));
    window.drop = () => fire("drop");
    ["dragenter", "dragover"].forEach(fire);
}"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


def add_large_file(page: Page, folder: Path, content: bytes) -> None:
    """Choose a file with this content, `long.wav`: from the disk, where the browser reads it by itself."""
    path = folder / "long.wav"
    path.write_bytes(content)
    page.get_by_test_id("upload-input").set_input_files(path)


def test_a_file_that_is_chosen_becomes_a_stem(visit: Visit, site: Web) -> None:
    """Its name is there once, all the time; its waveform comes by itself; it is there for whoever comes later."""
    session = new_session(site, "Ada", "Bo")
    page = visit(studio(session), who="Ada")
    expect(page.get_by_text("Nothing to play along to yet.")).to_be_visible()
    add_files(page, drums_wav=wav())
    expect(page.get_by_text("drums.wav")).to_have_count(1)
    expect(stem(page, "drums.wav")).to_be_visible()
    expect(page.get_by_text("drums.wav")).to_have_count(1)
    expect(page.get_by_text("Nothing to play along to yet.")).to_be_hidden()
    expect(stem(page, "drums.wav").get_by_text("Listening to it…")).to_be_visible()
    listened(site)
    expect(stem(page, "drums.wav").locator(".clip")).to_have_attribute("data-wave", "there")
    expect(stem(page, "drums.wav").locator(".clip")).to_have_accessible_name("Place of drums")
    expect(stem(page, "drums.wav").locator(".clip")).to_have_attribute(
        "aria-valuetext", "drums, begins at bar 1, 2 beats"
    )
    expect(visit(studio(session), who="Bo").get_by_text("drums.wav")).to_have_count(1)


def test_several_files_at_once_are_all_there(visit: Visit, site: Web) -> None:
    """Five, of which two are sent at a time: each ends as a track, in an order that stays."""
    page = visit(studio(new_session(site, "Ada")), who="Ada")
    add_files(page, **{f"take{number}_wav": wav(0.2, hz=200 + number) for number in range(5)})
    expect(stems(page)).to_have_count(5)
    expect(sendings(page)).to_have_count(0)
    shown = stems(page).locator(".track-name").all_inner_texts()
    page.reload()
    expect(stems(page)).to_have_count(5)
    assert stems(page).locator(".track-name").all_inner_texts() == shown


def test_whoever_is_faster_than_the_script_loses_nothing(visit: Visit, site: Web) -> None:
    """While it is still on its way a file is chosen, which it then sends; what cannot work yet cannot be pressed."""
    page = visit(studio(new_session(site, "Ada")), who="Ada")
    late: list[Route] = []
    page.route("**/studio.js", lambda route: late.append(route))
    page.reload(wait_until="commit")
    add_files(page, early_wav=wav(0.1))
    assert page.locator("#acts, #entry, #readouts").evaluate_all("parts => parts.every((part) => part.inert)")
    eventually(lambda: bool(page.title()) and bool(late), what="the script is asked for")
    late[0].continue_()
    expect(stem(page, "early.wav")).to_be_visible()
    page.get_by_role("button", name="Invite", exact=True).click()
    expect(page.get_by_role("button", name="Make an invite link")).to_be_visible()


def test_a_file_is_let_go_anywhere_on_the_page(visit: Visit, site: Web) -> None:
    """While it hovers the page says what would happen; let go at bar 9, it begins there."""
    session = new_session(site, "Ada")
    page = visit(studio(session), who="Ada")
    bar = page.locator(".bar-label", has_text="9").first.bounding_box()
    assert bar is not None
    page.evaluate(DROP, ["keys.wav", [*wav(0.1)], bar["x"] + 1, bar["y"] + 200])
    expect(page.get_by_text("Let go to add them to the session")).to_be_visible()
    expect(page.locator("#drop-line")).to_have_text("bar 9")
    page.evaluate("drop()")
    expect(page.get_by_text("Let go to add them to the session")).to_be_hidden()
    expect(stem(page, "keys.wav")).to_be_visible()
    eventually(lambda: list_stems(site, session)[0]["offsetSeconds"] == 16, what="it begins at bar 9")


def test_the_news_may_come_before_the_answer(visit: Visit, site: Web, gateway: GatewayThread, tmp_path: Path) -> None:
    """The room knows of the upload while its sender still waits: the name is there once all the same."""
    session = new_session(site, "Ada")
    page = join(visit(studio(session), who="Ada"))
    answers: list[tuple[Route, APIResponse]] = []
    page.route(RESUMABLE, lambda route: answers.append((route, route.fetch())))
    add_large_file(page, tmp_path, wav())
    eventually(lambda: bool(page.title() and answers), what="the studio has answered")
    [upload] = list_stems(site, session)
    gateway.do(gateway.fake.tell, session, {"type": "upload.added", "payload": upload, "from": None})
    expect(stem(page, "long.wav")).to_be_visible()
    assert page.get_by_text("long.wav").filter(visible=True).count() == 1
    [(route, answer)] = answers
    with page.expect_response(RESUMABLE):
        route.fulfill(response=answer)
    expect(sendings(page)).to_have_count(0)
    expect(page.get_by_text("long.wav")).to_have_count(1)


def test_a_file_that_is_refused_says_why(visit: Visit, site: Web) -> None:
    """What is no sound is named with the studio's sentence, and dismissed; it leaves nothing."""
    session = new_session(site, "Ada")
    page = visit(studio(session), who="Ada")
    visit.expects("415")
    add_files(page, song_mp3=b"<!doctype html><p>Not a song at all.</p>")
    expect(sendings(page).get_by_role("alert")).to_contain_text("Only audio, images and video can be uploaded")
    expect(sendings(page).get_by_role("button", name="Try again")).to_be_hidden()
    sendings(page).get_by_role("button", name="Dismiss").click()
    expect(page.get_by_text("song.mp3")).to_have_count(0)
    expect(page.get_by_text("Nothing to play along to yet.")).to_be_visible()
    assert list_stems(site, session) == []


def test_a_file_that_cannot_be_taken_is_sent_again_when_asked(visit: Visit, site: Web) -> None:
    """It says why and waits to be asked; then it arrives, once."""
    session = new_session(site, "Ada")
    page = visit(studio(session), who="Ada")
    visit.expects("507")
    refusal = {"error": "There is no room left.", "code": "storage_full"}
    page.route(CREATION, lambda route: route.fulfill(status=507, json=refusal), times=1)
    add_files(page, bass_wav=wav())
    expect(sendings(page).get_by_role("alert")).to_have_text("There is no room left.")
    sendings(page).get_by_role("button", name="Try again").click()
    expect(stem(page, "bass.wav")).to_be_visible()
    expect(page.get_by_text("bass.wav")).to_have_count(1)
    assert len(list_stems(site, session)) == 1


def test_a_large_file_goes_on_where_it_was(visit: Visit, site: Web, tmp_path: Path) -> None:
    """Cut off in the middle it asks how far it is, by itself, and all of it arrives, bit for bit."""
    session = new_session(site, "Ada")
    page = visit(studio(session), who="Ada")
    visit.expects("ERR_FAILED|503")
    asked: list[str] = []

    def now_and_then(route: Route) -> None:
        method = route.request.method
        asked.append(method)
        match [method, asked.count(method)]:
            case ["PATCH", 2]:
                route.abort()
            case ["HEAD", 1]:
                route.fulfill(status=503)
            case _:
                route.continue_()

    page.route(RESUMABLE, now_and_then)
    sound = wav(70.0)
    add_large_file(page, tmp_path, sound)
    expect(sendings(page).get_by_role("progressbar", name="Progress")).to_be_visible()
    expect(stem(page, "long.wav")).to_be_visible(timeout=60_000)
    (upload,) = list_stems(site, session)
    assert upload["sha256"] == hashlib.sha256(sound).hexdigest()
    assert asked == ["PATCH", "PATCH", "HEAD", "HEAD", "PATCH", "PATCH"]


@pytest.mark.parametrize("is_forgotten", [False, True])
def test_an_answer_that_was_lost_makes_no_second_upload(
    visit: Visit, site: Web, tmp_path: Path, is_forgotten: bool
) -> None:
    """The last piece arrived, and nobody heard of it: the page finds the upload instead of sending it all again.

    Whether the studio still says how far it is, or has forgotten that it ever came in pieces.
    """
    session = new_session(site, "Ada")
    page = visit(studio(session), who="Ada")
    visit.expects("ERR_FAILED|404")
    pieces: list[str] = []

    def unheard(route: Route) -> None:
        if route.request.method == "PATCH":
            pieces.append(route.request.url)
            if len(pieces) == 2:
                route.fetch()
                route.abort()
                return
        if route.request.method == "HEAD" and is_forgotten:
            route.fulfill(status=404)
            return
        route.continue_()

    page.route(RESUMABLE, unheard)
    add_large_file(page, tmp_path, wav(35.0))
    expect(stem(page, "long.wav")).to_be_visible(timeout=60_000)
    expect(sendings(page)).to_have_count(0)
    assert len(pieces) == 2
    assert len(list_stems(site, session)) == 1


def test_what_is_cancelled_leaves_nothing(visit: Visit, site: Web, tmp_path: Path) -> None:
    """Neither on the page nor in the studio, where what had arrived is thrown away."""
    session = new_session(site, "Ada")
    page = visit(studio(session), who="Ada")
    with held(page, RESUMABLE, "PATCH"):
        with page.expect_request(lambda request: request.method == "PATCH"):
            add_large_file(page, tmp_path, wav(35.0))
        with page.expect_response(lambda answer: answer.request.method == "DELETE") as deleted:
            sendings(page).get_by_role("button", name="Cancel").click()
        assert deleted.value.status == 204
    expect(page.get_by_text("long.wav")).to_have_count(0)
    expect(page.get_by_test_id("upload-input")).to_be_focused()
    assert list_stems(site, session) == []
