"""What the parts of a cluster cost: the constants of the simulation, and where they come from."""

from dataclasses import dataclass, fields, replace
from typing import Final, Self

import msgspec


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds of one processor for one of each. A gateway, and a Redis, has one processor.

    Attributes:
        turn_s: A room is given a turn: one read of a socket, the scheduler, the batch.
        message_s: One message more in a turn: frame, envelope, order, history.
        write_s: One write to one member's socket, the kernel's part included.
        written_byte_s: One byte more in it.
        publish_s: A packet to a peer: the task, redis-py, and the thread in between.
        receive_s: A packet from a peer.
        packet_byte_s: One byte of a packet, at each of its ends.
        memory_call_s: One write of up to 100 rooms to the room memory store.
        memory_room_s: One room in it.
        roster_room_s: One roster that is mirrored.
        roster_member_s: One member in it.
        redis_publish_s: Redis: one packet, received and passed on.
        redis_byte_s: Redis: one byte of a packet.
        redis_memory_s: Redis: one room's memory is written.
        redis_roster_s: Redis: one roster is written.
        redis_claim_s: Redis: one room is claimed, and its record read.
    """

    turn_s: float
    message_s: float
    write_s: float
    written_byte_s: float
    publish_s: float
    receive_s: float
    packet_byte_s: float
    memory_call_s: float
    memory_room_s: float
    roster_room_s: float
    roster_member_s: float
    redis_publish_s: float
    redis_byte_s: float
    redis_memory_s: float
    redis_roster_s: float
    redis_claim_s: float

    @classmethod
    def read(cls, text: str) -> Self:
        """What `measure` printed."""
        return cls(**msgspec.json.decode(text, type=dict[str, float]))

    def to_json(self) -> str:
        """For `read`."""
        return msgspec.json.encode({each.name: getattr(self, each.name) for each in fields(self)}).decode()

    def scaled(self, factor: float) -> Self:
        """On processors that need `factor` times as long."""
        return replace(self, **{each.name: getattr(self, each.name) * factor for each in fields(self)})


MEASURED: Final = Costs(
    turn_s=7.42e-05,
    message_s=5.82e-06,
    write_s=1.52e-05,
    written_byte_s=3.37e-09,
    publish_s=0.000368,
    receive_s=0.000105,
    packet_byte_s=7.78e-09,
    memory_call_s=0.000454,
    memory_room_s=3.1e-05,
    roster_room_s=1.44e-05,
    roster_member_s=7.22e-07,
    redis_publish_s=9.54e-05,
    redis_byte_s=7.86e-10,
    redis_memory_s=5.45e-05,
    redis_roster_s=2.5e-05,
    redis_claim_s=0.000479,
)
"""One run of `python -m tests.bench.cluster measure --seconds 1 --rounds 1`, on two processors that other programs used
as well (a load of 8 to 11). So they are too high; no run on a quiet machine has been made yet.
"""
