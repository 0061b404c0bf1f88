"""A tiny gateway for the page's tests: rooms as SPEC 5 has them, with presence, chat, heartbeats, transport and state.

It can fail as it is told to.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

from omnisonic.actors.rooms.shared_state import SharedState
from omnisonic.actors.rooms.transport import change_transport
from omnisonic.errors import InvalidInput
from omnisonic.models import MemberId
from omnisonic.wire.message_types import SERVER_TYPES
from omnisonic.wire.shared_state import StateSet, read_state_set
from omnisonic.wire.transport import Transport, read_transport_set


@dataclass
class Seat:
    member: dict[str, str]
    link: WebSocketConnection


@dataclass
class FakeGateway:
    """Who is in which room. `refusal` turns every newcomer away with that sentence; `is_mute` answers no messages.

    Who comes back with `since` gets what was said, or a gap when the room `has_gap`. A kept message is acknowledged
    once `commits` is set; nothing is written down here. What was missed comes once `catches_up` is set. Newcomers are
    let in once `opens` is set.

    Every connection needs a ticket that no other had, as in ticket mode; what is in it, the web's own tests know.
    """

    port: int = 0
    refusal: str = ""
    is_mute: bool = False
    has_gap: bool = False
    epoch: str = "first"
    commits: trio.Event | None = None
    catches_up: trio.Event | None = None
    opens: trio.Event | None = None
    said: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    accepted: dict[tuple[str, Any], int] = field(default_factory=dict)
    tickets: set[str] = field(default_factory=set)
    rooms: dict[str, dict[str, Seat]] = field(default_factory=dict)
    transports: dict[str, Transport] = field(default_factory=dict)
    states: dict[str, SharedState] = field(default_factory=dict)

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

    async def move(self, room: str, *names: str, **welcome: Any) -> None:
        """Welcome the only one with a page again, as a gateway that has taken the room over, with these others."""
        (seat,) = self.rooms[room].values()
        others = [{"memberId": f"id-{name}", "displayName": name, "status": "active"} for name in names]
        members = {"members": [seat.member, *others], "roomId": room, "memberId": seat.member["memberId"]}
        position = {"epoch": self.epoch, "offset": len(self.said.get(room, [])), "recovered": True}
        await _send(seat.link, {"type": "welcome", "payload": members | self._shared(room) | position | welcome})

    async def say(self, room: str, sender: str, text: str, message_id: str | None = None) -> int:
        """Let somebody say something. Its place in the room's order."""
        return await self.relay(room, sender, "chat", {"text": text}, message_id)

    async def relay(self, room: str, sender: str, type_: str, payload: Any, message_id: str | None = None) -> int:
        """Let somebody send what a client may send to all. Its place in the room's order."""
        said = self.said.setdefault(room, [])
        envelope = {"type": type_, "payload": payload, "from": sender, "offset": len(said) + 1}
        if message_id is not None:
            envelope["id"] = message_id
        said.append(envelope)
        await self.tell(room, envelope, but=sender)
        return len(said)

    async def share(self, room: str, by: str, key: str, value: Any) -> None:
        """Let somebody set an ephemeral key, as they have done before their page was loaded again."""
        wanted = StateSet(key, msgspec.Raw(json.dumps(value).encode()), ephemeral=True)
        self._state(room).set(wanted, MemberId(by))
        await self._tell_state(room, key, by)

    async def handle(self, request: WebSocketRequest) -> None:
        if self.opens is not None:
            await self.opens.wait()
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
        said = self.said.get(room, [])
        epoch, _, offset = query.get("since", "").rpartition(":")
        recovered = epoch == self.epoch and not self.has_gap
        welcome = {"roomId": room, "memberId": me, "members": members, "epoch": self.epoch, "offset": len(said)}
        await _send(link, {"type": "welcome", "payload": welcome | self._shared(room) | {"recovered": recovered}})
        if self.catches_up is not None:
            await self.catches_up.wait()
        if epoch and self.has_gap:
            await _send(link, {"type": "history.gap", "payload": {"epoch": epoch, "from": int(offset) + 1}})
        elif recovered:
            for envelope in said[int(offset) :]:
                if envelope["from"] != me:
                    await _send(link, envelope)
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
                    for key, _ in self._state(room).drop_ephemeral(MemberId(me)):
                        await self._tell_state(room, key, me)

    async def _heard(self, room: str, seat: Seat, message: dict[str, Any]) -> None:
        me = seat.member["memberId"]
        match message["type"]:
            case "heartbeat":
                payload = {"ts": now_ms(), "echo": message["payload"]}
                await _send(seat.link, {"type": "heartbeat", "payload": payload})
            case "presence.set":
                seat.member |= message["payload"]
                await self.tell(room, {"type": "presence.update", "payload": seat.member})
            case _ if self.is_mute:
                return
            case "transport.set":
                wanted = read_transport_set(msgspec.Raw(json.dumps(message["payload"]).encode()))
                before = self.transports.get(room, Transport())
                self.transports[room] = change_transport(before, wanted, MemberId(me), now_ms())
                await self.tell(room, {"type": "transport.state", "payload": self._transport(room)})
                await _send(seat.link, {"type": "ack", "payload": {"id": message["id"], "offset": 0}})
            case "state.set":
                await self._set_state(room, seat, message)
            case reserved if reserved in SERVER_TYPES:
                payload = {"code": "reserved_type", "message": f"Only the server says {reserved}."}
                await _send(seat.link, {"type": "error", "payload": payload | _id_of(message)})
            case kind if kind != "chat":
                offset = await self.relay(room, me, kind, message["payload"], message.get("id"))
                if "id" in message:
                    await _send(seat.link, {"type": "ack", "payload": {"id": message["id"], "offset": offset}})
            case _ if message["payload"].get("text") == "forbidden":
                payload = {"code": "rate_limited", "message": "Slow down a little.", "id": message["id"]}
                await _send(seat.link, {"type": "error", "payload": payload})
            case _:
                key = me, message["id"]
                if key not in self.accepted:
                    self.accepted[key] = await self.say(room, me, message["payload"]["text"], message["id"])
                if self.commits is not None:
                    await self.commits.wait()
                ack = {"id": message["id"], "offset": self.accepted[key], "kept": message["keep"]}
                await _send(seat.link, {"type": "ack", "payload": ack})

    async def _set_state(self, room: str, seat: Seat, message: dict[str, Any]) -> None:
        me, state = seat.member["memberId"], self._state(room)
        wanted = read_state_set(msgspec.Raw(json.dumps(message["payload"]).encode()))
        try:
            state.set(wanted, MemberId(me))
        except InvalidInput as wrong:
            payload = {"code": wrong.code, "message": wrong.message}
            await _send(seat.link, {"type": "error", "payload": payload | _id_of(message)})
            return
        version = state.version
        await self._tell_state(room, wanted.key, me)
        if "id" in message:
            ack = {"id": message["id"], "offset": 0, "version": version}
            await _send(seat.link, {"type": "ack", "payload": ack})

    async def _tell_state(self, room: str, key: str, by: str) -> None:
        state = self._state(room)
        entry = state.get(key)
        value = None if entry is None else json.loads(entry.value)
        payload = {"key": key, "value": value, "version": state.version, "by": by}
        await self.tell(room, {"type": "state.changed", "payload": payload})

    def _state(self, room: str) -> SharedState:
        return self.states.setdefault(room, SharedState())

    def _shared(self, room: str) -> dict[str, Any]:
        state = json.loads(self._state(room).to_json())
        return {"transport": self._transport(room), "state": state, "serverTime": now_ms()}

    def _transport(self, room: str) -> dict[str, Any]:
        return dict(msgspec.to_builtins(self.transports.get(room, Transport())))


def now_ms() -> float:
    """The gateway's clock."""
    return trio.current_time() * 1000


@asynccontextmanager
async def fake_gateway(port: int = 0) -> AsyncIterator[FakeGateway]:
    """A gateway on a loopback port, gone when the block ends."""
    gateway = FakeGateway()
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, gateway.handle, "127.0.0.1", port, None)
        gateway.port = server.port
        yield gateway
        nursery.cancel_scope.cancel()


def _id_of(message: dict[str, Any]) -> dict[str, Any]:
    """The `id` that an answer to this has, if it has one."""
    return {"id": message["id"]} if "id" in message else {}


async def _send(link: WebSocketConnection, message: dict[str, Any]) -> None:
    with suppress(ConnectionClosed):
        await link.send_message(json.dumps(message))
