"""Admission: who may enter a room (SPEC 5.1)."""

from http import HTTPStatus
from typing import Protocol

from omnisonic.wire.handshake import Entrance, Refused, Request


class Admission(Protocol):
    """Decides who may enter a room (SPEC 5.1). Errors: `Refused` (401, 403)."""

    def admit(self, request: Request, entrance: Entrance | None) -> None:
        """Let them in, or raise. `entrance` is None when the query does not say who they are."""
        ...


class OpenAdmission:
    """Anyone may enter."""

    def admit(self, request: Request, entrance: Entrance | None) -> None:
        del request, entrance


class ClosedAdmission:
    """Nobody may enter without a ticket, and there is nobody yet who could issue one."""

    def admit(self, request: Request, entrance: Entrance | None) -> None:
        del request, entrance
        raise Refused(
            HTTPStatus.UNAUTHORIZED,
            "ticket_required",
            "Entering a room needs a ticket, and this server issues none yet; ROOM_ACCESS=open lets everybody in.",
        )
