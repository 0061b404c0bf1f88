"""The errors of the client, each with a stable code: joining failed, the membership ended, a message was refused."""

from omnisonic.errors import OmnisonicError


class EntryRefused(OmnisonicError):
    """The client could not join the room. Raised by `connect`.

    Attributes:
        code: The server's code (docs/realtime.md, "When the server refuses a connection"), or `unreachable`, or
            `no_websocket` when something else answers at that address.
        message: A sentence that says what to do.
        status: The HTTP status of the answer. None when there was no answer, or the refusal came after the upgrade.
        retry_after_s: Another attempt may succeed after this many seconds. None: another attempt will not help.

    Example:
        try:
            async with omnisonic.connect(url, room="jam", ticket=ticket) as room:
                ...
        except omnisonic.EntryRefused as refused:
            print(refused.code, refused.message)
    """

    def __init__(
        self, code: str, message: str, *, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.retry_after_s = retry_after_s


class Closed(OmnisonicError):
    """The membership has ended, and the client does not reconnect. Raised by the methods of `ClientRoom`.

    Attributes:
        code: The name of the close code (`kicked`, `replaced`, `room_closed`, …), the code of the refusal that ended
            the reconnection, `unreachable` when it took too long, `left` when the program itself left, or `internal`
            after a bug in the client.
        message: A sentence that says why.
        close_code: The WebSocket close code; 1006 when the connection just broke.
        reason: The reason that the server sent with the close code; may be empty.

    Example:
        try:
            async for message in room:
                print(message.payload)
        except omnisonic.Closed as closed:
            print(closed.code, closed.close_code, closed.message)
    """

    def __init__(self, code: str, message: str, *, close_code: int = 1006, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.close_code = close_code
        self.reason = reason


class NotTaken(OmnisonicError):
    """The room did not accept a message. Raised by `ClientRoom.ask`, and by the methods that change something.

    Attributes:
        code: The server's code (docs/realtime.md, "Errors"): the message was not relayed, and nothing has changed. The
            code `no_answer` means that nobody knows. With `rate_limited` and `room_busy` you can ask again later.
        message: A sentence that says why.
        version: The version that the key has, with the code `state_conflict`; 0 when it is not there. Otherwise None.

    Example:
        try:
            offset = await room.ask("chat", {"text": "Hello"}, to="ada")
        except omnisonic.NotTaken as problem:
            print(problem.code)
    """

    def __init__(self, code: str, message: str, *, version: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.version = version
