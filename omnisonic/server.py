"""Builds the gateway out of its parts and runs it (SPEC 1, 8)."""

import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import trio

from omnisonic.actors.gateway import Gateway, GatewayOptions
from omnisonic.actors.gateway import ClosedAdmission, OpenAdmission
from omnisonic.actors.rate import Rate
from omnisonic.actors.room import Room, RoomContext
from omnisonic.config import Settings


@asynccontextmanager
async def open_gateway(
    options: GatewayOptions, listeners: Sequence[socket.socket], *, room_class: Callable[[RoomContext], Room] = Room
) -> AsyncIterator[Gateway]:
    async with trio.open_nursery() as nursery:
        gateway = Gateway(options, nursery, room_class)
        await gateway.start(listeners)
        try:
            yield gateway
        finally:
            with trio.CancelScope(shield=True):
                await gateway.shutdown()
            nursery.cancel_scope.cancel()
    gateway.close()


def gateway_options(settings: Settings, web_port: int) -> GatewayOptions:
    return GatewayOptions(
        hosts=settings.host_policy(settings.gateway_host),
        origins=settings.origin_policy(web_port),
        admission=OpenAdmission() if settings.access == "open" else ClosedAdmission(),
        ttl_s=settings.presence_ttl_s,
        rate=Rate.of(settings.member_rate_per_s, settings.member_burst),
        queue_bytes=settings.member_queue_bytes,
        max_connections=settings.max_connections,
        max_connections_per_address=settings.max_connections_per_address,
        max_members_per_room=settings.max_members_per_room,
    )


async def run_gateway(settings: Settings, listeners: list[socket.socket], *, ready: Callable[[], None]) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with open_gateway(gateway_options(settings, settings.web_port), listeners):
            ready()
            async for _ in signals:
                break
