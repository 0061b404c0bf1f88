"""The letters between the workers of one gateway, as bytes. Sans-IO.

A letter is one packet (`SOCK_SEQPACKET`), so it arrives whole or not at all; some carry a descriptor (`SCM_RIGHTS`).
`sender` is the index of the worker that sent it. `run` is random for each process: an answer to an earlier process of
the same index is recognised and dropped.
"""

from typing import Final, TypeAlias

import msgspec

LARGEST_BYTES: Final = 65_536
"""A request head and as many early bytes are half of it."""


class _Letter(msgspec.Struct, frozen=True, array_like=True, tag=True):
    sender: int


class HandOver(_Letter, frozen=True):
    """Take this connection, whose descriptor comes with it, and what was read from it: `received`.

    `until_s` is on the machine's monotonic clock: later the sender answers the client itself.
    """

    run: bytes
    number: int
    until_s: float
    address: str
    received: bytes


class Taken(_Letter, frozen=True):
    """The connection `number` of the process `run` was taken; or it could not be."""

    run: bytes
    number: int
    is_refused: bool = False


class Hello(_Letter, frozen=True):
    """A process of this index has started, and has no connections yet. Send it your counts."""


class Counts(_Letter, frozen=True):
    """How many connections the sender has in all, and from the addresses where that has changed."""

    connections: int
    addresses: dict[str, int]


class Ping(_Letter, frozen=True):
    """Are you there?"""

    number: int


class Pong(_Letter, frozen=True):
    """Yes."""

    number: int


class AskMetrics(_Letter, frozen=True):
    """Write your metrics to the socket that comes with it, and close it."""


Letter: TypeAlias = HandOver | Taken | Hello | Counts | Ping | Pong | AskMetrics

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Letter)


def encode(letter: Letter) -> bytes:
    """The bytes of a letter."""
    return _encoder.encode(letter)


def decode(data: bytes) -> Letter:
    """The letter in `data`. Raises `msgspec.DecodeError`."""
    letter: Letter = _decoder.decode(data)
    return letter
