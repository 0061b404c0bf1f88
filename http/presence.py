"""`/api/presence`: who is in a room, and being in one without a socket (SPEC 3).

The store is the truth; the event on the bus is what makes a live room see it at once. Both are bounded in time:
when either does not answer the caller gets 503 with `Retry-After`, and may repeat the request, for all are idempotent.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Final

from pydantic import AfterValidator, Field, WithJsonSchema
from quart import Blueprint, Response

from omnisonic.bus import ROOM_EVENTS, Bus
from omnisonic.bus.events import LeaseDropped, LeasePut, RoomEvent, encode
from omnisonic.config import Settings
from omnisonic.errors import Unavailable
from omnisonic.http.answers import Members, Ok, answer
from omnisonic.http.errors import Refusal
from omnisonic.http.inputs import Input, json_body, query_value
from omnisonic.http.openapi import answers, name_schema
from omnisonic.http.request_ids import PRESENCE_PATH
from omnisonic.models import (
    DISPLAY_NAME_LENGTH,
    ID_LENGTH,
    Member,
    PresenceMember,
    Status,
    checked_display_name,
    checked_member_id,
    checked_room_id,
)
from omnisonic.presence import PresenceStore

STORE_TIMEOUT_S: Final = 1.0
"""Longest that store and bus together may take for one request."""
LONGEST_TTL_S: Final = 900

_Id = WithJsonSchema(name_schema(ID_LENGTH))
_Name = WithJsonSchema(name_schema(DISPLAY_NAME_LENGTH))
_RoomId = Annotated[str, AfterValidator(checked_room_id), _Id]
_MemberId = Annotated[str, AfterValidator(checked_member_id), _Id]


class RoomQuery(Input):
    """Which room."""

    room_id: _RoomId


class Arrival(Input):
    """Someone is in a room, without a socket, for `ttlSeconds` from now."""

    room_id: _RoomId
    member_id: _MemberId
    display_name: Annotated[str, AfterValidator(checked_display_name), _Name]
    status: Status = "active"
    ttl_seconds: Annotated[int, Field(ge=1, le=LONGEST_TTL_S)] | None = None


class Departure(Input):
    """Someone is there no more."""

    room_id: _RoomId
    member_id: _MemberId


class Presence:
    """The routes of `/api/presence`."""

    def __init__(self, settings: Settings, store: PresenceStore, bus: Bus) -> None:
        self._default_ttl_s = settings.presence_ttl_s
        self._is_open = settings.access == "open"
        self._store = store
        self._bus = bus

    def blueprint(self) -> Blueprint:
        routes = Blueprint("presence", __name__)
        routes.before_request(self.admit)
        routes.get(PRESENCE_PATH)(self.members)
        routes.post(PRESENCE_PATH)(self.arrive)
        routes.delete(PRESENCE_PATH)(self.depart)
        return routes

    async def admit(self) -> None:
        if not self._is_open:
            raise Refusal(
                401,
                "ticket_required",
                "Rooms here are entered with a ticket, and tickets come with accounts, which this studio has not yet.",
            )

    @answers(Members, 400, 401, 503, query=RoomQuery)
    async def members(self) -> Response:
        """List everyone in a room."""
        room = checked_room_id(query_value("roomId"))
        async with _promptly():
            return answer(Members(await self._store.members(room)))

    @answers(Ok, 400, 401, 403, 408, 413, 415, 503, body=Arrival)
    async def arrive(self) -> Response:
        """Say that someone is in a room, for a while. The live room sees them come; repeat it to keep them there."""
        arrival = await json_body(Arrival)
        ttl_s = arrival.ttl_seconds or self._default_ttl_s
        member = Member(arrival.member_id, arrival.display_name, arrival.status)
        line = PresenceMember(arrival.member_id, arrival.display_name, arrival.status)
        async with _promptly():
            await self._store.put_lease(arrival.room_id, line, ttl_s=ttl_s)
            await self._tell(LeasePut(arrival.room_id, member, ttl_s))
        return answer(Ok())

    @answers(Ok, 400, 401, 403, 408, 413, 415, 503, body=Departure)
    async def depart(self) -> Response:
        """Say that someone is in a room no more. Saying it twice is no error."""
        departure = await json_body(Departure)
        async with _promptly():
            await self._store.drop_lease(departure.room_id, departure.member_id)
            await self._tell(LeaseDropped(departure.room_id, departure.member_id))
        return answer(Ok())

    async def _tell(self, event: RoomEvent) -> None:
        await self._bus.publish(ROOM_EVENTS, encode(event))


@asynccontextmanager
async def _promptly() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(STORE_TIMEOUT_S):
            yield
    except TimeoutError:
        raise Unavailable("The roster does not answer now. Try again in a moment.") from None
