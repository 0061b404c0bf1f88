"""Links that download an upload, for whoever has them, for fifteen minutes.

Where a CDN stands before the storage, its address; else the storage's own link; else one of ours, signed over all that
serving it needs, so that it asks neither for a sign-in nor the database.

How many downloads run at once, in all and to each address: each holds a file, a socket and some memory.

Overload: `Refusal` with `Retry-After`: 429 over `PER_ADDRESS`, 503 over `TOTAL`, which are those of one process. Crash
and shutdown: a slot is free again once its request is over, however that ends.

Downloads: the bytes of an object, whole or in part (RFC 9110, 14), for whoever has a link or a role.

What is served is never run by a browser: it is an attachment, of the type its bytes say, in a sandbox. Overload: so
many downloads run at once (`omnisonic.http.api.downloads`), each with a block of its file in memory, asked for as
the client takes it; one that takes nothing is cut off (`omnisonic.http.core.connection`). A store that breaks in the
middle ends the connection, so that nobody takes a part for the whole.
"""

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Final
from urllib.parse import quote

import msgspec
from itsdangerous import BadData, SignatureExpired, TimestampSigner, URLSafeTimedSerializer
from quart import Blueprint, Response, request
from quart_schema import hide
from werkzeug.datastructures import Range
from werkzeug.http import parse_range_header

from omnisonic.http.core.client_address import client_address
from omnisonic.http.core.errors import Refusal, retry_after
from omnisonic.http.core.framework import call_at_end
from omnisonic.http.core.openapi import COOKIE, describe_route
from omnisonic.models import LoginId, UploadId
from omnisonic.settings.settings import Networks
from omnisonic.stores.storage import LINK_S, Key, Storage
from omnisonic.stores.storage.disposition import attachment
from omnisonic.studio.uploads import StoredUpload, UploadStore

SALT: Final = "omnisonic.download"


class Download(msgspec.Struct, frozen=True, array_like=True):
    """All that serving an object needs."""

    key: Key
    file_name: str
    mime_type: str
    size: int
    sha256: str


class DownloadLinks:
    """Makes links to what is in `storage`, and reads those of ours. `cdn_url` is where a CDN serves the same keys."""

    def __init__(
        self, storage: Storage, *, secret: str, cdn_url: str | None, clock: Callable[[], float] = time.time
    ) -> None:
        """`clock` tells the seconds since the epoch that links are signed at."""
        self._storage = storage
        self._cdn_url = cdn_url
        self._signer = URLSafeTimedSerializer(secret, salt=SALT, signer=_signer_at(clock))

    async def url(self, stored: StoredUpload, origin: str) -> str:
        """A link to this upload; ours are at `origin`. Errors: `Unavailable`."""
        if self._cdn_url is not None:
            return f"{self._cdn_url}/{quote(stored.key)}"
        link = await self._storage.link(stored.key, stored.label)
        if link is not None:
            return link
        signed = self._signer.dumps(msgspec.to_builtins(download_of(stored)))
        return f"{origin}/files/{signed}/{quote(stored.upload.file_name, safe='')}"

    def read(self, signed: str) -> Download:
        """What a link of ours is for. Errors: `Refusal` (403) when it is not ours, or too old."""
        try:
            return msgspec.convert(self._signer.loads(signed, max_age=LINK_S), Download)
        except SignatureExpired:
            raise Refusal(403, "link_expired", "This link has run out. Ask the studio for a new one.") from None
        except (BadData, msgspec.ValidationError):
            raise Refusal(403, "link_invalid", "This link is damaged. Ask the studio for a new one.") from None


def _signer_at(clock: Callable[[], float]) -> type[TimestampSigner]:
    class Signer(TimestampSigner):
        def get_timestamp(self) -> int:
            return int(clock())

    return Signer


def download_of(stored: StoredUpload) -> Download:
    """What serving this upload needs."""
    upload = stored.upload
    return Download(stored.key, upload.file_name, upload.mime_type, upload.file_size, upload.sha256)


TOTAL: Final = 256
PER_ADDRESS: Final = 32
"""Several people may be behind one address; a browser has six connections at most."""
RETRY_S: Final = 5.0


class DownloadSlots:
    """Slots for `total` downloads, of which `per_address` may be of one address."""

    def __init__(self, total: int = TOTAL, per_address: int = PER_ADDRESS) -> None:
        self._total = total
        self._per_address = per_address
        self._taken: Counter[str] = Counter()

    def take(self, address: str) -> Callable[[], None]:
        """Take a slot; what is returned frees it, and is to be called once. Errors: `Refusal`."""
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


class FileResponder:
    """What is in `storage`, as answers to the current request, counted by its address, behind `proxies`, too."""

    def __init__(self, storage: Storage, slots: DownloadSlots, proxies: Networks) -> None:
        self._storage = storage
        self._slots = slots
        self._proxies = proxies

    async def respond(self, download: Download) -> Response:
        """The object, or the range of it that is asked for.

        Errors: `Refusal` (416, 429, 503), `NoSuchObject`, `Unavailable`.
        """
        etag = f'"{download.sha256}"'
        headers = {
            "Accept-Ranges": "bytes",
            "Cache-Control": "private, no-cache",
            "Content-Disposition": attachment(download.file_name),
            "Content-Security-Policy": SANDBOX,
            "ETag": etag,
        }
        if request.if_none_match.contains(download.sha256):
            return Response(b"", 304, headers)
        begin, end = 0, download.size
        if (asked := _asked_range(download.size, download.sha256)) is not None:
            begin, end = asked
            headers["Content-Range"] = f"bytes {begin}-{end - 1}/{download.size}"
        headers["Content-Length"] = str(end - begin)
        body: Any = _nothing()
        if request.method != "HEAD":
            call_at_end(self._slots.take(self._address()))
            chunks = self._storage.read(download.key, begin, end)
            first = await anext(chunks)  # a file that is not there is told while it still can be
            body = _sent(first, chunks)
        response = Response(body, 200 if asked is None else 206, headers, content_type=download.mime_type)
        response.timeout = None  # however long it takes, as long as it moves
        return response

    def _address(self) -> str:
        return client_address(request.remote_addr, request.headers.getlist("X-Forwarded-For"), self._proxies)


class Downloads:
    """The two ways to an upload. `login` tells by which sign-in the current request is made, or raises."""

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
        """Serve what a link of ours is for."""
        del name  # it is for whoever saves the file without looking at our headers
        return await self._file_responder.respond(self._links.read(signed))

    @describe_route(None, 400, 401, 404, 416, 429, 503, bare=[200, 206, 304], files=["*/*"], security=COOKIE)
    async def by_role(self, upload_id: UploadId) -> Response:
        """Serve an upload to somebody who may hear it."""
        return await self._file_responder.respond(download_of(await self._store.get(self._login(), upload_id)))


async def _nothing() -> AsyncIterator[bytes]:
    """The body of an answer to HEAD, whose headers stay as they are."""
    return
    yield b""


async def _sent(first: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async with aclosing(chunks) as rest:  # type: ignore[type-var]
        yield first
        del first
        async for chunk in rest:
            yield chunk


def _asked_range(size: int, sha256: str) -> tuple[int, int] | None:
    """The one range of bytes that is asked for, None for all of it. Errors: `Refusal` (416)."""
    asked: Range | None = parse_range_header(request.headers.get("Range"))
    if asked is None or asked.units != "bytes" or len(asked.ranges) != 1:
        return None
    condition = request.headers.get("If-Range")
    # Only what is the same to the byte may be continued: a weak tag, or a date, vouches for nothing (RFC 9110, 13.1.5).
    if condition is not None and condition.strip() != f'"{sha256}"':
        return None
    first, _ = asked.ranges[0]
    found = (max(0, size + first), size) if first < 0 else asked.range_for_length(size)
    if found is None:
        headers = {"Content-Range": f"bytes */{size}"}
        raise Refusal(416, "range_not_satisfiable", f"The file has {size} bytes.", headers=headers)
    return found[0], found[1]
