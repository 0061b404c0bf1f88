"""What was asked and has no answer yet. Owned by the client's room; answered by the keeper's task."""

from typing import Any

import trio

from omnisonic.client.errors import NotTaken


class PendingRequest:
    """One message that waits for its `ack`."""

    __slots__ = ("error", "event", "offset")

    def __init__(self) -> None:
        self.event = trio.Event()
        self.offset = 0
        self.error: NotTaken | None = None


class PendingRequests:
    """All of them, by the `id` that they were sent with."""

    def __init__(self) -> None:
        self._pending_requests: dict[int, PendingRequest] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._pending_requests)

    def new(self) -> tuple[int, PendingRequest]:
        """Another one, and its id."""
        self._last += 1
        ask = self._pending_requests[self._last] = PendingRequest()
        return self._last, ask

    def forget(self, id_: int) -> None:
        """Nobody waits for this one any more."""
        self._pending_requests.pop(id_, None)

    def answered(self, type_: str, payload: Any) -> bool:
        """Take an `ack` or an `error`. False when it answers nothing that was asked."""
        if not isinstance(payload, dict):
            return False
        ask = self._pending_requests.pop(payload.get("id"), None)  # type: ignore[arg-type]  # what else it may be is no key
        if ask is None:
            return False
        if type_ == "ack":
            ask.offset = int(payload.get("offset", 0))
        else:
            ask.error = NotTaken(str(payload.get("code", "")), str(payload.get("message", "")))
        ask.event.set()
        return True

    def fail(self, code: str, message: str) -> None:
        """No answer will come to any of them."""
        for ask in self._pending_requests.values():
            ask.error = NotTaken(code, message)
            ask.event.set()
        self._pending_requests.clear()
