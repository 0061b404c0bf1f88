"""Tickets: what lets somebody into a room once, within seconds (SPEC 3 and 5.1). Pure: no clock, no store.

A ticket is `payload.signature`, both in base64url, so that it can stand in `Sec-WebSocket-Protocol`. It says who may
enter which room as whom; whoever takes it notes its `id` as used (`omnisonic.stores.guard`).
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from typing import Final

import msgspec

from omnisonic.errors import OmnisonicError
from omnisonic.models import LoginId, MemberId, RoomId, UserId

LIFE_MS: Final = 30_000
"""A ticket is good for this long (SPEC 3)."""
SKEW_MS: Final = 5_000
"""How far the clocks of who issues and who takes may be apart; beyond that tickets fail closed."""
_PURPOSE: Final = b"omnisonic ticket v1"


class Ticket(msgspec.Struct, frozen=True, rename="camel"):
    """Who may enter which room. `login` is the sign-in it was issued to; times are milliseconds since 1970."""

    id: str
    room_id: RoomId
    member_id: MemberId
    display_name: str
    person: UserId
    login: LoginId
    issued_ms: int
    expires_ms: int


class BadTicket(OmnisonicError):
    """The ticket lets nobody in: forged, damaged, expired, or from a clock that is not ours."""

    code = "invalid_ticket"


class TicketPrinter:
    """Signs tickets with a key made from `secret`, and knows its own again."""

    def __init__(self, secret: str) -> None:
        self._key = hmac.digest(secret.encode(), _PURPOSE, hashlib.sha256)

    def sign(self, ticket: Ticket) -> str:
        """The ticket as text."""
        payload = _b64(msgspec.json.encode(ticket))
        return f"{payload}.{self._signature(payload)}"

    def read(self, text: str, *, now_ms: int) -> Ticket:
        """The ticket in `text`, when it is one of ours and good at `now_ms`. Errors: `BadTicket`."""
        payload, _, signature = text.partition(".")
        if not (payload.isascii() and signature.isascii() and hmac.compare_digest(self._signature(payload), signature)):
            raise BadTicket("This ticket is not one of this studio's.")
        try:
            ticket = msgspec.json.decode(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=Ticket)
        except (msgspec.DecodeError, Error, UnicodeDecodeError):
            raise BadTicket("This ticket is not one of this studio's.") from None
        if not ticket.issued_ms - SKEW_MS <= now_ms < ticket.expires_ms:
            raise BadTicket("This ticket has expired; ask for another one.")
        return ticket

    def _signature(self, payload: str) -> str:
        return _b64(hmac.digest(self._key, payload.encode(), hashlib.sha256))


def _b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
