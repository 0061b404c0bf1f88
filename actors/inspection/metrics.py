"""Metrics: `GET /metrics` on the gateway's port, for Prometheus (SPEC 9).

It owns the connections that wait for an answer. Who may read is `omnisonic.identity.scrapers`. The metrics are
collected and rendered on another thread, so that no room waits for it.

Overload: one rendering at a time answers everyone who waits; beyond `ASKERS` the next ones get 503. Crash of a
rendering: 500 for those who wait, and nothing else. Shutdown: waiting connections get 503. A gateway that is blocked
does not answer, and Prometheus counts it as down.
"""

import logging
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Final

import trio

from omnisonic.actors.connections.connection import Connection
from omnisonic.identity.scrapers import ScraperAccess
from omnisonic.observability.metrics import PROMETHEUS_TEXT
from omnisonic.wire.handshake import Refused, Request, refusal_response, text_response

PATH: Final = "/metrics"
ASKERS: Final = 64
RETRY_AFTER_S: Final = 1

_log = logging.getLogger(__name__)


class MetricsPage:
    """The metrics of one gateway. `render` makes the text, on a thread; None: there are none. Belongs to the loop."""

    def __init__(self, nursery: trio.Nursery, access: ScraperAccess, render: Callable[[], bytes] | None) -> None:
        self._nursery = nursery
        self._access = access
        self._render = render
        self._waiting: set[Connection] = set()
        self._is_rendering = False

    def add(self, connection: Connection, request: Request) -> None:
        """Answer `connection` when the metrics are rendered. Errors: `Refused`."""
        denied = self._access.check(connection.address, request.headers)
        if denied is not None:
            raise Refused(denied.status, denied.code, denied.message, **denied.headers)
        if self._render is None:
            raise Refused(HTTPStatus.NOT_FOUND, "not_found", "There are no metrics here: they are turned off.")
        if request.method != "GET":
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", "Read with GET.", Allow="GET")
        if len(self._waiting) >= ASKERS:
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "unavailable",
                "Too many read the metrics of this gateway.",
                Retry_After=str(RETRY_AFTER_S),
            )
        self._waiting.add(connection)
        if not self._is_rendering:
            self._is_rendering = True
            self._nursery.start_soon(self._answer, self._render)

    def discard(self, connection: Connection) -> None:
        """Forget a connection that has ended, if it waits."""
        self._waiting.discard(connection)

    @trio.lowlevel.enable_ki_protection
    async def _answer(self, render: Callable[[], bytes]) -> None:
        try:
            answer = await trio.to_thread.run_sync(partial(_make_answer, render), abandon_on_cancel=True)
        finally:
            self._is_rendering = False
        for connection in list(self._waiting):
            connection.send_http_answer(answer)


def _make_answer(render: Callable[[], bytes]) -> bytes:
    try:
        return text_response(HTTPStatus.OK, PROMETHEUS_TEXT, render())
    except Exception as crash:  # noqa: BLE001 - what is measured may raise anything, and must not end the gateway
        _log.error("metrics.failed", exc_info=crash)
        return refusal_response(Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "The metrics failed."))
