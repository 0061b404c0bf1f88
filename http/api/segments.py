"""`/api/upload/{id}/segments`: the sound of an upload in pieces of ten seconds, for playing many together (SPEC 3).

A worker makes them (`omnisonic.studio.segments`). Asking for some that are not made yet puts them into its queue.
Overload: as all downloads (`.downloads`). Outages: 503.
"""

import re
from collections.abc import Callable
from typing import Final, NoReturn

from pydantic import Field
from quart import Blueprint, Response

from omnisonic.http.api.downloads import ASK_AGAIN, Download, FileResponder
from omnisonic.http.core.errors import SENTENCES, Refusal, retry_after
from omnisonic.http.core.inputs import Input, Query
from omnisonic.http.core.openapi import COOKIE, describe_route
from omnisonic.http.core.responses import json_response
from omnisonic.models import LoginId, UploadId
from omnisonic.stores.storage import NoSuchObject
from omnisonic.studio import segments
from omnisonic.studio.segments import MEDIA_TYPE, SegmentsPending
from omnisonic.studio.segments.segment_store import SegmentStore

RETRY_S: Final = 1.0
"""Retry-After of segments that are not made yet: a stem of four minutes takes some seconds."""
KEEP: Final = "private, max-age=31536000, immutable"
"""A browser uses it again without asking."""

_NUMBER: Final = re.compile("[0-9]{1,9}")


class SegmentQuery(Input):
    """The version of the segments that is wanted."""

    v: str | None = Field(
        default=None,
        description="The `version` from `/segments`. With it, the address means the same bytes for good, and a browser "
        "keeps them without asking again.",
    )


class Segments:
    """The routes of segments. `login` returns the login of the current request, or raises `NotSignedIn`."""

    def __init__(self, store: SegmentStore, file_responder: FileResponder, login: Callable[[], LoginId]) -> None:
        self._store = store
        self._file_responder = file_responder
        self._login = login

    def blueprint(self) -> Blueprint:
        routes = Blueprint("segments", __name__, url_prefix="/api/upload/<id(length=36):upload_id>/segments")
        routes.get("")(self.describe)
        routes.get("/<number>")(self.read)
        return routes

    @describe_route(segments.Segments, 400, 401, 404, 409, 503, security=COOKIE)
    async def describe(self, upload_id: UploadId) -> Response:
        """Get how many segments there are. Until they are made: 409 `segments_pending`, ask again later."""
        try:
            return json_response(await self._store.describe(self._login(), upload_id))
        except SegmentsPending as pending:
            _refuse_pending(pending)

    @describe_route(
        None,
        400,
        401,
        404,
        409,
        416,
        429,
        503,
        bare=[200, 206, 304],
        query=SegmentQuery,
        files=[MEDIA_TYPE],
        security=COOKIE,
    )
    async def read(self, upload_id: UploadId, number: str) -> Response:
        """Get ten seconds of the sound as FLAC at 48 kHz, or what is left of it: the last segment.

        Decoded one after the other, segments are what the mixdown hears of the file. Until they are made: 409
        `segments_pending`, ask again later. After the last one: 404 `no_such_segment`.
        """
        wanted, login = Query().get("v"), self._login()
        if not _NUMBER.fullmatch(number):
            raise Refusal(404, *SENTENCES[404])
        try:
            stored = await self._store.get(login, upload_id, int(number))
        except SegmentsPending as pending:
            _refuse_pending(pending)
        etag = f"{stored.version}-{int(number)}"
        download = Download(stored.key, f"{int(number)}.flac", MEDIA_TYPE, stored.end - stored.begin, etag)
        caching = KEEP if wanted == stored.version else ASK_AGAIN
        try:
            return await self._file_responder.respond(download, begins_at=stored.begin, caching=caching)
        except NoSuchObject:  # for example with a storage that was restored from elsewhere
            await self._store.forget(stored.key)
            _refuse_pending(SegmentsPending())


def _refuse_pending(pending: SegmentsPending) -> NoReturn:
    raise Refusal(409, pending.code, pending.message, headers=retry_after(RETRY_S)) from None
