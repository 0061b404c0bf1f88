"""The room memory store on Valkey, or Redis 7 and later: shared by all gateways. Asyncio.

Keys, all beginning `omnisonic:memory:`, the room percent-encoded so that no two names collide:
- `record:ROOM`: a hash: `fence`, `number`, `owner`, how many `blocks` there are, in which history of the server it
  was `released`, and the values, each name after `value:`;
- `blocks:ROOM`: a stream with the offset of each block as its id;
- `beat:OWNER`: exists while the owner lives, unless the server was emptied;
- `history`: a hash, by which a server that has gone back to an older state is known.

No key is ever without a time to live, and each step is one script, so that two gateways never own one record.

A server that restarts may come back with an older state. Then a record may say that it was released although its room
went on afterwards. So `released` names the run of the server (`run_id` in INFO), and a record that was released in
another run is not clean. The supervisor of a server that keeps everything over its restarts says so with
`continue_history`.

Overload and crash of the server: `Unavailable` (`omnisonic.stores.valkey`). A write whose deadline has passed may still
be done, but not after a later one. A server that comes back empty, or that has dropped a key of its own accord, answers
writes with `Outcome.EMPTIED`. Shutdown: `aclose`.
"""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from omnisonic.models import RoomId
from omnisonic.stores.room_memory import (
    BEAT_TTL_S,
    BLOCKS_TTL_S,
    CLAIM_TTL_S,
    RECORD_TTL_S,
    Claimed,
    Outcome,
    RoomMemoryStore,
    RoomRecord,
    RoomWrite,
)
from omnisonic.stores.room_memory import valkey_scripts as scripts
from omnisonic.stores.valkey import ValkeyClient

TIMEOUT_S: Final = 0.5
"""A record may hold a megabyte, and a room waits this long for it at most (DESIGN 7)."""
CONNECTIONS: Final = 8

_VALUE: Final = b"value:"
_RECORD_MS: Final = round(RECORD_TTL_S * 1000)
_CLAIM_MS: Final = round(CLAIM_TTL_S * 1000)
_BEAT_MS: Final = round(BEAT_TTL_S * 1000)
_OUTCOMES: Final = {1: Outcome.WRITTEN, 0: Outcome.LOST, -1: Outcome.EMPTIED}


class ValkeyRoomMemory:
    """A `RoomMemoryStore` on the server at `url`. Each call is one round trip with a deadline of `timeout_s`.

    Errors: `Unavailable` from every method; `InvalidInput` when `url` is not a Redis URL.
    """

    def __init__(self, url: str, *, blocks_ttl_s: float = BLOCKS_TTL_S, timeout_s: float = TIMEOUT_S) -> None:
        self._valkey = ValkeyClient(url, timeout_s=timeout_s, connections=CONNECTIONS)
        self._blocks_ms = max(1, round(blocks_ttl_s * 1000))

    @property
    def outlives_process(self) -> bool:
        return True

    async def claim(self, room_ids: Sequence[RoomId], owner: str) -> list[Claimed]:
        if not room_ids:
            return []
        answers = await self._run(scripts.CLAIM, _keys(room_ids), owner, _RECORD_MS, _CLAIM_MS)
        return [Claimed(int(fence), _read(*rest)) for fence, *rest in answers]

    async def write(self, writes: Sequence[RoomWrite]) -> list[Outcome]:
        if not writes:
            return []
        words: list[bytes | str | int] = [_RECORD_MS, self._blocks_ms]
        for write in writes:
            _append_words(words, write)
        answers = await self._run(scripts.WRITE, _keys([write.room_id for write in writes]), *words)
        return [_OUTCOMES[answer] for answer in answers]

    async def forget(self, room_ids: Sequence[RoomId]) -> None:
        if room_ids:
            await self._valkey.command("DEL", *_keys(room_ids)[1:])

    async def beat(self, owner: str) -> bool:
        key = f"{scripts.PREFIX}beat:{quote(owner, safe='')}"
        earlier = await self._valkey.command("SET", key, "1", "PX", _BEAT_MS, "GET", get=True)
        return earlier is not None

    async def knows_run(self) -> bool:
        """Whether the server tells its run. If it does not, no record is ever clean. Errors: `Unavailable`."""
        return bool(await self._run(scripts.KNOWS_RUN, ()))

    async def aclose(self) -> None:
        await self._valkey.aclose()

    async def _run(self, script: str, keys: Sequence[str], *words: bytes | str | int) -> Any:
        return await self._valkey.command("EVAL", script, len(keys), *keys, *words)


def _keys(room_ids: Sequence[RoomId]) -> list[str]:
    """The history's key, and for each room those of its record and its blocks."""
    keys = [scripts.HISTORY_KEY]
    for room_id in room_ids:
        name = quote(room_id, safe="")
        keys += f"{scripts.PREFIX}record:{name}", f"{scripts.PREFIX}blocks:{name}"
    return keys


def _append_words(words: list[bytes | str | int], write: RoomWrite) -> None:
    """Append what the script reads for one write."""
    words.append(  # one word, because each costs time here and there
        f"{write.fence:d} {write.number:d} {write.after:d} {write.is_whole:d} {write.is_release:d}"
        f" {write.forget_before:d} {max(1, round(write.keep_s * 1000))} {len(write.values)} {len(write.blocks)}"
    )
    for name, content in write.values.items():
        words += _VALUE + name.encode(), content
    for offset, content in write.blocks:
        words += offset, content


def _read(is_clean: int, count: int, fields: Sequence[bytes], entries: Sequence[bytes]) -> RoomRecord | None:
    """The record of a claim's answer; None when nothing was ever written."""
    pairs = zip(fields[::2], fields[1::2], strict=True)
    values = {name[len(_VALUE) :].decode(): content for name, content in pairs if name.startswith(_VALUE)}
    if not values:
        return None
    if len(entries) != 2 * count:
        return RoomRecord(values, [], has_all_blocks=False, is_clean=bool(is_clean))
    blocks = [(int(offset), content) for offset, content in zip(entries[::2], entries[1::2], strict=True)]
    return RoomRecord(values, blocks, is_clean=bool(is_clean))


_fits: type[RoomMemoryStore] = ValkeyRoomMemory
