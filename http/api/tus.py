"""`/api/upload/tus`: resumable uploads by the tus protocol 1.0 (https://tus.io).

Bytes are stored while their request is still running (`omnisonic.studio.uploads.resumable_writer`). The offset reaches
the full length only when the upload itself exists, under the id of the resumable. When finishing fails, the last chunk
is not counted, so that the client sends it again. A file that is rejected for good removes the resumable.

Overload: chunks are streamed like any upload. Shutdown: what has arrived by then is kept, and the client gets 503.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope
from quart import Blueprint, Response, request

from omnisonic.errors import InvalidInput
from omnisonic.http.api.room_events import RoomEvents
from omnisonic.http.api.tus_headers import (
    VERSION,
    ChunkHeaders,
    CreationHeaders,
    VersionHeader,
    capabilities,
    effective_method,
    expires_header,
    format_metadata,
    parse_length,
    parse_metadata,
    parse_number,
    refuse_unsupported,
)
from omnisonic.http.api.uploads import UploadServices, news_of
from omnisonic.http.core.errors import Refusal
from omnisonic.http.core.openapi import COOKIE, describe_route
from omnisonic.http.core.request_body import TUS_PATH, chunk_reader
from omnisonic.http.core.stopping import finish_before_stop
from omnisonic.models import LoginId, Upload, UploadId
from omnisonic.models.checks import plain_id
from omnisonic.stores.storage import NoSuchObject, Storage
from omnisonic.studio.uploads import NoSuchUpload, checked_file_name, checked_offset_s
from omnisonic.studio.uploads.chunks import Body, Checksum
from omnisonic.studio.uploads.resumable_store import ResumableStore
from omnisonic.studio.uploads.resumable_writer import ResumableWriter, WriteResult
from omnisonic.studio.uploads.resumables import NoSuchResumable, OffsetConflict

CHUNK_TYPE: Final = "application/offset+octet-stream"


class Tus:
    """The routes of `/api/upload/tus`. `login` returns the login of the current request, or raises `NotSignedIn`."""

    def __init__(
        self,
        services: UploadServices,
        resumable: ResumableStore,
        storage: Storage,
        room_events: RoomEvents,
        login: Callable[[], LoginId],
    ) -> None:
        self._services = services
        self._resumable = resumable
        self._writer = ResumableWriter(resumable, services.upload_writer, storage, services.garbage_collector)
        self._room_events = room_events
        self._login = login

    def blueprint(self) -> Blueprint:
        routes = Blueprint("tus", __name__, url_prefix="/api/upload/tus")
        routes.route("", methods=["OPTIONS"])(self.describe)
        routes.post("")(self.create)
        routes.route("/<id(length=36):upload_id>", methods=["HEAD"])(self.look)
        routes.patch("/<id(length=36):upload_id>")(self.append)
        routes.delete("/<id(length=36):upload_id>")(self.remove)
        routes.before_request(self._check_version)
        routes.after_request(_add_version_header)
        return routes

    @describe_route(None, bare=[204])
    async def describe(self) -> Response:
        """List the supported version and extensions of tus."""
        return _empty_response(204, capabilities(self._services.upload_writer.max_bytes))

    @describe_route(
        None, 400, 401, 403, 404, 408, 412, 413, 429, 503, bare=[201], headers=CreationHeaders, security=COOKIE
    )
    async def create(self) -> Response:
        """Start an upload of `Upload-Length` bytes, or of a length that is said later (`Upload-Defer-Length: 1`).

        `Upload-Metadata` holds its `filename`. And the `sessionId` if it belongs to a session, with `takeOf` if it is
        another take of a track there. And `offsetSeconds`, if it does not begin where the session begins.
        """
        login = self._login()
        refuse_unsupported(request.headers, creates=True, has_body=request.mimetype == CHUNK_TYPE and _has_body())
        size = parse_length(request.headers, self._services.upload_writer.max_bytes)
        about = parse_metadata(request.headers.get("Upload-Metadata", ""))
        name = checked_file_name(about.get("filename", ""))
        session, take_of = (plain_id(about.get(key, "")) or None for key in ("sessionId", "takeOf"))
        offset_s = checked_offset_s(about.get("offsetSeconds", "0"))
        resumable = await self._resumable.create(login, name, size, session, take_of, offset_s=offset_s)
        headers = {"Location": f"/api/upload/tus/{resumable.id}", "Upload-Offset": "0"} | expires_header(
            resumable.expires_at
        )
        return _empty_response(201, headers)

    @describe_route(None, 400, 401, 404, 412, 503, bare=[200], headers=VersionHeader, security=COOKIE)
    async def look(self, upload_id: UploadId) -> Response:
        """Get how much of the upload has arrived."""
        login = self._login()
        try:
            resumable = await self._resumable.get(login, upload_id)
        except NoSuchResumable:
            # It may have been finished by a request whose response was lost.
            upload = await self._get_finished(login, upload_id)
            take_of = None if upload.take_of == upload.id else upload.take_of
            size = {"Upload-Offset": str(upload.file_size), "Upload-Length": str(upload.file_size)}
            metadata = format_metadata(upload.file_name, upload.session_id, take_of, upload.offset_seconds)
            return _empty_response(200, size | metadata)
        headers = {"Upload-Offset": str(resumable.received)}
        if resumable.size is None:
            headers["Upload-Defer-Length"] = "1"
        else:
            headers["Upload-Length"] = str(resumable.size)
        headers |= format_metadata(resumable.file_name, resumable.session, resumable.take_of, resumable.offset_s)
        return _empty_response(200, headers | expires_header(resumable.expires_at))

    @describe_route(
        None,
        400,
        401,
        403,
        404,
        408,
        409,
        412,
        413,
        415,
        429,
        460,
        503,
        507,
        bare=[204],
        headers=ChunkHeaders,
        octets=CHUNK_TYPE,
        security=COOKIE,
    )
    @finish_before_stop()
    async def append(self, upload_id: UploadId) -> Response:
        """Send the chunk that begins at `Upload-Offset`. The last chunk completes the upload.

        `Upload-Length`, with any chunk, says the length of an upload that was created without it.
        """
        login = self._login()
        if request.mimetype != CHUNK_TYPE:
            raise Refusal(415, "unsupported_media_type", f"Send the piece as {CHUNK_TYPE}.")
        refuse_unsupported(request.headers, creates=False, has_body=True)
        offset = parse_number("Upload-Offset", request.headers.get("Upload-Offset", ""))
        checksum_header = request.headers.get("Upload-Checksum")
        checksum = None if checksum_header is None else Checksum(checksum_header)
        body = Body(chunk_reader(), request.content_length, checksum)
        said = "Upload-Length" in request.headers
        size = parse_length(request.headers, self._services.upload_writer.max_bytes) if said else None
        written = await self._write_chunk(login, upload_id, body, offset, size)
        if written.upload is not None:
            await self._room_events.publish(*news_of("upload.added", written.upload))
        if written.interruption is not None:
            raise written.interruption
        headers = {"Upload-Offset": str(written.received)}
        return _empty_response(
            204, headers if written.upload else headers | expires_header(written.resumable.expires_at)
        )

    @describe_route(None, 400, 401, 404, 412, 503, bare=[204], headers=VersionHeader, security=COOKIE)
    async def remove(self, upload_id: UploadId) -> Response:
        """Cancel an upload that is not finished."""
        await self._writer.collect(await self._resumable.remove(self._login(), upload_id))
        return _empty_response(204, {})

    async def _check_version(self) -> None:
        """Refuse strangers and clients of another version. Pages of other sites cannot send the header."""
        effective_method(request.method, request.scope["headers"])
        if request.method == "OPTIONS":
            return
        self._login()
        if request.headers.get("Tus-Resumable") != VERSION:
            message = f"Speak version {VERSION} of tus: send Tus-Resumable."
            raise Refusal(412, "unsupported_tus_version", message, headers={"Tus-Version": VERSION})

    async def _write_chunk(
        self, login: LoginId, upload_id: UploadId, body: Body, offset: int, size: int | None
    ) -> WriteResult:
        try:
            return await self._writer.write(login, upload_id, body, offset=offset, size=size)
        except (NoSuchResumable, NoSuchUpload, NoSuchObject) as gone:
            # Another request may have finished it: then the client learns so when it asks for the offset.
            try:
                await self._get_finished(login, upload_id)
            except NoSuchUpload:
                raise gone from None
            raise OffsetConflict from None

    async def _get_finished(self, login: LoginId, upload_id: UploadId) -> Upload:
        """The finished upload. Raises `NoSuchUpload`."""
        return (await self._services.store.get(login, upload_id)).upload


class MethodOverride:
    """ASGI middleware: on these routes, a POST with `X-HTTP-Method-Override` is handled as that method.

    It is checked, routed and streamed as that method is. On other routes the header is ignored.
    """

    def __init__(self, app: ASGIFramework) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "http" and scope["path"].startswith(TUS_PATH):
            with suppress(InvalidInput):  # the route reports it
                scope = {**scope, "method": effective_method(scope["method"], scope["headers"])}
        await self._app(scope, receive, send)


def _has_body() -> bool:
    return bool(request.content_length) or "Transfer-Encoding" in request.headers


async def _add_version_header(response: Response) -> Response:
    response.headers["Tus-Resumable"] = VERSION
    return response


def _empty_response(status: int, headers: dict[str, str]) -> Response:
    return Response(b"", status, headers)
