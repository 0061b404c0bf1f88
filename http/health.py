"""Is it alive, and can it do its work (SPEC 3): `/healthz` and `/readyz`.

Readiness is proven, not assumed: a round trip to the database, the presence store and the storage, and a message
published on a fresh channel of the bus and received again, each within a second. However many ask at once, one probe
runs and all get its result, so asking cannot load what it asks about.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

from quart import Blueprint, Response

from omnisonic.bus import Bus, Delivery
from omnisonic.errors import Unavailable
from omnisonic.http.answers import Ok, Readiness, Unreadiness, answer
from omnisonic.http.errors import retry_after
from omnisonic.http.openapi import answers
from omnisonic.presence import PresenceStore
from omnisonic.storage import Storage

PROBE_TIMEOUT_S: Final = 1.0
RETRY_AFTER_S: Final = 1.0
CHANNEL_BYTES: Final = 8


class Health:
    """The two health routes."""

    def __init__(
        self, ping_database: Callable[[], Awaitable[None]], presence: PresenceStore, bus: Bus, storage: Storage
    ) -> None:
        self._storage = storage
        self._ping_database = ping_database
        self._presence = presence
        self._bus = bus
        self._running: asyncio.Task[dict[str, str]] | None = None

    def blueprint(self) -> Blueprint:
        routes = Blueprint("health", __name__)
        routes.get("/healthz")(self.alive)
        routes.get("/readyz")(self.ready)
        return routes

    @answers(Ok)
    async def alive(self) -> Response:
        """Say that the process answers, and nothing more."""
        return answer(Ok())

    @answers(Readiness, problems={503: Unreadiness})
    async def ready(self) -> Response:
        """Say whether everything that this server needs answers within a second."""
        checks = await self._probe()
        broken = [name for name, outcome in checks.items() if outcome != "ok"]
        if not broken:
            return answer(Readiness(checks=checks))
        error = f"Not ready: {' and '.join(broken)} cannot be reached."
        return answer(Unreadiness(error=error, checks=checks), 503, retry_after(RETRY_AFTER_S))

    async def _probe(self) -> dict[str, str]:
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._check_all())
        # Shielded: one impatient caller must not take the result from the others.
        return await asyncio.shield(self._running)

    async def _check_all(self) -> dict[str, str]:
        database, presence, bus, storage = await asyncio.gather(
            _outcome(self._ping_database()),
            _outcome(self._presence.ping()),
            _outcome(self._round_trip()),
            _outcome(self._storage.ping()),
        )
        return {"database": database, "presence": presence, "bus": bus, "storage": storage}

    async def _round_trip(self) -> None:
        channel = f"omnisonic:probe:{secrets.token_hex(CHANNEL_BYTES)}"
        async with self._bus.subscribe(channel) as heard:
            await self._bus.publish(channel, b"ready?")
            async for event in heard:
                if isinstance(event, Delivery):
                    return
        raise Unavailable("The bus ended before it delivered.")


async def _outcome(check: Awaitable[None]) -> str:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            await check
    except TimeoutError:
        return f"No answer within {PROBE_TIMEOUT_S:g} s."
    except Unavailable as down:
        return down.message
    return "ok"
