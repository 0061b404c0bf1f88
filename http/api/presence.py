"""Rosters, read for all who wait at once (SPEC 3: `GET /api/presence`).

Batched by load, never by timer: while a room's roster is being read, whoever else asks for it waits for the next read,
which is for all of them. Every read begins after the requests that it answers, so nobody sees a roster that is older
than their question. Crash of the store: `Unavailable` to all who wait. Shutdown: a read under way is lost.

`/api/presence`: who is in a room, and being in one without a socket (SPEC 3).

The store is the truth; the event on the bus is what makes a live room see it at once. Both are bounded in time:
when either does not answer the caller gets 503 with `Retry-After`, and may repeat the request, for all are idempotent.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Final

from msgspec import UNSET
from pydantic import Field
from quart import Blueprint, Response, request

from omnisonic.errors import Unavailable
from omnisonic.http.api.room_rights import RoomRights
from omnisonic.http.api.rooms import DisplayName, MemberName, RoomName
from omnisonic.http.auth.current_user import CurrentUser
from omnisonic.http.core.client_address import client_address
from omnisonic.http.core.errors import Refusal
from omnisonic.http.core.inputs import Input, Query, read_json
from omnisonic.http.core.openapi import COOKIE_IF_ANY, describe_route
from omnisonic.http.core.request_ids import PRESENCE_PATH
from omnisonic.http.core.responses import Members, Ok, encoded, encoded_response, json_response
from omnisonic.models import (
    Member,
    MemberId,
    Person,
    PresenceMember,
    RoomId,
    Status,
    UserId,
    account_of,
    checked_room_id,
)
from omnisonic.settings.settings import Settings
from omnisonic.stores.bus import ROOM_EVENTS, Bus
from omnisonic.stores.bus.events import LeaseDropped, LeasePut, RoomEvent, encode
from omnisonic.stores.presence import LeaseBound, PresenceStore
from omnisonic.studio.access import own_or_given
from omnisonic.studio.sessions import NoSuchSession, NotSignedIn

TIMEOUT_S: Final = 0.5
"""Longest that one read may take; an answer waits for two at most."""


class RosterReader:
    """Reads the rosters in `presence`."""

    def __init__(self, presence: PresenceStore) -> None:
        self._presence = presence
        self._next: dict[RoomId, asyncio.Future[bytes]] = {}
        self._reading: dict[RoomId, asyncio.Task[None]] = {}

    async def members(self, room: RoomId) -> bytes:
        """Everyone in the room: a `Members` as JSON. Errors: `Unavailable`."""
        found = self._next.get(room)
        if found is None:
            found = self._next[room] = asyncio.get_running_loop().create_future()
            if room not in self._reading:
                self._reading[room] = asyncio.create_task(self._read(room))
        # Shielded: one impatient caller must not take the roster from the others.
        return await asyncio.shield(found)

    async def _read(self, room: RoomId) -> None:
        """Read for whoever waits, until nobody does."""
        try:
            while (found := self._next.pop(room, None)) is not None:
                try:
                    found.set_result(await self._roster(room))
                except Exception as crash:  # noqa: BLE001 - whoever waits for the read is to have it
                    found.set_exception(crash)
        finally:
            del self._reading[room]

    async def _roster(self, room: RoomId) -> bytes:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return encoded(Members(await self._presence.members(room)))
        except TimeoutError:
            raise Unavailable("The roster does not answer now. Try again in a moment.") from None


STORE_TIMEOUT_S: Final = 1.0
"""Longest that store and bus together may take for one change."""
LONGEST_TTL_S: Final = 900
LEASES_PER_PERSON: Final = 4
"""Members that one person keeps in a room without a socket: a phone, a recorder, a bot and one more."""
LEASES_PER_ADDRESS: Final = 32
"""The same for one address, in rooms where people are not known."""
LEASES_PER_ROOM: Final = 256
"""Members that are kept so in one room by all together."""


class RoomQuery(Input):
    """Which room."""

    room_id: RoomName


class Arrival(Input):
    """Someone is in a room, without a socket, for `ttlSeconds` from now."""

    room_id: RoomName
    member_id: MemberName
    display_name: DisplayName
    status: Status = "active"
    ttl_seconds: Annotated[int, Field(ge=1, le=LONGEST_TTL_S)] | None = None


class Departure(Input):
    """Someone is there no more."""

    room_id: RoomName
    member_id: MemberName


class Presence:
    """The routes of `/api/presence`.

    Where rooms are open they are anybody's, but a session's. Otherwise they are for those who have a role in the room's
    session (`omnisonic.http.api.room_rights`), and what they put is theirs: nobody else may change it, and it ends with
    the role.

    Leases are bounded for each person or address, and in all to half of a room at most: whoever comes by a socket finds
    a place, however many leases there are.
    """

    def __init__(
        self,
        settings: Settings,
        presence: PresenceStore,
        bus: Bus,
        rights: RoomRights,
        current_user: CurrentUser,
    ) -> None:
        self._default_ttl_s = settings.presence_ttl_s
        self._proxies = settings.trusted_proxies
        most = settings.max_members_per_room
        self._leases_per_room = min(LEASES_PER_ROOM, most // 2) if most else LEASES_PER_ROOM
        self._store = presence
        self._reads = RosterReader(presence)
        self._bus = bus
        self._rights = rights
        self._current_user = current_user

    def blueprint(self) -> Blueprint:
        routes = Blueprint("presence", __name__)
        if not self._rights.is_open:
            routes.before_request(self.admit)
        routes.get(PRESENCE_PATH)(self.members)
        routes.post(PRESENCE_PATH)(self.arrive)
        routes.delete(PRESENCE_PATH)(self.depart)
        return routes

    async def admit(self) -> None:
        """Turn strangers away before anything of the request is looked at. Errors: `NotSignedIn`."""
        self._current_user.login()

    @describe_route(Members, 400, 401, 404, 503, query=RoomQuery, security=COOKIE_IF_ANY)
    async def members(self) -> Response:
        """List everyone in a room."""
        room = checked_room_id(Query()["roomId"])
        await self._rights.user_of(room)
        return encoded_response(await self._reads.members(room))

    @describe_route(Ok, 400, 401, 403, 404, 408, 409, 413, 415, 503, body=Arrival, security=COOKIE_IF_ANY)
    async def arrive(self) -> Response:
        """Say that someone is in a room, for a while. The live room sees them come; repeat it to keep them there."""
        arrival = await read_json(Arrival)
        room, user = arrival.room_id, await self._rights.user_of(arrival.room_id, arrival.member_id)
        person, account = (None, UNSET) if user is None else (user.id, account_of(user))
        member_id = _named(arrival.member_id, user)
        ttl_s = arrival.ttl_seconds or self._default_ttl_s
        member = Member(member_id, arrival.display_name, arrival.status, account=account)
        line = PresenceMember(member_id, arrival.display_name, arrival.status, account=account)
        async with _promptly():
            if not await self._store.put_lease(room, line, ttl_s=ttl_s, person=person, bound=self._bound(person)):
                raise Refusal(409, "member_taken", "Somebody else is in the room under that memberId.")
            await self._tell(LeasePut(room, member, ttl_s, person))
        await self._check_role(room, member_id, person)
        return json_response(Ok())

    @describe_route(Ok, 400, 401, 403, 404, 408, 413, 415, 503, body=Departure, security=COOKIE_IF_ANY)
    async def depart(self) -> Response:
        """Say that someone is in a room no more. Saying it twice is no error."""
        departure = await read_json(Departure)
        room, user = departure.room_id, await self._rights.user_of(departure.room_id, departure.member_id)
        person = None if user is None else user.id
        await self._take_back(room, _named(departure.member_id, user), person)
        return json_response(Ok())

    def _bound(self, person: UserId | None) -> LeaseBound:
        """How many leases there may be, by whom they are counted."""
        if person is not None:
            return LeaseBound(person, LEASES_PER_PERSON, self._leases_per_room)
        address = client_address(request.remote_addr, request.headers.getlist("X-Forwarded-For"), self._proxies)
        return LeaseBound(f"address {address}", LEASES_PER_ADDRESS, self._leases_per_room)

    async def _check_role(self, room: RoomId, member_id: MemberId, person: UserId | None) -> None:
        """See that the role on which a lease was put has not ended meanwhile: who ended it may not have seen the lease.

        Errors: as `RoomRights.user_of`, and then the lease is taken back.
        """
        if person is None:
            return
        try:
            user = await self._rights.user_of(room, member_id)
        except (NoSuchSession, NotSignedIn):
            await self._take_back(room, member_id, person)
            raise
        if user is None:  # it was a session's room, and is nobody's any more
            await self._take_back(room, member_id, person)
            raise NoSuchSession

    async def _take_back(self, room: RoomId, member_id: MemberId, person: UserId | None) -> None:
        async with _promptly():
            await self._store.drop_lease(room, member_id, person=person)
            await self._tell(LeaseDropped(room, member_id, person))

    async def _tell(self, event: RoomEvent) -> None:
        await self._bus.publish(ROOM_EVENTS, encode(event))


def _named(member_id: MemberId, user: Person | None) -> MemberId:
    return member_id if user is None else own_or_given(member_id, user)


@asynccontextmanager
async def _promptly() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(STORE_TIMEOUT_S):
            yield
    except TimeoutError:
        raise Unavailable("The roster does not answer now. Try again in a moment.") from None
