"""An embedded gateway as one of several, which share rooms (SPEC 5.5, 8).

They meet in a Valkey or Redis: its pub/sub carries what they say to each other, and it remembers the rooms. The clients
of both live in an asyncio thread. Overload and outages: see `omnisonic.actors.cluster.cluster`. Crash: others take the
rooms when the lease has ended, which is at once. Shutdown: rooms are handed over before the stores are closed.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from omnisonic.actors.cluster.cluster import Cluster
from omnisonic.actors.gateway import Gateway
from omnisonic.actors.gateway_cluster import join_cluster
from omnisonic.actors.gateway_options import GatewayOptions
from omnisonic.actors.hosting.hosting_tasks import HostingTasks
from omnisonic.errors import MissingExtra
from omnisonic.stores.bus import Bus
from omnisonic.stores.room_memory import RoomMemoryStore


@dataclass(frozen=True, slots=True)
class ClusterStores:
    """What the gateways of a cluster share, for trio."""

    bus: Bus
    memory: RoomMemoryStore


@asynccontextmanager
async def open_cluster_stores(redis_url: str | None, history_s: float) -> AsyncIterator[ClusterStores | None]:
    """The stores at `redis_url`, until the block ends. None without a URL: the gateway is alone.

    Raises:
        MissingExtra: The extra `studio` is not installed, which brings the client of Redis.
    """
    if redis_url is None:
        yield None
        return
    try:
        from omnisonic.operations.gateway_stores import open_presence_and_bus, open_room_memory
    except ModuleNotFoundError as missing:
        raise MissingExtra("cluster=", missing) from None
    async with open_presence_and_bus(redis_url) as (_, bus), open_room_memory(redis_url, history_s) as memory:
        assert memory is not None
        yield ClusterStores(bus, memory)


async def enter_cluster(gateway: Gateway, hosted: HostingTasks, stores: ClusterStores, options: GatewayOptions) -> None:
    """Make this gateway, which has not begun yet, one of the cluster. Returns when it may claim rooms, or after 4 s."""
    cluster = Cluster(
        gateway,
        stores.memory,
        stores.bus,
        name=gateway.name,
        now_ms=options.now_ms,
        grace_s=options.grace_s,
        history_bytes=options.history.total_bytes,
    )
    cluster.save_room = hosted.save_room
    await join_cluster(gateway, cluster)


async def leave_cluster(cluster: Cluster, *, has_crashed: bool) -> None:
    """Release what is left, and let others claim rooms at once. After a crash nothing is written any more."""
    if cluster.claims.is_up and not has_crashed:
        await cluster.claims.release_all()
    await cluster.end()
