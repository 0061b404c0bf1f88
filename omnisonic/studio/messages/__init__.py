"""Kept messages: what was said in a session's room and is written down (SPEC 5.2).

The gateway writes them through `KeptMessages`, the web reads them through `MessageStore`; both are in
`omnisonic.studio.messages.message_store`. `omnisonic.studio.messages.threaded` brings the first to trio.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol, TypeAlias

from omnisonic.models import MemberId, RoomId, UserId


class MessageToKeep(NamedTuple):
    """A message as a room relayed it.

    Attributes:
        room: The room, which is a session's if the message can be kept.
        epoch: Names the count of `offset`.
        offset: Its place in the room's order.
        member_id: Who said it.
        client_id: The `id` that the client gave it, as JSON.
        person: The user who said it, where users are known.
        display_name: What they were called then.
        type: The type of the message.
        payload: The payload, as JSON text.
        said_at: When it was relayed.
    """

    room: RoomId
    epoch: str
    offset: int
    member_id: MemberId
    client_id: str
    person: UserId | None
    display_name: str
    type: str
    payload: str
    said_at: datetime


class Kept(NamedTuple):
    """The message is committed. `epoch` and `offset` are those under which it was written down first."""

    epoch: str
    offset: int


Outcome: TypeAlias = Kept | None
"""What became of a message. None: it cannot be kept, because its room is no session's (any more)."""


class KeptMessages(Protocol):
    """Writes messages down."""

    async def keep(self, messages: Sequence[MessageToKeep]) -> list[Outcome]:
        """Write the messages down in one commit, in their order, and return what became of each.

        Idempotent: a message of the same room, member, `client_id`, type and payload is written once. So after
        `Unavailable`, when nobody knows whether they are committed, give the same messages again.

        Raises:
            Unavailable: The database does not answer. All of them are committed, or none.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections. Safe to call twice."""
        ...
