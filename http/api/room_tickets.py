"""Making tickets to rooms: for whoever asks for one, and for event streams, which enter for somebody (SPEC 5.1).

A ticket is made here and used at a gateway; nothing about it is stored. Who may have it is checked by the caller
(`omnisonic.http.api.room_rights`).
"""

import secrets
import time
from collections.abc import Callable
from typing import Final

from omnisonic.identity.signing import Secret
from omnisonic.identity.tickets import LIFE_MS, Ticket, TicketPrinter
from omnisonic.models import LoginId, MemberId, Person, RoomId
from omnisonic.models.checks import default_display_name
from omnisonic.studio.access import own_or_given

TICKET_ID_BYTES: Final = 16


class RoomTickets:
    """Makes tickets, signed with `secret`. `clock` returns seconds since 1970."""

    def __init__(self, secret: Secret, clock: Callable[[], float] = time.time) -> None:
        self._printer = TicketPrinter(secret)
        self._clock = clock

    def make(
        self, person: Person, login: LoginId, room: RoomId, member_id: MemberId | None, display_name: str | None
    ) -> Ticket:
        """Make a ticket to the room, for `person`, who has signed in by `login`. By default as themselves."""
        issued_ms = int(self._clock() * 1000)
        return Ticket(
            id=secrets.token_urlsafe(TICKET_ID_BYTES),
            room_id=room,
            member_id=person.id if member_id is None else own_or_given(member_id, person),
            display_name=default_display_name(person) if display_name is None else display_name,
            person=person.id,
            login=login,
            issued_ms=issued_ms,
            expires_ms=issued_ms + LIFE_MS,
        )

    def sign(self, ticket: Ticket) -> str:
        """The ticket as text."""
        return self._printer.sign(ticket)

    def read(self, text: str) -> Ticket:
        """Read a ticket that somebody shows. Raises `BadTicket`. Only a gateway knows whether it was used."""
        return self._printer.read(text, now_ms=int(self._clock() * 1000))
