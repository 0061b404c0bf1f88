"""The model of a cluster: gateways, their links over Redis, and what they write there, in ticks of 5 ms. Pure.

A gateway has one processor. In each tick it reads what has come, gives its rooms with messages a turn, and sends, as
long as it is not behind with its work; so rooms, links and writers have larger batches where there is more to do, as
the real ones do (docs/scaling.md). A link has one packet under way. Each shard of Redis does one thing after another.
What is not modelled: packets that are lost, pauses of the garbage collector, slow members.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

import numpy as np

from tests.bench.cluster.costs import Costs
from tests.bench.cluster.population import Flags, Floats, Ints, Population
from tests.bench.cluster.report import Figures, Meter

TICK_S: Final = 0.005
PACKET_BYTES: Final = 1_048_576
BEAT_S: Final = 0.5
COALESCE_S: Final = 0.05
BATCH_ROOMS: Final = 100
FRAME_BYTES: Final = 130
"""A message as it is relayed: 64 bytes of payload, envelope, head."""
WIRE_BYTES: Final = 66
"""Ethernet, IP and TCP, for each write."""
LINE_BYTES: Final = 112
"""A member in a `welcome`, in a roster, in the seats of a record."""
RECORD_BYTES: Final = 300
"""What a write of a room's memory has besides its messages."""
SEATS: Final = 512
"""Of larger rooms the seats are not written."""


@dataclass(frozen=True, slots=True)
class Load:
    """What members do. `factor` multiplies all of it.

    Attributes:
        rate_per_s: Messages of one member.
        room_rate_per_s: The most of a room: nobody reads more.
        stay_s: How long a member stays.
    """

    rate_per_s: float = 0.05
    room_rate_per_s: float = 2.0
    stay_s: float = 1800.0
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Network:
    """`hop_s`: between a gateway and Redis, one way. `nic_bytes_per_s`: of each machine, one way."""

    shards: int = 1
    hop_s: float = 0.0002
    nic_bytes_per_s: float = 1.25e9


class _Records:
    """What waits or is under way on links: a line for each message of a member, and for each turn of a room."""

    def __init__(self) -> None:
        self.pair = np.array([], np.int64)
        self.room = np.array([], np.int64)
        self.members = np.array([], np.int64)  # 0: it goes to the owner
        self.messages = np.array([], np.int64)
        self.bytes = np.array([], np.float64)
        self.born_s = np.array([], np.float64)

    def put(self, *columns: Ints | Floats) -> None:
        """Add lines."""
        for name, column in zip(_COLUMNS, columns, strict=True):
            setattr(self, name, np.concatenate((getattr(self, name), column)))

    def take(self, which: Flags) -> tuple[Ints | Floats, ...]:
        """Remove the lines where `which` is true, and return them."""
        taken = tuple(getattr(self, name)[which] for name in _COLUMNS)
        for name in _COLUMNS:
            setattr(self, name, getattr(self, name)[~which])
        return taken


_COLUMNS: Final = ("pair", "room", "members", "messages", "bytes", "born_s")


class Cluster:
    """A cluster under load."""

    def __init__(
        self, rng: np.random.Generator, people: Population, load: Load, network: Network, costs: Costs
    ) -> None:
        self.meter = Meter(people.gateways, network)
        self._rng = rng
        self._people = people
        self._network = network
        self._costs = costs
        gateways, rooms = people.gateways, len(people.size)
        self._talk_per_s = load.factor * np.minimum(people.size * load.rate_per_s, load.room_rate_per_s)
        self._churn_per_s = load.factor * 2 * people.size / load.stay_s  # each comes and goes
        self._debt_s = np.zeros(gateways)
        self._redis_debt_s = np.zeros(network.shards)
        self._shard_of_gateway = rng.integers(0, network.shards, gateways)
        self._shard_of_room = rng.integers(0, network.shards, rooms)
        self._sends_at_s = np.zeros(gateways * gateways)
        self._sent_at_s = np.full(gateways * gateways, -BEAT_S)
        self._cumulative = np.cumsum(people.entry_members)
        self._mail_room = np.array([], np.int64)
        self._mail_born_s = np.array([], np.float64)
        self._waiting = _Records()
        self._arriving: dict[int, list[tuple[Ints | Floats, ...]]] = defaultdict(list)
        self._arrived = _Records()
        self._unsaved_bytes = np.zeros(rooms)
        self._stale_roster = np.zeros(rooms, bool)
        self._saves_at_s = rng.random(gateways) * COALESCE_S
        self._rooms_of = np.split(
            np.argsort(people.owner, kind="stable"), np.cumsum(np.bincount(people.owner, minlength=gateways))[:-1]
        )
        self._watched = self._watched_pairs()

    def run(self, seconds: float) -> Figures:
        """Run for so long, and as long before it without counting."""
        ticks = round(seconds / TICK_S)
        for tick in range(2 * ticks):
            if tick == ticks:
                self.meter.begin()
            self._tick(tick)
        return self.meter.figures(ticks * TICK_S, self._people)

    def _watched_pairs(self) -> Ints:
        """The pairs of gateways that have a room in common, both ways."""
        people = self._people
        owner = np.repeat(people.owner, np.diff(people.entry_begin))
        is_remote = people.entry_gateway != owner
        one, other = people.entry_gateway[is_remote], owner[is_remote]
        count = people.gateways
        return np.unique(np.concatenate((one * count + other, other * count + one)))

    def _tick(self, tick: int) -> None:
        now_s = tick * TICK_S
        self._debt_s = np.maximum(self._debt_s - TICK_S, 0)
        self._redis_debt_s = np.maximum(self._redis_debt_s - TICK_S, 0)
        is_free = self._debt_s < TICK_S
        for record in self._arriving.pop(tick, ()):
            self._arrived.put(*record)
        self._receive(is_free, now_s)
        self._talk(now_s)
        self._run_rooms(is_free, now_s)
        self._send(is_free, now_s)
        self._save(is_free, now_s)

    def _work(self, gateways: Ints, seconds: Floats | float) -> None:
        work = np.bincount(gateways, np.broadcast_to(seconds, gateways.shape), self._people.gateways)
        self._debt_s += work
        self.meter.work_s += work

    # Members

    def _talk(self, now_s: float) -> None:
        """Members say something, or come and go, which the others are told."""
        talk = self._rng.poisson(self._talk_per_s * TICK_S)
        churn = self._rng.poisson(self._churn_per_s * TICK_S)
        self._stale_roster |= churn > 0
        room = np.repeat(np.arange(len(talk)), talk + churn)
        born_s = now_s + self._rng.random(len(room)) * TICK_S
        people = self._people
        begin = np.concatenate(([0], self._cumulative))[people.entry_begin[:-1]]
        place = begin[room] + np.floor(self._rng.random(len(room)) * people.size[room])
        entry = np.searchsorted(self._cumulative, place, side="right")
        gateway = people.entry_gateway[entry]
        is_here = gateway == people.owner[room]
        self._mail_room = np.concatenate((self._mail_room, room[is_here]))
        self._mail_born_s = np.concatenate((self._mail_born_s, born_s[is_here]))
        far = ~is_here
        count = int(far.sum())
        pair = gateway[far] * people.gateways + people.owner[room[far]]
        ones = np.ones(count, np.int64)
        self._waiting.put(pair, room[far], 0 * ones, ones, np.full(count, FRAME_BYTES + 40.0), born_s[far])
        self._work(gateway[far], self._costs.turn_s / 2)
        self.meter.bytes_in += np.bincount(gateway, minlength=people.gateways) * (FRAME_BYTES + WIRE_BYTES)
        self._welcome(churn)

    def _welcome(self, churn: Ints) -> None:
        """Half of those who come and go come: each gets everybody's line."""
        people = self._people
        size_bytes = np.bincount(people.owner, churn / 2 * people.size * LINE_BYTES, people.gateways)
        self.meter.bytes_out += size_bytes
        work = size_bytes * 2 * self._costs.written_byte_s
        self._debt_s += work
        self.meter.work_s += work

    # Rooms

    def _run_rooms(self, is_free: Flags, now_s: float) -> None:
        """Each room with messages has a turn, at its owner."""
        people, costs = self._people, self._costs
        runs = is_free[people.owner[self._mail_room]]
        room, count = np.unique(self._mail_room[runs], return_counts=True)
        born_s = self._mail_born_s[runs]
        if not len(room):
            return
        oldest_s = np.full(len(people.size), np.inf)
        np.minimum.at(oldest_s, self._mail_room[runs], born_s)
        self._mail_room, self._mail_born_s = self._mail_room[~runs], self._mail_born_s[~runs]
        owner, local, size_bytes = people.owner[room], people.local[room], count * float(FRAME_BYTES)
        peers = people.entry_begin[room + 1] - people.entry_begin[room] - 1
        work_s = costs.turn_s + count * costs.message_s + local * (costs.write_s + size_bytes * costs.written_byte_s)
        self._work(owner, work_s + peers * costs.turn_s / 2)
        self._count_writes(owner, local, count, size_bytes)
        self.meter.delay(now_s + TICK_S / 2 + self._debt_s[owner] / 2 - oldest_s[room], local * count)
        self._unsaved_bytes[room] += size_bytes
        entries = np.repeat(people.entry_begin[room], peers + 1) + _ranges(peers + 1)
        index = np.repeat(np.arange(len(room)), peers + 1)
        is_far = people.entry_gateway[entries] != owner[index]
        entries, index = entries[is_far], index[is_far]
        pair = owner[index] * people.gateways + people.entry_gateway[entries]
        members = people.entry_members[entries]
        self._waiting.put(pair, room[index], members, count[index], size_bytes[index] + 60, oldest_s[room[index]])

    def _count_writes(self, gateway: Ints, members: Ints, messages: Ints, size_bytes: Floats) -> None:
        self.meter.deliveries += float((members * messages).sum())
        out = members * (size_bytes + WIRE_BYTES)
        self.meter.bytes_out += np.bincount(gateway, out, self._people.gateways)

    # Links

    def _send(self, is_free: Flags, now_s: float) -> None:
        """All that waits for a peer goes out, when its last packet was taken; else a beat, when it is time."""
        people, costs, waiting = self._people, self._costs, self._waiting
        count = people.gateways
        may_send = (self._sends_at_s <= now_s) & np.repeat(is_free, count)
        taken = waiting.take(may_send[waiting.pair])
        size_bytes = np.bincount(taken[0], taken[4], count * count)
        pairs = np.flatnonzero(size_bytes)
        beats = self._watched[may_send[self._watched] & (now_s - self._sent_at_s[self._watched] >= BEAT_S)]
        pairs = np.union1d(pairs, beats)
        packets = np.maximum(np.ceil(size_bytes[pairs] / PACKET_BYTES), 1)
        size_bytes[pairs] += 60
        sender, receiver = pairs // count, pairs % count
        self._work(sender, packets * costs.publish_s + size_bytes[pairs] * costs.packet_byte_s)
        shard = self._shard_of_gateway[receiver]
        work_s = packets * costs.redis_publish_s + size_bytes[pairs] * costs.redis_byte_s
        self._work_of_redis(shard, work_s)
        self.meter.count_packets(shard, packets, size_bytes[pairs])
        self.meter.bytes_out += np.bincount(sender, size_bytes[pairs], count)
        self.meter.bytes_in += np.bincount(receiver, size_bytes[pairs], count)
        self._sent_at_s[pairs] = now_s
        there_s = now_s + self._debt_s[sender] / 2 + 2 * self._network.hop_s + self._redis_debt_s[shard]
        self._sends_at_s[pairs] = there_s
        self._work(receiver, packets * costs.receive_s + size_bytes[pairs] * costs.packet_byte_s)
        tick_of = np.zeros(count * count, np.int64)
        tick_of[pairs] = np.floor(there_s / TICK_S).astype(np.int64) + 1
        ticks = tick_of[taken[0]]
        for tick in np.unique(ticks):
            self._arriving[int(tick)].append(tuple(column[ticks == tick] for column in taken))

    def _receive(self, is_free: Flags, now_s: float) -> None:
        """What peers have sent becomes mail here, or is written to the members who are here."""
        people, costs = self._people, self._costs
        pair, room, members, messages, size_bytes, born_s = self._arrived.take(
            is_free[self._arrived.pair % people.gateways]
        )
        is_said = members == 0
        self._mail_room = np.concatenate((self._mail_room, room[is_said].astype(np.int64)))
        self._mail_born_s = np.concatenate((self._mail_born_s, born_s[is_said]))
        is_turn = ~is_said
        gateway = (pair[is_turn] % people.gateways).astype(np.int64)
        written = members[is_turn] * (costs.write_s + size_bytes[is_turn] * costs.written_byte_s)
        self._work(gateway, costs.turn_s / 2 + written)
        self._count_writes(gateway, members[is_turn], messages[is_turn], size_bytes[is_turn])
        delay_s = now_s + self._debt_s[gateway] / 2 - born_s[is_turn]
        self.meter.delay(delay_s, members[is_turn] * messages[is_turn], is_remote=True)

    # Redis

    def _work_of_redis(self, shard: Ints, seconds: Floats | float) -> None:
        work = np.bincount(shard, np.broadcast_to(seconds, shard.shape), self._network.shards)
        self._redis_debt_s += work
        self.meter.redis_work_s += work

    def _save(self, is_free: Flags, now_s: float) -> None:
        """Each gateway writes the memory and the rosters of its rooms that have changed."""
        people, costs = self._people, self._costs
        for gateway in np.flatnonzero(is_free & (self._saves_at_s <= now_s)):
            rooms = self._rooms_of[gateway]
            changed = rooms[self._unsaved_bytes[rooms] > 0]
            rosters = rooms[self._stale_roster[rooms]]
            here = np.array([gateway])
            calls = np.ceil(len(changed) / BATCH_ROOMS)
            self._work(here, calls * costs.memory_call_s + len(changed) * costs.memory_room_s)
            members = float(people.size[rosters].sum())
            self._work(here, len(rosters) * costs.roster_room_s + members * costs.roster_member_s)
            memory_bytes = self._unsaved_bytes[changed] + RECORD_BYTES
            seats = people.size[rosters]
            roster_bytes = (seats + np.where(seats <= SEATS, seats, 0)) * float(LINE_BYTES)
            shards = self._shard_of_room
            self._work_of_redis(shards[changed], costs.redis_memory_s + memory_bytes * costs.redis_byte_s)
            self._work_of_redis(shards[rosters], costs.redis_roster_s + roster_bytes * costs.redis_byte_s)
            self.meter.count_writes(shards, changed, memory_bytes, rosters, roster_bytes)
            self.meter.bytes_out[gateway] += memory_bytes.sum() + roster_bytes.sum()
            self._unsaved_bytes[changed] = 0
            self._stale_roster[rosters] = False
            waits_s = float(self._redis_debt_s.max()) + 2 * self._network.hop_s
            self.meter.lag_s = max(self.meter.lag_s, COALESCE_S + waits_s + float(self._debt_s[gateway]))
            self._saves_at_s[gateway] = now_s + COALESCE_S + waits_s


def _ranges(counts: Ints) -> Ints:
    """0, 1, … for each count, one behind the other."""
    ends = np.cumsum(counts)
    numbers: Ints = np.arange(counts.sum()) - np.repeat(ends - counts, counts)
    return numbers
