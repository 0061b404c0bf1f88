"""Rooms and members for the simulation, and which gateway each member is connected to. Pure."""

from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[Any]
Floats: TypeAlias = npt.NDArray[Any]
Flags: TypeAlias = npt.NDArray[Any]
Routing: TypeAlias = Literal["none", "room"]

SMALLEST: Final = 2


@dataclass(frozen=True, slots=True)
class Population:
    """Who is where. `entry_*` has a line for each gateway with members in a room, those of one room together.

    Attributes:
        size: Members by room.
        owner: The gateway that owns the room.
        local: How many of its members are at the owner.
        entry_gateway: The gateway of the line.
        entry_members: How many members of the room are there.
        entry_begin: By room: its first line; one more at the end.
    """

    gateways: int
    size: Ints
    owner: Ints
    local: Ints
    entry_gateway: Ints
    entry_members: Ints
    entry_begin: Ints

    @property
    def remote_share(self) -> float:
        """The share of members who are not where their room is."""
        return float(1 - self.local.sum() / self.size.sum())

    @property
    def connections(self) -> Ints:
        """Members by gateway."""
        return np.bincount(self.entry_gateway, self.entry_members, self.gateways).astype(np.int64)


def make_sizes(rng: np.random.Generator, members: int, largest: int) -> Ints:
    """Sizes of rooms, `members` together: one with `largest`, the others by a power law (as many members in rooms of
    2 to 4 as in those of 4 to 8, and so on up).
    """
    left = members - largest
    drawn = np.floor(SMALLEST / (1 - rng.random(left) * (1 - SMALLEST / largest))).astype(np.int64)
    taken = drawn[: int(np.searchsorted(np.cumsum(drawn), left, side="right"))]
    rest = left - int(taken.sum())
    return np.concatenate((np.array([largest]), taken, np.array([rest] if rest else [], np.int64)))


def place(
    rng: np.random.Generator, sizes: Ints, gateways: int, routing: Routing, *, stray: float, spread_above: int
) -> Population:
    """Connect the members.

    Args:
        rng: The generator.
        sizes: Members by room.
        gateways: How many there are.
        routing: `none`: each member goes anywhere. `room`: to the gateway of the room.
        stray: The share of members who go anywhere in spite of `room`: a proxy had another list.
        spread_above: Rooms with more members are not routed; 0: all are.
    """
    room = np.repeat(np.arange(len(sizes)), sizes)
    anywhere = rng.integers(0, gateways, len(room))
    home = rng.integers(0, gateways, len(sizes))
    gateway = anywhere
    if routing == "room":
        is_routed = rng.random(len(room)) >= stray
        if spread_above:
            is_routed &= sizes[room] <= spread_above
        gateway = np.where(is_routed, home[room], anywhere)
    begin = np.concatenate(([0], np.cumsum(sizes)))
    owner = gateway[begin[:-1]]  # whoever comes first claims the room
    keys, counts = np.unique(room * gateways + gateway, return_counts=True)
    entry_room, entry_gateway = keys // gateways, keys % gateways
    local = np.zeros(len(sizes), np.int64)
    is_here = entry_gateway == owner[entry_room]
    local[entry_room[is_here]] = counts[is_here]
    entry_begin = np.searchsorted(entry_room, np.arange(len(sizes) + 1))
    return Population(gateways, sizes, owner, local, entry_gateway, counts, entry_begin)
