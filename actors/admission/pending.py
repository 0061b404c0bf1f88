"""The porter: lets those in whose right to enter has to be asked about, one task each, while they wait (SPEC 5.1).

It owns who waits. What is asked may become untrue while it is being asked: whoever is told of rights that end tells the
porter, and it asks again.

Overload: with `WAITING` waiting, or no answer within `ANSWER_S`, newcomers are refused with 503. Guard or database
down: 503, too; who is in a room stays. Crash of a claim: that newcomer alone gets 500. Shutdown: those who wait are
refused with the others, and are forgotten.
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
from omnisonic.wire.handshake import Refused, refusal_answer

MAX_PENDING: Final = 512
"""Newcomers that may wait at once; the next ones are to come back later."""
CHECK_TIMEOUT_S: Final = 2.0
"""A newcomer waits no longer than this for guard and database together."""
RETRY_AFTER_S: Final = 1.0


class _Check:
    """A newcomer who waits."""

    __slots__ = ("claim", "is_revoked", "is_stale", "scope")

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.scope = trio.CancelScope()
        self.is_stale = False
        self.is_revoked = False


class PendingAdmissions:
    """Settles claims. `let_in` opens the WebSocket for a connection whose claim is good."""

    def __init__(self, nursery: trio.Nursery, let_in: Callable[[Connection, Admitted, bytes], None]) -> None:
        self._nursery = nursery
        self._admit = let_in
        self._checks: dict[Connection, _Check] = {}

    def __len__(self) -> int:
        return len(self._checks)

    def add(self, connection: Connection, claim: Claim, upgrade: bytes) -> None:
        """Let `connection` wait for what comes of `claim`; `upgrade` is what opens its WebSocket. Errors: `Refused`."""
        if len(self._checks) >= MAX_PENDING:
            raise _make_unavailable("Too many want to enter just now; try again in a moment.", RETRY_AFTER_S)
        arrival = self._checks[connection] = _Check(claim)
        self._nursery.start_soon(self._run_check, connection, arrival, upgrade)

    def discard(self, connection: Connection) -> None:
        """Forget a connection that is gone, if it waits."""
        arrival = self._checks.pop(connection, None)
        if arrival is not None:
            arrival.scope.cancel()

    def revoke_login(self, login: LoginId) -> None:
        """A sign-in has ended: whoever waits by it waits in vain."""
        for arrival in self._checks.values():
            arrival.is_revoked |= arrival.claim.login == login

    def mark_stale(self, room_id: RoomId | None = None) -> None:
        """Somebody's role in this room's session has ended, or maybe in any: what was asked before is asked again."""
        for arrival in self._checks.values():
            arrival.is_stale |= room_id is None or arrival.claim.room_id == room_id

    async def _run_check(self, connection: Connection, arrival: _Check, upgrade: bytes) -> None:
        with arrival.scope:
            try:
                outcome = await _resolve_claim(arrival)
                if self._checks.pop(connection, None) is None:
                    return  # it left meanwhile
                if isinstance(outcome, Refused):
                    connection.send_http_answer(refusal_answer(outcome))
                elif isinstance(outcome, InvalidInput):
                    connection.reject(upgrade, outcome.code, outcome.message)
                else:
                    self._admit(connection, outcome, upgrade)
            except Exception as crash:  # noqa: BLE001 - a claim is asked by adapters, and only its newcomer is to pay
                connection.on_crash(crash)


async def _resolve_claim(arrival: _Check) -> Admitted | Refused | InvalidInput:
    """What comes of the claim, true now."""
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
