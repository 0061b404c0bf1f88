"""How being in a room ends, and how saying something fails: the errors of the client, each with a stable code."""

from omnisonic.errors import OmnisonicError


class EntryRefused(OmnisonicError):
    """The room was not entered.

    `code` is the server's (docs/realtime.md, "When the server refuses a connection"), or `unreachable`.
    `status` is that of an HTTP answer; None when there was none, or the refusal came after the upgrade.
    `retry_after_s`: it may go better after that long. None: not by itself.
    """

    def __init__(
        self, code: str, message: str, *, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.retry_after_s = retry_after_s


class Closed(OmnisonicError):
    """The member is in the room no more, and does not come back by itself. The message says why.

    `code` is a word of the table of close codes (`kicked`, `replaced`, `room_closed`, …), the code of the refusal that
    ended the attempts to come back, `unreachable`, or `left` when the program left. `close_code` is the WebSocket's
    (1006 when the connection was just gone), `reason` what came with it.
    """

    def __init__(self, code: str, message: str, *, close_code: int = 1006, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.close_code = close_code
        self.reason = reason


class NotTaken(OmnisonicError):
    """The room did not take a message that was to be acknowledged.

    `code` is the server's (docs/realtime.md, "Errors"), and the message was not relayed. With `connection_lost` and
    `no_answer` nobody knows: it may have been.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
