"""Applies what a client receives: to what it knows of the room, to its pending requests, and to the inbox.

It knows what has been received of the room's order, too, which is where a recovery begins (SPEC 5.2). Everything here
belongs to the reconnector's task, which calls `Dispatch.handle_frames` once for each read of the socket. It never
waits.

Overload: see `omnisonic.client.inbox`. Crash: a message that cannot be read is counted (`unreadable`) and skipped,
because one member's bad message must not end the membership of the others.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from omnisonic.client.errors import EntryRefused
from omnisonic.client.inbox import Inbox
from omnisonic.client.pending_requests import PendingRequests
from omnisonic.client.reconnect_policy import LOST, Disconnect
from omnisonic.client.roster import Roster
from omnisonic.client.shared_state import StateEntries
from omnisonic.wire.decoded_message import Message, read_binary, read_message
from omnisonic.wire.frames import BINARY, CLOSE, PING, TEXT, Frame
from omnisonic.wire.message_types import STATE_TYPES
from omnisonic.wire.recovery import Position
from omnisonic.wire.transport import Milliseconds, Transport

SENT_FIELD: Final = "sentMs"
"""The field by which the client recognises the echo of its own heartbeat."""
_DATA: Final = frozenset({TEXT, BINARY})
_APPLIED: Final = STATE_TYPES | {"room.degraded", "room.restored"}
"""The types that `Dispatch` reads itself."""
_BEFORE_GAP: Final = frozenset({"welcome", "room.degraded"})
"""What may come before a `history.gap`."""


class Dispatch:
    """What a client knows about its room, kept up to date with every read."""

    def __init__(
        self,
        inbox: Inbox,
        pending_requests: PendingRequests,
        *,
        now_ms: Callable[[], float] = lambda: time.time() * 1000,
    ) -> None:
        self.inbox = inbox
        self.pending_requests = pending_requests
        self.roster = Roster()
        self.state_entries = StateEntries()
        self.transport = Transport()
        self.room_id = ""
        self.member_id = ""
        self.epoch = ""
        self.offset = 0
        """The number of the last message of the room's order that is known to have been received, or sent."""
        self.unreadable = 0
        self.clock_offset_s: float | None = None
        self.is_welcome = False
        self.is_degraded = False
        """Whether the room has said that a part of its members cannot be heard now."""
        self.refusal: EntryRefused | None = None
        """The `error` that the server sent in place of a `welcome`."""
        self.welcomes = 0
        """How many were received, on all connections. More than one comes on a connection when the room has moved."""
        self._before_gap: Position | None = None
        """Where to recover from, after a `welcome`, until it is known whether a `history.gap` follows: it comes before
        anything else, but for `room.degraded`. None follows when a room has moved that we had entered just before.
        """
        self._round_trip_ms = float("inf")
        self._welcome_offset_ms = 0.0
        self._now_ms = now_ms

    def begin_connection(self) -> Position | None:
        """Prepare for a new connection. Returns from where to recover; None for the first connection."""
        self.is_welcome = False
        self.refusal = None
        return self.since

    @property
    def since(self) -> Position | None:
        """What has been received of the room's order; None before the first `welcome`."""
        if not self.welcomes:
            return None
        return self._before_gap or Position(self.epoch, self.offset)

    def server_time_ms(self, at_s: float | None = None) -> Milliseconds:
        """The server's clock at this time of `time.time()`, or now. A little late until a heartbeat was answered."""
        offset_ms = self._welcome_offset_ms if self.clock_offset_s is None else self.clock_offset_s * 1000
        return (self._now_ms() if at_s is None else at_s * 1000) + offset_ms

    def heartbeat_payload(self) -> dict[str, float]:
        """The payload of a heartbeat that is sent now."""
        return {SENT_FIELD: self._now_ms()}

    def handle_frames(self, frames: list[Frame], size: int) -> tuple[list[bytes], Disconnect | None]:
        """Handle the frames of one read of `size` bytes.

        Returns the payloads to send back as pongs, and how the connection ended if a close frame was among the frames.
        """
        messages: list[Message] = []
        add, pongs = messages.append, []
        disconnect, offset = None, self.offset
        for opcode, payload in frames:
            if opcode in _DATA:
                try:
                    message = read_message(payload) if opcode == TEXT else read_binary(payload)
                    if message.type in _APPLIED:
                        self.offset = offset
                        messages += self._apply(message)
                        offset = self.offset
                        continue
                    if message.offset is not None:
                        offset = message.offset
                except (ValueError, RecursionError):
                    self.unreadable += 1
                else:
                    self._before_gap = None
                    add(message)
            elif opcode == PING:
                pongs.append(payload)
            elif opcode == CLOSE:
                code = int.from_bytes(payload[:2], "big") if payload else LOST
                disconnect = Disconnect(code, payload[2:].decode())
        self.offset = offset
        if messages:
            self.inbox.put(messages, size)
        return pongs, disconnect

    def _apply(self, message: Message) -> Sequence[Message]:
        """Apply a message of the room itself. Returns what the program gets."""
        if message.type not in _BEFORE_GAP:
            self._before_gap = None
        match message.type:
            case "welcome":
                return self._apply_welcome(message)
            case "presence.join" | "presence.update":
                self.roster.update(message.payload)
            case "presence.leave":
                self.roster.remove(message.payload)
            case "state.changed":
                self.state_entries.apply(message.payload)
            case "transport.state":
                self.transport = msgspec.convert(message.payload, Transport)
            case "room.degraded" | "room.restored":
                self.is_degraded = message.type == "room.degraded"
            case "heartbeat" if self._apply_heartbeat(message):
                return ()
            case "ack" if self._apply_ack(message):
                return ()
            case "error" if not self.is_welcome:
                fields = message.payload if isinstance(message.payload, dict) else {}
                self.refusal = EntryRefused(str(fields.get("code", "policy")), str(fields.get("message", "Refused.")))
                return ()
            case "error" if self.pending_requests.resolve("error", message.payload):
                return ()
        return (message,)

    def _apply_welcome(self, message: Message) -> Sequence[Message]:
        """Replace what is known. On an open connection the program is told of the members who differ, too."""
        fields = message.payload
        if not isinstance(fields, dict):
            raise ValueError("no welcome")  # noqa: TRY004 - it was received, not passed
        transport = msgspec.convert(fields.get("transport", {}), Transport)
        offset = msgspec.convert(fields.get("offset", 0), int)
        self.state_entries.replace_all(fields.get("state", {}))
        differences = self.roster.replace_all(fields.get("members"))
        # A connection that ends before the gap was told must not hide it: the next one asks from the same place.
        self._before_gap = None if fields.get("recovered") else self.since
        self.room_id, self.member_id = str(fields.get("roomId")), str(fields.get("memberId"))
        self.epoch, self.offset, self.transport = str(fields.get("epoch")), offset, transport
        # Another machine may answer now, whose clock is another one.
        self._welcome_offset_ms = float(fields.get("serverTime", 0)) - self._now_ms()
        self.clock_offset_s, self._round_trip_ms = None, float("inf")
        was_welcome, self.is_welcome, self.is_degraded = self.is_welcome, True, False
        self.welcomes += 1
        if self.welcomes == 1:
            return ()
        return (message, *differences) if was_welcome else (message,)

    def _apply_ack(self, message: Message) -> bool:
        """Resolve the request that this answers, and move on to its message. Returns False when it answers none."""
        fields = message.payload
        if isinstance(fields, dict) and fields.get("epoch", self.epoch) == self.epoch:
            self.offset = max(self.offset, int(fields.get("offset", 0)))
        return self.pending_requests.resolve("ack", fields)

    def _apply_heartbeat(self, message: Message) -> bool:
        """Measure the clock offset with the fastest heartbeat since the `welcome`. Returns False for others."""
        fields = message.payload
        echo = fields.get("echo") if isinstance(fields, dict) else None
        if not isinstance(echo, dict) or SENT_FIELD not in echo:
            return False
        sent_ms, now_ms = float(echo[SENT_FIELD]), self._now_ms()
        if now_ms - sent_ms <= self._round_trip_ms:
            self._round_trip_ms = now_ms - sent_ms
            self.clock_offset_s = (float(fields["ts"]) - (sent_ms + now_ms) / 2) / 1000
        return True
