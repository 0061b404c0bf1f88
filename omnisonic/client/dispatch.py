"""Applies what a client receives: to the roster, to the requests that wait for an answer, and to the inbox.

Everything here belongs to the reconnector's task, which calls `Dispatch.handle_frames` once for each read of the
socket. It never waits.

Overload: see `omnisonic.client.inbox`. Crash: a message that cannot be read is counted (`unreadable`) and skipped,
because one member's bad message must not end the membership of the others.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
import trio

from omnisonic.client.errors import EntryRefused, NotTaken
from omnisonic.client.inbox import Inbox
from omnisonic.client.reconnect_policy import LOST, Disconnect
from omnisonic.models import Member, MemberId
from omnisonic.wire.decoded_message import Message, read_binary, read_message
from omnisonic.wire.frames import BINARY, CLOSE, PING, TEXT, Frame
from omnisonic.wire.message_types import STATE_TYPES

SENT_FIELD: Final = "sentMs"
"""The field by which the client recognises the echo of its own heartbeat."""
_DATA: Final = frozenset({TEXT, BINARY})


class Roster:
    """The members of the room in the order they came: those of the `welcome`, and the changes since (SPEC 5.2)."""

    def __init__(self) -> None:
        self._members: dict[MemberId, Member] = {}

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def get(self, member_id: MemberId) -> Member | None:
        """The member with this id, or None."""
        return self._members.get(member_id)

    def replace_all(self, members: Any) -> None:
        """Replace the roster by `members`. Raises `ValueError` when that is not a list of members."""
        self._members = {member.member_id: member for member in msgspec.convert(members, list[Member])}

    def update(self, payload: Any) -> None:
        """Add or replace one member. Raises `ValueError` when `payload` is not a member."""
        member = msgspec.convert(payload, Member)
        self._members[member.member_id] = member

    def remove(self, payload: Any) -> None:
        """Remove the member that a `presence.leave` names."""
        if isinstance(payload, dict):
            self._members.pop(payload.get("memberId", ""), None)


class PendingRequest:
    """One message that waits for its `ack` or `error`."""

    __slots__ = ("done", "error", "offset")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.offset = 0
        self.error: NotTaken | None = None


class PendingRequests:
    """All messages that wait for an answer, by the `id` that they were sent with."""

    def __init__(self) -> None:
        self._pending: dict[str, PendingRequest] = {}
        self._run = secrets.token_urlsafe(6)
        """Part of each id: an id names one message for ever, also when the program is started again."""
        self._last = 0

    def __len__(self) -> int:
        return len(self._pending)

    def add(self) -> tuple[str, PendingRequest]:
        """Add a request. Returns its id, and the request."""
        self._last += 1
        id_ = f"{self._run}-{self._last}"
        request = self._pending[id_] = PendingRequest()
        return id_, request

    def discard(self, id_: str) -> None:
        """Remove a request that nobody waits for any more."""
        self._pending.pop(id_, None)

    def resolve(self, type_: str, payload: Any) -> bool:
        """Complete the request that this `ack` or `error` answers. Returns False when it answers none."""
        if not isinstance(payload, dict):
            return False
        request = self._pending.pop(payload.get("id"), None)  # type: ignore[arg-type]  # other types are no key
        if request is None:
            return False
        if type_ == "ack":
            request.offset = int(payload.get("offset", 0))
        else:
            request.error = NotTaken(str(payload.get("code", "")), str(payload.get("message", "")))
        request.done.set()
        return True

    def fail_all(self, code: str, message: str) -> None:
        """Fail all requests, because no answer will come."""
        for request in self._pending.values():
            request.error = NotTaken(code, message)
            request.done.set()
        self._pending.clear()


class Dispatch:
    """What a client knows about its room, kept up to date with every read."""

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
        """The `error` that the server sent in place of a `welcome`."""
        self._welcomes = 0
        self._round_trip_ms = float("inf")
        self._now_ms = now_ms

    def begin_connection(self) -> None:
        """Prepare for a new connection, which has not received its `welcome` yet."""
        self.is_welcome = False
        self.refusal = None

    def heartbeat_payload(self) -> dict[str, float]:
        """The payload of a heartbeat that is sent now."""
        return {SENT_FIELD: self._now_ms()}

    def handle_frames(self, frames: list[Frame], size: int) -> tuple[list[bytes], Disconnect | None]:
        """Handle the frames of one read of `size` bytes.

        Returns the payloads to send back as pongs, and how the connection ended if a close frame was among the frames.
        """
        messages: list[Message] = []
        add, pongs = messages.append, []
        disconnect = None
        for opcode, payload in frames:
            if opcode in _DATA:
                try:
                    message = read_message(payload) if opcode == TEXT else read_binary(payload)
                    if message.type in STATE_TYPES and not self._apply(message):
                        continue
                except (ValueError, RecursionError):
                    self.unreadable += 1
                else:
                    add(message)
            elif opcode == PING:
                pongs.append(payload)
            elif opcode == CLOSE:
                code = int.from_bytes(payload[:2], "big") if payload else LOST
                disconnect = Disconnect(code, payload[2:].decode())
        if messages:
            self.inbox.put(messages, size)
        return pongs, disconnect

    def _apply(self, message: Message) -> bool:
        """Apply a message of the room itself. Returns whether the program gets the message, too."""
        match message.type:
            case "welcome":
                return self._apply_welcome(message)
            case "presence.join" | "presence.update":
                self.roster.update(message.payload)
            case "presence.leave":
                self.roster.remove(message.payload)
            case "heartbeat":
                return not self._apply_heartbeat(message)
            case "error" if not self.is_welcome:
                fields = message.payload if isinstance(message.payload, dict) else {}
                self.refusal = EntryRefused(str(fields.get("code", "policy")), str(fields.get("message", "Refused.")))
                return False
            case type_:
                return not self.pending_requests.resolve(type_, message.payload)
        return True

    def _apply_welcome(self, message: Message) -> bool:
        fields = message.payload
        if not isinstance(fields, dict):
            raise ValueError("no welcome")  # noqa: TRY004 - it was received, not passed
        self.roster.replace_all(fields.get("members"))
        self.room_id, self.member_id = str(fields.get("roomId")), str(fields.get("memberId"))
        self.epoch = str(fields.get("epoch"))
        self.is_welcome = True
        self._welcomes += 1
        return self._welcomes > 1

    def _apply_heartbeat(self, message: Message) -> bool:
        """Measure the clock offset with the fastest heartbeat so far. Returns False for others."""
        fields = message.payload
        echo = fields.get("echo") if isinstance(fields, dict) else None
        if not isinstance(echo, dict) or SENT_FIELD not in echo:
            return False
        sent_ms, now_ms = float(echo[SENT_FIELD]), self._now_ms()
        if now_ms - sent_ms <= self._round_trip_ms:
            self._round_trip_ms = now_ms - sent_ms
            self.clock_offset_s = (float(fields["ts"]) - (sent_ms + now_ms) / 2) / 1000
        return True
