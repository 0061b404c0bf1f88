"""What files are by how they begin, where no list of first bytes knows: in this process, and in one of their own."""

import asyncio
import io
import random
import sys
from collections.abc import Callable, Sequence
from typing import Final

import pytest

from omnisonic.errors import Unavailable
from omnisonic.studio.media.decoding import FORMATS
from omnisonic.studio.media.identification import identify
from omnisonic.studio.media.identifier import MEDIA_TYPES, Identifier, identification_command
from tests.http.sounds import png
from tests.postgres_server import blocking
from tests.studio.media.recordings import silent_film, tone
from tests.studio.mixdown.placed_files import encoded, written

HEAD_BYTES: Final = 200_000
PDF: Final = b"%PDF-1.7\n" + b"1 0 obj << /Type /Catalog >> endobj\n" * 1_000
PAGE: Final = b"<!doctype html><script>alert(1)</script>" * 500
FILES: Final[dict[str, tuple[Callable[[], bytes], str]]] = {
    "AIFF-C": (lambda: encoded("aiff", "pcm_s16le"), "audio/aiff"),
    "CAF": (written("CAF", "PCM_24", 44_100, 2), "audio/x-caf"),
    "RF64": (written("RF64", "PCM_24", 96_000, 2), "audio/wav"),
    "W64": (written("W64", "PCM_32", 48_000, 2), "audio/x-w64"),
    "AU": (written("AU", "PCM_16", 48_000, 2), "audio/basic"),
    "WavPack": (lambda: encoded("wv", "wavpack"), "audio/x-wavpack"),
    "TTA": (lambda: encoded("tta", "tta"), "audio/x-tta"),
    "AC-3": (lambda: encoded("ac3", "ac3"), "audio/ac3"),
    "MPEG layer 2": (lambda: encoded("mp2", "mp2"), "audio/mpeg"),
    "transport stream": (lambda: encoded("mpegts", "mp2"), "video/mp2t"),
}


def identified(head: bytes, command: Sequence[str] = (), *, wait_s: float = 20.0) -> str | None:
    """What a process says of it."""
    return blocking(Identifier(command=lambda: command or identification_command(), wait_s=wait_s).media_type(head))


@pytest.mark.parametrize("kind", FILES)
def test_what_can_be_decoded_is_known_by_its_beginning(kind: str) -> None:
    """By the first two hundred thousand bytes."""
    data, media_type = FILES[kind]
    name = identify(io.BytesIO(data()[:HEAD_BYTES]))
    assert name is not None
    assert MEDIA_TYPES[name] == media_type


@pytest.mark.parametrize(
    "data",
    [b"", b"Song ideas: more cowbell.\n" * 4_000, PDF, PAGE, png(), silent_film(), bytes(HEAD_BYTES)],
    ids=["nothing", "words", "pdf", "page", "picture", "silent film", "zeros"],
)
def test_what_has_no_sound_is_nothing(data: bytes) -> None:
    """Whatever FFmpeg may take it for."""
    assert identify(io.BytesIO(data)) is None


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_nothing_even_with_a_song_in_the_middle(seed: int) -> None:
    """A few bytes that look like a packet are in every large file."""
    noise = random.Random(seed)
    song = tone("mp3", "libmp3lame", seconds=1) if seed % 2 else b""
    assert identify(io.BytesIO(noise.randbytes(30_000) + song + noise.randbytes(30_000))) is None


def test_every_format_that_is_decoded_has_a_media_type_that_no_browser_runs() -> None:
    """The table is whole, by the first name of each."""
    names = {"m4a": "mov", "mp4": "mov", "m4v": "mov", "3gp": "mov", "3g2": "mov", "webm": "matroska", "mp2": "mp3"}
    names |= {"amrnb": "amr", "amrwb": "amr"}
    assert {names.get(name, name) for name in FORMATS.split(",")} == set(MEDIA_TYPES)
    assert all(media_type.startswith(("audio/", "video/")) for media_type in MEDIA_TYPES.values())


def test_a_process_finds_the_same() -> None:
    """In the sandbox; and of words that they are nothing."""
    assert identified(FILES["CAF"][0]()) == "audio/x-caf"
    assert identified(b"no sound " * 1_000) is None


@pytest.mark.parametrize(
    "program", ["kill -SEGV $$", "kill -XCPU $$", "echo nonsense", "echo '\"../../etc/passwd\"'", "echo '\"html\"'"]
)
def test_a_decoder_that_is_led_astray_has_found_nothing(program: str) -> None:
    """Nor has one that says what it cannot mean."""
    assert identified(b"anything", ("/bin/sh", "-c", program)) is None


def test_a_process_without_a_sandbox_is_nobodys_fault() -> None:
    """The file is neither taken nor refused."""
    with pytest.raises(Unavailable):
        identified(b"anything", ("/bin/sh", "-c", "exit 77"))


def test_a_request_that_waits_too_long_for_a_turn_is_refused() -> None:
    """So many are looked at at once, and no more; then it is the next one's turn."""

    async def run() -> None:
        wait_forever = sys.executable, "-c", "import time; time.sleep(60)"
        identifier = Identifier(command=lambda: wait_forever, wait_s=0.2)
        looking = [asyncio.create_task(identifier.media_type(b"anything")) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await identifier.media_type(b"anything")
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)

    blocking(run())
