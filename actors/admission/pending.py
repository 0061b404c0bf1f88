"""Pending admissions: connections whose right to enter is still being checked (SPEC 5.1).

Each check runs in its own task. Access can be revoked while a check is running: `mark_stale` and `revoke_login` mark
the affected checks, and they run again, or fail, before anyone is admitted.

Overload: at most `MAX_PENDING` checks; the next connection gets 503. Timeout: 503 after `CHECK_TIMEOUT_S`. Guard or
database unavailable: 503; members who are in a room stay. Crash of a check: its connection gets 500. Shutdown: pending
connections are refused like all others.
"""

import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import trio

from omnisonic.actors.admission.admission import Admitted, Claim, no_access_refusal
from omnisonic.actors.connections.connection import Connection
from omnisonic.errors import InvalidInput, Unavailable
from omnisonic.models import LoginId, RoomId
from omnisonic.wire.handshake import Refused, refusal_response

MAX_PENDING: Final = 512
"""Checks that may run at once."""
CHECK_TIMEOUT_S: Final = 2.0
"""Time for guard and database together."""
RETRY_AFTER_S: Final = 1.0


class _Check:
    """A check that is running. `is_stale`: run it again; `is_revoked`: refuse."""

    __slots__ = ("claim", "is_revoked", "is_stale", "scope")

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.scope = trio.CancelScope()
        self.is_stale = False
        self.is_revoked = False


class PendingAdmissions:
    """Runs the checks. `admit` opens the WebSocket of a connection that may enter."""

    def __init__(self, nursery: trio.Nursery, admit: Callable[[Connection, Admitted, bytes], None]) -> None:
        self._nursery = nursery
        self._admit = admit
        self._checks: dict[Connection, _Check] = {}

    def __len__(self) -> int:
        return len(self._checks)

    def add(self, connection: Connection, claim: Claim, upgrade: bytes) -> None:
        """Check `claim` for `connection`; `upgrade` is the answer that opens its WebSocket. Errors: `Refused`."""
        if len(self._checks) >= MAX_PENDING:
            raise _make_unavailable("Too many want to enter just now; try again in a moment.", RETRY_AFTER_S)
        arrival = self._checks[connection] = _Check(claim)
        self._nursery.start_soon(self._run_check, connection, arrival, upgrade)

    def discard(self, connection: Connection) -> None:
        """Cancel the check of a connection that has ended, if there is one."""
        arrival = self._checks.pop(connection, None)
        if arrival is not None:
            arrival.scope.cancel()

    def revoke_login(self, login: LoginId) -> None:
        """A sign-in has ended: refuse everyone who is waiting by it."""
        for arrival in self._checks.values():
            arrival.is_revoked |= arrival.claim.login == login

    def mark_stale(self, room_id: RoomId | None = None) -> None:
        """Roles in this room's session have changed (None: in any session): run the affected checks again."""
        for arrival in self._checks.values():
            arrival.is_stale |= room_id is None or arrival.claim.room_id == room_id

    @trio.lowlevel.enable_ki_protection
    async def _run_check(self, connection: Connection, arrival: _Check, upgrade: bytes) -> None:
        with arrival.scope:
            try:
                outcome = await _resolve_claim(arrival)
                if self._checks.pop(connection, None) is None:
                    return  # it has ended meanwhile
                if isinstance(outcome, Refused):
                    connection.send_http_answer(refusal_response(outcome))
                elif isinstance(outcome, InvalidInput):
                    connection.reject(upgrade, outcome.code, outcome.message)
                else:
                    self._admit(connection, outcome, upgrade)
            except Exception as crash:  # noqa: BLE001 - adapters may raise anything, and only this connection may fail
                connection.on_crash(crash)


async def _resolve_claim(arrival: _Check) -> Admitted | Refused | InvalidInput:
    """Resolve the claim until the result is not stale."""
    with trio.move_on_after(CHECK_TIMEOUT_S):
        while True:
            arrival.is_stale = False
            try:
                admitted = await arrival.claim.resolve()
            except (Refused, InvalidInput) as wrong:
                return wrong
            except Unavailable as problem:
                return _make_unavailable(
                    "Who may enter cannot be checked now; try again in a moment.", problem.retry_after_s
                )
            if arrival.is_revoked:
                return no_access_refusal()
            if not arrival.is_stale:
                return admitted
    return _make_unavailable("Who may enter could not be checked in time; try again in a moment.", RETRY_AFTER_S)


def _make_unavailable(message: str, retry_after_s: float) -> Refused:
    wait_s = str(max(1, math.ceil(retry_after_s)))
    return Refused(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", message, Retry_After=wait_s)
