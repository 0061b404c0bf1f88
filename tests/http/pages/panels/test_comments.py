"""Comments in the studio, in a real browser: whoever writes or stands somewhere is not disturbed by what others do."""

import httpx
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.cli.running import eventually
from tests.http.api.test_shares import shared
from tests.http.browsing import CHROMIUM, Visit, invite_to, join, new_session, open_panel, person
from tests.http.pages.timeline.stage import pass_on, studio
from tests.http.running import GatewayThread, Web

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


def comment(client: httpx.Client, session: str, text: str, **about: float | str) -> str:
    """The id of a comment that somebody writes beside the page."""
    answer = client.post(f"/api/sessions/{session}/comments", json={"text": text, **about})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["comment"]["id"])


def resolve(client: httpx.Client, comment_id: str) -> None:
    assert client.patch(f"/api/comments/{comment_id}", json={"resolved": True}).status_code == 200


def thread(page: Page, text: str) -> Locator:
    """The thread in which that is written."""
    return page.locator("#comments > li").filter(has_text=text)


def reply(row: Locator) -> Locator:
    return row.get_by_role("button", name="Reply")


def test_whoever_writes_a_reply_goes_on_writing(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """Whatever the others do in this thread and above it: keys that are typed are never commands for the room."""
    session = new_session(site, "Ada", "Bo")
    bo = person(site, "Bo")
    _, own, above = (comment(bo, session, text) for text in ("The last", "The middle", "The first"))
    ada = open_panel(join(visit(studio(session), who="Ada")), "Comments")
    row = thread(ada, "The middle")
    reply(row).click()
    field = row.get_by_label("Reply", exact=True)
    ada.keyboard.type("call ")
    comment(bo, session, "From below?", parentId=own)
    pass_on(site, gateway, "comment.added")
    expect(row.locator(".replies > li")).to_have_count(1)
    ada.keyboard.type("all ")
    resolve(bo, above)
    pass_on(site, gateway, "comment.changed")
    expect(thread(ada, "The first")).to_have_count(0)
    ada.keyboard.type("clear ")
    resolve(bo, own)
    pass_on(site, gateway, "comment.changed")
    expect(row.get_by_text("Resolved by Bo")).to_be_visible()
    ada.keyboard.type("rolls")
    expect(field).to_have_value("call all clear rolls")

    answers: list[Route] = []
    ada.route("**/comments", lambda route: answers.append(route))
    ada.keyboard.press("Enter")
    ada.keyboard.press("Enter")
    field.fill("And one more")
    eventually(lambda: len(answers) > 0, what="it is sent")
    for answer in answers:
        answer.continue_()
    ada.unroute("**/comments")
    expect(row.locator(".replies .comment-text")).to_have_text(["From below?", "call all clear rolls"])
    assert len(answers) == 1
    expect(field).to_have_value("And one more")
    expect(field).to_be_focused()
    field.press("Enter")
    expect(row).to_have_count(0)  # it is resolved
    expect(reply(thread(ada, "The last"))).to_be_focused()
    ada.keyboard.press("Tab")
    ada.keyboard.press("Enter")  # Resolve
    expect(thread(ada, "The last")).to_have_count(0)
    expect(ada.get_by_label("Comment", exact=True)).to_be_focused()
    expect(ada.get_by_role("button", name="Loop", exact=True)).to_have_attribute("aria-pressed", "false")


def test_the_focus_stays_on_what_stands_in_the_ruler(visit: Visit, site: Web) -> None:
    """On a pin while others comment, on a marker that passes another. An editor removes what a guest wrote, only."""
    session = new_session(site, "Ada", "Bo")
    ada = person(site, "Ada")
    _, link = shared(site, ada, session)
    guest = site.new_client()
    token = link["url"].rpartition("/")[2]
    assert guest.post(f"/api/listen/{token}/comments", json={"name": "Gus", "text": "Nice."}).status_code == 201
    comment(ada, session, "Late", atBeat=8)
    for name, beat in (("Verse", 4), ("Solo", 8)):
        assert ada.post(f"/api/sessions/{session}/markers", json={"name": name, "atBeat": beat}).status_code == 201
    page = visit(studio(session), who="Bo")
    page.get_by_role("button", name="Solo, marker at bar 3", exact=True).click()
    open_panel(page, "Comments")
    expect(page.locator("#comment-place")).to_have_text("bar 3.1")
    pin = page.get_by_role("button", name="Comment by Ada at bar 3: Late")
    pin.focus()
    guitar = site.sign_up("guitar@example.com", name="Ada \N{GUITAR}")
    assert guitar.post(f"/api{invite_to(site, 'Ada', session)}").status_code == 200
    comment(guitar, session, "Early", atBeat=4)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # it looks
    expect(page.locator("#pins > li")).to_have_text(["A\N{GUITAR}", "A"])
    expect(pin).to_be_focused()
    solo = page.get_by_role("button", name="Solo, marker")
    solo.focus()
    for key, there in (("ArrowLeft", 1), ("ArrowRight", 3)):
        page.keyboard.press(f"Shift+{key}")
        page.keyboard.press(f"Shift+{key}")
        expect(page.get_by_role("button", name=f"Solo, marker at bar {there}", exact=True)).to_be_focused()

    expect(thread(page, "Late").get_by_role("button", name="Remove")).to_be_hidden()
    expect(thread(page, "Late").locator(".comment-text")).to_have_attribute("dir", "auto")
    thread(page, "Nice.").get_by_role("button", name="Remove").click()
    expect(thread(page, "Nice.")).to_have_count(0)
    expect(reply(thread(page, "Late"))).to_be_focused()
