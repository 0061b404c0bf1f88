"""The presence store on Valkey, or Redis 7 and later: shared by every gateway and web process. Asyncio.

Keys, all beginning `omnisonic:presence:`, every part of a name percent-encoded so that no two names can meet:
- `roster:ROOM:OWNER` and `lease:ROOM:MEMBER`: strings of JSON, each with its own time to live; a line says whose it is
  as `person`, and a lease who put it as `holder`;
- `room:ROOM`: a set, the index of the above for one room;
- `owner:OWNER`: a set of the rooms in which the owner has a roster, for `forget_owner`;
- `beat:OWNER`: there while the owner lives, and the store has not been emptied.

Every set lives as long as the longest-lived key it names and no longer, so no key is ever without a time to live. The
scripts are what makes each step whole: a reader that prunes the index cannot drop what a writer is just adding, and a
connection that breaks leaves a change done or not done. They also make a hundred rooms one command and one answer,
which matters where this runs in a thread beside the rooms.

Overload and crash of the server: `Unavailable` (`omnisonic.stores.valkey`). A chunk that was given up may still be
written later, by a server that hung, but never after a call made later has succeeded. Malformed entries are passed
over.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from omnisonic.models import MemberId, PresenceMember, RoomId, UserId
from omnisonic.stores.presence import Lease, LeaseBound, PresenceStore, RosterLine, TooManyLeases
from omnisonic.stores.presence.merging import merged
from omnisonic.stores.valkey import TIMEOUT_S, ValkeyClient

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

_OWNED: Final = """
local function belongs_to_other(line, person)
    return type(line) == 'table' and type(line.person) == 'string' and line.person ~= person
end
local function is_anothers(key, person)
    local read, lease = pcall(cjson.decode, redis.pcall('GET', key))
    return read and belongs_to_other(lease, person)
end
"""

_PUT_LEASE: Final = (
    _OUTLIVE
    + _OWNED
    + """
-- KEYS: the room's index, the lease. ARGV: ttl, JSON, whose it is, how the rosters' keys and the member's line begin,
-- who puts it (empty: there is no bound), how many may be theirs, how many may be in all. Returns 1; 0 when it is
-- another's; -1 when there are as many as may be.
if is_anothers(KEYS[2], ARGV[3]) then
    return 0
end
local bound, in_all, of_holder = ARGV[6] ~= '', 0, 0
for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    local is_roster = string.sub(key, 1, #ARGV[4]) == ARGV[4]
    local json = (is_roster or bound) and redis.pcall('GET', key)
    if bound and not json then
        redis.call('SREM', KEYS[1], key)
    elseif not is_roster then
        if type(json) == 'string' and key ~= KEYS[2] then
            local read, lease = pcall(cjson.decode, json)
            in_all = in_all + 1
            if read and type(lease) == 'table' and lease.holder == ARGV[6] then
                of_holder = of_holder + 1
            end
        end
    -- Rosters are long: only one with this member in it is decoded.
    elseif type(json) == 'string' and string.find(json, ARGV[5], 1, true) then
        local read, roster = pcall(cjson.decode, json)
        local member = cjson.decode(ARGV[5] .. '}').memberId
        for _, line in ipairs(read and type(roster) == 'table' and roster or {}) do
            if type(line) == 'table' and line.memberId == member and belongs_to_other(line, ARGV[3]) then
                return 0
            end
        end
    end
end
if bound and (in_all >= tonumber(ARGV[8]) or of_holder >= tonumber(ARGV[7])) then
    return -1
end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[1])
redis.call('SADD', KEYS[1], KEYS[2])
outlive(KEYS[1], ARGV[1])
-- An index that nobody reads must not grow without end: each lease put in looks at three others.
for _, key in ipairs(redis.call('SRANDMEMBER', KEYS[1], 3)) do
    if redis.call('EXISTS', key) == 0 then
        redis.call('SREM', KEYS[1], key)
    end
end
return 1
"""
)

_DROP_LEASE: Final = (
    _OWNED
    + """
-- KEYS: the room's index, the lease. ARGV: who drops it.
if is_anothers(KEYS[2], ARGV[1]) then
    return 0
end
redis.call('SREM', KEYS[1], KEYS[2])
return redis.call('DEL', KEYS[2])
"""
)

_END_LEASES: Final = """
-- KEYS: the room's index. ARGV: how the leases' keys begin, whose are ended; empty: everybody's.
for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    if string.sub(key, 1, #ARGV[1]) == ARGV[1] then
        local read, lease = pcall(cjson.decode, redis.pcall('GET', key))
        if ARGV[2] == '' or read and type(lease) == 'table' and lease.person == ARGV[2] then
            redis.call('DEL', key)
            redis.call('SREM', KEYS[1], key)
        end
    end
end
"""

_HEAD_COUNTS: Final = """
-- KEYS: indexes of rooms. Returns how many members each has; what cannot be read has none.
local counts = {}
for i, index in ipairs(KEYS) do
    local seen, count = {}, 0
    local function see(line)
        local id = type(line) == 'table' and line.memberId
        if type(id) == 'string' and not seen[id] then
            seen[id], count = true, count + 1
        end
    end
    for _, key in ipairs(redis.call('SMEMBERS', index)) do
        local read, entry = pcall(cjson.decode, redis.pcall('GET', key))
        if read and type(entry) == 'table' then
            see(entry)
            for _, line in ipairs(entry) do
                see(line)
            end
        end
    end
    counts[i] = count
end
return counts
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


class _LeaseLine(RosterLine, frozen=True, rename="camel", omit_defaults=True):
    """A lease as it is kept. `holder` is who put it, and is never read back."""

    holder: str | None = None


_encoder: Final = msgspec.json.Encoder()
_roster_decoder: Final = msgspec.json.Decoder(list[PresenceMember])
_lease_decoder: Final = msgspec.json.Decoder(RosterLine)


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

    async def put_lease(
        self,
        room: RoomId,
        member: PresenceMember,
        *,
        ttl_s: float,
        person: UserId | None = None,
        bound: LeaseBound | None = None,
    ) -> bool:
        keys = [_key("room", room), _key("lease", room, member.member_id)]
        holder = None if bound is None else bound.holder
        line = _LeaseLine(
            member.member_id,
            member.display_name,
            member.status,
            member.last_seen,
            person,
            holder,
            account=member.account,
        )
        begins = b'{"memberId":' + _encoder.encode(member.member_id)
        words = (_milliseconds(ttl_s), _encoder.encode(line), person or "", _key("roster", room, ""), begins)
        limits = ("", 0, 0) if bound is None else (bound.holder, bound.of_holder, bound.of_room)
        done = await self._run(_PUT_LEASE, keys, *words, *limits)
        if done < 0:
            raise TooManyLeases
        return bool(done)

    async def drop_lease(self, room: RoomId, member_id: MemberId, *, person: UserId | None = None) -> bool:
        keys = [_key("room", room), _key("lease", room, member_id)]
        return bool(await self._run(_DROP_LEASE, keys, person or ""))

    async def end_leases(self, room: RoomId, person: UserId | None) -> None:
        await self._run(_END_LEASES, [_key("room", room)], _key("lease", room, ""), person or "")

    async def leases(self, room: RoomId) -> list[Lease]:
        _, leases = await self._read(room)
        return sorted(leases, key=lambda lease: lease.member.member_id)

    async def members(self, room: RoomId) -> list[PresenceMember]:
        rosters, leases = await self._read(room)
        return merged(rosters, (lease.member for lease in leases))

    async def head_counts(self, rooms: Sequence[RoomId]) -> list[int]:
        return list(await self._run(_HEAD_COUNTS, [_key("room", room) for room in rooms])) if rooms else []

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
            elif line := _decoded(_lease_decoder, json):
                leases.append(Lease(line.plain(), left_ms / 1000, line.person))
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
