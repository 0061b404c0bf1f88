"""The studio's web as an ASGI app, for other servers and web apps (SPEC 3, 6, 8). For asyncio.

Its stores are opened by the app's lifespan and closed with it. The lifespan is run by an ASGI server, or by the program
that mounts the app (`StudioWeb.running`). Links, cookies and sign-in callbacks begin at `/`, so the app must be mounted
at the root of a host; under a prefix it refuses all requests.

Overload, crash and shutdown: as for `omnisonic.http.app`. The surrounding program configures logs and telemetry.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

from quart import Quart

from omnisonic.cli.startup_checks import check_schema
from omnisonic.cli.stores import open_stores
from omnisonic.concurrency.async_library import require_async_library
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
    """The studio's web as an ASGI 3 app. Created by `create_app`.

    Attributes:
        settings: The settings that it runs with.

    Example:
        studio = omnisonic.create_app()

        @asynccontextmanager
        async def lifespan(app: Starlette) -> AsyncIterator[None]:
            async with studio.running():
                yield

        app = Starlette(routes=[Mount("/", studio)], lifespan=lifespan)
    """

    def __init__(self, settings: Settings, redis_url: str, database_url: str) -> None:
        self.settings = settings
        self._redis_url = redis_url
        self._database_url = database_url
        self._app: Quart | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the stores open until the block ends. Use it where the lifespan of a mounted app is not run.

        Raises:
            OmnisonicError: The database has another version than this package: run `omnisonic migrate`.
            RuntimeError: The app runs already.
            WrongAsyncLibrary: The program runs on trio. Serve the app with an asyncio server.

        A database or Redis that does not answer yet is not an error here; requests fail until it does.
        """
        require_async_library("asyncio", "serve the studio's web with an asyncio server, such as hypercorn.asyncio")
        if self._app is not None:
            raise RuntimeError("The studio runs already.")
        settings = self.settings
        await check_schema(self._database_url)
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
        """Handle one ASGI connection. Raises `RuntimeError` under a prefix, or when its lifespan does not run."""
        if scope["type"] == "lifespan":
            await self._run_lifespan(receive, send)
            return
        if prefix := _prefix(scope):
            raise RuntimeError(NOT_AT_THE_ROOT.format(prefix=prefix))
        if self._app is None:
            raise RuntimeError(NOT_RUNNING)
        await self._app(scope, receive, send)  # type: ignore[arg-type]  # ASGI has several names for one shape

    async def _run_lifespan(self, receive: Receive, send: Send) -> None:
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
    """Create the studio's web (pages and REST) as an ASGI app for asyncio. Needs the extra `studio`.

    Args:
        settings: The settings. Defaults to those of the environment (docs/operating.md). It needs `DATABASE_URL`
            (migrated by `omnisonic migrate`), `REDIS_URL` (the same as the gateway's), and `NEXTAUTH_URL`, the public
            address of the app.

    Returns:
        A `StudioWeb`, to be mounted at the root.

    Raises:
        BadSettings: With one sentence for each problem.

    Example:
        studio = omnisonic.create_app()
        app = AsyncioDispatcherMiddleware({"/band": your_quart_app, "/": studio})
    """
    settings = Settings.load() if settings is None else settings
    settings.check_sign_in()
    if settings.redis_url is None or settings.database_url is None:
        missing = [name for name in ("redis_url", "database_url") if getattr(settings, name) is None]
        raise BadSettings([f"{name.upper()} is not set, and the studio's web needs it." for name in missing])
    return StudioWeb(settings, settings.redis_url, settings.database_url)


def _prefix(scope: Scope) -> str:
    """The path that the app is mounted under, in any of the ways that routers say it; empty at the root."""
    root = str(scope.get("root_path", "")).rstrip("/")
    if root:
        return root
    whole, path = unquote(scope.get("raw_path", b"").partition(b"?")[0].decode("latin-1")), str(scope["path"])
    return whole.removesuffix(path) if whole != path and whole.endswith(path) else ""
