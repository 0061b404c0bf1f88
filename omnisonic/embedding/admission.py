"""Admission with a program's own rules: the hook `admit` decides who may enter (SPEC 5.1, 8).

A plain function decides at once. An `async` one runs as a pending admission (`omnisonic.actors.admission.pending`),
which limits how many wait and for how long.

Crash: a hook that raises anything unexpected closes its own connection with 500, and is logged with its traceback.
Overload and shutdown: as for pending admissions.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeAlias, cast

from omnisonic.actors.admission.admission import Admitted, Decision
from omnisonic.models import LoginId, RoomId
from omnisonic.wire import handshake
from omnisonic.wire.handshake import Refused, find_tickets, read_entrance, read_fields


@dataclass(frozen=True, slots=True)
class Request:
    """A connection that wants to enter: the argument of `admit`. Nothing of it is checked yet.

    Attributes:
        path: The path of the URL.
        query: The fields of the query, each once.
        headers: The request headers, by names in lower case; for example `cookie`.
        ticket: The ticket that the client gave, or None.

    Example:
        def admit(request: omnisonic.Request) -> omnisonic.Admitted:
            if request.ticket != "green":
                raise omnisonic.Refused(403, "not_invited", "Ask the band for a ticket.")
            return request.admitted(member_id="ada", name="Ada Lovelace", person="ada")
    """

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    ticket: str | None

    @property
    def room(self) -> str | None:
        """The room that the client asks for (`roomId`), or None."""
        return self.query.get("roomId")

    @property
    def member_id(self) -> str | None:
        """The id that the client gives (`memberId`), or None."""
        return self.query.get("memberId")

    @property
    def name(self) -> str | None:
        """The display name that the client gives (`displayName`), or None."""
        return self.query.get("displayName")

    def admitted(
        self,
        *,
        room: str | None = None,
        member_id: str | None = None,
        name: str | None = None,
        status: str | None = None,
        person: str | None = None,
    ) -> Admitted:
        """Let the client in. Each argument replaces what the client gave.

        Args:
            room: Room to enter.
            member_id: Id of the member.
            name: Display name that others see.
            status: `active` or `away`.
            person: Who this is in your program. While they are in the room, nobody else gets this `member_id`.

        Returns:
            What `admit` returns.

        Raises:
            InvalidInput: Something is missing or not allowed. Do not catch it: the client is closed with 1008, and
                receives the sentence.
        """
        given = {"roomId": room, "memberId": member_id, "displayName": name, "status": status}
        fields = {**self.query, **{key: value for key, value in given.items() if value is not None}}
        return Admitted(read_entrance(fields), person)


Admit: TypeAlias = Callable[[Request], Admitted] | Callable[[Request], Awaitable[Admitted]]
"""Returns `request.admitted()`, or raises `Refused(status, code, sentence)`. An async one has 2 s."""


class HookAdmission:
    """The admission policy that calls `admit` for every connection."""

    def __init__(self, admit: Admit) -> None:
        self._admit = admit
        self._is_async = inspect.iscoroutinefunction(admit) or inspect.iscoroutinefunction(
            getattr(admit, "__call__", None)  # noqa: B004 - an object with an async __call__ is a hook, too
        )

    def admit(self, request: handshake.Request) -> Decision:
        """Call the hook, or return a claim for an async one. Raises `Refused`."""
        fields = read_fields(request.query)
        tickets = find_tickets(request, fields)
        if len(tickets) > 1:
            raise Refused(HTTPStatus.FORBIDDEN, "invalid_ticket", "Show one ticket, and only one.")
        incoming = Request(request.path, fields, request.headers, tickets.pop() if tickets else None)
        if self._is_async:
            return _HookClaim(cast("Callable[[Request], Awaitable[Admitted]]", self._admit), incoming)
        return _require_admitted(self._admit(incoming))


class _HookClaim:
    """A connection whose admission waits for an async hook."""

    login: LoginId = ""
    """Empty: sign-ins are the program's own."""

    def __init__(self, admit: Callable[[Request], Awaitable[Admitted]], request: Request) -> None:
        self.room_id: RoomId = request.room or ""
        self._admit = admit
        self._request = request

    async def resolve(self) -> Admitted:
        return _require_admitted(await self._admit(self._request))


def _require_admitted(result: object) -> Admitted:
    if not isinstance(result, Admitted):
        raise TypeError(f"admit must return request.admitted(...) or raise Refused; it returned {result!r}.")
    return result
