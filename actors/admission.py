"""Admission: who may enter a room, by what (SPEC 5.1).

An admission decides at once where it can, and so costs the open door nothing. What it has to ask the guard or the
database is a `Claim`, which the porter settles (`omnisonic.actors.porter`). An admission keeps nothing itself.

Overload, crash and shutdown are the porter's. Guard or database down: `Unavailable`, and nobody is let in.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol, TypeAlias

from omnisonic.access import AccessStore, Pass
from omnisonic.errors import InvalidInput
from omnisonic.guard import Guard
from omnisonic.logins import LoginCookies
from omnisonic.models import LoginId, RoomId, UserId
from omnisonic.tickets import SKEW_MS, BadTicket, Ticket, TicketPrinter
from omnisonic.wire.handshake import Entrance, Refused, Request, read_entrance, read_fields, tickets_in


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who enters where; `person` by their sign-in `login`, where people are known."""

    entrance: Entrance
    person: UserId | None = None
    login: LoginId | None = None


class Claim(Protocol):
    """A right to enter that has to be asked about."""

    @property
    def login(self) -> LoginId: ...

    @property
    def room_id(self) -> RoomId: ...

    async def settle(self) -> Admitted:
        """Ask, and ask anew when called again: the answer may be another one.

        Errors: `Refused`, `Unavailable`; `InvalidInput` for a query that is told after the upgrade.
        """
        ...


Decision: TypeAlias = Admitted | Claim


class Admission(Protocol):
    """Decides who may enter a room."""

    def admit(self, request: Request) -> Decision:
        """Let them in, or say what is to be asked.

        Errors: `Refused` (401, 403) before the upgrade; `InvalidInput` for a query that is told after it.
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

    def shown(self, request: Request, fields: Mapping[str, str]) -> Ticket | None:
        """The ticket that `request` shows; None without one. Errors: `Refused` (403) when it is not good."""
        texts = tickets_in(request, fields)
        if not texts:
            return None
        if len(texts) > 1:
            raise _invalid_ticket("Show one ticket, and only one.")
        try:
            return self._printer.read(texts.pop(), now_ms=self._now_ms())
        except BadTicket as bad:
            raise _invalid_ticket(bad.message) from None

    async def use(self, ticket: Ticket) -> None:
        """Note that `ticket` is used. Errors: `Refused` (403) when it was before; `Unavailable`."""
        # Whose clock is behind ours takes it for longer.
        ttl_s = (ticket.expires_ms - self._now_ms() + 2 * SKEW_MS) / 1000
        if not await self._guard.first_use("ticket", ticket.id, ttl_s=ttl_s):
            raise _invalid_ticket("This ticket has been used; ask for another one.")


class OpenAdmission:
    """Anyone may enter. A ticket, where they can be checked, must be good, and says who it is that enters."""

    def __init__(self, tickets: TicketCheck | None = None) -> None:
        self._tickets = tickets

    def admit(self, request: Request) -> Decision:
        fields = read_fields(request.query)
        ticket = None if self._tickets is None else self._tickets.shown(request, fields)
        if ticket is None or self._tickets is None:
            return Admitted(read_entrance(fields))
        return TicketClaim(_entrance_by(ticket, fields), ticket, self._tickets)


class TicketAdmission:
    """Who has a role in the session that the room belongs to may enter, by a ticket or by the web's cookie."""

    def __init__(self, tickets: TicketCheck, cookies: LoginCookies, access: AccessStore) -> None:
        self._tickets = tickets
        self._cookies = cookies
        self._access = access

    def admit(self, request: Request) -> Decision:
        try:
            fields = read_fields(request.query)
        except InvalidInput:
            if self._tickets.shown(request, {}) is None:
                self._login(request)  # a stranger is told nothing else
            raise
        ticket = self._tickets.shown(request, fields)
        if ticket is not None:
            return TicketClaim(_entrance_by(ticket, fields), ticket, self._tickets, self._access)
        login = self._login(request)
        return LoginClaim(read_entrance(fields), login, self._access)

    def _login(self, request: Request) -> LoginId:
        """The sign-in whose cookie came with the request. Errors: `Refused`."""
        login = self._cookies.login_in(request.headers.get("cookie", ""))
        if login is None:
            raise Refused(
                HTTPStatus.UNAUTHORIZED,
                "ticket_required",
                "Entering a room here needs a ticket: sign in, and POST /api/rooms/{roomId}/ticket gives one.",
            )
        if "origin" not in request.headers:  # one that is there has been looked at by the gateway
            raise Refused(
                HTTPStatus.FORBIDDEN,
                "foreign_origin",
                "A cookie counts only with the Origin of the studio's own pages: use a ticket.",
            )
        return login


class LoginClaim:
    """Somebody signed in who wants to enter, if they have a role there."""

    def __init__(self, entrance: Entrance, login: LoginId, access: AccessStore) -> None:
        self.login = login
        self.room_id = entrance.room_id
        self._entrance = entrance
        self._access = access

    async def settle(self) -> Admitted:
        return Admitted(self._entrance, await _person_with_access(self._access, self.login, self.room_id), self.login)


class TicketClaim:
    """Somebody with a ticket that looks good, if it is not used; with `access`, if they have a role there still."""

    def __init__(
        self, entrance: Entrance, ticket: Ticket, tickets: TicketCheck, access: AccessStore | None = None
    ) -> None:
        self.login = ticket.login
        self.room_id = entrance.room_id
        self._entrance = entrance
        self._ticket = ticket
        self._tickets = tickets
        self._access = access
        self._is_used = False

    async def settle(self) -> Admitted:
        if not self._is_used:
            await self._tickets.use(self._ticket)
            self._is_used = True
        if self._access is not None:
            person = await _person_with_access(self._access, self.login, self.room_id)
            if person != self._ticket.person:
                raise no_access()
        return Admitted(self._entrance, self._ticket.person, self.login)


async def _person_with_access(access: AccessStore, login: LoginId, room_id: RoomId) -> UserId:
    person = await access.admit(Pass(login, room_id))
    if person is None:
        raise no_access()
    return person


def no_access() -> Refused:
    """What to tell somebody without a role in a session, and just so somebody who asks for one that is not there."""
    return Refused(
        HTTPStatus.FORBIDDEN, "no_access", "There is no such session, or it is not shared with you; ask its owner."
    )


def _entrance_by(ticket: Ticket, fields: Mapping[str, str]) -> Entrance:
    """Who enters where by `ticket`; the query may say it, too. Errors: `Refused` (403) when it says something else."""
    named = {"roomId": ticket.room_id, "memberId": ticket.member_id, "displayName": ticket.display_name}
    if any(fields.get(name, value) != value for name, value in named.items()):
        raise _invalid_ticket("This ticket is for another room, member or name than the query says.")
    return read_entrance({**fields, **named})


def _invalid_ticket(message: str) -> Refused:
    return Refused(HTTPStatus.FORBIDDEN, "invalid_ticket", message)
