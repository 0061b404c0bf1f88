"""`omnisonic web`: opens its socket and the shared stores, builds the app on them, and serves it (`cli/site.py`)."""

import asyncio
import socket
from collections.abc import Callable

from omnisonic.cli.listening_sockets import port_of
from omnisonic.cli.schema_check import refuse_when_behind
from omnisonic.cli.site import open_site, serve_site
from omnisonic.cli.stores import open_stores
from omnisonic.errors import BadSettings
from omnisonic.http.app import create_app
from omnisonic.identity.signing import signing_secret
from omnisonic.observability.telemetry import configure_telemetry
from omnisonic.settings.settings import Settings


def run(settings: Settings, *, fd: int | None, supervised: bool) -> None:
    """Run until a signal. `fd` is an inherited listening socket; `supervised`: standard input is a lifeline.

    Errors: `BadSettings` without a place to meet the other parts, or where people could not sign in safely;
    `DatabaseBehind`; `CannotListen`.
    """
    redis_url, database_url = _places(settings)
    settings.check_sign_in()
    secret = signing_secret(settings)
    listener, ready = open_site(settings, "web", fd=fd, supervised=supervised)
    telemetry = configure_telemetry(settings, "web")
    try:
        asyncio.run(_serve(settings, redis_url, database_url, secret, listener, ready))
    finally:
        telemetry.shutdown()


def _places(settings: Settings) -> tuple[str, str]:
    """Where presence and bus are, and where the database is: in this process alone they would silently be empty."""
    problems = []
    if settings.redis_url is None:
        problems.append("REDIS_URL is not set: set it to where the gateway meets the web, or run `omnisonic serve`.")
    if settings.database_url is None:
        problems.append("DATABASE_URL is not set: set it to where accounts are kept, or run `omnisonic serve`.")
    if settings.redis_url is None or settings.database_url is None:
        raise BadSettings(problems)
    return settings.redis_url, settings.database_url


async def _serve(
    settings: Settings,
    redis_url: str,
    database_url: str,
    secret: str,
    listener: socket.socket,
    ready: Callable[[], None],
) -> None:
    await refuse_when_behind(database_url)
    async with open_stores(settings, redis_url, database_url) as stores:
        app = create_app(
            settings,
            stores,
            secret=secret,
            admin_token=None if settings.admin_token is None else settings.admin_token.get_secret_value(),
            gateway_port=settings.gateway_port,
            web_port=port_of(listener),
        )
        await serve_site(app, listener, ready, settings)
