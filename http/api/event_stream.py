"""`/api/rooms/{roomId}/events`: a room as server-sent events, for where WebSockets are blocked (SPEC 5).

The web checks who is calling, connects to the gateway as that member, and passes on what the member is sent
(`omnisonic.wire.event_stream`). So presence, order, history and limits are those of any member. What the member says
comes by `POST /api/rooms/{roomId}/messages` with the id of the stream.

Overload: `StreamSlots` bounds the streams. A client that does not read is cut off (`omnisonic.http.core.connection`),
and meanwhile nothing is read from the gateway. Gateway down: 503, or the end of the stream. The client disconnects: the
room waits for the member, as after any broken connection. Sign-out and loss of the role: the gateway closes, as for all
members. Shutdown: the stream ends with the advice to reconnect.
"""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final

import msgspec
from pydantic import ConfigDict, Field, WithJsonSchema
from quart import Blueprint, Response, current_app, request

from omnisonic.errors import Unavailable
from omnisonic.http.api.event_streams import STREAM_HEADER, EventStreams, NoSuchStream, StreamHeader
from omnisonic.http.api.member_connection import GatewayEntrance, MemberConnection
from omnisonic.http.api.room_rights import RoomRights
from omnisonic.http.api.room_tickets import RoomTickets
from omnisonic.http.api.rooms import Entrance
from omnisonic.http.api.stream_slots import StreamSlots
from omnisonic.http.auth.current_user import CurrentUser
from omnisonic.http.core.client_address import request_address
from omnisonic.http.core.errors import Refusal
from omnisonic.http.core.framework import call_at_end, disconnect_waiter
from omnisonic.http.core.inputs import Input, Query, refuse_body, validate
from omnisonic.http.core.openapi import COOKIE_OR_TICKET, describe_route
from omnisonic.http.core.responses import Ok, json_response
from omnisonic.http.core.stopping import Stopping, stopping_of
from omnisonic.identity.tickets import BadTicket
from omnisonic.models import DISPLAY_NAME_LENGTH, RoomId, Status, UserId
from omnisonic.models.checks import checked_room_id
from omnisonic.settings.fields import Networks
from omnisonic.settings.origins import OriginPolicy
from omnisonic.wire.closing import CloseCode, Closing
from omnisonic.wire.event_stream import KEEP_ALIVE, MEDIA_TYPE, EventFormatter, close_event, opened_event
from omnisonic.wire.frames import CLOSE, TEXT, Frame
from omnisonic.wire.recovery import Position, parse_position

WELCOME_S: Final = 3.0
"""How long the room may take to welcome the member."""
MEMBER_ID_BYTES: Final = 8
RECONNECT_MS: Final = (500, 5_000)
"""At shutdown clients reconnect after a random time in this range."""
HEADERS: Final = {
    # nginx would buffer, and others compress, until a block is full.
    "X-Accel-Buffering": "no",
    "Cache-Control": "no-store, no-transform",
}
_POSITION_PATTERN: Final = "^[!-9;-~]{1,64}:(0|[1-9][0-9]{0,14})$"


class StreamQuery(Entrance):
    """Who the member is. By default the caller; in an open room somebody without a name."""

    status: Status | None = Field(default=None, description="`active` when it is missing.")


class StreamHeaders(Input):
    """Where to go on."""

    model_config = ConfigDict(alias_generator=lambda name: name.replace("_", "-"))

    last_event_id: Annotated[str, WithJsonSchema({"type": "string", "pattern": _POSITION_PATTERN})] | None = Field(
        default=None, description="The id of the last event that was received: what was missed since then follows."
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    """How to enter the room: the query for the gateway, and what it checks. `user` is None when nobody knows."""

    query: dict[str, str]
    ticket: str | None = None
    user: UserId | None = None


class _ErrorPayload(msgspec.Struct):
    code: str
    message: str


class _Error(msgspec.Struct, tag_field="type", tag="error"):
    payload: _ErrorPayload


class EventStreamRoutes:
    """The routes. `origins` are those of our own pages."""

    def __init__(
        self,
        current_user: CurrentUser,
        rights: RoomRights,
        tickets: RoomTickets,
        gateway: GatewayEntrance,
        streams: EventStreams,
        slots: StreamSlots,
        *,
        origins: OriginPolicy,
        proxies: Networks,
    ) -> None:
        self._current_user = current_user
        self._rights = rights
        self._tickets = tickets
        self._gateway = gateway
        self._streams = streams
        self._slots = slots
        self._origins = origins
        self._proxies = proxies

    def blueprint(self) -> Blueprint:
        routes = Blueprint("event_stream", __name__, url_prefix="/api/rooms")
        routes.get("/<path:room_id>/events")(self.open)
        routes.delete("/<path:room_id>/events")(self.leave)
        return routes

    @describe_route(
        None,
        *(401, 403, 404, 409, 503),
        bare=[200],
        query=StreamQuery,
        headers=StreamHeaders,
        files=[MEDIA_TYPE],
        security=COOKIE_OR_TICKET,
    )
    async def open(self, room_id: RoomId) -> Response:
        """Be a member of a room, and receive its messages as server-sent events until the connection ends."""
        room = checked_room_id(room_id)
        if request.method == "HEAD":
            raise Refusal(405, "method_not_allowed", "Open the stream with GET.", headers={"Allow": "GET, DELETE"})
        self._check_page()
        position = request.headers.get("Last-Event-ID")
        since = parse_position(position) if position else None
        entry = await self._entry(room)
        call_at_end(self._slots.take(request_address(self._proxies), entry.user))
        query = entry.query if since is None else entry.query | {"since": str(since)}
        connection = await self._gateway.enter(query, entry.ticket)
        call_at_end(connection.abort)
        first = await _receive_welcome(connection)
        stream = await self._streams.add(room, connection)
        call_at_end(partial(self._streams.discard, stream))
        body = _stream_events(
            stream,
            first,
            since,
            connection,
            keep_alive_s=current_app.config["KEEP_ALIVE"],
            stopping=stopping_of(request.scope),
            wait_for_disconnect=disconnect_waiter(),
        )
        response = Response(body, 200, HEADERS, content_type=MEDIA_TYPE)
        response.timeout = None  # no limit in all: a stalled client is cut off by its connection
        return response

    @describe_route(Ok, 403, 404, 415, 503, headers=StreamHeader)
    async def leave(self, room_id: RoomId) -> Response:
        """Leave the room for good: the stream ends with the code 1000. For whoever has the stream."""
        room = checked_room_id(room_id)
        refuse_body()
        stream = request.headers.get(STREAM_HEADER, "")
        if not await self._streams.send(stream, room, [(CLOSE, Closing(CloseCode.NORMAL).payload())]):
            raise NoSuchStream
        return json_response(Ok())

    def _check_page(self) -> None:
        """Refuse foreign pages: whoever opens a stream enters the room. Raises `Refusal`."""
        origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site", "none")
        if not self._origins.allows(origin) or (origin is None and site not in ("none", "same-origin")):
            raise Refusal(403, "foreign_origin", "Pages from that origin may not do this. See ALLOWED_ORIGINS.")

    async def _entry(self, room: RoomId) -> _Entry:
        """Check who is calling, and may enter as whom. Raises `Refusal`, and what `RoomRights` raises."""
        query = Query()
        names = ("memberId", "displayName", "status")
        given = {name: value for name in names if (value := query.get(name)) is not None}
        wanted = validate(StreamQuery, given)
        common = {"roomId": room, "status": wanted.status or "active"}
        if "Authorization" in request.headers:
            text = _bearer_token(request.headers["Authorization"])
            try:
                ticket = self._tickets.read(text)
            except BadTicket as bad:
                raise Refusal(403, bad.code, bad.message) from None
        else:
            person = await self._rights.check_user(room, wanted.member_id)
            if person is None:
                member_id = wanted.member_id or secrets.token_hex(MEMBER_ID_BYTES)
                name = wanted.display_name or member_id[:DISPLAY_NAME_LENGTH]
                return _Entry({**common, "memberId": member_id, "displayName": name})
            login = self._current_user.login()
            ticket = self._tickets.make(person, login, room, wanted.member_id, wanted.display_name)
            text, given = self._tickets.sign(ticket), {}
        whom = {"memberId": ticket.member_id, "displayName": ticket.display_name}
        return _Entry(common | whom | given, text, ticket.person)


def _bearer_token(header: str) -> str:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer":
        headers = {"WWW-Authenticate": "Bearer"}
        raise Refusal(401, "invalid_ticket", "Send a ticket as a bearer token.", headers=headers)
    return token.strip()


async def _receive_welcome(connection: MemberConnection) -> list[Frame]:
    """Wait for the first messages. Raises `Refusal` when the room has not let the member in, and `Unavailable`."""
    try:
        async with asyncio.timeout(WELCOME_S):
            frames = await connection.receive()
    except TimeoutError:
        frames = []
    if not frames or frames[0][0] != TEXT:
        raise Unavailable("The room does not answer now. Try again in a moment.")
    try:
        error = msgspec.json.decode(frames[0][1], type=_Error).payload
    except msgspec.DecodeError:
        return frames
    raise Refusal(400 if error.code.startswith("invalid_") else 409, error.code, error.message)


async def _stream_events(
    stream: str,
    frames: list[Frame],
    since: Position | None,
    connection: MemberConnection,
    *,
    keep_alive_s: float,
    stopping: Stopping,
    wait_for_disconnect: Callable[[], Awaitable[None]],
) -> AsyncIterator[bytes]:
    """The events of one stream, from the `frames` that came first to the end of the connection."""

    async def abort_at_disconnect() -> None:
        await wait_for_disconnect()
        connection.abort()

    formatter = EventFormatter(since)
    watching = asyncio.create_task(abort_at_disconnect())
    try:
        yield opened_event(stream)
        while frames:
            yield b"".join(formatter.format(opcode, payload) for opcode, payload in frames)
            if frames[-1][0] == CLOSE:
                return
            while (received := await _receive(connection, stopping, keep_alive_s)) is None:
                if stopping.has_begun:
                    wait_ms = random.randint(*RECONNECT_MS)  # noqa: S311 - spreads load, keeps no secret
                    yield close_event(CloseCode.GOING_AWAY, f'{{"reconnectMs":{wait_ms}}}')
                    return
                yield KEEP_ALIVE
            frames = received
    finally:
        watching.cancel()
        connection.abort()


async def _receive(connection: MemberConnection, stopping: Stopping, within_s: float) -> list[Frame] | None:
    """The next messages; nothing when the connection has ended. None after `within_s`, or when the server stops."""
    try:
        async with asyncio.timeout(within_s) as bound:
            with stopping.shorten(bound, 0):
                return await connection.receive()
    except TimeoutError:
        return None
