"""How many are in the rooms of sessions, filled in from the presence store (SPEC 3: `participants`).

Batched by load, never by timer: while one look at the store is under way, the rooms that others ask for gather, and the
next look is for all of them. Every look begins after the request that it answers.

A roster that cannot be read in time costs the counts, which are then null, and nothing else. Shutdown: a look that is
under way is lost with its loop.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from omnisonic.errors import Unavailable
from omnisonic.models import RoomId, Session
from omnisonic.stores.presence import PresenceStore

TIMEOUT_S: Final = 0.25
"""Longest that one look may take; an answer waits for two at most."""


class Look:
    """The rooms that one look at the store is for, and what it finds: nothing when it fails."""

    def __init__(self) -> None:
        self.rooms: dict[RoomId, None] = {}
        self.found: asyncio.Future[Mapping[RoomId, int]] = asyncio.get_running_loop().create_future()


class ParticipantCounts:
    """Counts who is in the rooms that `presence` knows."""

    def __init__(self, presence: PresenceStore) -> None:
        self._presence = presence
        self._next: Look | None = None
        self._looking: asyncio.Task[None] | None = None

    async def filled(self, sessions: Sequence[Session]) -> list[Session]:
        """The same sessions with their `participants`."""
        if not sessions:
            return []
        if self._next is None:
            self._next = Look()
        look = self._next
        look.rooms.update(dict.fromkeys(session.id for session in sessions))
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        # Shielded: one impatient caller must not take the counts from the others.
        counts = await asyncio.shield(look.found)
        return [
            msgspec.structs.replace(session, participants=counts[session.id]) if session.id in counts else session
            for session in sessions
        ]

    async def _look(self) -> None:
        """Look for whoever waits, until nobody does."""
        try:
            while self._next is not None:
                look, self._next = self._next, None
                try:
                    look.found.set_result(await self._counts(list(look.rooms)))
                except Exception as crash:  # noqa: BLE001 - whoever waits for the look is to have it
                    look.found.set_exception(crash)
        finally:
            self._looking = None

    async def _counts(self, rooms: list[RoomId]) -> Mapping[RoomId, int]:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return dict(zip(rooms, await self._presence.head_counts(rooms), strict=True))
        except (TimeoutError, Unavailable):
            return {}
