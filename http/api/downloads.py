"""Downloads: links, limits, and the bytes of a stored object, whole or in part (RFC 9110, 14).

A link works for whoever has it, for fifteen minutes. It points to the CDN where there is one; else to the storage when
that makes links of its own; else to `/files/...` here, signed over everything that serving needs, so that following it
asks for no login. It ends when the upload is removed, as far as the database answers; without it, it works. Browsers
never run what is served: it is an attachment, in a sandbox, with the media type that was found from its bytes.

Overload: `DownloadSlots` bounds how many downloads run at once; each holds a file, a socket and one block of memory,
and blocks are read as the client takes them. A client that takes nothing is cut off (`omnisonic.http.core.connection`).
A storage that fails in the middle ends the connection, so that nobody takes a part for the whole. Crash and shutdown:
a slot is free again once its request is over.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec
from itsdangerous import BadData, SignatureExpired, TimestampSigner, URLSafeTimedSerializer
from quart import Blueprint, Response, request
from quart_schema import hide
from werkzeug.datastructures import Range
from werkzeug.http import parse_range_header

from omnisonic.errors import Unavailable
from omnisonic.http.core.client_address import request_address
from omnisonic.http.core.errors import Refusal, retry_after
from omnisonic.http.core.framework import call_at_end
from omnisonic.http.core.openapi import COOKIE, describe_route
from omnisonic.identity.signing import Secret, believed_secrets
from omnisonic.models import LoginId, UploadId
from omnisonic.settings.fields import Networks
from omnisonic.stores.storage import LINK_S, Key, NoSuchObject, Storage, attachment
from omnisonic.studio.uploads import StoredUpload
from omnisonic.studio.uploads.upload_store import UploadStore

SALT: Final = "omnisonic.download"


class Download(msgspec.Struct, frozen=True, array_like=True):
    """All that is needed to serve a stored object. `etag` tells its bytes from all others: it has their SHA-256."""

    key: Key
    file_name: str
    mime_type: str
    size: int
    etag: str


class Stream(NamedTuple):
    """A file that is made while it is sent, and its size in bytes. `chunks` is closed when the client goes away."""

    chunks: AsyncIterator[bytes]
    file_name: str
    mime_type: str
    size: int


class DownloadLinks:
    """Makes links to objects in `storage`, and checks links of our own. `cdn_url`: where a CDN serves the same keys."""

    def __init__(
        self, storage: Storage, *, secret: Secret, cdn_url: str | None, clock: Callable[[], float] = time.time
    ) -> None:
        """`clock` returns seconds since the epoch: the time at which links are signed."""
        self._storage = storage
        self._cdn_url = cdn_url
        self._signer = URLSafeTimedSerializer(believed_secrets(secret), salt=SALT, signer=_make_signer_class(clock))

    async def url(self, stored: StoredUpload, origin: str) -> str:
        """Make a link to an upload. Links of our own are on `origin`. Raises `Unavailable`."""
        await asyncio.sleep(0)  # a list has hundreds of links, and signing takes time that others wait for
        if self._cdn_url is not None:
            return f"{self._cdn_url}/{quote(stored.key)}"
        link = await self._storage.link(stored.key, stored.label)
        if link is not None:
            return link
        signed = self._signer.dumps(msgspec.to_builtins(download_of(stored)))
        return f"{origin}/files/{signed}/{quote(stored.upload.file_name, safe='')}"

    def read(self, signed: str) -> Download:
        """Check a link of our own and return what it serves. Raises `Refusal` (403) when it is forged or too old."""
        try:
            return msgspec.convert(self._signer.loads(signed, max_age=LINK_S), Download)
        except SignatureExpired:
            raise Refusal(403, "link_expired", "This link has run out. Ask the studio for a new one.") from None
        except (BadData, msgspec.ValidationError):
            raise Refusal(403, "link_invalid", "This link is damaged. Ask the studio for a new one.") from None


def _make_signer_class(clock: Callable[[], float]) -> type[TimestampSigner]:
    class Signer(TimestampSigner):
        def get_timestamp(self) -> int:
            return int(clock())

    return Signer


def download_of(stored: StoredUpload) -> Download:
    """The download of a stored upload."""
    upload = stored.upload
    return Download(stored.key, upload.file_name, upload.mime_type, upload.file_size, upload.sha256)


TOTAL: Final = 256
PER_ADDRESS: Final = 32
"""Several people may share one address. A browser opens six connections at most."""
RETRY_S: Final = 5.0


class DownloadSlots:
    """At most `total` downloads at once, and `per_address` from one address.

    Each process has two: for members and whoever has a link of theirs to a file, and for share links (`.listening`).
    """

    def __init__(self, total: int = TOTAL, per_address: int = PER_ADDRESS) -> None:
        self._total = total
        self._per_address = per_address
        self._taken: Counter[str] = Counter()

    def take(self, address: str) -> Callable[[], None]:
        """Take a slot.

        Returns:
            A function that frees the slot. Call it once.

        Raises:
            Refusal: 429 when `per_address` are taken, 503 when `total` are, both with `Retry-After`.
        """
        if self._taken[address] >= self._per_address:
            raise Refusal(
                429,
                "too_many_downloads",
                "Too many downloads run to your address. Wait until one is finished.",
                headers=retry_after(RETRY_S),
            )
        if self._taken.total() >= self._total:
            raise Refusal(
                503,
                "downloads_busy",
                "As many downloads run as this server takes on. Try again in a moment.",
                headers=retry_after(RETRY_S),
            )
        self._taken[address] += 1
        return lambda: self._free(address)

    def _free(self, address: str) -> None:
        self._taken[address] -= 1
        if not self._taken[address]:
            del self._taken[address]


SANDBOX: Final = "default-src 'none'; sandbox"
ASK_AGAIN: Final = "private, no-cache"
"""A browser may keep it, and asks before it uses it again."""


class FileResponder:
    """Answers requests with objects in `storage`, within `slots` by client address. `proxies` are trusted."""

    def __init__(self, storage: Storage, slots: DownloadSlots, proxies: Networks) -> None:
        self._storage = storage
        self._slots = slots
        self._proxies = proxies

    async def respond(self, download: Download, *, begins_at: int = 0, caching: str = ASK_AGAIN) -> Response:
        """Respond to the current request with the object, or the range that it asks for.

        Args:
            download: What to serve.
            begins_at: Where in the object it begins, in bytes.
            caching: The header `Cache-Control`.

        Raises `Refusal` (416, 429, 503), `NoSuchObject`, `Unavailable`.
        """
        etag = f'"{download.etag}"'
        headers = {
            "Accept-Ranges": "bytes",
            "Cache-Control": caching,
            "Content-Disposition": attachment(download.file_name),
            "Content-Security-Policy": SANDBOX,
            "ETag": etag,
        }
        if request.if_none_match.contains(download.etag):
            return Response(b"", 304, headers)
        begin, end = 0, download.size
        if (requested := _parse_range(download.size, download.etag)) is not None:
            begin, end = requested
            headers["Content-Range"] = f"bytes {begin}-{end - 1}/{download.size}"
        headers["Content-Length"] = str(end - begin)
        body: Any = _empty_body()
        if request.method != "HEAD":
            call_at_end(self._slots.take(request_address(self._proxies)))
            chunks = self._storage.read(download.key, begins_at + begin, begins_at + end)
            first = await anext(chunks)  # a missing file raises here, before the response starts
            body = _stream_chunks(first, chunks)
        response = Response(body, 200 if requested is None else 206, headers, content_type=download.mime_type)
        response.timeout = None  # no limit in all: a stalled client is cut off by its connection
        return response

    async def respond_with_stream(self, stream: Stream) -> Response:
        """Respond to the current request with a file that is made while it is sent, without ranges.

        Raises `Refusal` (429, 503), and what the first of its chunks raises.
        """
        headers = {
            "Cache-Control": "no-store",
            "Content-Disposition": attachment(stream.file_name),
            "Content-Length": str(stream.size),
            "Content-Security-Policy": SANDBOX,
        }
        body: Any = _empty_body()
        if request.method != "HEAD":
            call_at_end(self._slots.take(request_address(self._proxies)))
            body = _stream_chunks(await anext(stream.chunks), stream.chunks)
        response = Response(body, 200, headers, content_type=stream.mime_type)
        response.timeout = None  # as above
        return response


class Downloads:
    """The routes that download an upload, by link and by role.

    `login` returns the login of the current request, or raises `NotSignedIn`.
    """

    def __init__(
        self, store: UploadStore, file_responder: FileResponder, links: DownloadLinks, login: Callable[[], LoginId]
    ) -> None:
        self._store = store
        self._file_responder = file_responder
        self._links = links
        self._login = login

    def blueprint(self) -> Blueprint:
        routes = Blueprint("downloads", __name__)
        routes.get("/files/<signed>/<name>")(self.by_link)
        routes.get("/api/upload/<id(length=36):upload_id>/content")(self.by_role)
        return routes

    @hide
    async def by_link(self, signed: str, name: str) -> Response:
        """Download by a signed link."""
        del name  # for programs that take the file name from the URL
        download = self._links.read(signed)
        with suppress(Unavailable):
            if await self._store.is_in_bin(download.key):
                raise NoSuchObject
        return await self._file_responder.respond(download)

    @describe_route(None, 400, 401, 404, 416, 429, 503, bare=[200, 206, 304], files=["*/*"], security=COOKIE)
    async def by_role(self, upload_id: UploadId) -> Response:
        """Download an upload as somebody who may listen to it."""
        return await self._file_responder.respond(download_of(await self._store.get(self._login(), upload_id)))


async def _empty_body() -> AsyncIterator[bytes]:
    """The body of a response to HEAD, which keeps the headers of GET."""
    return
    yield b""


async def _stream_chunks(first: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async with aclosing(chunks) as remaining:  # type: ignore[type-var]
        yield first
        del first
        async for chunk in remaining:
            yield chunk


def _parse_range(size: int, etag: str) -> tuple[int, int] | None:
    """Read the requested range of bytes, None for the whole file. Raises `Refusal` (416)."""
    requested: Range | None = parse_range_header(request.headers.get("Range"))
    if requested is None or requested.units != "bytes" or len(requested.ranges) != 1:
        return None
    condition = request.headers.get("If-Range")
    # Only an identical file may be continued. A weak tag or a date does not prove that (RFC 9110, 13.1.5).
    if condition is not None and condition.strip() != f'"{etag}"':
        return None
    first, _ = requested.ranges[0]
    found = (max(0, size + first), size) if first < 0 else requested.range_for_length(size)
    if found is None:
        headers = {"Content-Range": f"bytes */{size}"}
        raise Refusal(416, "range_not_satisfiable", f"The file has {size} bytes.", headers=headers)
    return found[0], found[1]
