"""`/listen/{token}`: the page of a shared mixdown, for whoever has the link (SPEC 6). No account, and no cookie.

It is not indexed, tells no other site where it is, and shows nothing of the session but its name. Without scripts the
browser's own player plays the sound. A link that never was is 404, one that has ended 410, both in words.
"""

from typing import Final

from quart import Blueprint, Response, render_template
from quart_schema import hide

from omnisonic.http.api.listening import SharedMixdownAnswer
from omnisonic.http.core.responses import encode_json
from omnisonic.http.core.security import STILL_PAGE, live_page
from omnisonic.http.pages.page_context import HTML
from omnisonic.studio.shares import NoSuchShare, SharedMixdown, ShareOver, token_digest
from omnisonic.studio.shares.share_links import ShareLinks

PRIVATE: Final = {"X-Robots-Tag": "noindex, nofollow, noarchive", "Referrer-Policy": "no-referrer"}
"""The address is a secret: it goes into no index, and to no other site."""


class ListenPage:
    """The route."""

    def __init__(self, links: ShareLinks) -> None:
        self._links = links

    def blueprint(self) -> Blueprint:
        routes = Blueprint("listen", __name__)
        routes.get("/listen/<token>")(self.listen)
        routes.errorhandler(NoSuchShare)(self.show_missing)
        routes.errorhandler(ShareOver)(self.show_over)
        return routes

    @hide
    async def listen(self, token: str) -> Response:
        """Show the mixdown that the link leads to."""
        mixdown = await self._links.find(token_digest(token))
        if mixdown.peaks is None:
            await self._links.request_preview(mixdown.export.id)
        page = await render_template(
            "listen.html",
            mixdown=mixdown,
            about=encode_json(SharedMixdownAnswer.of(mixdown)).decode(),
            path=f"/api/listen/{token}",
            length=length_in_words(mixdown),
        )
        return Response(page, headers=PRIVATE | {"Content-Security-Policy": live_page(plays=True)}, content_type=HTML)

    async def show_missing(self, error: NoSuchShare) -> Response:
        """Say that there is no such link."""
        return await _show_end(404, error.message)

    async def show_over(self, error: ShareOver) -> Response:
        """Say that the link has ended, and nothing of what it led to."""
        return await _show_end(410, error.message)


async def _show_end(status: int, message: str) -> Response:
    page = await render_template("listen_end.html", message=message)
    return Response(page, status, PRIVATE | {"Content-Security-Policy": STILL_PAGE}, content_type=HTML)


def length_in_words(mixdown: SharedMixdown) -> str:
    """How long the mixdown is, such as `3:05`."""
    seconds = int(mixdown.export.duration_seconds or 0)
    return f"{seconds // 60}:{seconds % 60:02}"
