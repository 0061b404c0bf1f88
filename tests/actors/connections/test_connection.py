"""A connection: what is queued comes before the close, nothing comes after it, and a room that is busy says so."""

from collections.abc import Iterator

import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection

from omnisonic.actors.connections.socket_connection import REPLAY_S, RateLimit
from omnisonic.actors.rooms.mailbox import DATA_FRAMES
from omnisonic.wire.closing import CloseCode, Closing
from omnisonic.wire.frames import BINARY, CLOSE, TEXT, frame
from tests.actors.connection_stage import Stage
from tests.wire.client_frames import FIN, ClientFrame

NOTE = ClientFrame(FIN | TEXT, b'{"type":"note"}').encode()
LEFT = ClientFrame(FIN | CLOSE, b"\x03\xe8").encode()
LONG = 10_000
QUEUED = 200_000


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A connection without limits."""
    stage = Stage(RateLimit.of(0, 0))
    yield stage
    stage.close()


def reported(number: int) -> bytes:
    """What the room says."""
    return b"%06d" % number + b"-" * LONG


def fill(stage: Stage) -> int:
    """Say so much that a good deal of it waits, or the connection has had enough; how many messages that were."""
    count = 0
    while stage.connection.is_open and stage.connection.queued_bytes < QUEUED:
        stage.connection.push(frame(BINARY, reported(count)))
        count += 1
    return count


def read(data: bytes) -> tuple[list[bytes], int]:
    """The messages that a client reads, and the code of the close, which must be the last of it."""
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(data)
    events = list(client.events())
    messages: list[bytes] = []
    for event in events[:-1]:
        assert isinstance(event, BytesMessage)
        if event.message_finished:
            messages.append(bytes(event.data))
    assert isinstance(events[-1], CloseConnection)
    closing = Closing(CloseCode(int(events[-1].code)), events[-1].reason or "").payload()
    end = data.rindex(bytes([FIN | CLOSE]))
    assert data[end + 2 :] in (closing, closing[:2]), "something came after the close"
    return messages, int(events[-1].code)


def test_what_is_queued_comes_whole_and_before_the_close(stage: Stage) -> None:
    """All of it, then the close, then the end of the stream; what is said after the close is not."""
    count = fill(stage)
    stage.connection.close(Closing(CloseCode.GOING_AWAY, "later"))
    stage.connection.push(frame(BINARY, b"from the grave"))
    stage.connection.close(Closing(CloseCode.KICKED))
    assert stage.owner.ended == []
    assert read(stage.rest()) == ([reported(number) for number in range(count)], 1001)
    assert stage.owner.ended == []  # the client's own close is waited for
    stage.send(ClientFrame(FIN | CLOSE, b"\x03\xe9").encode())
    assert stage.owner.ended == [stage.connection]


def test_a_client_that_closes_gets_first_what_is_queued(stage: Stage) -> None:
    """Its own close is answered in its turn, and the socket let go of when all is sent."""
    count = fill(stage)
    stage.send(LEFT)
    stage.connection.push(frame(BINARY, b"too late"))
    assert stage.owner.ended == []
    assert stage.connection.closing == Closing(CloseCode.NORMAL)
    assert read(stage.rest()) == ([reported(number) for number in range(count)], 1000)


def test_who_is_too_slow_gets_the_frame_that_was_begun_and_the_close(stage: Stage) -> None:
    """The rest of the queue is dropped: the close takes its place."""
    stage.owner.queue_bytes = QUEUED // 2
    count = fill(stage)
    assert stage.connection.closing is not None
    assert stage.connection.closing.code is CloseCode.TOO_SLOW
    assert stage.connection.queued_bytes < 2 * LONG
    messages, code = read(stage.rest())
    assert code == 4008
    assert messages == [reported(number) for number in range(len(messages))]
    assert 0 < len(messages) < count - QUEUED // 2 // LONG + 2


def test_a_message_that_a_room_cannot_take_is_not_lost_in_silence(stage: Stage) -> None:
    """Its sender is told `room_busy`, whichever way the message came, with its `id`, and stays."""
    for _ in range(DATA_FRAMES // 1024):
        stage.send(NOTE * 1024)
    assert (stage.taken, stage.errors()) == (DATA_FRAMES, [])
    stage.send(NOTE)
    assert stage.errors() == ["room_busy"]
    stage.connection.receive_message(TEXT, b'{"type":"note","id":7}')
    assert stage.answers() == [("room_busy", 7)]
    stage.connection.receive_message(TEXT, b'{"type":"\xff"}')
    assert stage.answers() == [("room_busy", None)]  # nobody has looked whether it is UTF-8
    assert stage.taken == DATA_FRAMES
    assert stage.connection.is_open


def test_what_a_member_has_missed_does_not_count_as_too_slow_for_a_while(stage: Stage) -> None:
    """More than the send buffer may hold waits for them; what is new counts, and after a time all of it."""
    stage.owner.queue_bytes = 65_536
    parts = [b"\x81\x04", b"note"] * 2_000_000
    stage.connection.push_replay(parts)
    stage.owner.clock.now_s += REPLAY_S - 1
    stage.connection.push(b"\x81\x03new")
    assert stage.connection.is_open
    assert stage.connection.queued_bytes > 1_000_000
    stage.owner.clock.now_s += 2
    stage.connection.push(b"\x81\x03new")
    assert stage.connection.closing == Closing(CloseCode.TOO_SLOW, "you do not read what the room says")


def test_what_is_new_counts_while_a_member_reads_what_they_have_missed(stage: Stage) -> None:
    """They are closed for it as anybody is."""
    stage.owner.queue_bytes = 65_536
    stage.connection.push_replay([b"\x81\x04note"] * 2_000_000)
    stage.connection.push(b"." * 65_536)
    assert stage.connection.is_open
    stage.connection.push(b".")
    assert not stage.connection.is_open


def test_what_a_member_has_missed_arrives_whole_and_in_order(stage: Stage) -> None:
    """In blocks that are put together when it is their turn; what was pushed after it comes after it."""
    parts = [b"%07d|" % number for number in range(500_000)]
    stage.connection.push_replay(parts)
    stage.connection.push(b"new")
    received = bytearray()
    while len(received) < len(b"".join(parts)) + 3:
        received += stage.reported()
        stage.connection.on_writable()
    assert received == b"".join(parts) + b"new"
    assert stage.connection.queued_bytes == 0
