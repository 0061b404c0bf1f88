"""Access: whether a sign-in still holds, and opens a room (SPEC 5.1). What the gateway asks the database.

Adapters: `omnisonic.access.postgres` (asyncio), and `omnisonic.access.threaded`, which brings it to trio.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from omnisonic.models import LoginId, RoomId, UserId


class Pass(NamedTuple):
    """By which sign-in somebody is in a room."""

    login: LoginId
    room: RoomId


class AccessStore(Protocol):
    """Errors: every method may raise `Unavailable`."""

    async def admit(self, asked: Pass) -> UserId | None:
        """Whose sign-in it is, when it holds and they have a role in the session that the room belongs to.

        None for all else: no such sign-in, no such session, no role. Nobody learns which.
        """
        ...

    async def lapsed(self, passes: Sequence[Pass]) -> list[Pass]:
        """Those of `passes` that open their room no more. The sign-ins of the others count as used just now."""
        ...

    async def ping(self) -> None:
        """One round trip."""
        ...

    async def aclose(self) -> None:
        """Let go of the connections. Safe to call twice."""
        ...
