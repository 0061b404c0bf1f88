"""What a file is taken for while it arrives, by its beginning alone."""

import io
import struct
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Final

import pytest

from omnisonic.studio.media.identifier import Identifier
from omnisonic.studio.media.sound import Sound
from omnisonic.studio.uploads import UnsupportedMedia
from omnisonic.studio.uploads.content_inspection import ContentInspection
from tests.postgres_server import blocking
from tests.studio.media.recordings import tone

LENGTH_S: Final = 8.0
MOST_BYTES: Final = 2**30
BLOCK_BYTES: Final = 65_536
BRANDS: Final = ["3gp4", "3gp5", "M4V ", "M4VH", "M4B ", "MSNV", "XAVC", "iso5", "dash", "f4v ", "qt  "]


def media_type(data: bytes) -> str:
    """What a file is taken for that arrives so."""

    async def chunks() -> AsyncIterator[bytes]:
        for begin in range(0, len(data), BLOCK_BYTES):
            yield data[begin : begin + BLOCK_BYTES]

    async def inspect() -> str:
        inspection = ContentInspection(chunks(), max_bytes=MOST_BYTES, identify=Identifier().media_type)
        await inspection.open()
        return inspection.mime_type

    return blocking(inspect())


def film(first_box: bytes) -> bytes:
    """Eight seconds, more than is looked at, with the index at the end, and this in place of the first box."""
    data = tone("mov", "pcm_s16le", seconds=LENGTH_S, rate=48_000)
    (size,) = struct.unpack(">I", data[:4])
    assert data.rindex(b"moov") > data.index(b"mdat") + 1_048_576
    assert len(first_box) == size
    return first_box + data[size:]


def box(name: bytes, body: bytes, *, size: int | None = None) -> bytes:
    """A box; `size`: what it says of itself, if that is not true."""
    return struct.pack(">I4s", len(body) + 8 if size is None else size, name) + body


def length_s(data: bytes) -> float:
    """How long the sound in it is."""
    with closing(Sound(io.BytesIO(data))) as sound:
        return sum(frame.samples / frame.sample_rate for frame in sound.frames())


@pytest.mark.parametrize("brand", BRANDS)
def test_a_film_of_any_brand_is_taken_with_its_index_at_the_end(brand: str) -> None:
    """And its sound can be heard."""
    data = film(box(b"ftyp", brand.encode() + bytes(4) + brand.encode()))
    assert media_type(data) == ("video/quicktime" if brand == "qt  " else "video/mp4")
    assert length_s(data) == pytest.approx(LENGTH_S)


@pytest.mark.parametrize("name", [b"wide", b"free", b"skip"])
def test_a_film_without_a_brand_is_taken(name: bytes) -> None:
    """As QuickTime wrote them: something that holds room, or the samples at once."""
    data = film(box(name, bytes(12)))
    assert media_type(data) == "video/mp4"
    assert length_s(data) == pytest.approx(LENGTH_S)
    assert media_type(data[data.index(b"mdat") - 4 :]) == "video/mp4"


@pytest.mark.parametrize(
    "data",
    [
        box(b"ftyp", b"3gp4", size=4),
        box(b"ftyp", b"3gp4", size=2**31),
        box(b"ftyp", b"heix" + bytes(12)),
        box(b"free", bytes(100), size=7) + box(b"mdat", bytes(100)),
        box(b"free", bytes(8)) + box(b"html", bytes(100)),
        box(b"mdat", bytes(100), size=7),
        b"The free word, and the wide one.\n" * 1_000,
        b"Be wide\n" * 1_000,
        b"moov",
    ],
)
def test_what_only_seems_to_have_boxes_is_refused(data: bytes) -> None:
    """Whatever FFmpeg may take it for; pictures of a kind that no browser shows, too."""
    with pytest.raises(UnsupportedMedia):
        media_type(data)
