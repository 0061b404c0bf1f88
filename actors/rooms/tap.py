"""A tap: shows an operator a sample of the messages that enter a room, for a limited time (SPEC 1).

It sits where the actor hands mail to its room, and belongs to the actor; without a tap this costs one comparison. It
never waits and never raises. Payloads are not read unless the operator asked for them.

Overload: beyond `per_s` messages a second it only counts. It ends after `most` messages, or with the first message
after `until_s` (its reader keeps the time, too).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from omnisonic.actors.rooms.mailbox import ClientMessages, ExternalMessage, Join, Leave, Mail
from omnisonic.actors.rooms.roster import Roster
from omnisonic.models import MemberId
from omnisonic.wire.frames import TEXT, Frame
from omnisonic.wire.messages import encode_envelope

SHOWN_BYTES: Final = 4096
"""This much of a payload is shown."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A message that passed. `kind` is `text`, `binary`, or control mail; `missed` were not shown before it."""

    kind: str
    sender: MemberId | None
    size: int
    missed: int
    message: str | None = None
    to: MemberId | None = None
    payload: str | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a tap shows: `most` messages, `per_s` of them a second, until `until_s` on the loop's clock."""

    per_s: int
    most: int
    until_s: float
    payload: bool = False


class _Head(msgspec.Struct):
    type: str = ""
    to: str | None = None


_read_head: Final = msgspec.json.Decoder(_Head).decode


class Tap:
    """One operator's tap on one room. `show` gets the samples and must not wait; `end` is called once."""

    def __init__(
        self,
        bounds: Bounds,
        now_s: Callable[[], float],
        show: Callable[[Sample], None],
        end: Callable[["Tap", str], None],
    ) -> None:
        self.passed = 0
        self.shown = 0
        self._bounds = bounds
        self._now_s = now_s
        self._show = show
        self._end = end
        self._missed = 0
        self._second_s = now_s()
        self._left = bounds.per_s
        self._has_ended = False

    def show_mail(self, mail: Mail, roster: Roster) -> None:
        """Show the messages in `mail`, within the bounds."""
        if self._has_ended:
            return
        now_s = self._now_s()
        if now_s >= self._bounds.until_s:
            self.close("time")
            return
        if now_s - self._second_s >= 1.0:
            self._second_s, self._left = now_s, self._bounds.per_s
        match mail:
            case ClientMessages():
                seat = roster.seat_of(mail.connection)
                self._show_frames(mail, None if seat is None else seat.member.member_id)
            case ExternalMessage():
                self._show_frame((TEXT, encode_envelope(mail.envelope)), None)
            case Join():
                self._show_sample("join", mail.member.member_id, 0)
            case Leave():
                seat = roster.seat_of(mail.connection)
                self._show_sample("leave", None if seat is None else seat.member.member_id, 0)
            case _:
                self._show_sample(type(mail).__name__, None, 0)

    def close(self, reason: str) -> None:
        """Show nothing more. Only the first call counts."""
        if not self._has_ended:
            self._has_ended = True
            self._end(self, reason)

    def _show_frames(self, mail: ClientMessages, sender: MemberId | None) -> None:
        # Messages that were put back after a crash are shown again: the room gets them again.
        for frame in mail.frames:
            self._show_frame(frame, sender)

    def _show_frame(self, frame: Frame, sender: MemberId | None) -> None:
        opcode, content = frame
        if self._left <= 0 or self._has_ended:
            self.passed += 1
            self._missed += 1
            return
        if opcode != TEXT:
            payload = content[: SHOWN_BYTES // 3].hex(" ") if self._bounds.payload else None
            self._show_sample("binary", sender, len(content), payload=payload)
            return
        try:
            head = _read_head(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            head = _Head("(not a message)")
        payload = content.decode(errors="replace") if self._bounds.payload else None
        self._show_sample("text", sender, len(content), message=head.type, to=head.to, payload=payload)

    def _show_sample(
        self,
        kind: str,
        sender: MemberId | None,
        size: int,
        *,
        message: str | None = None,
        to: MemberId | None = None,
        payload: str | None = None,
    ) -> None:
        self.passed += 1
        if self._left <= 0 or self._has_ended:
            self._missed += 1
            return
        self._left -= 1
        shown = None if payload is None else payload[:SHOWN_BYTES]
        self._show(Sample(kind, sender, size, self._missed, message, to, shown))
        self._missed = 0
        self.shown += 1
        if self.shown >= self._bounds.most:
            self.close("most")
