"""`/api/listen/{token}`: a shared mixdown, for whoever has its link (SPEC 3). No account, and no cookie.

A link that never was is 404, one that has ended 410. A play is counted when the beginning of the sound is asked for,
once an hour for each address and browser. Overload: as all downloads (`.downloads`), but within slots of its own, so
that strangers cannot hold those of members. Guard down: nothing is counted. Other outages: 503.
"""

import hashlib
from contextlib import suppress
from datetime import datetime
from typing import Final, Self

import msgspec
from quart import Blueprint, Response, request

from omnisonic.errors import Unavailable
from omnisonic.http.api.downloads import Download, FileResponder
from omnisonic.http.core.client_address import request_address
from omnisonic.http.core.openapi import describe_route
from omnisonic.http.core.responses import json_response
from omnisonic.settings.fields import Networks
from omnisonic.stores.guard import Guard
from omnisonic.stores.storage import NoSuchObject
from omnisonic.studio.exports import MEDIA_TYPES
from omnisonic.studio.shares import PLAYABLE, DownloadRefused, SharedMixdown, token_digest
from omnisonic.studio.shares.preview_queue import FULL_SCALE
from omnisonic.studio.shares.share_links import ShareLinks

MOST_AT_ONCE: Final = 128
"""How many sounds whoever has links may get at once, in all."""
PER_ADDRESS: Final = 16
"""The same from one address. A browser opens one or two connections for a sound."""
SOUNDS: Final = sorted(MEDIA_TYPES[format_] for format_ in PLAYABLE)
PLAY: Final = "share play"
PLAY_S: Final = 3_600.0
"""For how long further plays of one browser are the same one."""
FROM_BEGINNING: Final = (None, "bytes=0-", "bytes=0-1")
"""The ranges that players ask for first; Safari begins with two bytes."""


class SharedMixdownAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """A shared mixdown, as whoever has its link may hear it.

    `sharedBy` is null when whoever shares it has no name. `peaks` are the peak of each of at most 240 stretches of
    equal length, from 0 to 1; null until the waveform is drawn. `expiresAt` is when the link ends.
    """

    session_name: str
    shared_by: str | None
    duration_seconds: float | None
    expires_at: datetime
    download: bool
    comments: bool
    peaks: list[float] | None

    @classmethod
    def of(cls, mixdown: SharedMixdown) -> Self:
        """The response for `mixdown`."""
        peaks = None if mixdown.peaks is None else [round(peak / FULL_SCALE, 3) for peak in mixdown.peaks]
        return cls(
            mixdown.session_name,
            mixdown.sharer_name,
            mixdown.export.duration_seconds,
            mixdown.expires_at,
            mixdown.download,
            mixdown.comments,
            peaks,
        )


class Listening:
    """The routes. `file_responder` has slots of its own. `proxies` are trusted to name the client's address."""

    def __init__(self, links: ShareLinks, file_responder: FileResponder, guard: Guard, proxies: Networks) -> None:
        self._links = links
        self._file_responder = file_responder
        self._guard = guard
        self._proxies = proxies

    def blueprint(self) -> Blueprint:
        routes = Blueprint("listening", __name__, url_prefix="/api/listen/<token>")
        routes.get("")(self.describe)
        routes.get("/audio")(self.play)
        routes.get("/download")(self.download)
        return routes

    @describe_route(SharedMixdownAnswer, 404, 410, 503)
    async def describe(self, token: str) -> Response:
        """Get what the link leads to."""
        return json_response(SharedMixdownAnswer.of(await self._links.find(token_digest(token))))

    @describe_route(None, 404, 410, 416, 429, 503, bare=[200, 206, 304], files=SOUNDS)
    async def play(self, token: str) -> Response:
        """Get the sound, for playing: an MP3, or the mixdown itself until that is made."""
        mixdown = await self._links.find(token_digest(token))
        preview = mixdown.preview
        response = None
        if preview is not None:
            name = f"{mixdown.export.file_name.rpartition('.')[0]}.mp3"
            sound = Download(preview.key, name, MEDIA_TYPES["mp3"], preview.file_size, preview.sha256)
            try:
                response = await self._file_responder.respond(sound)
            except NoSuchObject:  # for example with a storage that was restored from elsewhere
                await self._links.forget_preview(preview.key)
        if response is None:
            response = await self._file_responder.respond(original_of(mixdown))
        await self._count_play(mixdown)
        return response

    @describe_route(None, 403, 404, 410, 416, 429, 503, bare=[200, 206, 304], files=SOUNDS)
    async def download(self, token: str) -> Response:
        """Download the mixdown, if the link allows it."""
        mixdown = await self._links.find(token_digest(token))
        if not mixdown.download:
            raise DownloadRefused
        return await self._file_responder.respond(original_of(mixdown))

    async def _count_play(self, mixdown: SharedMixdown) -> None:
        """Count the current request as a play, if it is one. A play that cannot be counted is heard all the same."""
        if request.method != "GET" or request.headers.get("Range") not in FROM_BEGINNING:
            return
        browser = f"{request_address(self._proxies)} {request.headers.get('User-Agent', '')}"
        name = hashlib.sha256(f"{mixdown.share_id} {browser}".encode("utf-8", "surrogatepass")).hexdigest()
        with suppress(Unavailable):
            if await self._guard.first_use(PLAY, name, ttl_s=PLAY_S):
                await self._links.count_play(mixdown.share_id)


def original_of(mixdown: SharedMixdown) -> Download:
    """The file of the mixdown itself."""
    export = mixdown.export
    assert export.file_size is not None
    return Download(mixdown.key, export.file_name, MEDIA_TYPES[export.format], export.file_size, mixdown.sha256)
