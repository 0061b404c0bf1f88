"""The room memory store on Valkey, or Redis 7 and later: shared by all gateways. Asyncio.

Keys, all beginning `omnisonic:memory:{BUCKET}:`, the room percent-encoded so that no two names collide:
- `record:ROOM`: a hash: `fence`, `number`, `owner`, the owner's `call` that claimed it, how many `blocks` there are,
  when it was `written` last by the clock of the server, in which history of the server it was `released`, and the
  values, each name after `value:`. It is held by its owner unless it was released;
- `blocks:ROOM`: a stream with the offset of each block as its id;
- `beat:OWNER`: exists while the owner lives, unless the server was emptied; in bucket 0;
- `history`: a hash, by which a server that has gone back to an older state is known. In bucket 0 it has the leases.

On a single server there is one bucket. In a cluster there are `BUCKETS`, and `{BUCKET}` makes each live on one server
whole. No key is ever without a time to live, and each step within a bucket is one script, so that two gateways never
own one record.

A server that restarts, or a replica that takes over, may come back with an older state. Then a record may say that it
was released although its room went on afterwards. So `released` names the history, which begins anew with each run of
the server (`run_id` in INFO) and when the history is lost, and a record that was released in another one is not clean.
The supervisor of a server that keeps everything over its restarts says so with `continue_history`.

**Leases.** A claim needs the record and the lease of its owner, which may be on different servers. That is safe in
three steps, because a lease that has ended never lives again: read the owner, see that its lease has ended, and claim
from exactly this owner. At last the claimer's own lease is looked at: if it lives, nobody can have taken the room in
between.

Histories tell what may be lost. A run knows those of all buckets from when it began. Its claims are done in no other,
and a renewal that finds another one declares it dead. So a run is valid only while all that it relies on was there a
moment ago. A bucket whose history has just begun is unsettled, and nobody new gets a room there; leases that are
missing in an unsettled bucket count as living. Once it has settled, no run is valid any more that relied on what it
lost. The holder of a room is valid when it shows its fencing number, so nobody else is; then it may have the room
before.

What this cannot see: an old primary that still answers some gateways, although a replica was promoted in its place (set
`min-replicas-to-write`, or `cluster-node-timeout` where it is a cluster); records that a server short of memory drops
by itself (set `maxmemory-policy noeviction`); and a clock of the server that jumps ahead by a second or more.

Overload and crash of the server: `Unavailable` (`omnisonic.stores.valkey`). A call whose deadline has passed may still
be done, but not a write after a later one or after a later claim, nor a claim after a later one. A server that comes
back empty, or that has dropped a key of its own accord, answers writes with `Outcome.EMPTIED`. Shutdown: `aclose`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from omnisonic.errors import Unavailable
from omnisonic.models import RoomId
from omnisonic.stores.room_memory import (
    BEAT_TTL_S,
    BLOCKS_TTL_S,
    CLAIM_TTL_S,
    LEASE_S,
    RECORD_TTL_S,
    Claim,
    Claimed,
    Outcome,
    Renewal,
    RoomMemoryStore,
    RoomWrite,
)
from omnisonic.stores.room_memory import lease_scripts as leases
from omnisonic.stores.room_memory import valkey_scripts as scripts
from omnisonic.stores.room_memory.valkey_words import (
    HELD,
    UNSETTLED,
    append_words,
    in_order,
    keys_of,
    longest_s,
    read_claim,
    read_claimed,
)
from omnisonic.stores.valkey import ValkeyClient, Word, bucket_of

BUCKETS: Final = 64
"""In a cluster: enough to spread rooms over its servers, and few enough to look at all of them in each renewal."""
RUNS: Final = 16
"""One gateway has one run at a time; the last ones are kept, for those that have not been ended."""
TIMEOUT_S: Final = 0.5
"""A record may hold a megabyte, and a room waits this long for it at most (DESIGN 7)."""
CONNECTIONS: Final = 8

_RECORD_MS: Final = round(RECORD_TTL_S * 1000)
_CLAIM_MS: Final = round(CLAIM_TTL_S * 1000)
_BEAT_MS: Final = round(BEAT_TTL_S * 1000)
_HAS_ENDED: Final = "The lease of this gateway has ended."
_RUN_IS_NOT_TOLD: Final = "A Redis server does not tell its run: permit the user in REDIS_URL the command INFO."
_OUTCOMES: Final = {1: Outcome.WRITTEN, 0: Outcome.LOST, -1: Outcome.EMPTIED}


class ValkeyRoomMemory:
    """A `RoomMemoryStore` on the server, or the cluster of servers, at `url`.

    Each call has a deadline of `timeout_s`, and is one round trip to each server. `claim_unless_held` takes two, or
    four when it finds an owner that is dead; `renew` takes two in a cluster.

    Errors: `Unavailable` from every method; `InvalidInput` when `url` is not a Redis URL.

    Args:
        url: Where.
        blocks_ttl_s: How long blocks are kept after the last write.
        timeout_s: The deadline.
        settle_s: For how long a store that may have lost something is unsettled: at least as long as a run is valid.
    """

    def __init__(
        self,
        url: str,
        *,
        blocks_ttl_s: float = BLOCKS_TTL_S,
        timeout_s: float = TIMEOUT_S,
        settle_s: float = LEASE_S,
    ) -> None:
        self._valkey = ValkeyClient(url, timeout_s=timeout_s, connections=CONNECTIONS)
        self._timeout_s = timeout_s
        self._blocks_ms = max(1, round(blocks_ttl_s * 1000))
        self._settle_ms = round(settle_s * 1000)
        self._histories: dict[str, list[bytes]] = {}
        """The history of each bucket, as it was when a run began."""
        self._call = 0

    @property
    def outlives_process(self) -> bool:
        return True

    async def claim(self, room_ids: Sequence[RoomId], owner: str) -> list[Claimed]:
        answers = await self._claim(room_ids, owner, _CLAIM_MS)
        return [read_claimed(*rest) for _, *rest in answers]

    async def claim_unless_held(
        self, room_ids: Sequence[RoomId], owner: str, *, fences: Mapping[RoomId, int] | None = None
    ) -> list[Claim]:
        if not room_ids:
            return []
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._claim_unless_held(room_ids, owner, fences or {})
        except TimeoutError as failure:
            raise self._valkey.unavailable(failure) from failure

    async def write(self, writes: Sequence[RoomWrite]) -> list[Outcome]:
        buckets = await self._sort([write.room_id for write in writes])
        calls: list[list[Word]] = []
        for bucket, places in buckets.items():
            keys = keys_of(bucket, [writes[at].room_id for at in places])
            words: list[Word] = ["EVAL", scripts.WRITE, len(keys), *keys, _RECORD_MS, self._blocks_ms]
            for at in places:
                append_words(words, writes[at])
            calls.append(words)
        answers = in_order(buckets, await self._valkey.commands(calls))
        return [_OUTCOMES[answer] for answer in answers]

    async def touch(self, fences: Mapping[RoomId, int], keep_s: float = RECORD_TTL_S) -> dict[RoomId, Outcome]:
        room_ids, buckets = list(fences), await self._sort(list(fences))
        calls: list[list[Word]] = []
        for bucket, places in buckets.items():
            rooms = [room_ids[at] for at in places]
            history, *keys = keys_of(bucket, rooms)
            words: list[Word] = [history, *keys[::2], _RECORD_MS, max(1, round(keep_s * 1000))]
            calls.append(["EVAL", scripts.TOUCH, 1 + len(rooms), *words, *(fences[room] for room in rooms)])
        answers = in_order(buckets, await self._valkey.commands(calls))
        return {room: _OUTCOMES[answer] for room, answer in zip(room_ids, answers, strict=True)}

    async def forget(self, room_ids: Sequence[RoomId]) -> None:
        buckets = await self._sort(room_ids)
        calls: list[list[Word]] = [
            ["DEL", *keys_of(bucket, [room_ids[at] for at in places])[1:]] for bucket, places in buckets.items()
        ]
        await self._valkey.commands(calls)

    async def renew(self, owner: str, info: bytes = b"", *, begins: bool = False, ttl_s: float = LEASE_S) -> Renewal:
        began_in = self._histories.get(owner, [b""])
        words = [_RECORD_MS, self._settle_ms]
        settled: list[list[Word]] = [
            ["EVAL", leases.SETTLED, 1, scripts.history_key(bucket), *words]
            for bucket in range(1, await self._count_buckets())
        ]
        told = await self._valkey.commands(settled)
        others = [history for history, _ in told]
        if not all(others):
            raise Unavailable(_RUN_IS_NOT_TOLD)
        if not begins and others != began_in[1:]:
            # The lease is left to end by itself: this answer may never arrive, and the run is valid until it does.
            return Renewal(is_alive=False, settled_in_s=longest_s(told))
        ttl_ms = max(1, round(ttl_s * 1000))
        is_alive, first, unsettled_ms = await self._first_bucket(
            leases.RENEW, *words, owner, int(begins), began_in[0], ttl_ms, info
        )
        if not first:
            raise Unavailable(_RUN_IS_NOT_TOLD)
        if is_alive and begins:
            self._histories[owner] = [first, *others]
            if len(self._histories) > RUNS:
                del self._histories[next(iter(self._histories))]
        return Renewal(bool(is_alive), longest_s([*told, (first, unsettled_ms)]))

    async def end(self, owner: str) -> None:
        await self._first_bucket(leases.END, owner)
        self._histories.pop(owner, None)

    async def live(self, owners: Sequence[str]) -> list[bool]:
        _, _, *lives = await self._live(*owners)
        return list(map(bool, lives))

    async def holders(self, room_ids: Sequence[RoomId]) -> list[str | None]:
        count = await self._count_buckets()
        records = [keys_of(0 if count == 1 else bucket_of(room_id, count), [room_id])[1] for room_id in room_ids]
        found = await self._valkey.commands([["HMGET", record, "owner", "released"] for record in records])
        holders = [None if released else owner for owner, released in found]
        known = list({holder for holder in holders if holder is not None})
        _, _, *lives = await self._live(*known)
        alive = {holder: holder.decode() for holder, lives_on in zip(known, lives, strict=True) if lives_on}
        return [alive.get(holder) for holder in holders]

    async def gateways(self) -> dict[str, bytes]:
        answer = await self._first_bucket(leases.GATEWAYS)
        return {owner.decode(): info for owner, info in zip(answer[::2], answer[1::2], strict=True)}

    async def beat(self, owner: str) -> bool:
        key = f"{scripts.PREFIX}{{0}}:beat:{quote(owner, safe='')}"
        return await self._valkey.command("SET", key, "1", "PX", _BEAT_MS, "GET") is not None

    async def knows_run(self) -> bool:
        """Whether the server tells its run. If it does not, no record is ever clean. Errors: `Unavailable`."""
        return bool(await self._first_bucket(scripts.KNOWS_RUN))

    async def aclose(self) -> None:
        await self._valkey.aclose()

    async def _claim_unless_held(
        self, room_ids: Sequence[RoomId], owner: str, fences: Mapping[RoomId, int]
    ) -> list[Claim]:
        began_in = self._histories.get(owner)
        if began_in is None:
            raise Unavailable(_HAS_ENDED)
        answers = await self._claim(room_ids, owner, _RECORD_MS, began_in=began_in, fences=fences)
        holders = {answer[1] for answer in answers if answer[0] == HELD}
        history, unsettled_ms, is_alive, *lives = await self._live(owner, *holders)
        dead = [holder for holder, lives_on in zip(holders, lives, strict=True) if not lives_on]
        left = [at for at, answer in enumerate(answers) if answer[0] == HELD and answer[1] in dead]
        if left and unsettled_ms:
            for at in left:
                answers[at] = [UNSETTLED, unsettled_ms]
        elif left:
            rooms = [room_ids[at] for at in left]
            again = await self._claim(rooms, owner, _RECORD_MS, began_in=began_in, fences=fences, dead=dead)
            for at, answer in zip(left, again, strict=True):
                answers[at] = answer
            history, _, is_alive = await self._live(owner)
        if not is_alive or history != began_in[0]:
            raise Unavailable(_HAS_ENDED)
        return [read_claim(*answer) for answer in answers]

    async def _live(self, *owners: Word) -> list[Any]:
        """The history of the leases, for how many milliseconds it is unsettled, and whether each of these lives."""
        answer: list[Any] = await self._first_bucket(leases.LIVE, _RECORD_MS, self._settle_ms, *owners)
        return answer

    async def _claim(
        self,
        room_ids: Sequence[RoomId],
        owner: str,
        record_ms: int,
        *,
        began_in: Sequence[bytes] = (),
        fences: Mapping[RoomId, int] | None = None,
        dead: Sequence[Word] = (),
    ) -> list[list[Any]]:
        """What the script says of each room. Rooms that others hold are left to them when there is a `began_in`."""
        self._call = call = self._call + 1
        buckets = await self._sort(room_ids)
        calls: list[list[Word]] = []
        for bucket, places in buckets.items():
            rooms = [room_ids[at] for at in places]
            keys = keys_of(bucket, rooms)
            history = began_in[bucket] if began_in else b""
            words: list[Word] = [owner, _RECORD_MS, record_ms, self._settle_ms, history, call]
            shown = [(fences or {}).get(room_id, 0) for room_id in rooms]
            calls.append(["EVAL", scripts.CLAIM, len(keys), *keys, *words, len(dead), *dead, *shown])
        answers = await self._valkey.commands(calls)
        if not all(answers):
            raise Unavailable(_HAS_ENDED)
        return in_order(buckets, answers)

    async def _sort(self, room_ids: Sequence[RoomId]) -> dict[int, list[int]]:
        """The buckets of these rooms, each with the places of its rooms in the sequence."""
        if not room_ids:
            return {}
        count = await self._count_buckets()
        if count == 1:
            return {0: list(range(len(room_ids)))}
        buckets: dict[int, list[int]] = {}
        for at, room_id in enumerate(room_ids):
            buckets.setdefault(bucket_of(room_id, count), []).append(at)
        return buckets

    async def _count_buckets(self) -> int:
        return BUCKETS if await self._valkey.is_cluster() else 1

    async def _first_bucket(self, script: str, *words: Word) -> Any:
        return await self._valkey.command("EVAL", script, 1, scripts.history_key(), *words)


_fits: type[RoomMemoryStore] = ValkeyRoomMemory
