"""`ClientRoom`: being a member of a room (SPEC 8; the protocol is SPEC 5)."""

from typing import Any, Self

from omnisonic.client.backend import Backend, ConnectionBroken
from omnisonic.client.connection import Connection, JoinRequest, OutgoingMessage, encode_message
from omnisonic.client.dispatch import Dispatch
from omnisonic.client.reconnector import ConnectionState, Reconnector
from omnisonic.client.sharing import ACK_S, SharingMember
from omnisonic.models import Member, MemberId, Status
from omnisonic.wire.decoded_message import Message
from omnisonic.wire.frames import BINARY, TEXT
from omnisonic.wire.messages import MESSAGE_BYTES, too_large


class ClientRoom(SharingMember):
    """A room that this program is a member of. Created by `connect`; any task of the program may use it.

    Iterate over it to receive messages: those of members, `presence.join`, `presence.update`, `presence.leave`,
    `state.changed`, `transport.state`, and `error`s that do not answer an `ask`. Iteration does not wait while there
    are messages, so a loop that never waits can block other tasks.

    After a reconnection you receive the new `welcome`, and then the messages that you have missed, each once and in
    order. When some of them are lost, a `history.gap` comes first; its payload is `{epoch, from, to, lost}`.

    The same happens on an open connection, when another gateway has taken the room over. Then `presence.join`,
    `presence.update` and `presence.leave` follow the `welcome` for each member who is not as they were.

    At most `inbox_bytes` wait to be read. Above that the oldest messages are dropped, and you receive one
    `inbox.overflow` with `{"dropped": n}` in their place, without a sender.

    Raises:
        Closed: By iteration and by everything that sends, once the membership has ended. After the program itself has
            left, iteration just ends.

    Example:
        async with omnisonic.connect("ws://127.0.0.1:8080", room="jam", name="Bot") as room:
            await room.say("chat", {"text": "Hello"})
            async for message in room:
                print(message.sender, message.type, message.payload)
    """

    def __init__(
        self, backend: Backend, reconnector: Reconnector, dispatch: Dispatch, join_request: JoinRequest
    ) -> None:
        super().__init__(backend, reconnector, dispatch)
        self._join_request = join_request

    # What is known

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
    def connection_state(self) -> ConnectionState:
        """`connected`, `reconnecting`, or `closed` (final)."""
        return self._reconnector.state

    @property
    def is_degraded(self) -> bool:
        """Whether some members cannot be heard now: since a `room.degraded`, until `room.restored` or a `welcome`."""
        return self._dispatch.is_degraded

    @property
    def epoch(self) -> str:
        """Identifies the count of offsets. When it differs after a `welcome`, the count has begun anew."""
        return self._dispatch.epoch

    @property
    def dropped(self) -> int:
        """How many messages were dropped because the program did not read them in time."""
        return self._dispatch.inbox.dropped

    @property
    def unreadable(self) -> int:
        """How many messages were skipped because they could not be decoded."""
        return self._dispatch.unreadable

    async def wait_for(self, state: ConnectionState) -> None:
        """Wait until `connection_state` is `state`. A state that lasts only a moment may be missed.

        Raises:
            Closed: The membership has ended, so that it will never be.
        """
        while self._reconnector.state != state:
            self._reconnector.check_open()
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

        The message arrives at most once: it is lost when the connection breaks before the room has received it. Use
        `ask` when it must arrive.

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
        keep: bool = False,
        timeout_s: float = ACK_S,
    ) -> int:
        """Send a message, and wait until the room has accepted it.

        When the connection breaks before the answer, the message is sent again after the reconnection, with the same
        `id`. The room relays it once.

        Args:
            type: The type of the message.
            payload: Anything that msgspec can encode as JSON.
            to: The only member who receives it. None: all other members.
            keep: Wait until the message is also written down, as the talk of the page is. In a session's room, and not
                with `to`. The others receive it with its `id`.
            timeout_s: How long to wait for the answer, reconnections included.

        Returns:
            The offset of the message: its place in the room's order. With `to`, the offset of the last message before.
            With `keep`, the offset under which it was written, which can be of an earlier epoch.

        Raises:
            NotTaken: With the server's code, such as `unknown_member`; with `keep` also `keep_unavailable`,
                `keep_busy` and `keep_failed`. With the code `no_answer` (not within `timeout_s`) the message may have
                been relayed, and kept, or not.
            Closed: The membership has ended. A message that waited for its answer may have been relayed or not.
            InvalidInput: As in `say`.

        Example:
            offset = await room.ask("chat", {"text": "Ready?"}, to="ada")
            await room.ask("chat", {"text": "The second take is the one."}, keep=True)
        """
        return (await self._request(type, payload, to, timeout_s, keep=keep)).offset

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
