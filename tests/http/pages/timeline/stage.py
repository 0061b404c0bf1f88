"""What happens around the stems of a page: the web keeps them, somebody listens to them, the room hears of them.

Instead of a worker, `listened` says what was heard; what the web has published, `pass_on` tells the fake gateway.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from playwright.sync_api import Page, Route

from omnisonic.stores.bus.events import RoomSaid
from omnisonic.studio.uploads import Analysis, Peaks
from omnisonic.studio.uploads.analysis_queue import AnalysisQueue
from tests.cli.running import eventually
from tests.http.browsing import person
from tests.http.running import GatewayThread, Web
from tests.http.sounds import RATE_HZ, seconds_of, wav


def listened(site: Web, warning: str | None = None) -> None:
    """Somebody has listened to all that is there; `warning` is what is missing in it."""
    queue = AnalysisQueue(site.database)
    while (kept := site.do(queue.take())) is not None:
        swell = [step / 100 for step in range(100)]
        peaks = Peaks(RATE_HZ, seconds_of(kept.upload.file_size), swell)
        site.do(queue.finish(kept.upload, Analysis(2, peaks, warning)))


def news(site: Web, kind: str) -> RoomSaid:
    """What the web has told the rooms of this kind last, once it has."""

    def reported() -> list[RoomSaid]:
        return [event for event in site.bus.events if isinstance(event, RoomSaid) and event.type == kind]

    eventually(lambda: bool(reported()), what=kind)
    return reported()[-1]


def pass_on(site: Web, gateway: GatewayThread, kind: str) -> None:
    """Let whoever is in the room hear the last of these news."""
    said = news(site, kind)
    gateway.do(gateway.fake.tell, said.room, {"type": kind, "payload": msgspec.json.decode(said.payload), "from": None})


def list_stems(site: Web, session: str) -> list[dict[str, Any]]:
    """The session's uploads, as the studio has them."""
    listing = person(site, "Ada").get("/api/upload/list", params={"sessionId": session}).json()
    return [line["upload"] for line in listing["uploads"]]


def brought(
    site: Web,
    session: str,
    name: str = "take.wav",
    *,
    who: str = "Ada",
    content: bytes | None = None,
    warning: str | None = None,
) -> str:
    """The id of an upload that `who` has brought in, and that was listened to."""
    files = {"file": (name, wav() if content is None else content)}
    answer = person(site, who).post("/api/upload", files=files, data={"sessionId": session})
    assert answer.status_code == 201, answer.text
    listened(site, warning)
    return str(answer.json()["upload"]["id"])


def studio(session: str) -> str:
    return f"/sessions/{session}"


@contextmanager
def held(page: Page, where: str | re.Pattern[str], methods: str = "POST PATCH") -> Iterator[None]:
    """Requests of these methods go nowhere until the block ends, and then fail."""
    routes: list[Route] = []

    def hold(route: Route) -> None:
        if route.request.method in methods.split():
            routes.append(route)
        else:
            route.continue_()

    page.route(where, hold)
    yield
    for route in routes:
        route.abort()
    page.unroute(where, hold)
