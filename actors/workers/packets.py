"""The packets between the workers of one gateway, as bytes. Sans-IO.

A packet arrives whole or not at all (`SOCK_SEQPACKET`); some carry a descriptor (`SCM_RIGHTS`).
`sender` is the index of the worker that sent it. `run` is random for each process: an answer to an earlier process of
the same index is recognised and dropped.
"""

from typing import Final, TypeAlias

import msgspec

LARGEST_BYTES: Final = 131_072
"""A request head has 16 KiB at most, and 64 KiB may have been read together with its end."""


class _Packet(msgspec.Struct, frozen=True, array_like=True, tag=True):
    sender: int


class HandOver(_Packet, frozen=True):
    """Take this connection, whose descriptor comes with it, and what was read from it: `received`.

    `until_s` is on the machine's monotonic clock: later the sender answers the client itself.
    """

    run: bytes
    number: int
    until_s: float
    address: str
    received: bytes


class Taken(_Packet, frozen=True):
    """The connection `number` of the process `run` was taken; or it could not be."""

    run: bytes
    number: int
    is_refused: bool = False


class Started(_Packet, frozen=True):
    """A process of this index has started, and has no connections yet. Send it your counts."""


class Counts(_Packet, frozen=True):
    """How many connections the sender has in all, and from the addresses where that has changed."""

    connections: int
    addresses: dict[str, int]


class Ping(_Packet, frozen=True):
    """Are you there?"""

    number: int


class Pong(_Packet, frozen=True):
    """Yes."""

    number: int


class AskMetrics(_Packet, frozen=True):
    """Write your metrics to the socket that comes with it, and close it."""


Packet: TypeAlias = HandOver | Taken | Started | Counts | Ping | Pong | AskMetrics

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Packet)


def encode(packet: Packet) -> bytes:
    """The bytes of a packet."""
    return _encoder.encode(packet)


def decode(data: bytes) -> Packet:
    """The packet in `data`. Raises `msgspec.DecodeError`."""
    packet: Packet = _decoder.decode(data)
    return packet
