"""Which server of a cluster has which keys, as the cluster tells it. Pure.

The keys of a cluster are divided into `REDIS_CLUSTER_HASH_SLOTS` slots, by a hash of the key, or of the part of it in
braces (its *hash tag*). Commands that use several keys need all of them in one slot.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Final
from zlib import crc32

from redis.crc import key_slot

from omnisonic.stores.valkey.server import Address, Words

_KEYLESS: Final = frozenset({"PING", "INFO", "TIME", "ROLE", "CLUSTER"})
_UNKNOWN_HOSTS: Final = (b"", b"?", None)


def slot_of(words: Words) -> int | None:
    """The slot of a command, by its first key; None when it has no key."""
    if words[0] in _KEYLESS:
        return None
    if words[0] in ("EVAL", "EVALSHA"):
        return slot_of_key(words[3]) if int(words[2]) else None
    return slot_of_key(words[1])


def slot_of_key(key: bytes | str | int) -> int:
    """The slot of a key, or of a channel."""
    return key_slot(key if isinstance(key, bytes) else str(key).encode())


def bucket_of(name: str, buckets: int) -> int:
    """One of `buckets` numbers for `name`, the same in every process: for few hash tags, each with many names."""
    return crc32(name.encode(errors="surrogatepass")) % buckets


class SlotMap:
    """The primary of each slot."""

    def __init__(self, ranges: Sequence[tuple[int, int, Address]]) -> None:
        """`ranges` are the first slot, the last one, and the primary of both and all between."""
        self._ranges = sorted(ranges)
        self._firsts = [first for first, _, _ in self._ranges]
        self._moved: dict[int, Address] = {}

    def __bool__(self) -> bool:
        return bool(self._ranges)

    @property
    def addresses(self) -> list[Address]:
        """Every primary, once."""
        return list(dict.fromkeys([address for _, _, address in self._ranges] + list(self._moved.values())))

    def move(self, slot: int, address: Address) -> None:
        """One slot is at `address` now, as a server has said in its answer (MOVED)."""
        self._moved[slot] = address

    def find(self, slot: int) -> Address | None:
        """The primary of `slot`; None when the cluster has named none."""
        if slot in self._moved:
            return self._moved[slot]
        at = bisect_right(self._firsts, slot) - 1
        if at < 0 or slot > self._ranges[at][1]:
            return None
        return self._ranges[at][2]


def read_slots(answer: Sequence[Any], asked: Address) -> SlotMap:
    """The map in an answer to CLUSTER SLOTS by the server at `asked`, which may leave out its own name."""
    ranges = []
    for first, last, primary, *_ in answer:
        host = asked.host if primary[0] in _UNKNOWN_HOSTS else primary[0].decode()
        ranges.append((int(first), int(last), Address(host, int(primary[1]))))
    return SlotMap(ranges)
