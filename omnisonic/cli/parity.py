"""`omnisonic parity`: the parity service (SPEC 3), with sessions in memory and without sign-in."""

import asyncio
import socket
from collections.abc import Callable

from omnisonic.cli.listening_sockets import port_of
from omnisonic.cli.site import open_site, serve_site
from omnisonic.errors import BadSettings
from omnisonic.http.parity import GUEST, GUEST_LOGIN, create_parity_app
from omnisonic.observability.telemetry import configure_telemetry
from omnisonic.settings.settings import Settings
from omnisonic.stores.bus.memory import MemoryBus
from omnisonic.stores.presence.memory import MemoryPresence
from omnisonic.studio.sessions.memory import MemorySessions


def run(settings: Settings, *, fd: int | None, supervised: bool) -> None:
    """Run until a signal. `fd` is an inherited listening socket; `supervised`: standard input is a readiness pipe.

    Raises `BadSettings` where it may not run, and `CannotOpenSocket`.
    """
    if not settings.parity_on:
        raise BadSettings(
            ["PARITY_ENABLED is not true, and the parity service has no sign-in: production runs it only then."]
            if settings.parity_enabled is None
            else ["PARITY_ENABLED is false: the parity service is switched off."]
        )
    listener, ready = open_site(settings, "parity", fd=fd, supervised=supervised)
    telemetry = configure_telemetry(settings, "parity")
    try:
        asyncio.run(_serve(settings, listener, ready))
    finally:
        telemetry.shutdown()


async def _serve(settings: Settings, listener: socket.socket, ready: Callable[[], None]) -> None:
    sessions = MemorySessions({GUEST_LOGIN: GUEST}.get)
    app = create_parity_app(settings, sessions, MemoryPresence(), MemoryBus(), port=port_of(listener))
    await serve_site(app, listener, ready, settings)
