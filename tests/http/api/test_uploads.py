"""Files go in by form, are listed, mixed and removed, and their rooms are told (SPEC 3, 5.2)."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import httpx
import msgspec
import pytest

from omnisonic.stores.bus.events import RoomSaid
from tests.http.api.test_sessions import make
from tests.http.api.test_sessions_sharing import share, user_id
from tests.http.route_table import UNKNOWN
from tests.http.running import Web
from tests.http.sounds import png, wav
from tests.studio.media.broken_files import tagged
from tests.studio.media.recordings import tone
from tests.studio.mixdown.placed_files import encoded, written

SOUND: Final = wav(0.2)
KEPT: Final = """
SELECT object_key FROM uploads UNION SELECT object_key FROM upload_pieces
UNION SELECT object_key FROM exports WHERE object_key IS NOT NULL
"""
FIELDS: Final = {
    "id", "userId", "sessionId", "fileName", "fileSize", "mimeType", "sha256", "durationSeconds", "sampleRate",
    "channels", "gainDb", "pan", "muted", "offsetSeconds", "name", "position", "takeOf", "chosen", "trimStartSeconds",
    "trimEndSeconds", "fadeInSeconds", "fadeOutSeconds", "createdAt", "warning",
}  # fmt: skip


def send(
    client: httpx.Client, content: bytes = SOUND, *, name: str = "bass.wav", session: str | None = None
) -> httpx.Response:
    """Upload one file."""
    return client.post("/api/upload", files={"file": (name, content)}, data={"sessionId": session} if session else {})


def brought(client: httpx.Client, **about: Any) -> dict[str, Any]:
    """The upload that `send` makes."""
    answer = send(client, **about)
    assert answer.status_code == 201, answer.text
    upload: dict[str, Any] = answer.json()["upload"]
    return upload


def published_events(web: Web) -> list[tuple[str, str, Any]]:
    """What rooms were told about uploads: room, type and payload."""
    said = [event for event in web.bus.events if isinstance(event, RoomSaid) and event.type.startswith("upload.")]
    return [(event.room, event.type, msgspec.json.decode(event.payload)) for event in said]


def is_clean(web: Web) -> bool:
    """Whether nothing is loose, and each row has its object and each object its row."""
    unreferenced = web.do(web.database.rows("SELECT object_key FROM loose_objects"))
    rows = web.do(web.database.rows(KEPT))
    return not unreferenced and {row["object_key"] for row in rows} == web.stored()


def test_what_goes_in_is_described_and_comes_out_again(web: Web) -> None:
    """Every property of the contract; the link gives back the very bytes, to whoever has it."""
    ada = web.sign_up("ada@example.com")
    session = make(ada)["id"]
    answer = send(ada, name="../the bass \u00e4.wav", session=session)
    assert answer.status_code == 201
    upload = answer.json()["upload"]
    assert set(upload) == FIELDS
    assert (upload["fileName"], upload["fileSize"], upload["mimeType"]) == (
        "the bass \u00e4.wav",
        len(SOUND),
        "audio/wav",
    )
    assert upload["sha256"] == hashlib.sha256(SOUND).hexdigest()
    assert (upload["userId"], upload["sessionId"]) == (user_id(ada), session)
    assert (upload["gainDb"], upload["pan"], upload["muted"], upload["offsetSeconds"]) == (0, 0, False, 0)
    assert (upload["name"], upload["takeOf"], upload["chosen"]) == ("the bass \u00e4", upload["id"], True)
    assert web.client.get(answer.json()["downloadUrl"]).content == SOUND
    assert ada.get(f"/api/upload/{upload['id']}").json()["upload"] == upload
    assert published_events(web) == [(session, "upload.added", upload)]
    assert is_clean(web)


@pytest.mark.parametrize("content", [SOUND, png(), b"ID3\x04" + bytes(9000), b"fLaC" + bytes(100), b"OggS" + bytes(99)])
def test_the_type_is_that_of_the_content(web: Web, content: bytes) -> None:
    """Audio and pictures are taken, whatever they are called."""
    upload = brought(web.sign_up("ada@example.com"), content=content, name="page.html")
    assert upload["mimeType"].startswith(("audio/", "image/"))


def test_the_session_may_be_named_after_the_file(web: Web) -> None:
    """Parts of a form come in any order; an empty one is no session."""
    ada = web.sign_up("ada@example.com")
    session = make(ada)["id"]
    for given, stored in ((session, session), ("", None)):
        parts = [("file", ("bass.wav", SOUND)), ("sessionId", (None, given))]
        answer = ada.post("/api/upload", files=parts)
        assert answer.json()["upload"]["sessionId"] == stored


def test_uploads_are_listed_newest_first_in_pages(web: Web) -> None:
    """Those of a session for all who share it; without one, one's own."""
    ada, bob = (web.sign_up(f"{name}@example.com") for name in ("ada", "bob"))
    session = make(ada)
    share(ada, session, bob)
    names = [
        brought(client, name=f"{number}.wav", session=session["id"])["fileName"]
        for number, client in enumerate((ada, bob, ada))
    ]
    alone = brought(bob, name="alone.wav")["fileName"]
    here = {"sessionId": session["id"]}
    assert _names(bob.get("/api/upload/list", params=here)) == names[::-1]
    assert _names(bob.get("/api/upload/list")) == [alone, names[1]]
    first = ada.get("/api/upload/list", params=here | {"limit": "2"})
    assert _names(first) == [names[2], names[1]]
    rest = ada.get("/api/upload/list", params=here | {"limit": "2", "before": first.json()["nextBefore"]})
    assert (_names(rest), rest.json()["nextBefore"]) == ([names[0]], None)


def _names(answer: httpx.Response) -> list[str]:
    return [line["upload"]["fileName"] for line in answer.json()["uploads"]]


def test_a_stem_is_mixed_by_all_who_share_it(web: Web) -> None:
    """What is not said stays as it is, and the room hears of it."""
    ada, bob = (web.sign_up(f"{name}@example.com") for name in ("ada", "bob"))
    session = make(ada)
    share(ada, session, bob)
    upload = brought(ada, session=session["id"])
    place = f"/api/upload/{upload['id']}"
    assert bob.patch(place, json={"gainDb": -6.5, "muted": True}).status_code == 200
    changed = ada.patch(place, json={"pan": -1, "offsetSeconds": 2.25}).json()["upload"]
    assert changed == upload | {"gainDb": -6.5, "muted": True, "pan": -1.0, "offsetSeconds": 2.25}
    assert published_events(web)[-1] == (session["id"], "upload.changed", changed)


def test_a_room_hears_of_what_has_changed_and_of_nothing_else(web: Web) -> None:
    """What is set to the value that it has is no news, whatever is set."""
    ada = web.sign_up("ada@example.com")
    upload = brought(ada, session=make(ada)["id"])
    web.bus.published.clear()
    settable = ("gainDb", "pan", "muted", "offsetSeconds", "name", "position", "takeOf", "chosen", "fadeInSeconds")
    for same in ({}, {field: upload[field] for field in settable}):
        answer = ada.patch(f"/api/upload/{upload['id']}", json=same)
        assert (answer.status_code, answer.json()) == (200, {"upload": upload})
    assert web.bus.events == []


@pytest.mark.parametrize(
    ("wrong", "code"),
    [({"gainDb": 13}, "gain_db"), ({"gainDb": -61}, "gain_db"), ({"pan": 1.1}, "pan"), ({"muted": 1}, "muted"),
     ({"offsetSeconds": -1}, "offset_seconds"), ({"gainDb": "loud"}, "gain_db"),
     ({"offsetSeconds": 1e9}, "offset_seconds"), ({"trimEndSeconds": -0.1}, "trim_end_seconds"),
     ({"fadeInSeconds": 601}, "fade_in_seconds"), ({"name": "W" * 121}, "name"), ({"name": "\u200b"}, "name"),
     ({"position": 1e7}, "position"), ({"takeOf": 1}, "take_of"), ({"chosen": False}, "chosen")],
)  # fmt: skip
def test_what_is_out_of_bounds_changes_nothing(web: Web, wrong: dict[str, Any], code: str) -> None:
    """400, naming the property."""
    ada = web.sign_up("ada@example.com")
    upload = brought(ada)
    answer = ada.patch(f"/api/upload/{upload['id']}", json=wrong)
    assert (answer.status_code, answer.json()["code"]) == (400, f"invalid_{code}")
    assert ada.get(f"/api/upload/{upload['id']}").json()["upload"] == upload


def test_its_uploader_and_the_owner_may_remove_it_and_no_other(web: Web) -> None:
    """Another collaborator is told why not; whoever has no part in it is told that there is nothing."""
    ada, bob, cy, eve = (web.sign_up(f"{name}@example.com") for name in ("ada", "bob", "cy", "eve"))
    session = make(ada)
    for guest in (bob, cy):
        share(ada, session, guest)
    first, second = (brought(bob, session=session["id"]) for _ in range(2))
    refused = cy.delete(f"/api/upload/{first['id']}")
    assert (refused.status_code, refused.json()["code"]) == (403, "uploader_only")
    unknown = eve.delete(f"/api/upload/{first['id']}")
    assert (unknown.status_code, unknown.content) == (404, eve.delete(f"/api/upload/{UNKNOWN}").content)
    for client, upload in ((bob, first), (ada, second)):
        assert client.delete(f"/api/upload/{upload['id']}").json() == {"ok": True}
        gone = {"uploadId": upload["id"], "sessionId": session["id"]}
        assert published_events(web)[-1] == (session["id"], "upload.removed", gone)
    assert len(web.stored()) == 2
    assert is_clean(web)


def test_what_was_removed_is_restored(web: Web) -> None:
    """By its uploader or the owner, once or twice; the room hears of it as of something new, and only once."""
    ada, bob, cy, eve = (web.sign_up(f"{name}@example.com") for name in ("ada", "bob", "cy", "eve"))
    session = make(ada)
    for guest in (bob, cy):
        share(ada, session, guest)
    upload = brought(bob, session=session["id"])
    place = f"/api/upload/{upload['id']}"
    for client in (ada, bob):
        assert client.delete(place).status_code == 200
        refused, unknown = cy.post(f"{place}/restore"), eve.post(f"{place}/restore")
        assert (refused.status_code, refused.json()["code"]) == (403, "uploader_only")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "upload_not_found")
        told = len(published_events(web))
        for _ in range(2):
            assert client.post(f"{place}/restore").json() == {"upload": upload}
        assert published_events(web)[told:] == [(session["id"], "upload.added", upload)]
    assert ada.get(f"{place}/content").content == SOUND


def test_the_same_removal_fifty_times_at_once_succeeds_once(web: Web) -> None:
    """The others are 404, and the object is gone once (RELIABILITY 25)."""
    ada = web.sign_up("ada@example.com")
    session = make(ada)["id"]
    upload = brought(ada, session=session)
    with ThreadPoolExecutor(50) as pool:
        statuses = list(pool.map(lambda _: ada.delete(f"/api/upload/{upload['id']}").status_code, range(50)))
    assert sorted(statuses) == [200] + [404] * 49
    assert [kind for _, kind, _ in published_events(web)] == ["upload.added", "upload.removed"]
    assert is_clean(web)


def test_a_deleted_session_leaves_its_uploads_to_their_uploader(web: Web) -> None:
    """They are without a session then, and only theirs."""
    ada, bob = (web.sign_up(f"{name}@example.com") for name in ("ada", "bob"))
    session = make(ada)
    share(ada, session, bob)
    upload = brought(bob, session=session["id"])
    ada.delete(f"/api/sessions/{session['id']}")
    assert bob.get(f"/api/upload/{upload['id']}").json()["upload"] == upload | {"sessionId": None}
    assert ada.get(f"/api/upload/{upload['id']}").status_code == 404


def test_the_waveform_is_pending_until_somebody_has_listened(web: Web) -> None:
    """409 with the time to wait; a picture has none, which is 404."""
    ada = web.sign_up("ada@example.com")
    pending = ada.get(f"/api/upload/{brought(ada)['id']}/peaks")
    assert (pending.status_code, pending.json()["code"]) == (409, "peaks_pending")
    assert int(pending.headers["Retry-After"]) >= 1
    for query in ({"from": "-1"}, {"to": "x"}, {"points": "0"}, {"from": "1e9"}):
        assert ada.get(pending.url.path, params=query).status_code == 400
    none = ada.get(f"/api/upload/{brought(ada, content=png())['id']}/peaks")
    assert (none.status_code, none.json()["code"]) == (404, "no_peaks")


@pytest.mark.parametrize(
    ("name", "data", "media_type"),
    [
        ("sowt.aif", lambda: encoded("aiff", "pcm_s16le"), "audio/aiff"),
        ("take.caf", written("CAF", "PCM_24", 44_100, 2), "audio/x-caf"),
        ("take.wav", written("RF64", "PCM_24", 48_000, 2), "audio/wav"),
        ("take.wv", lambda: encoded("wv", "wavpack"), "audio/x-wavpack"),
        ("tagged.flac", lambda: tagged(tone("flac", "flac")), "audio/flac"),
        ("tagged.wav", lambda: tagged(tone()), "audio/wav"),
        ("tagged.mp3", lambda: tagged(tone("mp3", "libmp3lame")), "audio/mpeg"),
        ("cover.flac", lambda: tagged(tone("flac", "flac"), 1_500_000), "audio/flac"),
    ],
)
def test_what_can_be_decoded_is_taken_as_what_it_is(
    web: Web, name: str, data: Callable[[], bytes], media_type: str
) -> None:
    """By its content, behind tags too, however long a picture in them; whoever downloads it gets that type, and the
    bytes.
    """
    ada, content = web.sign_up("ada@example.com"), data()
    upload = brought(ada, content=content, name=name)
    assert upload["mimeType"] == media_type
    answer = ada.get(f"/api/upload/{upload['id']}/content")
    assert answer.headers["Content-Type"] == media_type
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.content == content
