"""Claims: rights to enter a room that have to be asked about, by a ticket or by a cookie (SPEC 5.1).

A claim is settled by the porter (`omnisonic.actors.admission.pending`), and maybe more than once: what was asked may
have become untrue meanwhile. It keeps what it was made of, and that its ticket is used.

Overload, crash and shutdown are the porter's. Guard or database down: `Unavailable`, and nobody is let in.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Protocol

import msgspec.structs

from omnisonic.identity.tickets import SKEW_MS, BadTicket, Ticket, TicketPrinter
from omnisonic.models import Account, LoginId, MemberId, RoomId, UserId, account_of
from omnisonic.stores.guard import Guard
from omnisonic.studio.access import AccessStore, MemberReserved, Standing, own_or_given
from omnisonic.wire.handshake import Entrance, Refused, Request, tickets_in


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who enters where; `person` by their sign-in `login`, where people are known.

    `by_role`: they may stay as long as they have a role in the room's session. Otherwise as long as the sign-in holds.
    """

    entrance: Entrance
    person: UserId | None = None
    login: LoginId | None = None
    by_role: bool = True


class Claim(Protocol):
    """A right to enter that has to be asked about. `login` is empty when nobody is signed in."""

    @property
    def login(self) -> LoginId: ...

    @property
    def room_id(self) -> RoomId: ...

    async def resolve(self) -> Admitted:
        """Ask, and ask anew when called again: the answer may be another one.

        Errors: `Refused`, `Unavailable`; `InvalidInput` for a query that is told after the upgrade.
        """
        ...


class TicketCheck:
    """Knows tickets signed with `secret`, and has each used once."""

    def __init__(
        self, secret: str, guard: Guard, *, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        self._printer = TicketPrinter(secret)
        self._guard = guard
        self._now_ms = now_ms

    def read_ticket(self, request: Request, fields: Mapping[str, str]) -> Ticket | None:
        """The ticket that `request` shows; None without one. Errors: `Refused` (403) when it is not good."""
        texts = tickets_in(request, fields)
        if not texts:
            return None
        if len(texts) > 1:
            raise invalid_ticket_refusal("Show one ticket, and only one.")
        try:
            return self._printer.read(texts.pop(), now_ms=self._now_ms())
        except BadTicket as bad:
            raise invalid_ticket_refusal(bad.message) from None

    async def use(self, ticket: Ticket) -> None:
        """Note that `ticket` is used. Errors: `Refused` (403) when it was before; `Unavailable`."""
        # Whose clock is behind ours takes it for longer.
        ttl_s = (ticket.expires_ms - self._now_ms() + 2 * SKEW_MS) / 1000
        if not await self._guard.first_use("ticket", ticket.id, ttl_s=ttl_s):
            raise invalid_ticket_refusal("This ticket has been used; ask for another one.")


class LoginClaim:
    """Somebody who shows no ticket. `refused` is why their cookie says nothing, if it does not.

    Where rooms are open (`is_open`) they enter a room that is no session's as nobody known, unless by their own id.
    """

    def __init__(
        self,
        entrance: Entrance,
        access: AccessStore,
        login: LoginId,
        *,
        is_open: bool = False,
        refused: Refused | None = None,
    ) -> None:
        self.login = login
        self.room_id = entrance.room_id
        self._entrance = entrance
        self._access = access
        self._is_open = is_open
        self._refused = refused

    async def resolve(self) -> Admitted:
        standing = await _read_standing(self._access, self._entrance, self.login)
        if self._is_open and standing.is_anybodys:
            if standing.is_reserved:
                raise MemberReserved
            return Admitted(self._entrance)
        if self._refused is not None:
            raise self._refused
        needs_role = standing.is_sessions or not self._is_open
        return _admit_known(self._entrance, standing, self.login, needs_role=needs_role)


class TicketClaim:
    """Somebody with a ticket that looks good, if it is not used.

    With `access` they need a role there still; where rooms are open (`is_open`) only in a session's.
    """

    def __init__(
        self,
        entrance: Entrance,
        ticket: Ticket,
        tickets: TicketCheck,
        access: AccessStore | None = None,
        *,
        is_open: bool = False,
    ) -> None:
        self.login = ticket.login
        self.room_id = entrance.room_id
        self._entrance = entrance
        self._ticket = ticket
        self._tickets = tickets
        self._access = access
        self._is_open = is_open
        self._is_used = False

    async def resolve(self) -> Admitted:
        if not self._is_used:
            await self._tickets.use(self._ticket)
            self._is_used = True
        if self._access is None:
            account = Account(self._ticket.person, None)
            entrance = _with_identity(self._entrance, self._ticket.member_id, account)
            return Admitted(entrance, self._ticket.person, self.login, by_role=False)
        standing = await _read_standing(self._access, self._entrance, self.login)
        if standing.person is None or standing.person.id != self._ticket.person:
            raise no_access_refusal()
        needs_role = standing.is_sessions or not self._is_open
        return _admit_known(self._entrance, standing, self.login, needs_role=needs_role)


async def _read_standing(access: AccessStore, entrance: Entrance, login: LoginId) -> Standing:
    member_id = entrance.member.member_id
    return await access.standing(entrance.room_id, login=login or None, member_id=member_id)


def _admit_known(entrance: Entrance, standing: Standing, login: LoginId, *, needs_role: bool) -> Admitted:
    """Let somebody known in, with their account. Errors: `Refused` (403), `MemberReserved`."""
    person = standing.person
    if person is None or (needs_role and not standing.has_role):
        raise no_access_refusal()
    if standing.is_reserved:
        raise MemberReserved
    member_id = own_or_given(entrance.member.member_id, person)
    return Admitted(_with_identity(entrance, member_id, account_of(person)), person.id, login, by_role=needs_role)


def _with_identity(entrance: Entrance, member_id: MemberId, account: Account) -> Entrance:
    return replace(entrance, member=msgspec.structs.replace(entrance.member, member_id=member_id, account=account))


def no_access_refusal() -> Refused:
    """What to tell somebody without a role in a session, and just so somebody who asks for one that is not there."""
    return Refused(
        HTTPStatus.FORBIDDEN, "no_access", "There is no such session, or it is not shared with you; ask its owner."
    )


def invalid_ticket_refusal(message: str) -> Refused:
    """What to tell somebody whose ticket is not good."""
    return Refused(HTTPStatus.FORBIDDEN, "invalid_ticket", message)
