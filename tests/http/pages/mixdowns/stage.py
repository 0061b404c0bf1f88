"""What happens around the mixdowns of a page: the web keeps them, a worker makes them, the room hears how far they are.

The worker is `tests.http.making`; what it would tell the room, `hear` tells the fake gateway.
"""

from typing import Any, Final

import msgspec
from playwright.sync_api import Locator, Page, Route

from omnisonic.models import Export
from omnisonic.studio.exports import progress_event
from omnisonic.studio.exports.export_queue import ExportQueue, Job
from tests.http import making
from tests.http.browsing import person
from tests.http.running import GatewayThread, Web
from tests.http.sounds import wav

SOUND: Final = wav(12.5)
"""As long as the worker says that each is."""


def request_mixdown(site: Web, session: str, who: str = "Ada", format_: str = "wav") -> str:
    """The id of a mixdown that somebody has asked for."""
    answer = person(site, who).post("/api/export", json={"sessionId": session, "format": format_})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["exportId"])


def make_mixdown(site: Web, session: str, who: str = "Ada", format_: str = "wav") -> str:
    """The id of one that is made."""
    export = request_mixdown(site, session, who, format_)
    assert finished(site).id == export
    return export


def finished(site: Web, job: Job | None = None) -> Export:
    """The one that has waited longest, or that of `job`, once it is made."""
    export = making.make(site, SOUND, job=job)
    assert export is not None
    return export


def taken(site: Web, progress: int = 0) -> Job:
    """The one that has waited longest, made as far as that."""
    job = making.taken(site)
    beat(site, job, progress)
    return job


def beat(site: Web, job: Job, progress: int) -> None:
    """It is made as far as that now."""
    assert site.do(ExportQueue(site.database).renew(job, progress))


def publish_progress(site: Web, gateway: GatewayThread, job: Job, progress: int) -> None:
    """It is made as far as that now, and then whoever is in the room hears it."""
    beat(site, job, progress)
    publish_export(gateway, job.export, progress=progress)


def hold_list(page: Page) -> None:
    """Let no reading of the list end from now on: what the page knows of mixdowns, the room has told it."""
    held: list[Route] = []
    page.route("**/api/export?*", lambda route: held.append(route))


def publish_export(gateway: GatewayThread, export: Export, **changes: Any) -> None:
    """Let whoever is in the room hear how far this is, with these changes."""
    said = progress_event(msgspec.structs.replace(export, **changes))
    gateway.do(gateway.fake.tell, said.room, {"type": said.type, "payload": msgspec.json.decode(said.payload)})


def list_mixdowns(site: Web, session: str) -> list[dict[str, Any]]:
    """The session's mixdowns, as the studio has them."""
    exports = person(site, "Ada").get("/api/export", params={"sessionId": session}).json()["exports"]
    return [dict(export) for export in exports]


def studio(session: str) -> str:
    """The session's page, with the panel turned to its mixdowns."""
    return f"/sessions/{session}#mixdowns"


def mixdowns(page: Page) -> Locator:
    return page.get_by_role("list", name="Mixdowns").get_by_role("listitem")


def newest(page: Page) -> Locator:
    return mixdowns(page).first


def status(page: Page) -> Locator:
    """The line that says how the newest is."""
    return page.get_by_text("Status:")


def render(page: Page) -> Locator:
    return page.get_by_role("button", name="Render mixdown")


def note(page: Page) -> Locator:
    """What is said beside the button."""
    return page.locator("#render-note")


def fact(mixdown: Locator, name: str) -> Locator:
    """What was measured of it."""
    return mixdown.locator("div", has=mixdown.page.locator(f"dt:text-is('{name}')")).last.locator("dd")


def is_received(sound: Locator) -> bool:
    """Whether this `audio` plays, and has moved."""
    return bool(sound.evaluate("audio => !audio.paused && audio.currentTime > 0.1"))
