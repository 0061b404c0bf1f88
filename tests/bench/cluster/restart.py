"""Gateways end and their rooms are claimed by others: how long until all go on, and how large a room may be for it.

Pure. Each gateway that claims has one call for `CLAIM_ROOMS` rooms under way; each shard of Redis answers one after
another. A room that has no answer within `LOAD_S` begins with an empty history.
"""

import heapq
from dataclasses import dataclass
from typing import Final

import numpy as np

from tests.bench.cluster.costs import Costs
from tests.bench.cluster.model import FRAME_BYTES, LINE_BYTES, Network
from tests.bench.cluster.population import Population

CLAIM_ROOMS: Final = 16
LOAD_S: Final = 0.5
REMEMBERED: Final = 512
BACK_S: Final = 5.0
"""A room whose owner died goes on within this time (SPEC 5.5)."""


@dataclass(frozen=True, slots=True)
class Restart:
    """Of the rooms of the gateways that ended."""

    rooms: int
    claims_per_s: float
    all_after_s: float
    late_share: float
    record_mb: float


def restart(rng: np.random.Generator, people: Population, network: Network, costs: Costs, *, ended: int) -> Restart:
    """`ended` gateways end at once; all of them: everything is started again."""
    lost = np.flatnonzero(people.owner < ended)
    first = 0 if ended == people.gateways else ended
    claimer = rng.integers(first, people.gateways, len(lost))
    shard = rng.integers(0, network.shards, len(lost))
    record_bytes = np.minimum(people.size[lost] * 20, REMEMBERED) * float(FRAME_BYTES) + people.size[lost] * LINE_BYTES
    record_bytes = np.minimum(record_bytes, 1_048_576)
    free_at_s = np.zeros(network.shards)
    queues = {int(gateway): list(np.flatnonzero(claimer == gateway)) for gateway in np.unique(claimer)}
    due = [(0.0, gateway) for gateway in queues]
    answered_s = np.zeros(len(lost))
    while due:
        now_s, gateway = heapq.heappop(due)
        rooms, queues[gateway] = queues[gateway][:CLAIM_ROOMS], queues[gateway][CLAIM_ROOMS:]
        done_s = now_s + network.hop_s
        for each in np.unique(shard[rooms]):
            mine = [room for room in rooms if shard[room] == each]
            work_s = len(mine) * costs.redis_claim_s + float(record_bytes[mine].sum()) * costs.redis_byte_s
            free_at_s[each] = max(float(free_at_s[each]), now_s + network.hop_s) + work_s
            done_s = max(done_s, float(free_at_s[each]))
        size_bytes = float(record_bytes[rooms].sum())
        done_s += network.hop_s + costs.memory_call_s + len(rooms) * costs.memory_room_s
        done_s += size_bytes * costs.packet_byte_s
        answered_s[rooms] = done_s
        if queues[gateway]:
            heapq.heappush(due, (done_s, gateway))
    all_s = float(answered_s.max(initial=0.0))
    late = float((answered_s > LOAD_S).mean()) if len(lost) else 0.0
    return Restart(len(lost), len(lost) / all_s if all_s else 0.0, all_s, late, float(record_bytes.sum()) / 1e6)


def largest_welcome(network: Network, costs: Costs, *, gateways: int) -> int:
    """Members of the largest room whose members, evenly on so many gateways, all get a `welcome` within `BACK_S`.

    Each `welcome` has a line for each member, so a room of twice the size takes four times as long.
    """
    byte_s = max(1 / network.nic_bytes_per_s, 2 * costs.written_byte_s)
    return int((BACK_S * gateways / (LINE_BYTES * byte_s)) ** 0.5)
