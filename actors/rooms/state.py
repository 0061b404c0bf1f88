"""A room: what it does with each message in its mailbox, as pure state. No trio, no socket, no clock (DESIGN 3).

`handle` takes one message from the mailbox and writes down in a batch what each member gets. It never awaits.

Overload: the actor around it (`omnisonic.actors.rooms.actor`) bounds what one turn handles. Crash: when `handle`
raises, the actor keeps what was handled before, puts the message into the dead letters, and starts a new room with the
same roster. Shutdown: nothing to do.
"""

from typing import assert_never

from msgspec import DecodeError
from mypy_extensions import mypyc_attr

from omnisonic.actors.rooms.batch import Batch
from omnisonic.actors.rooms.delivery import RoomDelivery
from omnisonic.actors.rooms.hooks import Hooks, RoomContext
from omnisonic.actors.rooms.kept_messages import check_keep
from omnisonic.actors.rooms.listeners import check_listener, refuse_listener
from omnisonic.actors.rooms.mailbox import (
    ChangeRole,
    ChangeStanding,
    ClientMessages,
    Dismiss,
    DropLease,
    DropLeasesOf,
    Expire,
    ExternalMessage,
    Join,
    KeepResults,
    Leave,
    Mail,
    PutLease,
    Remove,
    SyncLeases,
    Tick,
)
from omnisonic.actors.rooms.membership import make_error
from omnisonic.actors.rooms.seat import Seat
from omnisonic.errors import InvalidInput
from omnisonic.models import Member, MemberId
from omnisonic.models.checks import checked_display_name, checked_status
from omnisonic.wire import messages
from omnisonic.wire.closing import CloseCode, Closing, is_utf8
from omnisonic.wire.frames import BINARY, TEXT, TEXT_HEADERS, frame, header
from omnisonic.wire.json_limits import parse_json
from omnisonic.wire.message_types import SERVER_TYPES, SHARED_TYPES, SIGNAL_PREFIX
from omnisonic.wire.messages import (
    MESSAGE_BYTES,
    SHORT_MESSAGE_BYTES,
    Envelope,
    decode,
    decode_long,
    too_large,
)
from omnisonic.wire.refusals import refusal_frame


@mypyc_attr(allow_interpreted_subclasses=True)
class RoomState(RoomDelivery):
    """One room: its roster and the order of its messages. Subclass it and define hooks (`Hooks`) to react to them.

    `offset` counts the messages relayed to the whole room, binary ones apart, from 1; `epoch` names the count.
    """

    def __init__(self, context: RoomContext) -> None:
        super().__init__(context)
        own = type(self)
        self.keeps_seats = True
        """Whether members of the room in another gateway are members here, without a call of `on_join`."""
        self._has_message_hooks = own.on_message is not Hooks.on_message or own.on_binary is not Hooks.on_binary

    def handle(self, mail: Mail, batch: Batch) -> None:
        """Do what `mail` asks, and write down in `batch` what everyone gets."""
        match mail:
            case ClientMessages():
                self.relay(mail, batch)
            case Join():
                self._join(mail, batch)
            case ChangeStanding() | ChangeRole():
                self._handle_change(mail, batch)
            case Leave():
                self._end_connection(mail, batch)
            case PutLease() | DropLease() | DropLeasesOf() | SyncLeases() | Expire():
                self._handle_lease(mail, batch)
            case Remove():
                self._handle_leave(self.roster.remove(mail.member_id, mail.reason), batch)
            case Dismiss():
                self._dismiss(mail.closing, batch)
            case ExternalMessage():
                self._handle_external(mail, batch)
            case KeepResults():
                for result in mail.results:
                    self._report_kept(result, batch)
            case Tick():
                mail.on_start()
                self.on_tick()
            case _ as never:
                assert_never(never)

    # Client messages

    def relay(self, received: ClientMessages, batch: Batch) -> None:
        """Relay the messages of one member. The hot path: whatever can be prepared is prepared before."""
        connection = received.connection
        seat = self.roster.seat_of(connection)
        if seat is None:
            return  # replaced or removed after it sent this
        pieces, relay_prefixes, tail, listens = (
            batch.pieces,
            self.context.relay_prefixes,
            seat.relay_suffix,
            # A listener's messages are looked at one by one: this costs the others nothing.
            self._has_message_hooks or seat.is_listener,
        )
        text_headers, offset = TEXT_HEADERS, self.offset
        size = start = batch.size
        remember = batch.remembered.append
        replies: list[bytes] = []
        is_text = True
        try:
            for opcode, payload in received.rest:
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
                    batch.binaries += 1
                else:
                    if not (payload.isascii() or is_utf8(payload)):
                        is_text = False
                        break
                    try:
                        envelope = decode(payload) if len(payload) < SHORT_MESSAGE_BYTES else decode_long(payload)
                        parse_json(envelope.payload)
                        opening = relay_prefixes[envelope.type]
                    except (DecodeError, InvalidInput) as wrong:
                        replies.append(refusal_frame(wrong, payload))
                        continue
                    if (
                        opening is None
                        or envelope.to is not None
                        or envelope.id is not None
                        or envelope.keep
                        or listens
                    ):
                        batch.size, self.offset, earlier = size, offset, len(replies)
                        relayed = self._handle_message(seat, envelope, batch, replies)
                        if batch.size != size:  # an update, which the sender gets, too, before the answer
                            batch.edit(connection, start, size, b"".join(replies[:earlier]))
                            del replies[:earlier]
                            start = size = batch.size
                        if not relayed:
                            continue
                        opening = messages.relay_prefix(envelope.type)
                    offset += 1
                    content = b"".join((opening, envelope.payload, tail, b"%d}" % offset))
                    remember(content)
                    length = len(content)
                    head = text_headers[length] if length < len(text_headers) else header(TEXT, length)
                pieces += (head, content)
                size += len(head) + len(content)
        finally:
            batch.size, self.offset = size, offset
            batch.edit(connection, start, size, b"".join(replies))
        if not is_text:
            closing = Closing(CloseCode.INVALID_UTF8, "text must be UTF-8")
            batch.dismiss(connection, closing)
            self._end_connection(Leave(connection, closing.word, is_final=False), batch)

    def _handle_message(self, seat: Seat, envelope: Envelope, batch: Batch, replies: list[bytes]) -> bool:
        """Handle a message that may not be for everyone. True when it has to be relayed to all."""
        id_, sender, acknowledged = envelope.id, seat.member.member_id, self.memory.acknowledged
        first = None if id_ is None else acknowledged.find(sender, envelope)
        if id_ is not None and first is not None and not envelope.keep:
            self._acknowledge(seat, messages.ack_frame(id_, first, acknowledged.version_of(sender, id_)), replies)
            return False
        sent = Envelope(envelope.type, envelope.payload, envelope.to, id_)  # a hook may change it
        state_version = self.memory.shared_state.version
        try:
            if envelope.keep:
                check_keep(envelope, can_keep=self.context.keep is not None)
            relayed = first is None and self._route_message(seat, envelope, batch, replies)
            if is_kept := envelope.keep and (relayed or first is not None):
                # What was accepted before may not be written down: the writer knows, and acknowledges it.
                self._keep(seat, envelope, first)
        except InvalidInput as wrong:
            replies.append(make_error(wrong, id_))
            return False
        if id_ is not None and first is None:
            now = self.memory.shared_state.version
            version = None if now == state_version else now
            if sent.type not in ("heartbeat", "presence.set"):
                acknowledged.add(sender, sent, self.offset + relayed, version)
            if not is_kept:
                self._acknowledge(seat, messages.ack_frame(id_, self.offset + relayed, version), replies)
        if is_kept:
            envelope.payload = messages.identified_payload(envelope)
        return relayed

    def _acknowledge(self, seat: Seat, ack: bytes, replies: list[bytes]) -> None:
        """Answer the sender with `ack`, or keep it back while the room is provisional."""
        if seat.connection is None or not self.context.standing.hold_ack(seat.connection, ack):
            replies.append(ack)

    def _handle_binary(self, seat: Seat, data: bytes, replies: list[bytes]) -> bytes | None:
        """Pass a binary message to the hook. Returns what to relay; None when it is dropped or refused."""
        try:
            if len(data) > MESSAGE_BYTES:
                raise too_large(len(data))
            if seat.is_listener:
                raise refuse_listener()
            return self.on_binary(seat.member, data)
        except InvalidInput as wrong:
            replies.append(make_error(wrong))
            return None

    def _route_message(self, seat: Seat, envelope: Envelope, batch: Batch, replies: list[bytes]) -> bool:
        type_ = envelope.type
        if type_ in SERVER_TYPES:
            raise InvalidInput(f"Only the server says {type_}.", code="reserved_type")
        if type_ == "heartbeat":
            replies.append(messages.heartbeat_frame(self.context.now_ms(), envelope.payload))
            return False
        if type_ == "presence.set":
            wanted = _apply_presence(seat.member, envelope)
            shown = None if wanted == seat.member else self.on_presence(wanted, seat.member)
            if shown is not None:
                self._announce_update(self.roster.update(shown), batch)
            return False
        if envelope.to is None and type_.startswith(SIGNAL_PREFIX):
            raise InvalidInput(f"{type_} goes to one member: say which in `to`.", code="to_required")
        if seat.is_listener and type_ in SHARED_TYPES:
            check_listener(envelope, seat.member.member_id, self.memory.shared_state)
        if self._has_message_hooks and not self.on_message(seat.member, envelope):
            return False
        if envelope.type in SHARED_TYPES:
            self._change_shared(envelope, seat.member.member_id, batch)
            return False
        if envelope.to is None:
            return True
        self._relay_to_one(seat, envelope, envelope.to, batch, replies)
        return False

    def _relay_to_one(self, seat: Seat, envelope: Envelope, to: MemberId, batch: Batch, replies: list[bytes]) -> None:
        target = self._find_target(to)
        frame_ = frame(TEXT, b"".join((messages.relay_prefix(envelope.type), envelope.payload, seat.directed_suffix)))
        if target is seat:
            replies.append(frame_)
        else:
            self._send_to_one(target, frame_, batch)


def _apply_presence(member: Member, envelope: Envelope) -> Member:
    """The member as `presence.set` wants them shown. Errors: `InvalidInput`."""
    wish = messages.read_presence(envelope.payload)
    return Member(
        member.member_id,
        member.display_name if wish.display_name is None else checked_display_name(wish.display_name),
        member.status if wish.status is None else checked_status(wish.status),
        account=member.account,
    )
