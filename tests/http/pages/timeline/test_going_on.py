"""A page that is left while files are on their way: in the same browser, the next one goes on with them."""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from playwright.sync_api import Error, Page, Request, Route, expect

from tests.cli.running import eventually
from tests.http.browsing import CHROMIUM, Visit, add_files, give_cookies, new_session, person, sendings, stem, stems
from tests.http.pages.timeline.stage import list_stems, studio
from tests.http.running import Web
from tests.http.sounds import wav

TUS = re.compile("/api/upload/tus")
PIECE_BYTES = 5 * 1024 * 1024
KEPT = """async (store) => {
    const there = await indexedDB.databases();
    if (!there.some(({ name }) => name === "omnisonic.files")) return 0;
    return new Promise((resolve, reject) => {
        const opening = indexedDB.open("omnisonic.files");
        opening.onerror = () => reject(opening.error);
        opening.onsuccess = () => {
            const counting = opening.result.transaction(store).objectStore(store).count();
            counting.onsuccess = () => resolve(counting.result);
            opening.result.close();
        };
    });
}"""
WAITING = "async () => (await navigator.locks.query()).pending.length"
A_DAY_LATER = "{ const now = Date.now; Date.now = () => now() + 86_400_001; }"
FULL = "IDBObjectStore.prototype.put = () => { throw new DOMException('full', 'QuotaExceededError'); }"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


def keeps(page: Page, files: int, places: int = 0) -> None:
    """Wait until the browser keeps so many files, and where the bytes of so many of them go."""

    def kept() -> list[object]:
        mark = page.evaluate("localStorage.getItem('omnisonic.files')")
        return [page.evaluate(KEPT, "files"), page.evaluate(KEPT, "places"), mark]

    eventually(lambda: kept() == [files, places, "1" if files else None], what=f"{files} files, {places} places")


@contextmanager
def asking(page: Page) -> Iterator[list[str]]:
    """What pages of this browser ask the studio for, to send files: the methods, with the offsets of pieces."""
    asked: list[str] = []

    def note(request: Request) -> None:
        if TUS.search(request.url):
            asked.append(f"{request.method} {request.headers.get('upload-offset', '')}".strip())

    page.context.on("request", note)
    yield asked
    page.context.remove_listener("request", note)


class Wire:
    """The way of files from this browser to the studio. While it is cut, what is asked there gets no answer."""

    is_cut = True

    def __init__(self, cuts: Callable[[Route], bool]) -> None:
        self._cuts = cuts
        self.stuck: list[Route] = []

    def carry(self, route: Route) -> None:
        if self.is_cut and self._cuts(route):
            self.stuck.append(route)
        else:
            route.continue_()


@contextmanager
def cut(page: Page, cuts: Callable[[Route], bool] = lambda _: True) -> Iterator[Wire]:
    """A wire that is cut for the requests that `cuts` names, until it is told otherwise."""
    wire = Wire(cuts)
    page.context.route(TUS, wire.carry)
    yield wire
    for route in wire.stuck:
        with suppress(Error):  # whoever asked is gone
            route.abort()


def be(page: Page, site: Web, who: str) -> None:
    """From now on, somebody else is signed in in this browser; nobody without a name."""
    page.context.clear_cookies()
    if who:
        give_cookies(page.context, person(site, who), site.url)


def test_a_page_that_is_loaded_again_goes_on_where_it_was(visit: Visit, site: Web, tmp_path: Path) -> None:
    """It asks how far the file is, sends the rest, and all of it arrives, bit for bit; then nothing is kept."""
    session = new_session(site, "Ada")
    page = visit(studio(session), who="Ada")
    sound = wav(70.0)
    (tmp_path / "long.wav").write_bytes(sound)

    def is_second(route: Route) -> bool:
        return route.request.headers.get("upload-offset") == str(PIECE_BYTES)

    with asking(page) as asked, cut(page, is_second) as wire:
        page.get_by_test_id("upload-input").set_input_files(tmp_path / "long.wav")
        keeps(page, files=1, places=1)
        eventually(lambda: bool(page.title()) and bool(wire.stuck), what="the second piece")
        wire.is_cut = False
        page.reload()
        expect(stem(page, "long.wav")).to_be_visible()
        expect(sendings(page)).to_have_count(0)
        keeps(page, files=0)
        page.reload()
        expect(stem(page, "long.wav")).to_be_visible()
    (upload,) = list_stems(site, session)
    assert upload["sha256"] == hashlib.sha256(sound).hexdigest()
    once = ["POST", "PATCH 0", f"PATCH {PIECE_BYTES}"]
    assert asked == [*once, "HEAD", f"PATCH {PIECE_BYTES}", f"PATCH {2 * PIECE_BYTES}"]


def test_files_that_had_not_begun_are_sent_in_their_order(visit: Visit, site: Web) -> None:
    """Two that were asked for, and one that waited; also when the page is left twice."""
    session = new_session(site, "Ada")
    page = visit(studio(session), who="Ada")
    names = ["one.wav", "two.wav", "three.wav"]
    with cut(page) as wire:
        add_files(page, one_wav=wav(0.1), two_wav=wav(0.2), three_wav=wav(0.3))
        keeps(page, files=3)
        page.reload()
        expect(sendings(page).locator(".track-name")).to_have_text(names)
        wire.is_cut = False
        page.reload()
        expect(stems(page)).to_have_count(3)
        expect(sendings(page)).to_have_count(0)
        assert sorted(upload["fileName"] for upload in list_stems(site, session)) == sorted(names)
        keeps(page, files=0)


def test_a_file_that_had_arrived_is_not_sent_again(visit: Visit, site: Web) -> None:
    """The page was left before the answer came."""
    session = new_session(site, "Ada")
    page = visit(studio(session), who="Ada")

    def answers(route: Route) -> bool:
        return route.request.method == "PATCH" and bool(route.fetch())

    with cut(page, answers) as wire:
        add_files(page, bass_wav=wav())
        keeps(page, files=1, places=1)
        eventually(lambda: bool(page.title()) and len(list_stems(site, session)) == 1, what="it is there")
        wire.is_cut = False
        page.reload()
        expect(stem(page, "bass.wav")).to_be_visible()
        keeps(page, files=0)
    assert len(list_stems(site, session)) == 1


def test_another_tab_leaves_it_alone_until_the_first_is_gone(visit: Visit, site: Web) -> None:
    """Each file is sent by one page at a time."""
    session = new_session(site, "Ada")
    first = visit(studio(session), who="Ada")
    with asking(first) as asked, cut(first) as wire:
        add_files(first, vox_wav=wav())
        keeps(first, files=1)
        second = visit.reopened(first, studio(session))
        eventually(lambda: second.evaluate(WAITING) == 1, what="it looks whether the first is gone")
        eventually(lambda: second.evaluate(WAITING) == 0, what="it is not")
        expect(sendings(second)).to_have_count(0)
        assert asked == ["POST"]
        wire.is_cut = False
        first.close()
        second.reload()
        expect(stem(second, "vox.wav")).to_be_visible()
        assert asked == ["POST", "POST", "PATCH 0"]


def test_what_is_cancelled_after_all_does_not_come_back(visit: Visit, site: Web) -> None:
    """Neither what was on its way nor what is refused for good."""
    session = new_session(site, "Ada")
    page = visit(studio(session), who="Ada")
    visit.expects("415")
    with cut(page) as wire:
        add_files(page, vox_wav=wav())
        keeps(page, files=1)
        page.reload()
        sendings(page).get_by_role("button", name="Cancel").click()
        keeps(page, files=0)
        wire.is_cut = False
        add_files(page, song_mp3=b"<!doctype html><p>Not a song at all.</p>")
        expect(sendings(page).get_by_role("alert")).to_contain_text("Only audio, images and video can be uploaded")
        keeps(page, files=0)
        page.reload()
        expect(page.get_by_text("Nothing to play along to yet.")).to_be_visible()
        expect(sendings(page)).to_have_count(0)
        assert list_stems(site, session) == []


def test_nobody_else_sends_it(visit: Visit, site: Web) -> None:
    """Not in another session, and not whoever is signed in next in this browser; whose it is sends it later."""
    session, other = new_session(site, "Ada", "Bo"), new_session(site, "Ada")
    page = visit(studio(session), who="Ada")
    visit.expects("401|404")
    ada = person(site, "Ada").get("/api/sessions").json()["currentUserId"]
    with asking(page) as asked, cut(page) as wire:
        add_files(page, vox_wav=wav())
        keeps(page, files=1)
        page.goto(f"{site.url}{studio(other)}")
        expect(page.get_by_text("Nothing to play along to yet.")).to_be_visible()
        be(page, site, "Bo")
        page.goto(f"{site.url}{studio(session)}")
        expect(page.get_by_text("Nothing to play along to yet.")).to_be_visible()
        expect(sendings(page)).to_have_count(0)
        keeps(page, files=1)
        assert asked == ["POST"]
        wire.is_cut = False
        be(page, site, "Ada")
        page.reload()
        expect(stem(page, "vox.wav")).to_be_visible()
    assert [upload["userId"] for upload in list_stems(site, session)] == [ada]


def test_whoever_is_signed_out_goes_on_after_signing_in_again(visit: Visit, site: Web) -> None:
    """What was on its way is not lost with the sign-in."""
    session = new_session(site, "Ada")
    page = visit(studio(session), who="Ada")
    visit.expects("401")
    with cut(page) as wire:
        add_files(page, vox_wav=wav())
        keeps(page, files=1)
        be(page, site, "")
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(page.get_by_text("You are signed out.")).to_be_visible()
        keeps(page, files=1)
        wire.is_cut = False
        be(page, site, "Ada")
        page.goto(f"{site.url}{studio(session)}")
        expect(stem(page, "vox.wav")).to_be_visible()
        keeps(page, files=0)


def test_a_file_is_kept_for_a_day(visit: Visit, site: Web) -> None:
    """So long the studio keeps what has arrived of it. Whoever comes later has forgotten it, too."""
    session = new_session(site, "Ada")
    page = visit(studio(session), who="Ada")
    with asking(page) as asked, cut(page) as wire:
        add_files(page, vox_wav=wav())
        keeps(page, files=1)
        wire.is_cut = False
        page.context.add_init_script(A_DAY_LATER)
        page.goto(f"{site.url}{studio(new_session(site, 'Ada'))}")
        keeps(page, files=0)
        page.goto(f"{site.url}{studio(session)}")
        expect(page.get_by_text("Nothing to play along to yet.")).to_be_visible()
        assert asked == ["POST"]


def test_a_browser_without_room_sends_it_all_the_same(visit: Visit, site: Web) -> None:
    """It is then not kept."""
    session = new_session(site, "Ada")
    page = visit("/about", who="Ada")
    page.context.add_init_script(FULL)
    page.goto(f"{site.url}{studio(session)}")
    add_files(page, vox_wav=wav())
    expect(stem(page, "vox.wav")).to_be_visible()
    keeps(page, files=0)
