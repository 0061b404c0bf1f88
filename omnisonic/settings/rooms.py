"""The settings of rooms: their class, limits of members and connections, and what a room remembers (SPEC 2)."""

import os
import re
from typing import Final, Literal

from pydantic import BaseModel, Field, field_validator

CLASS_NAME: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
"""`module:Class`, each of which may have dots."""


class RoomSettings(BaseModel):
    """Which rooms there are, how many members and connections, how fast they may send, and what rooms remember."""

    gateway_rooms: str | None = Field(
        default=None,
        description="a room class of your own, as `module:Class`; as `--rooms` (default: the studio's own rooms)",
    )

    gateway_cluster: Literal["off", "on"] = Field(
        default="off",
        description="`on`: other gateways at the same `REDIS_URL` may have members in the same rooms",
    )

    gateway_workers: int = Field(
        default=1,
        ge=1,
        le=64,
        description="gateway processes behind the gateway's port; `auto`: one less than processors",
    )

    member_rate_per_s: float = Field(
        default=500,
        ge=0,
        allow_inf_nan=False,
        description="messages a second that one connection may send; 0: no limit",
    )
    member_burst: int = Field(default=1000, ge=1, description="messages that one connection may send at once")
    member_queue_bytes: int = Field(
        default=262_144, ge=0, description="bytes that may wait for one member who does not read; 0: no limit"
    )
    max_connections: int = Field(default=20_000, ge=0, description="connections the gateway holds; 0: no limit")
    max_connections_per_address: int = Field(
        default=5_000, ge=0, description="connections from one address; 0: no limit"
    )
    max_members_per_room: int = Field(default=2_000, ge=0, description="members in one room; 0: no limit")
    max_event_streams: int = Field(
        default=1_000, ge=0, description="members by event streams in one web process; 0: no limit"
    )
    max_event_streams_per_address: int = Field(
        default=128, ge=0, description="event streams of one web process to one address; 0: no limit"
    )
    max_event_streams_per_user: int = Field(
        default=16, ge=0, description="event streams of one web process to one user; 0: no limit"
    )
    reconnect_grace_s: float = Field(
        default=15,
        ge=0,
        le=120,
        allow_inf_nan=False,
        description="seconds that a room waits for a member whose connection broke; 0: it does not wait",
    )
    history_messages: int = Field(
        default=512, ge=0, le=100_000, description="messages that a room remembers for members who come back; 0: none"
    )
    history_bytes: int = Field(
        default=1_048_576, ge=0, le=1_073_741_824, description="bytes of messages that a room remembers"
    )
    history_s: float = Field(
        default=300, ge=1, le=86_400, allow_inf_nan=False, description="seconds that a room remembers a message"
    )

    @field_validator("gateway_workers", mode="before")
    @classmethod
    def _count_processors(cls, value: object) -> object:
        """`auto` leaves one processor to everything else."""
        if value == "auto":
            return max(1, _processors() - 1)
        if isinstance(value, str) and not value.strip().lstrip("-").isdecimal():
            raise ValueError("it must be a whole number, or auto")
        return value

    @field_validator("gateway_rooms")
    @classmethod
    def _is_class_name(cls, value: str | None) -> str | None:
        if value is not None and not CLASS_NAME.fullmatch(value):
            raise ValueError("it must be a module and a class, such as band.rooms:Jam")
        return value


def _processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
