"""A tiny gateway for the page's tests: rooms, presence, chat and heartbeats as SPEC 5 has them, and told failures."""

import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket


@dataclass
class Seat:
    member: dict[str, str]
    link: WebSocketConnection


@dataclass
class FakeGateway:
    """Who is in which room. `refusal` turns every newcomer away with that sentence; `is_mute` answers no messages.

    Every connection needs a ticket that no other had, as in ticket mode; what is in it, the web's own tests know.
    """

    port: int = 0
    refusal: str = ""
    is_mute: bool = False
    tickets: set[str] = field(default_factory=set)
    rooms: dict[str, dict[str, Seat]] = field(default_factory=dict)

    async def close(self, room: str, code: int, reason: str = "") -> None:
        """Close everyone in `room` with `code`."""
        for seat in list(self.rooms.get(room, {}).values()):
            await seat.link.aclose(code, reason)

    async def put(self, room: str, name: str, status: str = "active") -> None:
        """Let someone without a page come in, or change."""
        seats = self.rooms.setdefault(room, {})
        member = {"memberId": f"id-{name}", "displayName": name, "status": status}
        kind = "presence.update" if member["memberId"] in seats else "presence.join"
        await self.tell(room, {"type": kind, "payload": member})

    async def tell(self, room: str, message: dict[str, Any], but: str = "") -> None:
        """Send `message` to all in `room`."""
        for member_id, seat in list(self.rooms.get(room, {}).items()):
            if member_id != but:
                await _send(seat.link, message)

    async def handle(self, request: WebSocketRequest) -> None:
        ticket = next((name for name in request.proposed_subprotocols if name.startswith("ticket.")), "")
        if not ticket or ticket in self.tickets:
            await request.reject(403 if ticket else 401)
            return
        self.tickets.add(ticket)
        link = await request.accept(subprotocol="omnisonic")
        query = {name: values[0] for name, values in parse_qs(urlsplit(request.path).query).items()}
        try:
            if self.refusal:
                await _send(link, {"type": "error", "payload": {"code": "refused", "message": self.refusal}})
                await link.aclose(1008, "refused")
                return
            await self._seat(link, query["roomId"], query)
        except ConnectionClosed:
            pass

    async def _seat(self, link: WebSocketConnection, room: str, query: dict[str, str]) -> None:
        member = {name: query[name] for name in ("memberId", "displayName", "status")}
        seats = self.rooms.setdefault(room, {})
        me = member["memberId"]
        if (before := seats.get(me)) is not None:
            await before.link.aclose(4001, "replaced")
        seat = seats[me] = Seat(member, link)
        members = [other.member for other in seats.values()]
        await _send(link, {"type": "welcome", "payload": {"roomId": room, "memberId": me, "members": members}})
        if before is None:
            await self.tell(room, {"type": "presence.join", "payload": member}, but=me)
        try:
            while True:
                await self._heard(room, seat, json.loads(await link.get_message()))
        finally:
            if seats.get(me) is seat:
                del seats[me]
                with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                    payload = {"memberId": me, "reason": "left"}
                    await self.tell(room, {"type": "presence.leave", "payload": payload})

    async def _heard(self, room: str, seat: Seat, message: dict[str, Any]) -> None:
        me = seat.member["memberId"]
        match message["type"]:
            case "heartbeat":
                now_ms = math.floor(trio.current_time() * 1000)
                payload = {"ts": now_ms, "echo": message["payload"]}
                await _send(seat.link, {"type": "heartbeat", "payload": payload})
            case "presence.set":
                seat.member |= message["payload"]
                await self.tell(room, {"type": "presence.update", "payload": seat.member})
            case _ if self.is_mute:
                return
            case _ if message["payload"].get("text") == "forbidden":
                payload = {"code": "rate_limited", "message": "Slow down a little.", "id": message["id"]}
                await _send(seat.link, {"type": "error", "payload": payload})
            case kind:
                envelope = {"type": kind, "payload": message["payload"], "from": me, "offset": 1}
                await self.tell(room, envelope, but=me)
                await _send(seat.link, {"type": "ack", "payload": {"id": message.get("id"), "offset": 1}})


@asynccontextmanager
async def fake_gateway(port: int = 0) -> AsyncIterator[FakeGateway]:
    """A gateway on a loopback port, gone when the block ends."""
    gateway = FakeGateway()
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, gateway.handle, "127.0.0.1", port, None)
        gateway.port = server.port
        yield gateway
        nursery.cancel_scope.cancel()


async def _send(link: WebSocketConnection, message: dict[str, Any]) -> None:
    with suppress(ConnectionClosed):
        await link.send_message(json.dumps(message))
