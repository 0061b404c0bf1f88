"""Mixdowns by the whole product: whatever happens to worker and storage, each is made once, or it is told why not."""

import contextlib
import io
import itertools
import signal
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from omnisonic.studio.exports.export_queue import LEASE_S
from omnisonic.studio.exports.export_worker import MIXED_PERCENT
from tests.cli.running import START_S, alive, children, command_line, eventually
from tests.s3_server import running_s3
from tests.studio.media.recordings import tone
from tests.system.studio import Studio, running_studio
from tests.system.test_uploads import rows, signed_in

LONG_S: Final = 240.0
"""So late a tone of a second begins that mixing it takes a while, though there is little to be heard or kept."""
RECOVERED_S: Final = LEASE_S + START_S
MADE: Final = ("completed", "failed")

_numbers = itertools.count(1)


class Band:
    """Somebody with a session of one stem, for which a mixdown takes a while. Bands of one studio see each other's
    mixdowns in its storage.
    """

    def __init__(self, studio: Studio, client: httpx.Client) -> None:
        self.studio = studio
        self.client = client
        self.session = client.post("/api/sessions", json={"name": "Night jam"}).json()["session"]["id"]
        self.stem = self.upload("late tone.flac", LONG_S)
        self.export = ""

    def upload(self, name: str, offset_s: float) -> str:
        """A tone of a second that begins there."""
        made = self.client.post(
            "/api/upload", files={"file": (name, tone("flac", "flac", seconds=1))}, data={"sessionId": self.session}
        )
        assert made.status_code == 201, made.text
        upload = str(made.json()["upload"]["id"])
        changed = self.client.patch(f"/api/upload/{upload}", json={"offsetSeconds": offset_s})
        assert changed.status_code == 200, changed.text
        return upload

    def ask(self, format_: str = "flac") -> None:
        """Ask for a mixdown, or another export."""
        asked = self.client.post("/api/export", json={"sessionId": self.session, "format": format_})
        assert asked.status_code == 202, asked.text
        self.export = asked.json()["exportId"]

    def state(self) -> dict[str, Any]:
        """What the web says of the mixdown."""
        answer = self.client.get("/api/export", params={"id": self.export})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def is_mixed(self) -> bool:
        """Whether it is being mixed now: its stems are there, and the worker has a process for it."""
        return self.state()["status"] == "processing" and bool(self._mixers())

    def once_mixed(self) -> list[int]:
        """Wait until it is being mixed; the processes that do so."""
        eventually(self.is_mixed, what="it is being mixed", within_s=RECOVERED_S)
        return self._mixers()

    def once_over(self) -> dict[str, Any]:
        """Wait until it is made or has failed."""
        eventually(lambda: self.state()["status"] in MADE, what="it is over", within_s=RECOVERED_S)
        return self.state()

    def row(self, column: str, condition: str = "true") -> list[str]:
        """This column of the mixdown, if the condition holds."""
        return rows(self.studio, f"SELECT {column} FROM exports WHERE id = '{self.export}' AND {condition}")

    def _mixers(self) -> list[int]:
        return [child for child in children(self.studio.pid("worker")) if "mixdown" in command_line(child)]


class Place:
    """The studio that the tests share, and the mixdowns in its local storage."""

    def __init__(self, studio: Studio, folder: Path) -> None:
        self.studio = studio
        self._folder = folder / "data" / "uploads"
        self._seen: set[str] = set()

    def forget(self) -> None:
        """What is stored now is not a test's."""
        self._seen = self._found()

    def stored(self) -> list[str]:
        """What a test has stored, or has taken away that was stored before it."""
        return sorted(self._seen ^ self._found())

    def _found(self) -> set[str]:
        return {str(path.relative_to(self._folder)) for path in (self._folder / "exports").glob("*")}


@pytest.fixture(scope="module")
def shared_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("exports")
    with running_studio("serve", folder) as studio:
        yield Place(studio, folder)


@pytest.fixture
def place(shared_place: Place) -> Place:
    """A studio in which nothing is being mixed."""
    shared_place.forget()
    return shared_place


@pytest.fixture
def band(place: Place) -> Iterator[Band]:
    """A band in it."""
    with contextlib.closing(signed_in(place.studio, f"band{next(_numbers)}@example.com")) as client:
        yield Band(place.studio, client)


def check_made(band: Band, objects: list[str]) -> None:
    """See that it is made, once: its file can be fetched, and is the only one that was stored."""
    state = band.once_over()
    assert (state["status"], state["progress"]) == ("completed", 100), state
    assert state["durationSeconds"] == pytest.approx(LONG_S + 1, abs=0.01)
    assert band.row("object_key", "status = 'completed'") == objects
    assert len(objects) == 1
    got = band.client.get(f"/api/export/{band.export}/download")
    assert (got.status_code, got.content[:4], len(got.content)) == (200, b"fLaC", state["fileSize"])


def test_a_band_downloads_its_stems(band: Band) -> None:
    """Every track from bar 1 on, as long as the longest, with the projects; and the files as they came."""
    band.client.patch(f"/api/upload/{band.stem}", json={"offsetSeconds": 0.5, "muted": True})
    band.upload("bass.flac", 0.0)
    band.ask("stems")
    state = band.once_over()
    assert (state["status"], state["durationSeconds"], state["warning"]) == ("completed", 1.5, None), state
    got = band.client.get(f"/api/export/{band.export}/download")
    assert (got.headers["Content-Type"], len(got.content)) == ("application/zip", state["fileSize"])
    with zipfile.ZipFile(io.BytesIO(got.content)) as archive:
        assert archive.testzip() is None
        names = ["Night jam.dawproject", "Night jam.rpp", "01 late tone.wav", "02 bass.wav"]
        assert archive.namelist() == [f"Night jam stems/{name}" for name in names]
        assert len({info.file_size for info in archive.infolist() if info.filename.endswith(".wav")}) == 1
    originals = band.client.get(f"/api/sessions/{band.session}/stems.zip")
    with zipfile.ZipFile(io.BytesIO(originals.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"Night jam originals/{name}.flac" for name in ("01 late tone", "02 bass")]


def test_a_worker_killed_twice_while_it_mixes_makes_it_once(place: Place, band: Band) -> None:
    """RELIABILITY 26: the lease runs out, it is taken again, and nothing is left of the tries before."""
    band.ask()
    for is_waited_for in (False, True):
        mixers = band.once_mixed()
        assert band.studio.end("worker", signal.SIGKILL) == -signal.SIGKILL
        eventually(lambda mixers=mixers: not any(map(alive, mixers)), what="no mixer is left")  # type: ignore[misc]
        assert band.state()["status"] == "processing"
        if not is_waited_for:
            # As if the lease had run out.
            rows(band.studio, f"UPDATE exports SET due_at = now() WHERE id = '{band.export}' RETURNING id")
    band.once_over()
    check_made(band, place.stored())
    assert band.row("tries") == ["3"]
    assert rows(band.studio, "SELECT object_key FROM loose_objects WHERE object_key LIKE 'exports/%'") == []


def test_a_worker_that_is_told_to_stop_leaves_its_work_to_the_next(place: Place, band: Band) -> None:
    """It gives its lease back, and it does not count as a try."""
    band.ask()
    mixers = band.once_mixed()
    begun = band.row("lease::text")
    assert band.studio.end("worker", signal.SIGTERM) == 0
    assert not any(map(alive, mixers))
    assert band.row("tries") in (["0"], ["1"])
    assert band.row("id", f"lease = '{begun[0]}'") == []  # the next one may have taken it already
    eventually(band.is_mixed, what="it is being mixed again")
    band.once_over()
    check_made(band, place.stored())
    assert band.row("tries") == ["1"]


def test_a_storage_that_is_away_at_the_end_is_waited_for(tmp_path: Path) -> None:
    """It is put when the storage is back, and is not mixed again."""
    with (
        running_s3() as s3,
        running_studio("serve", tmp_path, **s3.environ("minio")) as studio,
        contextlib.closing(signed_in(studio)) as client,
    ):
        band = Band(studio, client)
        band.ask()
        band.once_mixed()
        s3.kill()
        eventually(lambda: band.state()["progress"] == MIXED_PERCENT, what="it is mixed", within_s=RECOVERED_S)
        assert band.state()["status"] == "processing"
        s3.start()
        band.once_over()
        check_made(band, [key for key in s3.objects() if key.startswith("exports/")])
        assert band.row("tries") == ["1"]


def test_a_stem_that_is_removed_while_it_is_mixed_is_told_by_its_name(place: Place, band: Band) -> None:
    """Soon, and for good; without it the next one is made."""
    gone = band.upload("the other.flac", 0)
    band.ask()
    mixers = band.once_mixed()
    assert band.client.delete(f"/api/upload/{gone}").status_code == 200
    state = band.once_over()
    assert state["status"] == "failed"
    assert '"the other.flac" is not there any more.' in state["errorMessage"]
    eventually(lambda: not any(map(alive, mixers)), what="no mixer is left")
    assert place.stored() == []
    band.ask()
    band.once_over()
    check_made(band, place.stored())


def test_an_export_that_is_removed_while_it_is_mixed_ends(place: Place, band: Band) -> None:
    """Its mixer is ended, and nothing is put."""
    band.ask()
    mixers = band.once_mixed()
    assert band.client.delete(f"/api/export/{band.export}").status_code == 200
    eventually(lambda: not any(map(alive, mixers)), what="no mixer is left", within_s=LEASE_S)
    assert (place.stored(), band.row("id")) == ([], [])
    assert alive(band.studio.pid("worker"))


def test_a_shared_mixdown_is_prepared_for_phones_by_the_worker(place: Place) -> None:
    """Its waveform, and an MP3 that is played instead of the mixdown, decoded and encoded in the sandbox."""
    with contextlib.closing(signed_in(place.studio, "sharer@example.com")) as client:
        session = client.post("/api/sessions", json={}).json()["session"]["id"]
        export = client.post("/api/export", json={"sessionId": session}).json()
        mixdown = client.get(export["url"], timeout=RECOVERED_S).content  # eight bars of click
        link = client.post(f"/api/export/{export['exportId']}/shares").json()["url"]
        listen = f"/api{httpx.URL(link).path}"
        eventually(lambda: client.get(listen).json()["peaks"], what="it is prepared", within_s=RECOVERED_S)
        assert len(client.get(listen).json()["peaks"]) == 240
        played = client.get(f"{listen}/audio")
        assert (played.status_code, played.headers["Content-Type"]) == (200, "audio/mpeg")
        assert 5 * len(played.content) < len(mixdown)
