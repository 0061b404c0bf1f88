"""What an edge has sent to the owner of a room, and the owner has not taken yet, as far as is known. Pure (SPEC 5.5).

Owned by the edge room. When the room goes on elsewhere, it tells what has to be said again: what the owner has not
taken, but only when the owner itself has said what that is; and who of its senders has left since.

Overload: bounded as the mailbox of a room; more is refused. Crash and shutdown: with the edge room.
"""

from collections import deque

from omnisonic.actors.rooms.mailbox import DATA_BYTES, DATA_FRAMES, ClientMessages, Leave


class Untaken:
    """Messages of members, each with the number under which it was sent."""

    __slots__ = ("_frames", "_is_told", "_messages", "_size")

    def __init__(self) -> None:
        self._is_told = False
        """The owner has said what it has taken: nothing else that was sent to it was handled."""
        self._messages: deque[tuple[int, ClientMessages | Leave]] = deque()
        self._frames = self._size = 0

    @property
    def frames(self) -> int:
        """How many messages these are."""
        return self._frames

    def has_place_for(self, messages: ClientMessages) -> bool:
        """Whether these may be sent, too."""
        return self._frames + len(messages.frames) <= DATA_FRAMES and self._size + messages.size <= DATA_BYTES

    def add(self, number: int, messages: ClientMessages) -> None:
        """Note that these are sent under this number."""
        self._messages.append((number, messages))
        self._frames += len(messages.frames)
        self._size += messages.size

    def add_leave(self, leave: Leave) -> None:
        """Note that a connection has ended, which may have sent some of these."""
        if self._messages:
            self._messages.append((self._messages[-1][0], leave))

    def confirm(self, taken: int, *, is_last: bool = False) -> None:
        """The owner has taken what was sent up to this number. `is_last`: and it takes nothing any more."""
        self._is_told = is_last
        while self._messages and self._messages[0][0] <= taken:
            _, messages = self._messages.popleft()
            if not isinstance(messages, Leave):
                self._frames -= len(messages.frames)
                self._size -= messages.size

    def take_all(self) -> list[ClientMessages | Leave]:
        """Forget everything, and return what was sent and not handled. What may have been handled is not in it.

        Of those who have left, only who has something in it.
        """
        untaken = [messages for _, messages in self._messages] if self._is_told else []
        senders = {messages.connection for messages in untaken if not isinstance(messages, Leave)}
        untaken = [messages for messages in untaken if messages.connection in senders]
        self._messages.clear()
        self._frames = self._size = 0
        self._is_told = False
        return untaken
