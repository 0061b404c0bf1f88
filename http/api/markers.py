"""`/api/sessions/{id}/markers`: markers and sections on the timeline (SPEC 3).

The store decides who may do what (`omnisonic.studio.markers`). The live room is notified of each change; a bus that
does not answer is logged and fails no request. Overload of the database: 503 with `Retry-After`.
"""

from collections.abc import Callable
from typing import Annotated

import msgspec
from pydantic import AfterValidator, Field, WithJsonSchema
from quart import Blueprint, Response

from omnisonic.http.api.room_events import RoomEvents
from omnisonic.http.core.inputs import Input, read_json, refuse_body
from omnisonic.http.core.openapi import COOKIE, describe_route
from omnisonic.http.core.openapi_schemas import name_schema
from omnisonic.http.core.responses import MarkerAnswer, MarkerList, Ok, json_response
from omnisonic.models import LoginId, SessionId
from omnisonic.models.checks import checked_marker_name
from omnisonic.models.markers import MARKER_NAME_LENGTH, Marker, MarkerId
from omnisonic.stores.bus.events import RoomSaid
from omnisonic.studio.markers import MarkerChange
from omnisonic.studio.markers.marker_store import MarkerStore
from omnisonic.wire.payloads import MarkerGone
from omnisonic.wire.transport import LAST_BEAT

MarkerName = Annotated[str, AfterValidator(checked_marker_name), WithJsonSchema(name_schema(MARKER_NAME_LENGTH))]
Beat = Annotated[float, Field(ge=0, le=LAST_BEAT)]


class NewMarker(Input):
    """A marker, or with an `endBeat` a section of at least 0.25 beats."""

    name: MarkerName
    at_beat: Beat
    end_beat: Beat | None = None


class MarkerChanges(Input):
    """What to change. Absent means no change, and so does null, except that it takes the end off a section."""

    name: MarkerName | None = None
    at_beat: Beat | None = None
    end_beat: Beat | None = None

    def as_change(self) -> MarkerChange:
        return MarkerChange(
            msgspec.UNSET if self.name is None else self.name,
            msgspec.UNSET if self.at_beat is None else self.at_beat,
            self.end_beat if "end_beat" in self.model_fields_set else msgspec.UNSET,
        )


class Markers:
    """The routes. `login` returns the login of the current request, or raises `NotSignedIn`."""

    def __init__(self, store: MarkerStore, room_events: RoomEvents, login: Callable[[], LoginId]) -> None:
        self._store = store
        self._room_events = room_events
        self._login = login

    def blueprint(self) -> Blueprint:
        routes = Blueprint("markers", __name__, url_prefix="/api/sessions/<id:session_id>/markers")
        routes.get("")(self.list)
        routes.post("")(self.add)
        routes.patch("/<id:marker_id>")(self.change)
        routes.delete("/<id:marker_id>")(self.remove)
        return routes

    @describe_route(MarkerList, 401, 404, 503, security=COOKIE)
    async def list(self, session_id: SessionId) -> Response:
        """List the markers and sections of a session, in the order of their beats."""
        return json_response(MarkerList(await self._store.list(self._login(), session_id)))

    @describe_route(
        MarkerAnswer, 400, 401, 403, 404, 408, 409, 413, 415, 503, status=201, body=NewMarker, security=COOKIE
    )
    async def add(self, session_id: SessionId) -> Response:
        """Add a marker or a section. For the owner and editors. The live room is notified."""
        login = self._login()
        new = await read_json(NewMarker)
        marker = await self._store.add(login, session_id, new.name, new.at_beat, new.end_beat)
        await notify_room_of_marker(self._room_events, "marker.added", marker)
        return json_response(MarkerAnswer(marker), 201)

    @describe_route(MarkerAnswer, 400, 401, 403, 404, 408, 413, 415, 503, body=MarkerChanges, security=COOKIE)
    async def change(self, session_id: SessionId, marker_id: MarkerId) -> Response:
        """Rename or move a marker. For the owner and editors. The live room is notified."""
        login = self._login()
        changes = await read_json(MarkerChanges)
        marker, is_changed = await self._store.change(login, session_id, marker_id, changes.as_change())
        if is_changed:
            await notify_room_of_marker(self._room_events, "marker.changed", marker)
        return json_response(MarkerAnswer(marker))

    @describe_route(Ok, 400, 401, 403, 404, 415, 503, security=COOKIE)
    async def remove(self, session_id: SessionId, marker_id: MarkerId) -> Response:
        """Remove a marker. For the owner and editors. The live room is notified."""
        refuse_body()
        marker = await self._store.remove(self._login(), session_id, marker_id)
        await notify_room_of_marker_removal(self._room_events, marker)
        return json_response(Ok())


async def notify_room_of_marker(room_events: RoomEvents, type_: str, marker: Marker) -> None:
    """Tell the room of the marker as it is now."""
    await room_events.publish(RoomSaid(marker.session_id, type_, msgspec.Raw(msgspec.json.encode(marker))))


async def notify_room_of_marker_removal(room_events: RoomEvents, marker: Marker) -> None:
    """Tell the room that the marker is gone."""
    payload = msgspec.Raw(msgspec.json.encode(MarkerGone(marker.id, marker.session_id)))
    await room_events.publish(RoomSaid(marker.session_id, "marker.removed", payload))
