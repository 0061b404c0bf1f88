"""Tickets: each lets one person into one room, once, for `LIFE_MS` (SPEC 3 and 5.1). Pure: no clock, no store.

A ticket is `payload.signature`, both in base64url, so that it fits into `Sec-WebSocket-Protocol`. Whoever accepts it
stores its `id` as used (`omnisonic.stores.guard`).
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from typing import Final

import msgspec

from omnisonic.errors import OmnisonicError
from omnisonic.identity.signing import Secret, believed_secrets
from omnisonic.models import LoginId, MemberId, RoomId, UserId

LIFE_MS: Final = 30_000
"""A ticket is valid for this long (SPEC 3)."""
SKEW_MS: Final = 5_000
"""How much the clocks of web and gateway may differ. With more, tickets are refused."""
_PURPOSE: Final = b"omnisonic ticket v1"


class Ticket(msgspec.Struct, frozen=True, rename="camel"):
    """Who may enter which room as whom. `login` is the sign-in that got it; times are milliseconds since 1970."""

    id: str
    room_id: RoomId
    member_id: MemberId
    display_name: str
    person: UserId
    login: LoginId
    issued_ms: int
    expires_ms: int


class BadTicket(OmnisonicError):
    """The ticket is forged, damaged or expired, or the clocks differ too much."""

    code = "invalid_ticket"


class TicketPrinter:
    """Signs tickets with a key derived from `secret`, and verifies them."""

    def __init__(self, secret: Secret) -> None:
        keys = [hmac.digest(each.encode(), _PURPOSE, hashlib.sha256) for each in believed_secrets(secret)]
        self._key, self._believed_keys = keys[-1], keys

    def sign(self, ticket: Ticket) -> str:
        """The signed ticket as text."""
        payload = _b64(msgspec.json.encode(ticket))
        return f"{payload}.{_signature(payload, self._key)}"

    def read(self, text: str, *, now_ms: int) -> Ticket:
        """The ticket in `text`, if its signature is right and it is valid at `now_ms`. Raises `BadTicket`."""
        payload, _, signature = text.partition(".")
        if not (payload.isascii() and signature.isascii() and self._is_ours(payload, signature)):
            raise BadTicket("This ticket is not one of this studio's.")
        try:
            ticket = msgspec.json.decode(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=Ticket)
        except (msgspec.DecodeError, Error, UnicodeDecodeError):
            raise BadTicket("This ticket is not one of this studio's.") from None
        if not ticket.issued_ms - SKEW_MS <= now_ms < ticket.expires_ms:
            raise BadTicket("This ticket has expired; ask for another one.")
        return ticket

    def _is_ours(self, payload: str, signature: str) -> bool:
        return any(hmac.compare_digest(_signature(payload, key), signature) for key in self._believed_keys)


def _signature(payload: str, key: bytes) -> str:
    return _b64(hmac.digest(key, payload.encode(), hashlib.sha256))


def _b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
