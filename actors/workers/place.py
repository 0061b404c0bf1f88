"""The place of a worker: which of the gateway's processes this is, and which of them has a room.

Rooms are spread by rendezvous hashing (Thaler and Ravishankar, 1998): each worker has a score for a room, and the
highest one has it. So all workers agree without asking, and a room stays where it is while the number of workers does.
"""

import hashlib
import socket
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from omnisonic.errors import BadSettings
from omnisonic.models import RoomId

KNOWN_ROOMS: Final = 4096
"""The owners of so many rooms are remembered."""
SCORE_BYTES: Final = 8
QUEUE_BYTES: Final = 262_144
"""What the kernel keeps for a worker that does not read: some 300 connections. It may be less (net.core.wmem_max)."""


@dataclass(frozen=True, slots=True)
class Channel:
    """The two ends of the channel to one worker. Every worker may send; only the worker that it is for receives."""

    receiving: socket.socket
    sending: socket.socket

    def close(self) -> None:
        """Close both ends."""
        self.receiving.close()
        self.sending.close()


@dataclass(frozen=True, slots=True)
class WorkerPlace:
    """Worker `index` (from 0) of `count`; `channels` and `inspection_channels` are those to each worker, in order."""

    index: int
    channels: tuple[Channel, ...]
    inspection_channels: tuple[Channel, ...]

    @property
    def count(self) -> int:
        """How many workers there are."""
        return len(self.channels)

    @property
    def number(self) -> int:
        """The number of this worker, from 1, as people see it."""
        return self.index + 1

    @property
    def others(self) -> list[int]:
        """The indices of the other workers."""
        return [index for index in range(self.count) if index != self.index]

    @classmethod
    def of(cls, words: str) -> "WorkerPlace":
        """The place that `WorkerChannels.words` describes, in the process that has inherited the descriptors.

        Raises `ValueError` when it is something else.
        """
        index, *fds = (int(word) for word in words.split(","))
        if index < 0 or not fds or len(fds) % 4 or index >= len(fds) // 4:
            raise ValueError("it must be a worker's index and four descriptors for each worker")
        sockets = [socket.socket(fileno=fd) for fd in fds]
        channels = [Channel(*sockets[start : start + 2]) for start in range(0, len(sockets), 2)]
        return cls(index, tuple(channels[0::2]), tuple(channels[1::2]))


class WorkerChannels:
    """The channels to `count` workers, held by their supervisor, so that what waits for a worker outlives it.

    Raises `BadSettings` where descriptors cannot be handed over to other processes.
    """

    def __init__(self, count: int) -> None:
        if sys.platform != "linux" or not hasattr(socket, "send_fds"):
            raise BadSettings(["GATEWAY_WORKERS is more than 1, which only Linux can do: set it to 1."])
        self._channels: list[Channel] = []
        try:
            for _ in range(2 * count):
                self._channels.append(_open_channel())
        except OSError as problem:
            self.close()
            raise BadSettings([f"GATEWAY_WORKERS is {count}, and {problem.strerror}: set it lower."]) from problem

    @property
    def fds(self) -> tuple[int, ...]:
        """The descriptors, for each worker four."""
        return tuple(end.fileno() for channel in self._channels for end in (channel.receiving, channel.sending))

    def close(self) -> None:
        """Close all; what still waits is gone."""
        for channel in self._channels:
            channel.close()

    def place(self, index: int) -> WorkerPlace:
        """The place of the worker `index`, in this process."""
        return WorkerPlace(index, tuple(self._channels[0::2]), tuple(self._channels[1::2]))

    def words(self, index: int) -> str:
        """The place of the worker `index` as text, for its command line."""
        return ",".join(map(str, (index, *self.fds)))


@lru_cache(maxsize=KNOWN_ROOMS)
def owner_of(room_id: RoomId, count: int) -> int:
    """The index of the worker that has this room, of `count` workers."""
    name = room_id.encode("utf-8", "surrogatepass")
    return max(range(count), key=lambda index: _score(name, index))


def _score(name: bytes, index: int) -> bytes:
    return hashlib.blake2b(name, digest_size=SCORE_BYTES, salt=index.to_bytes(4, "big")).digest()


def _open_channel() -> Channel:
    receiving, sending = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sending.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, QUEUE_BYTES)
    receiving.setblocking(False)
    sending.setblocking(False)
    return Channel(receiving, sending)
