"""`GET /api/upload/{id}/cover`: the waveform of an upload as a small picture, for lists of sessions.

It is drawn from what the analysis stored, and never changes, so a browser keeps it. Overload: as all routes. Outages:
503.
"""

from collections.abc import Callable, Sequence
from typing import Final

from quart import Blueprint, Response

from omnisonic.http.core.errors import Refusal, retry_after
from omnisonic.http.core.openapi import COOKIE, describe_route
from omnisonic.models import LoginId, UploadId
from omnisonic.studio.uploads import PeaksPending
from omnisonic.studio.uploads.upload_store import UploadStore

RETRY_S: Final = 2.0
"""Retry-After of a picture that cannot be drawn yet."""
KEEP: Final = "private, max-age=31536000, immutable"
"""A browser uses it again without asking."""
MEDIA_TYPE: Final = "image/svg+xml"
BARS: Final = 32
BAR_WIDTH: Final = 3
"""In a picture that is `BARS * BAR_WIDTH` wide and `HEIGHT` high; lists show it at that size."""
HEIGHT: Final = 40
LOWEST: Final = 2
COLOUR: Final = "#8a7f72"
"""Seen on the dark ground as on the light one. A picture cannot know which it is on."""


class Covers:
    """The route. `login` returns the login of the current request, or raises `NotSignedIn`."""

    def __init__(self, store: UploadStore, login: Callable[[], LoginId]) -> None:
        self._store = store
        self._login = login

    def blueprint(self) -> Blueprint:
        routes = Blueprint("covers", __name__)
        routes.get("/api/upload/<id(length=36):upload_id>/cover")(self.read)
        return routes

    @describe_route(None, 400, 401, 404, 409, 503, bare=[200], files=[MEDIA_TYPE], security=COOKIE)
    async def read(self, upload_id: UploadId) -> Response:
        """Get the waveform as a picture. Until the file has been analysed: 409 `peaks_pending`, ask again later."""
        try:
            found = await self._store.peaks(self._login(), upload_id)
        except PeaksPending as pending:
            raise Refusal(409, pending.code, pending.message, headers=retry_after(RETRY_S)) from None
        return Response(draw_cover(found.peaks), headers={"Cache-Control": KEEP}, content_type=MEDIA_TYPE)


def draw_cover(peaks: Sequence[float]) -> str:
    """An SVG image of bars, each as high as the loudest of its part of `peaks`. The loudest of all fills the height."""
    count = min(BARS, len(peaks))
    loudest = [max(peaks[bar * len(peaks) // count : (bar + 1) * len(peaks) // count]) for bar in range(count)]
    full = max(loudest, default=0) or 1
    path = ""
    for bar, peak in enumerate(loudest):
        height = max(LOWEST, round(HEIGHT * peak / full))
        path += f"M{bar * BAR_WIDTH + BAR_WIDTH / 2:g} {(HEIGHT - height) / 2:g}v{height}"
    size = f'width="{BARS * BAR_WIDTH}" height="{HEIGHT}" viewBox="0 0 {BARS * BAR_WIDTH} {HEIGHT}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
        f'<path d="{path}" stroke="{COLOUR}" stroke-width="{BAR_WIDTH - 1}" fill="none"/></svg>\n'
    )
