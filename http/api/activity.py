"""`/api/sessions/{id}/activity`: what happened in a session, and its undo (SPEC 3).

The stores record what happens, in the transaction of each change (`omnisonic.studio.activity`), and tell the live room
of it by `RoomEvents.tell` once it is committed. A bus that does not answer is logged and fails no request.
"""

from collections.abc import Callable
from typing import Annotated, Final

from pydantic import Field, WithJsonSchema
from quart import Blueprint, Response

from omnisonic.http.api.markers import notify_room_of_marker, notify_room_of_marker_removal
from omnisonic.http.api.room_events import RoomEvents
from omnisonic.http.api.sessions import CURSOR_PATTERN, format_cursor, notify_room_of_change, parse_cursor
from omnisonic.http.api.uploads import news_of, news_of_removal
from omnisonic.http.core.inputs import Input, Query, refuse_body
from omnisonic.http.core.openapi import COOKIE, describe_route
from omnisonic.http.core.responses import ActivityAnswer, ActivityList, json_response
from omnisonic.models import LoginId, SessionId
from omnisonic.models.activity import ActivityId
from omnisonic.studio.activity import LONGEST_PAGE, Undone
from omnisonic.studio.activity.activity_store import ActivityStore

DEFAULT_PAGE: Final = 50
"""Events on a page when the query has no `limit`."""


class ActivityQuery(Input):
    """A page of events."""

    limit: int = Field(default=DEFAULT_PAGE, ge=1, le=LONGEST_PAGE, description="Most events to list.")
    before: Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^{CURSOR_PATTERN}$"})] | None = Field(
        default=None, description="List what comes after: the `nextBefore` of an earlier answer, or a time."
    )


class Activity:
    """The routes. `login` returns the login of the current request, or raises `NotSignedIn`."""

    def __init__(self, store: ActivityStore, room_events: RoomEvents, login: Callable[[], LoginId]) -> None:
        self._store = store
        self._room_events = room_events
        self._login = login

    def blueprint(self) -> Blueprint:
        routes = Blueprint("activity", __name__, url_prefix="/api/sessions/<id:session_id>/activity")
        routes.get("")(self.list)
        routes.post("/<id:event_id>/undo")(self.undo)
        return routes

    @describe_route(ActivityList, 400, 401, 404, 503, query=ActivityQuery, security=COOKIE)
    async def list(self, session_id: SessionId) -> Response:
        """List what happened in a session, newest first."""
        login, query = self._login(), Query()
        limit = query.number("limit", default=DEFAULT_PAGE, least=1, most=LONGEST_PAGE)
        page = await self._store.list(login, session_id, limit=limit, before=parse_cursor(query.get("before")))
        return json_response(ActivityList(page.events, format_cursor(page.next_before)))

    @describe_route(ActivityAnswer, 401, 403, 404, 409, 413, 415, 503, security=COOKIE)
    async def undo(self, session_id: SessionId, event_id: ActivityId) -> Response:
        """Undo an event, for whoever may make such a change. The live room is notified."""
        refuse_body()
        undone = await self._store.undo(self._login(), session_id, event_id)
        await self._notify(undone)
        return json_response(ActivityAnswer(undone.event))

    async def _notify(self, undone: Undone) -> None:
        """Tell the room of the change itself, as whoever makes it does."""
        if undone.session is not None:
            has_tempo = undone.event.field in ("tempoBpm", "beatsPerBar")
            await notify_room_of_change(self._room_events, undone.session, has_tempo=has_tempo)
        if undone.marker is not None and undone.event.kind == "marker.removed":
            await notify_room_of_marker_removal(self._room_events, undone.marker)
        elif undone.marker is not None:
            what = "marker.added" if undone.event.kind == "marker.restored" else "marker.changed"
            await notify_room_of_marker(self._room_events, what, undone.marker)
        if undone.upload is None:
            return
        if undone.event.kind == "upload.removed":
            news = news_of_removal(undone.upload)
        else:
            what = "upload.added" if undone.event.kind == "upload.restored" else "upload.changed"
            news = news_of(what, undone.upload)
        await self._room_events.publish(*news, *news_of("upload.changed", *undone.others))
