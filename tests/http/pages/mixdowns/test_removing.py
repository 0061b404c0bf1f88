"""Mixdowns are cancelled and removed in a real browser: by whom, after which question, and what the others see."""

import pytest
from playwright.sync_api import expect

from tests.http.browsing import CHROMIUM, Visit, join, new_session, person
from tests.http.pages.mixdowns.stage import (
    finished,
    list_mixdowns,
    make_mixdown,
    mixdowns,
    newest,
    note,
    publish_export,
    render,
    request_mixdown,
    status,
    studio,
    taken,
)
from tests.http.pages.timeline.stage import pass_on
from tests.http.running import GatewayThread, Web

CANCELLED = "The mixdown was cancelled."

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


def test_cancelling_ends_it_for_everybody(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """At once, without a question: nothing is lost. Whoever else waited for it is told."""
    session = new_session(site, "Ada", "Bo")
    request_mixdown(site, session)
    taken(site, 42)
    ada, bo = visit(studio(session), who="Ada"), join(visit(studio(session), who="Bo"))
    expect(status(bo)).to_have_text("Status: processing, 42 %")
    expect(newest(bo).get_by_role("button", name="Cancel")).to_have_count(0)
    newest(ada).get_by_role("button", name="Cancel").click()
    expect(mixdowns(ada)).to_have_count(0)
    expect(render(ada)).to_be_focused()
    pass_on(site, gateway, "export.removed")
    expect(mixdowns(bo)).to_have_count(0)
    for page in (ada, bo):
        expect(note(page)).to_have_text(CANCELLED)
        expect(page.get_by_text("None yet.")).to_be_visible()
    assert list_mixdowns(site, session) == []


def test_one_that_is_cancelled_elsewhere_is_gone_outside_the_room_too(visit: Visit, site: Web) -> None:
    """The page sees it when it looks, says so, and does not leave the keyboard in the void."""
    session = new_session(site, "Ada", "Bo")
    page = visit(studio(session), who="Bo")
    render(page).click()
    newest(page).get_by_role("button", name="Cancel").focus()
    person(site, "Ada").delete(f"/api/export/{list_mixdowns(site, session)[0]['exportId']}")
    expect(note(page)).to_have_text(CANCELLED)
    expect(mixdowns(page)).to_have_count(0)
    expect(page.get_by_role("tab", name="Mixdowns")).to_be_focused()


def test_the_keyboard_stays_where_it_is_when_one_is_made(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """What was the button to cancel it is the one to remove it, which asks first."""
    session = new_session(site, "Ada")
    request_mixdown(site, session)
    page = join(visit(studio(session), who="Ada"))
    newest(page).get_by_role("button", name="Cancel").focus()
    publish_export(gateway, finished(site))
    expect(newest(page).get_by_role("button", name="Remove", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(newest(page).get_by_role("button", name="Keep it")).to_be_focused()
    assert len(list_mixdowns(site, session)) == 1


def test_removing_asks_first(visit: Visit, site: Web, gateway: GatewayThread) -> None:
    """Kept by Escape, gone by a second press, also for the others."""
    session = new_session(site, "Ada", "Bo")
    make_mixdown(site, session, "Bo")
    ada, bo = visit(studio(session), who="Ada"), join(visit(studio(session), who="Bo"))
    remove = newest(ada).get_by_role("button", name="Remove", exact=True)
    remove.click()
    expect(newest(ada).get_by_role("button", name="Keep it")).to_be_focused()
    ada.keyboard.press("Escape")
    expect(remove).to_be_focused()
    remove.click()
    newest(ada).get_by_role("button", name="Remove it").click()
    expect(mixdowns(ada)).to_have_count(0)
    expect(ada.get_by_role("tab", name="Mixdowns")).to_be_focused()
    expect(note(ada)).to_have_text("The mixdown is removed.")
    pass_on(site, gateway, "export.removed")
    expect(mixdowns(bo)).to_have_count(0)
    expect(note(bo)).to_be_empty()


def test_only_whoever_may_remove_one_is_offered_to(visit: Visit, site: Web) -> None:
    """The owner each, others what they have asked for."""
    session = new_session(site, "Ada", "Bo")
    for who in ("Ada", "Bo"):
        make_mixdown(site, session, who)
    for who, offers in (("Ada", [1, 1]), ("Bo", [1, 0])):
        page = visit(studio(session), who=who)
        expect(mixdowns(page)).to_have_count(2)
        remove = [row.get_by_role("button", name="Remove", exact=True).count() for row in mixdowns(page).all()]
        assert remove == offers


def test_what_cannot_be_removed_says_why(visit: Visit, site: Web) -> None:
    """At the mixdown itself; one that is gone already simply goes."""
    session = new_session(site, "Ada")
    export = make_mixdown(site, session)
    page = visit(studio(session), who="Ada")
    visit.expects("403|404")
    refusal = {"error": "Only whoever asked for it can remove it.", "code": "requester_only"}
    page.route(f"**/api/export/{export}", lambda route: route.fulfill(status=403, json=refusal))
    newest(page).get_by_role("button", name="Remove", exact=True).click()
    newest(page).get_by_role("button", name="Remove it").click()
    expect(newest(page).get_by_role("alert")).to_have_text("Only whoever asked for it can remove it.")
    page.unroute(f"**/api/export/{export}")
    person(site, "Ada").delete(f"/api/export/{export}")
    newest(page).get_by_role("button", name="Remove it").click()
    expect(mixdowns(page)).to_have_count(0)
