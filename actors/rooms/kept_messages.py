"""Kept messages as a room sees them: which can be kept, what is written of them, what their senders are told. Pure.

The room relays a kept message like any other and hands it to the gateway's writer (`RoomContext.keep`), which sends a
`KeepResult` when it is committed. Overload, crash and shutdown: see `omnisonic.actors.sync.message_writer`.
"""

from datetime import UTC, datetime

from omnisonic.actors.rooms.mailbox import KeepResult
from omnisonic.actors.rooms.seat import Seat
from omnisonic.errors import InvalidInput
from omnisonic.models import RoomId
from omnisonic.studio.messages import Kept, MessageToKeep
from omnisonic.wire import messages
from omnisonic.wire.message_types import HANDLED_TYPES
from omnisonic.wire.messages import Envelope
from omnisonic.wire.recovery import Position


def check_keep(envelope: Envelope, *, can_keep: bool) -> None:
    """Check that a message can be kept. `can_keep`: the room is one where messages are.

    Raises:
        InvalidInput: `id_required`, `invalid_message`, `keep_unavailable`.
    """
    if envelope.id is None:
        raise InvalidInput("Give a message that is to be kept an `id`.", code="id_required")
    if envelope.to is not None or envelope.type in HANDLED_TYPES or "\0" in envelope.type:
        raise InvalidInput("Only what is said to everyone can be kept.", code="invalid_message")
    if not can_keep:
        raise InvalidInput("Messages are kept only in the room of a session.", code="keep_unavailable")


def message_to_keep(room: RoomId, position: Position, seat: Seat, envelope: Envelope, now_ms: int) -> MessageToKeep:
    """What is written of a message that the member on this seat says."""
    assert envelope.id is not None
    return MessageToKeep(
        room=room,
        epoch=position.epoch,
        offset=position.offset,
        member_id=seat.member.member_id,
        client_id=messages.client_id_of(envelope.id),
        person=seat.person,
        display_name=seat.member.display_name,
        type=envelope.type,
        payload=bytes(envelope.payload).decode(),
        said_at=datetime.fromtimestamp(now_ms / 1000, UTC),
    )


def kept_reply(result: KeepResult, epoch: str) -> bytes:
    """The frame that tells the sender what became of a message, in a room whose epoch is `epoch`."""
    outcome, client_id = result.outcome, result.client_id
    if isinstance(outcome, Kept):
        return messages.kept_frame(client_id, outcome.offset, None if outcome.epoch == epoch else outcome.epoch)
    return messages.error_frame(outcome.code, outcome.message, messages.read_client_id(client_id))
