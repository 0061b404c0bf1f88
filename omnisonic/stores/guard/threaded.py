"""A guard whose adapter is asyncio code, for a trio program: it lives in an `AsyncioThread`.

Every call has a deadline on trio's side, too, because cancellation does not cross threads by itself. Errors:
`Unavailable`.
"""

from collections.abc import Sequence
from typing import Final

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.stores.guard import Allowance, Guard

CALL_S: Final = 1.0
"""The deadline of a call on trio's side; the guard's own deadlines are shorter."""


class ThreadedGuard:
    """`guard`, as seen from trio."""

    def __init__(self, thread: AsyncioThread, guard: Guard) -> None:
        self._thread = thread
        self._guard = guard

    async def first_use(self, kind: str, name: str, *, ttl_s: float) -> bool:
        return await self._thread.call(self._guard.first_use, kind, name, ttl_s=ttl_s, timeout_s=CALL_S)

    async def reserve(self, kind: str, name: str, slot: str, *, limit: int, window_s: float, longest_s: float) -> float:
        times = {"window_s": window_s, "longest_s": longest_s}
        return await self._thread.call(self._guard.reserve, kind, name, slot, limit=limit, **times, timeout_s=CALL_S)

    async def resolve(self, kind: str, name: str, slot: str, *, counts: bool) -> None:
        await self._thread.call(self._guard.resolve, kind, name, slot, counts=counts, timeout_s=CALL_S)

    async def spend(self, allowances: Sequence[Allowance]) -> float:
        return await self._thread.call(self._guard.spend, allowances, timeout_s=CALL_S)

    async def aclose(self) -> None:
        await self._thread.call(self._guard.aclose, timeout_s=CALL_S)


_fits: type[Guard] = ThreadedGuard
