"""The send buffer: whatever the kernel takes and however often, bytes come out whole, in order, and once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnisonic.actors.connections.send_buffer import SendBuffer

bounded = settings(max_examples=300)


class Kernel:
    """A socket's send buffer with so much room."""

    def __init__(self) -> None:
        self.taken = b""
        self.room = 0

    def send(self, data: memoryview) -> int:
        if self.room == 0:
            raise BlockingIOError
        size = min(self.room, len(data))
        self.room -= size
        self.taken += bytes(data[:size])
        return size


chunks = st.binary(min_size=1, max_size=12)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), chunks),
        st.tuples(st.just("flush"), st.integers(0, 20)),
        st.tuples(st.just("cut"), st.none()),
    ),
    max_size=25,
)


@bounded
@given(chunks, st.integers(0, 11), steps)
def test_random_partial_sends_lose_and_reorder_nothing(
    first: bytes, sent: int, script: list[tuple[str, bytes | int | None]]
) -> None:
    """What was added comes out, but for whole chunks that were cut before their first byte was sent."""
    sent = min(sent, len(first) - 1)
    send_buffer, kernel = SendBuffer(), Kernel()
    send_buffer.add(first, sent)
    kernel.taken = first[:sent]
    expected, queued = first, [first]
    for _, argument in script:
        if isinstance(argument, bytes):
            send_buffer.add(argument)
            queued.append(argument)
            expected += argument
        elif isinstance(argument, int):
            kernel.room = argument
            assert send_buffer.flush(kernel.send) == (len(kernel.taken) == len(expected))
        else:
            send_buffer.drop_unsent()
            begun = next(end for end in _ends(queued) if end >= len(kernel.taken))
            expected = expected[:begun]
            queued = _up_to(queued, begun)
        assert send_buffer.size == len(expected) - len(kernel.taken)
    kernel.room = len(expected)
    assert send_buffer.flush(kernel.send)
    assert kernel.taken == expected
    assert send_buffer.size == 0


def _ends(queued: list[bytes]) -> list[int]:
    """Where each chunk ends in the stream, which begins with an end."""
    return [sum(map(len, queued[:count])) for count in range(len(queued) + 1)]


def _up_to(queued: list[bytes], end: int) -> list[bytes]:
    return queued[: _ends(queued).index(end)]


def test_a_cut_finishes_the_frame_that_was_begun() -> None:
    """A client that is too slow gets the rest of a frame, then the close, and nothing in between."""
    send_buffer, kernel = SendBuffer(), Kernel()
    send_buffer.add(b"begun", 2)
    send_buffer.add(b"waiting")
    send_buffer.drop_unsent()
    send_buffer.add(b"close")
    kernel.room = 100
    assert send_buffer.flush(kernel.send)
    assert kernel.taken == b"gunclose"


def test_what_the_socket_raises_comes_through() -> None:
    """A connection that is gone is its owner's business."""

    def broken(_: memoryview) -> int:
        raise ConnectionResetError

    send_buffer = SendBuffer()
    send_buffer.add(b"lost")
    with pytest.raises(ConnectionResetError):
        send_buffer.flush(broken)


def test_it_knows_since_when_the_oldest_byte_has_waited() -> None:
    """A chunk that is partly sent still waits; what is gone, or was cut, does not."""
    send_buffer, kernel = SendBuffer(), Kernel()
    assert send_buffer.size == 0
    for second in (1.0, 2.0, 3.0):
        send_buffer.add(b"four", 0, second)
    kernel.room = 6
    send_buffer.flush(kernel.send)
    assert send_buffer.since_s == 2.0
    send_buffer.drop_unsent()
    assert (send_buffer.since_s, send_buffer.size) == (2.0, 2)
    kernel.room = 6
    send_buffer.flush(kernel.send)
    assert send_buffer.since_s is None
