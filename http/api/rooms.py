"""`/api/rooms`: tickets that let people into a room, and messages into a room (SPEC 3, 5.1).

What a member with an event stream says goes to the stream (`omnisonic.http.api.event_streams`). A message from outside
goes over the bus to the gateway that has the room. Its reply comes back on a channel of its own; without a reply within
`REPLY_TIMEOUT_S`, nobody is in the room (409). Bus overloaded or down: 503 with `Retry-After`; the message may have
been delivered or not.
"""

import asyncio
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from urllib.parse import quote

import msgspec
from pydantic import AfterValidator, Field, WithJsonSchema
from quart import Blueprint, Response, request

from omnisonic.errors import InvalidInput, Unavailable
from omnisonic.http.api.event_streams import (
    STREAM_HEADER,
    STREAM_TYPES,
    EventStreams,
    NoSuchStream,
    StreamHeader,
    read_frames,
)
from omnisonic.http.api.gateway import GatewayAddress
from omnisonic.http.api.livekit import LiveKitTokens
from omnisonic.http.api.room_rights import RoomRights
from omnisonic.http.api.room_tickets import RoomTickets
from omnisonic.http.auth.attempts import WAITING, Attempts, Limit
from omnisonic.http.auth.current_user import CurrentUser
from omnisonic.http.core.callback_urls import own_origin
from omnisonic.http.core.client_address import request_address
from omnisonic.http.core.errors import Refusal
from omnisonic.http.core.inputs import Input, read_json, read_raw_json
from omnisonic.http.core.openapi import COOKIE, COOKIE_OR_BEARER, describe_route
from omnisonic.http.core.openapi_schemas import id_schema, name_schema
from omnisonic.http.core.responses import PassedOnAnswer, SaidAnswer, TicketAnswer, json_response
from omnisonic.identity.server_keys import looks_like_server_key
from omnisonic.models import DISPLAY_NAME_LENGTH, RoomId
from omnisonic.models.checks import checked_display_name, checked_member_id, checked_room_id
from omnisonic.settings.settings import Settings
from omnisonic.stores.bus import ROOM_EVENTS, Bus, Delivery
from omnisonic.stores.bus.events import Reply, RoomSaid, encode
from omnisonic.stores.guard import Guard
from omnisonic.studio.access.server_keys import ServerKeyStore
from omnisonic.studio.sessions import OwnerOnly, SessionStore
from omnisonic.wire.json_limits import DEPTH, check_numbers, nesting_depth
from omnisonic.wire.message_types import HANDLED_TYPES, SERVER_TYPES, SHARED_TYPES, SIGNAL_PREFIX
from omnisonic.wire.messages import TYPE_LENGTH
from omnisonic.wire.refusals import explain_decode_error

INTERNAL_TYPES: Final = (SERVER_TYPES | HANDLED_TYPES) - SHARED_TYPES
"""Types that only the server sends, or only a member may send."""

_Id = WithJsonSchema(id_schema())
RoomName = Annotated[str, AfterValidator(checked_room_id), _Id]
MemberName = Annotated[str, AfterValidator(checked_member_id), _Id]
DisplayName = Annotated[str, AfterValidator(checked_display_name), WithJsonSchema(name_schema(DISPLAY_NAME_LENGTH))]


class Entrance(Input):
    """The member id and name to enter with. By default the caller's own."""

    member_id: MemberName | None = None
    display_name: DisplayName | None = None


class Saying(Input):
    """A message into a room, `to` one member or to everybody."""

    type: Annotated[str, Field(min_length=1, max_length=TYPE_LENGTH)]
    payload: Any = None
    to: str | None = None


class ExternalMessage(msgspec.Struct, frozen=True):
    """A `Saying` as it is decoded: the payload stays the bytes that were sent."""

    type: Annotated[str, msgspec.Meta(min_length=1, max_length=TYPE_LENGTH)]
    payload: msgspec.Raw = msgspec.Raw(b"null")
    to: str | None = None


_decode: Final = msgspec.json.Decoder(ExternalMessage).decode


def parse_message(body: bytes) -> ExternalMessage:
    """Decode and check a message.

    Raises `InvalidInput`: `invalid_json`, `invalid_message`, `invalid_number`, `too_deep`, `reserved_type`.
    """
    try:
        body.decode()
        too_deep = nesting_depth(body) > DEPTH
        message = None if too_deep else _decode(body)
    except UnicodeDecodeError:
        raise InvalidInput("This is not JSON: it is not UTF-8.", code="invalid_json") from None
    except msgspec.DecodeError as error:
        raise explain_decode_error(error, body) from None
    except RecursionError:  # thousands of unbalanced brackets
        message = None
    if message is None:
        raise InvalidInput(f"A message must be nested at most {DEPTH} deep.", code="too_deep")
    if message.type in INTERNAL_TYPES:
        raise InvalidInput(f"Nobody says {message.type} from outside of a room.", code="reserved_type")
    if message.to is None and message.type.startswith(SIGNAL_PREFIX):
        raise InvalidInput(f"{message.type} must say to which member.", code="invalid_message")
    check_numbers(message.payload)
    return message


REPLY_TIMEOUT_S: Final = 1.0
"""How long a gateway may take to reply."""
BUS_TIMEOUT_S: Final = 1.0
CHANNEL_BYTES: Final = 16
TRIES: Final = 10
"""Wrong operator's tokens that one address may send within `TRIES_WINDOW_S`."""
TRIES_WINDOW_S: Final = 60.0
_OPERATOR_LIMIT: Final = Limit(
    TRIES,
    TRIES_WINDOW_S,
    WAITING,
    refusal="Too many wrong tokens. Wait a moment.",
    overload="Too many messages come with the operator's token right now. Try again in a moment.",
)
_EMPTY: Final = Reply(code="room_empty", message="Nobody is in that room now.")
_STATUSES: Final = {"room_empty": 409, "state_conflict": 409, "member_away": 409, "unknown_member": 404}
"""The statuses of a gateway's refusals. All others are 400."""


@dataclass(frozen=True, slots=True)
class RoomStores:
    """The stores that the routes of rooms work with."""

    sessions: SessionStore
    keys: ServerKeyStore
    bus: Bus
    guard: Guard


class Rooms:
    """The routes of `/api/rooms`. `admin_token` is the operator's."""

    def __init__(
        self,
        settings: Settings,
        stores: RoomStores,
        current_user: CurrentUser,
        rights: RoomRights,
        *,
        tickets: RoomTickets,
        streams: EventStreams,
        admin_token: str | None,
        gateway: GatewayAddress,
    ) -> None:
        self._settings = settings
        self._stores = stores
        self._current_user = current_user
        self._rights = rights
        self._tickets = tickets
        self._streams = streams
        self._livekit = LiveKitTokens.of(settings)
        self._admin_token = admin_token
        self._gateway = gateway
        self._operator_attempts = Attempts(stores.guard, _OPERATOR_LIMIT)

    def blueprint(self) -> Blueprint:
        routes = Blueprint("rooms", __name__, url_prefix="/api/rooms")
        routes.post("/<path:room_id>/ticket")(self.ticket)
        routes.post("/<path:room_id>/messages")(self.say)
        return routes

    @describe_route(
        TicketAnswer, 400, 401, 403, 404, 408, 409, 413, 415, 503, status=201, body=Entrance, security=COOKIE
    )
    async def ticket(self, room_id: RoomId) -> Response:
        """Get a ticket for the caller. It lets them into a room once, within seconds."""
        login = self._current_user.login()
        room = checked_room_id(room_id)
        entrance = await read_json(Entrance)
        person = await self._rights.check_ticket_holder(login, room, entrance.member_id)
        ticket = self._tickets.make(person, login, room, entrance.member_id, entrance.display_name)
        member_id, display_name = ticket.member_id, ticket.display_name
        url = self._gateway.url(request.host, roomId=room, memberId=member_id, displayName=display_name)
        expires_at = datetime.fromtimestamp(ticket.expires_ms / 1000, UTC)
        events_url = f"{own_origin(self._settings, request.host)}/api/rooms/{quote(room, safe='')}/events"
        ticket_answer = TicketAnswer(self._tickets.sign(ticket), url, events_url, expires_at)
        if self._livekit is not None:
            livekit = self._livekit.token(
                room=room, member_id=member_id, display_name=display_name, now_s=ticket.issued_ms / 1000
            )
            ticket_answer = msgspec.structs.replace(ticket_answer, livekit=livekit)
        return json_response(ticket_answer, 201)

    @describe_route(
        (SaidAnswer, PassedOnAnswer),
        *(400, 401, 403, 404, 408, 409, 413, 415, 429, 503),
        status=202,
        headers=StreamHeader,
        body=Saying,
        other_bodies=STREAM_TYPES,
        security=COOKIE_OR_BEARER,
    )
    async def say(self, room_id: RoomId) -> Response:
        """Send a message into a room: from outside, as the session's owner, by a server key, or the operator's token.

        Or as the member of an event stream, whose id is in the header `Omnisonic-Stream`: then as over a WebSocket,
        also with `id` and `keep`; several as lines of `application/x-ndjson`; a binary one as
        `application/octet-stream`.
        """
        room = checked_room_id(room_id)
        if STREAM_HEADER in request.headers or request.mimetype in STREAM_TYPES:
            frames = await read_frames()
            if not await self._streams.send(request.headers.get(STREAM_HEADER, ""), room, frames):
                raise NoSuchStream
            return json_response(PassedOnAnswer(len(frames)), 202)
        if "Authorization" in request.headers:
            await self._check_token(room)
        else:
            session = await self._stores.sessions.get(self._current_user.login(), room)
            if session.role != "owner":
                raise OwnerOnly
        message = parse_message(await read_raw_json())
        reply = await self._send_message(room, message)
        if reply.code == "room_crashed":
            raise Unavailable(reply.message)
        if reply.code:
            raise Refusal(_STATUSES.get(reply.code, 400), reply.code, reply.message)
        return json_response(SaidAnswer(reply.offset), 202)

    async def _check_token(self, room: RoomId) -> None:
        """Check that the request carries a server key for the room, or the operator's token.

        Raises `Refusal` (401, 403, 429) or `Unavailable`. The operator's token may be one that a person has thought of,
        so that wrong ones are counted (`omnisonic.http.auth.attempts`); a server key cannot be guessed.
        """
        scheme, _, token = request.headers["Authorization"].partition(" ")
        token = token.strip()
        if scheme.lower() == "bearer" and looks_like_server_key(token):
            scope = await self._stores.keys.use(token)
            if scope is None:
                raise _invalid_token("This server key is not known here, or is revoked.")
            if not scope.includes(room):
                raise Refusal(403, "other_room", "This server key is for another room.")
            return
        await self._check_operator(scheme, token)

    async def _check_operator(self, scheme: str, token: str) -> None:
        shown, expected = token.encode("utf-8", "surrogateescape"), (self._admin_token or "").encode()
        address = request_address(self._settings.trusted_proxies)
        async with self._operator_attempts.make(("operator", address)) as attempt:
            is_token = bool(expected) and scheme.lower() == "bearer"
            attempt.is_good = is_token and hmac.compare_digest(shown, expected)
        if not attempt.is_good:
            raise _invalid_token("This is not the operator's token.")

    async def _send_message(self, room: RoomId, message: ExternalMessage) -> Reply:
        """Send a message and return the gateway's reply, `room_empty` without one. Raises `Unavailable`."""
        channel = f"omnisonic:reply:{secrets.token_hex(CHANNEL_BYTES)}"
        event = encode(RoomSaid(room, message.type, message.payload, message.to, channel))
        published = False
        try:
            async with asyncio.timeout(BUS_TIMEOUT_S) as deadline, self._stores.bus.subscribe(channel) as deliveries:
                if not await self._stores.bus.publish(ROOM_EVENTS, event):
                    return _EMPTY
                published = True
                deadline.reschedule(asyncio.get_running_loop().time() + REPLY_TIMEOUT_S)
                async for delivery in deliveries:
                    if isinstance(delivery, Delivery):
                        return msgspec.json.decode(delivery.data, type=Reply)
        except TimeoutError:
            if not published:
                raise Unavailable("The rooms do not answer now. Try again in a moment.") from None
        return _EMPTY


def _invalid_token(sentence: str) -> Refusal:
    return Refusal(401, "invalid_token", sentence, headers={"WWW-Authenticate": "Bearer"})
