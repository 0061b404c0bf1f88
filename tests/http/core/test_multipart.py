"""Forms with a file in them, cut into chunks at whatever places a network cuts them."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnisonic.errors import InvalidInput
from omnisonic.http.core.multipart import MOST_PARTS, OVERHEAD_BYTES, UploadForm

HEAD: Final = b'--B0\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
TAIL: Final = b"\r\n--B0--\r\n"
FIELD: Final = b'Content-Disposition: form-data; name="sessionId"\r\n\r\n'
LIKE_A_BOUNDARY: Final = st.sampled_from(
    [b"\r", b"\n", b"\r\n", b"--", b"-", b"B", b"--B", b"--B0", b"\n--B0", b"\r--B0--", b"\r\n--B", b"--B\r\n", b" "]
)
"""Pieces of a boundary, and what others take for one."""
FILE: Final = b"sound \r\n--B\r\n--\n--B0\n\r"
"""With as much of a boundary as a file may have."""


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """The bytes of a file that look like a boundary here and there, and hold none."""
    data = b"".join(draw(st.lists(LIKE_A_BOUNDARY | st.binary(max_size=64), max_size=40)))
    return data.replace(b"\r\n--B0", b"\r\n--B1")


async def split_form(form: bytes, cuts: Iterable[int]) -> AsyncIterator[bytes]:
    """`form` in chunks that end at `cuts`."""
    begin = 0
    for end in [*cuts, len(form)]:
        if end > begin:
            yield form[begin:end]
            begin = end


async def read(body: AsyncIterator[bytes], boundary: bytes = b"B0") -> bytes:
    """The file in the form that comes."""
    upload = UploadForm(body, boundary)
    await upload.open_file()
    file = b"".join([data async for data in upload.file()])
    await upload.finish()
    assert await anext(body, None) is None
    return file


def refusal(body: AsyncIterator[bytes], boundary: bytes = b"B0") -> str:
    """The code of what is said of a form that is none."""
    with pytest.raises(InvalidInput) as refused:
        asyncio.run(read(body, boundary))
    return refused.value.code


@given(file=files(), data=st.data())
def test_a_file_is_what_was_sent_wherever_the_chunks_end(file: bytes, data: st.DataObject) -> None:
    """Also in the middle of what looks like a boundary, and of the one that is."""
    form = HEAD + file + TAIL
    cuts = sorted(data.draw(st.lists(st.integers(0, len(form)), max_size=12)))
    assert asyncio.run(read(split_form(form, cuts))) == file


@pytest.mark.parametrize(
    "tail", [TAIL, b"\r\n--B0--", b"\r\n--B0-- \r\nsaid afterwards", b"\r\n--B0\r\n" + FIELD + TAIL]
)
def test_a_file_ends_where_it_ends_whatever_follows(tail: bytes) -> None:
    """Every one and every two places for the chunks to end: nothing of the boundary gets into the file."""
    form = HEAD + FILE + tail
    places = range(len(HEAD), len(form) + 1)
    for first in places:
        for second in range(first, min(first + 12, len(form) + 1)):
            assert asyncio.run(read(split_form(form, [first, second]))) == FILE, (first, second)


def test_a_file_is_what_was_sent_when_every_byte_comes_alone() -> None:
    """One chunk a byte."""
    file = bytes(range(256)) + FILE
    form = HEAD + file + TAIL
    assert asyncio.run(read(split_form(form, range(len(form))))) == file


@pytest.mark.parametrize("end", [0, 1, 2, 4, 6, 7])
def test_a_form_that_breaks_off_is_refused(end: int) -> None:
    """In the file, and anywhere in the boundary after it."""
    assert refusal(split_form(HEAD + b"abc" + TAIL[:end], [len(HEAD) + 1])) == "invalid_form"


@pytest.mark.parametrize(
    "form",
    [
        HEAD + b"abc\r\n--B0xyz and on it goes" + TAIL,
        HEAD.replace(b"\r\n", b"\n") + b"abc" + TAIL,
        HEAD + b"abc" + TAIL.replace(b"\r\n", b"\n"),
    ],
)
def test_a_form_whose_lines_end_otherwise_is_refused(form: bytes) -> None:
    """Rather than that a file has a byte too many, or ends too soon."""
    assert refusal(split_form(form, [])) == "invalid_form"


def test_a_file_without_the_name_of_its_part_is_none() -> None:
    """Its form cannot be known to hold what was asked for."""
    assert refusal(split_form(HEAD.replace(b'name="file"; ', b"") + b"abc" + TAIL, [])) == "missing_file"


def test_a_boundary_of_two_lines_is_refused() -> None:
    """As `boundary*` can have it, in which every character may be escaped."""
    assert refusal(split_form(HEAD + b"abc" + TAIL, []), b"B\n0") == "invalid_form"


def test_a_form_has_so_many_parts_and_no_more() -> None:
    """The file among them."""
    fields = (b"--B0\r\n" + FIELD + b"\r\n") * (MOST_PARTS - 1)
    assert asyncio.run(read(split_form(fields + HEAD + b"abc" + TAIL, []))) == b"abc"
    assert refusal(split_form(fields + HEAD + b"abc\r\n--B0\r\n" + FIELD + TAIL, [])) == "invalid_form"


@pytest.mark.parametrize("before", [b"", HEAD[:6], HEAD + b"abc" + TAIL, HEAD + b"abc\r\n--B0\r\n"])
def test_what_is_not_the_file_is_bounded_in_memory(before: bytes) -> None:
    """Before the form, in the head of a part, after it, and in the next one: it is not read on and on."""
    taken_bytes = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken_bytes
        yield before
        while True:
            taken_bytes += 65_536
            yield b"x" * 65_536

    assert refusal(endless()) == "invalid_form"
    assert taken_bytes <= OVERHEAD_BYTES + 65_536
