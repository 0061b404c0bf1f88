"""What a room does with messages that are not simply relayed to everyone. Pure (SPEC 5.2).

These are messages to one member, messages from outside, changes of what the members share, and messages that are to be
written down. Overload, crash and shutdown: see `omnisonic.actors.rooms.state`, whose `RoomState` adds the rest.
"""

from mypy_extensions import mypyc_attr

from omnisonic.actors.rooms.batch import Batch
from omnisonic.actors.rooms.kept_messages import kept_reply, message_to_keep
from omnisonic.actors.rooms.mailbox import ExternalMessage, KeepResult
from omnisonic.actors.rooms.membership import RoomMembership
from omnisonic.actors.rooms.seat import Seat
from omnisonic.actors.rooms.transport import change_transport
from omnisonic.errors import InvalidInput
from omnisonic.models import MemberId
from omnisonic.stores.bus.events import Reply
from omnisonic.wire import messages
from omnisonic.wire.frames import TEXT, frame
from omnisonic.wire.message_types import SHARED_TYPES
from omnisonic.wire.messages import MESSAGE_BYTES, Envelope, too_large
from omnisonic.wire.recovery import Position
from omnisonic.wire.shared_state import read_state_set
from omnisonic.wire.transport import read_transport_set, transport_frame


@mypyc_attr(allow_interpreted_subclasses=True)
class RoomDelivery(RoomMembership):
    """The roster of one room, and how messages reach one member, come from outside, or change what is shared."""

    def _change_shared(self, envelope: Envelope, by: MemberId | None, batch: Batch) -> None:
        """Change what the members share, and tell everyone. Errors: `InvalidInput`."""
        if envelope.to is not None:
            raise InvalidInput(f"{envelope.type} is for everyone: leave out `to`.", code="invalid_message")
        memory = self.memory
        if envelope.type == "state.set":
            wanted = read_state_set(envelope.payload)
            batch.change_state(wanted.key, memory.shared_state.set(wanted, by))
            return
        transport = read_transport_set(envelope.payload)
        memory.transport = change_transport(memory.transport, transport, by, self.context.now_ms())
        batch.state_changed = True
        batch.to_all(transport_frame(memory.transport))

    def _find_target(self, to: MemberId) -> Seat:
        target = self.roster.seat_named(to)
        if target is None or not target.is_reachable:
            raise InvalidInput("The member it is for is not connected here.", code="unknown_member")
        return target

    def _send_to_one(self, target: Seat, frame_: bytes, batch: Batch) -> None:
        """Send a frame to one member, or keep it while they are waited for. Errors: `InvalidInput`."""
        if target.connection is not None:
            batch.to_one(target.connection, frame_)
        elif target.keep(frame_):
            batch.roster_changed = True
        else:
            message = "The member it is for is away, and as much waits for them as may."
            raise InvalidInput(message, code="member_away")

    # Kept messages

    def _keep(self, seat: Seat, envelope: Envelope, first: int | None) -> None:
        """Have a message written down that is relayed next, or was, with the offset `first`. Errors: `InvalidInput`.

        One that was relayed is not refused when too much waits: it may be what waits. Its sender is told when it is
        written, and sends it again otherwise.
        """
        context = self.context
        position = Position(self.memory.epoch, self.offset + 1 if first is None else first)
        message = message_to_keep(context.room_id, position, seat, envelope, context.now_ms())
        is_taken = context.keep is not None and context.keep(message)
        if not is_taken and first is None:
            raise InvalidInput("Too much waits to be kept now. Try again in a moment.", code="keep_busy")

    def _report_kept(self, result: KeepResult, batch: Batch) -> None:
        """Tell the sender what became of a message. Who is not connected asks by sending it again."""
        seat = self.roster.seat_named(result.member_id)
        if seat is not None and seat.connection is not None:
            reply = kept_reply(result, self.memory.epoch)
            if not self.context.standing.hold_ack(seat.connection, reply):
                batch.to_one(seat.connection, reply)

    # Messages from outside

    def _handle_external(self, mail: ExternalMessage, batch: Batch) -> None:
        """Send it to all or to one, without a sender. When nobody is connected it is dropped without a reply."""
        if not self.roster.is_reachable:
            return
        try:
            self._route_external(mail.envelope, batch)
        except InvalidInput as wrong:
            mail.reply(Reply(code=wrong.code, message=wrong.message))
        else:
            mail.reply(Reply(self.offset))

    def _route_external(self, envelope: Envelope, batch: Batch) -> None:
        if len(envelope.payload) > MESSAGE_BYTES:
            raise too_large(len(envelope.payload))
        if envelope.to is not None:
            self._find_target(envelope.to)
        if not self.on_external(envelope):
            return
        if envelope.type in SHARED_TYPES:
            self._change_shared(envelope, None, batch)
        else:
            self._relay_external(envelope, batch)

    def _relay_external(self, envelope: Envelope, batch: Batch) -> None:
        """Relay a message without a sender. Errors: `InvalidInput` when the member it is for is not to be reached."""
        if envelope.to is not None:
            self._send_to_one(self._find_target(envelope.to), messages.directed_external_frame(envelope), batch)
            return
        self.offset += 1
        content = messages.external_content(envelope, self.offset)
        batch.remembered.append(content)
        batch.to_all(frame(TEXT, content))
