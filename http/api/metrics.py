"""`/metrics`: the numbers of this web process, in Prometheus' text format (SPEC 9).

Who may read is `omnisonic.identity.scrapers`. Not in the OpenAPI document: it is for scrapers, which know the format.

How many mixdowns wait is counted in the database at each scrape, because the worker listens on no port. While the
database does not answer within `COUNT_S`, that one number is left out.

Overload: one rendering at a time, on another thread, answers everyone who asks meanwhile. Crash: one 500. Shutdown: as
any request.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from opentelemetry import metrics
from opentelemetry.metrics import MeterProvider
from quart import Blueprint, Response, request
from quart_schema import hide

from omnisonic.errors import Unavailable
from omnisonic.http.core.errors import Refusal
from omnisonic.identity.scrapers import ScraperAccess
from omnisonic.observability.metrics import EXPORTS_WAITING, PROMETHEUS_TEXT

COUNT_S: Final = 1.0


class Metrics:
    """The route.

    Args:
        access: Decides who may read.
        render: Makes the text, on a thread. None: there are no metrics.
        count_waiting: How many mixdowns wait. Raises `Unavailable`.
        meters: OpenTelemetry's global provider when not given.
    """

    def __init__(
        self,
        access: ScraperAccess,
        render: Callable[[], bytes] | None,
        count_waiting: Callable[[], Awaitable[int]] | None,
        meters: MeterProvider | None,
    ) -> None:
        self._access = access
        self._render = render
        self._count_waiting = count_waiting
        self._waiting: int | None = None
        self._rendering: asyncio.Task[bytes] | None = None
        if render is not None and count_waiting is not None:
            EXPORTS_WAITING.observe(metrics.get_meter("studio-web-api", meter_provider=meters), lambda: self._waiting)

    def blueprint(self) -> Blueprint:
        routes = Blueprint("metrics", __name__)
        routes.get("/metrics")(self.read)
        return routes

    @hide
    async def read(self) -> Response:
        """Read the metrics."""
        denied = self._access.check(request.remote_addr, request.headers)
        if denied is not None:
            raise Refusal(denied.status, denied.code, denied.message, headers=denied.headers)
        if self._render is None:
            raise Refusal(404, "not_found", "There are no metrics here: OpenTelemetry's settings turn them off.")
        if self._rendering is None or self._rendering.done():
            self._rendering = asyncio.create_task(self._collect(self._render))
        # Shielded: a caller that is cancelled must not take the result from the others.
        return Response(await asyncio.shield(self._rendering), content_type=PROMETHEUS_TEXT)

    async def _collect(self, render: Callable[[], bytes]) -> bytes:
        self._waiting = await self._count()
        return await asyncio.to_thread(render)

    async def _count(self) -> int | None:
        if self._count_waiting is None:
            return None
        try:
            async with asyncio.timeout(COUNT_S):
                return await self._count_waiting()
        except (TimeoutError, Unavailable):
            return None
