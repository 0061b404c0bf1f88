"""A room as a client is in it, and `connect`, which enters one (SPEC 8; the protocol is SPEC 5)."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Self

import msgspec
import trio

from omnisonic.client.connection import Connection, ConnectionBroken
from omnisonic.client.dispatch import Dispatch
from omnisonic.client.errors import NotTaken
from omnisonic.client.inbox import INBOX_BYTES, Inbox
from omnisonic.client.join_request import JoinRequest, Ticket
from omnisonic.client.reconnect_policy import ReconnectPolicy
from omnisonic.client.reconnector import GIVE_UP_S, Reconnector, State
from omnisonic.concurrency.background import open_background
from omnisonic.errors import InvalidInput
from omnisonic.models import Member, MemberId, Status
from omnisonic.wire.decoded_message import Message
from omnisonic.wire.frames import BINARY, TEXT
from omnisonic.wire.json_limits import DEPTH, nesting_depth
from omnisonic.wire.messages import MESSAGE_BYTES, TYPE_LENGTH, too_large

ACK_S: Final = 10.0
"""How long `ask` waits for its answer unless it is told otherwise."""


class _Outgoing(msgspec.Struct, omit_defaults=True):
    type: str
    payload: Any = None
    to: str | None = None
    id: int | None = None


class ClientRoom:
    """A room that this program is a member of. Made by `connect`; every method may be used by any task of the program.

    Iterating over it gives what the room says: messages of members, `presence.join`, `presence.update` and
    `presence.leave`, and `error`s that answer no `ask`. After coming back it gives the new `welcome`. At most
    `inbox_bytes` wait to be read; over that the oldest are dropped, and one `history.gap` with `{"dropped": n}` comes
    in their place. Iteration waits only when nothing is there: a loop that never waits itself may hold the others up.

    Errors of iteration, `say` and `ask`: `Closed`, once the member is in the room no more. After the program itself
    has left, iteration just ends.
    """

    def __init__(self, reconnector: Reconnector, dispatch: Dispatch, join_request: JoinRequest) -> None:
        self._reconnector = reconnector
        self._dispatch = dispatch
        self._join_request = join_request

    # What is known

    @property
    def name(self) -> str:
        """The room's id."""
        return self._dispatch.room_id

    @property
    def member_id(self) -> MemberId:
        """Who this is, over all reconnections."""
        return self._dispatch.member_id

    @property
    def members(self) -> list[Member]:
        """Who is in the room, oneself included, in the order they came: as last heard, which may be ahead of iteration.

        While reconnecting: who was there.
        """
        return list(self._dispatch.roster)

    def member(self, member_id: MemberId) -> Member | None:
        """The member of this id, if they are in the room."""
        return self._dispatch.roster.get(member_id)

    @property
    def state(self) -> State:
        """`connected`, `reconnecting`, or `closed` for good."""
        return self._reconnector.state

    @property
    def epoch(self) -> str:
        """Names the count of offsets. Another one after coming back: the room began anew meanwhile."""
        return self._dispatch.epoch

    @property
    def dropped(self) -> int:
        """How many messages were dropped because the program did not read them in time."""
        return self._dispatch.inbox.dropped

    @property
    def unreadable(self) -> int:
        """How many messages came that are nothing that Python can read."""
        return self._dispatch.unreadable

    @property
    def clock_offset_s(self) -> float | None:
        """How far the server's clock is ahead of `time.time()`, by the best heartbeat; None before the first."""
        return self._dispatch.clock_offset_s

    async def wait_for(self, state: State) -> None:
        """Wait until the room is in `state`. One that it passes through quickly may be missed."""
        while self._reconnector.state != state:
            await self._reconnector.changed.wait()

    # What is heard

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        message = await self._dispatch.inbox.next()
        if message is not None:
            return message
        why = self._reconnector.why
        if why is None or why.code == "left":
            raise StopAsyncIteration
        raise why.with_traceback(None)

    # What is said

    async def say(self, type: str, payload: Any = None, *, to: MemberId | None = None) -> None:  # noqa: A002
        """Say something to everybody else, or to one. While reconnecting it waits. Not everything said arrives: `ask`.

        `payload` is anything that msgspec writes as JSON. Errors: `Closed`; `InvalidInput` for what the room would
        refuse unseen: over 64 KiB (`too_large`), nested too deep, a type that is none, or no JSON (`invalid_message`).
        """
        await self._send(TEXT, _encode(_Outgoing(type, payload, to)))

    async def say_bytes(self, data: bytes) -> None:
        """Say something with little overhead, to everybody else. Errors: as `say`."""
        if len(data) > MESSAGE_BYTES:
            raise too_large(len(data))
        await self._send(BINARY, data)

    async def ask(
        self,
        type: str,  # noqa: A002
        payload: Any = None,
        *,
        to: MemberId | None = None,
        timeout_s: float = ACK_S,
    ) -> int:
        """Say something, and wait until the room has taken it: its place in the room's order (of one `to` somebody,
        the last place given out).

        Errors: `NotTaken` with the server's code, such as `unknown_member`, or `connection_lost` or `no_answer` (within
        `timeout_s`), when it may have been relayed or not; `Closed`; `InvalidInput` as `say`.
        """
        pending_requests = self._dispatch.pending_requests
        with trio.move_on_after(timeout_s):
            id_, ask = pending_requests.new()
            try:
                data = _encode(_Outgoing(type, payload, to, id_))
                await self._send(TEXT, data)
                await ask.event.wait()
            finally:
                pending_requests.forget(id_)
            if ask.error is not None:
                raise ask.error
            return ask.offset
        raise NotTaken("no_answer", f"The room did not answer within {timeout_s:g} s.")

    async def set_presence(self, *, status: Status | None = None, name: str | None = None) -> None:
        """Be shown differently, also after coming back. Errors: as `ask`, with the codes of `presence.set`."""
        wish = {"status": status, "displayName": name}
        await self.ask("presence.set", {key: value for key, value in wish.items() if value is not None})
        self._join_request.status = status or self._join_request.status
        if self._join_request.ticket is None:  # a ticket says the name itself
            self._join_request.name = name or self._join_request.name

    async def leave(self) -> None:
        """Leave the room, as the end of the block does. Iteration ends; nothing can be said any more."""
        await self._reconnector.leave()

    async def _send(self, opcode: int, payload: bytes) -> None:
        broken: Connection | None = None
        while True:
            connection = await self._reconnector.other_connection(than=broken)
            try:
                await connection.send(opcode, payload)
            except ConnectionBroken:
                broken = connection
            else:
                return


@asynccontextmanager
async def connect(
    url: str,
    *,
    room: str | None = None,
    name: str | None = None,
    member_id: MemberId | None = None,
    status: Status = "active",
    ticket: Ticket | None = None,
    headers: Mapping[str, str] | None = None,
    ssl_context: ssl.SSLContext | None = None,
    give_up_after_s: float = GIVE_UP_S,
    inbox_bytes: int = INBOX_BYTES,
) -> AsyncIterator[ClientRoom]:
    """Be a member of a room for as long as the block lasts, coming back by oneself when the connection ends.

    `url` is where the gateway is, `ws://` or `wss://`. `room` and `name` say where to enter and as what to be shown;
    without a `member_id` one is made up, and without a `name` it is the `member_id`. A `ticket` says all of that
    itself; it is good once, so what comes back needs an `async` function that gets a new one, called before each
    attempt. That function may raise `Unavailable` to be asked again later. `headers` go with the handshake.

    The block begins with the welcome; what keeps it from coming is raised at once. A connection that ends later is
    opened again as the table of close codes has it: after the time that the server says (1001), or after 0.5 s and
    twice as long each time up to 15 s, less a random part; never after 1008, 4001, 4003 and 4004, and no longer than
    `give_up_after_s`. `heartbeat`s find connections that are dead without a word, within 30 s.

    Errors: `EntryRefused` on entering; `InvalidInput` for a bad `url`. Being sent out later is raised as `Closed` by
    the room's methods. What the block raises comes out as it is.
    """
    join_request = JoinRequest(url, room, member_id, name, status, ticket, headers or {}, ssl_context)
    dispatch = Dispatch(Inbox(inbox_bytes))
    reconnector = Reconnector(join_request, dispatch, ReconnectPolicy(), give_up_after_s=give_up_after_s)
    await reconnector.enter()
    async with open_background() as background:
        background.start_soon(reconnector.run)
        client = ClientRoom(reconnector, dispatch, join_request)
        try:
            yield client
        finally:
            await client.leave()


def _encode(told: _Outgoing) -> bytes:
    """The message as it is sent. Errors: `InvalidInput`, for what the server would not even answer."""
    if not 0 < len(told.type) <= TYPE_LENGTH:
        raise InvalidInput(f"type must have 1 to {TYPE_LENGTH} characters.", code="invalid_message")
    try:
        data = msgspec.json.encode(told)
    except (TypeError, ValueError, RecursionError) as wrong:
        raise InvalidInput(f"The payload is not JSON: {wrong}.", code="invalid_message") from wrong
    if len(data) > MESSAGE_BYTES:
        raise too_large(len(data))
    if nesting_depth(data) > DEPTH:
        raise InvalidInput(f"A message must be nested at most {DEPTH} deep.", code="too_deep")
    return data
