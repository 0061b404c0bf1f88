"""Who may use a room over HTTP: read its roster, be present in it, get a ticket to it (SPEC 3, 5.1).

The rule is the gateway's. The room of a session is for people with a role in the session. Other rooms are for anybody
where `ROOM_ACCESS` is `open`, and for nobody otherwise. A user's id belongs to that user in all rooms. The database is
asked once, and not at all when the room cannot be a session's and the member id cannot be a user's. Database down:
`Unavailable`, and nobody may.
"""

from omnisonic.http.auth.current_user import CurrentUser
from omnisonic.models import LoginId, MemberId, Person, RoomId
from omnisonic.models.checks import uuid_meant
from omnisonic.studio.access import AccessStore, MemberReserved, Standing
from omnisonic.studio.sessions import NoSuchSession, NotSignedIn


class RoomRights:
    """Checks the current user with `access`. `is_open`: rooms that belong to no session are for anybody."""

    def __init__(self, access: AccessStore, current_user: CurrentUser, *, is_open: bool) -> None:
        self._access = access
        self._current_user = current_user
        self.is_open = is_open

    async def check_user(self, room: RoomId, member_id: MemberId | None = None) -> Person | None:
        """Check that the current user may use the room, under `member_id` if given.

        Returns:
            The user; None in a room for anybody, unless they use it under their own id.

        Raises:
            NotSignedIn, NoSuchSession, MemberReserved: They may not.
        """
        if self.is_open and uuid_meant(room) is None and (member_id is None or uuid_meant(member_id) is None):
            return None
        login = self._current_user.login_or_none() if self.is_open else self._current_user.login()
        standing = await self._access.standing(room, login=login, member_id=member_id)
        if self.is_open and standing.is_anybodys:
            if standing.is_reserved:
                raise MemberReserved
            return None
        return _check_standing(standing, needs_role=standing.is_sessions or not self.is_open)

    async def check_ticket_holder(self, login: LoginId, room: RoomId, member_id: MemberId | None) -> Person:
        """Check that a login may get a ticket to the room, and return its user. Raises as `check_user`."""
        standing = await self._access.standing(room, login=login, member_id=member_id)
        return _check_standing(standing, needs_role=standing.is_sessions or not self.is_open)


def _check_standing(standing: Standing, *, needs_role: bool) -> Person:
    if standing.person is None:
        raise NotSignedIn
    if needs_role and not standing.has_role:
        raise NoSuchSession
    if standing.is_reserved:
        raise MemberReserved
    return standing.person
