"""`/api/presence`: who is in a room, and being in a room without a socket, by a lease (SPEC 3).

The store holds the leases; an event on the bus makes the live room show them at once. Both have a deadline: when one
does not answer, the caller gets 503 with `Retry-After` and may repeat the request, because all are idempotent.

Rosters are read in batches, by load and without a timer: while a room's roster is being read, other requests for it
wait for the next read, which serves all of them. A read always starts after the requests that it answers, so nobody
gets a roster that is older than the request. Store down: 503 to all who wait. Shutdown: a running read is lost.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Final

from msgspec import UNSET
from pydantic import Field
from quart import Blueprint, Response

from omnisonic.errors import Unavailable
from omnisonic.http.api.room_rights import RoomRights
from omnisonic.http.api.rooms import DisplayName, MemberName, RoomName
from omnisonic.http.auth.current_user import CurrentUser
from omnisonic.http.core.client_address import request_address
from omnisonic.http.core.errors import Refusal
from omnisonic.http.core.inputs import Input, Query, read_json
from omnisonic.http.core.openapi import COOKIE_IF_ANY, describe_route
from omnisonic.http.core.request_ids import PRESENCE_PATH
from omnisonic.http.core.responses import Members, Ok, encode_json, encoded_response, json_response
from omnisonic.models import Member, MemberId, Person, PresenceMember, RoomId, Status, UserId
from omnisonic.models.checks import account_of, checked_room_id
from omnisonic.settings.settings import Settings
from omnisonic.stores.bus import ROOM_EVENTS, Bus
from omnisonic.stores.bus.events import LeaseDropped, LeasePut, RoomEvent, encode
from omnisonic.stores.presence import LeaseBound, PresenceStore
from omnisonic.studio.access import own_or_given
from omnisonic.studio.sessions import NoSuchSession, NotSignedIn

READ_TIMEOUT_S: Final = 0.5
"""Longest that one read may take. A request waits for two reads at most."""


class RosterReader:
    """Reads the rosters in `presence`."""

    def __init__(self, presence: PresenceStore) -> None:
        self._presence = presence
        self._next: dict[RoomId, asyncio.Future[bytes]] = {}
        self._reading: dict[RoomId, asyncio.Task[None]] = {}

    async def members(self, room: RoomId) -> bytes:
        """Read everyone in the room: a `Members` as JSON. Raises `Unavailable`."""
        roster = self._next.get(room)
        if roster is None:
            roster = self._next[room] = asyncio.get_running_loop().create_future()
            if room not in self._reading:
                self._reading[room] = asyncio.create_task(self._read_batches(room))
        # Shielded: a caller that is cancelled must not take the roster from the others.
        return await asyncio.shield(roster)

    async def _read_batches(self, room: RoomId) -> None:
        """Read one roster after another until nobody waits."""
        try:
            while (roster := self._next.pop(room, None)) is not None:
                try:
                    roster.set_result(await self._read_roster(room))
                except Exception as crash:  # noqa: BLE001 - raised to those who wait for this read
                    roster.set_exception(crash)
        finally:
            del self._reading[room]

    async def _read_roster(self, room: RoomId) -> bytes:
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                return encode_json(Members(await self._presence.members(room)))
        except TimeoutError:
            raise Unavailable("The roster does not answer now. Try again in a moment.") from None


STORE_TIMEOUT_S: Final = 1.0
"""Longest that store and bus together may take for one change."""
LONGEST_TTL_S: Final = 900
LEASES_PER_PERSON: Final = 4
"""Leases of one person in a room: a phone, a recorder, a bot and one more."""
LEASES_PER_ADDRESS: Final = 32
"""Leases of one address, in rooms where people are not signed in."""
LEASES_PER_ROOM: Final = 256
"""Leases in one room in all."""


class RoomQuery(Input):
    """Which room."""

    room_id: RoomName


class Arrival(Input):
    """Somebody is in a room without a socket, for `ttlSeconds` from now."""

    room_id: RoomName
    member_id: MemberName
    display_name: DisplayName
    status: Status = "active"
    ttl_seconds: Annotated[int, Field(ge=1, le=LONGEST_TTL_S)] | None = None


class Departure(Input):
    """Somebody has left a room."""

    room_id: RoomName
    member_id: MemberName


class Presence:
    """The routes of `/api/presence`.

    Where rooms are open, anybody may use a room that does not belong to a session. Other rooms are for people with a
    role in the room's session (`omnisonic.http.api.room_rights`). Their leases are their own: nobody else may change
    one, and it ends with the role.

    The number of leases is limited for each person or address, and in all to half of a room, so that there is always
    room for people who connect by a socket.
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
        self._reader = RosterReader(presence)
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
        """Refuse strangers before the request is read. Raises `NotSignedIn`."""
        self._current_user.login()

    @describe_route(Members, 400, 401, 404, 503, query=RoomQuery, security=COOKIE_IF_ANY)
    async def members(self) -> Response:
        """List everyone in a room."""
        room = checked_room_id(Query()["roomId"])
        await self._rights.check_user(room)
        return encoded_response(await self._reader.members(room))

    @describe_route(Ok, 400, 401, 403, 404, 408, 409, 413, 415, 503, body=Arrival, security=COOKIE_IF_ANY)
    async def arrive(self) -> Response:
        """Add somebody to a room for a while. The live room shows them; repeat the request to keep them there."""
        arrival = await read_json(Arrival)
        room, user = arrival.room_id, await self._rights.check_user(arrival.room_id, arrival.member_id)
        person, account = (None, UNSET) if user is None else (user.id, account_of(user))
        member_id = _resolve_member_id(arrival.member_id, user)
        ttl_s = arrival.ttl_seconds or self._default_ttl_s
        member = Member(member_id, arrival.display_name, arrival.status, account=account)
        entry = PresenceMember(member_id, arrival.display_name, arrival.status, account=account)
        async with _limit_time():
            if not await self._store.put_lease(room, entry, ttl_s=ttl_s, person=person, bound=self._limit(person)):
                raise Refusal(409, "member_taken", "Somebody else is in the room under that memberId.")
            await self._publish(LeasePut(room, member, ttl_s, person))
        await self._check_role(room, member_id, person)
        return json_response(Ok())

    @describe_route(Ok, 400, 401, 403, 404, 408, 413, 415, 503, body=Departure, security=COOKIE_IF_ANY)
    async def depart(self) -> Response:
        """Remove somebody from a room. Removing them twice is no error."""
        departure = await read_json(Departure)
        room, user = departure.room_id, await self._rights.check_user(departure.room_id, departure.member_id)
        person = None if user is None else user.id
        await self._drop_lease(room, _resolve_member_id(departure.member_id, user), person)
        return json_response(Ok())

    def _limit(self, person: UserId | None) -> LeaseBound:
        """The limit on leases, and whom they are counted by."""
        if person is not None:
            return LeaseBound(person, LEASES_PER_PERSON, self._leases_per_room)
        address = request_address(self._proxies)
        return LeaseBound(f"address {address}", LEASES_PER_ADDRESS, self._leases_per_room)

    async def _check_role(self, room: RoomId, member_id: MemberId, person: UserId | None) -> None:
        """Check again that the role behind a new lease still holds: whoever ended it may have missed the lease.

        Raises as `RoomRights.check_user`, after dropping the lease.
        """
        if person is None:
            return
        try:
            user = await self._rights.check_user(room, member_id)
        except (NoSuchSession, NotSignedIn):
            await self._drop_lease(room, member_id, person)
            raise
        if user is None:  # the session was deleted meanwhile
            await self._drop_lease(room, member_id, person)
            raise NoSuchSession

    async def _drop_lease(self, room: RoomId, member_id: MemberId, person: UserId | None) -> None:
        async with _limit_time():
            await self._store.drop_lease(room, member_id, person=person)
            await self._publish(LeaseDropped(room, member_id, person))

    async def _publish(self, event: RoomEvent) -> None:
        await self._bus.publish(ROOM_EVENTS, encode(event))


def _resolve_member_id(member_id: MemberId, user: Person | None) -> MemberId:
    return member_id if user is None else own_or_given(member_id, user)


@asynccontextmanager
async def _limit_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(STORE_TIMEOUT_S):
            yield
    except TimeoutError:
        raise Unavailable("The roster does not answer now. Try again in a moment.") from None
