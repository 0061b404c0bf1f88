"""`/api/sessions`: music sessions and their collaborators (SPEC 3).

The store checks who may do what in the same step as doing it; nothing is decided here. The numbers of people in the
rooms come from the presence store, for all sessions of a response at once, and are null when it does not answer in
time. Leases end with the role that they depend on. The live room is notified after each change; a bus that does not
answer is logged and never fails the request. Overload of the database: 503 with `Retry-After`.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, cast, get_args

import msgspec
from pydantic import AfterValidator, Field, WithJsonSchema
from quart import Blueprint, Response

from omnisonic.errors import InvalidInput
from omnisonic.http.api.room_events import RoomEvents
from omnisonic.http.api.session_presence import SessionPresence
from omnisonic.http.core.inputs import Id, Input, Query, read_json, refuse_body
from omnisonic.http.core.openapi import COOKIE, describe_route
from omnisonic.http.core.openapi_schemas import trimmed_name_schema
from omnisonic.http.core.responses import (
    CollaboratorAnswer,
    FoundSession,
    Ok,
    SeenAnswer,
    SessionAnswer,
    SessionList,
    Sharing,
    json_response,
)
from omnisonic.models import (
    BEATS_PER_BAR,
    SESSION_NAME_LENGTH,
    TEMPO_BPM,
    UNTITLED,
    GivenRole,
    LoginId,
    Session,
    SessionId,
    UserId,
)
from omnisonic.models.checks import checked_session_name
from omnisonic.settings.settings import Settings
from omnisonic.stores.bus.events import RoleLost, RoomClosed, RoomSaid
from omnisonic.studio.sessions import (
    LONGEST_PAGE,
    LONGEST_SEARCH,
    Change,
    Cursor,
    Listing,
    Order,
    SessionStore,
)
from omnisonic.wire.payloads import SessionGone, SharedSession
from omnisonic.wire.transport import TransportSet

DEFAULT_PAGE: Final = 50
"""Sessions on a page when the query has no `limit`."""
MOST_LISTED: Final = LONGEST_PAGE
_BEFORE_ALL: Final = "00000000-0000-0000-0000-000000000000"

CURSOR_PATTERN: Final = (
    r"([12][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])"
    r"(\.[0-9]{1,6})?Z(_[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})?"
)

_SessionName = Annotated[
    str, AfterValidator(checked_session_name), WithJsonSchema(trimmed_name_schema(SESSION_NAME_LENGTH))
]


class SessionQuery(Input):
    """One session by its `id`, or a page of all."""

    id: str | None = Field(default=None, description="Only this session.")
    order: Order = Field(
        default="created", description="The newest first, or those first where something happened last."
    )
    q: str | None = Field(
        default=None, max_length=LONGEST_SEARCH, description="Only those whose names have this in them."
    )
    limit: int = Field(default=DEFAULT_PAGE, ge=1, le=MOST_LISTED, description="Most sessions to list.")
    before: Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^{CURSOR_PATTERN}$"})] | None = Field(
        default=None, description="List what comes after: the `nextBefore` of an earlier answer, or a time."
    )


class NewSession(Input):
    """A session to create. Without a name it is called `Untitled`."""

    name: _SessionName | None = None


class Changes(Input):
    """What to change. Absent or null means no change."""

    name: _SessionName | None = None
    tempo_bpm: Annotated[float, Field(ge=TEMPO_BPM[0], le=TEMPO_BPM[1])] | None = None
    beats_per_bar: Annotated[int, Field(ge=BEATS_PER_BAR[0], le=BEATS_PER_BAR[1])] | None = None


class NewRole(Input):
    """What a collaborator may do from now on: an editor changes what is in the session, a listener nothing."""

    role: GivenRole


class NewOwner(Input):
    """The collaborator who becomes the owner."""

    user_id: Id


def format_cursor(cursor: Cursor | None) -> str | None:
    """Format the cursor for `nextBefore`."""
    if cursor is None:
        return None
    return f"{cursor.created_at.astimezone(UTC).replace(tzinfo=None).isoformat()}Z_{cursor.id}"


def parse_cursor(text: str | None) -> Cursor | None:
    """Parse the value of `before`. Raises `InvalidInput` (`invalid_before`).

    The 31st of a short month is read as a day of the next month: it is a valid place in the order.
    """
    if text is None:
        return None
    found = re.fullmatch(CURSOR_PATTERN, text)
    if found is None:
        raise InvalidInput("before must be a nextBefore of an earlier answer, or a time.", code="invalid_before")
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    fraction = int((found[7] or ".0")[1:].ljust(6, "0"))
    first_of_month = datetime(year, month, 1, hour, minute, second, fraction, tzinfo=UTC)
    return Cursor(first_of_month + timedelta(days=day - 1), (found[8] or "_" + _BEFORE_ALL)[1:])


def parse_search(text: str | None) -> str | None:
    """Parse the value of `q`. Raises `InvalidInput` (`invalid_q`)."""
    if text is not None and len(text) > LONGEST_SEARCH:
        raise InvalidInput(f"q must be at most {LONGEST_SEARCH} characters.", code="invalid_q")
    return (text or "").strip() or None


def parse_order(text: str | None) -> Order:
    """Parse the value of `order`. Raises `InvalidInput` (`invalid_order`)."""
    for order in get_args(Order):
        if text == order:
            return cast("Order", order)
    if text is None:
        return "created"
    raise InvalidInput("order must be created or activity.", code="invalid_order")


class Sessions:
    """The routes of `/api/sessions`. `login` returns the login of the current request, or raises `NotSignedIn`."""

    def __init__(
        self,
        settings: Settings,
        sessions: SessionStore,
        presence: SessionPresence,
        room_events: RoomEvents,
        login: Callable[[], LoginId],
    ) -> None:
        self._settings = settings
        self._sessions = sessions
        self._presence = presence
        self._room_events = room_events
        self._login = login

    def blueprint(self) -> Blueprint:
        routes = Blueprint("sessions", __name__, url_prefix="/api/sessions")
        routes.get("")(self.read)
        routes.post("")(self.create)
        routes.patch("/<id:session_id>")(self.change)
        routes.delete("/<id:session_id>")(self.delete)
        routes.get("/<id:session_id>/collaborators")(self.collaborators)
        routes.patch("/<id:session_id>/collaborators/<id:user_id>")(self.change_role)
        routes.delete("/<id:session_id>/collaborators/<id:user_id>")(self.remove)
        routes.post("/<id:session_id>/ownership")(self.pass_on)
        routes.post("/<id:session_id>/seen")(self.see)
        return routes

    @describe_route((SessionList, FoundSession), 400, 401, 404, 503, query=SessionQuery, security=COOKIE)
    async def read(self) -> Response:
        """List the caller's sessions, or get the one with this `id`."""
        query = Query()
        session_id = query.id("id")
        if session_id is not None:
            found = await self._sessions.find(self._login(), session_id)
            (session,) = await self._presence.add_counts([found.session])
            return json_response(FoundSession(session, found.user))
        listing = await self._read_page(query)
        return json_response(SessionList(listing.sessions, listing.user, format_cursor(listing.next_before)))

    @describe_route(FoundSession, 400, 401, 403, 408, 413, 415, 503, status=201, body=NewSession, security=COOKIE)
    async def create(self) -> Response:
        """Create a session, owned by the caller."""
        session = await self._create_from_body()
        return json_response(FoundSession(session, session.owner.id), 201)

    @describe_route(SessionAnswer, 400, 401, 403, 404, 408, 413, 415, 503, body=Changes, security=COOKIE)
    async def change(self, session_id: SessionId) -> Response:
        """Rename a session or set its tempo. For its owner only. The live room is notified."""
        login = self._login()
        changes = await read_json(Changes)
        change = Change(changes.name, changes.tempo_bpm, changes.beats_per_bar)
        session = await self._sessions.change(login, session_id, change)
        has_tempo = changes.tempo_bpm is not None or changes.beats_per_bar is not None
        await notify_room_of_change(self._room_events, session, has_tempo=has_tempo)
        return json_response(SessionAnswer(*await self._presence.add_counts([session])))

    @describe_route(Ok, 400, 401, 403, 404, 415, 503, security=COOKIE)
    async def delete(self, session_id: SessionId) -> Response:
        """Delete a session for good. For its owner only. The live room closes."""
        refuse_body()
        await self._sessions.delete(self._login(), session_id)
        await self._presence.end_leases(session_id)
        payload = msgspec.Raw(msgspec.json.encode(SessionGone(session_id)))
        await self._room_events.publish(RoomSaid(session_id, "session.deleted", payload), RoomClosed(session_id))
        return json_response(Ok())

    @describe_route(Sharing, 400, 401, 404, 503, security=COOKIE)
    async def collaborators(self, session_id: SessionId) -> Response:
        """Get the owner of a session and its collaborators, with their roles."""
        login = self._login()
        session = await self._sessions.get(login, session_id)
        return json_response(Sharing(session.owner, await self._sessions.collaborators(login, session_id)))

    @describe_route(CollaboratorAnswer, 400, 401, 403, 404, 408, 413, 415, 503, body=NewRole, security=COOKIE)
    async def change_role(self, session_id: SessionId, user_id: UserId) -> Response:
        """Make a collaborator an editor or a listener. For the session's owner only. The live room follows at once."""
        login = self._login()
        wanted = await read_json(NewRole)
        changed = await self._sessions.change_role(login, session_id, user_id, wanted.role)
        return json_response(CollaboratorAnswer(changed))

    @describe_route(SessionAnswer, 400, 401, 403, 404, 408, 413, 415, 503, body=NewOwner, security=COOKIE)
    async def pass_on(self, session_id: SessionId) -> Response:
        """Make a collaborator the owner. For the owner only, who becomes an editor. The live room is notified."""
        login = self._login()
        wanted = await read_json(NewOwner)
        session = await self._sessions.pass_on(login, session_id, wanted.user_id)
        await notify_room_of_change(self._room_events, session, has_tempo=False)
        return json_response(SessionAnswer(*await self._presence.add_counts([session])))

    @describe_route(Ok, 400, 401, 403, 404, 415, 503, security=COOKIE)
    async def remove(self, session_id: SessionId, user_id: UserId) -> Response:
        """Remove a collaborator. The owner removes anybody, collaborators remove themselves."""
        refuse_body()
        await self._sessions.remove(self._login(), session_id, user_id)
        await self._presence.end_leases(session_id, user_id)
        await self._room_events.publish(RoleLost(session_id, user_id))
        return json_response(Ok())

    @describe_route(SeenAnswer, 400, 401, 404, 415, 503, security=COOKIE)
    async def see(self, session_id: SessionId) -> Response:
        """Note that the caller has seen all that has happened in a session until now."""
        refuse_body()
        seen = await self._sessions.see(self._login(), session_id)
        return json_response(SeenAnswer(seen.now, seen.before))

    async def _read_page(self, query: Query) -> Listing:
        """Read the page that the query asks for, with the number of people in each session."""
        login, search, order = self._login(), parse_search(query.get("q")), parse_order(query.get("order"))
        limit = query.number("limit", default=DEFAULT_PAGE, least=1, most=MOST_LISTED)
        before = parse_cursor(query.get("before"))
        listing = await self._sessions.list(login, limit=limit, before=before, order=order, search=search)
        return msgspec.structs.replace(listing, sessions=await self._presence.add_counts(listing.sessions))

    async def _create_from_body(self) -> Session:
        """Create the session that the body describes. Nobody can be in its room yet."""
        login = self._login()
        wanted = await read_json(NewSession)
        session = await self._sessions.create(login, wanted.name or UNTITLED)
        return msgspec.structs.replace(session, participants=0)


async def notify_room_of_change(room_events: RoomEvents, session: Session, *, has_tempo: bool) -> None:
    """Tell the room of the session as it is now, without the fields that differ for each caller.

    `has_tempo`: its tempo or metre was set, which the room's transport follows.
    """
    shared = SharedSession(
        session.id,
        session.name,
        session.tempo_bpm,
        session.beats_per_bar,
        session.owner.without_email(),
        session.created_at,
        session.updated_at,
    )
    events = [RoomSaid(session.id, "session.updated", msgspec.Raw(msgspec.json.encode(shared)))]
    if has_tempo:
        tempo = TransportSet(tempo_bpm=session.tempo_bpm, beats_per_bar=session.beats_per_bar)
        events.append(RoomSaid(session.id, "transport.set", msgspec.Raw(msgspec.json.encode(tempo))))
    await room_events.publish(*events)
