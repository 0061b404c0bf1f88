"""Errors as the outside sees them (SPEC 3): `{"error", "code"}` under `/api`, an HTML page elsewhere.

Crash: an unexpected exception is logged once with its traceback and answered with 500 `internal`; its text never leaves
the process. A dependency that does not answer is 503 with `Retry-After`.
"""

import logging
import math
from collections.abc import Mapping
from typing import Final

from quart import Quart, Response, render_template, request
from werkzeug.exceptions import HTTPException

from omnisonic.errors import InvalidInput, OmnisonicError, Unavailable
from omnisonic.http.core.responses import Problem, json_response
from omnisonic.stores.presence import TooManyLeases
from omnisonic.stores.storage import NoSuchObject, StorageFull
from omnisonic.studio.access import MemberReserved
from omnisonic.studio.activity import AlreadyUndone, CannotUndo, ChangedSince, NoSuchActivity
from omnisonic.studio.archives import NothingToTake, TooManyFiles
from omnisonic.studio.comments import AuthorOnly, NoSuchComment, TooManyComments
from omnisonic.studio.exports import NoSuchExport, RequesterOnly
from omnisonic.studio.markers import NoSuchMarker, TooManyMarkers
from omnisonic.studio.segments import NoSegments, NoSuchSegment
from omnisonic.studio.sessions import (
    ListenersChangeNothing,
    NoSuchCollaborator,
    NoSuchInvite,
    NoSuchSession,
    NotSignedIn,
    OwnerOnly,
    TooManyInvites,
)
from omnisonic.studio.shares import (
    DownloadRefused,
    ExportNotCompleted,
    GuestCommentsOff,
    NoSuchShare,
    NotPlayable,
    ShareOver,
    TooManyGuestComments,
    TooManyShares,
)
from omnisonic.studio.uploads import (
    NoPeaks,
    NoSuchTrack,
    NoSuchUpload,
    QuotaExceeded,
    TooManyUploads,
    TrimsLeaveNothing,
    UnsupportedMedia,
    UploaderOnly,
    UploadTooLarge,
)
from omnisonic.studio.uploads.chunks import ChecksumMismatch, ChunkTooLong
from omnisonic.studio.uploads.resumables import (
    LengthConflict,
    NoSuchResumable,
    OffsetConflict,
    TakenOver,
    TooManyChunks,
)

BUSY_RETRY_S: Final = 5.0
"""When to try another upload."""

log = logging.getLogger(__name__)

SENTENCES: Final[Mapping[int, tuple[str, str]]] = {
    400: ("bad_request", "The request cannot be understood."),
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not take that method."),
    408: ("request_timeout", "The request took too long to arrive. Send it again."),
    413: ("payload_too_large", "The request is too large."),
    415: ("unsupported_media_type", "This address does not take that media type."),
    500: ("internal", "Something broke on our side. Try again."),
}
"""Code and sentence for the framework's errors, by status."""

STATUSES: Final[Mapping[type[OmnisonicError], int]] = {
    InvalidInput: 400,
    MemberReserved: 409,
    NotSignedIn: 401,
    OwnerOnly: 403,
    ListenersChangeNothing: 403,
    NoSuchCollaborator: 404,
    NoSuchInvite: 404,
    TooManyInvites: 409,
    TooManyLeases: 409,
    NoSuchSession: 404,
    NoSuchUpload: 404,
    NoSuchTrack: 404,
    TrimsLeaveNothing: 400,
    NoSuchExport: 404,
    RequesterOnly: 403,
    ExportNotCompleted: 409,
    NotPlayable: 409,
    TooManyShares: 409,
    NoSuchShare: 404,
    ShareOver: 410,
    DownloadRefused: 403,
    GuestCommentsOff: 403,
    TooManyGuestComments: 409,
    NoSuchResumable: 404,
    NoSuchObject: 404,
    NoSuchActivity: 404,
    CannotUndo: 409,
    AlreadyUndone: 409,
    ChangedSince: 409,
    NoSuchComment: 404,
    AuthorOnly: 403,
    TooManyComments: 409,
    NoSuchMarker: 404,
    TooManyMarkers: 409,
    NothingToTake: 409,
    TooManyFiles: 409,
    NoPeaks: 404,
    NoSegments: 404,
    NoSuchSegment: 404,
    UploaderOnly: 403,
    OffsetConflict: 409,
    TakenOver: 409,
    TooManyChunks: 400,
    LengthConflict: 400,
    ChunkTooLong: 413,
    ChecksumMismatch: 460,
    UploadTooLarge: 413,
    QuotaExceeded: 413,
    UnsupportedMedia: 415,
    StorageFull: 507,
}
"""The statuses of our own errors."""


class Refusal(OmnisonicError):
    """The request is refused with `status`."""

    def __init__(self, status: int, code: str, message: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers


def handle_errors(app: Quart, *, page_policy: str | None) -> None:
    """Make `app` answer every error in JSON under `/api`, and elsewhere with a page.

    Args:
        app: The web app.
        page_policy: The Content-Security-Policy of the error page; None when the app has no pages, only JSON.
    """

    async def respond(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
        """The response to a failed request: JSON for programs, a page for people."""
        if page_policy is None or speaks_json(request.path):
            return json_response(Problem(error=message, code=code), status, headers)
        page = await render_template("problem.html", status=status, message=message)
        headers = {**(headers or {}), "Content-Security-Policy": page_policy}
        return Response(page, status, headers, content_type="text/html; charset=utf-8")

    @app.errorhandler(OmnisonicError)
    async def handle_own_error(error: OmnisonicError) -> Response:
        match error:
            case Refusal():
                return await respond(error.status, error.code, error.message, error.headers)
            case Unavailable():
                return await respond(503, error.code, error.message, retry_after(error.retry_after_s))
            case TooManyUploads():
                return await respond(429, error.code, error.message, retry_after(BUSY_RETRY_S))
            case _ if type(error) in STATUSES:
                return await respond(STATUSES[type(error)], error.code, error.message)
            case _:
                return await handle_crash(error)

    @app.errorhandler(HTTPException)
    async def handle_http_exception(error: HTTPException) -> Response:
        status = error.code or 500
        if status not in SENTENCES:
            status = 500 if status >= 500 else 400
        allowed = {name: value for name, value in error.get_headers() if name == "Allow"}
        return await respond(status, *SENTENCES[status], allowed)

    @app.errorhandler(Exception)
    async def handle_crash(error: Exception) -> Response:
        log.error("request.failed", exc_info=error, extra={"method": request.method, "path": request.path})
        return await respond(500, *SENTENCES[500])


def speaks_json(path: str) -> bool:
    """Whether `path` is for programs: responses there are never HTML."""
    return path.startswith(("/api/", "/healthz", "/readyz", "/metrics")) or path == "/api"


def retry_after(seconds: float) -> dict[str, str]:
    """The `Retry-After` header: whole seconds, at least one (RFC 9110, 10.2.3)."""
    return {"Retry-After": str(max(1, math.ceil(seconds)))}
