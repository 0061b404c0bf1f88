"""The bouncer: sends people out whose right to be in a room has ended (SPEC 5.1; close code 4003).

It owns the index of connections by sign-in and by person, so that sending somebody out costs what they have open and
not what is open. The relay tells it what the bus says; because the bus may lose events, all rights are asked about
again after a gap, and from time to time.

Overload: rights are asked about in chunks, one at a time. The database down: nobody is sent out, and it is asked again
until it answers. Crash: restarted by its supervisor; the index lives on. Shutdown: cancelled.
"""

import logging
from collections.abc import Sequence
from typing import Final

import trio

from omnisonic.actors.admission.pending import PendingAdmissions
from omnisonic.actors.connections.connection import Connection
from omnisonic.errors import Unavailable
from omnisonic.models import LoginId, RoomId, UserId
from omnisonic.studio.access import AccessStore, Pass
from omnisonic.wire.closing import CloseCode, Closing

RECHECK_S: Final = 60.0
"""How often all rights are asked about, whatever the bus says."""
CHUNK: Final = 1_000
"""Rights that are asked about in one question."""
RETRY_S: Final = 1.0
CHECK_TIMEOUT_S: Final = 10.0
"""A question is given up after this long, and asked again."""

_log = logging.getLogger(__name__)


class AccessRevocation:
    """Knows who is in by which right. Without an `access` store rights are never asked about: the doors are open."""

    def __init__(self, pending: PendingAdmissions, access: AccessStore | None, *, recheck_s: float = RECHECK_S) -> None:
        self._pending = pending
        self._access = access
        self._recheck_s = recheck_s
        self._by_login: dict[LoginId, set[Connection]] = {}
        self._by_person: dict[UserId, set[Connection]] = {}
        self._without_role: set[Connection] = set()
        self._wake = trio.Event()

    def __len__(self) -> int:
        """How many people and sign-ins there are in rooms."""
        return len(self._by_login) + len(self._by_person)

    def watch(self, connection: Connection, *, by_role: bool = True) -> None:
        """Somebody known has entered, `by_role` into a session's room."""
        if not by_role:
            self._without_role.add(connection)
        if connection.login is not None:
            self._by_login.setdefault(connection.login, set()).add(connection)
        if connection.person is not None:
            self._by_person.setdefault(connection.person, set()).add(connection)

    def discard(self, connection: Connection) -> None:
        """Forget a connection that is gone."""
        self._without_role.discard(connection)
        if connection.login is not None:
            _discard(self._by_login, connection.login, connection)
        if connection.person is not None:
            _discard(self._by_person, connection.person, connection)

    def revoke_login(self, login: LoginId) -> None:
        """A sign-in has ended: everything that was entered by it is closed."""
        self._pending.revoke_login(login)
        for connection in list(self._by_login.get(login, ())):
            _kick(connection)

    def revoke_role(self, room_id: RoomId, person: UserId) -> None:
        """A person has no role in the room's session any more."""
        self._pending.mark_stale(room_id)
        for connection in list(self._by_person.get(person, ())):
            if connection.room_id == room_id:
                _kick(connection)

    def revoke_room(self, room_id: RoomId) -> None:
        """Nobody has a role there any more; the room itself sends everybody out."""
        self._pending.mark_stale(room_id)

    def recheck_soon(self) -> None:
        """Rights may have ended unheard: ask about all of them soon."""
        self._pending.mark_stale()
        self._wake.set()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Ask about all rights whenever events were missed and every `recheck_s`, until cancelled."""
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
            for lapsed in await _find_lapsed(access, passes[start : start + CHUNK]):
                for connection in list(self._by_login.get(lapsed.login, ())):
                    if self._pass_of(connection) == lapsed:
                        _kick(connection)

    def _pass_of(self, connection: Connection) -> Pass:
        assert connection.login is not None
        assert connection.room_id is not None
        return Pass(connection.login, None if connection in self._without_role else connection.room_id)


async def _find_lapsed(access: AccessStore, passes: Sequence[Pass]) -> list[Pass]:
    """Those of `passes` that open nothing any more. Waits for the database for as long as it takes."""
    is_down = False
    while True:
        try:
            with trio.move_on_after(CHECK_TIMEOUT_S):
                return await access.lapsed(passes)
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
