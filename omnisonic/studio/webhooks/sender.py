"""Sends signed requests to webhooks, and checks their addresses (docs/webhooks.md). Asyncio, through httpx.

A receiver may be slow, broken or hostile. A request has one deadline for everything, and of the response only the
status and `RESPONSE_BYTES` are read. Redirects are not followed: they would lead where no operator has said that events
may go, such as to an address inside. Proxies of the environment are used.

Overload: the caller limits how many requests there are at once. Shutdown: `aclose`.
"""

import asyncio
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final, NamedTuple

import httpx

from omnisonic import __version__
from omnisonic.errors import InvalidInput
from omnisonic.identity.webhook_secrets import sign_webhook

REQUEST_S: Final = 10.0
"""The longest a request may take, from looking up the address to the end of the response."""
RESPONSE_BYTES: Final = 16_384
"""Bytes of a response that are read, so that the connection can be used again. What they say does not matter."""
URL_LENGTH: Final = 2_048
LAST_PORT: Final = 65_535
BUSY: Final = frozenset({429, 502, 503, 504})
"""Statuses that say nothing of the event: the receiver is busy, or a proxy cannot reach it."""


class Answer(NamedTuple):
    """How a request ended, as a phrase for the operator.

    `is_success`: the receiver has the event. `is_answered`: it was there, and has answered this event with an error.
    """

    text: str
    is_success: bool = False
    is_answered: bool = False


class WebhookSender:
    """Sends requests, each of which takes at most `within_s`. The client is made at the first one."""

    def __init__(
        self, make_client: Callable[[], httpx.AsyncClient] = httpx.AsyncClient, *, within_s: float = REQUEST_S
    ) -> None:
        self._make_client = make_client
        self._within_s = within_s
        self._client: httpx.AsyncClient | None = None

    async def send(self, url: str, secret: str, message_id: str, body: str) -> Answer:
        """Send a message. What goes wrong is in the answer."""
        try:
            check_webhook_url(url)
        except InvalidInput as problem:  # it was added by an earlier release
            return Answer(problem.message)
        if self._client is None:
            self._client = self._make_client()
        content = body.encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"omnisonic/{__version__}",
            **sign_webhook(secret, message_id, int(time.time()), content),
        }
        try:
            async with asyncio.timeout(self._within_s):
                request = self._client.stream(
                    "POST", url, content=content, headers=headers, follow_redirects=False, timeout=self._within_s
                )
                async with request as response:
                    return _answer_of(response.status_code, is_whole=await _read_some(response))
        except (TimeoutError, httpx.TimeoutException):
            return Answer(f"no response within {self._within_s:g} s")
        except (httpx.HTTPError, httpx.InvalidURL) as failure:
            return Answer(str(failure) or type(failure).__name__)

    async def aclose(self) -> None:
        """Close the connections. Safe to call twice."""
        if self._client is not None:
            await self._client.aclose()


def check_webhook_url(url: str) -> str:
    """Return `url` if events may be sent there.

    Events name people, and have what they say, so only https is allowed, or http to this machine itself.

    Raises:
        InvalidInput: With the code `invalid_url`.
    """
    try:
        parts = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError):
        raise _wrong("That is no URL.") from None
    if len(url) > URL_LENGTH or not url.isprintable():
        raise _wrong(f"A webhook's URL has at most {URL_LENGTH} characters, and none that cannot be seen.")
    if not parts.host or parts.scheme not in ("http", "https"):
        raise _wrong("A webhook's URL begins with https:// and a host, such as https://example.com/hooks.")
    if parts.port is not None and not 1 <= parts.port <= LAST_PORT:
        raise _wrong(f"The port of a webhook's URL is from 1 to {LAST_PORT}.")
    if parts.scheme == "http" and not _is_loopback(parts.host):
        raise _wrong("Use https://: events hold what people say. http:// is only for a program on this machine.")
    if parts.userinfo or parts.fragment:
        raise _wrong("A webhook's URL has no user, password or #fragment. The signature says who sends the events.")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _wrong(sentence: str) -> InvalidInput:
    return InvalidInput(sentence, code="invalid_url")


async def _read_some(response: httpx.Response) -> bool:
    """Read the beginning of the response. False when there is more than that."""
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > RESPONSE_BYTES:
            return False
    return True


def _answer_of(status: int, *, is_whole: bool) -> Answer:
    text = f"HTTP {status}" if is_whole else f"HTTP {status}, and a response over {RESPONSE_BYTES} bytes"
    if httpx.codes.is_redirect(status):
        text += "; redirects are not followed"
    is_success = httpx.codes.is_success(status)
    return Answer(text, is_success, is_answered=not is_success and status not in BUSY)
