"""The presence store on Valkey, or Redis 7 and later: shared by all gateways and web processes. Asyncio.

Keys, all beginning `omnisonic:presence:`, every part of a name percent-encoded so that no two names collide:
- `roster:ROOM:OWNER` and `lease:ROOM:MEMBER`: strings of JSON, each with its own time to live; `person` is
  the owner of a line, and `holder` who put a lease;
- `room:ROOM`: a set, the index of the above for one room;
- `owner:OWNER`: a set of the rooms in which the owner has a roster, for `forget_owner`;
- `beat:OWNER`: exists while the owner lives, unless the store was emptied.

In a cluster there are `BUCKETS` such stores, each with a hash tag of its own (`omnisonic:presence:{0}:room:ROOM`), so
that each is on one server; a room is in one of them, by its name, and an owner's set and beat are in all.

Every set lives as long as the longest-lived key it names, so no key is ever without a time to live. Scripts
(`.valkey_scripts`) make each step atomic: a reader that prunes the index cannot drop what a writer is just adding, and
a connection that breaks leaves a change done or not done. They also make a hundred rooms one command and one answer,
which matters in a gateway, where this runs in a thread beside the rooms; in a cluster, one command for each bucket, all
in one round trip.

Overload and crash of the server: `Unavailable` (`omnisonic.stores.valkey`). A chunk whose deadline has passed may still
be written by a server that hung, but never after a later call has succeeded. Malformed entries are skipped. Shutdown:
`aclose`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from omnisonic.models import MemberId, PresenceMember, RoomId, UserId
from omnisonic.stores.presence import Lease, LeaseBound, PresenceStore, RosterLine, TooManyLeases, merge_members
from omnisonic.stores.presence import valkey_scripts as scripts
from omnisonic.stores.valkey import TIMEOUT_S, ValkeyClient, Word, bucket_of

CHUNK_ROOMS: Final = 100
CHUNK_BYTES: Final = 262_144
"""Most rosters in one command, so that it neither blocks the server nor exceeds its deadline."""
BUCKETS: Final = 16
"""In a cluster: enough for a few servers to share them evenly, and few enough for a beat in each."""

_PREFIX: Final = "omnisonic:presence:"

T = TypeVar("T")


class _LeaseLine(RosterLine, frozen=True, rename="camel", omit_defaults=True):
    """A lease as it is stored. `holder` is who put it, and is never read back."""

    holder: str | None = None


_encoder: Final = msgspec.json.Encoder()
_roster_decoder: Final = msgspec.json.Decoder(list[PresenceMember])
_lease_decoder: Final = msgspec.json.Decoder(RosterLine)


class ValkeyPresence:
    """A `PresenceStore` at `url`.

    Each round trip has a deadline of `timeout_s`; only `write_rosters` of more than `CHUNK_ROOMS` rooms (or
    `CHUNK_BYTES`) makes more than one, and stops at the first that fails. Errors: `Unavailable` from every method;
    `InvalidInput` when `url` is not a Redis URL.
    """

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._valkey = ValkeyClient(url, timeout_s=timeout_s)

    async def write_rosters(
        self, owner: str, rosters: Mapping[RoomId, Sequence[PresenceMember]], *, ttl_s: float
    ) -> None:
        stores = await self._stores()
        for chunk in _chunks(rosters):
            by_store: dict[_Keys, list[tuple[RoomId, bytes]]] = {}
            for room, json in chunk:
                by_store.setdefault(_store_of(room, stores), []).append((room, json))
            await self._valkey.commands(
                [_write_rosters(keys, owner, written, ttl_s) for keys, written in by_store.items()]
            )

    async def forget_owner(self, owner: str) -> None:
        await self._valkey.commands(
            [
                _eval(scripts.FORGET_OWNER, [keys("owner", owner), keys("beat", owner)], keys.prefix, _quote(owner))
                for keys in await self._stores()
            ]
        )

    async def beat(self, owner: str, *, ttl_s: float) -> bool:
        life_ms = _milliseconds(ttl_s)
        stores = await self._stores()
        earlier = await self._valkey.commands(
            [("SET", keys("beat", owner), "1", "PX", life_ms, "GET") for keys in stores]
        )
        return None not in earlier

    async def put_lease(
        self,
        room: RoomId,
        member: PresenceMember,
        *,
        ttl_s: float,
        person: UserId | None = None,
        bound: LeaseBound | None = None,
    ) -> bool:
        keys = await self._keys(room)
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
        words = (_milliseconds(ttl_s), _encoder.encode(line), person or "", keys("roster", room, ""), begins)
        limits = ("", 0, 0) if bound is None else (bound.holder, bound.of_holder, bound.of_room)
        used = keys("room", room), keys("lease", room, member.member_id)
        done = await self._run(scripts.PUT_LEASE, used, *words, *limits)
        if done < 0:
            raise TooManyLeases
        return bool(done)

    async def drop_lease(self, room: RoomId, member_id: MemberId, *, person: UserId | None = None) -> bool:
        keys = await self._keys(room)
        used = keys("room", room), keys("lease", room, member_id)
        return bool(await self._run(scripts.DROP_LEASE, used, person or ""))

    async def end_leases(self, room: RoomId, person: UserId | None) -> None:
        keys = await self._keys(room)
        await self._run(scripts.END_LEASES, [keys("room", room)], keys("lease", room, ""), person or "")

    async def leases(self, room: RoomId) -> list[Lease]:
        _, leases = await self._read(room)
        return sorted(leases, key=lambda lease: lease.member.member_id)

    async def members(self, room: RoomId) -> list[PresenceMember]:
        rosters, leases = await self._read(room)
        return merge_members(rosters, (lease.member for lease in leases))

    async def head_counts(self, rooms: Sequence[RoomId]) -> list[int]:
        stores = await self._stores()
        by_store: dict[_Keys, list[RoomId]] = {}
        for room in rooms:
            by_store.setdefault(_store_of(room, stores), []).append(room)
        answers = await self._valkey.commands(
            [_eval(scripts.HEAD_COUNTS, [keys("room", room) for room in asked]) for keys, asked in by_store.items()]
        )
        counts = {keys: iter(answer) for keys, answer in zip(by_store, answers, strict=True)}
        return [next(counts[_store_of(room, stores)]) for room in rooms]

    async def ping(self) -> None:
        await self._valkey.command("PING")

    async def aclose(self) -> None:
        await self._valkey.aclose()

    async def _stores(self) -> Sequence["_Keys"]:
        return _STORES if await self._valkey.is_cluster() else _ONE_STORE

    async def _keys(self, room: RoomId) -> "_Keys":
        return _store_of(room, await self._stores())

    async def _run(self, script: str, keys: Sequence[str], *words: Word) -> Any:
        return await self._valkey.command(*_eval(script, keys, *words))

    async def _read(self, room: RoomId) -> tuple[list[list[PresenceMember]], list[Lease]]:
        """The room's rosters and leases, without those that cannot be read."""
        rosters: list[list[PresenceMember]] = []
        leases: list[Lease] = []
        keys = await self._keys(room)
        roster_key = keys("roster", room, "").encode()
        for key, json, left_ms in await self._run(scripts.READ_ROOM, [keys("room", room)]):
            if key.startswith(roster_key):
                rosters.append(_decode(_roster_decoder, json) or [])
            elif line := _decode(_lease_decoder, json):
                leases.append(Lease(line.plain(), left_ms / 1000, line.person))
        return rosters, leases


def _chunks(rosters: Mapping[RoomId, Sequence[PresenceMember]]) -> Iterator[list[tuple[RoomId, bytes]]]:
    """Split rooms, with their rosters as JSON (empty when nobody is there), into groups for one command each."""
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


class _Keys:
    """The keys of one store: all there is on a server that is alone, one bucket in a cluster."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def __call__(self, kind: str, *names: str) -> str:
        return self.prefix + ":".join([kind, *map(_quote, names)])


_ONE_STORE: Final = (_Keys(_PREFIX),)
_STORES: Final = tuple(_Keys(f"{_PREFIX}{{{number}}}:") for number in range(BUCKETS))


def _store_of(room: RoomId, stores: Sequence[_Keys]) -> _Keys:
    return stores[bucket_of(room, len(stores))]


def _write_rosters(keys: _Keys, owner: str, rosters: Sequence[tuple[RoomId, bytes]], ttl_s: float) -> Sequence[Word]:
    used: list[str] = [keys("owner", owner)]
    words: list[Word] = [_milliseconds(ttl_s)]
    for room, json in rosters:
        used += keys("room", room), keys("roster", room, owner)
        words += _quote(room), json
    return _eval(scripts.WRITE_ROSTERS, used, *words)


def _eval(script: str, keys: Sequence[str], *words: Word) -> Sequence[Word]:
    return "EVAL", script, len(keys), *keys, *words


def _quote(name: str) -> str:
    """`name` without any character that has a meaning in a key; two names never become the same."""
    return quote(name, safe="")


def _milliseconds(ttl_s: float) -> int:
    return max(1, round(ttl_s * 1000))


def _decode(decoder: msgspec.json.Decoder[T], json: bytes) -> T | None:
    try:
        return decoder.decode(json)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # written by another program, or another version of this one


_fits: type[PresenceStore] = ValkeyPresence
