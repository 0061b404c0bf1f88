"""How the outside reaches a studio: by WebSocket and over REST, as strangers do while rooms are open."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import trio
from trio_websocket import ConnectionRejected, wrap_client_stream

from tests.cli.running import START_S, Command
from tests.clients import Bare, Client, upgrade_request
from tests.no_tls import NO_TLS

NO_WEB: Final = 9
"""A port that nobody listens on."""


@dataclass(frozen=True)
class Visitors:
    """How the outside reaches a web and a gateway."""

    web_port: int
    gateway_port: int

    @asynccontextmanager
    async def member(self, member: str, room: str) -> AsyncIterator[Client]:
        """A member who has been welcomed; leaves in order with the block."""
        async with self.entered(_target(member, room)) as client:
            yield client

    @asynccontextmanager
    async def entered(
        self, target: str, *, subprotocols: Sequence[str] = (), headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> AsyncIterator[Client]:
        """A member who came in by this path and query. Errors: `ConnectionRejected` when they are not let in."""
        host = f"127.0.0.1:{self.gateway_port}"
        # The stream is ours, because trio-websocket leaves it open when it was the server that closed.
        async with await trio.open_tcp_stream("127.0.0.1", self.gateway_port) as stream, trio.open_nursery() as nursery:
            websocket = await wrap_client_stream(
                nursery, stream, host, target, subprotocols=subprotocols, extra_headers=list(headers)
            )
            client = Client(websocket)
            client.welcome = await client.next("welcome")
            yield client
            await websocket.aclose()

    @asynccontextmanager
    async def band(self, *members: str, room: str) -> AsyncIterator[list[Client]]:
        """Several members, each of whom has seen the others come."""
        async with AsyncExitStack() as stack:
            clients: list[Client] = []
            for member in members:
                newcomer = await stack.enter_async_context(self.member(member, room))
                for client in clients:
                    await client.next("presence.join")
                clients.append(newcomer)
            yield clients

    @asynccontextmanager
    async def bare_member(self, member: str, room: str, **query: str) -> AsyncIterator[Bare]:
        """A member as a bare stream, who has been welcomed; is gone with the block, without a word."""
        async with Bare(await trio.open_tcp_stream("127.0.0.1", self.gateway_port)) as bare:
            await bare.stream.send_all(upgrade_request(_target(member, room, **query), self.gateway_port))
            assert (await bare.head()).startswith(b"HTTP/1.1 101")
            bare.welcome = await bare.next("welcome")
            yield bare

    async def ask(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """What the web answers, which must be 200. A web that is being started again is waited for."""
        async with httpx.AsyncClient(timeout=START_S, verify=NO_TLS) as client:
            answer = await client.request(method, f"http://127.0.0.1:{self.web_port}{path}", **request)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def roster(self, room: str) -> list[str]:
        """Who is in the room, by their ids, as REST tells it."""
        answer = await self.ask("GET", "/api/presence", params={"roomId": room})
        return [line["memberId"] for line in answer["members"]]

    async def connected(self, room: str) -> dict[str, bool]:
        """Who is in the room, and whether they are connected, as REST tells it."""
        answer = await self.ask("GET", "/api/presence", params={"roomId": room})
        return {line["memberId"]: line["connected"] for line in answer["members"]}

    async def arrive(self, member: str, room: str, **fields: object) -> None:
        """Be in the room without a socket."""
        body = {"roomId": room, "memberId": member, "displayName": member.title(), **fields}
        assert await self.ask("POST", "/api/presence", json=body) == {"ok": True}

    async def depart(self, member: str, room: str) -> None:
        """Be there no more."""
        body = {"roomId": room, "memberId": member}
        assert await self.ask("DELETE", "/api/presence", json=body) == {"ok": True}


def rejected_status(rejected: BaseException) -> int:
    """The status of the answer in place of the upgrade, out of all the groups that `ConnectionRejected` came in."""
    while isinstance(rejected, BaseExceptionGroup):
        rejected = rejected.exceptions[0]
    assert isinstance(rejected, ConnectionRejected)
    return int(rejected.status_code)


def _target(member: str, room: str, **query: str) -> str:
    return "/?" + urlencode({"roomId": room, "memberId": member, "displayName": member.title(), **query})


def visitors_of(gateway: Command) -> Visitors:
    """The way in to a gateway that runs by itself, without a web."""
    return Visitors(NO_WEB, int(gateway.printed(r"^ws://127\.0\.0\.1:(\d+)$")[1]))
