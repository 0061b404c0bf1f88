"""The room memory store: what a room needs to go on in another process (SPEC 5.2, Memory).

A **record** of a room holds named values, and **blocks**: one or several messages of the room's order together. All of
it is bytes that only the gateway reads. One owner at a time, which is one run of one gateway, writes a record. `claim`
makes a gateway the owner and returns what was there; `write` of an earlier owner is refused by its fencing number (as
in Kleppmann, "How to do distributed locking").

A record is **clean** when its last owner released it, and the store has lost nothing since. Only then may a room count
on from its offset. Otherwise messages may have been relayed that the record does not hold.

Blocks are kept for `blocks_ttl_s` after the last write, and the rest of the record for as long as the write says. A
record that was only claimed is kept for `CLAIM_TTL_S`. Adapters:
`omnisonic.stores.room_memory.memory` (in this process) and `omnisonic.stores.room_memory.valkey` (shared). The one in
memory never suspends and works under trio and asyncio; the other is asyncio code, and
`omnisonic.stores.room_memory.threaded` brings it to a trio program.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol, TypeAlias

from omnisonic.models import RoomId

RECORD_TTL_S: Final = 7 * 86_400.0
"""How long a record is kept after its last write, so that rooms to which nobody comes back are removed."""
CLAIM_TTL_S: Final = 600.0
"""How long a record is kept in which nothing was ever written."""
BEAT_TTL_S: Final = 60.0
"""How long an owner is known after a beat."""
BLOCKS_TTL_S: Final = 900.0
"""How long blocks are kept after the last write, where nothing else is said."""

Block: TypeAlias = tuple[int, bytes]
"""The offset of the last message in it, above 0, and its content."""


@dataclass(frozen=True, slots=True)
class RoomRecord:
    """What the store holds of one room.

    Attributes:
        values: The values by name, as written last.
        blocks: The blocks in the order of their offsets.
        has_all_blocks: False when blocks are missing that were written and not forgotten: their time has passed, or
            the store dropped them. `blocks` is empty then.
        is_clean: Whether the last owner released the record, and the store has lost nothing since.
    """

    values: Mapping[str, bytes]
    blocks: Sequence[Block] = ()
    has_all_blocks: bool = True
    is_clean: bool = False


@dataclass(frozen=True, slots=True)
class Claimed:
    """The answer to a claim: the fencing number of the new owner, and the record; None when there was none."""

    fence: int
    record: RoomRecord | None


@dataclass(frozen=True, slots=True)
class RoomWrite:
    """One change of one record.

    Attributes:
        room_id: The room.
        fence: The fencing number of the claim.
        number: Above 0, and higher in each of the owner's writes to this record. A write that arrives again, or after
            a later one, is not applied.
        after: The number of the last write that was answered `WRITTEN`; 0 for none. A store that does not know it has
            gone back to an older state.
        values: The values to set. The others stay.
        blocks: The blocks to append, in rising order, all above those in the record.
        forget_before: Blocks with a lower offset are removed.
        is_whole: The record becomes what this write says, and nothing of an earlier one is left. Needed for the first
            write of a new epoch, and after `Outcome.EMPTIED`.
        is_release: The owner writes no more. The record is clean.
        keep_s: How long the record is kept after this write.
    """

    room_id: RoomId
    fence: int
    number: int
    values: Mapping[str, bytes] = field(default_factory=dict)
    blocks: Sequence[Block] = ()
    forget_before: int = 0
    after: int = 0
    is_whole: bool = False
    is_release: bool = False
    keep_s: float = RECORD_TTL_S


class Outcome(Enum):
    """What became of a write."""

    WRITTEN = "written"
    LOST = "lost"
    """Another owner has claimed the room. Nothing is written, and nothing will be."""
    EMPTIED = "emptied"
    """The store has lost the record, or part of it. Nothing is written; write the whole record."""


class RoomMemoryStore(Protocol):
    """Records of rooms.

    Errors: every method may raise `Unavailable` when the store does not answer. Nothing is retried here; the caller
    decides, and calls are safe to repeat.

    Attributes:
        outlives_process: Whether the records are still there when this process has ended.
    """

    @property
    def outlives_process(self) -> bool: ...

    async def claim(self, room_ids: Sequence[RoomId], owner: str) -> list[Claimed]:
        """Make `owner` the only writer of these rooms' records, whoever it was before. One round trip.

        Args:
            room_ids: The rooms.
            owner: Names one run of one gateway. For operators who look into the store.

        Returns:
            One for each room, in their order. The fencing number is above that of every other owner's claim before. An
            owner that claims again keeps its number.
        """
        ...

    async def write(self, writes: Sequence[RoomWrite]) -> list[Outcome]:
        """Apply these writes, each whole or not at all. One round trip; the caller bounds its size.

        Returns:
            One for each write, in their order.
        """
        ...

    async def forget(self, room_ids: Sequence[RoomId]) -> None:
        """Remove the records of these rooms. Their owners get `Outcome.EMPTIED`."""
        ...

    async def beat(self, owner: str) -> bool:
        """Record that `owner` lives. False when the store did not know it: it is new, or the store was emptied."""
        ...

    async def aclose(self) -> None:
        """Close the connections. Safe to call twice."""
        ...
