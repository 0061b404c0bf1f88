"""In the studio: links to a mixdown are made and revoked, and two mixdowns are compared at the same place."""

import re
from typing import Final

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.http import making
from tests.http.api.test_exports import request_export
from tests.http.browsing import CHROMIUM, Visit, new_session, person
from tests.http.running import Web
from tests.http.sounds import wav

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

IN_STEP: Final = """async ([url, one, other]) => {
    const { Comparison } = await import(url);
    const loud = [-14, -17];
    const sides = [one, other].map((exportId, place) => ({ exportId, loudnessLufs: loud[place], durationSeconds: 12 }));
    const comparison = new Comparison(...sides);
    await comparison.play();
    const drifts = [];
    const looked = (again) => {
        drifts.push(Math.abs(comparison.drift_s));
        if (drifts.slice(-5).every((each) => each < 0.02) && drifts.length >= 5) again();
        else setTimeout(looked, 100, again);
    };
    await new Promise(looked);
    comparison.switch();
    const { gainsDb, heard } = comparison;
    const drift_s = Math.abs(comparison.drift_s);
    comparison.close();
    return [gainsDb.a, gainsDb.b, heard, drift_s];
}"""
"""Plays both until they were in step five times in a row, and switches."""


def mixdown(page: Page, place: int) -> str:
    """The selector of a row."""
    return f"#mixdowns > li:nth-child({place})"


def test_mixdowns_are_shared_and_compared_in_the_studio(visit: Visit, shared_web: Web) -> None:
    """By keyboard, too; what was made is listed without its address, and gone when it is revoked."""
    session = new_session(shared_web, "Ada")
    ada = person(shared_web, "Ada")
    exports = []
    for _ in range(2):
        exports.append(request_export(ada, session)["exportId"])
        making.make(shared_web, wav(making.LENGTH_S))
    louder = "UPDATE exports SET loudness_lufs = -11.2 WHERE id = $1"
    shared_web.do(shared_web.database.row(louder, exports[0]))
    visit.expects("ERR_|WebSocket")  # here is no gateway
    page = visit(f"/sessions/{session}", who="Ada", width=1280)
    page.get_by_role("tab", name="Mixdowns").click()

    newest = page.locator(mixdown(page, 1))
    newest.get_by_role("button", name="Share").click()
    dialog = page.get_by_role("dialog", name="Share")
    dialog.get_by_label("May be downloaded").check()
    dialog.get_by_label("Good for").select_option("7")
    dialog.get_by_role("button", name="Make a link").click()
    expect(dialog.get_by_text("It plays until")).to_be_visible()
    link = dialog.get_by_label("Link", exact=True).input_value()
    assert shared_web.client.get(httpx.URL(link).path).status_code == 200
    (share,) = ada.get(f"/api/export/{exports[1]}/shares").json()["shares"]
    assert share["download"]
    expect(dialog.get_by_text("not played yet")).to_be_visible()
    dialog.get_by_role("checkbox", name="Comments: the link").uncheck()
    revoke = dialog.get_by_role("button", name="Revoke")
    revoke.click()
    revoke.click()
    expect(dialog.get_by_text("The link is revoked")).to_be_visible()
    expect(dialog.get_by_role("button", name="Make a link")).to_be_focused()
    assert shared_web.client.get(httpx.URL(link).path).status_code == 410
    page.keyboard.press("Escape")
    expect(newest.get_by_role("button", name="Share")).to_be_focused()

    for place in (1, 2):
        page.locator(mixdown(page, place)).get_by_role("button", name="Compare").click()
    bar = page.get_by_role("region", name="Compare two mixdowns")
    expect(bar.get_by_text(re.compile("B is turned down, .3.0 dB"))).to_be_visible()
    expect(bar.get_by_role("button", name="Play")).to_be_focused()
    page.keyboard.press("Enter")
    expect(bar.get_by_role("button", name="Pause")).to_be_visible()
    page.keyboard.press("x")
    expect(bar.get_by_role("radio").nth(1)).to_be_checked()
    newest.get_by_role("button", name="Play").click()
    expect(bar.get_by_role("button", name="Play")).to_be_visible()
    module = page.locator("script[src*='/studio.js']").get_attribute("src")
    assert module is not None
    parts = [module.replace("studio.js", "sound/comparison.js"), *exports]
    gain_a, gain_b, heard, drift_s = page.evaluate(IN_STEP, parts)
    assert (gain_a, gain_b, heard) == (-3, 0, "b")
    assert drift_s < 0.02
    bar.get_by_role("button", name="Close the comparison").click()
    expect(bar).to_have_count(0)
    expect(newest.get_by_role("button", name="Compare")).to_be_focused()
