"""Any WebSocket client will do (README): each with its defaults enters an open room, says something, and is heard."""

import asyncio
import json
from typing import Any, Final

import aiohttp
import pytest
from playwright.sync_api import Page

from tests.http.browsing import CHROMIUM, TIMEOUT_MS, running_browser
from tests.node_packages import NodePackages
from tests.system.studio import Studio

TEXT: Final = "Can you hear me? ♪"
NOTE: Final = json.dumps({"type": "note", "payload": {"text": TEXT}})
RECEIVED: Final = ["second", TEXT]
TIMEOUT_S: Final = 20.0
IN_BROWSER: Final = """([url, text]) => new Promise((resolve, reject) => {
    const first = new WebSocket(`${url}&memberId=first&displayName=First`);
    first.onerror = () => reject(new Error("not let in"));
    first.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        if (message.type === "note") resolve([message.from, message.payload.text]);
        if (message.type !== "welcome") return;
        const second = new WebSocket(`${url}&memberId=second&displayName=Second`);
        second.onopen = () => second.send(JSON.stringify({ type: "note", payload: { text } }));
    };
})"""


def room(studio: Studio, name: str) -> str:
    """Where a room of that name is; who enters adds who they are."""
    return f"ws://127.0.0.1:{studio.visitors.gateway_port}/?roomId={name}"


def member(url: str, name: str) -> str:
    return f"{url}&memberId={name}&displayName={name.title()}"


def note_in(text: str | bytes) -> list[str] | None:
    """Who said what, when the message is a note."""
    message: dict[str, Any] = json.loads(text)
    return [message["from"], message["payload"]["text"]] if message["type"] == "note" else None


def test_websocket_client_is_heard(studio: Studio) -> None:
    """It sends the gateway's own address as its Origin."""
    websocket: Any = pytest.importorskip("websocket")
    url = room(studio, "websocket-client")
    first = websocket.create_connection(member(url, "first"), timeout=TIMEOUT_S)
    second = websocket.create_connection(member(url, "second"), timeout=TIMEOUT_S)
    second.send(NOTE)
    received = None
    while received is None:
        received = note_in(first.recv())
    assert received == RECEIVED
    for each in (first, second):
        each.close()


def test_websockets_is_heard(studio: Studio) -> None:
    """It offers compression."""
    client: Any = pytest.importorskip("websockets.sync.client")
    url = room(studio, "websockets")
    with client.connect(member(url, "first")) as first, client.connect(member(url, "second")) as second:
        second.send(NOTE)
        received = None
        while received is None:
            received = note_in(first.recv(TIMEOUT_S))
    assert received == RECEIVED


def test_aiohttp_is_heard(studio: Studio) -> None:
    """On asyncio."""
    url = room(studio, "aiohttp")

    async def talk() -> list[str] | None:
        async with (
            asyncio.timeout(TIMEOUT_S),
            aiohttp.ClientSession() as session,
            session.ws_connect(member(url, "first")) as first,
            session.ws_connect(member(url, "second")) as second,
        ):
            await second.send_str(NOTE)
            async for message in first:
                if received := note_in(message.data):
                    return received
        return None

    assert asyncio.run(talk()) == RECEIVED


def test_ws_of_node_is_heard(studio: Studio, node_packages: NodePackages) -> None:
    """What the original gateway was made with."""
    ended = node_packages.run(node_packages.folder / "ws_person.mjs", room(studio, "ws"), TEXT)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == RECEIVED


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_a_browsers_websocket_is_heard(studio: Studio) -> None:
    """On a page of the studio's own origin, whose policy is not the gateway's to keep."""
    with running_browser() as browser:
        page: Page = browser.new_page(bypass_csp=True)
        page.set_default_timeout(TIMEOUT_MS)
        page.goto(f"http://127.0.0.1:{studio.visitors.web_port}/about")
        assert page.evaluate(IN_BROWSER, [room(studio, "browser"), TEXT]) == RECEIVED
