"""Who may use a room over HTTP: for its roster, for a presence in it, for a ticket to it (SPEC 3, 5.1).

The same rule as at the gateway. A session's room is for those who have a role in the session; other rooms are anybody's
where `ROOM_ACCESS` is `open`, and nobody's otherwise. A user's id is that user's in all of them. The database is asked
once, and not at all where neither the room can be a session's nor the member id a user's. Database down: `Unavailable`,
and nobody may.
"""

from omnisonic.http.auth.current_user import CurrentUser
from omnisonic.models import LoginId, MemberId, Person, RoomId, uuid_meant
from omnisonic.studio.access import AccessStore, MemberReserved, Standing
from omnisonic.studio.sessions import NoSuchSession, NotSignedIn


class RoomRights:
    """Asks `access` about those whom `callers` knows. `is_open`: rooms that are no session's are anybody's."""

    def __init__(self, access: AccessStore, current_user: CurrentUser, *, is_open: bool) -> None:
        self._access = access
        self._current_user = current_user
        self.is_open = is_open

    async def user_of(self, room: RoomId, member_id: MemberId | None = None) -> Person | None:
        """Who uses the room, maybe as `member_id`; None where nobody is known, because it is anybody's.

        In a room that is anybody's only somebody who uses it by their own id is known.

        Errors: `NotSignedIn`, `NoSuchSession`, `MemberReserved`.
        """
        if self.is_open and uuid_meant(room) is None and (member_id is None or uuid_meant(member_id) is None):
            return None
        login = self._current_user.login_or_none() if self.is_open else self._current_user.login()
        standing = await self._access.standing(room, login=login, member_id=member_id)
        if self.is_open and standing.is_anybodys:
            if standing.is_reserved:
                raise MemberReserved
            return None
        return _known(standing, needs_role=standing.is_sessions or not self.is_open)

    async def holder_of(self, login: LoginId, room: RoomId, member_id: MemberId | None) -> Person:
        """Who gets a ticket to the room: always somebody known. Errors: as `user_of`."""
        standing = await self._access.standing(room, login=login, member_id=member_id)
        return _known(standing, needs_role=standing.is_sessions or not self.is_open)


def _known(standing: Standing, *, needs_role: bool) -> Person:
    if standing.person is None:
        raise NotSignedIn
    if needs_role and not standing.has_role:
        raise NoSuchSession
    if standing.is_reserved:
        raise MemberReserved
    return standing.person
