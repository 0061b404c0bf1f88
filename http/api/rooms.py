"""What `/api/rooms` takes: who wants to enter as whom, and what is to be said (SPEC 3). Pure.

`/api/rooms`: tickets that let people in, and what is said into a room from outside (SPEC 3, 5.1).

A ticket is made here and taken by a gateway; nothing of it is kept. What is said goes over the bus to the gateway that
has the room, and its reply comes back on a channel of its own: without one within `REPLY_TIMEOUT_S` nobody is there
(409). Overload and crash of the bus: 503 with `Retry-After`; then it may have been said or not.
"""

import asyncio
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from pydantic import AfterValidator, Field, WithJsonSchema
from quart import Blueprint, Response, request

from omnisonic.errors import InvalidInput, Unavailable
from omnisonic.http.api.gateway import GatewayAddress
from omnisonic.http.api.livekit import LiveKitTokens
from omnisonic.http.api.room_rights import RoomRights
from omnisonic.http.auth.current_user import CurrentUser
from omnisonic.http.core.client_address import client_address
from omnisonic.http.core.errors import Refusal, retry_after
from omnisonic.http.core.inputs import Input, read_json, read_raw_json
from omnisonic.http.core.openapi import COOKIE, COOKIE_OR_BEARER, describe_route
from omnisonic.http.core.openapi_schemas import id_schema, name_schema
from omnisonic.http.core.responses import SaidAnswer, TicketAnswer, json_response
from omnisonic.identity.tickets import LIFE_MS, Ticket, TicketPrinter
from omnisonic.models import (
    DISPLAY_NAME_LENGTH,
    RoomId,
    checked_display_name,
    checked_member_id,
    checked_room_id,
    default_display_name,
)
from omnisonic.settings.settings import Settings
from omnisonic.stores.bus import ROOM_EVENTS, Bus, Delivery
from omnisonic.stores.bus.events import Reply, RoomSaid, encode
from omnisonic.stores.guard import Guard
from omnisonic.studio.access import own_or_given
from omnisonic.studio.sessions import OwnerOnly, SessionStore
from omnisonic.wire.messages import DEPTH, SERVER_TYPES, SIGNAL_PREFIX, TYPE_LENGTH, depth, refusal
from omnisonic.wire.numbers import check_numbers

INTERNAL_TYPES: Final = SERVER_TYPES | {"heartbeat", "presence.set", "transport.set"}
"""What only the server says, and what only a member can mean."""

_Id = WithJsonSchema(id_schema())
RoomName = Annotated[str, AfterValidator(checked_room_id), _Id]
MemberName = Annotated[str, AfterValidator(checked_member_id), _Id]
DisplayName = Annotated[str, AfterValidator(checked_display_name), WithJsonSchema(name_schema(DISPLAY_NAME_LENGTH))]


class Entrance(Input):
    """As whom somebody wants to enter: by default under their own id and name."""

    member_id: MemberName | None = None
    display_name: DisplayName | None = None


class Saying(Input):
    """Something to be said into a room, `to` one member or to everybody."""

    type: Annotated[str, Field(min_length=1, max_length=TYPE_LENGTH)]
    payload: Any = None
    to: str | None = None


class ExternalMessage(msgspec.Struct, frozen=True):
    """A `Saying` as it is read: its payload goes on as the bytes it came as."""

    type: Annotated[str, msgspec.Meta(min_length=1, max_length=TYPE_LENGTH)]
    payload: msgspec.Raw = msgspec.Raw(b"null")
    to: str | None = None


_decode: Final = msgspec.json.Decoder(ExternalMessage).decode


def parse_message(body: bytes) -> ExternalMessage:
    """What is to be said.

    Errors: `InvalidInput`: `invalid_json`, `invalid_message`, `invalid_number`, `too_deep`, `reserved_type`.
    """
    try:
        body.decode()
        deep = depth(body) > DEPTH
        message = None if deep else _decode(body)
    except UnicodeDecodeError:
        raise InvalidInput("This is not JSON: it is not UTF-8.", code="invalid_json") from None
    except msgspec.DecodeError as wrong:
        raise refusal(wrong, body) from None
    except RecursionError:  # unbalanced brackets, thousands of them
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
"""How long a gateway may take to say what became of a message."""
BUS_TIMEOUT_S: Final = 1.0
TICKET_ID_BYTES: Final = 16
CHANNEL_BYTES: Final = 16
TRIES: Final = 10
"""Wrong operator's tokens that an address may show within `TRIES_WINDOW_S`."""
TRIES_WINDOW_S: Final = 60.0
_EMPTY: Final = Reply(code="room_empty", message="Nobody is in that room now.")
_STATUSES: Final = {"room_empty": 409, "unknown_member": 404}
"""What a gateway's refusals are answered with; all others are the request's fault, 400."""


@dataclass(frozen=True, slots=True)
class RoomStores:
    """What rooms are asked about and spoken to through."""

    sessions: SessionStore
    bus: Bus
    guard: Guard


class Rooms:
    """The routes of `/api/rooms`. `admin_token` is the operator's; `clock` tells seconds since 1970."""

    def __init__(
        self,
        settings: Settings,
        stores: RoomStores,
        current_user: CurrentUser,
        rights: RoomRights,
        *,
        secret: str,
        admin_token: str | None,
        gateway: GatewayAddress,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._proxies = settings.trusted_proxies
        self._stores = stores
        self._current_user = current_user
        self._rights = rights
        self._printer = TicketPrinter(secret)
        self._livekit = LiveKitTokens.of(settings)
        self._admin_token = admin_token
        self._gateway = gateway
        self._clock = clock

    def blueprint(self) -> Blueprint:
        routes = Blueprint("rooms", __name__, url_prefix="/api/rooms")
        routes.post("/<path:room_id>/ticket")(self.ticket)
        routes.post("/<path:room_id>/messages")(self.say)
        return routes

    @describe_route(
        TicketAnswer, 400, 401, 403, 404, 408, 409, 413, 415, 503, status=201, body=Entrance, security=COOKIE
    )
    async def ticket(self, room_id: RoomId) -> Response:
        """Give the caller a ticket: good for one entrance into a room, within seconds, as themselves."""
        login = self._current_user.login()
        room = checked_room_id(room_id)
        entrance = await read_json(Entrance)
        person = await self._rights.holder_of(login, room, entrance.member_id)
        member_id = person.id if entrance.member_id is None else own_or_given(entrance.member_id, person)
        display_name = default_display_name(person) if entrance.display_name is None else entrance.display_name
        now_s = self._clock()
        issued_ms = int(now_s * 1000)
        ticket = Ticket(
            id=secrets.token_urlsafe(TICKET_ID_BYTES),
            room_id=room,
            member_id=member_id,
            display_name=display_name,
            person=person.id,
            login=login,
            issued_ms=issued_ms,
            expires_ms=issued_ms + LIFE_MS,
        )
        url = self._gateway.url(request.host, roomId=room, memberId=member_id, displayName=display_name)
        expires_at = datetime.fromtimestamp(ticket.expires_ms / 1000, UTC)
        shown = TicketAnswer(self._printer.sign(ticket), url, expires_at)
        if self._livekit is not None:
            livekit = self._livekit.token(room=room, member_id=member_id, display_name=display_name, now_s=now_s)
            shown = msgspec.structs.replace(shown, livekit=livekit)
        return json_response(shown, 201)

    @describe_route(
        SaidAnswer, 400, 401, 403, 404, 408, 409, 413, 415, 429, 503, status=202, body=Saying, security=COOKIE_OR_BEARER
    )
    async def say(self, room_id: RoomId) -> Response:
        """Say something into a room from outside of it. For the session's owner, or with the operator's token."""
        room = checked_room_id(room_id)
        if "Authorization" in request.headers:
            await self._check_operator()
        else:
            session = await self._stores.sessions.get(self._current_user.login(), room)
            if session.role != "owner":
                raise OwnerOnly
        saying = parse_message(await read_raw_json())
        reply = await self._said(room, saying)
        if reply.code == "room_crashed":
            raise Unavailable(reply.message)
        if reply.code:
            raise Refusal(_STATUSES.get(reply.code, 400), reply.code, reply.message)
        return json_response(SaidAnswer(reply.offset), 202)

    async def _check_operator(self) -> None:
        """See that the request carries the operator's token. Errors: `Refusal`: 401, 429; `Unavailable`."""
        address = client_address(request.remote_addr, request.headers.getlist("X-Forwarded-For"), self._proxies)
        wait_s = await self._stores.guard.take("operator", address, limit=TRIES, window_s=TRIES_WINDOW_S)
        if wait_s:
            raise Refusal(429, "too_many_tries", "Too many wrong tokens. Wait a moment.", headers=retry_after(wait_s))
        scheme, _, token = request.headers["Authorization"].partition(" ")
        shown = token.strip().encode("utf-8", "surrogateescape")
        wanted = self._admin_token
        if not wanted or scheme.lower() != "bearer" or not hmac.compare_digest(shown, wanted.encode()):
            raise Refusal(
                401, "invalid_token", "This is not the operator's token.", headers={"WWW-Authenticate": "Bearer"}
            )
        await self._stores.guard.give_back("operator", address)

    async def _said(self, room: RoomId, message: ExternalMessage) -> Reply:
        """What the gateway that has the room says of it; `room_empty` when none has. Errors: `Unavailable`."""
        channel = f"omnisonic:reply:{secrets.token_hex(CHANNEL_BYTES)}"
        event = encode(RoomSaid(room, message.type, message.payload, message.to, channel))
        published = False
        try:
            async with asyncio.timeout(BUS_TIMEOUT_S) as deadline, self._stores.bus.subscribe(channel) as heard:
                if not await self._stores.bus.publish(ROOM_EVENTS, event):
                    return _EMPTY
                published = True
                deadline.reschedule(asyncio.get_running_loop().time() + REPLY_TIMEOUT_S)
                async for delivery in heard:
                    if isinstance(delivery, Delivery):
                        return msgspec.json.decode(delivery.data, type=Reply)
        except TimeoutError:
            if not published:
                raise Unavailable("The rooms do not answer now. Try again in a moment.") from None
        return _EMPTY
