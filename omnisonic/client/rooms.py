"""`connect` and `ClientRoom`: joining a room, and being a member of it (SPEC 8; the protocol is SPEC 5)."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Self

import trio

from omnisonic.client.connection import (
    Connection,
    ConnectionBroken,
    JoinRequest,
    OutgoingMessage,
    Ticket,
    encode_message,
)
from omnisonic.client.dispatch import Dispatch
from omnisonic.client.errors import NotTaken
from omnisonic.client.inbox import INBOX_BYTES, Inbox
from omnisonic.client.reconnect_policy import ReconnectPolicy
from omnisonic.client.reconnector import GIVE_UP_S, Reconnector, State
from omnisonic.concurrency.background import open_background
from omnisonic.models import Member, MemberId, Status
from omnisonic.wire.decoded_message import Message
from omnisonic.wire.frames import BINARY, TEXT
from omnisonic.wire.messages import MESSAGE_BYTES, too_large

ACK_S: Final = 10.0
"""How long `ask` waits for its answer by default."""


class ClientRoom:
    """A room that this program is a member of. Created by `connect`; any task of the program may use it.

    Iterate over it to receive messages: those of members, `presence.join`, `presence.update`, `presence.leave`, and
    `error`s that do not answer an `ask`. After a reconnection you receive the new `welcome`. At most `inbox_bytes` wait
    to be read. Above that the oldest messages are dropped, and you receive one `history.gap` with `{"dropped": n}` in
    their place. Iteration does not wait while there are messages, so a loop that never waits can block other tasks.

    Raises:
        Closed: By iteration, `say`, `say_bytes`, `ask` and `set_presence`, once the membership has ended. After the
            program itself has left, iteration just ends.

    Example:
        async with omnisonic.connect("ws://127.0.0.1:8080", room="jam", name="Bot") as room:
            await room.say("chat", {"text": "Hello"})
            async for message in room:
                print(message.sender, message.type, message.payload)
    """

    def __init__(self, reconnector: Reconnector, dispatch: Dispatch, join_request: JoinRequest) -> None:
        self._reconnector = reconnector
        self._dispatch = dispatch
        self._join_request = join_request

    # State

    @property
    def name(self) -> str:
        """The room's id."""
        return self._dispatch.room_id

    @property
    def member_id(self) -> MemberId:
        """Your own id in the room, the same after reconnections."""
        return self._dispatch.member_id

    @property
    def members(self) -> list[Member]:
        """The members as last received (maybe ahead of iteration), in the order they came, yourself included."""
        return list(self._dispatch.roster)

    def member(self, member_id: MemberId) -> Member | None:
        """The member with this id. None when they are not in the room."""
        return self._dispatch.roster.get(member_id)

    @property
    def state(self) -> State:
        """`connected`, `reconnecting`, or `closed` (final)."""
        return self._reconnector.state

    @property
    def epoch(self) -> str:
        """Identifies the count of offsets. When it differs after a reconnection, the room has started anew."""
        return self._dispatch.epoch

    @property
    def dropped(self) -> int:
        """How many messages were dropped because the program did not read them in time."""
        return self._dispatch.inbox.dropped

    @property
    def unreadable(self) -> int:
        """How many messages were skipped because they could not be decoded."""
        return self._dispatch.unreadable

    @property
    def clock_offset_s(self) -> float | None:
        """How many seconds the server's clock is ahead of `time.time()`. None before the first heartbeat's answer."""
        return self._dispatch.clock_offset_s

    async def wait_for(self, state: State) -> None:
        """Wait until the room is in `state`. A state that lasts only a moment may be missed."""
        while self._reconnector.state != state:
            await self._reconnector.changed.wait()

    # Receiving

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        message = await self._dispatch.inbox.next()
        if message is not None:
            return message
        error = self._reconnector.close_error
        if error is None or error.code == "left":
            raise StopAsyncIteration
        raise error.with_traceback(None)

    # Sending

    async def say(self, type: str, payload: Any = None, *, to: MemberId | None = None) -> None:  # noqa: A002
        """Send a message to everybody else, or to one member. Waits while the client reconnects.

        The message may be lost when the connection breaks. Use `ask` when you need to know.

        Args:
            type: The type of the message, 1 to 128 characters.
            payload: Anything that msgspec can encode as JSON, up to 64 KiB.
            to: The only member who receives it. None: all other members.

        Raises:
            Closed: The membership has ended.
            InvalidInput: The room would refuse the message: `too_large`, `too_deep`, or `invalid_message` for a bad
                type or a payload that is not JSON.

        Example:
            await room.say("chat", {"text": "Hello"})
            await room.say("chat", {"text": "Only for you"}, to="ada")
        """
        await self._send(TEXT, encode_message(OutgoingMessage(type, payload, to)))

    async def say_bytes(self, data: bytes) -> None:
        """Send a binary message to everybody else. It has less overhead than `say`.

        Args:
            data: Up to 64 KiB. Others receive a message with an empty `type` and these bytes as `payload`.

        Raises:
            Closed: The membership has ended.
            InvalidInput: `data` is too large (`too_large`).
        """
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
        """Send a message, and wait until the room has accepted it.

        Args:
            type: The type of the message.
            payload: Anything that msgspec can encode as JSON.
            to: The only member who receives it. None: all other members.
            timeout_s: How long to wait for the answer.

        Returns:
            The offset of the message: its place in the room's order. With `to`, the offset of the last message before.

        Raises:
            NotTaken: With the server's code, such as `unknown_member`. The codes `connection_lost` and `no_answer` (not
                within `timeout_s`) mean that the message may have been relayed or not.
            Closed: The membership has ended.
            InvalidInput: As in `say`.

        Example:
            offset = await room.ask("chat", {"text": "Ready?"}, to="ada")
        """
        pending_requests = self._dispatch.pending_requests
        with trio.move_on_after(timeout_s):
            id_, request = pending_requests.add()
            try:
                data = encode_message(OutgoingMessage(type, payload, to, id_))
                await self._send(TEXT, data)
                await request.done.wait()
            finally:
                pending_requests.discard(id_)
            if request.error is not None:
                raise request.error
            return request.offset
        raise NotTaken("no_answer", f"The room did not answer within {timeout_s:g} s.")

    async def set_presence(self, *, status: Status | None = None, name: str | None = None) -> None:
        """Change your status or your display name. The change is kept after reconnections.

        Args:
            status: `active` or `away`. None: unchanged.
            name: Display name that others see. None: unchanged. After a reconnection with a ticket, the ticket's name
                counts again.

        Raises:
            NotTaken: With the codes of `presence.set`, such as `name_refused`.
            Closed: The membership has ended.

        Example:
            await room.set_presence(status="away")
        """
        fields = {"status": status, "displayName": name}
        await self.ask("presence.set", {key: value for key, value in fields.items() if value is not None})
        self._join_request.status = status or self._join_request.status
        if self._join_request.ticket is None:  # a ticket says the name itself
            self._join_request.name = name or self._join_request.name

    async def leave(self) -> None:
        """Leave the room, as the end of the `connect` block does. Iteration ends, and nothing can be sent any more."""
        await self._reconnector.leave()

    async def _send(self, opcode: int, payload: bytes) -> None:
        broken: Connection | None = None
        while True:
            connection = await self._reconnector.wait_for_connection(other_than=broken)
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
    """Join a room and stay connected until the block ends, reconnecting when the connection breaks.

    Args:
        url: Address of the gateway, `ws://` or `wss://`.
        room: Room to join, 1 to 128 characters. Not needed with a ticket.
        name: Display name that others see. Defaults to `member_id`.
        member_id: Your identity across reconnections. Generated when omitted.
        status: `active` or `away`.
        ticket: A ticket, or an async function that returns a fresh one before each attempt (a ticket works once). The
            function may raise `Unavailable` to be called again later.
        headers: More headers for the handshake.
        ssl_context: For `wss://`. Defaults to `ssl.create_default_context()`.
        give_up_after_s: Stop reconnecting after this many seconds.
        inbox_bytes: How much may wait for the program to read it. Above that the oldest messages are dropped.

    Yields:
        A `ClientRoom`, once the gateway has sent `welcome`.

    Raises:
        EntryRefused: The gateway did not let you in.
        InvalidInput: `url` is not a WebSocket address.
        Closed: Raised later by the room's methods when you were removed (1008, 4001, 4003, 4004).

    Reconnects after the delay that the server asks for (1001), otherwise after 0.5 s, doubling up to 15 s, with jitter.
    A connection that is silently broken is found within 30 s. What the block raises is not wrapped in a group.

    Example:
        async with omnisonic.connect("ws://127.0.0.1:8080", room="night-jam", name="Bot") as room:
            await room.say("chat", {"text": "Hello"})
            async for message in room:
                print(message.sender, message.payload)
    """
    join_request = JoinRequest(url, room, member_id, name, status, ticket, headers or {}, ssl_context)
    dispatch = Dispatch(Inbox(inbox_bytes))
    reconnector = Reconnector(join_request, dispatch, ReconnectPolicy(), give_up_after_s=give_up_after_s)
    await reconnector.join()
    async with open_background() as background:
        background.start_soon(reconnector.run)
        client = ClientRoom(reconnector, dispatch, join_request)
        try:
            yield client
        finally:
            await client.leave()
