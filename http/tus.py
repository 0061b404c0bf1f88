"""`/api/upload/tus`: files that arrive in pieces and go on where they were cut off (tus 1.0, https://tus.io).

The offset is full only once the upload is there, under the id of the resumable. When finishing fails, the last piece is
not taken, so that the client sends it again; a file that is refused for good takes the resumable with it. A client that
vanishes keeps what has arrived, unless it promised a checksum. Overload: pieces are streamed like any upload.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Final

from quart import Blueprint, Response, request

from omnisonic.errors import InvalidInput
from omnisonic.http.errors import Refusal
from omnisonic.http.incoming import incoming
from omnisonic.http.openapi import COOKIE, answers
from omnisonic.http.room_news import RoomNews
from omnisonic.http.stopping import answered_before_the_stop
from omnisonic.http.tus_headers import (
    VERSION,
    CreationHeaders,
    PieceHeaders,
    VersionHeader,
    abilities,
    expires,
    metadata,
    number,
)
from omnisonic.http.uploads import DISPOSE_S, UploadParts, tell
from omnisonic.models import LoginId, Upload, UploadId
from omnisonic.sessions import NoSuchSession
from omnisonic.storage import Key, Storage
from omnisonic.uploads import QuotaExceeded, UnsupportedMedia, UploadTooLarge
from omnisonic.uploads.file_names import checked_file_name
from omnisonic.uploads.intake import FOLDER, new_key
from omnisonic.uploads.pieces import Checksum, Piece
from omnisonic.uploads.resumable import NoSuchResumable, OffsetTaken, Resumable, ResumableStore

PIECES: Final = "pieces"
"""Where the keys of pieces are."""
PIECE_TYPE: Final = "application/offset+octet-stream"
FINAL: Final = (UnsupportedMedia, UploadTooLarge, QuotaExceeded, NoSuchSession, InvalidInput)
"""What no repetition mends."""


class Tus:
    """The routes of `/api/upload/tus`. `login` tells by which sign-in the current request is made, or raises."""

    def __init__(
        self,
        parts: UploadParts,
        resumable: ResumableStore,
        storage: Storage,
        news: RoomNews,
        login: Callable[[], LoginId],
    ) -> None:
        self._parts = parts
        self._resumable = resumable
        self._storage = storage
        self._news = news
        self._login = login

    def blueprint(self) -> Blueprint:
        routes = Blueprint("tus", __name__, url_prefix="/api/upload/tus")
        routes.route("", methods=["OPTIONS"])(self.describe)
        routes.post("")(self.create)
        routes.route("/<string(length=36):upload_id>", methods=["HEAD"])(self.look)
        routes.patch("/<string(length=36):upload_id>")(self.append)
        routes.delete("/<string(length=36):upload_id>")(self.remove)
        routes.before_request(self._check_version)
        routes.after_request(_say_version)
        return routes

    @answers(None, bare=[204])
    async def describe(self) -> Response:
        """Say which version and extensions of tus there are."""
        return _bare(204, abilities(self._parts.intake.max_bytes))

    @answers(None, 400, 401, 404, 408, 412, 413, 503, bare=[201], headers=CreationHeaders, security=COOKIE)
    async def create(self) -> Response:
        """Begin an upload of `Upload-Length` bytes; `Upload-Metadata` has its `filename`, and `sessionId` if any."""
        login = self._login()
        size = number("Upload-Length", request.headers.get("Upload-Length", ""))
        if size > self._parts.intake.max_bytes:
            raise UploadTooLarge(self._parts.intake.max_bytes)
        if not size:
            raise InvalidInput("The file is empty.", code="empty_file")
        about = metadata(request.headers.get("Upload-Metadata", ""))
        name = checked_file_name(about.get("filename", ""))
        begun = await self._resumable.create(login, name, size, about.get("sessionId") or None)
        headers = {"Location": f"/api/upload/tus/{begun.id}", "Upload-Offset": "0"} | expires(begun.expires_at)
        return _bare(201, headers)

    @answers(None, 400, 401, 404, 412, 503, bare=[200], headers=VersionHeader, security=COOKIE)
    async def look(self, upload_id: UploadId) -> Response:
        """Say how much of it has arrived."""
        login = self._login()
        try:
            resumable = await self._resumable.get(login, upload_id)
        except NoSuchResumable:
            # It may have been finished by a request whose answer was lost.
            size = (await self._parts.store.get(login, upload_id)).upload.file_size
            return _bare(200, {"Upload-Offset": str(size), "Upload-Length": str(size)})
        headers = {"Upload-Offset": str(resumable.received), "Upload-Length": str(resumable.size)}
        return _bare(200, headers | expires(resumable.expires_at))

    @answers(
        None,
        400,
        401,
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
        headers=PieceHeaders,
        octets=PIECE_TYPE,
        security=COOKIE,
    )
    @answered_before_the_stop()
    async def append(self, upload_id: UploadId) -> Response:
        """Send the piece that begins at `Upload-Offset`; with the last one, the upload is there."""
        login = self._login()
        if request.mimetype != PIECE_TYPE:
            raise Refusal(415, "unsupported_media_type", f"Send the piece as {PIECE_TYPE}.")
        offset = number("Upload-Offset", request.headers.get("Upload-Offset", ""))
        said = request.headers.get("Upload-Checksum")
        checksum = None if said is None else Checksum(said)
        resumable = await self._resumable.get(login, upload_id)
        if offset != resumable.received:
            raise OffsetTaken
        piece = Piece(incoming(), resumable.size - offset, checksum)
        received = await self._taken(login, resumable, piece, min(request.content_length or 0, piece.room))
        if piece.broke_off is not None:
            raise piece.broke_off
        headers = {"Upload-Offset": str(received)}
        return _bare(204, headers if received == resumable.size else headers | expires(resumable.expires_at))

    @answers(None, 400, 401, 404, 412, 503, bare=[204], headers=VersionHeader, security=COOKIE)
    async def remove(self, upload_id: UploadId) -> Response:
        """Forget an upload that is not finished."""
        await self._dispose(await self._resumable.remove(self._login(), upload_id))
        return _bare(204, {})

    async def _check_version(self) -> None:
        """Refuse strangers, and clients of another version; pages of others cannot send the header unasked."""
        if request.method == "OPTIONS":
            return
        self._login()
        if request.headers.get("Tus-Resumable") != VERSION:
            message = f"Speak version {VERSION} of tus: send Tus-Resumable."
            raise Refusal(412, "unsupported_tus_version", message, headers={"Tus-Version": VERSION})

    async def _taken(self, login: LoginId, resumable: Resumable, piece: Piece, size: int) -> int:
        """Take a piece, of which `size` bytes are said to come; how much has arrived with it."""
        key, intake = new_key(PIECES), self._parts.intake
        async with intake.arriving(login, key, size=size, resumable=resumable.id) as reservation:
            await self._storage.put(key, reservation.counted(piece.passed()))
            if resumable.received + piece.size == resumable.size:
                upload = await self._finished(login, resumable, key)
                await intake.give_up(key)
                await tell(self._news, "upload.added", upload)
                return resumable.size
            if piece.size:
                at = resumable.received
                return await self._resumable.append(login, resumable.id, key, offset=at, size=piece.size)
            await intake.give_up(key)
            return resumable.received

    async def _finished(self, login: LoginId, resumable: Resumable, last: Key) -> Upload:
        """Make one object and one upload of all pieces."""
        key, pieces = new_key(FOLDER), [*resumable.pieces, last]
        try:
            async with self._parts.intake.copying(key):
                received = await self._parts.intake.put(key, self._joined(pieces), resumable.file_name)
                upload = await self._resumable.finish(login, resumable.id, key, received)
        except FINAL:
            with suppress(NoSuchResumable):
                await self._dispose(await self._resumable.remove(login, resumable.id))
            raise
        await self._dispose(resumable.pieces)
        return upload

    async def _joined(self, pieces: list[Key]) -> AsyncIterator[bytes]:
        for piece in pieces:
            async for chunk in self._storage.read(piece):
                yield chunk

    async def _dispose(self, keys: list[Key]) -> None:
        """Delete the objects now, or leave them to housekeeping when that takes long."""
        await self._parts.disposal.dispose(keys, within_s=DISPOSE_S)


async def _say_version(response: Response) -> Response:
    response.headers["Tus-Resumable"] = VERSION
    return response


def _bare(status: int, headers: dict[str, str]) -> Response:
    return Response(b"", status, headers)
