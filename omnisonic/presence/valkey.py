"""The presence store on Valkey, or Redis 7 and later: shared by every gateway and web process. Asyncio.

Keys, all beginning `omnisonic:presence:`, every part of a name percent-encoded so that no two names can meet:
- `roster:ROOM:OWNER` and `lease:ROOM:MEMBER`: strings of JSON, each with its own time to live;
- `room:ROOM`: a set, the index of the above for one room;
- `owner:OWNER`: a set of the rooms in which the owner has a roster, for `forget_owner`;
- `beat:OWNER`: there while the owner lives, and the store has not been emptied.

Every set lives as long as the longest-lived key it names and no longer, so no key is ever without a time to live. The
scripts are what makes each step whole: a reader that prunes the index cannot drop what a writer is just adding, and a
connection that breaks leaves a change done or not done. They also make a hundred rooms one command and one answer,
which matters where this runs in a thread beside the rooms.

Overload and crash of the server: `Unavailable` (`omnisonic.valkey`). A chunk that was given up may still be written
later, by a server that hung, but never after a call made later has succeeded. Malformed entries are passed over.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from omnisonic.models import MemberId, PresenceMember, RoomId
from omnisonic.presence import Lease, PresenceStore
from omnisonic.presence.merging import merged
from omnisonic.valkey import TIMEOUT_S, ValkeyClient

CHUNK_ROOMS: Final = 100
CHUNK_BYTES: Final = 262_144
"""Rosters sent in one command: few enough that the server is not held up, and that one deadline is enough for them."""

_PREFIX: Final = "omnisonic:presence:"

_OUTLIVE: Final = """
local function outlive(set, ttl_ms)
    redis.call('PEXPIRE', set, ttl_ms, 'NX')
    redis.call('PEXPIRE', set, ttl_ms, 'GT')
end
"""

_WRITE_ROSTERS: Final = (
    _OUTLIVE
    + """
-- KEYS: the owner's set, then for each room its index and the roster. ARGV: ttl, then for each its name and the JSON.
local owner, ttl_ms = KEYS[1], ARGV[1]
for i = 2, #KEYS, 2 do
    local index, roster, room, json = KEYS[i], KEYS[i + 1], ARGV[i], ARGV[i + 1]
    if json == '' then
        redis.call('DEL', roster)
        redis.call('SREM', index, roster)
        redis.call('SREM', owner, room)
    else
        redis.call('SET', roster, json, 'PX', ttl_ms)
        redis.call('SADD', index, roster)
        redis.call('SADD', owner, room)
        outlive(index, ttl_ms)
    end
end
outlive(owner, ttl_ms)
"""
)

_FORGET_OWNER: Final = """
-- KEYS: the owner's set, the owner's beat. ARGV: prefix, owner.
for _, room in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    local roster = ARGV[1] .. 'roster:' .. room .. ':' .. ARGV[2]
    redis.call('DEL', roster)
    redis.call('SREM', ARGV[1] .. 'room:' .. room, roster)
end
redis.call('DEL', KEYS[1], KEYS[2])
"""

_PUT_LEASE: Final = (
    _OUTLIVE
    + """
-- KEYS: the room's index, the lease. ARGV: ttl, JSON.
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[1])
redis.call('SADD', KEYS[1], KEYS[2])
outlive(KEYS[1], ARGV[1])
-- An index that nobody reads must not grow without end: each lease put in looks at three others.
for _, key in ipairs(redis.call('SRANDMEMBER', KEYS[1], 3)) do
    if redis.call('EXISTS', key) == 0 then
        redis.call('SREM', KEYS[1], key)
    end
end
"""
)

_DROP_LEASE: Final = """
-- KEYS: the room's index, the lease.
redis.call('SREM', KEYS[1], KEYS[2])
return redis.call('DEL', KEYS[2])
"""

_READ_ROOM: Final = """
-- KEYS: the room's index. Returns name, JSON and milliseconds left of each entry.
local entries = {}
for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    local json = redis.pcall('GET', key)
    if type(json) == 'string' then
        entries[#entries + 1] = {key, json, redis.call('PTTL', key)}
    else
        redis.call('SREM', KEYS[1], key)
    end
end
return entries
"""

T = TypeVar("T")

_encoder: Final = msgspec.json.Encoder()
_roster_decoder: Final = msgspec.json.Decoder(list[PresenceMember])
_lease_decoder: Final = msgspec.json.Decoder(PresenceMember)


class ValkeyPresence:
    """A `PresenceStore` on the server at `url`.

    Each round trip has a deadline of `timeout_s`; only `write_rosters` of more than `CHUNK_ROOMS` rooms (or
    `CHUNK_BYTES`) makes more than one, and stops at the first that fails. Errors: `Unavailable` from every method;
    `InvalidInput` when `url` is not a Redis URL.
    """

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._valkey = ValkeyClient(url, timeout_s=timeout_s)

    async def write_rosters(
        self, owner: str, rosters: Mapping[RoomId, Sequence[PresenceMember]], *, ttl_s: float
    ) -> None:
        for chunk in _chunks(rosters):
            keys: list[str] = [_key("owner", owner)]
            words: list[bytes | str | int] = [_milliseconds(ttl_s)]
            for room, json in chunk:
                keys += _key("room", room), _key("roster", room, owner)
                words += _quoted(room), json
            await self._run(_WRITE_ROSTERS, keys, *words)

    async def forget_owner(self, owner: str) -> None:
        keys = [_key("owner", owner), _key("beat", owner)]
        await self._run(_FORGET_OWNER, keys, _PREFIX, _quoted(owner))

    async def beat(self, owner: str, *, ttl_s: float) -> bool:
        key = _key("beat", owner)
        earlier = await self._valkey.command("SET", key, "1", "PX", _milliseconds(ttl_s), "GET", get=True)
        return earlier is not None

    async def put_lease(self, room: RoomId, member: PresenceMember, *, ttl_s: float) -> None:
        keys = [_key("room", room), _key("lease", room, member.member_id)]
        await self._run(_PUT_LEASE, keys, _milliseconds(ttl_s), _encoder.encode(member))

    async def drop_lease(self, room: RoomId, member_id: MemberId) -> bool:
        return bool(await self._run(_DROP_LEASE, [_key("room", room), _key("lease", room, member_id)]))

    async def leases(self, room: RoomId) -> list[Lease]:
        _, leases = await self._read(room)
        return sorted(leases, key=lambda lease: lease.member.member_id)

    async def members(self, room: RoomId) -> list[PresenceMember]:
        rosters, leases = await self._read(room)
        return merged(rosters, (lease.member for lease in leases))

    async def ping(self) -> None:
        await self._valkey.command("PING")

    async def aclose(self) -> None:
        await self._valkey.aclose()

    async def _run(self, script: str, keys: Sequence[str], *words: bytes | str | int) -> Any:
        return await self._valkey.command("EVAL", script, len(keys), *keys, *words)

    async def _read(self, room: RoomId) -> tuple[list[list[PresenceMember]], list[Lease]]:
        """The room's rosters and leases, without those that cannot be read."""
        rosters: list[list[PresenceMember]] = []
        leases: list[Lease] = []
        roster_key = _key("roster", room, "").encode()
        for key, json, left_ms in await self._run(_READ_ROOM, [_key("room", room)]):
            if key.startswith(roster_key):
                rosters.append(_decoded(_roster_decoder, json) or [])
            elif member := _decoded(_lease_decoder, json):
                leases.append(Lease(member, left_ms / 1000))
        return rosters, leases


def _chunks(rosters: Mapping[RoomId, Sequence[PresenceMember]]) -> Iterator[list[tuple[RoomId, bytes]]]:
    """Rooms with their rosters' JSON (empty when nobody is there), as many at a time as one command may carry."""
    chunk: list[tuple[RoomId, bytes]] = []
    size_bytes = 0
    for room, members in rosters.items():
        json = _encoder.encode(members) if members else b""
        if chunk and (len(chunk) == CHUNK_ROOMS or size_bytes + len(json) > CHUNK_BYTES):
            yield chunk
            chunk, size_bytes = [], 0
        chunk.append((room, json))
        size_bytes += len(json)
    if chunk:
        yield chunk


def _key(kind: str, *names: str) -> str:
    return _PREFIX + ":".join([kind, *map(_quoted, names)])


def _quoted(name: str) -> str:
    """`name` without any character that has a meaning in a key; two names never become the same."""
    return quote(name, safe="")


def _milliseconds(ttl_s: float) -> int:
    return max(1, round(ttl_s * 1000))


def _decoded(decoder: msgspec.json.Decoder[T], json: bytes) -> T | None:
    try:
        return decoder.decode(json)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # someone else wrote it, or another version of us: it says nothing that we can read


_fits: type[PresenceStore] = ValkeyPresence
