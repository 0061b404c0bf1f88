"""What the routes of sessions need from the presence store: how many people are in the rooms, and an end to leases.

Counts (SPEC 3, `participants`) are batched by load, without a timer: while one read of the store is running, rooms that
other requests ask for are collected, and the next read is for all of them. A read always starts after the requests
that it answers.

Presence store down: counts are left out (null in the answer), and leases stay until they expire, which is logged; the
request itself succeeds in both cases. Shutdown: a running read is lost with its loop.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from omnisonic.errors import Unavailable
from omnisonic.models import RoomId, Session, UserId
from omnisonic.stores.presence import PresenceStore

COUNT_TIMEOUT_S: Final = 0.25
"""Longest that one read of the counts may take. A request waits for two reads at most."""
END_TIMEOUT_S: Final = 1.0

log = logging.getLogger(__name__)

AnySession = TypeVar("AnySession", bound=Session)


class CountBatch:
    """The rooms that one read of the store is for, and a future with its result: empty when the read fails."""

    def __init__(self) -> None:
        self.rooms: dict[RoomId, None] = {}
        self.result: asyncio.Future[Mapping[RoomId, int]] = asyncio.get_running_loop().create_future()


class SessionPresence:
    """Counts people in the rooms that `presence` knows, and ends leases there. One for each process."""

    def __init__(self, presence: PresenceStore) -> None:
        self._presence = presence
        self._next: CountBatch | None = None
        self._reading: asyncio.Task[None] | None = None

    async def add_counts(self, sessions: Sequence[AnySession]) -> list[AnySession]:
        """Copy `sessions` with `participants` filled in, where the store answers in time."""
        if not sessions:
            return []
        if self._next is None:
            self._next = CountBatch()
        batch = self._next
        batch.rooms.update(dict.fromkeys(session.id for session in sessions))
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_batches())
        # Shielded: a caller that is cancelled must not take the counts from the others.
        counts = await asyncio.shield(batch.result)
        return [
            msgspec.structs.replace(session, participants=counts[session.id]) if session.id in counts else session
            for session in sessions
        ]

    async def end_leases(self, room: RoomId, person: UserId | None = None) -> None:
        """End the leases of `person` in `room`, or all leases in it. Never raises.

        Call it once the role is gone from the database: then nobody can put a new lease. The caller notifies the room.
        """
        try:
            async with asyncio.timeout(END_TIMEOUT_S):
                await self._presence.end_leases(room, person)
        except (TimeoutError, Unavailable):
            log.warning("leases.not_ended", extra={"room": room})

    async def _read_batches(self) -> None:
        """Read one batch after another until nobody waits."""
        try:
            while self._next is not None:
                batch, self._next = self._next, None
                try:
                    batch.result.set_result(await self._read_counts(list(batch.rooms)))
                except Exception as crash:  # noqa: BLE001 - raised to those who wait for this batch
                    batch.result.set_exception(crash)
        finally:
            self._reading = None

    async def _read_counts(self, rooms: list[RoomId]) -> Mapping[RoomId, int]:
        try:
            async with asyncio.timeout(COUNT_TIMEOUT_S):
                return dict(zip(rooms, await self._presence.head_counts(rooms), strict=True))
        except (TimeoutError, Unavailable):
            return {}
