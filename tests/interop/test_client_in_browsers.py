"""`@omnisonic/client` as the web serves it: in a page of the studio, with tickets, and in pages of other origins."""

from typing import Final

import pytest
from playwright.sync_api import Browser, Page

from tests.client_js.programs import FOLDER
from tests.client_js.test_browsers import serving
from tests.http.browsing import CHROMIUM, TIMEOUT_MS
from tests.system.studio import Studio

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

IN_A_SESSION: Final = """async () => {
    const { connect } = await import("/client/omnisonic.js");
    const ask = async (path, body) => (await fetch(path, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    }));
    const { session } = await (await ask("/api/sessions", { name: "From JavaScript" })).json();
    const path = `/api/rooms/${session.id}/ticket`;
    const join = (memberId) => connect(null, { ticket: () => ask(path, { memberId, displayName: memberId }) });
    const plain = await connect(null, { ticket: () => fetch(path, { method: "POST" }) });
    await plain.leave();
    const [ada, bo] = [await join("ada"), await join("bo")];
    const heard = new Promise((resolve) => {
        bo.on("chat", ({ from, payload, id }) => resolve([from, payload, typeof id]));
    });
    const { offset } = await ada.ask("chat", { text: "Take 3." }, { keep: true });
    const { messages } = await (await fetch(`/api/rooms/${session.id}/messages`)).json();
    const refused = await join("\\n").catch((error) => error);
    const result = {
        heard: await heard,
        kept: messages.map(({ payload, offset: place }) => [payload, place === offset]),
        tempo: ada.transport.tempoBpm,
        refused: [refused.name, typeof refused.code, refused.status, refused.retryAfterMs],
    };
    const ended = new Promise((resolve) => {
        ada.onConnectionState(({ state, error }) => error && resolve([state, error.code]));
    });
    await fetch(`/api/sessions/${session.id}`, { method: "DELETE" });
    return { ...result, ended: await ended };
}"""
ELSEWHERE: Final = """async (base) => {
    const { ClientRoom } = await import(`${base}/client/omnisonic.js`);
    const read = await fetch(`${base}/api/auth/providers`).then(() => "read", () => "not read");
    return [typeof ClientRoom, read];
}"""


def visit(browser: Browser, url: str) -> Page:
    page = browser.new_context().new_page()
    page.set_default_timeout(TIMEOUT_MS)
    page.goto(url)
    return page


def test_a_page_of_the_studio_enters_a_session_by_tickets(studio: Studio, browser: Browser) -> None:
    """Under the studio's own policy: it keeps what is said, and ends when the session does."""
    base = f"http://127.0.0.1:{studio.visitors.web_port}"
    page = visit(browser, f"{base}/signin")
    page.get_by_label("Email").fill("javascript@example.com")
    page.get_by_label("Password").fill("correct horse battery staple")
    page.get_by_role("button", name="Continue with email").click()
    page.wait_for_url("**/sessions")
    page.get_by_placeholder("New session name").fill("Theirs")
    page.get_by_role("button", name="Create").click()
    page.get_by_role("button", name="Join Room").wait_for()
    result = page.evaluate(IN_A_SESSION)
    assert result == {
        "heard": ["ada", {"text": "Take 3."}, "string"],
        "kept": [[{"text": "Take 3."}, True]],
        "tempo": 120,
        "refused": ["EntryRefused", "string", 400, None],
        "ended": ["closed", "room_closed"],
    }
    page.context.close()


def test_pages_of_other_origins_may_import_the_client_and_read_nothing_else(studio: Studio, browser: Browser) -> None:
    """By CORS, which this file alone has."""
    base = f"http://127.0.0.1:{studio.visitors.web_port}"
    with serving(FOLDER) as origin:
        page = visit(browser, f"{origin}/README.md")
        assert page.evaluate(ELSEWHERE, base) == ["function", "not read"]
        page.context.close()
