"""Admission: who may enter a room, and by what right (SPEC 5.1).

An `Admission` decides at once where it can: a room that is open to anyone costs no question. Otherwise it returns a
`Claim`, which asks the guard or the database. Pending admissions (`omnisonic.actors.admission.pending`) resolve it,
more than once when the answer may have changed meanwhile.

Overload, crash and shutdown: see pending admissions. Guard or database unavailable: `Unavailable`, nobody is admitted.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Protocol, TypeAlias

import msgspec.structs

from omnisonic.errors import InvalidInput
from omnisonic.identity.logins import LoginCookies
from omnisonic.identity.signing import Secret
from omnisonic.identity.tickets import SKEW_MS, BadTicket, Ticket, TicketPrinter
from omnisonic.models import Account, LoginId, MemberId, RoomId, UserId
from omnisonic.models.checks import account_of, plain_id, uuid_meant
from omnisonic.stores.guard import Guard
from omnisonic.studio.access import AccessStore, MemberReserved, Standing, own_or_given
from omnisonic.wire.handshake import Entrance, Refused, Request, find_tickets, read_entrance, read_fields


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who enters which room; user `person` by their sign-in `login`, where users are known.

    `by_role`: they may stay while they have a role in the room's session; otherwise while they are signed in.
    """

    entrance: Entrance
    person: UserId | None = None
    login: LoginId | None = None
    by_role: bool = True


class Claim(Protocol):
    """A right to enter that has to be checked. `login` is empty when nobody is signed in."""

    @property
    def login(self) -> LoginId: ...

    @property
    def room_id(self) -> RoomId: ...

    async def resolve(self) -> Admitted:
        """Check it; called again, check it again, because the answer may have changed.

        Errors: `Refused`, `Unavailable`; `InvalidInput` for a query error that is sent after the upgrade.
        """
        ...


class TicketCheck:
    """Reads tickets signed with `secret`, and lets each be used once."""

    def __init__(
        self, secret: Secret, guard: Guard, *, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        self._printer = TicketPrinter(secret)
        self._guard = guard
        self._now_ms = now_ms

    def read_ticket(self, request: Request, fields: Mapping[str, str]) -> Ticket | None:
        """The ticket in `request`; None without one. Errors: `Refused` (403) when it is not valid."""
        texts = find_tickets(request, fields)
        if not texts:
            return None
        if len(texts) > 1:
            raise invalid_ticket_refusal("Show one ticket, and only one.")
        try:
            return self._printer.read(texts.pop(), now_ms=self._now_ms())
        except BadTicket as bad:
            raise invalid_ticket_refusal(bad.message) from None

    async def use(self, ticket: Ticket) -> None:
        """Mark `ticket` as used. Errors: `Refused` (403) when it was used before; `Unavailable`."""
        # A process whose clock is behind ours accepts it for longer.
        ttl_s = (ticket.expires_ms - self._now_ms() + 2 * SKEW_MS) / 1000
        if not await self._guard.first_use("ticket", ticket.id, ttl_s=ttl_s):
            raise invalid_ticket_refusal("This ticket has been used; ask for another one.")


class LoginClaim:
    """A request without a ticket. `refused` is why its cookie does not count, when it does not.

    Where rooms are open (`is_open`) it enters a room that belongs to no session as an unknown user, unless the
    member id is the user's own.
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
    """A request with a valid ticket, if the ticket was not used before.

    With `access` the user still needs a role there; where rooms are open (`is_open`) only in a session's room.
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
    """Admit a known user, with their account. Errors: `Refused` (403), `MemberReserved`."""
    person = standing.person
    if person is None or (needs_role and not standing.has_role):
        raise no_access_refusal()
    if standing.is_reserved:
        raise MemberReserved
    member_id = own_or_given(entrance.member.member_id, person)
    entrance = replace(entrance, tempo=standing.tempo, is_listener=standing.role == "listener")
    return Admitted(_with_identity(entrance, member_id, account_of(person)), person.id, login, by_role=needs_role)


def _with_identity(entrance: Entrance, member_id: MemberId, account: Account) -> Entrance:
    return replace(entrance, member=msgspec.structs.replace(entrance.member, member_id=member_id, account=account))


def no_access_refusal() -> Refused:
    """The refusal for a user without a role in a session; the same for a session that does not exist."""
    return Refused(
        HTTPStatus.FORBIDDEN, "no_access", "There is no such session, or it is not shared with you; ask its owner."
    )


def invalid_ticket_refusal(message: str) -> Refused:
    """The refusal for a ticket that is not valid."""
    return Refused(HTTPStatus.FORBIDDEN, "invalid_ticket", message)


Decision: TypeAlias = Admitted | Claim


class Admission(Protocol):
    """Decides who may enter a room."""

    def admit(self, request: Request) -> Decision:
        """Admit the request, or return what has to be checked.

        Errors: `Refused` (401, 403) before the upgrade; `InvalidInput` for a query error that is sent after it.
        """
        ...


class OpenAdmission:
    """Anyone may enter: for installations without a database, which have no sessions.

    A ticket, where tickets can be checked, must be valid, and names who enters.
    """

    def __init__(self, tickets: TicketCheck | None = None) -> None:
        self._tickets = tickets

    def admit(self, request: Request) -> Decision:
        fields = read_fields(request.query)
        ticket = None if self._tickets is None else self._tickets.read_ticket(request, fields)
        if ticket is None or self._tickets is None:
            return Admitted(read_entrance(fields))
        return TicketClaim(_read_ticket_entrance(ticket, fields), ticket, self._tickets)


class TicketAdmission:
    """Users with a role in the room's session may enter, by a ticket or by the web's cookie."""

    def __init__(self, tickets: TicketCheck, cookies: LoginCookies, access: AccessStore) -> None:
        self._tickets = tickets
        self._cookies = cookies
        self._access = access

    def admit(self, request: Request) -> Decision:
        try:
            fields = read_fields(request.query)
        except InvalidInput:
            if self._tickets.read_ticket(request, {}) is None:
                self._read_login(request)  # without a sign-in, the answer says nothing else
            raise
        ticket = self._tickets.read_ticket(request, fields)
        if ticket is not None:
            return TicketClaim(_read_ticket_entrance(ticket, fields), ticket, self._tickets, self._access)
        login = self._read_login(request)
        return LoginClaim(read_entrance(fields), self._access, login)

    def _read_login(self, request: Request) -> LoginId:
        """The sign-in whose cookie came with the request. Errors: `Refused`."""
        login = self._cookies.login_in(request.headers.get("cookie", ""))
        if login is None:
            raise Refused(
                HTTPStatus.UNAUTHORIZED,
                "ticket_required",
                "Entering a room here needs a ticket: sign in, and POST /api/rooms/{roomId}/ticket gives one.",
            )
        if "origin" not in request.headers:  # the gateway has checked one that is there
            raise Refused(
                HTTPStatus.FORBIDDEN,
                "foreign_origin",
                "A cookie counts only with the Origin of the studio's own pages: use a ticket.",
            )
        return login


class MixedAdmission(TicketAdmission):
    """Anyone may enter rooms that belong to no session; a session's room is for users with a role there.

    Only a room named like a UUID can be a session's, and only a member id like that a user's: others are admitted
    without a check.
    """

    def admit(self, request: Request) -> Decision:
        fields = read_fields(request.query)
        ticket = self._tickets.read_ticket(request, fields)
        if ticket is not None:
            return TicketClaim(_read_ticket_entrance(ticket, fields), ticket, self._tickets, self._access, is_open=True)
        entrance = read_entrance(fields)
        if uuid_meant(entrance.room_id) is None and uuid_meant(entrance.member.member_id) is None:
            return Admitted(entrance)
        try:
            return LoginClaim(entrance, self._access, self._read_login(request), is_open=True)
        except Refused as refused:
            return LoginClaim(entrance, self._access, "", is_open=True, refused=refused)


def _read_ticket_entrance(ticket: Ticket, fields: Mapping[str, str]) -> Entrance:
    """The entrance that `ticket` names; the query may name it, too. Errors: `Refused` (403) when they differ."""
    named = {"roomId": ticket.room_id, "memberId": ticket.member_id, "displayName": ticket.display_name}
    if any(plain_id(fields.get(name, value)) != plain_id(value) for name, value in named.items()):
        raise invalid_ticket_refusal("This ticket is for another room, member or name than the query says.")
    return read_entrance({**fields, **named})
