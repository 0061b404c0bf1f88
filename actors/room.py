"""A room: what it does with each letter, as pure state. No trio, no clock of its own, no socket (DESIGN 3).

`handle` takes one letter and writes down in a batch what everyone is to get. It never awaits. When it raises, the cell
around it (`omnisonic.actors.cell`) keeps what was handled before, sets the letter aside and starts a new room from the
roster as it was.
"""

from typing import TypeAlias, assert_never

from msgspec import DecodeError

from omnisonic.actors.batch import Batch
from omnisonic.actors.hooks import Hooks
from omnisonic.actors.link import Link
from omnisonic.actors.mailbox import (
    Dismiss,
    DropLease,
    DropLeasesOf,
    Expire,
    Join,
    Leave,
    Mail,
    PutLease,
    Said,
    SyncLeases,
    Tick,
    Told,
)
from omnisonic.actors.room_context import Estate as Estate
from omnisonic.actors.room_context import RoomContext as RoomContext
from omnisonic.actors.roster import Entry, Joined, Left, Roster, Seat, Updated
from omnisonic.bus.events import Reply
from omnisonic.errors import InvalidInput
from omnisonic.models import Member, MemberId, UserId, checked_display_name, checked_status
from omnisonic.wire import messages
from omnisonic.wire.closing import CloseCode, Closing, is_utf8
from omnisonic.wire.frames import BINARY, TEXT, TEXT_HEADERS, frame, header
from omnisonic.wire.messages import (
    MESSAGE_BYTES,
    PLAIN_BYTES,
    Envelope,
    ReplyId,
    Welcome,
    decode,
    decode_long,
    refusal,
    too_large,
)

LeaseMail: TypeAlias = PutLease | DropLease | DropLeasesOf | SyncLeases | Expire


class Room(Hooks):
    """One room's roster and order of messages. Subclass it and define its hooks (`Hooks`) to listen or to step in.

    `offset` counts the messages relayed to the whole room, from 1; `epoch` names the count.
    """

    def __init__(self, context: RoomContext) -> None:
        self.context = context
        self.roster = Roster(context.entries)
        self.offset = context.offset
        self.welcomed: Link | None = None
        """Who has been taken in, while `came` is told of it: when that raises, it is not the newcomer's fault."""
        self._listens = type(self).heard is not Hooks.heard

    def handle(self, mail: Mail, batch: Batch) -> None:
        """Do what `mail` asks, and write down in `batch` what everyone gets."""
        match mail:
            case Said():
                self.relay(mail, batch)
            case Join():
                self._join(mail, batch)
            case Leave():
                self._left(self.roster.leave(mail.link, mail.reason, self.context.now_s()), batch)
            case PutLease() | DropLease() | DropLeasesOf() | SyncLeases() | Expire():
                self._lease(mail, batch)
            case Dismiss():
                self._dismiss(mail.closing, batch)
            case Told():
                self._tell(mail, batch)
            case Tick():
                mail.begun()
                self.tick()
            case _ as never:
                assert_never(never)

    # What members say

    def relay(self, said: Said, batch: Batch) -> None:
        """Relay what one member said. The hot path: everything that can be made before is made before."""
        link = said.link
        seat = self.roster.seat_of(link)
        if seat is None:
            return  # replaced, or sent out, after it spoke
        pieces, heads, tail, listens = batch.pieces, self.context.heads, seat.tail, self._listens
        text_heads, offset = TEXT_HEADERS, self.offset
        size = start = batch.size
        replies: list[bytes] = []
        is_text = True
        try:
            for opcode, payload in said.rest:
                if opcode == BINARY:
                    if len(payload) > MESSAGE_BYTES:
                        replies.append(_error(too_large(len(payload))))
                        continue
                    content = seat.binary_head + payload
                    head = header(BINARY, len(content))
                else:
                    if not (payload.isascii() or is_utf8(payload)):
                        is_text = False
                        break
                    try:
                        envelope = decode(payload) if len(payload) < PLAIN_BYTES else decode_long(payload)
                        opening = heads[envelope.type]
                    except DecodeError as wrong:
                        replies.append(_error(refusal(wrong)))
                        continue
                    except InvalidInput as wrong:
                        replies.append(_error(wrong))
                        continue
                    if opening is None or envelope.to is not None or envelope.id is not None or listens:
                        batch.size, self.offset = size, offset
                        relayed = self._consider(seat, envelope, batch, replies)
                        if batch.size != size:  # an update, which the speaker is to get, too
                            batch.edit(link, start, size, b"".join(replies))
                            replies.clear()
                            start = size = batch.size
                        if not relayed:
                            continue
                        opening = messages.head(envelope.type)
                    content = b"".join((opening, envelope.payload, tail, b"%d}" % (offset + 1)))
                    length = len(content)
                    head = text_heads[length] if length < len(text_heads) else header(TEXT, length)
                pieces += (head, content)
                size += len(head) + len(content)
                offset += 1
        finally:
            batch.size, self.offset = size, offset
            batch.edit(link, start, size, b"".join(replies))
        if not is_text:
            closing = Closing(CloseCode.INVALID_UTF8, "text must be UTF-8")
            batch.dismiss(link, closing)
            self._left(self.roster.leave(link, closing.word, self.context.now_s()), batch)

    def _consider(self, seat: Seat, envelope: Envelope, batch: Batch, replies: list[bytes]) -> bool:
        """Deal with a message that may not be for everyone. True when it is to be relayed."""
        try:
            relayed = self._is_for_all(seat, envelope, batch, replies)
            if envelope.id is not None:
                replies.append(messages.ack_frame(envelope.id, self.offset + relayed))
        except InvalidInput as wrong:
            replies.append(_error(wrong, envelope.id))
            return False
        return relayed

    def _is_for_all(self, seat: Seat, envelope: Envelope, batch: Batch, replies: list[bytes]) -> bool:
        type_ = envelope.type
        if type_ in messages.SERVER_TYPES:
            raise InvalidInput(f"Only the server says {type_}.", code="reserved_type")
        if type_ == "transport.set":
            raise InvalidInput("This room has no shared transport.", code="unsupported_type")
        if type_ == "heartbeat":
            replies.append(messages.heartbeat_frame(self.context.now_ms(), envelope.payload))
            return False
        if type_ == "presence.set":
            self._changed(self.roster.update(_wanted(seat.member, envelope)), batch)
            return False
        if envelope.to is None and type_.startswith(messages.SIGNAL_PREFIX):
            raise InvalidInput(f"{type_} goes to one member: say which in `to`.", code="to_required")
        if self._listens and not self.heard(seat.member, envelope):
            return False
        if envelope.to is None:
            return True
        self._direct(seat, envelope, envelope.to, batch, replies)
        return False

    def _direct(self, seat: Seat, envelope: Envelope, to: MemberId, batch: Batch, replies: list[bytes]) -> None:
        target = self.roster.seat_named(to)
        if target is None or target.link is None:
            raise InvalidInput("The member it is for is not connected here.", code="unknown_member")
        frame_ = frame(TEXT, b"".join((messages.head(envelope.type), envelope.payload, seat.directed_tail)))
        if target is seat:
            replies.append(frame_)
        else:
            batch.to_one(target.link, frame_)

    # What the web side says

    def _tell(self, told: Told, batch: Batch) -> None:
        """Say it to all or to one, from nobody. Without a connection here there is nobody to tell, and no reply."""
        envelope = told.envelope
        if not self.roster.links:
            return
        target = None if envelope.to is None else self.roster.seat_named(envelope.to)
        if len(envelope.payload) > MESSAGE_BYTES:
            wrong = too_large(len(envelope.payload))
            told.reply(Reply(code=wrong.code, message=wrong.message))
        elif envelope.to is not None and (target is None or target.link is None):
            told.reply(Reply(code="unknown_member", message="The member it is for is not connected here."))
        else:
            if self.told(envelope):
                self._pass_on(envelope, target, batch)
            told.reply(Reply(self.offset))

    def _pass_on(self, envelope: Envelope, target: Seat | None, batch: Batch) -> None:
        if target is not None and target.link is not None:
            batch.to_one(target.link, messages.directed_outside_frame(envelope))
            return
        self.offset += 1
        batch.to_all(messages.outside_frame(envelope, self.offset))

    # Who comes and goes

    def _join(self, join: Join, batch: Batch) -> None:
        link, member = join.link, join.member
        if self._is_taken(member.member_id, join.person, batch):
            batch.begin(link, messages.error_frame("member_taken", "Somebody else is in this room by that memberId."))
            batch.dismiss(link, Closing(CloseCode.POLICY, "member_taken"))
            return
        if 0 < self.context.max_members <= len(self.roster) and member.member_id not in self.roster:
            batch.begin(link, messages.error_frame("room_full", "This room is full."))
            batch.dismiss(link, Closing(CloseCode.POLICY, "room_full"))
            return
        event = self.roster.join(member, link, join.person)
        if isinstance(event, Joined):
            batch.to_all(messages.join_frame(event.seat.line))
        else:
            if event.old is not None:
                batch.dismiss(event.old, Closing(CloseCode.REPLACED))
            if event.changed:
                batch.to_all(messages.update_frame(event.seat.line))
        batch.begin(link, self._welcome(event.seat))
        batch.roster_changed = True
        if isinstance(event, Joined):
            self.welcomed = link
            self.came(event.seat.member)
            self.welcomed = None

    def _welcome(self, seat: Seat) -> bytes:
        context = self.context
        welcome = Welcome(
            context.room_id, seat.member.member_id, context.ttl_s, context.epoch, self.offset, context.now_ms()
        )
        return messages.welcome_frame(welcome, [each.line for each in self.roster])

    def _changed(self, event: Joined | Updated | None, batch: Batch) -> None:
        if event is not None:
            make = messages.join_frame if isinstance(event, Joined) else messages.update_frame
            batch.to_all(make(event.seat.line))
        batch.roster_changed = True
        if isinstance(event, Joined):
            self.came(event.seat.member)

    def _left(self, event: Left | None, batch: Batch) -> None:
        if event is not None:
            batch.to_all(messages.leave_frame(event.member_id, event.reason))
        batch.roster_changed = True
        self._is_gone(event)

    def _is_gone(self, event: Left | None) -> None:
        if event is not None and event.member is not None:
            self.gone(event.member, event.reason)

    def _lease(self, mail: LeaseMail, batch: Batch) -> None:
        match mail:
            case PutLease():
                if not self._is_taken(mail.member.member_id, mail.person, batch):
                    self._changed(self.roster.put_lease(mail.member, mail.until_s, mail.person), batch)
            case DropLease():
                if not self.roster.is_anothers(mail.member_id, mail.person):
                    self._left(self.roster.drop_lease(mail.member_id), batch)
            case DropLeasesOf():
                for seat in [seat for seat in self.roster if seat.person == mail.person]:
                    self._left(self.roster.drop_lease(seat.member.member_id), batch)
            case SyncLeases():
                self._sync(mail.leases, batch)
            case Expire():
                self._expire(batch)
            case _ as never:
                assert_never(never)

    def _is_taken(self, member_id: MemberId, person: UserId | None, batch: Batch) -> bool:
        """Whether the seat is another person's, and is really held still."""
        if self.roster.is_anothers(member_id, person):
            self._expire(batch)
        return self.roster.is_anothers(member_id, person)

    def _expire(self, batch: Batch) -> None:
        for left in self.roster.expire(self.context.now_s()):
            self._left(left, batch)

    def _dismiss(self, closing: Closing, batch: Batch) -> None:
        left: list[Left | None] = []
        for link in list(self.roster.links):
            batch.dismiss(link, closing)
            left.append(self.roster.leave(link, closing.word, self.context.now_s()))
        left += [self.roster.drop_lease(seat.member.member_id) for seat in list(self.roster)]
        batch.roster_changed = True
        for event in left:  # all are out by now, whatever a hook does
            self._is_gone(event)

    def _sync(self, leases: tuple[Entry, ...], batch: Batch) -> None:
        """Make the leases what the store says: it may have heard what this room did not."""
        named = {entry.member.member_id for entry in leases}
        for seat in [seat for seat in self.roster if seat.member.member_id not in named]:
            self._left(self.roster.drop_lease(seat.member.member_id), batch)
        for entry in leases:
            if entry.lease_until_s is not None:
                self._changed(self.roster.put_lease(entry.member, entry.lease_until_s, entry.person), batch)


def _wanted(member: Member, envelope: Envelope) -> Member:
    """The member as `presence.set` wants them shown. Errors: `InvalidInput`."""
    wish = messages.read_presence(envelope.payload)
    return Member(
        member.member_id,
        member.display_name if wish.display_name is None else checked_display_name(wish.display_name),
        member.status if wish.status is None else checked_status(wish.status),
    )


def _error(wrong: InvalidInput, reply_id: ReplyId | None = None) -> bytes:
    return messages.error_frame(wrong.code, wrong.message, reply_id)
