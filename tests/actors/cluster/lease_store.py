"""A store of leases whose time, answers and failures are the test's."""

import trio

from omnisonic.errors import Unavailable
from omnisonic.stores.room_memory import LEASE_S, Renewal

CALL_S = 0.25


class LeaseStore:
    """Keeps leases as the room memory stores do. Its calls take `takes_s` each way, and have a deadline."""

    def __init__(self) -> None:
        self.until_s: dict[str, float] = {}
        self.infos: dict[str, bytes] = {}
        self.begun: list[str] = []
        self.calls = 0
        self.is_away = False
        """Refuses every call."""
        self.answers_are_lost = False
        """Does what it is asked to, and does not say so."""
        self.has_lost_claims = False
        """Says once that the run is dead, though its lease lives."""
        self.takes_s = 0.0
        self.settled_in_s = 0.0

    def lives(self, owner: str) -> bool:
        """Whether this lease has not ended."""
        return self.until_s.get(owner, 0.0) > trio.current_time()

    async def renew(self, owner: str, info: bytes = b"", *, begins: bool = False, ttl_s: float = LEASE_S) -> Renewal:
        self.calls += 1
        await self._travel()
        if self.is_away:
            raise Unavailable("The store is away.")
        if begins:
            self.begun.append(owner)
        has_lost_claims, self.has_lost_claims = self.has_lost_claims, False
        if begins == self.lives(owner) or has_lost_claims:
            return Renewal(is_alive=False)
        self.until_s[owner] = trio.current_time() + ttl_s
        self.infos[owner] = info
        await self._travel()
        if self.answers_are_lost:
            raise Unavailable("There was no answer in time.")
        return Renewal(is_alive=True, settled_in_s=self.settled_in_s)

    async def end(self, owner: str) -> None:
        await self._travel()
        if self.is_away:
            raise Unavailable("The store is away.")
        self.until_s.pop(owner, None)

    async def _travel(self) -> None:
        if self.takes_s > CALL_S:
            await trio.sleep(CALL_S)
            raise Unavailable("There was no answer in time.")
        await trio.sleep(self.takes_s)
