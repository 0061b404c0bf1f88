"""Which messages with an `id` a room has accepted, so that one that is sent again is said once. Pure (SPEC 5.2).

A client that did not get an `ack` sends the message again with the same `id`. An `id` that comes with another content
names another message: clients that use one `id` for everything lose nothing.

Overload: the oldest are forgotten, but of each member the last ones are kept: what others say while a member is away
does not make the room forget what that member has said.
"""

from itertools import islice
from typing import Final, NamedTuple, TypeAlias
from zlib import crc32

from omnisonic.models import MemberId
from omnisonic.wire.messages import Envelope, ReplyId

ACKNOWLEDGED: Final = 1024
"""How many messages of one room are known by their `id`."""
OF_MEMBER: Final = 16
"""The last messages of a member stay known whatever others say, while there is place for so many of each."""

MessageKey: TypeAlias = tuple[MemberId, ReplyId]


class Accepted(NamedTuple):
    """The first offset of a message, a checksum of its content, and the version that a `state.set` has made."""

    offset: int
    checksum: int
    version: int | None = None


class Acknowledged:
    """The messages of one room that were accepted lately, by their sender and `id`. `total` counts them all."""

    __slots__ = ("_accepted", "_last", "_spare", "total")

    def __init__(self) -> None:
        self._accepted: dict[MessageKey, Accepted] = {}
        """Oldest first."""
        self._last: dict[MemberId, dict[MessageKey, None]] = {}
        """The last messages of each sender, oldest first."""
        self._spare: dict[MessageKey, None] = {}
        """The others, in the order in which they are forgotten."""
        self.total = 0

    def __len__(self) -> int:
        return len(self._accepted)

    def find(self, sender: MemberId, envelope: Envelope) -> int | None:
        """The first offset of this message, if it was accepted before."""
        assert envelope.id is not None
        accepted = self._accepted.get((sender, envelope.id))
        return accepted.offset if accepted is not None and accepted.checksum == _checksum(envelope) else None

    def version_of(self, sender: MemberId, id_: ReplyId) -> int | None:
        """The version that this message has made; None when it was no `state.set`."""
        accepted = self._accepted.get((sender, id_))
        return None if accepted is None else accepted.version

    def add(self, sender: MemberId, envelope: Envelope, offset: int, version: int | None = None) -> None:
        """Remember that this message was accepted."""
        assert envelope.id is not None
        self.put((sender, envelope.id), Accepted(offset, _checksum(envelope), version))

    def put(self, key: MessageKey, accepted: Accepted) -> None:
        """Remember an accepted message by its key."""
        if key in self._accepted:
            self._forget(key)
        self._accepted[key] = accepted
        self.total += 1
        last = self._last.setdefault(key[0], {})
        last[key] = None
        if len(last) > OF_MEMBER:
            spare = next(iter(last))
            del last[spare]
            self._spare[spare] = None
        if len(self._accepted) > ACKNOWLEDGED:
            self._forget(next(iter(self._spare or self._accepted)))

    def _forget(self, key: MessageKey) -> None:
        del self._accepted[key]
        if key in self._spare:
            del self._spare[key]
            return
        last = self._last[key[0]]
        del last[key]
        if not last:
            del self._last[key[0]]

    def added_since(self, total: int) -> list[tuple[MessageKey, Accepted]]:
        """What was added after `total` had this value, oldest first, as far as it is known."""
        newest = list(islice(reversed(self._accepted.items()), min(self.total - total, len(self._accepted))))
        return newest[::-1]


def _checksum(envelope: Envelope) -> int:
    to = b"" if envelope.to is None else envelope.to.encode()
    return crc32(bytes(envelope.payload), crc32(to, crc32(envelope.type.encode())))
