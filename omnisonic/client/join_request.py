"""A visit: who wants to be in which room, and by what right. Kept over all reconnections (SPEC 5.1)."""

import secrets
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from omnisonic.client.connection import Connection, open_connection
from omnisonic.models import Status
from omnisonic.wire.client_handshake import parse_url
from omnisonic.wire.handshake import SUBPROTOCOL, TICKET_PREFIX

Ticket: TypeAlias = str | Callable[[], Awaitable[str]]


@dataclass
class JoinRequest:
    """What the query, the ticket and the headers of each attempt say. Without a ticket, what is missing is made up."""

    url: str
    room: str | None = None
    member_id: str | None = None
    name: str | None = None
    status: Status = "active"
    ticket: Ticket | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    ssl_context: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        if self.ticket is None and "memberId=" not in self.url:
            self.member_id = self.member_id or secrets.token_hex(8)
        if self.ticket is None and "displayName=" not in self.url:
            self.name = self.name or self.member_id
        parse_url(self.url, {})  # so that a bad one is told at once

    async def begin(self) -> Connection:
        """Ask to be let in. Errors: `EntryRefused`, and whatever the function raises that gets tickets."""
        ticket = self.ticket if isinstance(self.ticket, str | None) else await self.ticket()
        fields = {"roomId": self.room, "memberId": self.member_id, "displayName": self.name, "status": self.status}
        address = parse_url(self.url, {name: value for name, value in fields.items() if value is not None})
        offers = [SUBPROTOCOL] if ticket is None else [SUBPROTOCOL, TICKET_PREFIX + ticket]
        return await open_connection(address, offers, self.headers, self.ssl_context)
