"""A room: what it does with each letter, as pure state. No trio, no clock of its own, no socket (DESIGN 3).

`handle` takes one letter and writes down in a batch what everyone is to get. It never awaits. When it raises, the cell
around it (`omnisonic.actors.cell`) keeps what was handled before, sets the letter aside and starts a new room from the
roster as it was.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, assert_never

from omnisonic.actors.batch import Batch
from omnisonic.actors.mailbox import Dismiss, DropLease, Expire, Join, Leave, Mail, PutLease, Said, SyncLeases
from omnisonic.actors.link import Link
from omnisonic.actors.roster import REMOVED, Entry, Joined, Left, Replaced, Roster, Seat, Updated
from omnisonic.errors import InvalidInput
from omnisonic.models import Member, MemberId, RoomId, checked_display_name, checked_status
from omnisonic.wire import messages
from omnisonic.wire.closing import CloseCode, Closing, is_utf8
from omnisonic.wire.frames import BINARY, TEXT, header
from omnisonic.wire.messages import Envelope, Welcome

KNOWN_TYPES: Final = 1024
"""Message types whose head is kept ready; there are few in any program, and this bounds a stranger's imagination."""


class Heads(dict[str, bytes | None]):
    """The head of a relayed message by type, made once; None for the types that are not simply relayed."""

    def __missing__(self, type_: str) -> bytes | None:
        if type_ in _HANDLED or type_ in messages.SERVER_TYPES or type_.startswith(messages.SIGNAL_PREFIX):
            made = None
        else:
            made = messages.head(type_)
        if len(self) < KNOWN_TYPES:
            self[type_] = made
        return made


_HANDLED: Final = frozenset({"heartbeat", "presence.set", "transport.set"})


@dataclass(frozen=True, slots=True)
class RoomContext:
    """What a room is given: its name, its limits, the clocks, and what the room before it left behind."""

    room_id: RoomId
    epoch: str
    ttl_s: int
    max_members: int
    now_s: Callable[[], float]
    now_ms: Callable[[], int]
    heads: Heads
    offset: int = 0
    entries: tuple[Entry, ...] = ()


class Room:
    """One room's roster and order of messages. Subclass it and define `heard` to listen or to step in.

    `offset` counts the messages relayed to the whole room, from 1; `epoch` names the count.
    """

    def __init__(self, context: RoomContext) -> None:
        self.context = context
        self.roster = Roster(context.entries)
        self.offset = context.offset
        self._listens = type(self).heard is not Room.heard

    def heard(self, member: Member, envelope: Envelope) -> bool:
        """Called before a client's message is relayed or delivered, in the room's order. False keeps it back.

        Not called for heartbeats, `presence.set`, binary messages, or messages that are refused. Raising crashes the
        room: it is restarted, and this message goes to the dead letters.
        """
        del member, envelope
        return True

    def handle(self, mail: Mail, batch: Batch) -> None:
        """Do what `mail` asks, and write down in `batch` what everyone gets."""
        match mail:
            case Said():
                self._said(mail, batch)
            case Join():
                self._join(mail, batch)
            case Leave():
                self._left(self.roster.leave(mail.link, mail.reason, self.context.now_s()), batch)
            case PutLease():
                self._changed(self.roster.put_lease(mail.member, mail.until_s), batch)
            case DropLease():
                self._left(self.roster.drop_lease(mail.member_id), batch)
            case SyncLeases():
                self._sync(mail.leases, batch)
            case Expire():
                for left in self.roster.expire(self.context.now_s()):
                    self._left(left, batch)
            case Dismiss():
                for link in list(self.roster.links):
                    batch.dismiss(link, mail.closing)
                    self.roster.leave(link, mail.closing.word, self.context.now_s())
                batch.roster_changed = True
            case _ as never:
                assert_never(never)

    def _said(self, said: Said, batch: Batch) -> None:
        """Relay what one member said. The hot path: everything that can be made before is made before."""
        link = said.link
        seat = self.roster.seat_of(link)
        if seat is None:
            return  # replaced, or sent out, after it spoke
        pieces, heads, tail, listens = batch.pieces, self.context.heads, seat.tail, self._listens
        read = messages.read
        size, offset, start = batch.size, self.offset, batch.size
        replies: list[bytes] = []
        expelled = False
        try:
            for opcode, payload in said.rest:
                if opcode == BINARY:
                    if len(payload) > messages.MESSAGE_BYTES:
                        replies.append(messages.error_frame("too_large", messages.too_large(len(payload))))
                        continue
                    sender = seat.binary_head
                    length = len(sender) + len(payload)
                    head = header(BINARY, length)
                    pieces += (head, sender, payload)
                    size += len(head) + length
                    offset += 1
                    continue
                if not is_utf8(payload):
                    expelled = True
                    break
                try:
                    envelope = read(payload)
                except InvalidInput as wrong:
                    replies.append(messages.error_frame(wrong.code, wrong.message))
                    continue
                body = heads[envelope.type]
                if body is None or envelope.to is not None or listens:
                    batch.size, self.offset = size, offset
                    if self._consumed(seat, envelope, batch, replies):
                        if batch.size != size:  # it put something on the stream that the speaker is to get
                            batch.edit(link, start, size, b"".join(replies))
                            replies.clear()
                            start = size = batch.size
                        continue
                    body = body or messages.head(envelope.type)
                content = bytes(envelope.payload)
                offset += 1
                place = b"%d}" % offset
                length = len(body) + len(content) + len(tail) + len(place)
                head = header(TEXT, length)
                pieces += (head, body, content, tail, place)
                size += len(head) + length
                if envelope.id is not None:
                    replies.append(messages.ack_frame(envelope.id, offset))
        finally:
            batch.size, self.offset = size, offset
            batch.messages += len(said.frames) - said.waiting
            batch.edit(link, start, size, b"".join(replies))
        if expelled:
            self._expel(link, Closing(CloseCode.INVALID_UTF8, "text must be UTF-8"), batch)

    def _expel(self, link: Link, closing: Closing, batch: Batch) -> None:
        """Close the connection of a member who broke the rules; the others see them leave."""
        batch.dismiss(link, closing)
        self._left(self.roster.leave(link, closing.word, self.context.now_s()), batch)

    def _consumed(self, seat: Seat, envelope: Envelope, batch: Batch, replies: list[bytes]) -> bool:
        """Deal with a message that may not be for everyone. False when it is to be relayed after all."""
        try:
            return self._handled(seat, envelope, batch, replies)
        except InvalidInput as wrong:
            replies.append(messages.error_frame(wrong.code, wrong.message, envelope.id))
            return True

    def _handled(self, seat: Seat, envelope: Envelope, batch: Batch, replies: list[bytes]) -> bool:
        type_ = envelope.type
        if type_ == "heartbeat":
            replies.append(messages.heartbeat_frame(self.context.now_ms(), envelope.payload))
            return True
        if type_ == "presence.set":
            self._changed(self.roster.update(_wanted(seat.member, envelope)), batch)
        elif type_ == "transport.set":
            raise InvalidInput("This room has no shared transport.", code="unsupported_type")
        elif type_ in messages.SERVER_TYPES:
            raise InvalidInput(f"Only the server says {type_}.", code="reserved_type")
        elif type_.startswith(messages.SIGNAL_PREFIX) and envelope.to is None:
            raise InvalidInput(f"{type_} goes to one member: say which in `to`.", code="to_required")
        elif self._listens and not self.heard(seat.member, envelope):
            pass
        elif envelope.to is None:
            return False
        else:
            self._direct(seat, envelope, envelope.to, batch, replies)
        if envelope.id is not None:
            replies.append(messages.ack_frame(envelope.id, self.offset))
        return True

    def _direct(
        self, seat: Seat, envelope: Envelope, to: MemberId, batch: Batch, replies: list[bytes]
    ) -> None:
        target = self.roster.seat_named(to)
        if target is None or target.link is None:
            raise InvalidInput("The member it is for is not connected here.", code="unknown_member")
        content = messages.head(envelope.type) + bytes(envelope.payload) + seat.directed_tail
        frame = header(TEXT, len(content)) + content
        if target is seat:
            replies.append(frame)
        else:
            batch.to_one(target.link, frame)

    def _join(self, join: Join, batch: Batch) -> None:
        link, member = join.link, join.member
        full = 0 < self.context.max_members <= len(self.roster)
        if full and member.member_id not in self.roster:
            batch.begin(link, messages.error_frame("room_full", "This room is full."))
            batch.dismiss(link, Closing(CloseCode.POLICY, "room full"))
            return
        event = self.roster.join(member, link)
        if isinstance(event, Replaced) and event.old is not None:
            batch.dismiss(event.old, Closing(CloseCode.REPLACED, "replaced"))
        if isinstance(event, Joined):
            batch.to_all(messages.join_frame(event.seat.line))
        elif event.changed:
            batch.to_all(messages.update_frame(event.seat.line))
        batch.begin(link, self._welcome(event.seat))
        batch.roster_changed = True

    def _welcome(self, seat: Seat) -> bytes:
        context = self.context
        welcome = Welcome(
            context.room_id, seat.member.member_id, context.ttl_s, context.epoch, self.offset, context.now_ms()
        )
        return messages.welcome_frame(welcome, [each.line for each in self.roster])

    def _changed(self, event: Joined | Updated | None, batch: Batch) -> None:
        if event is None:
            return
        frame = messages.join_frame if isinstance(event, Joined) else messages.update_frame
        batch.to_all(frame(event.seat.line))
        batch.roster_changed = True

    def _left(self, event: Left | None, batch: Batch) -> None:
        batch.roster_changed = True
        if event is not None:
            batch.to_all(messages.leave_frame(event.member_id, event.reason))

    def _sync(self, leases: tuple[Entry, ...], batch: Batch) -> None:
        """Make the leases what the store says: it may have heard what this room did not."""
        named = {entry.member.member_id for entry in leases}
        for seat in [seat for seat in self.roster if seat.member.member_id not in named]:
            self._left(self.roster.drop_lease(seat.member.member_id, REMOVED), batch)
        for entry in leases:
            if entry.lease_until_s is not None:
                self._changed(self.roster.put_lease(entry.member, entry.lease_until_s), batch)


def _wanted(member: Member, envelope: Envelope) -> Member:
    """The member as `presence.set` wants them shown. Errors: `InvalidInput`."""
    wish = messages.read_presence(envelope.payload)
    return Member(
        member.member_id,
        member.display_name if wish.display_name is None else checked_display_name(wish.display_name),
        member.status if wish.status is None else checked_status(wish.status),
    )

