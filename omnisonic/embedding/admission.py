"""Admission by a program's own rules: a hook that is asked who may enter (SPEC 5.1, 8).

It keeps nothing. A plain function decides at once; an `async` one is asked by the porter
(`omnisonic.actors.admission.pending`), which bounds how many wait and for how long. A hook that raises anything
unforeseen costs its newcomer alone (500), and is logged with its traceback.
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
    """Somebody asks to enter. `query` holds each field once; `headers` are in lower case; nothing is checked yet."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    ticket: str | None

    @property
    def room(self) -> str | None:
        """The room that is asked for."""
        return self.query.get("roomId")

    @property
    def member_id(self) -> str | None:
        """Who the client says it is."""
        return self.query.get("memberId")

    @property
    def name(self) -> str | None:
        """The name that the client wants to be shown by."""
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
        """Let them in as the query says, but for what is given here.

        With a `person` (any name of theirs in your program) the seat of that `memberId` is this person's while they
        hold it, and nobody else gets it. Errors: `InvalidInput` for what is missing or not allowed; let it pass, and
        the client is told (close 1008).
        """
        told = {"roomId": room, "memberId": member_id, "displayName": name, "status": status}
        fields = {**self.query, **{key: value for key, value in told.items() if value is not None}}
        return Admitted(read_entrance(fields), person)


Admit: TypeAlias = Callable[[Request], Admitted] | Callable[[Request], Awaitable[Admitted]]
"""Lets somebody in (`request.admitted()`), or raises `Refused(status, code, sentence)`; within 2 s when it waits."""


class HookAdmission:
    """Asks `admit` about everybody."""

    def __init__(self, admit: Admit) -> None:
        self._admit = admit
        self._waits = inspect.iscoroutinefunction(admit) or inspect.iscoroutinefunction(
            getattr(admit, "__call__", None)  # noqa: B004 - an object with an async __call__ is a hook, too
        )

    def admit(self, request: handshake.Request) -> Decision:
        fields = read_fields(request.query)
        tickets = find_tickets(request, fields)
        if len(tickets) > 1:
            raise Refused(HTTPStatus.FORBIDDEN, "invalid_ticket", "Show one ticket, and only one.")
        asked = Request(request.path, fields, request.headers, tickets.pop() if tickets else None)
        if self._waits:
            return _Question(cast("Callable[[Request], Awaitable[Admitted]]", self._admit), asked)
        return _checked(self._admit(asked))


class _Question:
    """A claim that the hook is to be asked about."""

    login: LoginId = ""
    """Nobody is signed in here: what ends a sign-in is the program's to know."""

    def __init__(self, admit: Callable[[Request], Awaitable[Admitted]], request: Request) -> None:
        self.room_id: RoomId = request.room or ""
        self._admit = admit
        self._request = request

    async def resolve(self) -> Admitted:
        return _checked(await self._admit(self._request))


def _checked(answer: object) -> Admitted:
    if not isinstance(answer, Admitted):
        raise TypeError(f"admit must return request.admitted(...) or raise Refused; it returned {answer!r}.")
    return answer
