"""`omnisonic web`: opens its socket and the stores, creates the app, and serves it (`cli/site.py`)."""

import asyncio
import socket
from collections.abc import Callable

from omnisonic.cli.listening_sockets import port_of
from omnisonic.cli.site import open_site, serve_site
from omnisonic.cli.startup_checks import check_schema, require_services
from omnisonic.cli.stores import open_stores
from omnisonic.http.app import create_app
from omnisonic.identity.signing import Secret, signing_secret
from omnisonic.observability.telemetry import configure_telemetry
from omnisonic.settings.settings import Settings


def run(settings: Settings, *, fd: int | None, supervised: bool) -> None:
    """Run until a signal.

    Args:
        settings: The settings.
        fd: An inherited listening socket.
        supervised: Standard input is a readiness pipe.

    Raises:
        BadSettings: A service is not set, or people could not sign in safely.
        DatabaseBehind: Run `omnisonic migrate`.
        CannotOpenSocket: It cannot listen.
    """
    redis_url, database_url = require_services(settings)
    settings.check_sign_in()
    secret = signing_secret(settings)
    listener, ready = open_site(settings, "web", fd=fd, supervised=supervised)
    telemetry = configure_telemetry(settings, "web")
    try:
        asyncio.run(_serve(settings, redis_url, database_url, secret, listener, ready, telemetry.render_metrics))
    finally:
        telemetry.shutdown()


async def _serve(
    settings: Settings,
    redis_url: str,
    database_url: str,
    secret: Secret,
    listener: socket.socket,
    ready: Callable[[], None],
    render_metrics: Callable[[], bytes] | None,
) -> None:
    await check_schema(database_url)
    async with open_stores(settings, redis_url, database_url) as stores:
        app = create_app(
            settings,
            stores,
            secret=secret,
            admin_token=None if settings.admin_token is None else settings.admin_token.get_secret_value(),
            gateway_port=settings.gateway_port,
            web_port=port_of(listener),
            render_metrics=render_metrics,
        )
        await serve_site(app, listener, ready, settings)
