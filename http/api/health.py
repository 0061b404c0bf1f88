"""`/healthz` and `/readyz`: is the process alive, and can it do its work (SPEC 3).

Readiness is measured: a round trip to the database, the presence store and the storage, a message published on a fresh
channel of the bus and received again, each within a second; and a reply of the gateway, where its address is known.
However many requests come at once, one check runs and all get its result, so that they cannot overload what they check.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from quart import Blueprint, Response

from omnisonic.errors import Unavailable
from omnisonic.http.api.gateway import CHECK_TIMEOUT_S
from omnisonic.http.core.errors import retry_after
from omnisonic.http.core.openapi import describe_route
from omnisonic.http.core.responses import Ok, Readiness, Unreadiness, json_response
from omnisonic.stores.bus import Bus, round_trip
from omnisonic.stores.presence import PresenceStore
from omnisonic.stores.storage import Storage

PROBE_TIMEOUT_S: Final = 1.0
RETRY_AFTER_S: Final = 1.0


class Health:
    """The two health routes."""

    def __init__(
        self,
        ping_database: Callable[[], Awaitable[None]],
        presence: PresenceStore,
        bus: Bus,
        storage: Storage,
        ask_gateway: Callable[[], Awaitable[None]] | None,
    ) -> None:
        self._storage = storage
        self._ping_database = ping_database
        self._presence = presence
        self._bus = bus
        self._ask_gateway = ask_gateway
        self._check: asyncio.Task[dict[str, str]] | None = None

    def blueprint(self) -> Blueprint:
        routes = Blueprint("health", __name__)
        routes.get("/healthz")(self.alive)
        routes.get("/readyz")(self.ready)
        return routes

    @describe_route(Ok)
    async def alive(self) -> Response:
        """Check that the process answers."""
        return json_response(Ok())

    @describe_route(Readiness, problems={503: Unreadiness})
    async def ready(self) -> Response:
        """Check that everything this server needs answers in time."""
        checks = await self._share_check()
        failed = [name for name, outcome in checks.items() if outcome != "ok"]
        if not failed:
            return json_response(Readiness(checks=checks))
        error = f"Not ready: {' and '.join(failed)} cannot be reached."
        return json_response(Unreadiness(error=error, checks=checks), 503, retry_after(RETRY_AFTER_S))

    async def _share_check(self) -> dict[str, str]:
        if self._check is None or self._check.done():
            self._check = asyncio.create_task(self._check_all())
        # Shielded: a caller that is cancelled must not take the result from the others.
        return await asyncio.shield(self._check)

    async def _check_all(self) -> dict[str, str]:
        checks = {
            "database": _run_check(self._ping_database()),
            "presence": _run_check(self._presence.ping()),
            "bus": _run_check(round_trip(self._bus)),
            "storage": _run_check(self._storage.ping()),
        }
        if self._ask_gateway is not None:
            checks["gateway"] = _run_check(self._ask_gateway(), within_s=CHECK_TIMEOUT_S)
        return dict(zip(checks, await asyncio.gather(*checks.values()), strict=True))


async def _run_check(check: Awaitable[None], *, within_s: float = PROBE_TIMEOUT_S) -> str:
    try:
        async with asyncio.timeout(within_s):
            await check
    except TimeoutError:
        return f"No answer within {within_s:g} s."
    except Unavailable as down:
        return down.message
    return "ok"
