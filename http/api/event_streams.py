"""The open event streams of a web process, and the way of a message to the process that has its sender's (SPEC 5).

Whoever knows the id of a stream speaks as its member: it is a secret that only the stream itself tells, and it ends
with the stream. An id begins with the name of the process that has the stream. A message for another process goes there
over the bus, on one channel for each process. The process listens to its channel while it has streams.

Overload: messages are passed on without waiting (`omnisonic.http.api.member_connection`). Bus down: messages for other
processes are refused with `Unavailable`. Crash: the streams end, and clients reconnect.
"""

import asyncio
import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec
from pydantic import ConfigDict, Field
from quart import request

from omnisonic.errors import Unavailable
from omnisonic.http.api.member_connection import MemberConnection
from omnisonic.http.core.errors import Refusal
from omnisonic.http.core.inputs import Input
from omnisonic.http.core.responses import JSON_TYPE
from omnisonic.models import RoomId
from omnisonic.stores.bus import Bus, Delivery
from omnisonic.wire.frames import BINARY, TEXT, Frame

PROCESS_BYTES: Final = 8
SECRET_BYTES: Final = 24
BUS_TIMEOUT_S: Final = 1.0
RETRY_BUS_S: Final = 1.0
_ID: Final = re.compile(rf"([0-9a-f]{{{2 * PROCESS_BYTES}}})\.[A-Za-z0-9_-]{{32}}")


STREAM_HEADER: Final = "Omnisonic-Stream"
"""Names the event stream of the member who says something."""
LINES_TYPE: Final = "application/x-ndjson"
BYTES_TYPE: Final = "application/octet-stream"
STREAM_TYPES: Final[tuple[str, ...]] = (LINES_TYPE, BYTES_TYPE)
"""Media types of what only a member with an event stream may send."""


class NoSuchStream(Refusal):
    """There is no stream of that id in the room."""

    def __init__(self) -> None:
        super().__init__(404, "no_stream", "No event stream of this room has that id, or it has ended. Reconnect.")


class StreamHeader(Input):
    """The event stream of the member who is calling."""

    model_config = ConfigDict(alias_generator=lambda name: name.replace("_", "-"))

    omnisonic_stream: str | None = Field(default=None, description="The `stream` that its first event has told.")


async def read_frames() -> list[Frame]:
    """Read the messages in the current request, as the frames that a WebSocket would carry. The gateway checks them.

    Raises `Refusal` (415, 413, 408).
    """
    media_type = request.mimetype
    if media_type not in (JSON_TYPE, *STREAM_TYPES):
        raise Refusal(415, "unsupported_media_type", f"Send the body as {JSON_TYPE}, {LINES_TYPE} or {BYTES_TYPE}.")
    body = await request.get_data(cache=False, as_text=False, parse_form_data=False)
    if media_type == BYTES_TYPE:
        return [(BINARY, body)]
    lines = body.split(b"\n") if media_type == LINES_TYPE else [body]
    return [(TEXT, line) for line in lines if line.strip()]


class _Sent(msgspec.Struct, frozen=True, array_like=True):
    """Frames for a stream of another process."""

    stream: str
    room: RoomId
    frames: list[Frame]


_decode: Final = msgspec.msgpack.Decoder(_Sent).decode


def _channel(process: str) -> str:
    return f"omnisonic:event-streams:{process}"


class EventStreams:
    """The streams of this process. Used in one asyncio loop."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._process = secrets.token_hex(PROCESS_BYTES)
        self._streams: dict[str, tuple[RoomId, MemberConnection]] = {}
        self._listener: asyncio.Task[None] | None = None
        self._listens = asyncio.Event()

    def __len__(self) -> int:
        return len(self._streams)

    async def add(self, room: RoomId, connection: MemberConnection) -> str:
        """Add a stream, and return its id. Other processes reach it from now on, if the bus answers."""
        stream = f"{self._process}.{secrets.token_urlsafe(SECRET_BYTES)}"
        self._streams[stream] = room, connection
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen())
        with suppress(TimeoutError):
            async with asyncio.timeout(BUS_TIMEOUT_S):
                await self._listens.wait()
        return stream

    def discard(self, stream: str) -> None:
        """Remove a stream. Safe to call twice."""
        self._streams.pop(stream, None)
        if not self._streams and self._listener is not None:
            self._listener.cancel()
            self._listener = None
            self._listens.clear()

    async def send(self, stream: str, room: RoomId, frames: Sequence[Frame]) -> bool:
        """Send frames as the member of this stream in this room.

        Returns whether there is such a stream in this process, or whether the process that had it has any streams. That
        process is not asked for an answer: it would take another connection to the bus for each message. It drops what
        is for a stream that has ended, which its client notices by the end of the stream.

        Raises `Unavailable`: nobody knows whether the frames were sent.
        """
        named = _ID.fullmatch(stream)
        if named is None:
            return False
        if named[1] == self._process:
            return self._deliver(stream, room, frames)
        sent = msgspec.msgpack.encode(_Sent(stream, room, list(frames)))
        try:
            async with asyncio.timeout(BUS_TIMEOUT_S):
                return await self._bus.publish(_channel(named[1]), sent) > 0
        except TimeoutError:
            raise Unavailable("The messages cannot be passed on now. Try again in a moment.") from None

    def _deliver(self, stream: str, room: RoomId, frames: Sequence[Frame]) -> bool:
        there, connection = self._streams.get(stream, (None, None))
        if connection is None or there != room:
            return False
        connection.send(frames)
        return True

    async def _listen(self) -> None:
        while True:
            with suppress(Unavailable):
                async with self._bus.subscribe(_channel(self._process)) as events:
                    self._listens.set()
                    async for event in events:
                        if isinstance(event, Delivery):
                            self._take(event.data)
            await asyncio.sleep(RETRY_BUS_S)

    def _take(self, data: bytes) -> None:
        with suppress(msgspec.DecodeError):  # of a process of another version
            sent = _decode(data)
            self._deliver(sent.stream, sent.room, sent.frames)
