"""A program with `@omnisonic/client` where WebSockets are blocked: the same room by an event stream (SPEC 5, 8)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
import trio

import omnisonic
from tests.client.serving import Peer, scripted
from tests.client_js.programs import Thrown, jam, needs_node
from tests.embedding.staging import band, hear
from tests.http.running import running_web
from tests.tcp_proxy import TcpProxy, open_tcp_proxy

pytestmark = needs_node


def url_of(wall: TcpProxy) -> str:
    """Where no WebSocket can be opened."""
    return f"ws://127.0.0.1:{wall.port}"


@asynccontextmanager
async def blocked() -> AsyncIterator[tuple[TcpProxy, str, TcpProxy, omnisonic.ClientRoom]]:
    """A room with Bo in it: the wall before the gateway, the address of the events, and the proxy on the way there."""
    async with band("bo") as (gateway, [bo]):
        port = urlsplit(gateway.url).port
        assert port is not None
        with running_web(gateway_port=port) as web:
            async with open_tcp_proxy(port) as wall, open_tcp_proxy(web.port) as proxy:
                wall.refusing = True
                yield wall, f"http://127.0.0.1:{proxy.port}/api/rooms/jam/events", proxy, bo


async def test_a_chat_goes_on_where_websockets_are_blocked() -> None:
    """Said and heard both ways, text and bytes; nothing is missed or doubled over a break; and a leave is a leave."""
    async with blocked() as (wall, events_url, proxy, bo), jam(url_of(wall), eventsUrl=events_url) as ada:
        assert wall.connections == 2
        assert (await hear(bo, "presence.join")).payload["memberId"] == "ada"
        assert await ada.ask("chat", "Hello") == 1
        assert (await hear(bo, "chat")).payload == "Hello"
        for number in range(40):
            await ada.call("say", "count", [number, "♪" * 2_000])
        assert [(await hear(bo, "count")).payload[0] for _ in range(40)] == list(range(40))
        await ada.call("sayBytes", b"\x00\xff")
        assert (await hear(bo, "")).payload == b"\x00\xff"
        await bo.say_bytes(b"\x01\x80")
        assert (await ada.hear(""))["payload"] == {"hex": "0180"}
        await bo.ask("chat", 1)
        assert (await ada.hear("chat"))["payload"] == 1
        proxy.refusing = True
        proxy.cut()
        await ada.state("reconnecting")
        await bo.ask("chat", 2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ada.call, "ask", "chat", "again")
            proxy.refusing = False
            assert (await hear(bo, "chat")).payload == "again"
        await bo.ask("chat", 3)
        await bo.ask("done", None)
        heard = [
            (message["payload"], message["from"]) for message in await ada.until("done") if message["type"] == "chat"
        ]
        assert heard == [(2, "bo"), (3, "bo")]
        await ada.call("leave")
        assert (await hear(bo, "presence.leave")).payload["reason"] == "left"
        assert await ada.wait_for_end() is None
        assert wall.connections == 2


async def test_what_the_web_refuses_is_thrown_with_its_code() -> None:
    """As `EntryRefused`. Where nothing is known of events, a WebSocket that cannot be opened is the end, as before."""
    async with blocked() as (wall, events_url, proxy, _):
        session = events_url.replace("jam", "6ba7b810-9dad-41d1-80b4-00c04fd430c8")
        with pytest.raises(Thrown) as wrong:
            async with jam(None, transport="events", eventsUrl=session):
                pass
        assert (wrong.value.name, wrong.value.code, wrong.value.fields["status"]) == (
            "EntryRefused",
            "unavailable",
            503,
        )
        before = proxy.connections
        with pytest.raises(Thrown) as wrong:
            async with jam(url_of(wall)):
                pass
        with pytest.raises(Thrown):
            async with jam(url_of(wall), transport="websocket", eventsUrl=events_url):
                pass
        assert (wrong.value.code, proxy.connections) == ("unreachable", before)


async def test_a_websocket_that_opens_is_never_left_for_an_event_stream() -> None:
    """It was refused by the room, or broke later: the way is open, and the next attempt goes by it, too."""

    async def serves(peer: Peer) -> None:
        await peer.welcome()
        await peer.close(1011)
        await peer.rest()

    async def refuses(peer: Peer) -> None:
        await peer.upgrade()
        await peer.close(1011)
        await peer.rest()

    async def says_done(peer: Peer) -> None:
        await peer.welcome()
        await peer.tell(b'{"type":"done"}')
        await peer.rest()

    async with blocked() as (_, events_url, proxy, _), scripted(serves, refuses, refuses, refuses, says_done) as url:
        async with jam(url, eventsUrl=events_url) as ada:
            await ada.hear("done")
        assert proxy.connections == 0
