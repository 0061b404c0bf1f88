"""Messages between gateways that are too large for one packet: sent in parts, and joined again by the peer. Pure.

One turn of a room may have megabytes for the members at a peer: a burst of large messages, or the history for somebody
who enters. In one piece it would delay all that the bus has for others, and may be more than the bus takes.

Overload: what is sent is bounded by the queue of its link. A message that arrives and is larger than that is not
joined. Crash and reset of the link: its owner makes another `PartJoiner`, so nothing is joined over a reset.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from omnisonic.wire.peer_messages import Part, PeerMessage, decode_message, encode_message

PART_BYTES: Final = 1_048_512
"""The most bytes of a part: with what is around it, a packet has a megabyte."""


def split(message: bytes) -> Sequence[bytes]:
    """An encoded message as one, or several to be sent one after another."""
    size = len(message)
    if size <= PART_BYTES:
        return (message,)
    return [
        encode_message(Part(message[start : start + PART_BYTES], start + PART_BYTES >= size))
        for start in range(0, size, PART_BYTES)
    ]


class PartJoiner:
    """Joins the parts that arrive on one link, `limit_bytes` for one message."""

    __slots__ = ("_limit_bytes", "_parts", "_size")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._parts: list[bytes] = []
        self._size = 0

    def join(self, messages: Sequence[PeerMessage]) -> Sequence[PeerMessage] | None:
        """The whole messages among these, and what the parts before them complete.

        None when one is too large, or a message of a newer version: then the link is to be reset.
        """
        if not any(type(message) is Part for message in messages):
            return messages
        joined: list[PeerMessage] = []
        for message in messages:
            if not isinstance(message, Part):
                joined.append(message)
                continue
            self._parts.append(message.data)
            self._size += len(message.data)
            if self._size > self._limit_bytes:
                return None
            if message.is_last:
                try:
                    joined.append(decode_message(b"".join(self._parts)))
                except msgspec.DecodeError:
                    return None
                self._parts, self._size = [], 0
        return joined
