"""Quart without what this app does not use: the shortest way from a request to its response.

Quart's own classes are made to be replaced. Left out are the cookie of Flask's sessions (logins are rows in the
database), support for views that are no coroutines, and two tasks for each request. Ids in paths are converted by
`IdConverter`: `<id:session_id>` in a rule. Crash: as in Quart. A client that disconnects is noticed when its response
is sent, so that what has begun is done to its end; while a body is still arriving, at once. Large bodies are streamed
(`omnisonic.http.core.request_body`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from inspect import CO_COROUTINE
from typing import Any, Final, cast

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable
from quart import Quart, Request
from quart import request as current_request
from quart.asgi import ASGIHTTPConnection
from quart.sessions import SessionInterface, SessionMixin
from quart.typing import ResponseTypes
from quart.utils import encode_headers
from quart.wrappers.base import BaseRequestWebsocket
from quart.wrappers.response import DataBody, Response
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter, UnicodeConverter

from omnisonic.http.core.errors import Refusal
from omnisonic.http.core.request_body import ExpectedBody, RequestBody, expectation_of, is_streamed
from omnisonic.http.core.stopping import stopping_of
from omnisonic.models.checks import plain_id


class IdConverter(UnicodeConverter):
    """An id in a path, normalised to lower case. Text that is no UUID passes through and names nothing."""

    def to_python(self, value: str) -> str:
        return plain_id(value)


BODY_HEADERS: Final = frozenset({b"content-length", b"transfer-encoding"})
LINGER_S: Final = 0.5
"""How long a request that is answered already may take to arrive completely."""
LINGER_STREAMED_S: Final = 5.0
"""The same when its body is streamed."""
LINGER_STOPPING_S: Final = 1.0
"""How long a client may go on sending after its response, when the server stops."""


END_CALLBACKS: Final = "omnisonic.endings"
"""The key of a request's end callbacks in its scope."""
WAIT_FOR_DISCONNECT: Final = "omnisonic.wait_for_disconnect"
"""The key of what waits for the client's disconnect in the scope of a request whose body is not streamed."""


class HttpConnection(ASGIHTTPConnection):
    """One request and its response."""

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        callbacks: list[Callable[[], None]] = []
        cast("dict[str, Any]", self.scope)[END_CALLBACKS] = callbacks
        try:
            await self._handle(receive, send)
        finally:
            for callback in callbacks:
                callback()

    async def _handle(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        has_body = any(name in BODY_HEADERS for name, _ in self.scope["headers"])
        if has_body and not is_streamed(self.scope):
            self._is_gone = asyncio.Event()
            cast("dict[str, Any]", self.scope)[WAIT_FOR_DISCONNECT] = self._is_gone.wait
            await super().__call__(receive, send)
            return
        request: Request = self._create_request_from_scope(send)
        if not has_body:
            request.body.set_complete()
            cast("dict[str, Any]", self.scope)[WAIT_FOR_DISCONNECT] = partial(_receive_disconnect, receive)
            await self._send_in_time(send, await self.app.handle_request(request))
            return
        stopping, config = stopping_of(self.scope), self.app.config
        expectation = expectation_of(self.scope)
        body = RequestBody(receive, config["STALL_TIMEOUT"], stopping, expectation, config["SLOW_TIMEOUT"])
        request.body = cast("Any", body)
        try:
            response = await self._handle_and_drain(request, LINGER_STREAMED_S)
        finally:
            # Hypercorn ends a request through the queue of its body, and waits while that is full.
            self._discarding = asyncio.create_task(body.discard())
        is_cut_off = stopping.has_begun and cast("Response", response).headers.get("Connection") == "close"
        await self._send_in_time(send, response, linger_s=LINGER_STOPPING_S if is_cut_off else 0.0)

    def _create_request_from_scope(self, send: ASGISendCallable) -> Request:
        request = super()._create_request_from_scope(send)
        expectation = expectation_of(self.scope)
        if expectation.is_open:
            request.body = ExpectedBody(request.content_length, self.app.config["MAX_CONTENT_LENGTH"], expectation)
        return request

    async def handle_messages(self, request: Request, receive: ASGIReceiveCallable) -> None:
        """Take in the body. Returns, and so cancels the request, when the client disconnects before it is complete."""
        is_complete = False
        while (message := await receive())["type"] == "http.request":
            request.body.append(message.get("body", b""))
            if not message.get("more_body", False):
                request.body.set_complete()
                is_complete = True
        if is_complete:
            self._is_gone.set()
            await asyncio.Event().wait()

    async def handle_request(self, request: Request, send: ASGISendCallable) -> None:
        await self._send_in_time(send, await self._handle_and_drain(request, LINGER_S))

    async def _handle_and_drain(self, request: Request, linger_s: float) -> ResponseTypes:
        """Handle the request, then wait `linger_s` for the rest of its body; else the response closes the connection.

        A response that is sent before the body has arrived makes the server close the connection while the client is
        still sending, and the client may not see the response. A body that no 100 was sent for is not waited for.
        """
        response = await self.app.handle_request(request)
        if expectation_of(self.scope).is_open:
            response.headers["Connection"] = "close"
            return response
        try:
            async with asyncio.timeout(linger_s):
                await request.body
        except (TimeoutError, HTTPException, Refusal):
            response.headers["Connection"] = "close"
        return response

    async def _send_in_time(self, send: ASGISendCallable, response: ResponseTypes, *, linger_s: float = 0.0) -> None:
        limit_s = response.timeout if isinstance(response, Response) else ...
        with suppress(TimeoutError, ConnectionError):  # the client is slow, or gone
            async with asyncio.timeout(self.app.config["RESPONSE_TIMEOUT"] if limit_s is ... else limit_s):
                await self._send_response(send, response, linger_s=linger_s)

    async def _send_response(self, send: ASGISendCallable, response: ResponseTypes, *, linger_s: float = 0.0) -> None:
        if not isinstance(response, Response) or not isinstance(response.response, DataBody):
            await super()._send_response(send, response)
            return
        headers = encode_headers(response.headers)
        await send(cast("Any", {"type": "http.response.start", "status": response.status_code, "headers": headers}))
        body = response.response.data[response.response.begin : response.response.end]
        if linger_s:
            # The body is complete. A client that is still sending would not see it if the connection ended now.
            await send(cast("Any", {"type": "http.response.body", "body": body, "more_body": True}))
            await asyncio.wait({self._discarding}, timeout=linger_s)
            body = b""
        await send(cast("Any", {"type": "http.response.body", "body": body, "more_body": False}))


def call_at_end(callback: Callable[[], None]) -> None:
    """Call `callback` when the current request is over: answered, or broken off at any moment."""
    cast("dict[str, Any]", current_request.scope)[END_CALLBACKS].append(callback)


def disconnect_waiter() -> Callable[[], Awaitable[None]]:
    """Make a function that returns when the client of the current request is gone. Call it once.

    For responses that do not end. A request whose body breaks off is cancelled instead. While a body is streamed, the
    function only waits.
    """
    scope = cast("dict[str, Any]", current_request.scope)
    return cast("Callable[[], Awaitable[None]]", scope.get(WAIT_FOR_DISCONNECT, asyncio.Event().wait))


async def _receive_disconnect(receive: ASGIReceiveCallable) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class NoSessions(SessionInterface):
    """Flask's sessions, switched off."""

    def __init__(self) -> None:
        self._none = self.null_session_class()

    async def open_session(self, app: Quart, request: BaseRequestWebsocket) -> SessionMixin:
        del app, request
        return self._none


class StudioApp(Quart):
    """A Quart with the classes above."""

    asgi_http_class = HttpConnection
    session_interface = cast("Any", NoSessions())

    def ensure_async(self, func: Callable[..., Any]) -> Callable[..., Any]:
        code = getattr(func, "__code__", None)
        return func if code is not None and code.co_flags & CO_COROUTINE else super().ensure_async(func)

    def create_url_adapter(self, request: BaseRequestWebsocket | None) -> MapAdapter | None:
        """Find routes by path alone: `Host` is not trusted before the request filter has checked it."""
        if request is None:
            return super().create_url_adapter(request)
        return self.url_map.bind("localhost", request.root_path, None, request.scheme, request.method, request.path)
