"""Admission: who may enter a room, by what (SPEC 5.1).

An admission decides at once where it can, and so costs rooms that anybody may enter nothing. What it has to ask the
guard or the database is a claim (`omnisonic.actors.admission.claims`), which the porter settles. It keeps nothing
itself.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Protocol, TypeAlias

from omnisonic.actors.admission.claims import (
    Admitted,
    Claim,
    LoginClaim,
    TicketCheck,
    TicketClaim,
    invalid_ticket_refusal,
)
from omnisonic.errors import InvalidInput
from omnisonic.identity.logins import LoginCookies
from omnisonic.identity.tickets import Ticket
from omnisonic.models import LoginId, plain_id, uuid_meant
from omnisonic.studio.access import AccessStore
from omnisonic.wire.handshake import Entrance, Refused, Request, read_entrance, read_fields

Decision: TypeAlias = Admitted | Claim


class Admission(Protocol):
    """Decides who may enter a room."""

    def admit(self, request: Request) -> Decision:
        """Let them in, or say what is to be asked.

        Errors: `Refused` (401, 403) before the upgrade; `InvalidInput` for a query that is told after it.
        """
        ...


class OpenAdmission:
    """Anyone may enter, where there are no sessions: without a database.

    A ticket, where they can be checked, must be good, and says who it is that enters.
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
    """Who has a role in the session that the room belongs to may enter, by a ticket or by the web's cookie."""

    def __init__(self, tickets: TicketCheck, cookies: LoginCookies, access: AccessStore) -> None:
        self._tickets = tickets
        self._cookies = cookies
        self._access = access

    def admit(self, request: Request) -> Decision:
        try:
            fields = read_fields(request.query)
        except InvalidInput:
            if self._tickets.read_ticket(request, {}) is None:
                self._read_login(request)  # a stranger is told nothing else
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
        if "origin" not in request.headers:  # one that is there has been looked at by the gateway
            raise Refused(
                HTTPStatus.FORBIDDEN,
                "foreign_origin",
                "A cookie counts only with the Origin of the studio's own pages: use a ticket.",
            )
        return login


class MixedAdmission(TicketAdmission):
    """Anyone may enter rooms that are no session's; a session's room is its members' alone.

    Only a room that is called like a UUID can be a session's, and only a member id that is one a user's: about others
    nothing is asked.
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
    """Who enters where by `ticket`; the query may say it, too. Errors: `Refused` (403) when it says something else."""
    named = {"roomId": ticket.room_id, "memberId": ticket.member_id, "displayName": ticket.display_name}
    if any(plain_id(fields.get(name, value)) != plain_id(value) for name, value in named.items()):
        raise invalid_ticket_refusal("This ticket is for another room, member or name than the query says.")
    return read_entrance({**fields, **named})
