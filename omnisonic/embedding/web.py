"""The studio's web as an ASGI app, for somebody's own server or web app (SPEC 3, 6, 8). For asyncio.

It owns its stores: they are opened by the app's lifespan and closed with it, whoever runs that: an ASGI server, or the
program that mounts the app (`StudioWeb.running`). Its links, cookies and sign-in callbacks all begin at `/`, so it
lives at the root of a host, maybe behind other routes; under a prefix it is refused in a sentence, not half broken.

Overload, crash and shutdown are those of `omnisonic.http.app`. Logs and telemetry are the surrounding program's.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

from quart import Quart

from omnisonic.cli.schema_check import refuse_when_behind
from omnisonic.cli.stores import open_stores
from omnisonic.errors import BadSettings, OmnisonicError
from omnisonic.http.app import create_app as create_quart
from omnisonic.identity.signing import signing_secret
from omnisonic.settings.settings import Settings

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

NOT_AT_THE_ROOT: Final = (
    "The studio was mounted under {prefix}, and its links, cookies and sign-in begin at /. "
    "Mount it at the root, behind your own routes, or give it a host name of its own."
)
NOT_RUNNING: Final = (
    "The studio has not been started: run its lifespan. "
    "In the lifespan of the app that it is mounted in: `async with studio.running(): yield`."
)


class StudioWeb:
    """The web, to be mounted. Made by `create_app`."""

    def __init__(self, settings: Settings, redis_url: str, database_url: str) -> None:
        self.settings = settings
        self._redis_url = redis_url
        self._database_url = database_url
        self._app: Quart | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Have the stores open for as long as the block lasts. For whoever mounts the app where lifespans do not reach.

        Errors: `DatabaseBehind` and its like; `RuntimeError` when it runs already. A store that does not answer yet is
        no error.
        """
        if self._app is not None:
            raise RuntimeError("The studio runs already.")
        settings = self.settings
        await refuse_when_behind(self._database_url)
        async with open_stores(settings, self._redis_url, self._database_url) as stores:
            token = settings.admin_token
            self._app = create_quart(
                settings,
                stores,
                secret=signing_secret(settings),
                admin_token=None if token is None else token.get_secret_value(),
                gateway_port=settings.gateway_port,
                web_port=settings.web_port,
            )
            try:
                yield
            finally:
                self._app = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3. Errors: `RuntimeError` under a prefix, or when its lifespan does not run."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if prefix := _prefix(scope):
            raise RuntimeError(NOT_AT_THE_ROOT.format(prefix=prefix))
        if self._app is None:
            raise RuntimeError(NOT_RUNNING)
        await self._app(scope, receive, send)  # type: ignore[arg-type]  # ASGI has several names for one shape

    async def _live(self, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            await receive()
            try:
                await stack.enter_async_context(self.running())
            except OmnisonicError as problem:
                await send({"type": "lifespan.startup.failed", "message": problem.message})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


def create_app(settings: Settings | None = None) -> StudioWeb:
    """The studio's web, on the stores that `settings` name (by default the environment: docs/operating.md).

    It needs `DATABASE_URL` (migrated: `omnisonic migrate`) and `REDIS_URL`, where it meets the gateway, and
    `NEXTAUTH_URL`, the public URL that it is mounted at. Errors: `BadSettings`, with a sentence for each problem.
    """
    settings = Settings.load() if settings is None else settings
    settings.check_sign_in()
    if settings.redis_url is None or settings.database_url is None:
        missing = [name for name in ("redis_url", "database_url") if getattr(settings, name) is None]
        raise BadSettings([f"{name.upper()} is not set, and the studio's web needs it." for name in missing])
    return StudioWeb(settings, settings.redis_url, settings.database_url)


def _prefix(scope: Scope) -> str:
    """The path that the app is mounted under, by any of the ways that routers tell it; empty at the root."""
    root = str(scope.get("root_path", "")).rstrip("/")
    if root:
        return root
    whole, path = unquote(scope.get("raw_path", b"").partition(b"?")[0].decode("latin-1")), str(scope["path"])
    return whole.removesuffix(path) if whole != path and whole.endswith(path) else ""
