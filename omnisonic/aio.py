"""The client for asyncio programs: `omnisonic.aio.connect`.

The room, its methods, its errors and its reconnecting are the same code as those of `omnisonic.connect`.
"""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from omnisonic.client.asyncio_backend import ASYNCIO
from omnisonic.client.connection import JoinRequest, Ticket
from omnisonic.client.inbox import INBOX_BYTES
from omnisonic.client.membership import open_membership
from omnisonic.client.reconnect_policy import ReconnectPolicy
from omnisonic.client.reconnector import GIVE_UP_S
from omnisonic.client.rooms import ClientRoom
from omnisonic.concurrency.async_library import require_async_library
from omnisonic.models import MemberId, Status


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

    The same as `omnisonic.connect`, for asyncio programs. It needs no thread of its own, and runs on uvloop, too.

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
        WrongAsyncLibrary: The program runs on trio. Use `omnisonic.connect` there.
        Closed: Raised later by the room's methods when you were removed (1008, 4001, 4003, 4004).

    Reconnects after the delay that the server asks for (1001), otherwise after 0.5 s, doubling up to 15 s, with jitter.
    A connection that is silently broken is found within 30 s. After a reconnection you receive what you have missed, or
    a `history.gap`, and what was not acknowledged is sent again. What the block raises is not wrapped in a group.
    When the task is cancelled it leaves the room in order, within 2 s.

    Example:
        async with omnisonic.aio.connect("ws://127.0.0.1:8080", room="night-jam", name="Bot") as room:
            await room.say("chat", {"text": "Hello"})
            async for message in room:
                print(message.sender, message.payload)
    """
    require_async_library("asyncio", "use omnisonic.connect")
    join_request = JoinRequest(url, room, member_id, name, status, ticket, headers or {}, ssl_context)
    async with open_membership(
        ASYNCIO, join_request, ReconnectPolicy(), give_up_after_s=give_up_after_s, inbox_bytes=inbox_bytes
    ) as client:
        yield client
