"""The messages of a client that wait for their `ack` or `error`, by the `id` that they were sent with. Pure.

A message that is not answered when its connection ends is sent again on the next one, with the same `id` and the same
content: the room says it once (docs/realtime.md, "Send a message again"). It is also sent again when another `welcome`
comes on an open connection. `omnisonic.client.reconnector` sends them.

Overload: bounded by the tasks of the program that wait. Shutdown: `fail_all`.
"""

import secrets
from collections.abc import Callable
from typing import Any, Final

from omnisonic.client.backend import Event
from omnisonic.client.connection import Connection, OutgoingMessage, encode_message
from omnisonic.client.errors import Closed, NotTaken
from omnisonic.models import MemberId

DROPPED: Final = frozenset({"rate_limited", "room_busy"})
"""The codes of messages that were dropped before anybody looked whether they were accepted earlier."""


class PendingRequest:
    """One message that waits for its answer.

    Attributes:
        id: The `id` of the message.
        text: The message as it is sent, each time.
        connection: Where it was sent last; None when it was not sent to whoever answers there now.
        sent: How often it was sent.
        done: Set when it is answered, or never will be.
        offset: The offset in the `ack`.
        version: The version in the `ack` of a `state.set`.
        error: Why there is no `ack`.
    """

    __slots__ = ("connection", "done", "error", "id", "offset", "sent", "text", "version")

    def __init__(self, id_: str, text: bytes, done: Event) -> None:
        self.id = id_
        self.text = text
        self.connection: Connection | None = None
        self.sent = 0
        self.done = done
        self.offset = 0
        self.version: int | None = None
        self.error: NotTaken | Closed | None = None


class PendingRequests:
    """All messages that wait for an answer, in the order in which the program sent them."""

    def __init__(self, new_event: Callable[[], Event]) -> None:
        self._new_event = new_event
        self._pending: dict[str, PendingRequest] = {}
        self._run = secrets.token_urlsafe(6)
        """Part of each id: an id names one message for ever, also when the program is started again."""
        self._last = 0

    def __len__(self) -> int:
        return len(self._pending)

    def __contains__(self, request: PendingRequest) -> bool:
        return request.id in self._pending

    def add(self, type_: str, payload: Any, to: MemberId | None, *, keep: bool = False) -> PendingRequest:
        """Add a message with a new id. Raises `InvalidInput` when the room would refuse it without an answer."""
        self._last += 1
        id_ = f"{self._run}-{self._last}"
        text = encode_message(OutgoingMessage(type_, payload, to, id_, keep))
        request = PendingRequest(id_, text, self._new_event())
        self._pending[id_] = request
        return request

    def discard(self, request: PendingRequest) -> None:
        """Remove a request that nobody waits for any more."""
        self._pending.pop(request.id, None)

    def forget_connections(self) -> None:
        """Take all requests as not sent: who answers on this connection now may not know them."""
        for request in self._pending.values():
            request.connection = None

    def not_sent_on(self, connection: Connection) -> list[PendingRequest]:
        """The requests that were not sent on this connection yet, oldest first."""
        return [request for request in self._pending.values() if request.connection is not connection]

    def resolve(self, type_: str, payload: Any) -> bool:
        """Complete the request that this `ack` or `error` answers. Returns False when it answers none."""
        if not isinstance(payload, dict):
            return False
        request = self._pending.pop(payload.get("id"), None)  # type: ignore[arg-type]  # other types are no key
        if request is None:
            return False
        version = payload.get("version")
        if type_ == "ack":
            request.offset = int(payload.get("offset", 0))
            request.version = version
        elif request.sent > 1 and payload.get("code") in DROPPED:
            request.error = NotTaken("no_answer", "The room had too much to do to say whether it has this message.")
        else:
            request.error = NotTaken(str(payload.get("code", "")), str(payload.get("message", "")), version=version)
        request.done.set()
        return True

    def fail_all(self, error: Closed) -> None:
        """Fail all requests, because no answer will come."""
        for request in self._pending.values():
            request.error = error
            request.done.set()
        self._pending.clear()
