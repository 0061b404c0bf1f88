"""Segments over HTTP: who gets them, when, in parts, and how long a browser keeps them (SPEC 3)."""

from typing import Final

import httpx

from omnisonic.studio.segments.segment_queue import SegmentQueue
from omnisonic.studio.segments.segment_worker import SegmentWorker
from omnisonic.studio.uploads import Analysis
from omnisonic.studio.uploads.analysis_queue import AnalysisQueue
from omnisonic.studio.uploads.garbage_collector import GarbageCollector
from tests.http.api.test_sessions import make
from tests.http.api.test_sessions_sharing import share
from tests.http.api.test_uploads import brought, is_clean
from tests.http.running import Web
from tests.http.sounds import png
from tests.studio.mixdown.sounds import file_of, noise
from tests.studio.segments.bench import ANALYSED, DirectCutting
from tests.studio.segments.test_process import cut

SOUND: Final = file_of(noise(10.1, channels=1), subtype="PCM_16").read()
WANTED, MADE = cut(SOUND)


def analyse(web: Web, analysis: Analysis | None = ANALYSED) -> None:
    """As if a worker had analysed the newest upload."""

    async def finish() -> None:
        queue = AnalysisQueue(web.database)
        stored = await queue.take()
        assert stored is not None
        await queue.finish(stored.upload, analysis)

    web.do(finish())


def make_segments(web: Web) -> bool:
    """Let a worker do its next job."""
    return web.do(SegmentWorker(SegmentQueue(web.database), web.stores.storage, DirectCutting).make_next())


def code(answer: httpx.Response) -> tuple[int, str]:
    """The status and the code of a problem."""
    return answer.status_code, answer.json()["code"]


def test_segments_come_once_they_are_made(web: Web) -> None:
    """Before that, one is told to ask again; after the last one there is none."""
    ada = web.sign_up("ada@example.com")
    place = f"/api/upload/{brought(ada, content=SOUND)['id']}/segments"
    for is_analysed in (False, True):
        if is_analysed:
            analyse(web)
        for path in (place, f"{place}/0"):
            answer = ada.get(path)
            assert code(answer) == (409, "segments_pending")
            assert int(answer.headers["Retry-After"]) >= 1
        assert make_segments(web) == is_analysed
    about = ada.get(place).json()
    assert about == {
        "version": about["version"],
        "count": 2,
        "frames": MADE.frames,
        "channels": 1,
        "sampleRate": 48_000,
        "bitsPerSample": 16,
        "gain": 1,
        "warning": None,
    }
    assert [ada.get(f"{place}/{number}").content for number in range(2)] == WANTED
    for number in ("2", "999999999"):
        assert code(ada.get(f"{place}/{number}")) == (404, "no_such_segment")
    for number in ("-1", "1e0", "\u0661", "9" * 5_000):
        assert code(ada.get(f"{place}/{number}")) == (404, "not_found")


def test_segments_are_for_those_who_may_hear_the_upload(web: Web) -> None:
    """All members of the session; for others it is not there. With it they go into the bin."""
    ada, bob, cy = (web.sign_up(f"{name}@example.com") for name in ("ada", "bob", "cy"))
    session = make(ada)
    share(ada, session, bob)
    place = f"/api/upload/{brought(ada, content=SOUND, session=session['id'])['id']}"
    analyse(web)
    assert make_segments(web)
    for path in (f"{place}/segments", f"{place}/segments/0"):
        assert bob.get(path).status_code == 200
        assert code(cy.get(path)) == (404, "upload_not_found")
        assert web.client.get(path).status_code == 401
    assert ada.delete(place).status_code == 200
    assert code(bob.get(f"{place}/segments/0")) == (404, "upload_not_found")
    web.do(web.database.row("DELETE FROM uploads"))
    web.do(GarbageCollector(web.stores.retention, web.stores.storage).sweep())
    assert is_clean(web)


def test_a_browser_keeps_segments_and_may_ask_for_parts(web: Web) -> None:
    """By their content: with the version in the address for good, without it it asks. HEAD and ranges as for files."""
    ada = web.sign_up("ada@example.com")
    place = f"/api/upload/{brought(ada, content=SOUND)['id']}/segments"
    analyse(web)
    ada.get(place)
    assert make_segments(web)
    version = ada.get(place).json()["version"]
    whole = ada.get(f"{place}/1")
    assert (whole.headers["Content-Type"], whole.headers["Cache-Control"]) == ("audio/flac", "private, no-cache")
    kept = ada.get(f"{place}/1", params={"v": version})
    assert (kept.content, kept.headers["ETag"]) == (WANTED[1], whole.headers["ETag"])
    assert kept.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert ada.get(f"{place}/1", params={"v": "old"}).headers["Cache-Control"] == "private, no-cache"
    assert ada.get(f"{place}/0").headers["ETag"] != whole.headers["ETag"]
    assert ada.get(f"{place}/1", headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304
    head = ada.head(f"{place}/1")
    assert (head.content, head.headers["Content-Length"]) == (b"", str(len(WANTED[1])))
    part = ada.get(f"{place}/1", headers={"Range": "bytes=10-19", "If-Range": whole.headers["ETag"]})
    assert (part.status_code, part.content) == (206, WANTED[1][10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(WANTED[1])}"
    assert code(ada.get(f"{place}/1", headers={"Range": "bytes=99999999-"})) == (416, "range_not_satisfiable")


def test_where_there_is_no_sound_there_are_no_segments(web: Web) -> None:
    """A picture has none from the beginning. A lost object is made again."""
    ada = web.sign_up("ada@example.com")
    picture = brought(ada, content=png(), name="cover.png")["id"]
    assert code(ada.get(f"/api/upload/{picture}/segments/0")) == (404, "no_segments")
    place = f"/api/upload/{brought(ada, content=SOUND)['id']}/segments"
    analyse(web)
    ada.get(place)
    assert make_segments(web)
    key = web.do(web.database.rows("SELECT object_key FROM upload_segments"))[0]["object_key"]
    web.do(web.stores.storage.delete(key))
    assert code(ada.get(f"{place}/0")) == (409, "segments_pending")
    assert code(ada.get(place)) == (409, "segments_pending")
    assert make_segments(web)
    assert ada.get(f"{place}/0").content == WANTED[0]
