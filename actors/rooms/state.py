"""A room: what it does with each letter, as pure state. No trio, no clock of its own, no socket (DESIGN 3).

`handle` takes one letter and writes down in a batch what everyone is to get. It never awaits. When it raises, the cell
around it (`omnisonic.actors.rooms.actor`) keeps what was handled before, sets the letter aside and starts a new room
from the roster as it was.
"""

from typing import TypeAlias, assert_never

from msgspec import DecodeError
from msgspec.structs import replace

from omnisonic.actors.rooms.batch import Batch
from omnisonic.actors.rooms.connection_handle import ConnectionHandle
from omnisonic.actors.rooms.context import Handoff as Handoff
from omnisonic.actors.rooms.context import RoomContext as RoomContext
from omnisonic.actors.rooms.hooks import Hooks
from omnisonic.actors.rooms.mailbox import (
    ClientMessages,
    Dismiss,
    DropLease,
    DropLeasesOf,
    Expire,
    ExternalMessage,
    Join,
    Leave,
    Mail,
    PutLease,
    SyncLeases,
    Tick,
)
from omnisonic.actors.rooms.roster import Entry, Joined, Left, Roster, Seat, Updated
from omnisonic.errors import InvalidInput
from omnisonic.models import Member, MemberId, UserId, checked_display_name, checked_status
from omnisonic.stores.bus.events import Reply
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
    too_large,
)
from omnisonic.wire.numbers import parse

LeaseMail: TypeAlias = PutLease | DropLease | DropLeasesOf | SyncLeases | Expire


class RoomState(Hooks):
    """One room's roster and order of messages. Subclass it and define its hooks (`Hooks`) to listen or to step in.

    `offset` counts the messages relayed to the whole room, from 1; `epoch` names the count.
    """

    def __init__(self, context: RoomContext) -> None:
        self.context = context
        self.roster = Roster(context.entries)
        self.offset = context.offset
        self.welcomed: ConnectionHandle | None = None
        """Who has been taken in, while `on_join` is told of it: when that raises, it is not the newcomer's fault."""
        own = type(self)
        self._has_message_hooks = own.on_message is not Hooks.on_message or own.on_binary is not Hooks.on_binary

    def handle(self, mail: Mail, batch: Batch) -> None:
        """Do what `mail` asks, and write down in `batch` what everyone gets."""
        match mail:
            case ClientMessages():
                self.relay(mail, batch)
            case Join():
                self._join(mail, batch)
            case Leave():
                self._handle_leave(self.roster.leave(mail.connection, mail.reason, self.context.now_s()), batch)
            case PutLease() | DropLease() | DropLeasesOf() | SyncLeases() | Expire():
                self._handle_lease(mail, batch)
            case Dismiss():
                self._dismiss(mail.closing, batch)
            case ExternalMessage():
                self._handle_external(mail, batch)
            case Tick():
                mail.on_start()
                self.on_tick()
            case _ as never:
                assert_never(never)

    # What members say

    def relay(self, said: ClientMessages, batch: Batch) -> None:
        """Relay what one member said. The hot path: everything that can be made before is made before."""
        connection = said.connection
        seat = self.roster.seat_of(connection)
        if seat is None:
            return  # replaced, or sent out, after it spoke
        pieces, relay_prefixes, tail, listens = (
            batch.pieces,
            self.context.relay_prefixes,
            seat.relay_suffix,
            self._has_message_hooks,
        )
        text_heads, offset = TEXT_HEADERS, self.offset
        size = start = batch.size
        replies: list[bytes] = []
        is_text = True
        try:
            for opcode, payload in said.rest:
                if opcode == BINARY:
                    data = (
                        self._handle_binary(seat, payload, replies)
                        if listens or len(payload) > MESSAGE_BYTES
                        else payload
                    )
                    if data is None:
                        continue
                    content = seat.binary_head + data
                    head = header(BINARY, len(content))
                else:
                    if not (payload.isascii() or is_utf8(payload)):
                        is_text = False
                        break
                    try:
                        envelope = decode(payload) if len(payload) < PLAIN_BYTES else decode_long(payload)
                        parse(envelope.payload)
                        opening = relay_prefixes[envelope.type]
                    except (DecodeError, InvalidInput) as wrong:
                        replies.append(messages.refused_frame(wrong, payload))
                        continue
                    if opening is None or envelope.to is not None or envelope.id is not None or listens:
                        batch.size, self.offset = size, offset
                        relayed = self._handle_message(seat, envelope, batch, replies)
                        if batch.size != size:  # an update, which the speaker is to get, too
                            batch.edit(connection, start, size, b"".join(replies))
                            replies.clear()
                            start = size = batch.size
                        if not relayed:
                            continue
                        opening = messages.relay_prefix(envelope.type)
                    content = b"".join((opening, envelope.payload, tail, b"%d}" % (offset + 1)))
                    length = len(content)
                    head = text_heads[length] if length < len(text_heads) else header(TEXT, length)
                pieces += (head, content)
                size += len(head) + len(content)
                offset += 1
        finally:
            batch.size, self.offset = size, offset
            batch.edit(connection, start, size, b"".join(replies))
        if not is_text:
            closing = Closing(CloseCode.INVALID_UTF8, "text must be UTF-8")
            batch.dismiss(connection, closing)
            self._handle_leave(self.roster.leave(connection, closing.word, self.context.now_s()), batch)

    def _handle_message(self, seat: Seat, envelope: Envelope, batch: Batch, replies: list[bytes]) -> bool:
        """Deal with a message that may not be for everyone. True when it is to be relayed."""
        try:
            relayed = self._route_message(seat, envelope, batch, replies)
            if envelope.id is not None:
                replies.append(messages.ack_frame(envelope.id, self.offset + relayed))
        except InvalidInput as wrong:
            replies.append(_make_error(wrong, envelope.id))
            return False
        return relayed

    def _handle_binary(self, seat: Seat, data: bytes, replies: list[bytes]) -> bytes | None:
        """What is to be relayed of a binary message; None when it is kept back or refused."""
        try:
            if len(data) > MESSAGE_BYTES:
                raise too_large(len(data))
            return self.on_binary(seat.member, data)
        except InvalidInput as wrong:
            replies.append(_make_error(wrong))
            return None

    def _route_message(self, seat: Seat, envelope: Envelope, batch: Batch, replies: list[bytes]) -> bool:
        type_ = envelope.type
        if type_ in messages.SERVER_TYPES:
            raise InvalidInput(f"Only the server says {type_}.", code="reserved_type")
        if type_ == "transport.set":
            raise InvalidInput("This room has no shared transport.", code="unsupported_type")
        if type_ == "heartbeat":
            replies.append(messages.heartbeat_frame(self.context.now_ms(), envelope.payload))
            return False
        if type_ == "presence.set":
            wanted = _apply_presence(seat.member, envelope)
            shown = None if wanted == seat.member else self.on_presence(wanted, seat.member)
            if shown is not None:
                self._announce_update(self.roster.update(shown), batch)
            return False
        if envelope.to is None and type_.startswith(messages.SIGNAL_PREFIX):
            raise InvalidInput(f"{type_} goes to one member: say which in `to`.", code="to_required")
        if self._has_message_hooks and not self.on_message(seat.member, envelope):
            return False
        if envelope.to is None:
            return True
        self._relay_to_one(seat, envelope, envelope.to, batch, replies)
        return False

    def _relay_to_one(self, seat: Seat, envelope: Envelope, to: MemberId, batch: Batch, replies: list[bytes]) -> None:
        target = self.roster.seat_named(to)
        if target is None or target.connection is None:
            raise InvalidInput("The member it is for is not connected here.", code="unknown_member")
        frame_ = frame(TEXT, b"".join((messages.relay_prefix(envelope.type), envelope.payload, seat.directed_suffix)))
        if target is seat:
            replies.append(frame_)
        else:
            batch.to_one(target.connection, frame_)

    # What the web side says

    def _handle_external(self, told: ExternalMessage, batch: Batch) -> None:
        """Say it to all or to one, from nobody. Without a connection here there is nobody to tell, and no reply."""
        envelope = told.envelope
        if not self.roster.connections:
            return
        target = None if envelope.to is None else self.roster.seat_named(envelope.to)
        if len(envelope.payload) > MESSAGE_BYTES:
            wrong = too_large(len(envelope.payload))
            told.reply(Reply(code=wrong.code, message=wrong.message))
        elif envelope.to is not None and (target is None or target.connection is None):
            told.reply(Reply(code="unknown_member", message="The member it is for is not connected here."))
        else:
            if self.on_external(envelope):
                self._relay_external(envelope, target, batch)
            told.reply(Reply(self.offset))

    def _relay_external(self, envelope: Envelope, target: Seat | None, batch: Batch) -> None:
        if target is not None and target.connection is not None:
            batch.to_one(target.connection, messages.directed_outside_frame(envelope))
            return
        self.offset += 1
        batch.to_all(messages.outside_frame(envelope, self.offset))

    # Who comes and goes

    def _join(self, join: Join, batch: Batch) -> None:
        connection = join.connection
        try:
            self._check_place(join, batch)
            member = self._check_presence(join.member)
        except InvalidInput as wrong:
            batch.begin(connection, _make_error(wrong))
            batch.dismiss(connection, Closing(CloseCode.POLICY, wrong.code))
            return
        event = self.roster.join(member, connection, join.person)
        if isinstance(event, Joined):
            batch.to_all(messages.join_frame(event.seat.line))
        else:
            if event.old is not None:
                batch.dismiss(event.old, Closing(CloseCode.REPLACED))
            if event.changed:
                batch.to_all(messages.update_frame(event.seat.line))
        batch.begin(connection, self._make_welcome(event.seat))
        batch.roster_changed = True
        if isinstance(event, Joined):
            self.welcomed = connection
            self.on_join(event.seat.member)
            self.welcomed = None

    def _check_place(self, join: Join, batch: Batch) -> None:
        """Errors: `InvalidInput` (`member_taken`, `room_full`, `seat_contested`) when there is no place for them."""
        member_id = join.member.member_id
        if self._check_taken(member_id, join.person, batch):
            raise InvalidInput("Somebody else is in this room by that memberId.", code="member_taken")
        if 0 < self.context.max_members <= len(self.roster) and member_id not in self.roster:
            raise InvalidInput("This room is full.", code="room_full")
        if self.roster.record_takeover(member_id, self.context.now_s()):
            raise InvalidInput(
                "Two of your connections take this memberId from each other. Close one, and try again in two minutes.",
                code="seat_contested",
            )

    def _check_presence(self, wanted: Member) -> Member:
        """How others see a member who comes, or is here already and keeps their name when another one is refused.

        Errors: `InvalidInput` when a newcomer is refused.
        """
        seat = self.roster.seat_named(wanted.member_id)
        before = None if seat is None else seat.member
        if wanted == before:
            return wanted
        try:
            if (shown := self.on_presence(wanted, before)) is not None:
                return shown
        except InvalidInput:
            if before is None:
                raise
        if before is None:
            raise InvalidInput("This room does not let you in under that name.", code="name_refused")
        return replace(wanted, display_name=before.display_name)

    def _make_welcome(self, seat: Seat) -> bytes:
        context = self.context
        welcome = Welcome(
            context.room_id, seat.member.member_id, context.ttl_s, context.epoch, self.offset, context.now_ms()
        )
        return messages.welcome_frame(welcome, [each.line for each in self.roster])

    def _announce_update(self, event: Joined | Updated | None, batch: Batch) -> None:
        if event is not None:
            make = messages.join_frame if isinstance(event, Joined) else messages.update_frame
            batch.to_all(make(event.seat.line))
        batch.roster_changed = True
        if isinstance(event, Joined):
            self.on_join(event.seat.member)

    def _handle_leave(self, event: Left | None, batch: Batch) -> None:
        if event is not None:
            batch.to_all(messages.leave_frame(event.member_id, event.reason))
        batch.roster_changed = True
        self._announce_leave(event)

    def _announce_leave(self, event: Left | None) -> None:
        if event is not None and event.member is not None:
            self.on_leave(event.member, event.reason)

    def _handle_lease(self, mail: LeaseMail, batch: Batch) -> None:
        match mail:
            case PutLease():
                if not self._check_taken(mail.member.member_id, mail.person, batch):
                    self._put_lease(mail.member, mail.until_s, mail.person, batch)
            case DropLease():
                if not self.roster.belongs_to_other(mail.member_id, mail.person):
                    self._handle_leave(self.roster.drop_lease(mail.member_id), batch)
            case DropLeasesOf():
                for seat in [seat for seat in self.roster if seat.person == mail.person]:
                    self._handle_leave(self.roster.drop_lease(seat.member.member_id), batch)
            case SyncLeases():
                self._sync_leases(mail.leases, batch)
            case Expire():
                self._expire(batch)
            case _ as never:
                assert_never(never)

    def _put_lease(self, member: Member, until_s: float, person: UserId | None, batch: Batch) -> None:
        try:
            shown = self._check_presence(member)
        except InvalidInput:
            return  # the room does not let them in under that name
        self._announce_update(self.roster.put_lease(shown, until_s, person), batch)

    def _check_taken(self, member_id: MemberId, person: UserId | None, batch: Batch) -> bool:
        """Whether the seat is another person's, and is really held still."""
        if self.roster.belongs_to_other(member_id, person):
            self._expire(batch)
        return self.roster.belongs_to_other(member_id, person)

    def _expire(self, batch: Batch) -> None:
        for left in self.roster.expire(self.context.now_s()):
            self._handle_leave(left, batch)

    def _dismiss(self, closing: Closing, batch: Batch) -> None:
        left: list[Left | None] = []
        for connection in list(self.roster.connections):
            batch.dismiss(connection, closing)
            left.append(self.roster.leave(connection, closing.word, self.context.now_s()))
        left += [self.roster.drop_lease(seat.member.member_id) for seat in list(self.roster)]
        batch.roster_changed = True
        for event in left:  # all are out by now, whatever a hook does
            self._announce_leave(event)

    def _sync_leases(self, leases: tuple[Entry, ...], batch: Batch) -> None:
        """Make the leases what the store says: it may have heard what this room did not."""
        named = {entry.member.member_id for entry in leases}
        for seat in [seat for seat in self.roster if seat.member.member_id not in named]:
            self._handle_leave(self.roster.drop_lease(seat.member.member_id), batch)
        for entry in leases:
            if entry.lease_until_s is not None:
                self._put_lease(entry.member, entry.lease_until_s, entry.person, batch)


def _apply_presence(member: Member, envelope: Envelope) -> Member:
    """The member as `presence.set` wants them shown. Errors: `InvalidInput`."""
    wish = messages.read_presence(envelope.payload)
    return Member(
        member.member_id,
        member.display_name if wish.display_name is None else checked_display_name(wish.display_name),
        member.status if wish.status is None else checked_status(wish.status),
        account=member.account,
    )


def _make_error(wrong: InvalidInput, reply_id: ReplyId | None = None) -> bytes:
    return messages.error_frame(wrong.code, wrong.message, reply_id)
