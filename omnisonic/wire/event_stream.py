"""The realtime protocol as server-sent events, for where WebSockets are blocked (HTML Living Standard, 9.2). Sans-IO.

`EventFormatter` turns the frames that a gateway sends to one member into events. A text message is an event without a
name, whose data is the message. A binary message is `binary`, in base64. The end is `close`, with code and reason. The
id of an event is the position to come back from, so that `Last-Event-ID` is what `since` is at the gateway.
"""

import base64
from typing import Final

import msgspec

from omnisonic.wire.closing import CLOSE_TABLE, CloseCode
from omnisonic.wire.frames import BINARY, CLOSE, TEXT
from omnisonic.wire.recovery import Position

MEDIA_TYPE: Final = "text/event-stream"
KEEP_ALIVE: Final = b":\n\n"
"""A comment. It says nothing but that the stream is open."""
RETRY_MS: Final = 1_000
"""How long a browser waits before it reconnects, unless the server advises another time."""
NO_STATUS: Final = 1005
"""The code of a close frame without a body (RFC 6455 7.4.1)."""


class _Payload(msgspec.Struct):
    """What says a position, in the payloads of `welcome` and `ack`."""

    epoch: str | None = None
    offset: int = 0
    recovered: bool = False


class _Envelope(msgspec.Struct):
    type: str = ""
    offset: int | None = None
    payload: msgspec.Raw = msgspec.Raw(b"null")


class _Advice(msgspec.Struct):
    """The reason of a close with 1001."""

    reconnect_ms: int = msgspec.field(name="reconnectMs")


class StreamOpened(msgspec.Struct):
    """The data of the first event. `stream` names the stream in the requests that send messages."""

    stream: str


class StreamClosed(msgspec.Struct):
    """The data of the last event: the close code of the WebSocket protocol, and whether to reconnect by oneself."""

    code: int
    reason: str
    reconnect: bool


_decode_envelope: Final = msgspec.json.Decoder(_Envelope).decode
_decode_payload: Final = msgspec.json.Decoder(_Payload).decode
_decode_advice: Final = msgspec.json.Decoder(_Advice).decode


def opened_event(stream: str) -> bytes:
    """The first event: the id of the stream, and how long to wait before a reconnection."""
    return b"retry: %d\n" % RETRY_MS + _event(msgspec.json.encode(StreamOpened(stream)), name=b"stream")


def close_event(code: int, reason: str) -> bytes:
    """The last event, with the delay that the reason advises."""
    row = CLOSE_TABLE.get(CloseCode(code)) if code in CLOSE_TABLE else None
    closed = StreamClosed(code, reason, row is None or row.reconnect)
    event = _event(msgspec.json.encode(closed), name=b"close")
    if code != CloseCode.GOING_AWAY:
        return event
    try:
        retry_ms = max(0, _decode_advice(reason).reconnect_ms)
    except msgspec.DecodeError:
        return event
    return b"retry: %d\n" % retry_ms + event


class EventFormatter:
    """Formats what one member is sent. `since` is what the member has seen of the room; None if nothing."""

    def __init__(self, since: Position | None) -> None:
        self._is_known = since is not None
        """Whether the member has seen something of the room, of which a `welcome` may say that some of it is lost."""
        self._epoch = ""
        self._offset = 0
        self._after_gap = ""
        """The id that a `welcome` has left to the next message: to the `history.gap`, so that one which was not told is
        told again; or to any other, when the room has moved and nothing is lost.
        """

    def format(self, opcode: int, payload: bytes) -> bytes:
        """The event for a frame. Nothing for those that are neither a message nor a close."""
        if opcode == TEXT:
            # Line breaks in JSON text can only be space between its tokens.
            return _event(payload.replace(b"\r", b" ").replace(b"\n", b" "), id_=self._follow(payload))
        if opcode == BINARY:
            return _event(base64.b64encode(payload), name=b"binary")
        if opcode == CLOSE:
            code = int.from_bytes(payload[:2], "big") if payload else NO_STATUS
            return close_event(code, payload[2:].decode(errors="replace"))
        return b""

    def _follow(self, payload: bytes) -> str:
        """Move the position on. Returns it when it has changed, otherwise nothing."""
        try:
            return self._apply(_decode_envelope(payload))
        except msgspec.DecodeError:
            return ""  # nothing that the gateway says, so the client may judge it

    def _apply(self, message: _Envelope) -> str:
        if message.type == "welcome":
            return self._welcome(_decode_payload(message.payload))
        if message.type == "room.degraded":  # the only message that comes before a gap
            return ""
        position, self._after_gap = self._after_gap, ""
        if message.type == "ack":
            ack = _decode_payload(message.payload)
            if ack.epoch in (None, self._epoch) and ack.offset > self._offset:
                position = self._move_to(ack.offset)
        elif message.offset is not None:
            position = self._move_to(message.offset)
        return position

    def _welcome(self, welcome: _Payload) -> str:
        self._epoch = welcome.epoch or ""
        position = self._move_to(welcome.offset)
        is_told_of_a_gap = self._is_known and not welcome.recovered
        self._is_known = True
        if not is_told_of_a_gap:
            return position
        self._after_gap = position
        return ""

    def _move_to(self, offset: int) -> str:
        self._offset = offset
        return str(Position(self._epoch, offset))


def _event(data: bytes, *, name: bytes = b"", id_: str = "") -> bytes:
    """An event whose data has no line break."""
    head = b"event: %b\n" % name if name else b""
    if id_:
        head += b"id: %b\n" % id_.encode()
    return b"%bdata: %b\n\n" % (head, data)
