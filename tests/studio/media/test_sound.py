"""All the sound of a file in its place, and what is said of what is missing."""

import contextlib
import io
import random
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import starmap
from typing import Final

import numpy as np
import pytest

from omnisonic.studio.media.containers import MOST_LINKS, find_links
from omnisonic.studio.media.decoding import LONGEST_S, NoSound
from omnisonic.studio.media.sound import Sound
from tests.studio.media.broken_files import (
    WAV_HZ,
    chunk,
    chunks_of,
    extensible_chunks,
    tagged,
    w64_chunk,
    w64_of,
    wav_of,
)
from tests.studio.media.recordings import silence, tone

LENGTH_S: Final = 2.0
NAME: Final = "This file"
LAST_PAGE: Final = 4
"""Of the first link: two have its headers."""
LIST: Final = b"INFOISFT\x05\0\0\0abcd\0"
"""Of an odd length."""


def read(data: bytes, *, longest_s: float = LONGEST_S) -> tuple[float, str | None]:
    """How long the sound in it is, and what is missing."""
    with closing(Sound(io.BytesIO(data), longest_s=longest_s)) as sound:
        length_s = sum(frame.samples / frame.sample_rate for frame in sound.frames())
        return length_s, sound.missing(NAME)


def ogg(codec: str = "libopus", rate: int = 48_000, layout: str = "stereo") -> bytes:
    """Two seconds."""
    return tone("ogg", codec, seconds=LENGTH_S, rate=rate, layout=layout)


def whole_wav() -> bytes:
    """Two seconds at 48 kHz, 16 bits."""
    return tone(seconds=LENGTH_S, rate=48_000)


@pytest.mark.parametrize(
    "links",
    [
        (lambda: ogg(layout="stereo"), lambda: ogg(layout="mono")),
        (lambda: ogg("flac", 44_100), lambda: ogg("flac", 48_000, "mono")),
        (lambda: ogg("flac", 44_100), lambda: ogg("libopus"), lambda: ogg("flac", 96_000)),
    ],
    ids=["channels", "rate", "codec"],
)
def test_every_link_of_a_chain_is_decoded(links: tuple[Callable[[], bytes], ...]) -> None:
    """Whatever changes from one to the next."""
    length_s, missing = read(b"".join(link() for link in links))
    assert length_s == pytest.approx(len(links) * LENGTH_S, abs=0.001)
    assert missing is None


def test_a_link_that_cannot_be_decoded_is_reported_missing() -> None:
    """The others are heard, with or without one in the middle, which is of a codec that nobody has."""
    strange = ogg().replace(b"OpusHead", b"NopeHead")
    length_s, missing = read(ogg() + strange + ogg())
    assert length_s == pytest.approx(2 * LENGTH_S, abs=0.001)
    assert missing == "A part of this file could not be decoded, and cannot be heard."
    assert read(strange + ogg() + strange)[1] == "2 parts of this file could not be decoded, and cannot be heard."


def test_a_chain_has_an_end() -> None:
    """What comes after very many links is said to be missing."""
    link = ogg("flac", 8_000, "mono")[:200]
    page = bytearray(link[: link.index(b"OggS", 4)])
    other = bytes(page[:5]) + b"\0" + bytes(page[6:])
    links = find_links(io.BytesIO((bytes(page) + other) * (MOST_LINKS + 5)))
    assert (len(links.parts), links.is_whole) == (MOST_LINKS, False)


def test_a_broken_page_is_silent_and_reported() -> None:
    """What comes after it is where it was."""
    broken = bytearray(ogg() + ogg())
    begin = 0
    for _ in range(LAST_PAGE):
        begin = broken.index(b"OggS", begin) + 4
    broken[begin + 60 : begin + 90] = random.Random(1).randbytes(30)
    length_s, missing = read(bytes(broken))
    assert length_s == pytest.approx(2 * LENGTH_S, abs=0.001)
    assert missing is not None
    assert missing.startswith("This file is damaged: about")


@pytest.mark.parametrize(
    ("container", "codec"), [("matroska", "flac"), ("ipod", "aac"), ("wv", "wavpack"), ("tta", "tta")]
)
def test_what_cannot_be_decoded_is_silent_and_what_follows_stays_in_its_place(container: str, codec: str) -> None:
    """Some packets in the middle are noise."""
    broken = bytearray(tone(container, codec, seconds=3, rate=48_000))
    middle = len(broken) // 2
    broken[middle : middle + 200] = random.Random(2).randbytes(200)
    length_s, missing = read(bytes(broken))
    assert length_s == pytest.approx(3, abs=0.01)
    assert missing is not None
    assert missing.startswith("This file is damaged: about")
    assert missing.endswith("could not be decoded, and are silent.")


LAYOUTS = {
    "first": lambda chunks: wav_of(*starmap(chunk, chunks)),
    "after a list": lambda chunks: wav_of(chunk(b"LIST", LIST), *starmap(chunk, chunks)),
    "after a list that is not padded": lambda chunks: wav_of(
        chunk(b"LIST", LIST, is_padded=False), *starmap(chunk, chunks)
    ),
    "W64": lambda chunks: w64_of(*starmap(w64_chunk, chunks)),
    "W64 after a list": lambda chunks: w64_of(w64_chunk(b"list", LIST), *starmap(w64_chunk, chunks)),
}


@pytest.mark.parametrize("lay_out", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize(
    ("bits", "valid_bits"),
    [(32, 32), (32, 24), (32, 20), (32, 16), (32, 12), (24, 24), (24, 20), (24, 16), (16, 16), (16, 12)],
)
def test_samples_that_do_not_fill_their_room_are_what_was_put_in(
    bits: int, valid_bits: int, lay_out: Callable[[Iterable[tuple[bytes, bytes]]], bytes]
) -> None:
    """As Windows lays them out. A chunk before the format, also one that lacks its last byte, changes nothing."""
    most = 1 << (valid_bits - 1)
    frames = np.random.default_rng(valid_bits).integers(-most, most, (WAV_HZ // 2, 2))
    wav = lay_out(extensible_chunks(frames, bits=bits, valid_bits=valid_bits).items())
    with closing(Sound(io.BytesIO(wav))) as sound:
        decoded = np.concatenate([frame.to_ndarray().reshape(-1, 2) for frame in sound.frames()])
        assert sound.missing(NAME) is None
    unused = decoded.dtype.itemsize * 8 - valid_bits
    assert np.array_equal(decoded.astype(np.int64), frames << unused)


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("wav", "pcm_s16le"),
        ("aiff", "pcm_s16be"),
        ("caf", "pcm_s16le"),
        ("w64", "pcm_s16le"),
        ("au", "pcm_s16be"),
        ("flac", "flac"),
        ("wv", "wavpack"),
        ("tta", "tta"),
        ("mp3", "libmp3lame"),
        ("ogg", "libopus"),
        ("ogg", "flac"),
        ("webm", "libopus"),
    ],
)
def test_a_file_that_was_cut_off_reports_how_much_is_there(container: str, codec: str) -> None:
    """Whole, nothing is said of it."""
    whole = tone(container, codec, seconds=4, rate=48_000)
    length_s, missing = read(whole)
    assert length_s == pytest.approx(4, abs=0.05)
    assert missing is None
    length_s, missing = read(whole[: len(whole) * 6 // 10])
    assert 1 < length_s < 3
    assert missing is not None
    assert missing.startswith("This file was cut off: ")
    assert f"{length_s:.1f}" in missing
    if container != "ogg":
        assert "of 4.0 seconds are there" in missing


@pytest.mark.parametrize("size", [0, 0xFFFF_FFFF])
def test_a_wav_that_does_not_know_its_size_is_whole(size: int) -> None:
    """It was written as it came."""
    form, data = chunks_of(whole_wav())
    length_s, missing = read(wav_of(form, chunk(b"data", data, size=size)))
    assert length_s == pytest.approx(LENGTH_S)
    assert missing is None


@pytest.mark.parametrize("is_padded", [True, False])
def test_a_list_is_passed_over_with_or_without_the_byte_after_it(is_padded: bool) -> None:
    """As programs write it, and as they should; between form and samples, or before both."""
    form, data = chunks_of(whole_wav())
    words = chunk(b"LIST", LIST, is_padded=is_padded)
    assert len(LIST) % 2
    samples = chunk(b"data", data)
    for chunks in ((form, words, samples), (words, form, samples), (words, form, words, samples)):
        length_s, missing = read(wav_of(*chunks))
        assert length_s == pytest.approx(LENGTH_S)
        assert missing is None


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("wav", "pcm_s16le"),
        ("aiff", "pcm_s16be"),
        ("caf", "pcm_s16le"),
        ("flac", "flac"),
        ("ogg", "flac"),
        ("mp3", "libmp3lame"),
    ],
)
def test_sound_behind_tags_is_decoded(container: str, codec: str) -> None:
    """One tag, or two."""
    data = tone(container, codec, seconds=LENGTH_S, rate=48_000)
    for file in (tagged(data), tagged(tagged(data))):
        length_s, missing = read(file)
        assert length_s == pytest.approx(LENGTH_S, abs=0.001)
        assert missing is None


def test_a_bomb_of_flac_is_no_longer_than_its_frames() -> None:
    """They all say the same time."""
    length_s, _ = read(silence(50))
    assert length_s == pytest.approx(50 * 4608 / 44_100)


@pytest.mark.parametrize("seed", range(20))
def test_garbage_in_a_chain_never_fails(seed: int) -> None:
    """And is not longer than what is there."""
    chance = random.Random(seed)
    broken = bytearray(ogg() + ogg("flac", 44_100))
    for _ in range(30):
        broken[chance.randrange(200, len(broken))] = chance.randrange(256)
    with contextlib.suppress(NoSound):
        assert read(bytes(broken))[0] <= LONGEST_S
