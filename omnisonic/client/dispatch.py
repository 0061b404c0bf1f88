"""What a client makes of what it hears: the roster, answers to what it asked, and what its program is to see.

It is called by the keeper's task for each read, does not wait, and costs a loop and no task. A message that cannot be
read is counted and passed over: it is some member's doing, and the rest of the room is worth hearing.
"""

import time
from collections.abc import Callable
from typing import Final

from omnisonic.client.errors import EntryRefused
from omnisonic.client.inbox import Inbox
from omnisonic.client.pending_requests import PendingRequests
from omnisonic.client.reconnect_policy import LOST, Ending
from omnisonic.client.roster import Roster
from omnisonic.wire.decoded_message import Message, read_binary, read_message
from omnisonic.wire.frames import BINARY, CLOSE, PING, TEXT, Frame
from omnisonic.wire.message_types import STATE_TYPES

OUR_BEAT: Final = "sentMs"
"""By this a heartbeat's echo is known as one of the client's own."""
_DATA: Final = frozenset({TEXT, BINARY})


class Dispatch:
    """Everything that is known of one room by listening to it."""

    def __init__(self, inbox: Inbox, *, now_ms: Callable[[], float] = lambda: time.time() * 1000) -> None:
        self.inbox = inbox
        self.pending_requests = PendingRequests()
        self.roster = Roster()
        self.room_id = ""
        self.member_id = ""
        self.epoch = ""
        self.unreadable = 0
        self.clock_offset_s: float | None = None
        self.is_welcome = False
        self.refusal: EntryRefused | None = None
        """What the server said instead of a welcome."""
        self._welcomes = 0
        self._round_trip_ms = float("inf")
        self._now_ms = now_ms

    def begin(self) -> None:
        """A new connection: nothing of it was heard yet."""
        self.is_welcome = False
        self.refusal = None

    def beat(self) -> dict[str, float]:
        """The payload of a heartbeat that is sent now."""
        return {OUR_BEAT: self._now_ms()}

    def take(self, frames: list[Frame], size: int) -> tuple[list[bytes], Ending | None]:
        """Take what one read of `size` bytes brought. What is to be sent back as pongs, and the end if it has come."""
        messages: list[Message] = []
        add, pongs = messages.append, []
        ending = None
        for opcode, payload in frames:
            if opcode in _DATA:
                try:
                    message = read_message(payload) if opcode == TEXT else read_binary(payload)
                    if message.type in STATE_TYPES and not self._is_for_all(message):
                        continue
                except (ValueError, RecursionError):
                    self.unreadable += 1
                else:
                    add(message)
            elif opcode == PING:
                pongs.append(payload)
            elif opcode == CLOSE:
                code = int.from_bytes(payload[:2], "big") if payload else LOST
                ending = Ending(code, payload[2:].decode())
        if messages:
            self.inbox.put(messages, size)
        return pongs, ending

    def _is_for_all(self, message: Message) -> bool:
        """Note what the room says about itself. Whether the program is to see it, too."""
        match message.type:
            case "welcome":
                return self._welcomed(message)
            case "presence.join" | "presence.update":
                self.roster.update(message.payload)
            case "presence.leave":
                self.roster.left(message.payload)
            case "heartbeat":
                return not self._beats(message)
            case "error" if not self.is_welcome:
                told = message.payload if isinstance(message.payload, dict) else {}
                self.refusal = EntryRefused(str(told.get("code", "policy")), str(told.get("message", "Refused.")))
                return False
            case type_:
                return not self.pending_requests.answered(type_, message.payload)
        return True

    def _welcomed(self, message: Message) -> bool:
        told = message.payload
        if not isinstance(told, dict):
            raise ValueError("no welcome")  # noqa: TRY004 - it was received, not passed
        self.roster.welcome(told.get("members"))
        self.room_id, self.member_id = str(told.get("roomId")), str(told.get("memberId"))
        self.epoch = str(told.get("epoch"))
        self.is_welcome = True
        self._welcomes += 1
        return self._welcomes > 1

    def _beats(self, message: Message) -> bool:
        """Whether it answers a heartbeat of the client's own: the best of them tells how far the clocks are apart."""
        told = message.payload
        echo = told.get("echo") if isinstance(told, dict) else None
        if not isinstance(echo, dict) or OUR_BEAT not in echo:
            return False
        sent_ms, now_ms = float(echo[OUR_BEAT]), self._now_ms()
        if now_ms - sent_ms <= self._round_trip_ms:
            self._round_trip_ms = now_ms - sent_ms
            self.clock_offset_s = (float(told["ts"]) - (sent_ms + now_ms) / 2) / 1000
        return True
