"""What the scripts of the room memory store on Valkey read and answer. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from omnisonic.models import RoomId
from omnisonic.stores.room_memory import Claim, Claimed, Held, RoomRecord, RoomWrite, Unsettled
from omnisonic.stores.room_memory.valkey_scripts import PREFIX, history_key
from omnisonic.stores.valkey import Word

CLAIMED: Final = 1
HELD: Final = 0
UNSETTLED: Final = -1
"""How the answer to the claim of one room begins."""
_VALUE: Final = b"value:"


def keys_of(bucket: int, room_ids: Sequence[RoomId]) -> list[str]:
    """The history's key, and for each room of this bucket those of its record and its blocks."""
    keys = [history_key(bucket)]
    for room_id in room_ids:
        name = quote(room_id, safe="")
        keys += f"{PREFIX}{{{bucket}}}:record:{name}", f"{PREFIX}{{{bucket}}}:blocks:{name}"
    return keys


def append_words(words: list[Word], write: RoomWrite) -> None:
    """Append what the script reads for one write."""
    words.append(  # one word, because each costs time here and there
        f"{write.fence:d} {write.number:d} {write.after:d} {write.is_whole:d} {write.is_release:d}"
        f" {write.forget_before:d} {max(1, round(write.keep_s * 1000))} {len(write.values)} {len(write.blocks)}"
    )
    for name, content in write.values.items():
        words += _VALUE + name.encode(), content
    for offset, content in write.blocks:
        words += offset, content


def read_claim(kind: int, *rest: Any) -> Claim:
    """What the script answered for one room."""
    if kind == CLAIMED:
        return read_claimed(*rest)
    return Held(rest[0].decode()) if kind == HELD else Unsettled(rest[0] / 1000)


def read_claimed(
    fence: bytes,
    is_clean: int,
    count: int,
    before: bytes,
    age_ms: int,
    fields: Sequence[bytes],
    entries: Sequence[bytes],
) -> Claimed:
    """What the script answered for a room that was claimed, after the kind."""
    return Claimed(int(fence), _read(is_clean, count, age_ms, fields, entries), int(before))


def _read(
    is_clean: int, count: int, age_ms: int, fields: Sequence[bytes], entries: Sequence[bytes]
) -> RoomRecord | None:
    """The record of a claim's answer; None when nothing was ever written."""
    pairs = zip(fields[::2], fields[1::2], strict=True)
    values = {name[len(_VALUE) :].decode(): content for name, content in pairs if name.startswith(_VALUE)}
    if not values:
        return None
    has_all = len(entries) == 2 * count
    found = zip(entries[::2], entries[1::2], strict=True) if has_all else ()
    return RoomRecord(
        values,
        [(int(offset), content) for offset, content in found],
        has_all_blocks=has_all,
        is_clean=bool(is_clean),
        age_s=None if age_ms < 0 else age_ms / 1000,
    )


def in_order(buckets: Mapping[int, Sequence[int]], answers: Sequence[Sequence[Any]]) -> list[Any]:
    """The answers of all buckets in the order of the rooms."""
    placed = {
        at: answer
        for places, answered in zip(buckets.values(), answers, strict=True)
        for at, answer in zip(places, answered, strict=True)
    }
    return [placed[at] for at in range(len(placed))]


def longest_s(told: Sequence[Sequence[Any]]) -> float:
    """For how long the last of these histories is unsettled."""
    return max((int(unsettled_ms) for _, unsettled_ms in told), default=0) / 1000
