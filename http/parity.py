"""The parity service (SPEC 3): the sessions of the API, without sign-in, on a store in memory.

It runs the code of `/api/sessions` under another prefix, for one built-in guest. Use it to see what the API responds,
or to compare another implementation with it, with nothing else running. Crash and shutdown: the stored sessions are
lost. Overload: the server's limits; the store grows with what is created in it.
"""

from typing import Final

import msgspec
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider
from quart import Blueprint, Quart, Response

from omnisonic.http.api.room_events import RoomEvents
from omnisonic.http.api.session_presence import SessionPresence
from omnisonic.http.api.sessions import Sessions
from omnisonic.http.app import create_plain_app
from omnisonic.http.core.inputs import Query
from omnisonic.http.core.responses import Ok, SessionAnswer, json_response
from omnisonic.models import LoginId, Person, Session
from omnisonic.settings.settings import Settings
from omnisonic.stores.bus import Bus
from omnisonic.stores.presence import PresenceStore
from omnisonic.studio.sessions import SessionStore

GUEST: Final = Person("00000000-0000-4000-8000-000000000001", "Guest", None, None)
"""The user of all requests."""
GUEST_LOGIN: Final[LoginId] = "guest"


class ParityList(msgspec.Struct, frozen=True):
    """The created sessions, newest first."""

    sessions: list[Session]


class ParitySessions(Sessions):
    """The routes of `/v1/sessions`."""

    def blueprint(self) -> Blueprint:
        routes = Blueprint("parity", __name__)
        routes.get("/healthz")(self.alive)
        routes.get("/v1/sessions")(self.list)
        routes.post("/v1/sessions")(self.make)
        return routes

    async def alive(self) -> Response:
        """Check that the process answers."""
        return json_response(Ok())

    async def list(self) -> Response:
        """List the sessions; `limit` and `before` as in the API."""
        listing = await self._read_page(Query())
        return json_response(ParityList([each.as_session() for each in listing.sessions]))

    async def make(self) -> Response:
        """Create a session."""
        return json_response(SessionAnswer(await self._create_from_body()), 201)


def create_parity_app(
    settings: Settings,
    sessions: SessionStore,
    presence: PresenceStore,
    bus: Bus,
    *,
    port: int,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> Quart:
    """The service as an ASGI app, reached by `port`. In `sessions`, `GUEST_LOGIN` is the sign-in of `GUEST`."""
    app = create_plain_app(
        settings.host_policy(settings.parity_host),
        settings.origin_policy(port),
        has_pages=False,
        https=False,
        tracer_provider=tracer_provider,
        meter_provider=meter_provider,
    )
    routes = ParitySessions(settings, sessions, SessionPresence(presence), RoomEvents(bus), lambda: GUEST_LOGIN)
    app.register_blueprint(routes.blueprint())
    return app
