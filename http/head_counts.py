"""How many are in the rooms of sessions, filled in from the presence store (SPEC 3: `participants`).

A roster that cannot be read in time costs the counts, which are then null, and nothing else.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from omnisonic.errors import Unavailable
from omnisonic.models import Session
from omnisonic.presence import PresenceStore

TIMEOUT_S: Final = 0.5
"""Longest that an answer waits to learn how many are in its rooms."""


class HeadCounts:
    """Counts who is in the rooms that `presence` knows."""

    def __init__(self, presence: PresenceStore) -> None:
        self._presence = presence

    async def filled(self, sessions: Sequence[Session]) -> list[Session]:
        """The same sessions with their `participants`, in one round trip."""
        if not sessions:
            return []
        try:
            async with asyncio.timeout(TIMEOUT_S):
                counts = await self._presence.head_counts([session.id for session in sessions])
        except (TimeoutError, Unavailable):
            return list(sessions)
        return [
            msgspec.structs.replace(session, participants=count)
            for session, count in zip(sessions, counts, strict=True)
        ]
