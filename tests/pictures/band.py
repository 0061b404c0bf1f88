"""The band in the pictures: three people with accounts, and the session that they have filled over REST."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from playwright.sync_api import Browser, Page, expect

from omnisonic.http.pages.page_context import colour_class
from tests.cli.running import completed
from tests.http.browsing import give_cookies
from tests.http.signing_in import session, sign_in
from tests.no_tls import NO_TLS
from tests.pictures.music import BEATS_PER_BAR, BPM, PARTS, SECTIONS, Part

SESSION: Final = "Saturday demo"
OWNER: Final = "Ana"
OTHERS: Final = ("Bo", "Cy")
PASSWORD: Final = "correct horse battery staple"
PREPARED_S: Final = 300.0
MOST_ACCOUNTS: Final = 20
COMMENTS: Final = (
    ("Cy", "The pickup drags a little.", 11, None),
    ("Bo", "Louder here?", 17.5, "Lead vox"),
    ("Ana", "Ring out to the end.", 25, "Rhodes"),
)
"""Who writes what, at which bar, about which track."""


@dataclass(frozen=True)
class Band:
    """The members, each as a client of REST, and their session. `uploads` are the ids of the files by their names."""

    url: str
    clients: dict[str, httpx.Client]
    session_id: str
    uploads: dict[str, str]

    def mix(self, member: str, name: str, **changes: object) -> None:
        """Change how a file is heard."""
        _answer(self.clients[member].patch(f"/api/upload/{self.uploads[name]}", json=changes))

    def comment(self, member: str, text: str, **pin: object) -> None:
        _answer(self.clients[member].post(f"/api/sessions/{self.session_id}/comments", json={"text": text, **pin}))

    def open_page(self, browser: Browser, member: str, **context: Any) -> Page:
        """The studio's page as this member sees it, in the room."""
        profile = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"} | context)
        give_cookies(profile, self.clients[member], self.url)
        page = profile.new_page()
        page.goto(f"{self.url}/sessions/{self.session_id}")
        page.get_by_role("button", name="Join Room").click()
        expect(page.get_by_text("You came in.")).to_be_attached()
        return page


def gather(url: str, data: Path) -> Band:
    """Make the accounts and the session, upload all files, and wait until they can be played."""
    clients = _gather_members(url, data)
    mine = clients[OWNER]
    session_id = str(_answer(mine.post("/api/sessions", json={"name": SESSION}))["session"]["id"])
    _answer(mine.patch(f"/api/sessions/{session_id}", json={"tempoBpm": BPM, "beatsPerBar": BEATS_PER_BAR}))
    for other in OTHERS:
        invite = _answer(mine.post(f"/api/sessions/{session_id}/invites", json={}))["url"]
        _answer(clients[other].post(f"/api{httpx.URL(invite).path}"))
    band = Band(url, clients, session_id, {})
    for number, part in enumerate(PARTS):
        band.uploads[part.name] = _upload(band, part, number)
    for name, begin, end in SECTIONS:
        section = {"name": name, "atBeat": _beat(begin), "endBeat": _beat(end)}
        _answer(mine.post(f"/api/sessions/{session_id}/markers", json=section))
    for member, text, bar, track in COMMENTS:
        band.comment(member, text, atBeat=_beat(bar), uploadId=track and band.uploads[track])
    for name in band.uploads:
        _wait_for_segments(band, name)
    return band


def _gather_members(url: str, data: Path) -> dict[str, httpx.Client]:
    """An account for each. A colour follows from the account's id: one that another member has is not kept."""
    clients: dict[str, httpx.Client] = {}
    colours: set[str] = set()
    for name in (OWNER, *OTHERS):
        for number in range(MOST_ACCOUNTS):
            client = _sign_up(url, name, f"{name.lower()}{number}@example.com", data)
            colour = colour_class(str(session(client)["user"]["id"]))
            if colour not in colours:
                colours.add(colour)
                clients[name] = client
                break
    return clients


def _sign_up(url: str, name: str, email: str, data: Path) -> httpx.Client:
    made = completed("users", "add", email, "--name", name, typed=f"{PASSWORD}\n", OMNISONIC_DATA_DIR=str(data))
    assert made.returncode == 0, made.stderr
    client = httpx.Client(base_url=url, headers={"Origin": url}, timeout=60, verify=NO_TLS)
    sign_in(client, email, PASSWORD)
    return client


def _upload(band: Band, part: Part, seed: int) -> str:
    """The id of a new file, placed and mixed."""
    client = band.clients[part.player]
    form = {"sessionId": band.session_id} | ({"takeOf": band.uploads[part.take_of]} if part.take_of else {})
    file = {"file": (f"{part.name}.wav", part.wav(seed), "audio/wav")}
    upload_id = str(_answer(client.post("/api/upload", data=form, files=file))["upload"]["id"])
    mix: dict[str, Any] = {"offsetSeconds": part.offset_s, "gainDb": part.gain_db, "pan": part.pan, "muted": part.muted}
    if part.take_of:
        mix["chosen"] = True
    _answer(client.patch(f"/api/upload/{upload_id}", json=mix))
    return upload_id


def _wait_for_segments(band: Band, name: str) -> None:
    ends_at = time.monotonic() + PREPARED_S
    client, path = band.clients[OWNER], f"/api/upload/{band.uploads[name]}"
    while any(client.get(f"{path}/{part}").status_code != 200 for part in ("segments", "peaks")):
        assert time.monotonic() < ends_at, f"the worker has not prepared {name}"
        time.sleep(0.5)


def _beat(bar: float) -> float:
    return (bar - 1) * BEATS_PER_BAR


def _answer(answer: httpx.Response) -> dict[str, Any]:
    assert answer.is_success, answer.text
    return dict(answer.json())
