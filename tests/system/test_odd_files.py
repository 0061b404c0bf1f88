"""Files as people really have them go all the way: in by a form, into a mixdown, and home, each sound at its time."""

import contextlib
import io
from collections.abc import Iterator
from typing import Any, Final

import httpx
import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from omnisonic.studio.mixdown import RATE_HZ
from tests.cli.running import START_S, eventually
from tests.studio.mixdown.placed_files import (
    AFTER_PAUSE_S,
    CHIRPS_S,
    LENGTH_S,
    PAUSE_S,
    Packets,
    encoded,
    found,
    written,
)
from tests.system.studio import running_studio
from tests.system.test_uploads import signed_in

NEAR_S: Final = 0.001
MADE: Final = ("completed", "failed")


@pytest.fixture(name="ada", scope="module")
def person_in_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Somebody who is signed in to a whole studio."""
    with (
        running_studio("serve", tmp_path_factory.mktemp("odd")) as studio,
        contextlib.closing(signed_in(studio)) as client,
    ):
        yield client


def mixed(ada: httpx.Client, name: str, data: bytes) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """The upload, the mixdown of a session with nothing else in it, and the samples of that, a row for each channel."""
    session = ada.post("/api/sessions").json()["session"]["id"]
    sent = ada.post("/api/upload", files={"file": (name, data)}, data={"sessionId": session})
    assert sent.status_code == 201, sent.text
    upload = sent.json()["upload"]["id"]
    asked = ada.post("/api/export", json={"sessionId": session, "format": "wav"})
    assert asked.status_code == 202, asked.text
    export = asked.json()["exportId"]
    shown: dict[str, Any] = {}

    def is_over() -> bool:
        shown.update(ada.get("/api/export", params={"id": export}).json())
        return shown["status"] in MADE

    def is_received() -> bool:
        return ada.get(f"/api/upload/{upload}/peaks").status_code == 200

    eventually(is_over, what="it is mixed", within_s=2 * START_S)
    assert shown["status"] == "completed", shown
    eventually(is_received, what="it is listened to")
    (line,) = ada.get("/api/upload/list", params={"sessionId": session}).json()["uploads"]
    samples, rate_hz = soundfile.read(io.BytesIO(ada.get(f"/api/export/{export}/download").content), always_2d=True)
    assert rate_hz == RATE_HZ
    return line["upload"], shown, samples.T


@pytest.mark.parametrize(
    ("name", "media_type", "data", "chirps_s", "length_s"),
    [
        ("take.aifc", "audio/aiff", lambda: encoded("aiff", "pcm_s16le", 22_050), CHIRPS_S, LENGTH_S),
        ("take.w64", "audio/x-w64", written("W64", "PCM_32", 176_400, 3), CHIRPS_S, LENGTH_S),
        (
            "call.webm",
            "video/webm",
            lambda: encoded("webm", "libopus", put=Packets(has_pause=True)),
            AFTER_PAUSE_S,
            LENGTH_S + PAUSE_S,
        ),
        (
            "radio.ogg",
            "audio/ogg",
            lambda: encoded("ogg", "libopus") + encoded("ogg", "flac", 44_100),
            [*CHIRPS_S, *(begin_s + LENGTH_S for begin_s in CHIRPS_S)],
            2 * LENGTH_S,
        ),
    ],
    ids=["aiff-c", "w64", "webm with a pause", "ogg chain"],
)
def test_an_odd_file_is_heard_at_its_time(
    ada: httpx.Client, name: str, media_type: str, data: Any, chirps_s: list[float], length_s: float
) -> None:
    """Its type is the container's, its length the mix's, and nothing is missing."""
    upload, export, rows = mixed(ada, name, data())
    assert (upload["mimeType"], upload["warning"], export["warning"]) == (media_type, None, None)
    for row in rows:
        assert [chirp.begins_s for chirp in found(row, chirps_s)] == pytest.approx(chirps_s, abs=NEAR_S)
    assert export["durationSeconds"] == pytest.approx(length_s, abs=NEAR_S)
    assert upload["durationSeconds"] == pytest.approx(length_s, abs=NEAR_S)


def test_of_a_file_that_was_cut_off_what_is_there_is_heard_and_the_rest_is_told(ada: httpx.Client) -> None:
    """In the upload, and in the mixdown by the file's name."""
    whole = written("WAV", "PCM_16", 48_000, 2)()
    upload, export, rows = mixed(ada, "cut.wav", whole[: len(whole) // 2])
    assert upload["warning"]
    assert "cut.wav" in export["warning"]
    assert export["durationSeconds"] == pytest.approx(LENGTH_S / 2, abs=NEAR_S)
    received_s = [begin_s for begin_s in CHIRPS_S if begin_s < LENGTH_S / 2 - 0.2]
    assert received_s
    assert [chirp.begins_s for chirp in found(rows[0], received_s)] == pytest.approx(received_s, abs=NEAR_S)
    assert np.abs(rows).max() <= 1.0
