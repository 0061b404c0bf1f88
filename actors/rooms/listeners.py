"""What a listener may do in a session's room: hear everything, talk, and show where they are. Pure (SPEC 3, 5.2).

A listener changes nothing that others see or hear: not the transport, not the shared state, and they play nothing into
the room. Messages as text are talk, which is theirs to say.
"""

from omnisonic.actors.rooms.shared_state import SharedState
from omnisonic.errors import InvalidInput
from omnisonic.models import MemberId
from omnisonic.wire.messages import Envelope
from omnisonic.wire.shared_state import read_state_set


def refuse_listener() -> InvalidInput:
    """The error for a listener who wants to change something, or to play."""
    sentence = "You are a listener here, and listeners change nothing. The session's owner can make you an editor."
    return InvalidInput(sentence, code="listeners_change_nothing")


def check_listener(envelope: Envelope, member_id: MemberId, shared: SharedState) -> None:
    """Check a listener's `state.set` or `transport.set`: they have ephemeral keys of their name, and nothing else.

    Raises:
        InvalidInput: `listeners_change_nothing`; for a `state.set` also what `read_state_set` raises.
    """
    if envelope.type != "state.set":
        raise refuse_listener()
    wanted = read_state_set(envelope.payload)
    before = shared.get(wanted.key)
    is_named = wanted.key.partition(".")[2] == member_id
    is_free = before is None or (before.ephemeral and before.by == member_id)
    if not (wanted.ephemeral and is_named and is_free):
        raise refuse_listener()
