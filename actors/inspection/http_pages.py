"""What the gateway's port answers in plain HTTP: `/healthz`, `/readyz` and `/metrics` (SPEC 5.4, 9).

Overload, crash and shutdown: see `omnisonic.actors.inspection.readiness` and `omnisonic.actors.inspection.metrics`.
"""

from http import HTTPStatus
from typing import Final

from omnisonic.actors.connections.connection import Connection
from omnisonic.actors.inspection.metrics import PATH as METRICS_PATH
from omnisonic.actors.inspection.metrics import MetricsPage
from omnisonic.actors.inspection.readiness import PATH as READINESS_PATH
from omnisonic.actors.inspection.readiness import Readiness
from omnisonic.wire.handshake import Request, http_response

HEALTH_PATH: Final = "/healthz"


class HttpPages:
    """The pages of one gateway. Belongs to the loop."""

    def __init__(self, readiness: Readiness, metrics: MetricsPage) -> None:
        self._readiness = readiness
        self._metrics = metrics

    def handle_handshake(self, connection: Connection, request: Request) -> bool:
        """Answer a request for a page, now or later; False when it is for something else. Errors: `Refused`."""
        if "upgrade" in request.headers:
            return False
        if request.path == HEALTH_PATH:
            connection.send_http_answer(http_response(HTTPStatus.OK, {"ok": True}))
        elif request.path == READINESS_PATH:
            self._readiness.add(connection)
        elif request.path == METRICS_PATH:
            self._metrics.add(connection, request)
        else:
            return False
        return True

    def discard(self, connection: Connection) -> None:
        """Forget a connection that ends, if it waits for an answer."""
        self._readiness.discard(connection)
        self._metrics.discard(connection)
