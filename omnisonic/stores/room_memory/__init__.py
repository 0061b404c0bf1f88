"""The room memory store: what a room needs to go on in another process (SPEC 5.2, Memory).

A **record** of a room holds named values, and **blocks**: one or several messages of the room's order together. All of
it is bytes that only the gateway reads. One owner at a time, which is one run of one gateway, writes a record. `claim`
makes a gateway the owner and returns what was there; `write` of an earlier owner is refused by its fencing number (as
in Kleppmann, "How to do distributed locking").

A record is **clean** when its last owner released it, and the store has lost nothing since. Only then may a room count
on from its offset. Otherwise messages may have been relayed that the record does not hold.

**Claims in a cluster** (SPEC 5.5). Where several gateways serve, each run has a **lease**, which it renews, and claims
only rooms that no other live run holds (`claim_unless_held`). A run holds a room from its claim until it releases or
forgets it, or until its lease ends. A run whose lease has ended never lives again, not even when it comes back: it
takes another name. So whoever sees that a lease has ended may take what the run held, without haste.

A run may act for its rooms only while it is **valid**: for `VALID_S` after it *sent* the last renewal that was answered
alive. The lease lasts longer, so that a run knows that its time is over before anybody else does. A store that may have
lost leases or claims is **unsettled** for a time: until all who were valid before have found out. Meanwhile nobody may
claim a room, but for the one who holds it, and shows its fencing number.

Blocks are kept for `blocks_ttl_s` after the last write, and the rest of the record for as long as the write says. A
record that was only claimed is kept for `CLAIM_TTL_S`. Who holds a room that does not change touches its record
(`touch`), or it would be gone while members are in the room. Adapters:
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
LEASE_S: Final = 3.0
"""How long a run lives after a renewal; and for how long a store that may have lost something is unsettled."""
VALID_S: Final = 2.0
"""How long a run may act for its rooms after it sent a renewal. Shorter than `LEASE_S` by what clocks may differ."""

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
        age_s: How many seconds ago it was written last, by the clock of the store; None when that is not known. The
            clocks of gateways may differ, so this is the only time that counts between them.
    """

    values: Mapping[str, bytes]
    blocks: Sequence[Block] = ()
    has_all_blocks: bool = True
    is_clean: bool = False
    age_s: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Claimed:
    """The room is the claimer's.

    Attributes:
        fence: The fencing number of the new owner.
        record: None when there was none.
        before: The fencing number of the record as it was; 0 for none. Whoever finds the number here that it had
            itself knows that nobody else has owned the room since.
    """

    fence: int
    record: RoomRecord | None
    before: int = 0


@dataclass(frozen=True, slots=True)
class Held:
    """Another run holds the room, and its lease lives."""

    owner: str


@dataclass(frozen=True, slots=True)
class Unsettled:
    """The store may have lost who holds the room. Ask again in `settled_in_s`, above 0."""

    settled_in_s: float


Claim: TypeAlias = Claimed | Held | Unsettled


@dataclass(frozen=True, slots=True)
class Renewal:
    """The answer to a renewal.

    Attributes:
        is_alive: False when the run is declared dead, for good.
        settled_in_s: For how long the store is unsettled from now on; 0 when it is not.
    """

    is_alive: bool
    settled_in_s: float = 0.0


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
        is_release: The owner writes no more, and holds the room no more. The record is clean.
        keep_s: How long the record is kept after this write, at least. A release keeps it exactly as long.
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
        """Make `owner` the only writer of these rooms' records, whoever it was before. For a gateway alone.

        Args:
            room_ids: The rooms.
            owner: Names one run of one gateway. For operators who look into the store.

        Returns:
            One for each room, in their order. The fencing number is above that of every other owner's claim before. An
            owner that claims again keeps its number.
        """
        ...

    async def claim_unless_held(
        self, room_ids: Sequence[RoomId], owner: str, *, fences: Mapping[RoomId, int] | None = None
    ) -> list[Claim]:
        """Make `owner`, whose lease lives, the only writer of those of these rooms that no other live run holds.

        Who claims again what it holds gets a new number, and nothing is written any more under the one before. A call
        that was given up may have claimed; then others find the room held by `owner`, and its next claim tells it so. A
        record that is held is kept for `RECORD_TTL_S`; write or touch it at least once in that time.

        Args:
            room_ids: The rooms.
            owner: The run.
            fences: The fencing numbers under which the caller holds rooms, also under another name. They let it claim
                these while the store is unsettled. It must be valid under that name when it calls: `VALID_S` have not
                passed since the last renewal that was answered alive.

        Returns:
            One for each room, in their order.

        Errors: `Unavailable` also when the lease of `owner` has ended, or the next renewal will say so. No claim counts
        then, but the record may not be clean any more.
        """
        ...

    async def renew(self, owner: str, info: bytes = b"", *, begins: bool = False, ttl_s: float = LEASE_S) -> Renewal:
        """Let the lease of this run last for `ttl_s` from now on.

        Args:
            owner: The run. Renew through the store object through which it began.
            info: What `gateways` tells of it.
            begins: This is a new run. Its name must never have been used; after an error, take another one.
            ttl_s: As long for all runs. A run is valid for a shorter time.

        Returns:
            Not alive when the lease has ended, or when the store may have lost claims of this run; then end it, so that
            nobody waits for its end. Also when a run of this name has begun already.
        """
        ...

    async def end(self, owner: str) -> None:
        """End the lease of this run now: others may claim what it holds."""
        ...

    async def live(self, owners: Sequence[str]) -> list[bool]:
        """Whether the leases of these runs live. An unsettled store may have lost one."""
        ...

    async def holders(self, room_ids: Sequence[RoomId]) -> list[str | None]:
        """The run that holds each of these rooms; None where none does whose lease lives."""
        ...

    async def gateways(self) -> dict[str, bytes]:
        """Every run whose lease lives, with its `info`."""
        ...

    async def write(self, writes: Sequence[RoomWrite]) -> list[Outcome]:
        """Apply these writes, each whole or not at all. The caller bounds the size of the call.

        Returns:
            One for each write, in their order.
        """
        ...

    async def touch(self, fences: Mapping[RoomId, int], keep_s: float = RECORD_TTL_S) -> dict[RoomId, Outcome]:
        """Keep the records of these rooms for `keep_s` from now on, unless they were released, or longer.

        Blocks are kept no longer for it.

        Args:
            fences: The fencing numbers under which the caller holds the rooms. The caller bounds how many.
            keep_s: In seconds.

        Returns:
            For each room, what would become of a write: `WRITTEN`, when the record is there and is kept.
        """
        ...

    async def forget(self, room_ids: Sequence[RoomId]) -> None:
        """Remove the records of these rooms, which nobody holds any more. Their owners get `Outcome.EMPTIED`."""
        ...

    async def beat(self, owner: str) -> bool:
        """Record that `owner` lives. False when the store did not know it: it is new, or the store was emptied."""
        ...

    async def aclose(self) -> None:
        """Close the connections. Safe to call twice."""
        ...
