"""Access revocation: closes connections whose right to be in a room has ended (SPEC 5.1; close code 4003).

A right that has changed, because a listener is an editor now or the other way round, is changed in place. The index of
connections by sign-in and by user is owned here, so a revocation costs only the connections it closes. The event relay
reports revocations from the bus. The bus may lose events, so all rights are checked again after a gap and every
`RECHECK_S`.

Overload: rights are checked in chunks, one chunk at a time. Database unavailable: nobody is closed, and the check is
repeated until it answers. Crash: restarted by its supervisor; the index is kept. Shutdown: cancelled.
"""

import logging
from collections.abc import Sequence
from typing import Final

import trio

from omnisonic.actors.admission.pending import PendingAdmissions
from omnisonic.actors.connections.connection import Connection
from omnisonic.errors import Unavailable
from omnisonic.models import LoginId, RoomId, UserId
from omnisonic.studio.access import AccessStore, Pass, Rechecked
from omnisonic.wire.closing import CloseCode, Closing

RECHECK_S: Final = 60.0
"""How often all rights are checked, whatever the bus reports."""
CHUNK: Final = 1_000
"""Rights in one query."""
RETRY_S: Final = 1.0
CHECK_TIMEOUT_S: Final = 10.0
"""A query is cancelled after this time, and repeated."""

_log = logging.getLogger(__name__)


class AccessRevocation:
    """Knows which connection entered by which right. Without an `access` store nothing is checked again."""

    def __init__(self, pending: PendingAdmissions, access: AccessStore | None, *, recheck_s: float = RECHECK_S) -> None:
        self._pending = pending
        self._access = access
        self._recheck_s = recheck_s
        self._by_login: dict[LoginId, set[Connection]] = {}
        self._by_person: dict[UserId, set[Connection]] = {}
        self._without_role: set[Connection] = set()
        self._wake = trio.Event()

    def __len__(self) -> int:
        """How many users and sign-ins are in rooms."""
        return len(self._by_login) + len(self._by_person)

    def watch(self, connection: Connection, *, by_role: bool = True) -> None:
        """A connection has entered, `by_role` into a session's room."""
        if not by_role:
            self._without_role.add(connection)
        if connection.login is not None:
            self._by_login.setdefault(connection.login, set()).add(connection)
        if connection.person is not None:
            self._by_person.setdefault(connection.person, set()).add(connection)

    def discard(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        self._without_role.discard(connection)
        if connection.login is not None:
            _discard(self._by_login, connection.login, connection)
        if connection.person is not None:
            _discard(self._by_person, connection.person, connection)

    def revoke_login(self, login: LoginId) -> None:
        """A sign-in has ended: close every connection that entered by it."""
        self._pending.revoke_login(login)
        for connection in list(self._by_login.get(login, ())):
            _kick(connection)

    def revoke_role(self, room_id: RoomId, person: UserId) -> None:
        """A user has no role in the room's session any more: close their connections to the room."""
        self._pending.mark_stale(room_id)
        for connection in list(self._by_person.get(person, ())):
            if connection.room_id == room_id:
                _kick(connection)

    def change_role(self, room_id: RoomId, person: UserId, *, is_listener: bool) -> None:
        """A user has another role in the room's session: their connections to the room stay, and follow it."""
        self._pending.mark_stale(room_id)
        for connection in list(self._by_person.get(person, ())):
            if connection.room_id == room_id:
                connection.change_role(is_listener=is_listener)

    def revoke_room(self, room_id: RoomId) -> None:
        """Nobody has a role there any more. The room itself closes its connections."""
        self._pending.mark_stale(room_id)

    def recheck_soon(self) -> None:
        """Events may have been lost: check all rights soon."""
        self._pending.mark_stale()
        self._wake.set()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Check all rights when events were lost and every `recheck_s`, until cancelled."""
        task_status.started()
        while True:
            with trio.move_on_after(self._recheck_s):
                await self._wake.wait()
            self._wake = trio.Event()
            if self._access is not None:
                await self._recheck(self._access)

    async def _recheck(self, access: AccessStore) -> None:
        passes = list({self._pass_of(each): None for connections in self._by_login.values() for each in connections})
        for start in range(0, len(passes), CHUNK):
            rechecked = await _recheck_passes(access, passes[start : start + CHUNK])
            for lapsed in rechecked.lapsed:
                for connection in self._holders(lapsed):
                    _kick(connection)
            for changed in rechecked.changed:
                for connection in self._holders(changed):
                    connection.change_role(is_listener=not changed.is_listener)

    def _holders(self, held: Pass) -> list[Connection]:
        return [each for each in self._by_login.get(held.login, ()) if self._pass_of(each) == held]

    def _pass_of(self, connection: Connection) -> Pass:
        assert connection.login is not None
        assert connection.room_id is not None
        if connection in self._without_role:
            return Pass(connection.login, None)
        return Pass(connection.login, connection.room_id, connection.is_listener)


async def _recheck_passes(access: AccessStore, passes: Sequence[Pass]) -> Rechecked:
    """Find what has become of the `passes`. Waits for the database as long as it takes."""
    is_down = False
    while True:
        try:
            with trio.move_on_after(CHECK_TIMEOUT_S):
                return await access.recheck(passes)
        except Unavailable as problem:
            if not is_down:
                _log.warning("access_revocation.database_down", extra={"problem": problem.message})
        is_down = True
        await trio.sleep(RETRY_S)


def _kick(connection: Connection) -> None:
    connection.close(Closing(CloseCode.KICKED))


def _discard(index: dict[str, set[Connection]], name: str, connection: Connection) -> None:
    connections = index.get(name)
    if connections is not None:
        connections.discard(connection)
        if not connections:
            del index[name]
